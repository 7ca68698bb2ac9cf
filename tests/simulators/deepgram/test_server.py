import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest
import trio
import trustme
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from protocol.deepgram import (
    AgentAudioDone,
    ServerMessage,
    SettingsApplied,
    Welcome,
    decode_server,
    encode_client,
)
from simulators.deepgram import DeepgramKnobs, ExchangeLog, serve_deepgram
from simulators.deepgram.log import Refused
from simulators.deepgram.server import PATH
from simulators.faults import FaultPlan, parse_faults
from tests.simulators.deepgram.client import settings_for, small_scenario

KEY = "secret"
FAST = DeepgramKnobs(settings_applied=0.0, greeting=0.0, think=0.0, tts=0.0, speed=50.0, slice_ms=200)


@asynccontextmanager
async def served(
    *, faults: Sequence[str] = (), log: ExchangeLog | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Run the service on a free port of this machine."""
    listen = partial(
        serve_deepgram,
        small_scenario(),
        knobs=FAST,
        faults=FaultPlan(parse_faults(faults)),
        api_key=KEY,
        ssl_context=tls,
        log=log,
    )
    async with trio.open_nursery() as nursery:
        yield await nursery.start(listen)
        nursery.cancel_scope.cancel(reason="test over")


def token(key: str = KEY, scheme: str = "Token") -> list[tuple[bytes, bytes]]:
    """Return the headers of a client with this key."""
    return [(b"Authorization", f"{scheme} {key}".encode())]


@asynccontextmanager
async def opened(
    at: int,
    headers: Sequence[tuple[bytes, bytes]] = tuple(token()),
    *,
    path: str = PATH,
    subprotocols: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[WebSocketConnection]:
    """Open a connection and close its TCP stream, which `open_websocket_url` leaves open when it is refused."""
    tcp = await trio.open_tcp_stream("127.0.0.1", at)
    stream = tcp if tls is None else trio.SSLStream(tcp, tls, server_hostname="localhost")
    async with tcp, trio.open_nursery() as nursery:
        yield await wrap_client_stream(
            nursery,
            cast("trio.SocketStream", stream),
            "localhost",
            path,
            subprotocols=subprotocols,
            extra_headers=list(headers),
        )
        nursery.cancel_scope.cancel(reason="test over")


async def status_of(at: int, headers: Sequence[tuple[bytes, bytes]] = tuple(token()), *, path: str = PATH) -> int:
    """Return the HTTP status of an upgrade."""
    status = 101
    try:
        async with opened(at, headers, path=path):
            pass
    except* ConnectionRejected as refused:
        (rejection,) = refused.exceptions
        assert isinstance(rejection, ConnectionRejected)
        status = rejection.status_code
    return status


async def read_until(socket: WebSocketConnection, kind: type[ServerMessage]) -> list[ServerMessage]:
    """Read messages up to the first of a kind."""
    messages: list[ServerMessage] = []
    with trio.fail_after(10):
        while not messages or not isinstance(messages[-1], kind):
            messages.append(decode_server(await socket.get_message()))
    return messages


async def test_a_client_with_the_key_holds_a_conversation() -> None:
    async with served() as at, opened(at) as socket:
        (welcome,) = await read_until(socket, Welcome)
        await socket.send_message(encode_client(settings_for()))
        await read_until(socket, AgentAudioDone)

        assert isinstance(welcome, Welcome)
        assert dict(socket.handshake_headers)[b"dg-request-id"].decode() == welcome.request_id


@pytest.mark.parametrize(
    "headers", [[], token("wrong"), token(scheme="Bearer"), token(scheme="Basic"), [(b"Authorization", b"Token")]]
)
async def test_a_client_without_the_key_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    async with served() as at:
        assert await status_of(at, headers) == 401


async def test_a_short_lived_token_is_let_in() -> None:
    async with served() as at, opened(at, token("a.b.c", "Bearer")) as socket:
        await read_until(socket, Welcome)


async def test_a_client_without_headers_may_name_its_key_as_a_subprotocol() -> None:
    async with served() as at, opened(at, (), subprotocols=["token", KEY]) as socket:
        await read_until(socket, Welcome)

        assert socket.subprotocol == "token"


async def test_another_path_does_not_exist() -> None:
    async with served() as at:
        assert await status_of(at, path="/agent") == 404


async def test_a_full_service_refuses_by_status() -> None:
    log = ExchangeLog()
    async with served(faults=["deepgram: refuse connect 1 with 429 times 1"], log=log) as at:
        assert [await status_of(at), await status_of(at)] == [429, 101]

    assert [(entry.connection, entry.status) for entry in log.of(Refused)] == [(1, 429)]


@pytest.mark.parametrize(("fault", "code"), [("drop after 0 s", 1006), ("close 1005 after 0 s", 1005)])
async def test_faults_reach_a_real_socket(fault: str, code: int) -> None:
    async with served(faults=[f"deepgram: {fault}"]) as at, opened(at) as socket:
        await socket.send_message(encode_client(settings_for(greeting=None)))
        await read_until(socket, SettingsApplied)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.get_message()

        assert closed.value.reason is not None
        assert closed.value.reason.code == code


async def test_a_client_that_vanishes_in_the_handshake_harms_nobody() -> None:
    async with served() as at:
        stream = await trio.open_tcp_stream("127.0.0.1", at)
        await stream.send_all(b"GET /v1/agent/converse HTTP/1.1\r\n")
        await stream.aclose()
        other = await trio.open_tcp_stream("127.0.0.1", at)
        await other.send_all(b"\x00\x01 not http\r\n\r\n")
        await other.aclose()
        async with opened(at) as socket:
            await read_until(socket, Welcome)


async def test_the_service_speaks_tls() -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    async with served(tls=server) as at:
        async with opened(at, tls=client) as socket:
            assert await read_until(socket, Welcome)
