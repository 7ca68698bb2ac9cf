"""The official `twilio` client and its request validator against the simulated Twilio, over real sockets."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial

import attrs
import httpx
import pytest
import trio
import trio_websocket
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.rest.api.v2010.account.call import CallInstance

from protocol.twilio import MediaArrived, StreamStarted, StreamStopped, decode, encode_media
from simulators.asgi import Message, Receive, Request, Response, Send, answer_scope, serve_app
from simulators.scenario import Caller, Scenario
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator
from simulators.twilio.serving import serve_simulator, serve_twilio

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
TOKEN = "secret"
QUICK = TwilioKnobs(ringing_after=0.01, answered_after=0.02)
PLOT = Scenario("test", "", Caller(hangs_up=False), {})


@attrs.define(eq=False)
class Agent:
    """A server on real ports: TwiML and status over HTTP, media over a WebSocket; checks every signature."""

    valid: list[bool] = attrs.field(factory=list)
    statuses: list[str] = attrs.field(factory=list)
    events: list[object] = attrs.field(factory=list)
    upgrade_headers: dict[str, str] = attrs.field(factory=dict)
    streaming: trio.Event = attrs.field(factory=trio.Event)
    http_port: int = 0
    media_port: int = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await answer_scope(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        form = dict(request.form())
        signature = request.headers["x-twilio-signature"]
        self.valid.append(RequestValidator(TOKEN).validate(f"{self.origin}{request.path}", form, signature))
        if request.path == "/status":
            self.statuses.append(form["CallStatus"])
            return Response(204, b"")
        twiml = (
            f'<Response><Connect><Stream url="ws://127.0.0.1:{self.media_port}/twilio">'
            '<Parameter name="token" value="t1"/></Stream></Connect><Hangup/></Response>'
        )
        return Response(200, twiml.encode(), content_type="text/xml")

    async def take_stream(self, request: trio_websocket.WebSocketRequest) -> None:
        self.upgrade_headers = {name.decode(): value.decode() for name, value in request.headers}
        url = f"ws://127.0.0.1:{self.media_port}/twilio"
        if not RequestValidator(TOKEN).validate(url, {}, self.upgrade_headers["x-twilio-signature"]):
            await request.reject(403)
            return
        socket = await request.accept()
        started = StreamStarted("", "")
        try:
            while True:
                event = decode(await socket.get_message())
                self.events.append(event)
                if isinstance(event, MediaArrived):
                    self.streaming.set()
                if isinstance(event, StreamStarted):
                    started = event
                    await socket.send_message(encode_media(started.stream_sid, b"\x10\x90" * 400))
        except trio_websocket.ConnectionClosed:
            self.events.append("closed")

    async def serve(self, nursery: trio.Nursery) -> None:
        self.http_port = await nursery.start(serve_app, self)
        server: trio_websocket.WebSocketServer = await nursery.start(
            trio_websocket.serve_websocket, self.take_stream, "127.0.0.1", 0, None
        )
        self.media_port = server.port


def client_for(port: int, token: str = TOKEN) -> Client:
    client = Client(ACCOUNT, token)
    client.api.base_url = f"http://127.0.0.1:{port}"
    return client


@asynccontextmanager
async def serving(
    agent: Agent | None = None, knobs: TwilioKnobs = QUICK
) -> AsyncIterator[tuple[TwilioSimulator, Client]]:
    async with httpx.AsyncClient(trust_env=False) as http, trio.open_nursery() as nursery:
        if agent is not None:
            await agent.serve(nursery)
        simulator = TwilioSimulator(PLOT, http, ACCOUNT, TOKEN, knobs)
        port: int = await nursery.start(serve_simulator, simulator)
        client = client_for(port)
        yield simulator, client
        client.http_client.session.close()
        nursery.cancel_scope.cancel()


def place(client: Client, agent: Agent) -> CallInstance:
    return client.calls.create(
        to="+15551230000",
        from_="+15550009999",
        url=f"{agent.origin}/voice",
        status_callback=f"{agent.origin}/status",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
    )


async def test_the_client_places_shows_ends_and_lists_a_call() -> None:
    agent = Agent()
    async with serving(agent) as (simulator, client):
        created = await trio.to_thread.run_sync(place, client, agent)
        await agent.streaming.wait()
        fetched = await trio.to_thread.run_sync(lambda: client.calls(created.sid).fetch())
        updated = await trio.to_thread.run_sync(lambda: client.calls(created.sid).update(status="completed"))
        await simulator.calls[created.sid].wait_over()
        listed = await trio.to_thread.run_sync(lambda: client.calls.list(to="+15551230000"))

    assert (created.status, created.direction) == ("queued", "outbound-api")
    assert isinstance(created.date_created, datetime)
    assert (fetched.sid, fetched.status) == (created.sid, "in-progress")
    assert updated.sid == created.sid
    assert [(call.sid, call.status) for call in listed] == [(created.sid, "completed")]
    assert agent.statuses == ["initiated", "ringing", "in-progress", "completed"]


async def test_the_validator_accepts_every_webhook_and_the_upgrade() -> None:
    agent = Agent()
    async with serving(agent) as (simulator, client):
        created = await trio.to_thread.run_sync(place, client, agent)
        await agent.streaming.wait()
        await trio.to_thread.run_sync(lambda: client.calls(created.sid).update(status="completed"))
        await simulator.calls[created.sid].wait_over()

    assert agent.valid == [True] * 5
    assert agent.upgrade_headers["user-agent"] == "Twilio.TmeWs/1.0"
    assert "sec-websocket-extensions" not in agent.upgrade_headers
    assert any(isinstance(event, StreamStopped) for event in agent.events)
    assert agent.events[-1] == "closed"


async def test_the_client_redirects_a_call() -> None:
    agent = Agent()
    async with serving(agent) as (simulator, client):
        created = await trio.to_thread.run_sync(place, client, agent)
        await agent.streaming.wait()
        twiml = "<Response><Hangup/></Response>"
        await trio.to_thread.run_sync(lambda: client.calls(created.sid).update(twiml=twiml))
        await simulator.calls[created.sid].wait_over()

    assert agent.statuses[-1] == "completed"


async def test_refusals_are_the_clients_exceptions_with_twilios_codes() -> None:
    async with serving() as (_, client):
        wrong = client_for(int(client.api.base_url.rpartition(":")[2]), "wrong")

        def codes() -> list[tuple[int, int]]:
            found = []
            attempts: tuple[Callable[[], object], ...] = (
                lambda: wrong.calls("CA" + "f" * 32).fetch(),
                lambda: client.calls("CA" + "f" * 32).fetch(),
                lambda: client.calls.create(to="nobody", from_="+15550009999", url="http://x.example/"),
            )
            for attempt in attempts:
                with pytest.raises(TwilioRestException) as refused:
                    attempt()
                found.append((refused.value.status, refused.value.code))
            wrong.http_client.session.close()
            return found

        assert await trio.to_thread.run_sync(codes) == [(401, 20003), (404, 20404), (400, 21211)]


async def test_the_client_pages_through_many_calls() -> None:
    async with serving() as (_, client):

        def place_and_list() -> tuple[list[str], list[str]]:
            placed = [
                client.calls.create(to="+15551230000", from_="+15550009999", twiml="<Response/>").sid or ""
                for _ in range(5)
            ]
            return placed, [call.sid or "" for call in client.calls.list(page_size=2)]

        placed, listed = await trio.to_thread.run_sync(place_and_list)

    assert listed == placed[::-1]


async def test_the_client_pages_through_the_accounts_numbers() -> None:
    owned = [f"+1555000000{index}" for index in range(5)]
    knobs = TwilioKnobs(owned_numbers=frozenset(owned), voice_url="https://agent.example.com/twilio/voice")
    async with serving(knobs=knobs) as (_, client):
        listed = await trio.to_thread.run_sync(lambda: client.incoming_phone_numbers.list(page_size=2))
        found = await trio.to_thread.run_sync(lambda: client.incoming_phone_numbers.list(phone_number=owned[3]))

    assert [number.phone_number for number in listed] == owned
    assert [(number.phone_number, number.voice_url) for number in found] == [(owned[3], knobs.voice_url)]
    assert isinstance(found[0].date_created, datetime)
    assert "voice" in (found[0].capabilities or {})


async def test_the_whole_service_stops_when_it_is_told_to() -> None:
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(partial(serve_twilio, PLOT, account_sid=ACCOUNT, auth_token=TOKEN))
        async with httpx.AsyncClient(auth=(ACCOUNT, TOKEN), trust_env=False) as client:
            url = f"http://127.0.0.1:{port}/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
            assert (await client.get(url)).json()["calls"] == []
        nursery.cancel_scope.cancel()
    with pytest.raises(OSError, match=r".*"):
        await trio.open_tcp_stream("127.0.0.1", port)
