"""The end of a call: the record is kept and announced, at once or when it is known that the call does not come back.

`Announced.save` is what calls save by. It keeps the record in the store, and announces it whether or not that worked:
one line in the log, one more in the counts, the end shown in `LiveCalls`. A call that may come back (from a person, or
on another stream) is parked until that is settled, so each call is announced once, as it ended. A parked call holds
nothing but its record, which is saved already: its sockets and tasks are gone. No class here owns a task;
`web/calls/follow_up.py` looks after parked calls. Errors of the store are the caller's; there are no others.
"""

import math
from collections.abc import Callable

import attrs
import structlog
import trio

from store.calls import CallRecords
from store.records import TRANSFERRING, CallRecord
from web.calls.admission import LONGEST_TALK
from web.calls.counts import Counts
from web.calls.live_calls import LiveCalls

LONGEST_SECONDS = LONGEST_TALK + 600.0
LOST_SECONDS = 90.0
"""Twilio may notice 45 s after us that a stream is lost, and its next stream has ten to come."""
PLACES = 1000
LOST = frozenset({"crashed", "cut", "caller_hung_up", "line_dead"})
"""Outcomes of a stream that may be connected again, if the caller is still there: only Twilio knows."""
_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class ParkedCall:
    """A call whose agents are done with it and which may come back: from a person, or on another stream.

    Times are trio's.
    """

    record: CallRecord
    until: float
    since: float = attrs.field(factory=trio.current_time, init=False)
    _asked: float = attrs.field(default=-math.inf, init=False)

    def is_to_be_asked_after(self, first: float, again: float) -> bool:
        """Whether Twilio is to be asked about it now: so long after it was parked, or asked after. Notes that it is."""
        now = trio.current_time()
        is_due = now >= max(self.since + first, self._asked + again)
        self._asked = now if is_due else self._asked
        return is_due


def _announce(record: CallRecord) -> None:
    gaps = [handoff.gap for handoff in record.handoffs if handoff.gap is not None]
    _log.info(
        "call_ended",
        call_sid=record.call_sid,
        stream_sid=record.stream_sid,
        direction=record.direction,
        outcome=record.outcome,
        duration=round(record.duration, 3),
        agents=[period.agent for period in record.agents],
        handoffs=len(record.handoffs),
        longest_handoff_gap=round(max(gaps), 3) if gaps else None,
        functions=[function.name for function in record.functions],
        turns=len(record.transcript),
        restarts=record.restarts,
        frames_dropped=record.frames.dropped,
        frames_unheard=record.frames.unheard,
        faults=len(record.faults),
    )


@attrs.define
class Announced:
    """Announces records when they are saved; that of a call which may come back, when that is settled."""

    kept_in: CallRecords
    live_calls: LiveCalls
    counts: Counts
    ended: Callable[[CallRecord], None] = lambda _: None
    """Is told of each call that is over, once its record is kept."""
    parked: dict[str, ParkedCall] = attrs.field(factory=dict, init=False)
    """A bounded number of calls, the oldest first, each for a bounded time."""
    _lost_seconds: float = attrs.field(default=LOST_SECONDS, init=False)

    def park(self, record: CallRecord) -> None:
        """Remember a call; a second time, what its record says now."""
        seconds = LONGEST_SECONDS if record.outcome == TRANSFERRING else self._lost_seconds
        self.leave(record.call_sid)
        self.parked[record.call_sid] = ParkedCall(record, trio.current_time() + seconds)

    def leave(self, call_sid: str) -> None:
        """Forget a parked call: it has come back, or somebody else tells of its end."""
        self.parked.pop(call_sid, None)

    async def save(self, record: CallRecord) -> None:
        is_over = record.outcome not in {TRANSFERRING, *LOST}
        if record.outcome == TRANSFERRING:
            _log.info("call_parked", call_sid=record.call_sid, duration=round(record.duration, 3))
            self.park(record)
            self.live_calls.news_of(record.call_sid).transferring()
        elif record.outcome in LOST:
            self.park(record)
            self.live_calls.news_of(record.call_sid).ended(record.outcome)
        else:
            self.leave(record.call_sid)
            self._end(record)
        self.announce_overdue()
        try:
            await self.kept_in.save(record)
        finally:
            if is_over:
                self.ended(record)

    def over(self, call_sid: str) -> bool:
        """Announce a call that has lost its stream: it does not come back. False if none of this name is waited for."""
        parked = self.parked.get(call_sid)
        if parked is None or parked.record.outcome == TRANSFERRING:
            return False
        self.leave(call_sid)
        self._end(parked.record)
        self.ended(parked.record)
        return True

    def close(self) -> None:
        """Announce the calls that have lost their stream, and wait for none any more: nobody would let it in.

        One that was put through goes on without us, and is asked after at the next start.
        """
        self._lost_seconds = 0.0
        for call_sid in [*self.parked]:
            self.over(call_sid)

    def announce_overdue(self) -> None:
        """Announce the calls that were not heard of again in their time, and the oldest where there are too many."""
        now, surplus = trio.current_time(), len(self.parked) - PLACES
        for index, parked in enumerate([*self.parked.values()]):
            if parked.until <= now or index < surplus:
                self.leave(parked.record.call_sid)
                self._end(parked.record)
                self.ended(parked.record)

    def _end(self, record: CallRecord) -> None:
        _announce(record)
        self.counts.ended(record)
        self.live_calls.news_of(record.call_sid).ended(record.outcome)
