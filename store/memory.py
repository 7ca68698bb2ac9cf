"""Call records that live as long as the process.

`MemoryRecords` keeps the newest `capacity` calls and forgets the oldest beyond it. It never fails.
"""

from collections.abc import Sequence

import attrs
import trio

from store.erasing import Subject
from store.records import CallRecord, encode_record
from store.search import CallQuery, CallSummary, select, summary_of


@attrs.define
class MemoryRecords:
    """Call records in a dictionary; the methods are those of `CallRecords`."""

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
