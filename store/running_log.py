"""The log of one process's running calls: what their records would say so far, a line for each change.

`RunningLog` owns one file and the lock beside it. A round appends a line for each call that has changed, and one for
each call that is over. A line repeats no turn that an earlier line has settled. The log is rewritten, a line for
each running call, when it has grown well beyond what it says, when a call has been over for half a minute, and after a
write that failed. The last line of a process that was killed may be cut short, and counts for nothing then. All of it
blocks, and raises `OSError`.

    <folder>/<process>.lock      held for as long as the process lives
    <folder>/<process>.jsonl     {"after": 8, "record": {…}}: the transcript follows the call's first eight turns
                                 {"over": "CA…"}
"""

import math
import threading
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import IO

import attrs
import orjson

from store.json_text import json_text
from store.leisure import leisurely
from store.private import FILE, ProcessLock, naming, open_private, own_folder
from store.records import CallRecord, RecordError, RunningRecord, encode_running, record_from_json

ROOM_BYTES = 128 * 1024
"""That a log may grow before it is rewritten, and then three times what it said when it was rewritten last."""
OVER_SECONDS = 30.0
"""How long the words of a call that is over may stay in the log."""


@attrs.frozen
class _LoggedCall:
    """A call as the log has it, and how many of its turns no later line has to repeat: those that are packed."""

    running: RunningRecord
    settled: int

    @classmethod
    def beside(cls, before: "_LoggedCall | None", running: RunningRecord) -> "tuple[_LoggedCall, bytes]":
        """Return what the log says with one more line, and this line."""
        after, lines = 0, list[bytes]()
        if before is not None and b"".join(running.packed).startswith(b"".join(before.running.packed)):
            after = before.settled
        if before is None or running.packed != before.running.packed:
            lines = list(islice(running.lines, after, None))
        news = encode_running(running.record, lines)
        return cls(running, after + len(lines)), b'{"after":%d,"record":%b}\n' % (after, news.strip())


@attrs.define(eq=False)
class RunningLog:
    """The log of the process `name`, living or dead."""

    folder: Path
    name: str
    _lock: ProcessLock = attrs.field(
        default=attrs.Factory(lambda self: ProcessLock(self.folder / f"{self.name}.lock"), takes_self=True), init=False
    )
    _writing: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _last: int = attrs.field(default=0, init=False)
    """The last round that was begun."""
    _file: IO[bytes] | None = attrs.field(default=None, init=False)
    """Open while the log says what it should: a write that fails closes it, and the next round rewrites the log."""
    _written: dict[str, _LoggedCall] = attrs.field(factory=dict, init=False)
    _size: int = attrs.field(default=0, init=False)
    _room: int = attrs.field(default=0, init=False)
    _over_since: float | None = attrs.field(default=None, init=False)

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.jsonl"

    @property
    def _part(self) -> Path:
        return self.folder / f"{self.name}.part"

    @property
    def is_stale(self) -> bool:
        """Whether a call that is over is still in the log."""
        return self._over_since is not None

    def hold(self, *, new: bool) -> bool:
        return self._lock.hold(new=new)

    def let_go(self) -> None:
        """Let go of the lock, as the kernel does when the process dies."""
        self._close()
        self._lock.let_go()

    def update(self, number: int, running: Mapping[str, RunningRecord]) -> None:
        """Write the running calls, and no others, to the log.

        A round that was abandoned may come to it after the next one: it writes nothing any more.
        """
        with self._writing:
            if number > self._last:
                self._last = number
                self._update(running)

    def tidy(self, number: int, running: Mapping[str, RunningRecord]) -> None:
        """Do as `update`, and leave no word of a call that is over, however short ago."""
        with self._writing:
            self._over_since = -math.inf
            self._last = max(self._last, number)
            self._update(running)

    def _update(self, running: Mapping[str, RunningRecord]) -> None:
        if not running:
            self._clear()
            return
        if not self._lock.is_held:
            own_folder(self.folder)
            if not self.hold(new=True):
                raise OSError(f"{self._lock.path} is held by another process")
        try:
            with naming(self.path):
                if self._file is None or self._is_due:
                    self._rewrite(running)
                else:
                    self._append(self._file, running)
        except OSError:
            self._close()
            raise

    @property
    def _is_due(self) -> bool:
        over = self._over_since
        return self._size > self._room or (over is not None and monotonic() - over > OVER_SECONDS)

    def _append(self, file: IO[bytes], running: Mapping[str, RunningRecord]) -> None:
        over = self._written.keys() - running.keys()
        for sid in over:
            del self._written[sid]
            self._size += file.write(json_text({"over": sid}))
        known = ((sid, one, self._written.get(sid)) for sid, one in running.items())
        changed = ((sid, one, was) for sid, one, was in known if was is None or was.running is not one)
        for sid, one, was in leisurely(changed):
            self._written[sid], line = _LoggedCall.beside(was, one)
            self._size += file.write(line)
        file.flush()
        if over and self._over_since is None:
            self._over_since = monotonic()

    def _rewrite(self, running: Mapping[str, RunningRecord]) -> None:
        self._close()
        self._written.clear()
        self._file, self._size = open_private(self._part, "wb"), 0
        self._append(self._file, running)
        self._part.replace(self.path)  # and not synced: it is a process that dies, not the machine
        self._room = 4 * self._size + ROOM_BYTES
        self._over_since = None

    def _clear(self) -> None:
        self._close()
        if self._lock.is_held:
            self.path.unlink(missing_ok=True)
            self._part.unlink(missing_ok=True)
        self._written, self._over_since = {}, None

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what it could not write, the next round does
                file.close()

    def read(self) -> tuple[list[CallRecord], list[str]]:
        """Return the newest record of each call that is not over, and why some of the log is no record."""
        records, refused = dict[str, CallRecord](), list[str]()
        *whole, _ = self.path.read_bytes().split(b"\n") if self.path.exists() else [b""]
        for number, line in enumerate(whole, 1):
            try:
                _take(orjson.loads(line), records)
            except (ValueError, KeyError, TypeError) as exc:
                refused.append(f"{self.path.name}, line {number}: {exc}")
        return list(records.values()), refused

    def remove(self, *, refused: bool) -> None:
        """Remove everything of a dead process; what could not be read is set aside."""
        if refused:
            with suppress(FileNotFoundError):
                self.path.rename(self.path.with_suffix(".refused"))
        self.path.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)
        self._lock.path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Let go of the lock, and remove it unless a call is left that has no other record."""
        if self._lock.is_held and not self.path.exists():
            self._lock.path.unlink(missing_ok=True)
        self.let_go()


def _take(line: Mapping[str, object], records: dict[str, CallRecord]) -> None:
    if "over" in line:
        records.pop(str(line["over"]), None)
        return
    record, after = record_from_json(line["record"]), line["after"]
    before = records[record.call_sid].transcript if after else ()
    if not isinstance(after, int) or not 0 <= after <= len(before):
        raise RecordError(f"it follows {after} turns, and there are {len(before)}")
    records[record.call_sid] = attrs.evolve(record, transcript=before[:after] + record.transcript)


def try_again(folder: Path) -> None:
    """Have what could not be read be read again: a newer version may have written it."""
    for path in folder.glob("*.refused"):
        with suppress(FileNotFoundError):
            path.with_suffix(".lock").touch(FILE)
            path.rename(path.with_suffix(".jsonl"))


def left_by_others(folder: Path, own: str) -> list[RunningLog]:
    """Return the logs of other processes: one whose lock can be had was left by a dead one."""
    names = {path.stem for path in folder.glob("*") if path.suffix in {".jsonl", ".part"}} - {own}
    return [RunningLog(folder, name) for name in sorted(names)]
