"""What happens when a call is over: one line in the log, one more in the counts, the end shown in `LiveCalls`.

`Announced` is the store that calls save to. It keeps the record in the real store, and announces it whether or not
that worked. A call that may come back (from a person, or on another stream) is announced only when it is known that it
does not, so each call is announced once, as it ended. It adds no failure of its own; the store's is the caller's.
"""

from collections.abc import Sequence

import attrs
import structlog

from store.calls import CallRecords
from store.records import TRANSFERRING, CallRecord
from store.search import CallQuery, CallSummary
from web.calls.counts import Counts
from web.calls.live_calls import LiveCalls
from web.calls.parked_calls import ParkedCalls

LOST = frozenset({"crashed", "cut", "caller_hung_up", "line_dead"})
"""Outcomes of a stream that may be connected again, if the caller is still there: only Twilio knows."""

_log = structlog.stdlib.get_logger()


def _announce(record: CallRecord) -> None:
    gaps = [handoff.gap for handoff in record.handoffs if handoff.gap is not None]
    _log.info(
        "call_ended",
        call_sid=record.call_sid,
        stream_sid=record.stream_sid,
        direction=record.direction,
        outcome=record.outcome,
        duration=round(record.duration, 3),
        agents=[stint.agent for stint in record.agents],
        handoffs=len(record.handoffs),
        longest_handoff_gap=round(max(gaps), 3) if gaps else None,
        functions=[function.name for function in record.functions],
        turns=len(record.transcript),
        restarts=record.restarts,
        frames_dropped=record.frames.dropped,
        frames_unheard=record.frames.unheard,
        faults=len(record.faults),
    )


@attrs.frozen
class Announced:
    """Call records that are announced when they are saved; of a call that may come back, when that is settled."""

    kept_in: CallRecords
    live_calls: LiveCalls
    counts: Counts
    parked_calls: ParkedCalls = attrs.field(factory=ParkedCalls)

    async def save(self, record: CallRecord) -> None:
        """Announce a record and keep it."""
        if record.outcome == TRANSFERRING:
            _log.info("call_parked", call_sid=record.call_sid, duration=round(record.duration, 3))
            self.parked_calls.park(record)
            self.live_calls.transferring(record.call_sid)
        elif record.outcome in LOST:
            self.parked_calls.park(record)
            self.live_calls.ended(record.call_sid, record.outcome)
        else:
            self.parked_calls.leave(record.call_sid)
            self._end(record)
        self.announce_overdue()
        await self.kept_in.save(record)

    def over(self, call_sid: str) -> bool:
        """Announce a call that has lost its stream: it does not come back. False if none of this name is waited for."""
        record = self.parked_calls.find(call_sid)
        if record is None or record.outcome == TRANSFERRING:
            return False
        self.parked_calls.leave(call_sid)
        self._end(record)
        return True

    def close(self) -> None:
        """Announce the calls that have lost their stream, and wait for none any more: nobody would let it in.

        One that was put through goes on without us, and is asked after at the next start.
        """
        self.parked_calls.lost_seconds = 0.0
        for parked in self.parked_calls.all():
            self.over(parked.record.call_sid)

    def announce_overdue(self) -> None:
        """Announce the calls that never came back, and were not heard of again."""
        for record in self.parked_calls.take_overdue():
            self._end(record)

    def _end(self, record: CallRecord) -> None:
        _announce(record)
        self.counts.ended(record)
        self.live_calls.ended(record.call_sid, record.outcome)

    async def get(self, call_sid: str) -> CallRecord | None:
        """Return what was kept of one call, or None."""
        return await self.kept_in.get(call_sid)

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        """Return the newest `limit` records, newest first."""
        return await self.kept_in.list(limit)

    async def search(self, query: CallQuery) -> Sequence[CallSummary]:
        """Return the calls that a query asks for, newest first."""
        return await self.kept_in.search(query)

    async def erase(self, call_sid: str) -> None:
        """Forget one call."""
        await self.kept_in.erase(call_sid)
