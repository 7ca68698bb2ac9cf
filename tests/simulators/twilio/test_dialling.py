"""The media socket is opened as Twilio opens it, and a failure carries Twilio's code; over real loopback sockets."""

import ssl

import pytest
import trio
import trio_websocket
import trustme

from simulators.twilio import dialling
from simulators.twilio.dialling import StreamError, dial_stream
from simulators.twilio.serving import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN, api_keys_from, credentials_from

HEADERS = [(b"x-twilio-signature", b"abc")]


async def accept(request: trio_websocket.WebSocketRequest) -> None:
    socket = await request.accept()
    await socket.send_message(dict(request.headers)[b"x-twilio-signature"].decode())


async def refuse(request: trio_websocket.WebSocketRequest) -> None:
    await request.reject(403)


async def listen(nursery: trio.Nursery, handler: object, context: ssl.SSLContext | None = None) -> int:
    server: trio_websocket.WebSocketServer = await nursery.start(
        trio_websocket.serve_websocket, handler, "127.0.0.1", 0, context
    )
    return int(server.port)


def certificates(name: str = "127.0.0.1") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(name).configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def test_the_signature_reaches_the_server() -> None:
    async with trio.open_nursery() as nursery:
        port = await listen(nursery, accept)
        async with dial_stream(f"ws://127.0.0.1:{port}/twilio", HEADERS) as socket:
            assert await socket.get_message() == "abc"
        nursery.cancel_scope.cancel()


async def test_tls_is_verified_with_the_context_given() -> None:
    server, client = certificates()
    async with trio.open_nursery() as nursery:
        port = await listen(nursery, accept, server)
        async with dial_stream(f"wss://127.0.0.1:{port}/twilio", HEADERS, ssl_context=client) as socket:
            assert await socket.get_message() == "abc"
        nursery.cancel_scope.cancel()


async def refusal(url: str, context: ssl.SSLContext | None = None) -> int:
    with pytest.raises(StreamError) as refused:
        async with dial_stream(url, HEADERS, ssl_context=context):
            raise AssertionError("connected")
    return refused.value.code


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.aclose()


async def test_a_server_that_hangs_up_on_the_upgrade_is_31901(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "HANDSHAKE_SECONDS", 0.1)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, hang_up, 0)
        assert await refusal(f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/twilio") == 31901
        nursery.cancel_scope.cancel()


async def test_an_upgrade_answered_with_anything_but_101_is_31920() -> None:
    async with trio.open_nursery() as nursery:
        port = await listen(nursery, refuse)
        assert await refusal(f"ws://127.0.0.1:{port}/twilio") == 31920
        nursery.cancel_scope.cancel()


async def test_a_closed_port_is_31902() -> None:
    with trio.socket.socket() as socket:
        await socket.bind(("127.0.0.1", 0))
        assert await refusal(f"ws://127.0.0.1:{socket.getsockname()[1]}/twilio") == 31902


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:99999/", "ws://127.0.0.1:port/", "ws://[::1/", "ws://a..b/", "ws://127.0.0.1:9/zoë"]
)
async def test_a_url_that_is_none_is_31923(url: str) -> None:
    assert await refusal(url) == 31923


async def test_a_certificate_nobody_vouches_for_is_31910() -> None:
    server, _ = certificates()
    async with trio.open_nursery() as nursery:
        port = await listen(nursery, accept, server)
        assert await refusal(f"wss://127.0.0.1:{port}/twilio", ssl.create_default_context()) == 31910
        nursery.cancel_scope.cancel()


async def test_a_server_that_never_answers_the_upgrade_is_31901(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "HANDSHAKE_SECONDS", 0.05)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener:
        assert await refusal(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/twilio") == 31901


def test_the_account_comes_from_the_environment_or_is_the_documented_default() -> None:
    assert credentials_from({}) == (DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN)
    assert credentials_from({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"}) == ("AC1", "t")
    assert credentials_from({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "new, old"}) == ("AC1", "new")
    assert api_keys_from({"TWILIO_API_KEY": "SK1", "TWILIO_API_SECRET": "s"}) == {"SK1": "s"}
    assert api_keys_from({"TWILIO_API_KEY": "SK1"}) == {}
