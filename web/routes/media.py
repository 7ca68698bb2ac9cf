"""The WebSocket of a media stream, from Twilio's request to the end: ASGI around one `run_call`.

`MediaStreams` is ASGI middleware that handles the WebSocket routes of media streams before the web application: audio
must not pass through the framework's queues, and the framework would cancel a call's task when its socket closes,
before the call can leave in order. Each route has a gate: `/twilio` lets in what Twilio signed, the browser's phone a
visitor who is signed in (`web.console.phone`). The rest is the same for both: a stream must start in time with audio we
understand, show an unused token of this very call and visitor, and find a free slot. Then `MediaStreams` is the call's
parent: `await run_call(…)` and nothing else. Whatever `run_call` raises is the server's to log.

    connect ─▶ gate ─▶ accept ─▶ connected, start ─▶ token ─▶ slot ─▶ run_call ─▶ close
                └─▶ 403                 └───────────────┴────────┴─▶ close 1008 / 1013, <Connect action> goes on
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

import attrs
import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope, WebsocketCloseEvent, WebsocketScope
from structlog.contextvars import bound_contextvars
from trio_websocket import ConnectionClosed

from actors.call_services import CallPlan, CallServices
from actors.commands import DONE, Command, CommandAnswer, GiveBack, TakeOver
from actors.operator import PersonOnPhone
from actors.record.resumption import Resumption
from agents.brief import Brief
from protocol.errors import RemoteProtocolError
from protocol.twilio import MediaStreamDialogue, StreamStarted, StreamStopped
from protocol.twilio.codec import decode_addressed
from protocol.wire import PacedWebSocket
from store.fleet.shared import LiveCall
from store.records import TRANSFERRING, CallRecord
from web.calls.admission import Admission, CallText, NotAdmitted
from web.calls.commands import NotHere
from web.calls.context import AppContext
from web.calls.live_calls import wall_time
from web.calls.returning import STREAM_PATH, Returns
from web.routes.problems import is_call_sid, is_stream_sid
from web.sockets.asgi_events import (
    LONGEST_PATH,
    POLICY_VIOLATION,
    accept,
    headers_of,
    is_clear_http2,
    refuse_http2,
    target_of,
)
from web.sockets.open_socket import OpenSocket

START_SECONDS = 5.0
RETURN_SECONDS = 90.0
"""For a call that is put through to ring, to be declined, and to come back: so long its line is kept."""
NORMAL, TRY_AGAIN_LATER = 1000, 1013
LONGEST_SID = 34

RunCall: TypeAlias = Callable[[PacedWebSocket, CallPlan, CallServices], Awaitable[CallRecord]]
Application: TypeAlias = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]
IdentifyVisitor: TypeAlias = Callable[[WebsocketScope], str | NotAdmitted]
"""Says who asks for a stream: the session of a visitor, "" for Twilio, or why nobody may."""

_log = structlog.stdlib.get_logger()


@attrs.frozen
class MediaStreams:
    """Takes media streams to `run_call`, and everything else to the web application."""

    application: Application
    context: AppContext
    run_call: RunCall
    gates: Mapping[str, IdentifyVisitor] = attrs.field(factory=dict)
    """By route; the one of Twilio's streams is always there."""

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "lifespan" and is_clear_http2(scope):  # our own connection has ended it before
            await refuse_http2(scope, receive, send)
            return
        if scope["type"] == "websocket":
            gate = self._signed_by_twilio if scope["path"] == STREAM_PATH else self.gates.get(scope["path"])
            if gate is not None:
                await self._upgrade(gate(scope), scope, receive, send)
                return
        await self.application(scope, receive, send)

    def _signed_by_twilio(self, scope: WebsocketScope) -> str | NotAdmitted:
        headers, signatures = headers_of(scope), self.context.signatures
        if signatures.accepts_upgrade(target_of(scope), headers):
            return ""
        self.context.counts.refused("unsigned_upgrade")
        told = signatures.refusal(target_of(scope), headers, socket=True)
        return NotAdmitted(told["why"], told.get("fix", ""))

    async def _upgrade(
        self, visitor: str | NotAdmitted, scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if isinstance(visitor, NotAdmitted):
            await receive()
            if not self.context.rate_limits.refuse(scope.get("client")):  # else strangers could fill the log
                fix = {"fix": visitor.fix} if visitor.fix else {}
                _log.warning("upgrade_refused", path=scope["path"][:LONGEST_PATH], why=visitor.why, **fix)
            await send(WebsocketCloseEvent(type="websocket.close", code=POLICY_VIOLATION, reason=None))
            return
        socket = await accept(scope, receive, send)
        try:
            await self._serve(socket, visitor)
        finally:
            with trio.move_on_after(3, shield=True) as grace:
                await socket.aclose()
            if grace.cancelled_caught:
                _log.warning("close_timed_out")

    async def _serve(self, socket: OpenSocket, visitor: str) -> None:
        started = await _wait_start(socket, self.context.pending_streams)
        if isinstance(started, NotAdmitted):
            await self._refuse(socket, started, POLICY_VIOLATION)
            return
        if not (is_call_sid(started.call_sid) and is_stream_sid(started.stream_sid)):
            await self._refuse(socket, NotAdmitted("malformed ids"), POLICY_VIOLATION)
            return
        admitted = await self.context.admissions.redeem(started.parameters.get("token", ""), started.call_sid, visitor)
        if isinstance(admitted, NotAdmitted):
            await self._refuse(socket, admitted, POLICY_VIOLATION, started.call_sid)
            return
        if admitted.takes_over:
            await self._take_over(socket, started, admitted)
            return
        if admitted.resumes:  # Twilio has left the stream before this one, if we do not know it yet
            await self.context.streams.end(started.call_sid)
        async with self.context.slots.carry(_live(started, admitted), over=admitted.resumes) as held:
            if held:
                await (self._carry_page if visitor else self._carry)(socket, started, admitted)
                return
        if not admitted.resumes and started.call_sid not in self.context.streams.running():
            await self.context.admissions.drop(started.call_sid, CallText.STREAMED)  # it has had none
        await self._refuse(socket, NotAdmitted("no free line"), TRY_AGAIN_LATER, started.call_sid)

    async def _carry(self, socket: OpenSocket, started: StreamStarted, admitted: Admission) -> None:
        plan, call_sid, context = _plan(started, admitted), started.call_sid, self.context
        if admitted.resumes:
            await context.admissions.put(call_sid, CallText.RESUMED, context.admissions.worker)
            context.announced.leave(call_sid)
            left = await Returns(context).record_of(call_sid) or await context.fleet.noted(call_sid)  # by a dead worker
            plan = attrs.evolve(plan, resumption=None if left is None else _resumption(left, admitted))
        context.live_calls.news_of(call_sid).carried()
        with (
            bound_contextvars(**_logged(started, context.services)),
            context.streams.carry(call_sid, again=admitted.again, expects_verdict=plan.direction == "outbound"),
        ):
            record = await self.run_call(socket, plan, context.services)
            await Returns(context).add_stream_errors(record)
            if record.outcome == TRANSFERRING:
                context.slots.readmit(call_sid, RETURN_SECONDS)

    async def _carry_page(self, socket: OpenSocket, started: StreamStarted, admitted: Admission) -> None:
        """Carry a call from a page: nobody else knows of it, and its stream's end is its own."""
        call_sid, context = started.call_sid, self.context
        context.live_calls.add(admitted.known("in-progress").carried())
        services = attrs.evolve(context.services, line=PageLine(), transfers=None, operator_transfers=None)
        try:
            with (
                bound_contextvars(**_logged(started, context.services)),
                context.streams.carry(call_sid),
            ):
                record = await self.run_call(socket, _plan(started, admitted), services)
                await socket.aclose(NORMAL, record.outcome)
        finally:
            context.announced.over(call_sid)  # it does not come back

    async def _take_over(self, socket: OpenSocket, started: StreamStarted, admitted: Admission) -> None:
        """Put an operator's phone on the call that they take over, until it is given back, or over."""
        phone = PersonOnPhone(socket, started.stream_sid)
        command = Command(f"phone {started.call_sid}", f"console {admitted.visitor[:8]}", TakeOver())
        try:
            asked = await self.context.commands.ask_here(admitted.takes_over, command, phone=phone)
            if asked == DONE:
                await phone.over.wait()
                await socket.aclose(NORMAL, "given_back")
                return
            why = asked.why if isinstance(asked, CommandAnswer) else "this worker does not carry the call"
            _log.info("take_over_refused", call_sid=admitted.takes_over, why=why)
            is_elsewhere = isinstance(asked, NotHere) and await self.context.fleet.find(admitted.takes_over) is not None
            await socket.aclose(NORMAL, "elsewhere" if is_elsewhere else "not_taken_over")
        finally:
            phone.give_back()

    async def _refuse(self, socket: OpenSocket, refusal: NotAdmitted, code: int, call_sid: str = "") -> None:
        self.context.counts.refused("stream")
        _log.warning("stream_refused", why=refusal.why, call_sid=call_sid or None)
        await socket.aclose(code)


class PageLine:
    """The telephone network of a call from a page, which has none: it is over when its stream is closed."""

    async def hang_up(self, call_sid: str) -> None:
        """Leave it to the stream's end."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Say nothing: no network speaks for us. The page tells how the call has ended."""


def _logged(started: StreamStarted, services: CallServices) -> dict[str, str]:
    """Return what stands in each line of the log that is of this call."""
    trace_id = services.trace_id(started.call_sid)
    named = {"call_sid": started.call_sid, "stream_sid": started.stream_sid}
    return {**named, "trace_id": trace_id} if trace_id else named


def _live(started: StreamStarted, admitted: Admission) -> LiveCall:
    return LiveCall(
        key=admitted.key,
        call_sid=started.call_sid,
        stream_sid=started.stream_sid,
        direction=admitted.direction,
        caller=admitted.caller,
        line=admitted.line,
        started_at=wall_time(),
    )


def _resumption(record: CallRecord, admitted: Admission) -> Resumption:
    command = Command(admitted.give_back[0], admitted.give_back[1], GiveBack()) if admitted.give_back else None
    context = Brief().with_facts(admitted.context)
    return Resumption(record, admitted.unreached, admitted.given_back, command, context)


def _plan(started: StreamStarted, admitted: Admission) -> CallPlan:
    return CallPlan(
        call_sid=started.call_sid,
        stream_sid=started.stream_sid,
        direction=admitted.direction,
        caller=admitted.caller,
        line=admitted.line,
        context=Brief().with_facts(admitted.context) if admitted.context else None,
        voicemail=admitted.voicemail,
        longest=math.inf if admitted.time_limit is None else float(admitted.time_limit),
        agents=admitted.agents,
        metadata=admitted.metadata,
    )


async def _wait_start(socket: PacedWebSocket, pending: trio.CapacityLimiter) -> StreamStarted | NotAdmitted:
    """Read up to and with `start`. A peer that is late or gone is refused; a frame nobody can read is passed over."""
    if not pending.available_tokens:
        return NotAdmitted("too many streams have not started yet")
    refused = _RefusedFrames()
    pending.acquire_nowait()
    try:
        with trio.move_on_after(START_SECONDS):
            return await _read_start(socket, refused)
        return NotAdmitted("did not start in time")
    finally:
        pending.release()
        refused.log()


async def _read_start(socket: PacedWebSocket, refused: "_RefusedFrames") -> StreamStarted | NotAdmitted:
    dialogue = MediaStreamDialogue()
    while True:
        try:
            frame = await socket.get_message()
        except ConnectionClosed:
            return NotAdmitted("closed before it started")
        try:
            event = dialogue.receive(frame)
        except RemoteProtocolError as exc:
            refused.note(frame, exc.reason)
            continue
        if isinstance(event, StreamStarted):
            refused.stream_sid = event.stream_sid
            return event if event.media_format.is_telephone else NotAdmitted(f"unknown audio: {event.media_format}")
        if isinstance(event, StreamStopped):
            return NotAdmitted("stopped before it started")


@attrs.define
class _RefusedFrames:
    """The frames of one socket that could not be read before its `start`: counted, for one line in the log."""

    count: int = 0
    first: str = ""
    stream_sid: str = ""

    def note(self, frame: str | bytes, why: str) -> None:
        self.count += 1
        self.first = self.first or why
        if not self.stream_sid:
            with suppress(RemoteProtocolError):
                self.stream_sid = decode_addressed(frame)[1][:LONGEST_SID]

    def log(self) -> None:
        if self.count:
            _log.warning("frames_refused", count=self.count, stream_sid=self.stream_sid, why=self.first)
