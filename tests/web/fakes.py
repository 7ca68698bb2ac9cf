"""Stand-ins for what lies beyond `web/`: the telephone network, the call itself, and a peer on an ASGI socket."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias, cast

import attrs
import httpx
import orjson
import trio
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, Scope, WebsocketScope
from quart_trio import QuartTrio
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from actors.call_services import CallPlan, CallServices
from actors.endings.intercom import Intercom
from agents.functions import END_CONVERSATION
from agents.roster import Roster
from agents.spec import AgentSpec
from protocol.wire import PacedWebSocket, WebSocket
from settings import Settings
from store.calls import DatabaseUnavailable, MemoryRecords
from store.objects import ObjectStore
from store.orders.queue import OrderQueue
from store.records import CallRecord, RecordError
from store.tokens import TokenStore
from tests.routes import compile_routes_once
from web.app import create_app
from web.calls.admission import Admission, Admissions
from web.calls.context import AppContext, Opened
from web.calls.live_calls import wall_time
from web.calls.slots import Slots
from web.clients.twilio import PLAIN_CALL, CallOptions, LineError
from web.console.phone import CallerVoice
from web.routes.media import MediaStreams, RunCall

compile_routes_once()

ORIGIN = "https://agent.example.com"
AUTH_TOKEN = "fedcba9876543210fedcba9876543210"
API_TOKEN = "the-token-of-the-operator"
CALL_SID = "CA" + "1" * 32
OTHER_CALL_SID = "CA" + "2" * 32
STREAM_SID = "MZ" + "3" * 32
TODAY = wall_time()
"""When these tests began."""
LEAD = "+15557650000"
LINE = "+15551230000"

ENVIRON: Mapping[str, str] = {
    "DEEPGRAM_API_KEY": "deepgram-key",
    "DEEPGRAM_AGENT_URL": "ws://127.0.0.1:1/v1/agent/converse",
    "DEEPGRAM_SPEAK_URL": "http://127.0.0.1:1/v1/speak",
    "GROQ_API_KEY": "groq-key",
    "GROQ_BASE_URL": "http://127.0.0.1:1",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "TWILIO_PHONE_NUMBER": LINE,
    "LEAD_SERVER_EXTERNAL_URL": ORIGIN,
    "API_TOKEN": API_TOKEN,
    "RECORDINGS_DIR": "none",
    "DATABASE_URL": "memory:",
}
HERE: Mapping[str, str] = {
    "LEAD_SERVER_EXTERNAL_URL": "http://127.0.0.1:8000",
    "TWILIO_API_URL": "http://127.0.0.1:8102",
    "API_TOKEN": "",
}
"""Changes for a server that is alone with simulators on this machine: it needs no token."""


def settings(**changes: str) -> Settings:
    """Settings of a working exchange, with changes by variable name."""
    return Settings.from_environ({**ENVIRON, **changes})


def record(call_sid: str = CALL_SID, **changes: object) -> CallRecord:
    """A record of a short call."""
    plain = CallRecord(
        call_sid=call_sid,
        stream_sid=STREAM_SID,
        direction="inbound",
        caller=LEAD,
        line=LINE,
        started_at=TODAY,
        duration=12.5,
        outcome="completed",
    )
    return attrs.evolve(plain, **changes)  # type: ignore[arg-type]


@attrs.define
class FakeLine:
    """A telephone network that notes what it is asked, and refuses what it is told to refuse."""

    refusal: LineError | None = None
    placed: list[tuple[str, str]] = attrs.field(factory=list)
    hung_up: list[str] = attrs.field(factory=list)
    redirected: list[tuple[str, str]] = attrs.field(factory=list)
    statuses: dict[str, str] = attrs.field(factory=dict)
    options: list[CallOptions] = attrs.field(factory=list)
    listed: list[str] = attrs.field(factory=list)
    """What it says it has, when it is asked for a list."""

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        await self._answer()
        self.placed.append((to, order))
        self.options.append(options)
        return f"CA{len(self.placed):032x}"

    async def calls_to(self, to: str, seconds: float) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return self.listed

    async def hang_up(self, call_sid: str) -> None:
        await self._answer()
        self.hung_up.append(call_sid)

    async def redirect(self, call_sid: str, twiml: str) -> None:
        await self._answer()
        self.redirected.append((call_sid, twiml))

    async def status_of(self, call_sid: str) -> str | None:
        await self._answer()
        return self.statuses.get(call_sid)

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.refusal is not None:
            raise self.refusal


Conversation: TypeAlias = Callable[[WebSocket, CallPlan], Awaitable[None]]


async def one_word(socket: WebSocket, _: CallPlan) -> None:
    """Hear one message and say it back."""
    await socket.send_message(await socket.get_message())


@attrs.define
class FakeCalls:
    """Stands in for `run_call`: notes the plans, holds a conversation, leaves a record."""

    conversation: Conversation = one_word
    plans: list[CallPlan] = attrs.field(factory=list)

    async def __call__(self, media: PacedWebSocket, plan: CallPlan, services: CallServices) -> CallRecord:
        self.plans.append(plan)
        try:
            await self.conversation(media, plan)
        finally:
            left = record(plan.call_sid, stream_sid=plan.stream_sid, direction=plan.direction, caller=plan.caller)
            with trio.CancelScope(shield=True):
                await services.save(left)
        return left


@asynccontextmanager
async def no_agent() -> AsyncIterator[PacedWebSocket]:
    """A connector that nobody may use here."""
    raise AssertionError("no test of web/ opens a Voice Agent socket this way")
    yield


def client_of(app: QuartTrio, base_url: str = "http://10.0.0.7:8000") -> httpx.AsyncClient:
    """A client of an application, without a socket between them."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base_url)  # type: ignore[arg-type]


@attrs.define
class Exchange:
    """One application with fakes around it."""

    app: QuartTrio
    line: FakeLine
    calls: FakeCalls
    records: MemoryRecords
    slots: Slots
    settings: Settings
    intercom: Intercom

    def client(self) -> httpx.AsyncClient:
        """A client that reaches the application as through a proxy: under a name and scheme that are not public."""
        return client_of(self.app)

    async def twilio(
        self, target: str, form: Mapping[str, str | list[str]], *, token: str = AUTH_TOKEN
    ) -> httpx.Response:
        """Send a webhook, signed for the public origin."""
        signature = RequestValidator(token).compute_signature(ORIGIN + target, MultiDict(form))
        async with self.client() as client:
            return await client.post(target, data=dict(form), headers={"X-Twilio-Signature": signature})

    async def operator(
        self, method: str, target: str, content: object = None, *, token: str = API_TOKEN
    ) -> httpx.Response:
        """Send an operator's request."""
        async with self.client() as client:
            body = content if isinstance(content, bytes) else None if content is None else orjson.dumps(content)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return await client.request(method, target, content=body, headers=headers)


SELLER = AgentSpec("seller", "seller", "You sell.", "Hello.", "aura-2-luna-en", (END_CONVERSATION,))


ROSTER = Roster({"seller": SELLER}, "seller", entries={"acme.sales": "seller"})


def services(line: FakeLine, records: MemoryRecords, roster: Roster = ROSTER) -> CallServices:
    """What a call is given; its agent reaches no service."""
    return CallServices(roster=roster, connect=no_agent, ask_brief=None, line=line, records=records)


def exchange(
    *,
    line: FakeLine | None = None,
    calls: FakeCalls | None = None,
    tokens: TokenStore | None = None,
    orders: OrderQueue | None = None,
    records: MemoryRecords | None = None,
    voice: CallerVoice | None = None,
    run_call: RunCall | None = None,
    objects: ObjectStore | None = None,
    roster: Roster = ROSTER,
    **changes: str,
) -> Exchange:
    """Build an application on fakes, with changed settings by variable name."""
    chosen = settings(**changes)
    line, calls, records = line or FakeLine(), calls or FakeCalls(), records or MemoryRecords()
    slots = Slots(chosen.max_calls)
    offered = services(line, records, roster)
    run = run_call or calls
    opened = Opened(offered, line, slots, tokens or TokenStore(), objects=objects)
    if orders is not None:
        opened = attrs.evolve(opened, orders=orders)
    app = create_app(chosen, opened, run_call=run, voice=voice)
    return Exchange(app, line, calls, records, slots, chosen, offered.intercom)


def at_home(**changes: str) -> Exchange:
    """Build an application that is alone with simulators on this machine, without a token."""
    whole = {**HERE, **changes}
    return exchange(
        line=None,
        calls=None,
        tokens=None,
        orders=None,
        records=None,
        voice=None,
        run_call=None,
        objects=None,
        roster=ROSTER,
        **whole,
    )


def voice_form(call_sid: str = CALL_SID, *, outbound: bool = False, **more: str) -> dict[str, str]:
    """The form of a voice webhook, blank fields and all."""
    ours, theirs = ("From", "To") if outbound else ("To", "From")
    return {
        "AccountSid": "AC" + "0" * 32,
        "ApiVersion": "2010-04-01",
        "CallSid": call_sid,
        "CallStatus": "in-progress" if outbound else "ringing",
        "Direction": "outbound-api" if outbound else "inbound",
        ours: LINE,
        theirs: LEAD,
        "FromCity": "",
        **more,
    }


def context_of(there: Exchange) -> AppContext:
    """Return what the routes of an application share."""
    return cast("MediaStreams", there.app.asgi_app).context


class Away(MemoryRecords):
    """A database that cannot be read."""

    async def get(self, call_sid: str) -> CallRecord | None:
        raise DatabaseUnavailable("away")


@attrs.define
class Scratched(MemoryRecords):
    """A database that has lost a part of one record."""

    scratched: str = CALL_SID

    async def get(self, call_sid: str) -> CallRecord | None:
        if call_sid == self.scratched:
            raise RecordError("required field missing @ record.caller")
        return await super().get(call_sid)


@attrs.define
class Peer:
    """Twilio's end of an upgrade, below ASGI: what it sends, and what the application answered."""

    target: str = "/twilio"
    signature: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    client: tuple[str, int] = ("10.0.0.1", 1234)
    answers: list[ASGISendEvent] = attrs.field(factory=list)
    changed: trio.Event = attrs.field(factory=trio.Event)
    _to_app: trio.MemorySendChannel[ASGIReceiveEvent] = attrs.field(init=False)
    _from_peer: trio.MemoryReceiveChannel[ASGIReceiveEvent] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._to_app, self._from_peer = trio.open_memory_channel[ASGIReceiveEvent](100)
        self._to_app.send_nowait({"type": "websocket.connect"})
        if self.signature is None:
            signed = "wss" + ORIGIN.removeprefix("https") + self.target
            self.signature = RequestValidator(AUTH_TOKEN).compute_signature(signed, {})

    def says(self, *frames: str | bytes | dict[str, object]) -> "Peer":
        """Send frames; objects go as JSON."""
        for frame in frames:
            text = orjson.dumps(frame).decode() if isinstance(frame, dict) else frame
            as_text, as_bytes = (text, None) if isinstance(text, str) else (None, text)
            self._to_app.send_nowait({"type": "websocket.receive", "text": as_text, "bytes": as_bytes})
        return self

    def starts(self, token: str, *, call_sid: str = CALL_SID, sample_rate: int = 8000) -> "Peer":
        """Send `connected` and `start`, as captured."""
        started = {
            "accountSid": "AC" + "0" * 32,
            "callSid": call_sid,
            "streamSid": STREAM_SID,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": sample_rate, "channels": 1},
            "customParameters": {"token": token} if token else {},
        }
        connected: dict[str, object] = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        start: dict[str, object] = {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": STREAM_SID,
            "start": started,
        }
        return self.says(connected, start)

    def leaves(self, code: int = 1006) -> "Peer":
        """Close."""
        self._to_app.send_nowait({"type": "websocket.disconnect", "code": code})
        return self

    @property
    def said(self) -> list[str]:
        """The types of the application's answers, with the code of a close."""
        return [
            f"{answer['type'].removeprefix('websocket.')} {answer['code']}"
            if answer["type"] == "websocket.close"
            else answer["type"].removeprefix("websocket.")
            for answer in self.answers
        ]

    def scope(self) -> WebsocketScope:
        path, _, query = self.target.partition("?")
        signed = {"x-twilio-signature": self.signature} if self.signature else {}
        given = {"host": "10.0.0.7:8000", **signed, **self.headers}
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "http_version": "1.1",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": self.client,
            "server": ("10.0.0.7", 8000),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        return cast("WebsocketScope", scope)

    async def visit(self, app: Callable[..., Awaitable[None]]) -> "Peer":
        """Be served by an application until it is done."""
        await app(cast("Scope", self.scope()), self._from_peer.receive, self._hear)
        return self

    async def _hear(self, event: ASGISendEvent) -> None:
        await trio.lowlevel.checkpoint()
        self.answers.append(event)
        self.changed.set()
        self.changed = trio.Event()
        if event["type"] == "websocket.close":
            await self._to_app.send({"type": "websocket.disconnect", "code": 1000})


async def note_streamed(admissions: Admissions, call_sid: str) -> None:
    """Let the stream of a call begin, as far as other workers see it."""
    token = await admissions.mint(Admission(call_sid, "inbound", LEAD, LINE, call_sid))
    await admissions.redeem(token, call_sid)
