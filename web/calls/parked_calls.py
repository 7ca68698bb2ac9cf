"""Parked calls: their agents are done with them and they may come back. Bounded in number and in time.

A parked call is put through to a person, or has lost its stream, and Twilio has not said yet how it goes on. It holds
nothing but its record, which is saved already: its sockets and tasks are gone. `ParkedCalls` only remembers that its
end is not announced yet. It owns no task; `web/calls/follow_up.py` looks after parked calls.
"""

import time
from collections.abc import Callable, Sequence

import attrs
import trio

from store.records import TRANSFERRING, CallRecord

LONGEST_TALK = 4 * 3600.0
"""Twilio ends a call after four hours: https://www.twilio.com/docs/voice/api/call-resource#timelimit."""
LONGEST_SECONDS = LONGEST_TALK + 600.0
LOST_SECONDS = 90.0
"""Twilio may notice 45 s after us that a stream is lost, and its next stream has ten to come."""
PLACES = 1000


@attrs.frozen
class ParkedCall:
    """One call. `since` and `until` are trio's time, `at` is the wall's, which other workers share."""

    record: CallRecord
    since: float
    until: float
    at: float


@attrs.define
class ParkedCalls:
    """The parked calls of one worker."""

    seconds: float = LONGEST_SECONDS
    lost_seconds: float = LOST_SECONDS
    places: int = PLACES
    now: Callable[[], float] = time.time
    _parked: dict[str, ParkedCall] = attrs.field(factory=dict, init=False)
    _taken: dict[str, float] = attrs.field(factory=dict, init=False)
    """When (trio time) the person took the call, of those that are parked."""

    def park(self, record: CallRecord) -> None:
        """Remember a call; a second time, what its record says now."""
        now = trio.current_time()
        seconds = self.seconds if record.outcome == TRANSFERRING else self.lost_seconds
        self.leave(record.call_sid)
        self._parked[record.call_sid] = ParkedCall(record, now, now + seconds, self.now())

    def find(self, call_sid: str) -> CallRecord | None:
        """Return what the record of a parked call says."""
        parked = self._parked.get(call_sid)
        return parked.record if parked is not None else None

    def leave(self, call_sid: str) -> None:
        """Forget a call: it is known how it went on."""
        self._parked.pop(call_sid, None)
        self._taken.pop(call_sid, None)

    def take(self, call_sid: str) -> None:
        """Note that the person has taken a call that is parked here."""
        if call_sid in self._parked:
            self._taken.setdefault(call_sid, trio.current_time())

    def talked(self, call_sid: str) -> float | None:
        """Return how long the person has had the call; None if they have not taken it, or it is not parked here."""
        taken = self._taken.get(call_sid)
        return None if taken is None else trio.current_time() - taken

    def all(self) -> Sequence[ParkedCall]:
        """Return the parked calls, the oldest first."""
        return list(self._parked.values())

    def take_overdue(self) -> list[CallRecord]:
        """Give up the calls that have waited too long, and the oldest where there are too many."""
        now, surplus = trio.current_time(), len(self._parked) - self.places
        overdue = [one.record for index, one in enumerate(self._parked.values()) if one.until <= now or index < surplus]
        for record in overdue:
            self.leave(record.call_sid)
        return overdue
