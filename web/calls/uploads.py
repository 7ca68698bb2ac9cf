"""Recordings go to the object store after their calls: uploaded, checked, and only then removed here.

`Uploads` takes the CallSid of each call that is over, and looks through the recordings folder at the start and every
ten minutes: for what an earlier process has left, or another worker. A failure is tried again, after ten seconds and
then more and more rarely; the file stays here meanwhile. Neither a call nor its end waits for any of it, and a server
that closes waits `LAST_SECONDS`. A call that comes back later is recorded here again, and both recordings become one in
the store.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio
from trio.lowlevel import ParkingLot

from actors.record.recording import add_earlier, alone_in, is_left
from actors.supervision import Crashed, guard, keep_running
from store.objects import ObjectStore
from store.private import open_private
from store.records import CallRecord
from web.calls.call_files import RECORDING, CallFiles

AT_ONCE = 4
SECONDS = 600.0
"""For one upload: an hour of a call is 115 MB."""
LAST_SECONDS = 5.0
"""For uploads that nothing has gone wrong with, when the server closes."""
LOOK_SECONDS = 600.0
FIRST_REST, LONGEST_REST = 10.0, 600.0
GROWING_SECONDS = 2.0
"""Between looks at a recording that is being written: the record of a call may be kept before it."""
MOST = 10_000
"""Recordings to be remembered: more are found when they are looked for."""

_log = structlog.stdlib.get_logger()


@attrs.frozen
class _Due:
    """When a recording is to be uploaded (trio's time), and how often that has failed."""

    at: float
    failed: int = 0


@attrs.define(eq=False)
class Uploads:
    files: CallFiles
    objects: ObjectStore
    _due: dict[str, _Due] = attrs.field(factory=dict, init=False)
    _under_way: int = attrs.field(default=0, init=False)
    _news: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(AT_ONCE), init=False)
    _looking: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)

    def put(self, record: CallRecord) -> None:
        self._add(record.call_sid, _Due(trio.current_time()))

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(self._work)
            await keep_running(self._find, "recordings_not_looked_for", LOOK_SECONDS)

    async def finish(self) -> None:
        """Wait until nothing is left but what has failed before, within `LAST_SECONDS`."""
        with trio.move_on_after(LAST_SECONDS) as waiting:
            while self._under_way or any(not due.failed for due in self._due.values()):
                await self._news.park()
        if waiting.cancelled_caught or self._due:
            left = len(self._due) + self._under_way
            _log.warning("recordings_left", recordings=left, why="they are uploaded after the next start")

    async def _find(self) -> None:
        folder = self.files.folder
        if folder is not None:
            found = await trio.to_thread.run_sync(_waiting, folder, limiter=self._looking, abandon_on_cancel=True)
            for call_sid in found:
                self._add(call_sid, _Due(trio.current_time()))

    def _add(self, call_sid: str, due: _Due) -> None:
        if self.files.path(call_sid, RECORDING) is not None and len(self._due) < MOST:
            self._due.setdefault(call_sid, due)
            self._news.unpark_all()

    async def _work(self) -> None:
        while True:
            call_sid, due = await self._next()
            self._under_way += 1
            try:
                await self._upload(call_sid, due)
            finally:
                self._under_way -= 1
                self._news.unpark_all()

    async def _next(self) -> tuple[str, _Due]:
        while True:
            call_sid = min(self._due, key=lambda name: self._due[name].at, default="")
            rest = self._due[call_sid].at - trio.current_time() if call_sid else float("inf")
            if rest <= 0:
                return call_sid, self._due.pop(call_sid)
            with trio.move_on_after(rest):
                await self._news.park()

    async def _upload(self, call_sid: str, due: _Due) -> None:
        path, why = self.files.path(call_sid, ""), f"not done within {SECONDS:g} s"
        if path is None:
            return
        work = partial(move, self.objects, path)
        with trio.move_on_after(SECONDS):
            ended = await guard(partial(trio.to_thread.run_sync, work, limiter=self._threads, abandon_on_cancel=True))
            if ended is True:
                return
            why = ended.reason if isinstance(ended, Crashed) else ""
        if not why:  # it is being written
            self._add(call_sid, _Due(trio.current_time() + GROWING_SECONDS, due.failed))
            return
        rest = min(LONGEST_REST, FIRST_REST * 2.0 ** min(due.failed, 10))
        _log.error("recording_not_uploaded", call_sid=call_sid, why=why, again_in=rest)
        self._add(call_sid, _Due(trio.current_time() + rest, due.failed + 1))


def _waiting(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir() if not one.name.startswith(".") and (one / RECORDING).exists()]


def move(objects: ObjectStore, folder: Path) -> bool:
    """Move the recording in the folder of a call to the store. Blocks.

    False if it is not done yet: a stream of the call goes on, or another process is at it. *Raises* what the driver of
    the store raises; the recording is here then, and whole.
    """
    wav = folder / RECORDING
    if is_left(folder):
        return False
    if not wav.exists():  # it has no audio, was moved, or was erased
        return True
    with _held(wav) as is_ours:
        return is_ours and _add_what_is_there(objects, folder) and _move(objects, folder)


def _add_what_is_there(objects: ObjectStore, folder: Path) -> bool:
    """Add the recording of an earlier stream of the call, if the store has one; False if a stream goes on now."""
    if objects.size(folder.name) is None:
        return True
    earlier = folder / f".earlier.{RECORDING}"
    try:
        with open_private(earlier, "wb") as file:
            objects.copy(folder.name, file)
        with alone_in(folder):
            if is_left(folder):
                return False
            add_earlier(folder, earlier)
    finally:
        earlier.unlink(missing_ok=True)
    return True


def _move(objects: ObjectStore, folder: Path) -> bool:
    wav, call_sid = folder / RECORDING, folder.name
    sent = _state(wav)
    unchecked = objects.upload(wav, call_sid)
    try:
        with alone_in(folder):
            if not is_left(folder) and _state(wav) == sent:
                objects.keep(unchecked, call_sid)
                wav.unlink()
                _log.info("recording_uploaded", call_sid=call_sid, bytes=sent[0])
                return True
    except FileNotFoundError:
        if folder.exists():
            raise
    objects.drop(unchecked)  # it went on, or was erased meanwhile
    return not folder.exists()


def _state(path: Path) -> tuple[int, int, int]:
    """Return a value that changes when a file is written or replaced."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Keep other threads and processes from uploading a file; gives whether it is ours. Blocks."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            """A file system without locks: at worst, the same is uploaded twice."""
        yield True
    finally:
        os.close(descriptor)
