"""The server under test, in miniature: answers webhooks with TwiML by path, takes media sockets, keeps everything."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import attrs
import httpx
import orjson
import trio
import trio_websocket
from twilio.request_validator import RequestValidator

from protocol.twilio import StreamStarted, StreamStopped, decode, encode_media
from protocol.wire import WebSocket
from simulators.asgi import Message, Receive, Request, Response, Send, answer_scope
from simulators.memory import memory_websocket_pair
from simulators.scenario import Answers, Caller, CallerLine, Human, Scenario
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.dialling import Headers, StreamError
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator

ORIGIN = "https://agent.example.com"
TOKEN = "secret"
ACCOUNT = "AC0123456789abcdef0123456789abcdef"
STREAM = (
    f'<Response><Connect action="{ORIGIN}/after"><Stream url="wss://agent.example.com/twilio">'
    '<Parameter name="token" value="t1"/></Stream></Connect><Hangup/></Response>'
)
TONE = bytes([0x10, 0x90]) * 400

STARTED = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)

Session = Callable[[WebSocket, str], Awaitable[None]]


@attrs.frozen
class Webhook:
    at: float
    path: str
    form: Mapping[str, str]
    valid: bool


async def keep_open(socket: WebSocket, stream_sid: str) -> None:
    await trio.sleep_forever()


async def greet_and_close(socket: WebSocket, stream_sid: str) -> None:
    for _ in range(10):
        await socket.send_message(encode_media(stream_sid, TONE))
    await trio.sleep(2.0)


async def greet_and_listen(socket: WebSocket, stream_sid: str) -> None:
    for _ in range(10):
        await socket.send_message(encode_media(stream_sid, TONE))
    await trio.sleep_forever()


@attrs.define(eq=False)
class FarEnd:
    """A server: `pages` by path, a `session` for each media socket."""

    pages: dict[str, str] = attrs.field(factory=dict)
    session: Session = keep_open
    webhooks: list[Webhook] = attrs.field(factory=list)
    starts: list[StreamStarted] = attrs.field(factory=list)
    stops: int = 0
    dialled: list[tuple[str, Mapping[str, str]]] = attrs.field(factory=list)
    refuses: int = 0
    slow: float = 0.0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await answer_scope(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Response:
        form = dict(request.form())
        query = "?" + "&".join("=".join(pair) for pair in request.query) if request.query else ""
        url = f"{ORIGIN}{request.path}{query}"
        valid = RequestValidator(TOKEN).validate(url, form, request.headers["x-twilio-signature"])
        self.webhooks.append(Webhook(trio.current_time(), request.path, form, valid))
        await trio.sleep(self.slow)
        page = self.pages.get(request.path)
        if page is None:
            return Response(204, b"") if request.path in {"/status", "/stream", "/amd"} else Response(404, b"")
        return Response(200, page.encode(), content_type="text/xml")

    @asynccontextmanager
    async def dial(self, url: str, headers: Headers) -> AsyncIterator[WebSocket]:
        self.dialled.append((url, {name.decode(): value.decode() for name, value in headers}))
        if self.refuses:
            raise StreamError(self.refuses, "refused by the test")
        here, there = memory_websocket_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve, there)
            yield here
            nursery.cancel_scope.cancel()

    async def _serve(self, socket: WebSocket) -> None:
        with suppress(trio_websocket.ConnectionClosed):
            await socket.get_message()
            started = decode(await socket.get_message())
            assert isinstance(started, StreamStarted)
            self.starts.append(started)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, socket)
                await self.session(socket, started.stream_sid)
                nursery.cancel_scope.cancel()
            await socket.aclose()

    async def _read(self, socket: WebSocket) -> None:
        with suppress(trio_websocket.ConnectionClosed):
            while True:
                if isinstance(decode(await socket.get_message()), StreamStopped):
                    self.stops += 1

    def posts(self, path: str) -> list[Mapping[str, str]]:
        return [hook.form for hook in self.webhooks if hook.path == path]

    def statuses(self) -> list[str]:
        return [form["CallStatus"] for form in self.posts("/status")]


@attrs.define(eq=False)
class Line:
    """A simulator wired to a far end in memory, and a REST client for it."""

    simulator: TwilioSimulator
    far: FarEnd
    rest: httpx.AsyncClient

    async def post(self, path: str, **form: str | list[str]) -> httpx.Response:
        return await self.rest.post(f"/2010-04-01/Accounts/{ACCOUNT}/{path}", data=form)

    async def get(self, path: str) -> httpx.Response:
        return await self.rest.get(f"/2010-04-01/Accounts/{ACCOUNT}/{path}")

    async def order(self, **form: str | list[str]) -> SimulatedCall:
        defaults: dict[str, str | list[str]] = {
            "To": "+15551230000",
            "From": "+15550009999",
            "Url": f"{ORIGIN}/voice",
            "StatusCallback": f"{ORIGIN}/status",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        }
        response = await self.post("Calls.json", **(defaults | form))
        assert response.status_code == 201, response.text
        return self.simulator.calls[orjson.loads(response.content)["sid"]]


def plot(*lines: CallerLine, answers: Answers = "human", hangs_up: bool = True, human: Human | None = None) -> Scenario:
    caller = Caller(lines=lines, hangs_up=hangs_up, answers=answers)
    return Scenario("test", "", caller, {}, human=human)


@asynccontextmanager
async def line_open(
    far: FarEnd, scenario: Scenario | None = None, knobs: TwilioKnobs | None = None
) -> AsyncIterator[Line]:
    transport = httpx.ASGITransport(far)
    async with httpx.AsyncClient(transport=transport, timeout=600) as client:
        simulator = TwilioSimulator(
            scenario or plot(), client, ACCOUNT, TOKEN, knobs or TwilioKnobs(), dial=far.dial, today=lambda: STARTED
        )
        rest = httpx.AsyncClient(
            transport=httpx.ASGITransport(simulator), base_url="http://api.twilio.invalid", auth=(ACCOUNT, TOKEN)
        )
        async with rest, trio.open_nursery() as nursery:
            await nursery.start(simulator.run)
            yield Line(simulator, far, rest)
            nursery.cancel_scope.cancel()
