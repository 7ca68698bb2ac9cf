"""Call records on disk: one folder a call, `record.json` in it, readable with nothing but an editor.

`FileRecords` owns `<folder>/<call_sid>/record.json` and nothing else in that folder (the recording and the journal
lie beside it). A record is written to a temporary name and renamed, so a reader sees a whole record or none, and a
crash leaves the previous one. Disk work runs in a thread. A record that cannot be read is logged and passed over by
`list`; `get` raises `RecordError`. Errors of the disk are the caller's `OSError`.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

import attrs
import structlog
import trio

from store.erasing import Subject
from store.private import write_whole
from store.records import CallRecord, RecordError, decode_record, encode_record
from store.search import CallQuery, CallSummary, select, summary_of

T = TypeVar("T")

RECORD = "record.json"
_HALF = f".{RECORD}.*"
"""What `write_whole` had half written when its process was killed: it has words, and goes with the record."""
THREADS = 4
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_log = structlog.stdlib.get_logger()


def read_record(path: Path) -> CallRecord | None:
    """Read a record back from its file; None if there is no such file. Blocks. Raises: `RecordError`; `OSError`."""
    try:
        return decode_record(path.read_bytes())
    except FileNotFoundError:
        return None


def _readable(path: Path) -> CallRecord | None:
    try:
        return read_record(path)
    except RecordError as exc:
        _log.warning("record_unreadable", path=str(path), why=str(exc))
        return None


def _newest(folder: Path, limit: int) -> Sequence[CallRecord]:
    paths = sorted(folder.glob(f"*/{RECORD}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    found: list[CallRecord] = []
    for path in paths:
        if len(found) >= limit:
            break
        record = _readable(path)
        if record is not None:
            found.append(record)
    return sorted(found, key=lambda record: record.started_at, reverse=True)


def _mentioning(folder: Path, subject: Subject) -> Sequence[str]:
    found = list[str]()
    for path in (*folder.glob(f"*/{RECORD}"), *folder.glob(f"*/{_HALF}")):
        with suppress(FileNotFoundError):  # it was erased in between
            if subject.is_in(path.read_text("utf-8", "replace")):
                found.append(path.parent.name)
    return list(dict.fromkeys(found))


def _erase(path: Path) -> None:
    path.unlink(missing_ok=True)
    for half in path.parent.glob(_HALF):
        half.unlink(missing_ok=True)


def _summaries(folder: Path, known: dict[Path, tuple[int, CallSummary]]) -> list[CallSummary]:
    """Summarise every record; those that have not changed since are `known`, and their files are not read again."""
    found: dict[Path, tuple[int, CallSummary]] = {}
    for path in folder.glob(f"*/{RECORD}"):
        with suppress(FileNotFoundError):  # it was erased in between
            changed = path.stat().st_mtime_ns
            if path in known and known[path][0] == changed:
                found[path] = known[path]
            elif (record := _readable(path)) is not None:
                found[path] = changed, summary_of(record)
    known.clear()
    known.update(found)
    return [summary for _, summary in found.values()]


@attrs.frozen
class FileRecords:
    """Call records as JSON files below one folder; the methods are those of `CallRecords`."""

    folder: Path
    _threads: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(THREADS), init=False, eq=False, repr=False
    )
    _known: dict[Path, tuple[int, CallSummary]] = attrs.field(factory=dict, init=False, eq=False, repr=False)
    _scanning: Lock = attrs.field(factory=Lock, init=False, eq=False, repr=False)

    async def save(self, record: CallRecord) -> None:
        path = self._path(record.call_sid)
        if path is None:
            raise ValueError(f"{record.call_sid!r} cannot name a folder: use letters, digits, - and _")
        await self._in_thread(partial(write_whole, path, encode_record(record)))

    async def get(self, call_sid: str) -> CallRecord | None:
        path = self._path(call_sid)
        if path is None:
            return None
        return await self._in_thread(partial(read_record, path))

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        return await self._in_thread(partial(_newest, self.folder, limit))

    async def search(self, query: CallQuery) -> Sequence[CallSummary]:
        """The first search of a process reads every record."""
        return await self._in_thread(partial(self._search, query))

    async def erase(self, call_sid: str) -> None:
        """Forget one call; its other files stay."""
        path = self._path(call_sid)
        if path is not None:
            await self._in_thread(partial(_erase, path))

    async def mentioning(self, subject: Subject) -> Sequence[str]:
        return await self._in_thread(partial(_mentioning, self.folder, subject))

    async def overwrite(self) -> Sequence[str]:
        """Nothing: a file that is removed is gone, as far as the file system makes it so."""
        await trio.lowlevel.checkpoint()
        return ()

    def _search(self, query: CallQuery) -> Sequence[CallSummary]:
        with self._scanning:
            return select(_summaries(self.folder, self._known), query)

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(do, limiter=self._threads, abandon_on_cancel=True)

    def _path(self, call_sid: str) -> Path | None:
        if _SAFE_NAME.fullmatch(call_sid) is None:
            return None
        return self.folder / call_sid / RECORD
