"""Files of one call, to be read: its journal and its recording, in one folder below RECORDINGS_DIR.

`CallFiles` reads and erases; the Scribe writes. Disk work runs in threads of its own. A journal that is cut in the
middle of a line, or has lines that are none, is read as far as it can be; a call without files has none.
"""

import re
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
import orjson
import trio

from web.picture.facts import JournalEntry

T = TypeVar("T")

THREADS = 4
JOURNAL, RECORDING, RECORD = "journal.jsonl", "call.wav", "record.json"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def parse_journal(lines: bytes) -> list[JournalEntry]:
    """Read the lines of a journal that are whole entries."""
    found: list[JournalEntry] = []
    for line in lines.splitlines():
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


@attrs.frozen
class CallFiles:
    """The files of the calls of one server; none where nothing is recorded."""

    folder: Path | None
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS), init=False, eq=False)

    async def journal(self, call_sid: str) -> Sequence[JournalEntry]:
        """Return the journal of a call, as far as it is written; empty where there is none.

        Raises: `OSError`.
        """
        return parse_journal(await self.read(call_sid, JOURNAL) or b"")

    async def read(self, call_sid: str, name: str, start: int = 0) -> bytes | None:
        """Return one file of a call from byte `start` on; None where there is none.

        Raises: `OSError`.
        """
        path = self.path(call_sid, name)
        return await self.in_thread(partial(_read, path, start)) if path is not None else None

    async def has(self, call_sid: str, name: str) -> bool:
        """Tell whether there is a file of this name of a call."""
        path = self.path(call_sid, name)
        return path is not None and await self.in_thread(path.is_file)

    async def erase(self, call_sid: str) -> None:
        """Remove every file of a call.

        Raises: `OSError`.
        """
        path = self.path(call_sid, "")
        if path is not None and await self.in_thread(path.is_dir):
            await self.in_thread(partial(shutil.rmtree, path))

    def path(self, call_sid: str, name: str) -> Path | None:
        """Return where a file of a call is or would be; None where nothing is recorded, or no folder has this name."""
        if self.folder is None or _SAFE_NAME.fullmatch(call_sid) is None:
            return None
        return self.folder / call_sid / name

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do what blocks in one of the few threads for these files."""
        return await trio.to_thread.run_sync(work, limiter=self._threads, abandon_on_cancel=True)


def _read(path: Path, start: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
