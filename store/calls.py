"""Where call records are kept, as the rest of the program sees it.

`CallRecords` is the one interface; `MemoryRecords`, `SqlRecords` (SQLite and PostgreSQL) and `SpillingRecords` around
either of them are its implementations, held to the same promises by one contract test. Saving the same call twice keeps
the second. Errors of the medium (a full disk, a locked database) are the caller's `OSError`,
and another try may succeed; an unknown call is `None`, not an error.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

import attrs
import trio

from store.erasing import Subject
from store.records import CallRecord, RecordError, encode_record
from store.search import CallQuery, CallSummary, select, summary_of


class DatabaseUnavailable(OSError):
    """A database did not answer in time, or did not take a statement; the message says why."""


class DatabaseRefused(DatabaseUnavailable):
    """The database is of another version, of another program, or none: no other try succeeds; the message says why."""


class CallRecords(Protocol):
    """Keeps the record of every call that ended. Each method raises `OSError` when another try may succeed."""

    async def save(self, record: CallRecord) -> None:
        """Keep `record`, replacing what was kept of the same call; one without a conversation never replaces one with.

        Raises: `ValueError` when this record cannot be kept there at all.

        Cancellation: a save that was cancelled kept the whole record or nothing of it.
        """

    async def get(self, call_sid: str) -> CallRecord | None:
        """Return what was kept of one call, or None.

        Raises: `RecordError` when what was kept cannot be read.
        """
        ...

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        """Return the newest `limit` records, newest first; one that cannot be read is logged and passed over."""
        ...

    async def search(self, query: CallQuery) -> Sequence[CallSummary]:
        """Return the calls that a query asks for, newest first, without reading their whole records where it can."""
        ...

    async def erase(self, call_sid: str) -> None:
        """Forget one call; one that is not kept is no error."""

    async def mentioning(self, subject: Subject) -> Sequence[str]:
        """Return the CallSids of the records that mention somebody, also calls of others."""
        ...

    async def overwrite(self) -> Sequence[str]:
        """Leave no byte of what was erased where it was, as far as the store can do that; return where some stay."""
        ...


@attrs.define
class MemoryRecords:
    """The newest `capacity` calls, while the process lives; the methods are those of `CallRecords`, and never fail."""

    capacity: int = 1000
    _kept: dict[str, CallRecord] = attrs.field(factory=dict, init=False)

    async def save(self, record: CallRecord) -> None:
        await trio.lowlevel.checkpoint()
        before = self._kept.get(record.call_sid)
        if before is not None and before.duration > 0 and not record.duration:
            return
        self._kept.pop(record.call_sid, None)
        self._kept[record.call_sid] = record
        while len(self._kept) > self.capacity:
            del self._kept[next(iter(self._kept))]

    async def get(self, call_sid: str) -> CallRecord | None:
        await trio.lowlevel.checkpoint()
        return self._kept.get(call_sid)

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        await trio.lowlevel.checkpoint()
        newest = sorted(self._kept.values(), key=lambda record: record.started_at, reverse=True)
        return newest[:limit]

    async def search(self, query: CallQuery) -> Sequence[CallSummary]:
        await trio.lowlevel.checkpoint()
        return select(map(summary_of, self._kept.values()), query)

    async def erase(self, call_sid: str) -> None:
        await trio.lowlevel.checkpoint()
        self._kept.pop(call_sid, None)

    async def mentioning(self, subject: Subject) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return [sid for sid, record in self._kept.items() if subject.is_in(encode_record(record).decode())]

    async def overwrite(self) -> Sequence[str]:
        """Return no place: memory keeps nothing of what was erased."""
        await trio.lowlevel.checkpoint()
        return ()


Save: TypeAlias = Callable[[CallRecord], Awaitable[None]]
"""Keeps a record, as `CallRecords.save` does."""


async def readable_record(records: CallRecords, call_sid: str) -> CallRecord | None:
    """Return what was kept of one call, or None: also if what was kept cannot be read. Raises: `OSError`."""
    try:
        return await records.get(call_sid)
    except RecordError:
        return None
