"""Calls that are put through to a person, until somebody says what came of it: bounded in number and in time.

A parked call holds nothing but its record, which is saved already: the agents' sockets and its tasks are gone.
`Parking` only remembers that its end was not announced yet. It owns no task; what is overdue is given out at the next
opportunity, so a call of which nobody ever hears again is announced late, and not never.
"""

import attrs
import trio

from store.records import CallRecord

LONGEST_SECONDS = 4 * 3600.0 + 600.0
"""Twilio ends a call after four hours: https://www.twilio.com/docs/voice/api/call-resource#timelimit."""
PLACES = 1000


@attrs.define
class Parking:
    """The parked calls of one worker."""

    seconds: float = LONGEST_SECONDS
    places: int = PLACES
    _parked: dict[str, tuple[float, CallRecord]] = attrs.field(factory=dict, init=False)

    def park(self, record: CallRecord) -> None:
        """Remember a call; a second time, what its record says now."""
        self._parked.pop(record.call_sid, None)
        self._parked[record.call_sid] = trio.current_time() + self.seconds, record

    def leave(self, call_sid: str) -> None:
        """Forget a call: it is known how it went on."""
        self._parked.pop(call_sid, None)

    def take_overdue(self) -> list[CallRecord]:
        """Give up the calls of which nobody has told for too long, and the oldest where there are too many."""
        now, surplus = trio.current_time(), len(self._parked) - self.places
        overdue = [
            record for index, (until, record) in enumerate(self._parked.values()) if until <= now or index < surplus
        ]
        for record in overdue:
            self.leave(record.call_sid)
        return overdue
