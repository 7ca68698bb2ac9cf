"""A whole call with TLS on every leg, under a throw-away authority: wss to Deepgram, https and wss from Twilio.

It is played with the frame layer, and without it: on a hypercorn or a trio-websocket of another version than the one
that the layer was written for, and over HTTP/2.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import attrs
import httpx
import pytest
import trio
import trustme
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Framework, WebsocketScope
from structlog.testing import capture_logs

from demo.stage import Door
from protocol.wire import PacedWebSocket, WebSocket
from settings import Settings
from simulators.deepgram import SpeakSimulator, serve_deepgram
from simulators.faults import FaultPlan
from simulators.groq import GroqSimulator
from simulators.pacing import PacedClock
from simulators.scenario import load_scenario
from simulators.twilio.dialling import dial_stream
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator
from store.calls import CallRecords
from store.records import CallRecord
from tests.conftest import FAST_RATE
from tests.e2e.http2 import dial_http2
from web.app import create_app
from web.clients.deepgram import open_socket
from web.services import open_services
from web.serving import server_config
from web.sockets.asgi_events import accept
from web.sockets.open_socket import OpenSocket
from web.sockets.versions import HYPERCORN, TRIO, TRIO_WEBSOCKET, WRITTEN_FOR, install

pytestmark = pytest.mark.real_time

SCENARIO = load_scenario(Path(__file__).parent / "short.toml")
Dial: TypeAlias = Callable[..., AbstractAsyncContextManager[WebSocket]]
ACCOUNT, TOKEN, OPERATOR = "AC" + "0" * 32, "0" * 32, "operator"


class Authority:
    """A certificate authority for this test, and a certificate for this machine."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._cert = self._ca.issue_cert("127.0.0.1", "localhost")
        self.root = folder / "root.pem"
        self.chain, self.key = folder / "chain.pem", folder / "key.pem"
        self._ca.cert_pem.write_to_path(self.root)
        self._cert.private_key_pem.write_to_path(self.key)
        self.chain.write_bytes(b"".join(part.bytes() for part in self._cert.cert_chain_pems))

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._cert.configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.root)

    def config(self, config: Config, door: Door) -> Config:
        config.bind = [door.bind]
        config.certfile, config.keyfile = str(self.chain), str(self.key)
        config.loglevel = "ERROR"
        return config


async def serve_app(
    app: object, config: Config, until: Callable[[], Awaitable[None]], *, task_status: trio.TaskStatus[list[str]]
) -> None:
    await serve(cast("Framework", app), config, shutdown_trigger=until, mode="asgi", task_status=task_status)


def settings_for(deepgram: str, urls: Sequence[str], recordings: Path) -> Settings:
    speak, groq, twilio, server = urls
    return Settings.from_environ(
        {
            "DEEPGRAM_API_KEY": "key",
            "DEEPGRAM_AGENT_URL": deepgram,
            "DEEPGRAM_SPEAK_URL": f"{speak}/v1/speak",
            "GROQ_API_KEY": "key",
            "GROQ_BASE_URL": groq,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": "+15550009999",
            "TWILIO_API_URL": twilio,
            "LEAD_SERVER_EXTERNAL_URL": server,
            "API_TOKEN": OPERATOR,
            "RECORDINGS_DIR": str(recordings),
            "DATABASE_URL": f"sqlite:///{recordings}/calls.db",
        }
    )


@attrs.frozen
class Case:
    """Which libraries are of another version, and how Twilio's stream comes."""

    unknown: tuple[str, ...] = ()
    dial: Dial = dial_stream
    http_version: str = "1.1"
    carrier: str = "FrameStream"
    agents: str = "FrameStream"


CASES = {
    "as it is": Case(),
    "others": Case((HYPERCORN, TRIO_WEBSOCKET), carrier="AsgiEvents", agents="PlainSocket"),
    "another hypercorn": Case((HYPERCORN,), carrier="AsgiEvents"),
    "another hypercorn, over HTTP/2": Case((HYPERCORN,), dial_http2, "2", carrier="AsgiEvents"),
    "our connection, over HTTP/2": Case((), dial_http2, "2", carrier="AsgiEvents"),
    "another trio-websocket": Case((TRIO_WEBSOCKET,), agents="PlainSocket"),
    "another trio": Case((TRIO,), carrier="AsgiEvents", agents="PlainSocket"),
}


@attrs.define
class Seen:
    """What carried the messages of the call: to the caller by HTTP version and kind, and to each agent by kind."""

    caller: set[tuple[str, str]] = attrs.field(factory=set)
    agents: set[str] = attrs.field(factory=set)


@pytest.mark.parametrize("name", CASES)
def test_a_call_completes_with_tls_on_every_leg(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, case, seen = Authority(tmp_path), CASES[name], Seen()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    monkeypatch.setattr("hypercorn.trio.run.TCPServer", TCPServer)
    monkeypatch.setattr("web.sockets.versions.WRITTEN_FOR", {**WRITTEN_FOR, **dict.fromkeys(case.unknown, "0.0.1")})
    watch(seen, monkeypatch)

    with capture_logs() as lines:
        record = trio.run(call_over_tls, authority, tmp_path / "recordings", case, clock=PacedClock(FAST_RATE / 2))

    told = [line["library"] for line in lines if line["event"] == "library_not_known"]
    assert {*told} == {*case.unknown}
    assert seen == Seen({(case.http_version, case.carrier)}, {case.agents})
    assert record is not None
    assert record.outcome == "completed"
    assert ["No, thank you."] == [turn.text for turn in record.transcript if turn.speaker == "caller"]


def watch(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note what carries the call's messages."""

    async def accepted(scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> OpenSocket:
        carrier = await accept(scope, receive, send)
        seen.caller.add((scope["http_version"], type(carrier).__name__))
        return carrier

    @asynccontextmanager
    async def opened(*args: Any) -> AsyncIterator[PacedWebSocket]:  # noqa: ANN401 - as it is called
        async with open_socket(*args) as socket:
            seen.agents.add(type(socket).__name__)
            yield socket

    monkeypatch.setattr("web.routes.media.accept", accepted)
    monkeypatch.setattr("web.clients.deepgram.open_socket", opened)


async def wait_record(records: CallRecords, call_sid: str) -> CallRecord | None:
    """Wait for the record: the caller knows that the call is over before it is kept."""
    with trio.move_on_after(20):
        while (record := await records.get(call_sid)) is None:  # noqa: ASYNC110 - the store tells nobody
            await trio.sleep(0.1)
        return record
    return None


async def call_over_tls(authority: Authority, recordings: Path, case: Case) -> CallRecord | None:
    speak_door, groq_door, twilio_door, server_door = doors = [Door() for _ in range(4)]
    urls = [door.url.replace("http://", "https://") for door in doors]
    closing = trio.Event()
    async with (
        httpx.AsyncClient(verify=authority.client()) as http,
        trio.open_nursery() as far,
        trio.open_nursery() as near,
    ):
        deepgram: int = await far.start(
            partial(serve_deepgram, SCENARIO, faults=FaultPlan(()), ssl_context=authority.server())
        )
        twilio = TwilioSimulator(
            SCENARIO,
            http,
            ACCOUNT,
            TOKEN,
            TwilioKnobs(requires_wss=True),
            dial=partial(case.dial, ssl_context=authority.client()),
        )
        await far.start(twilio.run)
        await far.start(serve_app, twilio, authority.config(Config(), twilio_door), closing.wait)
        speak = SpeakSimulator(api_key="key")
        await far.start(serve_app, speak, authority.config(Config(), speak_door), closing.wait)
        await far.start(serve_app, GroqSimulator(), authority.config(Config(), groq_door), closing.wait)
        settings = settings_for(f"wss://127.0.0.1:{deepgram}/v1/agent/converse", urls, recordings)
        async with open_services(settings) as opened:
            app = create_app(settings, opened)
            config = server_config(settings)
            config.alpn_protocols = ["h2", "http/1.1"]
            install()
            await near.start(serve_app, app, authority.config(config, server_door), closing.wait)
            answer = await http.post(
                f"{urls[3]}/calls", json={"to": "+15551230000"}, headers={"Authorization": f"Bearer {OPERATOR}"}
            )
            assert answer.status_code == 201, answer.text
            call = twilio.calls[answer.json()["call_sid"]]
            await call.wait_over()
            record = await wait_record(opened.services.records, call.sid)
            closing.set()
            near.cancel_scope.deadline = trio.current_time() + 5
        far.cancel_scope.cancel(reason="the test is over")

    assert len(speak.requests) == len(opened.services.roster.agents)
    return record
