"""Calls known to this worker: every call that it has placed or been offered, from the first ring to the end.

The API for operators and Twilio's status callbacks read and write `LiveCalls`; it carries no audio, holds no slot and
decides nothing. It knows this worker's calls only, forgets the oldest that are over beyond `memory`, and never fails:
news of an unknown call is dropped. Twilio's callbacks come late and out of order, so the highest `SequenceNumber`
wins (https://www.twilio.com/docs/voice/api/call-resource#statuscallback).

`Streams` has the media streams that run here: a socket can be dead for a long time before we know it, while Twilio has
given it up already, so one that Twilio reports as over is ended here, and can be waited for. Neither owns a task.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice

import attrs
import trio

from protocol.twilio import FINAL_STATUSES
from store.records import TRANSFERRING

_UNANSWERED = frozenset({"queued", "initiated", "ringing"})

PAGE_CALLER = "client:page"
"""The caller in the records of calls from the browser's phone; Twilio writes its own browser phones so, too."""
STALE_SECONDS = 3.0
"""A call that is ringing is heard of again within about this time."""


def wall_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seconds_since(moment: str) -> float:
    """Return how long ago `wall_time` said so, here or on another worker: 0 where that is ahead of us, or no time."""
    try:
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
    except (ValueError, TypeError):  # a call that was cut may have none
        return 0.0


@attrs.define
class KnownCall:
    """One call as this worker knows it; `status` is in Twilio's words. It alone changes what is known of it."""

    id: str
    direction: str
    caller: str
    line: str
    status: str
    call_sid: str = ""
    answered_by: str = attrs.field(default="", init=False)
    outcome: str = attrs.field(default="", init=False)
    streamed: bool = attrs.field(default=False, init=False)
    elsewhere: bool = attrs.field(default=False, init=False)
    """Whether another worker carries it, and hears of its end."""
    created_at: str = attrs.field(factory=wall_time, init=False)
    heard_at: float = attrs.field(factory=trio.current_time, init=False)
    _sequence: int = attrs.field(default=-1, init=False)

    def progress(self, status: str, sequence: int) -> None:
        """Take in a status callback; one older than the last is ignored."""
        if sequence > self._sequence and not self.over:
            self._sequence = sequence
            self.refreshed(status)

    def refreshed(self, status: str) -> None:
        """Take in what Twilio says when asked; whatever is still on its way is older."""
        self.status, self.heard_at = status, trio.current_time()

    def carried(self, since: str = "") -> "KnownCall":
        """Show that the call's media stream runs, on this worker or, `since` then, on the one that tells."""
        self.streamed, self.elsewhere, self.status, self.outcome = True, False, "in-progress", ""
        return self.dated(since)

    def dated(self, since: str) -> "KnownCall":
        """Show the call as begun then, if that is known."""
        self.created_at = since or self.created_at
        return self

    def carried_elsewhere(self) -> None:
        """Show that the call's media stream runs on another worker: it is found here, and live there."""
        if not self.streamed or self.outcome:  # else it runs here
            self.elsewhere = True

    def transferring(self) -> None:
        """Show that the call is put through to a person: the agents are done with it, unless it comes back."""
        self.outcome = TRANSFERRING

    def ended(self, outcome: str) -> None:
        self.conclude(self.status if self.over else "completed", outcome)

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
    def is_pages(self) -> bool:
        """Whether no telephone network is behind it: closing its stream ends it."""
        return self.caller == PAGE_CALLER

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

    def news_of(self, name: str) -> KnownCall:
        """Return the call that news is of; of an unknown one, a call that nobody sees."""
        return self.find(name) or KnownCall("", "", "", "", "")

    def remove(self, call_id: str) -> None:
        """Forget a call that was never placed."""
        call = self._calls.pop(call_id, None)
        if call is not None:
            self._ids.pop(call.call_sid, None)

    def overdue(self, seconds: float) -> list[KnownCall]:
        """Return the calls without a stream here: those that came in, and were not heard of for so long, and orders."""
        before = trio.current_time() - seconds
        unheard = (call for call in self._calls.values() if not call.streamed and not call.outcome)
        return [call for call in unheard if (call.heard_at <= before if call.direction == "inbound" else call.live)]

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


END_SECONDS = 5.0
"""For a stream to end once Twilio has said so, and for its call to save its record."""
VERDICT_SECONDS = 60.0
"""Twilio's detection takes 30 s at most, and begins when the call is answered."""


@attrs.define(eq=False)
class _Running:
    again: bool
    verdict_until: float
    """Twilio's verdict (a person, or a machine) may come until then."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Streams:
    _running: dict[str, _Running] = attrs.field(factory=dict, init=False)

    @contextmanager
    def carry(self, call_sid: str, *, again: bool = False, expects_verdict: bool = False) -> Iterator[None]:
        """Show that the call's stream runs here, for as long as the `with` lasts; `again`: in place of a lost one."""
        until = trio.current_time() + VERDICT_SECONDS if expects_verdict else -math.inf
        running = self._running[call_sid] = _Running(again, until)
        try:
            with running.scope:
                yield
        finally:
            running.over.set()
            if self._running.get(call_sid) is running:
                del self._running[call_sid]

    def running(self) -> Sequence[str]:
        return list(self._running)

    def expecting_verdicts(self) -> Sequence[str]:
        now = trio.current_time()
        return [call_sid for call_sid, running in self._running.items() if running.verdict_until >= now]

    def expect_no_verdict(self, call_sid: str) -> None:
        self._running[call_sid].verdict_until = -math.inf

    def is_again(self, call_sid: str) -> bool:
        running = self._running.get(call_sid)
        return running is not None and running.again

    async def settle(self, call_sid: str) -> None:
        """Wait until the call's stream, if there is one, is over and its record saved: `END_SECONDS` at most."""
        running = self._running.get(call_sid)
        if running is None:
            await trio.lowlevel.checkpoint()
            return
        with trio.move_on_after(END_SECONDS):
            await running.over.wait()

    async def end(self, call_sid: str) -> None:
        """Cancel the call's stream, if there is one, and wait for it: Twilio has said that it is over."""
        running = self._running.get(call_sid)
        if running is not None:
            running.scope.cancel(reason="Twilio says that the stream is over")
        await self.settle(call_sid)
