"""Twilio's REST service for calls, and the exchange behind it that rings, connects and reports.

`TwilioSimulator` is an ASGI app (of the 2010-04-01 API: the Calls resource, and the list of the account's numbers) and
the owner of every call it places: run `run()` in a nursery, and calls live there and end with it. A request is refused
with Twilio's code and JSON. It never knows what the server under test is: it reaches it by webhooks through the HTTP
client and by media sockets through the dialler, both given.
Not Twilio's, for use by hand: `POST /simulator/call-in` (Url, To, From) rings the server, `GET /simulator/calls/{sid}`
shows the log, `GET /simulator/calls/{sid}/heard.wav` is what was audible on the line.
"""

import base64
import hashlib
import hmac
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import attrs
import httpx
import trio

from simulators.asgi import Message, Receive, Request, Response, Send, answer_scope, json_response
from simulators.faults import Fault, FaultPlan
from simulators.scenario import Caller, Human, Scenario
from simulators.twilio.caller import CallerTurns
from simulators.twilio.calls import CallStatus, SimulatedCall
from simulators.twilio.dialling import DialStream, dial_stream
from simulators.twilio.exchange import Exchange, TwilioKnobs
from simulators.twilio.log import CallLog, LogEntry, as_json
from simulators.twilio.orders import ApiError, CallOrder, read_change, read_order
from simulators.twilio.resources import DEFAULT_NUMBER, render_call, render_calls, render_numbers
from simulators.twilio.webhooks import WebhookSender

VERSION = "2010-04-01"
QUEUE = 64
KEPT, HEARD = 10_000, 100
"""Calls that are over: how many there are still, and of how many the audio."""


class SidMint:
    """Makes SIDs that look like Twilio's, and are the same in every run with the same seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def __call__(self, prefix: str) -> str:
        self._count += 1
        digest = hashlib.sha256(f"{self._seed}:{self._count}".encode()).hexdigest()
        return prefix + digest[:32]


@attrs.define(eq=False)
class TwilioSimulator:
    """One Twilio account."""

    scenario: Scenario
    client: httpx.AsyncClient
    account_sid: str = "AC" + "0" * 32
    auth_token: str = "simulated-auth-token"  # noqa: S105 # documented default of a simulator
    knobs: TwilioKnobs = attrs.field(factory=TwilioKnobs)
    faults: tuple[Fault, ...] | None = None
    """Instead of the scenario's."""
    callers: Mapping[str, Caller] = attrs.field(factory=dict)
    """The person at a number, where that is not the scenario's caller."""
    api_keys: Mapping[str, str] = attrs.field(factory=dict)
    """The secrets of API keys, which are taken instead of the account and its auth token."""
    dial: DialStream = dial_stream
    observe: Callable[[str, LogEntry], None] | None = None
    """Sees every log entry with its call's SID; must not block."""
    today: Callable[[], datetime] = lambda: datetime.now(UTC)
    seed: str = ""
    """Of the SIDs, besides the account."""
    calls: dict[str, SimulatedCall] = attrs.field(factory=dict, init=False)
    _exchange: Exchange = attrs.field(init=False)
    _to_place: trio.MemorySendChannel[SimulatedCall] = attrs.field(init=False)
    _placed: trio.MemoryReceiveChannel[SimulatedCall] = attrs.field(init=False)
    _epoch: tuple[datetime, float] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._to_place, self._placed = trio.open_memory_channel[SimulatedCall](QUEUE)
        faults = self.scenario.faults if self.faults is None else self.faults
        self._exchange = Exchange(
            account_sid=self.account_sid,
            webhooks=WebhookSender(self.client, self.auth_token),
            dial=self.dial,
            knobs=self.knobs,
            faults=FaultPlan(faults).twilio,
            human=self.scenario.human or Human(),
            now=self.now,
            new_sid=SidMint(self.account_sid + self.seed),
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Place the calls that are ordered and let them live here, until cancelled."""
        self.now()
        async with trio.open_nursery() as nursery:
            task_status.started()
            async for call in self._placed:
                nursery.start_soon(call.run)
                if self.knobs.calls_per_second is not None:
                    await trio.sleep(1 / self.knobs.calls_per_second)

    def now(self) -> datetime:
        """Return the time of day, moved on by trio's clock: under a virtual clock it is virtual too."""
        if self._epoch is None:
            self._epoch = self.today(), trio.current_time()
        start, began = self._epoch
        return start + timedelta(seconds=trio.current_time() - began)

    def call_in(
        self, url: str, *, to: str = DEFAULT_NUMBER, from_: str | None = None, status_callback: str = ""
    ) -> SimulatedCall:
        """Let the scenario's caller call the server, whose voice webhook is `url`; return the call."""
        number = from_ or self.scenario.caller.number
        return self._place(CallOrder(to=to, from_=number, url=url, status_callback=status_callback), "inbound")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await answer_scope(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        try:
            if request.path.startswith("/simulator/"):
                return self._answer_by_hand(request)
            self._authenticate(request)
            creates, creations = request.method == "POST" and request.path.endswith("/Calls.json"), self.knobs.creations
            answer = Response(500, b"") if creates and creations == "lost" else self._route(request)
        except ApiError as error:
            return error.response()
        if creates:
            await trio.sleep(self.knobs.creation_takes if creations == "answered" else math.inf)
        return answer

    def _authenticate(self, request: Request) -> None:
        if self.knobs.outage is not None:
            raise ApiError(20503 if self.knobs.outage == 503 else 20500, "Service unavailable", self.knobs.outage)
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        pairs = {self.account_sid: self.auth_token, **self.api_keys}.items()
        expected = [base64.b64encode(f"{user}:{secret}".encode()) for user, secret in pairs]
        if scheme.lower() != "basic" or not any(hmac.compare_digest(credentials.encode(), each) for each in expected):
            raise ApiError(20003, "Authenticate", 401)

    def _route(self, request: Request) -> Response:
        prefix = f"/{VERSION}/Accounts/{self.account_sid}/"
        resource, *rest = request.path.removeprefix(prefix).removesuffix(".json").rstrip("/").split("/")
        match request.method, resource:
            case _, "Calls":
                return self._route_call(request, "/".join(rest))
            case "GET", "IncomingPhoneNumbers" if not rest:
                return self._list_numbers(request)
            case _, "IncomingPhoneNumbers":
                raise ApiError(20004, "Method not allowed", 405)
            case _:
                raise _not_found(request)

    def _route_call(self, request: Request, sid: str) -> Response:
        match request.method, sid:
            case "POST", "":
                return self._create(request)
            case "GET", "":
                return json_response(200, render_calls(self._listed(), request, self.account_sid))
            case "POST", sid:
                return self._update(self._find(sid, request), request)
            case "GET", sid:
                return json_response(200, render_call(self._find(sid, request)))
            case "DELETE", sid:
                self.calls.pop(self._find(sid, request).sid)
                return Response(204, b"")
            case _:
                raise ApiError(20004, "Method not allowed", 405)

    def _listed(self) -> tuple[SimulatedCall, ...]:
        latest = self.now() - timedelta(seconds=self.knobs.listed_after)
        return tuple(call for call in self.calls.values() if call.created <= latest)[::-1]

    def _list_numbers(self, request: Request) -> Response:
        knobs, since = self.knobs, self._epoch[0] if self._epoch is not None else self.now()
        page = render_numbers(knobs.owned_numbers, request, self.account_sid, knobs.voice_url, since)
        return json_response(200, page)

    def _create(self, request: Request) -> Response:
        order = read_order(request.form(), self.knobs.owned_numbers)
        return json_response(201, render_call(self._place(order, "outbound-api")))

    def _update(self, call: SimulatedCall, request: Request) -> Response:
        change = read_change(request.form())
        begins = bool(change.url or change.twiml) and not change.status and call.status is not CallStatus.IN_PROGRESS
        if begins or call.is_over or call.performance.caller_gone:
            raise ApiError(21220, "Call is not in-progress. Cannot redirect.")
        call.change(change)
        return json_response(200, render_call(call))

    def _find(self, sid: str, request: Request) -> SimulatedCall:
        if sid not in self.calls:
            raise _not_found(request)
        return self.calls[sid]

    def _place(self, order: CallOrder, direction: str) -> SimulatedCall:
        sid = self._exchange.new_sid("CA")
        number = order.to if direction.startswith("outbound") else order.from_
        caller = self.callers.get(number, self.scenario.caller)
        call = SimulatedCall(
            exchange=self._exchange,
            sid=sid,
            order=order,
            direction=direction,
            turns=CallerTurns(caller),
            log=CallLog(partial(self.observe, sid) if self.observe is not None else None),
        )
        try:
            self._to_place.send_nowait(call)
        except trio.WouldBlock:
            raise ApiError(20429, "Too Many Requests", 429) from None
        self.calls[sid] = call
        self._forget()
        return call

    def _forget(self) -> None:
        over = [call for call in self.calls.values() if call.is_over]
        for call in over[:-HEARD]:
            call.heard = None
        for call in over[:-KEPT]:
            del self.calls[call.sid]

    def _answer_by_hand(self, request: Request) -> Response:
        match request.method, *request.path.removeprefix("/simulator/").split("/"):
            case "POST", "call-in":
                form = dict(request.form())
                url, to = form.get("Url", self.knobs.voice_url), form.get("To", DEFAULT_NUMBER)
                call = self.call_in(url, to=to, from_=form.get("From"))
                return json_response(201, render_call(call))
            case "GET", "calls", sid:
                return json_response(200, [as_json(entry) for entry in self._find(sid, request).log.entries])
            case "GET", "calls", sid, "heard.wav":
                heard = self._find(sid, request).heard
                return Response(200, heard.wav() if heard is not None else b"", content_type="audio/wav")
            case _:
                raise _not_found(request)


def _not_found(request: Request) -> ApiError:
    return ApiError(20404, f"The requested resource {request.path} was not found", 404)
