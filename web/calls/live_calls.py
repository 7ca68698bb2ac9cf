"""Calls known to this worker: every call that it has placed or been offered, from the first ring to the end.

The API for operators and Twilio's status callbacks read and write `LiveCalls`; it carries no audio, holds no slot and
decides nothing. It knows this worker's calls only, forgets the oldest that are over beyond `memory`, and never fails:
news of an unknown call is dropped. Twilio's callbacks come late and out of order, so the highest `SequenceNumber`
wins (https://www.twilio.com/docs/voice/api/call-resource#statuscallback).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import attrs
import trio

from protocol.twilio import FINAL_STATUSES
from store.records import TRANSFERRING

_UNANSWERED = frozenset({"queued", "initiated", "ringing"})

STALE_SECONDS = 3.0
"""A call that is ringing is heard of again within about this time."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@attrs.define
class KnownCall:
    """One call as this worker knows it; `status` is in Twilio's words."""

    id: str
    direction: str
    caller: str
    line: str
    status: str
    call_sid: str = ""
    answered_by: str = ""
    outcome: str = ""
    streamed: bool = False
    elsewhere: bool = False
    """Whether another worker carries it, and hears of its end."""
    sequence: int = -1
    created_at: str = attrs.field(factory=_now)
    heard_at: float = attrs.field(factory=trio.current_time)

    def conclude(self, status: str, outcome: str) -> None:
        self.status, self.outcome = status, outcome

    @property
    def over(self) -> bool:
        return self.status in FINAL_STATUSES

    @property
    def live(self) -> bool:
        """Whether something may still happen to this call here."""
        return not self.over and not self.elsewhere

    @property
    def rings(self) -> bool:
        """Whether nobody has answered this call yet."""
        return self.live and not self.streamed and self.status in _UNANSWERED

    @property
    def stale(self) -> bool:
        """Whether Twilio's news of this call may have gone to another worker."""
        return not self.over and not self.streamed and trio.current_time() - self.heard_at > STALE_SECONDS


@attrs.define
class LiveCalls:
    """The calls of one worker, by our id and by Twilio's."""

    memory: int = 1000
    _calls: dict[str, KnownCall] = attrs.field(factory=dict, init=False)
    _ids: dict[str, str] = attrs.field(factory=dict, init=False)

    def add(self, call: KnownCall) -> KnownCall:
        """Show a new call, or return the one that is already shown."""
        known = self.find(call.id) or (self.find(call.call_sid) if call.call_sid else None)
        if known is not None:
            return known
        self._calls[call.id] = call
        self.name(call.id, call.call_sid)
        self._forget()
        return call

    def name(self, call_id: str, call_sid: str) -> None:
        """Learn by which CallSid Twilio knows one of our calls."""
        call = self._calls.get(call_id)
        if call is not None and call_sid:
            call.call_sid = call_sid
            self._ids[call_sid] = call_id

    def find(self, name: str) -> KnownCall | None:
        return self._calls.get(self._ids.get(name, name))

    def progress(self, name: str, status: str, sequence: int) -> KnownCall | None:
        """Take in a status callback; one older than the last is ignored."""
        call = self.find(name)
        if call is None or sequence <= call.sequence or call.over:
            return call
        call.status, call.sequence, call.heard_at = status, sequence, trio.current_time()
        return call

    def refreshed(self, call: KnownCall, status: str) -> None:
        """Take in what Twilio says when asked; whatever is still on its way is older."""
        call.status, call.heard_at = status, trio.current_time()

    def streaming(self, call_sid: str) -> None:
        call = self.find(call_sid)
        if call is not None:
            call.streamed, call.status, call.outcome = True, "in-progress", ""
            call.elsewhere = False

    def carried_elsewhere(self, call_sid: str) -> None:
        """Show that the call's media stream runs on another worker: it is found here, and live there."""
        call = self.find(call_sid)
        if call is not None and not (call.streamed and not call.outcome):  # else it runs here
            call.elsewhere = True

    def transferring(self, call_sid: str) -> None:
        """Show that the call is put through to a person: the agents are done with it, unless it comes back."""
        call = self.find(call_sid)
        if call is not None:
            call.outcome = TRANSFERRING

    def ended(self, call_sid: str, outcome: str) -> None:
        call = self.find(call_sid)
        if call is not None:
            call.conclude(call.status if call.over else "completed", outcome)

    def remove(self, call_id: str) -> None:
        """Forget a call that was never placed."""
        call = self._calls.pop(call_id, None)
        if call is not None:
            self._ids.pop(call.call_sid, None)

    def overdue(self, seconds: float) -> list[KnownCall]:
        """Return the calls that had no stream here and were not heard of for so long: of the ordered ones, the live."""
        before = trio.current_time() - seconds
        unheard = (call for call in self._calls.values() if not call.streamed and call.heard_at <= before)
        return [call for call in unheard if not call.outcome and (call.direction == "inbound" or call.live)]

    def ringing_to(self, number: str) -> Iterator[KnownCall]:
        for call in self.newest():
            if call.direction == "outbound" and call.caller == number and call.rings:
                yield call

    def newest(self) -> Iterator[KnownCall]:
        return reversed(list(self._calls.values()))

    def _forget(self) -> None:
        surplus = max(0, len(self._calls) - self.memory)
        over = (call.id for call in self._calls.values() if not call.live)  # the oldest first, and so nearly at once
        for call_id in [*islice(over, surplus)]:
            self.remove(call_id)
