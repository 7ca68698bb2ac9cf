"""HTTP/2 over TLS, as a proxy may speak it: one request of a stranger's ends no connection with others' calls on it."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from tests.web.test_pull_server import serving
from web.sockets.pull_server import Http2

ALIVE, ASKED = 101, 1
"""Streams: of the request that must be answered all the same, and of the odd one before it."""
SOCKET = ((":method", b"CONNECT"), (":protocol", b"websocket"), ("sec-websocket-version", b"13"))


async def hasty(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer before anything of the body was read, as a stranger is."""
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class Client:
    """One connection, on which requests are written as nobody should."""

    def __init__(self, stream: "trio.SSLStream[trio.SocketStream]") -> None:
        self.stream, self.statuses = stream, dict[int, str]()
        quiet = H2Configuration(client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False)
        self.h2 = H2Connection(quiet)
        self.h2.initiate_connection()

    def ask(self, stream: int, *fields: tuple[str, bytes], ends: bool = True, **other: bytes) -> None:
        usual = {":method": b"POST", ":path": b"/calls", ":scheme": b"https", ":authority": b"localhost"}
        headers = {**usual, **{f":{name}": value for name, value in other.items()}, **dict(fields)}
        self.h2.send_headers(stream, [(name, value) for name, value in headers.items() if value], end_stream=ends)

    async def wait_answer(self, stream: int) -> str:
        with trio.fail_after(5):
            await self.stream.send_all(self.h2.data_to_send())
            while stream not in self.statuses:
                data = await self.stream.receive_some(65536)
                assert data, "the connection is gone"
                for event in self.h2.receive_data(bytes(data)):
                    if isinstance(event, ResponseReceived):
                        self.statuses[event.stream_id or 0] = dict(event.headers or [])[b":status"].decode()
                await self.stream.send_all(self.h2.data_to_send())
        return self.statuses[stream]


@asynccontextmanager
async def connected(monkeypatch: pytest.MonkeyPatch, folder: Path) -> AsyncIterator[Client]:
    monkeypatch.setattr("hypercorn.protocol.H2Protocol", Http2)
    authority, trusting = trustme.CA(), ssl.create_default_context()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.configure_trust(trusting)
    trusting.set_alpn_protocols(["h2"])
    async with serving(hasty, monkeypatch, certificate=folder / "server.pem") as port:
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        stream = trio.SSLStream(tcp, trusting, server_hostname="localhost", https_compatible=True)
        await stream.do_handshake()
        yield Client(stream)
        await trio.aclose_forcefully(stream)


async def test_a_body_behind_its_answer_ends_no_connection_and_fills_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with connected(monkeypatch, tmp_path) as client:
        for stream in range(1, 2 * 20, 2):
            client.ask(stream, ends=False)
            assert await client.wait_answer(stream) == "401"
            client.h2.send_data(stream, bytes(10_000), end_stream=True)  # 200 kB: more than a connection's window
        client.ask(ALIVE)

        assert await client.wait_answer(ALIVE) == "401"


@pytest.mark.parametrize(
    "odd",
    [
        lambda client: client.ask(ASKED, method=b"CONNECT", path=b"", scheme=b"", ends=False),
        lambda client: client.ask(ASKED, path=b"/\xff"),
        lambda client: client.ask(ASKED, method=b"\xff"),
        lambda client: client.ask(ASKED, *SOCKET, ("sec-websocket-extensions", b"\xff"), ends=False),
        lambda client: client.ask(ASKED, *SOCKET, ("sec-websocket-protocol", b"\xff"), ends=False),
    ],
    ids=["a CONNECT to another host", "a path in no known letters", "such a method", "extensions", "a protocol"],
)
async def test_a_request_that_is_none_ends_itself_alone(
    odd: Callable[[Client], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with connected(monkeypatch, tmp_path) as client:
        odd(client)
        assert await client.wait_answer(ASKED) == "400"
        client.ask(ALIVE)

        assert await client.wait_answer(ALIVE) == "401"


@pytest.mark.parametrize("fields", [{"method": b"CONNECT", "path": b"", "scheme": b""}, {"path": b"/\xff"}, {}])
async def test_a_request_that_is_taken_back_at_once_ends_itself_alone(
    fields: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with connected(monkeypatch, tmp_path) as client:
        client.ask(ASKED, ends=False, **fields)
        client.h2.reset_stream(ASKED)
        client.ask(ALIVE)

        assert await client.wait_answer(ALIVE) == "401"
