"""Files of one call, to be read: its journal and its recording, in one folder below RECORDINGS_DIR.

`CallFiles` reads and erases, and writes what becomes known of a call later; the Scribe writes the rest. With
RECORDINGS_URL a recording is in the folder until it is in the object store (`web.calls.uploads`), and is looked for in
both. Work on the disk and work on the store run in threads of their own. A journal that is cut in the middle of a line,
or has lines that are none, is read as far as it can be; a call without files has none.
"""

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import attrs
import structlog
import trio

from actors.journal import Entry, read_entries
from actors.record.recording import alone_in
from actors.supervision import Crashed, guard
from store.json_text import json_text
from store.objects import BLOCK, ObjectStore, ObjectsUnavailable
from store.private import write_whole
from store.records import CallRecord, record_as_json

T = TypeVar("T")

THREADS = 4
STORE_SECONDS = 10.0
"""For an answer of the object store."""
LINES_BYTES = 64 * 1024
"""Of a file that is read line by line, at a time."""
JOURNAL, RECORDING, RECORD = "journal.jsonl", "call.wav", "record.json"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

_log = structlog.stdlib.get_logger()


@attrs.frozen
class CallFiles:
    """The files of the calls of one server; none where nothing is recorded.

    Every method but `rewrite` raises `OSError`; where it asks the object store, that is an `ObjectsUnavailable`.
    """

    folder: Path | None
    objects: ObjectStore | None = None
    """Where recordings are moved to."""
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS), init=False, eq=False)
    _asking: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS), init=False, eq=False)

    async def journal(self, call_sid: str) -> Sequence[Entry]:
        """Return the journal of a call, as far as it is written; empty where there is none."""
        lines = await self.read(call_sid, JOURNAL)
        return await self.in_thread(partial(read_entries, lines)) if lines else ()

    async def read(self, call_sid: str, name: str, start: int = 0, size: int = -1) -> bytes | None:
        """Return one file of a call, or so much of it from byte `start` on; None where there is none."""
        path = self.path(call_sid, name)
        if path is None:
            return None
        return await self.in_thread(partial(_read, path, start, lambda file: file.read(size)))

    async def lines(self, call_sid: str, name: str, start: int) -> list[bytes]:
        """Return whole lines of a file from byte `start` on, some kilobytes of them; none where no more are there."""
        path = self.path(call_sid, name)
        lines = await self.in_thread(partial(_read, path, start, _whole_lines)) if path is not None else None
        return lines or []

    async def has(self, call_sid: str, name: str) -> bool:
        return await self.is_here(call_sid, name) or (
            name == RECORDING and await self.stored_bytes(call_sid) is not None
        )

    async def is_written(self, call_sid: str) -> bool:
        """Tell whether somebody writes the journal of a call, or died at it: its record comes when the call is over."""
        return await self.has(call_sid, JOURNAL) and not await self.has(call_sid, RECORD)

    async def is_here(self, call_sid: str, name: str) -> bool:
        path = self.path(call_sid, name)
        return path is not None and await self.in_thread(path.is_file)

    async def stored_bytes(self, call_sid: str) -> int | None:
        """Return how long the recording of a call is in the object store; None where it is not there."""
        if self.objects is None or self.path(call_sid, RECORDING) is None:
            return None
        return await self.in_store(partial(self.objects.size, call_sid))

    async def recording(self, call_sid: str) -> "RecordedAudio | None":
        """Return the recording of a call, here or in the object store; None where there is none."""
        path, objects = self.path(call_sid, RECORDING), self.objects
        if path is not None and await self.in_thread(path.is_file):
            size = (await self.in_thread(path.stat)).st_size
            return RecordedAudio(size, partial(self.read, call_sid, RECORDING))
        stored = await self.stored_bytes(call_sid)
        if stored is None or objects is None:
            return None
        return RecordedAudio(stored, lambda at, size: self.in_store(partial(objects.read, call_sid, at, at + size)))

    async def names(self, call_sid: str) -> Sequence[str]:
        path = self.path(call_sid, "")
        found = set(await self.in_thread(partial(_names, path))) if path is not None else set[str]()
        return sorted(found | ({RECORDING} if await self.stored_bytes(call_sid) is not None else set()))

    async def rewrite(self, record: CallRecord) -> None:
        """Write a record anew of which more is known, where its file is here; what goes wrong is logged."""
        path = self.path(record.call_sid, RECORD)
        if path is None:
            return
        try:
            await self.in_thread(partial(_rewrite, path, json_text(record_as_json(record), indent=True)))
        except OSError as exc:
            _log.error("record_not_rewritten", call_sid=record.call_sid, why=str(exc))

    async def erase(self, call_sid: str) -> None:
        """Remove every file of a call; an upload that is under way leaves nothing behind."""
        path = self.path(call_sid, "")
        if path is None:
            return
        await self.in_thread(partial(_erase, path))
        if self.objects is not None:
            await self.in_store(partial(self.objects.erase, call_sid))

    def path(self, call_sid: str, name: str) -> Path | None:
        """Return where a file of a call is or would be; None where nothing is recorded, or no folder has this name."""
        if self.folder is None or _SAFE_NAME.fullmatch(call_sid) is None:
            return None
        return self.folder / call_sid / name

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do what blocks in one of the few threads for these files."""
        return await trio.to_thread.run_sync(work, limiter=self._threads, abandon_on_cancel=True)

    async def in_store(self, work: Callable[[], T], seconds: float = STORE_SECONDS) -> T:
        """Ask the object store in one of its few threads. Raises: `ObjectsUnavailable`, also when it takes longer."""
        threads = partial(trio.to_thread.run_sync, work, limiter=self._asking, abandon_on_cancel=True)
        with trio.move_on_after(seconds):
            answer = await guard(threads)
            if isinstance(answer, Crashed):
                raise ObjectsUnavailable(f"the object store failed: {answer.reason}")
            return answer
        raise ObjectsUnavailable(f"the object store did not answer within {seconds:g} s")


@attrs.frozen
class RecordedAudio:
    """The recording of a call: how long it is, and what reads so many bytes of it from one on."""

    size: int
    read: Callable[[int, int], Awaitable[bytes | None]]

    async def part(self, begin: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `begin` to `end`, a block at a time, and no further than they are taken.

        What is gone or fails in the middle ends it early, which a client sees by the length.
        """
        while begin < end and (block := await self.read(begin, min(BLOCK, end - begin))):
            yield block
            begin += len(block)


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _erase(folder: Path) -> None:
    if folder.is_dir():
        with alone_in(folder):  # no upload of it is being finished then
            shutil.rmtree(folder)


def _rewrite(path: Path, text: bytes) -> None:
    if path.parent.is_dir():
        with alone_in(path.parent):  # it is not being erased then
            if path.is_file():
                write_whole(path, text)


def _whole_lines(file: BinaryIO) -> list[bytes]:
    lines = file.readlines(LINES_BYTES)
    return lines if lines and lines[-1].endswith(b"\n") else lines[:-1]


def _read(path: Path, start: int, read: Callable[[BinaryIO], T]) -> T | None:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return read(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
