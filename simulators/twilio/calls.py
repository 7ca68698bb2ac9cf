"""One simulated call, from the order to its last status callback.

`SimulatedCall` owns the call's status, its recording and its log; `run` is its only task, with one child that delivers
status callbacks in order and one that detects answering machines. TwiML is executed by `performance.Performance`. What
the server does wrong is a warning on the log and ends at worst this call. `TRANSITIONS` is the law of the status.
Facts: https://www.twilio.com/docs/voice/api/call-resource.
"""

import enum
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from typing import TypeAlias

import attrs
import trio

from simulators.scenario import Answers
from simulators.twilio.caller import CallerTurns
from simulators.twilio.exchange import Exchange
from simulators.twilio.log import CallLog, StatusReached
from simulators.twilio.media import StreamSummary
from simulators.twilio.orders import CallChange, CallOrder
from simulators.twilio.performance import Performance
from simulators.twilio.playout import HeardRecording
from simulators.twilio.twiml import Document, Verb


class CallStatus(enum.Enum):
    """The statuses of https://www.twilio.com/docs/voice/api/call-resource#call-status-values."""

    QUEUED = "queued"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"


TRANSITIONS: Mapping[CallStatus, frozenset[CallStatus]] = {
    CallStatus.QUEUED: frozenset({CallStatus.RINGING, CallStatus.CANCELED, CallStatus.FAILED}),
    CallStatus.RINGING: frozenset(
        {CallStatus.IN_PROGRESS, CallStatus.BUSY, CallStatus.FAILED, CallStatus.NO_ANSWER, CallStatus.CANCELED}
    ),
    CallStatus.IN_PROGRESS: frozenset({CallStatus.COMPLETED}),
    CallStatus.COMPLETED: frozenset(),
    CallStatus.BUSY: frozenset(),
    CallStatus.FAILED: frozenset(),
    CallStatus.NO_ANSWER: frozenset(),
    CallStatus.CANCELED: frozenset(),
}

UNANSWERED: Mapping[Answers, tuple[CallStatus, str]] = {
    "busy": (CallStatus.BUSY, "486"),
    "no-answer": (CallStatus.NO_ANSWER, "487"),
    "failed": (CallStatus.FAILED, "404"),
}

Reports: TypeAlias = trio.MemorySendChannel[Mapping[str, str]]

HANG_UP = Document("<Response><Hangup/></Response>")


@attrs.define(eq=False)
class SimulatedCall:
    """One call; `order.to` and `order.from_` are as on the wire, whichever side the caller is on."""

    exchange: Exchange
    sid: str
    order: CallOrder
    direction: str
    turns: CallerTurns
    log: CallLog
    created: datetime = attrs.field(init=False)
    status: CallStatus = attrs.field(default=CallStatus.QUEUED, init=False)
    queue_time: float = attrs.field(default=0.0, init=False)
    """Seconds spent waiting for the rate limit."""
    dialled_at: datetime | None = attrs.field(default=None, init=False)
    answered_at: datetime | None = attrs.field(default=None, init=False)
    ended_at: datetime | None = attrs.field(default=None, init=False)
    answered_by: str = attrs.field(default="", init=False)
    streams: list[StreamSummary] = attrs.field(factory=list, init=False)
    heard: HeardRecording | None = attrs.field(default=None, init=False)
    performance: Performance = attrs.field(init=False)
    _ringing: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _over: trio.Event = attrs.field(factory=trio.Event, init=False)
    _callbacks: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.created = self.exchange.now()
        self.performance = Performance(self)

    async def run(self) -> None:
        """Live the whole call. *Raises* nothing that the server under test can cause."""
        self.dialled_at = self.exchange.now()
        self.queue_time = (self.dialled_at - self.created).total_seconds()
        send, receive = trio.open_memory_channel[Mapping[str, str]](32)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver, receive)
            async with trio.open_nursery() as helpers:
                with send:
                    await self._live(send, helpers)
                    helpers.cancel_scope.cancel(reason="the call is over")
        self._over.set()

    async def wait_over(self) -> None:
        """Return when the call is over and its last callback was delivered."""
        await self._over.wait()

    @property
    def is_over(self) -> bool:
        return not TRANSITIONS[self.status]

    @property
    def duration(self) -> int:
        """Whole seconds from the pick-up to the end."""
        if self.answered_at is None or self.ended_at is None:
            return 0
        return round((self.ended_at - self.answered_at).total_seconds())

    def recording(self) -> HeardRecording:
        """Return what the call's far end has heard; it begins now, if nothing has begun it."""
        if self.heard is None:
            self.heard = HeardRecording(trio.current_time())
        return self.heard

    def change(self, change: CallChange) -> None:
        if change.status_callback:
            self.order = attrs.evolve(self.order, status_callback=change.status_callback)
        if self.status is not CallStatus.IN_PROGRESS:
            if change.status:
                self._ringing.cancel(reason="the call was cancelled by REST")
        elif change.status == "completed":
            self.performance.redirect(HANG_UP)
        elif change.url or change.twiml:
            self.performance.redirect(Document(change.twiml, change.url, change.method))

    async def _live(self, reports: Reports, helpers: trio.Nursery) -> None:
        document = Document(self.order.twiml, self.order.url, self.order.method)
        verbs: tuple[Verb, ...] | None = None
        with self._ringing:
            if self.direction == "inbound":
                verbs = await self._ring_in(document, reports)
            else:
                await self._ring_out(reports)
        if self._ringing.cancelled_caught:
            await self._reach(CallStatus.CANCELED, "completed", reports)
        if self.is_over:
            return
        helpers.start_soon(self._limit_time)
        if self.order.machine_detection and self.order.async_amd:
            helpers.start_soon(self._detect_machine)
        elif self.order.machine_detection:
            await self._detect_machine()
        await self.performance.play(document, verbs)
        await self._reach(CallStatus.COMPLETED, "completed", reports)

    async def _ring_out(self, reports: Reports) -> None:
        knobs, answers = self.exchange.knobs, self.turns.caller.answers
        await self._report("initiated", "initiated", reports)
        await trio.sleep(knobs.ringing_after)
        await self._reach(CallStatus.RINGING, "ringing", reports)
        await trio.sleep(self.order.timeout if answers == "no-answer" else knobs.answered_after)
        if answers in UNANSWERED:
            status, sip = UNANSWERED[answers]
            await self._reach(status, "completed", reports, SipResponseCode=sip)
        else:
            self._pick_up()
            await self._reach(CallStatus.IN_PROGRESS, "answered", reports)

    async def _ring_in(self, document: Document, reports: Reports) -> tuple[Verb, ...]:
        await self._reach(CallStatus.RINGING, "ringing", reports)
        verbs = await self.performance.read(document)
        rejection = self.performance.rejection(verbs)
        if rejection:
            await self._reach(CallStatus.BUSY if rejection == "busy" else CallStatus.NO_ANSWER, "completed", reports)
        else:
            self._pick_up()
            await self._reach(CallStatus.IN_PROGRESS, "answered", reports)
        return verbs

    def _pick_up(self) -> None:
        self.answered_at = self.exchange.now()
        self.heard = HeardRecording(trio.current_time())

    async def _limit_time(self) -> None:
        if self.order.time_limit is not None:
            await trio.sleep(self.order.time_limit)
            self.performance.redirect(HANG_UP)

    async def _detect_machine(self) -> None:
        await trio.sleep(self.exchange.knobs.verdict_after)
        self.answered_by = self._verdict()
        if not self.order.async_amd:
            return
        params = {
            "CallSid": self.sid,
            "AccountSid": self.exchange.account_sid,
            "AnsweredBy": self.answered_by,
            "MachineDetectionDuration": str(round(self.exchange.knobs.verdict_after * 1000)),
        }
        await self.exchange.webhooks.send(self.log, "amd", self.order.async_amd_callback, params)

    def _verdict(self) -> str:
        if self.turns.caller.answers != "machine":
            return "human"
        return "machine_end_beep" if self.order.machine_detection == "DetectMessageEnd" else "machine_start"

    async def _reach(self, status: CallStatus, event: str, reports: Reports, **extra: str) -> None:
        if status not in TRANSITIONS[self.status]:
            raise RuntimeError(f"a call cannot go from {self.status.value} to {status.value}")
        self.status = status
        self.log.put(StatusReached(trio.current_time(), status.value))
        if self.is_over:
            self.ended_at = self.exchange.now()
            extra |= {"CallDuration": str(self.duration), "Duration": str(-(-self.duration // 60))}
        await self._report(event, status.value, reports, **extra)

    async def _report(self, event: str, status: str, reports: Reports, **extra: str) -> None:
        if self.order.status_callback and event in self.order.status_events:
            number, self._callbacks = self._callbacks, self._callbacks + 1
            stamp = format_datetime(self.exchange.now())
            fields = {"CallbackSource": "call-progress-events", "SequenceNumber": str(number), "Timestamp": stamp}
            await reports.send(self.parameters() | fields | extra | {"CallStatus": status})

    async def _deliver(self, reports: trio.MemoryReceiveChannel[Mapping[str, str]]) -> None:
        send = partial(self.exchange.webhooks.send, self.log, "status")
        with reports:
            async for params in reports:
                await send(self.order.status_callback, params)

    def parameters(self) -> dict[str, str]:
        fields = {
            "AccountSid": self.exchange.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": self.sid,
            "CallStatus": self.status.value,
            "Direction": self.direction,
        }
        for role, number in (("From", self.order.from_), ("To", self.order.to)):
            for name in (role, "Caller" if role == "From" else "Called"):
                fields |= {
                    name: number,
                    f"{name}City": "",
                    f"{name}State": "",
                    f"{name}Zip": "",
                    f"{name}Country": "US",
                }
        if self.answered_by:
            fields["AnsweredBy"] = self.answered_by
        return fields
