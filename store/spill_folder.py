"""Records that the database has not taken yet: one file each, oldest first by name.

`SpillFolder` is a queue that outlives the process and is shared by the workers of a machine: the worker that sends a
record removes its file, and a file that another worker was quicker to remove is no error. What the database
will never take, or nobody can read, is set aside as `.refused` for a person to look at, and tried again by the next
process that starts: a newer version may have written it. Everything here blocks and is called in a thread. Errors of
the disk are the caller's `OSError`; a file that is no record is `RecordError`.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import attrs

from store.private import remove_halves, write_whole
from store.records import CallRecord, RecordError, decode_record, encode_record

AGAIN = ".again.json"
_LONGEST_NAME = 120
_BEGAN = time.time_ns() - time.monotonic_ns()
"""So files are in order though the machine's clock is set back meanwhile."""


def _named(call_sid: str) -> str:
    """Return a call's id as the end of a file name, without anything that a folder or a pattern could take amiss."""
    return quote(call_sid, safe="", errors="backslashreplace")[:_LONGEST_NAME]


def name_of(file: Path) -> str:
    """Return the name of a file without what it says of its state."""
    return file.name.removesuffix(".refused").removesuffix(AGAIN).removesuffix(".json")


def read_record(path: Path) -> CallRecord | None:
    """Read a record back from its file; None if there is no such file. Blocks. Raises: `RecordError`; `OSError`."""
    try:
        return decode_record(path.read_bytes())
    except FileNotFoundError:
        return None


@attrs.frozen
class SpillFolder:
    """One folder of waiting records; it is made when the first record is put in."""

    path: Path
    write: Callable[[Path, bytes], None] = write_whole

    def put(self, record: CallRecord) -> Path:
        """Keep `record` behind those that wait, and return its file. Raises: `OSError`."""
        file = self.path / f"{_BEGAN + time.monotonic_ns():020}-{_named(record.call_sid)}.json"
        self.write(file, encode_record(record))
        return file

    def waiting(self) -> Sequence[Path]:
        """Return the files that wait, oldest first; remove what a process that was killed has half written."""
        remove_halves(self.path)
        return sorted(self.path.glob("[0-9]*.json"))

    def set_aside(self, file: Path) -> None:
        """Take a file out of the queue without losing it."""
        with suppress(FileNotFoundError):  # somebody was quicker
            file.rename(file.with_name(f"{name_of(file)}.refused"))

    @property
    def running(self) -> Path:
        """The folder for the logs of running calls, beside this one."""
        return self.path.with_suffix(".running")

    def try_again(self) -> None:
        """Put back what was set aside; its call may have a newer record by now."""
        for file in self.path.glob("[0-9]*.refused"):
            with suppress(FileNotFoundError):
                file.rename(file.with_name(f"{name_of(file)}{AGAIN}"))

    def find(self, call_sid: str) -> CallRecord | None:
        """Return the newest record of one call that waits here, or None."""
        try:
            names = os.listdir(self.path)  # noqa: PTH208 - a glob takes 80 µs, and every call that comes in is looked for
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None  # nothing was put here by us
        end = f"-{_named(call_sid)}.json"
        for name in sorted([name for name in names if name[0].isdecimal() and name.endswith(end)], reverse=True):
            record = self._readable(self.path / name)
            if record is not None and record.call_sid == call_sid:
                return record
        return None

    def erase(self, call_sid: str) -> None:
        """Remove what waits here of one call. Raises: `OSError`."""
        for file in self.path.glob(f"[0-9]*-{_named(call_sid)}.*"):
            file.unlink(missing_ok=True)

    def newest(self, limit: int) -> Sequence[CallRecord]:
        """Return at most `limit` records that wait here, the last one put in first."""
        found = [self._readable(file) for file in list(reversed(self.waiting()))[:limit]]
        return [record for record in found if record is not None]

    def _readable(self, file: Path) -> CallRecord | None:
        try:
            return read_record(file)
        except RecordError:
            return None  # the writer says so, and sets it aside
