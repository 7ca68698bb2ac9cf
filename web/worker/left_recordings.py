"""Unfinished recordings of a killed process: each becomes `call.wav` at the next start.

`LeftRecordings` holds a lock in the recordings folder for as long as this process lives, and the tracks of its calls
name it. Tracks whose process is dead are joined: at the start, and soon after another worker has died. Our own that a
full disk has kept from being joined are found some minutes later, and so are tracks that name nobody, where the file
system has no locks. No call waits for any of it, and a disk that fails costs a line in the log.
"""

import math
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio

from actors.record.recording import alone_in, finish_left, is_left, writer_of
from actors.supervision import in_background, keep_running
from store.leisure import leisurely
from store.private import ProcessLock, own_folder

EVERY_SECONDS = 5.0
ABANDONED_SECONDS = 60.0
"""Tracks of this process (its disk was full), or of no known one, are joined when unchanged for so long."""
AGAIN_SECONDS = 600.0
"""Between looks through all folders for such tracks."""
_FOLDERS = 128
"""Looked at in a millisecond."""

_log = structlog.stdlib.get_logger()


def _own_lock(left: "LeftRecordings") -> ProcessLock:
    return ProcessLock(left.locks / f"{uuid.uuid4().hex}.lock")


@attrs.define(eq=False)
class LeftRecordings:
    """The recordings below one folder that nobody goes on with."""

    folder: Path
    _own: ProcessLock = attrs.field(default=attrs.Factory(_own_lock, takes_self=True), init=False)
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)
    _looked: float = attrs.field(default=-math.inf, init=False)

    @property
    def locks(self) -> Path:
        return self.folder / ".writers"

    @property
    def writer(self) -> str:
        """Our name in the notes; empty where there are no locks to be had."""
        return self._own.path.stem if self._own.is_held else ""

    def hold(self) -> None:
        """Take our lock. Blocks. *Raises* `OSError`."""
        own_folder(self.locks)
        if not self._own.hold(new=True):
            _log.warning("recordings_not_locked", folder=str(self.folder), why="the file system has no locks")

    def let_go(self) -> None:
        self._own.path.unlink(missing_ok=True)
        self._own.let_go()

    async def run(self) -> None:
        look = partial(trio.to_thread.run_sync, self.look, limiter=self._threads, abandon_on_cancel=True)
        await keep_running(look, "recordings_not_looked_for", EVERY_SECONDS)

    def look(self) -> int:
        """Join the tracks of dead processes; return how many recordings that were. Blocks. *Raises* `OSError`."""
        ours = ProcessLock(self.locks / "looking.lock")
        if not ours.hold(new=True):  # another worker is at it
            return 0
        try:
            others = {path for path in self.locks.glob("*.lock") if path not in {self._own.path, ours.path}}
            dead = {path.stem: lock for path in sorted(others) if (lock := ProcessLock(path)).hold(new=False)}
            found = 0
            if dead or time.monotonic() >= self._looked + AGAIN_SECONDS:
                found, self._looked = self._look_through(frozenset(dead)), time.monotonic()
            for lock in dead.values():
                lock.path.unlink(missing_ok=True)
                lock.let_go()
        finally:
            ours.let_go()
        return found

    def _look_through(self, dead: frozenset[str]) -> int:
        found = 0
        for folder in leisurely(self.folder.iterdir(), _FOLDERS):
            if folder.is_dir() and is_left(folder):
                with alone_in(folder):
                    found += not self._is_written(folder, dead) and is_left(folder) and _join(folder)
        return found

    def _is_written(self, folder: Path, dead: frozenset[str]) -> bool:
        writer = writer_of(folder)
        if writer in dead:
            return False
        if writer and writer != self.writer:
            return ProcessLock(self.locks / f"{writer}.lock").is_anybodys()
        changed = max((track.stat().st_mtime for track in folder.glob(".*.ulaw")), default=0.0)
        return changed > time.time() - ABANDONED_SECONDS


def _join(folder: Path) -> bool:
    try:
        seconds = finish_left(folder)
    except OSError as exc:
        _log.error("recording_not_recovered", call_sid=folder.name, why=f"{type(exc).__name__}: {exc.strerror}")
        return False
    _log.warning("recording_recovered", call_sid=folder.name, seconds=round(seconds, 1))
    return True


@asynccontextmanager
async def joining(folder: Path | None) -> AsyncIterator[str]:
    """Join what was left below a folder, for as long as the `async with` lasts; gives our name as a writer."""
    if folder is None:
        yield ""
        return
    left = LeftRecordings(folder)
    left.hold()
    try:
        async with in_background(left.run):
            yield left.writer
    finally:
        with suppress(OSError):
            left.let_go()
