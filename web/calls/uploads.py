"""Recordings go to the object store after their calls: uploaded, checked, and only then removed here.

`Uploads` takes the CallSid of each call that is over, and looks through the recordings folder at the start and every
ten minutes: for what an earlier process has left, or another worker; for what has failed sooner, ten seconds later, and
then ever less often. The file stays here meanwhile. A call that comes back later is recorded here again, and both
recordings become one in the store.
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
from actors.supervision import Crashed, guard, unharmed
from store.objects import ObjectStore
from store.private import open_private
from store.records import CallRecord
from web.calls.call_files import RECORDING, CallFiles
from web.calls.work_queue import WorkQueue

AT_ONCE = 4
SECONDS = 600.0
"""For one upload: an hour of a call is 115 MB."""
LOOK_SECONDS = 600.0
FIRST_SECONDS = 10.0
"""From a failure to the next try; three times as long after each further one, and `LOOK_SECONDS` at the most."""
GROWING_SECONDS, GROWING_LOOKS = 2.0, 5
"""Between looks at a recording that is being written: the record of a call may be kept before it."""
MOST = 10_000
"""Recordings to be remembered: more are found when they are looked for."""

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class Uploads:
    files: CallFiles
    objects: ObjectStore
    queue: WorkQueue[str] = attrs.field(init=False)
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(AT_ONCE), init=False)
    _looking: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)
    _again_in: float = attrs.field(default=FIRST_SECONDS, init=False)
    _has_failed: bool = attrs.field(default=False, init=False)
    """Whether something has failed since the last look."""
    _failed: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def __attrs_post_init__(self) -> None:
        self.queue = WorkQueue("recordings", self._upload, AT_ONCE, MOST)

    def put(self, record: CallRecord) -> None:
        if self.files.path(record.call_sid, RECORDING) is not None:
            self.queue.put(record.call_sid)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.queue.run)
            while True:
                self._has_failed = False
                await unharmed(self._find, "recordings_not_looked_for")
                with trio.move_on_after(LOOK_SECONDS):
                    while not self._has_failed:
                        await self._failed.park()
                    rest, self._again_in = self._again_in, min(3 * self._again_in, LOOK_SECONDS)
                    await trio.sleep(rest)

    async def _find(self) -> None:
        if (folder := self.files.folder) is not None:
            found = await trio.to_thread.run_sync(_waiting, folder, limiter=self._looking, abandon_on_cancel=True)
            for call_sid in {*found} - {*self.queue.waiting}:
                self.queue.put(call_sid)

    async def _upload(self, call_sid: str) -> None:
        path, why = self.files.path(call_sid, ""), f"not done within {SECONDS:g} s"
        if path is None:
            return
        ended: bool | Crashed = False
        work = partial(trio.to_thread.run_sync, partial(move, self.objects, path), limiter=self._threads)
        with trio.move_on_after(SECONDS):
            for _ in range(GROWING_LOOKS):
                ended = await guard(partial(work, abandon_on_cancel=True))
                if ended is not False:
                    break
                await trio.sleep(GROWING_SECONDS)
            why = ended.reason if isinstance(ended, Crashed) else ""
        if why:
            _log.error("recording_not_uploaded", call_sid=call_sid, why=why, again_in=self._again_in)
            self._has_failed = True
            self._failed.unpark_all()
        elif ended:
            self._again_in = FIRST_SECONDS


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
