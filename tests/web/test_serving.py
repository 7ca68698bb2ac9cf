"""A real server on a real port: a call over a WebSocket, a stalled peer, a drain."""

import gc
import math
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import httpx
import orjson
import pytest
import trio
import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived
from hypercorn.config import Config, Sockets
from hypercorn.trio import serve as hypercorn_serve
from hypercorn.trio.tcp_server import TCPServer
from trio.testing import MockClock, wait_all_tasks_blocked
from twilio.request_validator import RequestValidator

from actors.call_services import CallPlan
from actors.errors import AgentUnavailable
from actors.messages import CloseCall
from protocol.wire import PacedWebSocket, WebSocket
from simulators.pacing import PacedClock
from store.calls import MemoryRecords
from tests.web.fakes import (
    AUTH_TOKEN,
    CALL_SID,
    ORIGIN,
    STREAM_SID,
    Exchange,
    FakeLine,
    exchange,
    services,
    settings,
    voice_form,
)
from web import serving
from web.calls.slots import Slots
from web.clients.deepgram import open_socket
from web.serving import LimitedConfig, server_config
from web.sockets.connections import STALL_SECONDS, limit_stalled_writes
from web.sockets.pull_server import PullServer
from web.sockets.tls import TlsClient, let_go
from web.sockets.versions import WRITTEN_FOR, install
from web.worker.draining import close_calls, receive_stops, wait_drained

SIGNATURE = RequestValidator(AUTH_TOKEN).compute_signature("wss" + ORIGIN.removeprefix("https") + "/twilio", {})


@asynccontextmanager
async def listening(there: Exchange, port: int = 0) -> AsyncIterator[str]:
    """Serve an application on a port of this machine, a free one unless it is given."""
    config = server_config(attrs.evolve(there.settings, lead_server_port=port))
    closing = trio.Event()
    async with trio.open_nursery() as nursery:
        serve = partial(hypercorn_serve, there.app, config, shutdown_trigger=closing.wait, mode="asgi")
        (address,) = await nursery.start(serve)
        yield address.removeprefix("http://")
        closing.set()


@asynccontextmanager
async def stream(at: str, signature: str = SIGNATURE) -> AsyncIterator[PacedWebSocket]:
    headers = [(b"x-twilio-signature", signature.encode())]
    async with open_socket(f"ws://{at}/twilio", headers, TlsClient(ssl.create_default_context())) as media:
        yield media


async def start(media: PacedWebSocket, token: str) -> None:
    started = {
        "accountSid": "AC" + "0" * 32,
        "callSid": CALL_SID,
        "streamSid": STREAM_SID,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
    }
    await media.send_message('{"event":"connected","protocol":"Call","version":"1.0.0"}')
    frame = {"event": "start", "sequenceNumber": "1", "streamSid": STREAM_SID, "start": started}
    await media.send_message(orjson.dumps(frame).decode())


async def token_of(there: Exchange, call_sid: str = CALL_SID) -> str:
    answer = await there.twilio("/twilio/voice", voice_form(call_sid))
    return answer.text.partition('name="token" value="')[2].partition('"')[0]


async def test_a_call_comes_and_goes_over_a_real_socket() -> None:
    there = exchange()
    async with listening(there) as at, stream(at) as media:
        await start(media, await token_of(there))
        await media.send_message("hello")

        assert await media.get_message() == "hello"
        await there.slots.wait_empty()


async def test_an_unsigned_upgrade_gets_403() -> None:
    there = exchange()
    async with listening(there) as at:
        with pytest.raises(AgentUnavailable, match="HTTP 403"):
            async with stream(at, "no signature"):
                pass

    assert there.calls.plans == []


@pytest.mark.real_time
@pytest.mark.parametrize(("installed", "status"), [("0.18.0", ""), ("0.19.0", "505")])
async def test_http2_without_tls_is_not_spoken(installed: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercorn.trio.run.TCPServer", TCPServer)
    monkeypatch.setattr("web.sockets.versions._installed", {**WRITTEN_FOR, "hypercorn": installed}.get)
    install()
    client, answer = H2Connection(H2Configuration(client_side=True)), ""
    client.initiate_connection()
    client.send_headers(
        1, [(":method", "GET"), (":path", "/healthz"), (":scheme", "http"), (":authority", "x")], end_stream=True
    )
    async with listening(exchange()) as at, await trio.open_tcp_stream("127.0.0.1", int(at.split(":")[1])) as stream:
        await stream.send_all(client.data_to_send())
        while not answer and (data := await stream.receive_some()):
            heads = [event for event in client.receive_data(bytes(data)) if isinstance(event, ResponseReceived)]
            answer = dict(heads[0].headers or [])[b":status"].decode() if heads else ""

    assert answer == status


async def test_webhooks_are_answered_beside_a_running_call() -> None:
    there = exchange()

    async def listen(media: WebSocket, _: CallPlan) -> None:
        assert await media.get_message() == "over"

    there.calls.conversation = listen
    async with listening(there) as at, stream(at) as media, httpx.AsyncClient() as client:
        await start(media, await token_of(there))
        ready = (await client.get(f"http://{at}/readyz")).json()
        await media.send_message("over")

    assert (ready["ready"], len(there.calls.plans)) == (True, 1)


async def test_a_peer_that_never_answers_the_goodbye_does_not_hold_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.sockets.open_socket.CLOSE_SECONDS", 0.05)
    there, head = exchange(), b"GET /twilio HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-twilio-signature: "
    monkeypatch.setattr("web.routes.media.START_SECONDS", 0.05)
    with trio.fail_after(10):
        async with listening(there) as at:
            mute = await trio.open_tcp_stream("127.0.0.1", int(at.rpartition(":")[2]))
            async with mute:
                await mute.send_all(head + key + SIGNATURE.encode() + b"\r\n\r\n")
                while await mute.receive_some():
                    pass


@pytest.mark.parametrize(("installed", "pinged"), [("0.18.0", b""), ("0.19.0", b"\x89\x00")])
async def test_another_version_of_hypercorn_pings_by_itself(
    installed: str, pinged: bytes, monkeypatch: pytest.MonkeyPatch, fast_clock: PacedClock
) -> None:
    monkeypatch.setattr("hypercorn.trio.run.TCPServer", TCPServer)
    monkeypatch.setattr("web.sockets.versions._installed", {**WRITTEN_FOR, "hypercorn": installed}.get)
    monkeypatch.setattr("web.serving.SILENT_SECONDS", 1.0)
    monkeypatch.setattr("web.routes.media.START_SECONDS", 4.0)
    install()
    head = b"GET /twilio HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-twilio-signature: "
    with trio.fail_after(10):
        async with listening(exchange()) as at:
            async with await trio.open_tcp_stream("127.0.0.1", int(at.rpartition(":")[2])) as mute:
                await mute.send_all(head + key + SIGNATURE.encode() + b"\r\n\r\n")
                heard = b""
                while b"\x88" not in heard and (data := await mute.receive_some()):
                    heard += data

    assert heard.partition(b"\r\n\r\n")[2].startswith(pinged * 2 or b"\x88")


def test_a_listening_socket_gives_stalled_peers_up_and_so_do_those_it_accepts() -> None:
    config = LimitedConfig()
    config.bind = ["127.0.0.1:0"]
    (listener,) = config.create_sockets().insecure_sockets
    listener.listen()
    with listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == STALL_SECONDS * 1000


def test_only_tcp_has_a_limit() -> None:
    with socket.socket(socket.AF_UNIX) as local:
        limit_stalled_writes([local])  # it would raise


def test_the_server_logs_no_accesses_takes_no_large_frames_and_does_not_name_itself() -> None:
    config = server_config(settings(LEAD_SERVER_PORT="8123"))

    assert (config.accesslog, config.bind, config.websocket_max_message_size) == (None, ["127.0.0.1:8123"], 65536)
    assert [name for name, _ in config.response_headers("h11")] == [b"date"]


@attrs.define
class Signals:
    """Signals, so many seconds after one another."""

    waits: list[float]
    number: int = signal.SIGTERM

    def __aiter__(self) -> "Signals":
        return self

    async def __anext__(self) -> int:
        await trio.sleep(self.waits.pop(0) if self.waits else math.inf)
        return self.number


async def carry(slots: Slots, seconds: float) -> None:
    with slots.take("call"):
        await trio.sleep(seconds)


@pytest.mark.parametrize(
    ("times", "patience", "ends_at"),
    [((1,), 30, 10), ((1,), 5, 9), ((1,), 8, 10), ((1, 2), 30, 3), ((1, 7), 6, 8), ((12,), 30, 12)],
    ids=[
        "the last call ends",
        "patience ends",
        "the last goodbye is said",
        "a second signal",
        "a second signal at the goodbyes",
        "no call is left",
    ],
)
async def test_a_drain_ends_when(
    times: tuple[float, ...], patience: float, ends_at: float, autojump_clock: MockClock
) -> None:
    slots, began = Slots(1), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry, slots, 10)
        await wait_all_tasks_blocked()
        is_hurried = await wait_drained(Signals([*times]), slots, patience, lambda: 3)
        ended = trio.current_time() - began
        nursery.cancel_scope.cancel()

    assert (ended, slots.draining, is_hurried) == (ends_at, True, len(times) == 2)


async def test_a_terminal_that_is_closed_begins_the_drain_and_its_second_signal_hurries_nobody(
    autojump_clock: MockClock,
) -> None:
    slots, began = Slots(1), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry, slots, 10)
        await wait_all_tasks_blocked()
        is_hurried = await wait_drained(Signals([1, 1, 1], signal.SIGHUP), slots, 30, lambda: 3)

    assert (is_hurried, trio.current_time() - began) == (False, 10)


async def test_a_closed_terminal_is_no_matter_where_nohup_says_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with receive_stops():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("signals", "grace"), [(1, serving.GRACE_SECONDS), (2, 0)])
async def test_calls_that_are_left_get_the_grace_unless_a_second_signal_hurries(
    signals: int, grace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots, chosen = Slots(1), settings(LEAD_SERVER_PORT="0", DATABASE_URL="memory:", DRAIN_TIMEOUT="0")
    config, graces = server_config(chosen), list[float]()

    async def serve(
        _: object, told: LimitedConfig, *, shutdown_trigger: Callable[[], Awaitable[object]], **__: object
    ) -> None:
        assert told is config
        await shutdown_trigger()
        graces.append(told.graceful_timeout)

    monkeypatch.setattr("web.serving.hypercorn_serve", serve)
    monkeypatch.setattr("web.serving.close_calls", lambda _: 0.0 if signals == 1 else math.inf)
    monkeypatch.setattr("web.from_settings.Slots", lambda *_: slots)
    with slots.take("call"):
        await serving.serve_until(Signals(signals * [0.01]), chosen, config)

    assert graces == [grace]


async def test_no_goodbye_is_asked_for_where_no_call_is_left(autojump_clock: MockClock) -> None:
    slots, asked = Slots(1), list[str]()

    def close() -> float:
        asked.append("goodbye")
        return 3

    await wait_drained(Signals([1]), slots, 5, close)

    assert asked == []


async def test_every_running_call_is_asked_to_close_at_the_end_of_the_drain(autojump_clock: MockClock) -> None:
    offered = services(FakeLine(), MemoryRecords())
    with offered.intercom.open("CA1") as first, offered.intercom.open("CA2") as second:
        seconds = close_calls(offered)

        assert [first.receive_nowait(), second.receive_nowait()] == 2 * [CloseCall("drained")]
    assert seconds == offered.policy.deadlines.longest_closing


async def test_serving_ends_with_a_signal_and_the_collector_spares_what_stays_until_then() -> None:
    spared = gc.get_freeze_count()
    chosen = settings(LEAD_SERVER_PORT="0", DATABASE_URL="memory:")
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serving.serve_calls, chosen))
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{address}/readyz")).json()["ready"]
        assert gc.get_freeze_count() > spared
        signal.raise_signal(signal.SIGTERM)


def test_an_address_that_cannot_be_listened_on_is_told_with_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Config) -> Sockets:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(Config, "create_sockets", refuse)
    config = LimitedConfig()
    config.bind = ["127.0.0.1:8000"]
    with pytest.raises(OSError, match="Address already in use") as refused:
        config.create_sockets()

    assert "127.0.0.1:8000" in str(refused.value)
    assert "LEAD_SERVER_HOST and LEAD_SERVER_PORT" in str(refused.value)


def streams_of_tls() -> int:
    return sum(isinstance(each, trio.SSLStream) for each in gc.get_objects())


async def test_a_connection_that_is_over_takes_its_tls_with_it(tmp_path: Path) -> None:
    """Twilio opens one for each webhook: 20 kB that the collector would leave while calls run."""
    authority, there = trustme.CA(), exchange()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    config, closing = server_config(attrs.evolve(there.settings, lead_server_port=0)), trio.Event()
    config.certfile = config.keyfile = str(tmp_path / "both.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    install()
    async with trio.open_nursery() as nursery:
        serve = partial(hypercorn_serve, there.app, config, shutdown_trigger=closing.wait, mode="asgi")
        (address,) = await nursery.start(serve)
        gc.collect()
        gc.disable()
        try:
            most = streams_of_tls() + 1  # the loop that accepts holds the last one
            for _ in range(3):
                await ask_once(int(address.rpartition(":")[2]), trusting)
            with trio.move_on_after(3):
                while streams_of_tls() > most:  # noqa: ASYNC110 - the last one is being closed
                    await trio.sleep(0.01)
            assert streams_of_tls() <= most
        finally:
            gc.enable()
            closing.set()


@pytest.mark.parametrize("server", [PullServer, TCPServer])
@pytest.mark.parametrize("body", [b"", b"more", b"m"])
async def test_a_request_whose_client_has_left_is_answered_no_further(
    server: type[TCPServer], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever task learns of it, and whether its body has come whole, in part, or is none."""
    monkeypatch.setattr("hypercorn.trio.run.TCPServer", server)
    there, began, left = exchange(), trio.Event(), trio.Event()

    async def answer_never() -> str:
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            left.set()

    there.app.view_functions["health.healthz"] = answer_never
    config, closing = server_config(attrs.evolve(there.settings, lead_server_port=0)), trio.Event()
    async with trio.open_nursery() as nursery:
        serve = partial(hypercorn_serve, there.app, config, shutdown_trigger=closing.wait, mode="asgi")
        (address,) = await nursery.start(serve)
        client = await trio.open_tcp_stream("127.0.0.1", int(address.rpartition(":")[2]))
        length = b"Content-Length: 4\r\n" if body else b""
        await client.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n" + body)
        await began.wait()
        await client.aclose()
        await left.wait()
        closing.set()


async def ask_once(port: int, trusting: ssl.SSLContext) -> None:
    client = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=trusting, https_compatible=True)
    await client.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    while await client.receive_some():
        pass
    let_go(client)
    await client.aclose()
