"""hypercorn with our connection in it: the handshake is hypercorn's, the messages are read by who wants them."""

import gc
import os
import socket
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import hypercorn.trio.run
import orjson
import pytest
import trio
import trustme
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.trio import serve
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveCallable,
    ASGISendCallable,
    ConnectionState,
    Framework,
    Scope,
)
from structlog.testing import capture_logs
from trio.testing import MockClock, assert_no_checkpoints, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed
from wsproto.frame_protocol import FrameProtocol

from actors.errors import AgentUnavailable
from protocol import frames
from protocol.wire import PacedWebSocket
from simulators.pacing import PacedClock
from web.clients.deepgram import open_socket
from web.sockets.asgi_events import HEADERS, accept
from web.sockets.connections import Connections, limit_stalled_writes, vouch
from web.sockets.frame_stream import write_some
from web.sockets.open_socket import OpenSocket
from web.sockets.pull_server import PullServer
from web.sockets.tls import TlsClient
from web.sockets.versions import MAX_MESSAGE_BYTES, SILENT_SECONDS, WRITTEN_FOR, install

App = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]
KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
PING = b"\x89\x00"
NGINX_SECONDS = 60
"""So long nginx waits for something from us, unless it is told otherwise."""
UPGRADE = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + KEY


@asynccontextmanager
async def serving(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    limit: int = 1000,
    connections: Connections | None = None,
    certificate: Path | None = None,
) -> AsyncIterator[int]:
    monkeypatch.setattr("hypercorn.trio.run.TCPServer", partial(PullServer, connections=connections))
    config = Config()
    config.bind, config.errorlog, config.graceful_timeout = ["127.0.0.1:0"], None, 0.1
    config.websocket_max_message_size = limit
    config.certfile = config.keyfile = str(certificate) if certificate else None
    closing = trio.Event()

    async def with_lifespan(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await app(scope, receive, send)

    async with trio.open_nursery() as nursery:
        run = partial(serve, cast("Framework", with_lifespan), config, shutdown_trigger=closing.wait, mode="asgi")
        (address,) = await nursery.start(run)
        yield int(address.rpartition(":")[2])
        closing.set()


def dial(port: int) -> AbstractAsyncContextManager[PacedWebSocket]:
    return open_socket(f"ws://127.0.0.1:{port}/", [], TlsClient(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))


async def accepted(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> OpenSocket:
    assert scope["type"] == "websocket"
    return await accept(scope, receive, send)


async def echo(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Say everything again, until "close" or the end; then return, without a goodbye of its own."""
    socket = await accepted(scope, receive, send)
    try:
        while (message := await socket.get_message()) != "close":
            await socket.send_message(message)
    except ConnectionClosed as gone:
        ENDS.append(gone.reason.code if gone.reason else 0)
        return
    await socket.aclose(4001, "as you wish")


ENDS: list[int] = []


@pytest.fixture(autouse=True)
def _no_ends() -> None:
    ENDS.clear()


async def test_messages_go_both_ways_and_the_application_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo, monkeypatch) as port, dial(port) as peer:
        for message in ("text", b"binary", "", "x" * 1000):
            await peer.send_message(message)
            assert await peer.get_message() == message
        await peer.send_message("close")
        with pytest.raises(ConnectionClosed) as gone:
            await peer.get_message()

    assert gone.value.reason is not None
    assert (gone.value.reason.code, gone.value.reason.reason) == (4001, "as you wish")


async def test_messages_go_both_ways_over_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority, certificate = trustme.CA(), tmp_path / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(echo, monkeypatch, certificate=certificate) as port:
        for _ in range(10):
            async with open_socket(f"wss://127.0.0.1:{port}/", [], TlsClient(trusting)) as peer:
                await peer.send_message("text")
                assert await peer.get_message() == "text"


async def test_a_websocket_that_is_read_here_keeps_no_reader_of_hypercorns(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [one for one in gc.get_objects() if isinstance(one, FrameProtocol)]
    async with serving(echo, monkeypatch) as port, dial(port) as peer:
        await peer.send_message("text")
        await peer.get_message()
        gc.collect()

        assert not [one for one in gc.get_objects() if isinstance(one, FrameProtocol) and one not in others]


async def test_the_peers_close_is_answered_and_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo, monkeypatch) as port, dial(port) as peer:
        with trio.fail_after(10):
            await peer.aclose(4002)

    assert ENDS == [4002]


async def test_a_peer_that_drops_the_connection_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo, monkeypatch) as port:
        stream = await upgraded(port)
        await stream.aclose()

    assert ENDS == [1006]


async def test_a_message_over_the_servers_limit_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo, monkeypatch) as port, dial(port) as peer:
        await peer.send_message("x" * 1001)
        with pytest.raises(ConnectionClosed) as gone:
            await peer.get_message()

    assert gone.value.reason is not None
    assert gone.value.reason.code == 1009


async def test_a_server_that_was_given_no_limit_has_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo, monkeypatch, limit=Config().websocket_max_message_size) as port, dial(port) as peer:
        await peer.send_message("x" * MAX_MESSAGE_BYTES)
        assert len(await peer.get_message()) == MAX_MESSAGE_BYTES
        await peer.send_message("x" * (MAX_MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed) as gone:
            await peer.get_message()

    assert gone.value.reason is not None
    assert gone.value.reason.code == 1009


async def test_an_application_that_just_returns_has_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await accepted(scope, receive, send)

    async with serving(leave, monkeypatch) as port, dial(port) as peer:
        with pytest.raises(ConnectionClosed) as gone:
            await peer.get_message()

    assert gone.value.reason is not None
    assert gone.value.reason.code == 1006


async def test_an_upgrade_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": None})

    async with serving(refuse, monkeypatch) as port:
        with pytest.raises(AgentUnavailable, match="HTTP 403"):
            async with dial(port):
                pass


async def test_a_peer_that_leaves_before_it_is_accepted_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    left = trio.Event()

    async def slow(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await left.wait()
        await trio.sleep(0.02)
        socket = await accepted(scope, receive, send)
        with pytest.raises(ConnectionClosed):
            await socket.get_message()
        ENDS.append(1)

    async with serving(slow, monkeypatch) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(UPGRADE + b"\r\n")
        await stream.aclose()
        left.set()

    assert ENDS == [1]


async def test_a_peer_that_leaves_while_it_is_accepted_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await receive()  # that the peer has left: hypercorn closes in this turn, or in the next
        with pytest.raises(ConnectionClosed):
            await (await accepted(scope, receive, send)).get_message()
        ENDS.append(1)

    async with serving(late, monkeypatch) as port:
        for _ in range(20):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(UPGRADE + b"\r\n")
            await stream.aclose()
        with trio.fail_after(10):
            while len(ENDS) < 20:
                await wait_all_tasks_blocked(0.01)

    assert ENDS == [1] * 20


async def test_compression_is_not_agreed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo, monkeypatch) as port:
        stream = await upgraded(port, b"Sec-WebSocket-Extensions: permessage-deflate\r\n", refusing=b"deflate")
        await stream.send_all(frames.message_frame("plain", masked=True))

        assert bytes(await stream.receive_some()) == frames.message_frame("plain", masked=False)
        await stream.aclose()


async def test_frames_that_come_right_behind_the_upgrade_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo, monkeypatch) as port:
        for _ in range(20):
            stream = await upgraded(port)
            await stream.send_all(b"".join(frames.message_frame(word, masked=True) for word in ("a", "b", "c")))
            heard = b""
            while len(heard) < 9:
                heard += await stream.receive_some()
            await stream.aclose()

            assert heard == b"\x81\x01a\x81\x01b\x81\x01c"


async def test_a_peer_that_is_sent_nothing_is_pinged_before_a_proxy_gives_up(
    monkeypatch: pytest.MonkeyPatch, fast_clock: PacedClock
) -> None:
    monkeypatch.setattr("web.sockets.pull_server.SILENT_SECONDS", 1.0)
    async with serving(echo, monkeypatch) as port:
        stream = await upgraded(port)
        heard = b""
        while len(heard) < 2 * len(PING):
            heard += await stream.receive_some()
        await stream.aclose()

    assert heard == PING * 2
    assert 2 * SILENT_SECONDS < NGINX_SECONDS  # it was sent something right after one look, and nothing before the next


async def test_a_connection_that_is_open_when_the_server_closes_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo, monkeypatch) as port:
        stream = await upgraded(port)

    assert await stream.receive_some() == b""
    await stream.aclose()


@pytest.mark.real_time
async def test_what_is_no_websocket_is_hypercorns_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": [], "trailers": False})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with serving(answer, monkeypatch) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        for _ in range(2):
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 204")
        await stream.aclose()


@pytest.mark.real_time
@pytest.mark.parametrize(("sent", "closes"), [(b"half", True), (b"whole", False)])
async def test_a_connection_says_that_it_closes_where_an_answer_came_before_the_body(
    sent: bytes, closes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with a pool would send its next request into it, and hear nothing."""

    async def refuse(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 413, "headers": [], "trailers": False})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with serving(refuse, monkeypatch) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            length = len(sent) + 1000 * closes
            await stream.send_all(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%b" % (length, sent))

            answer = bytes(await stream.receive_some())
            assert answer.startswith(b"HTTP/1.1 413")
            assert (b"connection: close\r\n" in answer.lower()) is closes
            assert (await is_closed(stream)) is closes


@pytest.mark.real_time
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux gives such a peer up")
async def test_a_peer_that_reads_nothing_keeps_no_server_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    """It came before anybody could set a limit on the listening socket, as under hypercorn's own command."""
    monkeypatch.setattr("web.sockets.pull_server.limit_stalled_writes", partial(limit_stalled_writes, seconds=0.5))

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": False})
        await send({"type": "http.response.body", "body": bytes(2**24), "more_body": False})

    async def leave() -> None:
        await trio.sleep(8)
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as peers:
        async with serving(answer, monkeypatch) as port:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            peers.start_soon(leave)
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            await stream.receive_some(1)
            await wait_all_tasks_blocked(0.05)  # the answer fills all buffers
        assert stream.socket.fileno() >= 0
        peers.cancel_scope.cancel(reason="end of the test")
    await trio.aclose_forcefully(stream)


@pytest.mark.real_time
async def test_an_answer_for_which_there_is_no_room_comes_whole_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [bytes([number]) * 1_000_000 for number in range(8)]

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        length = [(b"content-length", b"8000000"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": length, "trailers": False})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": part is not parts[-1]})

    async with serving(answer, monkeypatch) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        await wait_all_tasks_blocked(0.01)
        read = b"".join([bytes(some) async for some in stream])
        await stream.aclose()

    assert read.partition(b"\r\n\r\n")[2] == b"".join(parts)


# How many, and for how long


async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer a request once its body is there."""
    while (event := await receive())["type"] == "http.request" and event["more_body"]:
        """There is more."""
    await send({"type": "http.response.start", "status": 204, "headers": [], "trailers": False})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def has_answer(stream: trio.SocketStream) -> bool:
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    return bytes(await stream.receive_some()).startswith(b"HTTP/1.1 204")


async def is_closed(stream: trio.SocketStream) -> bool:
    with trio.move_on_after(0.3), suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            """It is answered, or half of something."""
        return True
    return False


class Newcomer:
    """A connection that has just come."""

    waits, vouched = True, False

    def leave(self) -> None:
        pass

    def leave_with_server(self) -> None:
        """Stay: nobody closes."""


IDLE = {
    "nothing": b"",
    "half a request": b"GET / HTTP/1.1\r\nHo",
    "half a body": b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n12345",
    "one request": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
}


@pytest.mark.parametrize("said", IDLE.values(), ids=IDLE)
@pytest.mark.real_time
async def test_a_connection_that_waits_for_its_peer_leaves_for_a_new_one(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(answer, monkeypatch, connections=Connections(most=4)) as port, AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port)) for _ in range(2)]
        for stream in waiting:
            await stream.send_all(said)
        await trio.sleep(0.05)
        newest = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))

        assert await has_answer(newest)
        assert [await is_closed(stream) for stream in waiting] == [True, False]


@pytest.mark.real_time
async def test_a_connection_that_has_shown_a_credential_leaves_last(monkeypatch: pytest.MonkeyPatch) -> None:
    async def vouching(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        vouch(scope)
        await answer(scope, receive, send)

    async with serving(vouching, monkeypatch, connections=Connections(most=4)) as port, AsyncExitStack() as stack:
        known = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
        assert await has_answer(known)
        strangers = [await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port)) for _ in range(3)]

        assert [await is_closed(stream) for stream in strangers] == [True, True, False]
        assert await has_answer(known)


@pytest.mark.real_time
async def test_a_request_that_is_being_answered_is_not_cut_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = trio.Event()

    async def slow(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await go_on.wait()
        await answer(scope, receive, send)

    async with serving(slow, monkeypatch, connections=Connections(most=2)) as port, AsyncExitStack() as stack:
        first = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
        await first.send_all(IDLE["one request"])
        await trio.sleep(0.05)
        second = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))

        assert await is_closed(second)
        go_on.set()
        assert bytes(await first.receive_some()).startswith(b"HTTP/1.1 204")


async def test_a_request_that_has_come_and_is_not_read_yet_is_not_cut_for_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections = Connections(most=4)
    async with serving(answer, monkeypatch, connections=connections) as port, AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port)) for _ in "ab"]
        assert [await has_answer(first), await has_answer(second)] == [True, True]
        await wait_all_tasks_blocked()
        os.write(first.socket.fileno(), IDLE["one request"])  # in one step with the next line: nobody reads meanwhile
        stack.enter_context(connections.hold(Newcomer(), "127.0.0.1"))

        assert bytes(await first.receive_some()).startswith(b"HTTP/1.1 204")
        assert await is_closed(second)


@pytest.mark.real_time
async def test_a_connection_that_has_shown_a_credential_outlives_a_proxys_idea_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy that sends a webhook as we close would answer it with 502 itself."""
    monkeypatch.setattr("hypercorn.config.Config.keep_alive_timeout", 0.2)
    monkeypatch.setattr("web.sockets.pull_server.VOUCHED_SECONDS", 0.9)
    credentials = iter([True, False])

    async def some_vouching(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        if next(credentials):
            vouch(scope)
        await answer(scope, receive, send)

    async with serving(some_vouching, monkeypatch) as port, AsyncExitStack() as stack:
        vouched, other = [await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port)) for _ in "ab"]
        assert [await has_answer(vouched), await has_answer(other)] == [True, True]
        await trio.sleep(0.3)
        early = [await is_closed(vouched), await is_closed(other)]
        await trio.sleep(0.3)

        assert (early, await is_closed(vouched)) == ([False, True], True)


@pytest.mark.real_time
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("secure", [False, True])
async def test_a_request_that_comes_as_the_time_for_it_is_up_is_answered(
    is_first: bool, secure: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a machine that stands still for a moment, both are there when it goes on."""
    monkeypatch.setattr("hypercorn.config.Config.keep_alive_timeout", 0.2)
    authority, certificate, told = trustme.CA(), tmp_path / "both.pem", list[str]()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def answer_later(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.sleep(0.05)
        told.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 204, "headers": [], "trailers": False})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    connected = trio.Event()

    def ask(port: int) -> list[bytes]:
        with socket.create_connection(("127.0.0.1", port), 5) as tcp, ExitStack() as stack:
            peer = stack.enter_context(trusting.wrap_socket(tcp, server_hostname="127.0.0.1")) if secure else tcp
            for _ in range(not is_first):
                peer.sendall(IDLE["one request"])
                peer.recv(1000)
            trio.from_thread.run_sync(connected.set)
            time.sleep(0.1)
            peer.sendall(IDLE["one request"])
            return [peer.recv(1000)[:12], peer.recv(1000)]

    async with serving(answer_later, monkeypatch, certificate=certificate if secure else None) as port:
        async with trio.open_nursery() as nursery:
            answers = list[bytes]()

            async def visit() -> None:
                answers.extend(await trio.to_thread.run_sync(ask, port))

            nursery.start_soon(visit)
            await connected.wait()
            await trio.sleep(0.05)
            time.sleep(0.3)  # noqa: ASYNC251 - the whole server stands still

    assert answers == [b"HTTP/1.1 204", b""]
    assert "http.disconnect" not in told


async def test_a_request_that_comes_before_its_reader_is_told_that_the_time_is_up_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time is over, and the request comes before the task that reads has its turn."""
    monkeypatch.setattr("hypercorn.config.Config.keep_alive_timeout", 0.1)
    readers, closing_time = list[trio.CancelScope](), PullServer._closing_time

    def noted(server: PullServer) -> float:
        readers.append(server._reader)
        return closing_time(server)

    monkeypatch.setattr(PullServer, "_closing_time", noted)
    async with serving(answer, monkeypatch) as port:
        with socket.create_connection(("127.0.0.1", port), 5) as peer:

            class Between(trio.abc.Instrument):
                """The scheduler, as it is about to run the tasks of a turn."""

                def before_task_step(self, task: trio.lowlevel.Task) -> None:
                    if readers and trio.current_time() >= readers[0].deadline:
                        readers.clear()
                        peer.sendall(IDLE["one request"])

            trio.lowlevel.add_instrument(between := Between())
            said = await trio.to_thread.run_sync(peer.recv, 1000)
            trio.lowlevel.remove_instrument(between)

    assert said.startswith(b"HTTP/1.1 204")


async def test_a_call_is_no_longer_one_of_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo, monkeypatch, connections=Connections(most=2)) as port, dial(port) as peer:
        for _ in range(5):
            async with await trio.open_tcp_stream("127.0.0.1", port):
                await trio.sleep(0.01)
        await peer.send_message("still here")

        assert await peer.get_message() == "still here"


async def ask(port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        await stream.receive_some()


async def talk(port: int) -> None:
    async with dial(port) as peer:
        await peer.send_message("close")
        with pytest.raises(ConnectionClosed):
            await peer.get_message()


async def talk_and_leave(port: int) -> None:
    async with dial(port) as peer:
        await peer.send_message("text")


async def be_refused(port: int) -> None:
    with pytest.raises(AgentUnavailable):
        await talk(port)


async def refuse(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 4003, "reason": None})


@pytest.mark.parametrize(
    ("app", "use"),
    [(answer, ask), (echo, talk), (echo, talk_and_leave), (refuse, be_refused)],
    ids=["a request", "the server closes", "the peer leaves", "a refusal"],
)
async def test_a_connection_that_is_over_is_free_without_the_collector(
    app: App, use: Callable[[int], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, peer_of = list[weakref.ref[PullServer]](), PullServer._peer

    def noted(server: PullServer) -> str:
        made.append(weakref.ref(server))
        return peer_of(server)

    monkeypatch.setattr(PullServer, "_peer", noted)
    gc.disable()
    try:
        async with serving(app, monkeypatch) as port:
            for _ in range(3):
                await use(port)
            await wait_all_tasks_blocked(0.05)
            assert [ref() for ref in made] == [None] * 3
    finally:
        gc.enable()


@pytest.mark.real_time
async def test_idle_connections_do_not_hold_a_server_that_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        async with serving(answer, monkeypatch) as port:
            for said in ("nothing", "one request"):
                stream = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
                await stream.send_all(IDLE[said])
            await trio.sleep(0.05)
            closing_at = trio.current_time()

        assert trio.current_time() - closing_at < 0.09  # hypercorn cuts what is left after 0.1 s


async def test_a_request_that_is_none_closes_its_connection_and_no_task_reads_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A socket that was closed has no number, and trio has one task at most that waits for it."""
    statuses = list[bytes]()
    with capture_logs() as logs:
        async with serving(echo, monkeypatch) as port:
            for wrong in (b"Content-Length: -1", b"Host: b", b"Content-Length: 1\r\nContent-Length: 2"):
                async with await trio.open_tcp_stream("127.0.0.1", port) as peer:
                    await peer.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n" + wrong + b"\r\n\r\n")
                    answer = b"".join([part async for part in peer])
                statuses.append(answer.split()[1])

    assert (statuses, logs) == ([b"400"] * 3, [])


@pytest.mark.real_time
async def test_a_connection_that_crashes_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks that write at once are the crash that has been seen: hypercorn's server ended with it."""

    async def crash(self: PullServer, event: Event) -> None:
        raise trio.BusyResourceError("another task is currently sending data on this SocketStream")

    with capture_logs() as logs:
        async with serving(echo, monkeypatch) as port, dial(port) as call:
            monkeypatch.setattr(PullServer, "protocol_send", crash)
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"no request\r\n\r\n")
                assert await is_closed(stream)
            await call.send_message("still here")

            assert await call.get_message() == "still here"
    assert [line["event"] for line in logs] == ["connection_crashed"]


class SlowStream(trio.abc.HalfCloseableStream):
    """A stream that notes what is done to it; its socket is another's."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self.done, self.socket = list[str](), socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append("send begins")
        await trio.sleep(1)
        self.done.append("send ends")

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await trio.sleep_forever()

    async def send_eof(self) -> None:
        self.done.append("eof")
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.done.append("close")
        await trio.lowlevel.checkpoint()


async def test_a_connection_is_not_closed_under_a_task_that_writes(autojump_clock: MockClock) -> None:
    ours, peer = socket_pair()
    stream = SlowStream(ours.socket)
    as_theirs = cast("trio.SSLStream[trio.SocketStream]", stream)
    server = PullServer(cast("AppWrapper", None), Config(), WorkerContext(None), ConnectionState({}), as_theirs)
    async with ours, peer, trio.open_nursery() as nursery:
        nursery.start_soon(server.protocol_send, RawData(b"an answer"))
        await wait_all_tasks_blocked()
        nursery.start_soon(server._close)

    assert stream.done[:3] == ["send begins", "send ends", "eof"]


async def test_a_connection_is_closed_without_a_turn_of_the_scheduler() -> None:
    ours, peer = socket_pair()
    as_theirs = cast("trio.SSLStream[trio.SocketStream]", ours)
    server = PullServer(cast("AppWrapper", None), Config(), WorkerContext(None), ConnectionState({}), as_theirs)
    async with peer:
        await server.protocol_send(RawData(b"an answer"))
        with assert_no_checkpoints():
            await server._close()

        assert await peer.receive_some() == b"an answer"
        assert await peer.receive_some() == b""


async def test_what_is_sent_later_does_not_overtake_what_still_waits_for_room() -> None:
    ours, peer = socket_pair()
    server = PullServer(
        cast("AppWrapper", None),
        Config(),
        WorkerContext(None),
        ConnectionState({}),
        cast("trio.SSLStream[trio.SocketStream]", ours),
    )
    long, came = b"a" * 4_000_000, bytearray()
    async with ours, peer, trio.open_nursery() as nursery:
        nursery.start_soon(server.protocol_send, RawData(long))
        await wait_all_tasks_blocked()
        came += await peer.receive_some(100_000)  # there is some room again, and the first still waits for its turn
        nursery.start_soon(server.protocol_send, RawData(b"b"))
        while len(came) <= len(long):
            came += await peer.receive_some()

    assert came.find(b"b") == len(long)


@pytest.mark.parametrize(
    ("method", "headers", "writes"),
    [
        (b"GET", [(b"content-length", b"4")], [b"200|body"]),
        (b"HEAD", [(b"content-length", b"4")], [b"200|"]),
        (b"GET", [], [b"200|", b"4\r\nbody\r\n", b"0\r\n\r\n"]),  # a stream: its head does not wait for what comes
    ],
)
async def test_an_answer_of_known_length_is_written_at_once(
    method: bytes, headers: list[tuple[bytes, bytes]], writes: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = list[bytes]()

    def write(socket: trio.socket.SocketType, data: bytes) -> int:
        is_head = data.startswith(b"HTTP/1.1 200")
        written.append(b"200|" + data.partition(b"\r\n\r\n")[2] if is_head else data)
        return write_some(socket, data)

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
        await send({"type": "http.response.body", "body": b"body", "more_body": False})

    monkeypatch.setattr("web.sockets.pull_server.write_some", write)
    async with serving(app, monkeypatch) as port:
        peer = await trio.open_tcp_stream("127.0.0.1", port)
        async with peer:
            await peer.send_all(method + b" / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            async for _ in peer:
                pass

    assert written == writes


def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    one, other = trio.socket.socketpair()
    return trio.SocketStream(one), trio.SocketStream(other)


async def upgraded(port: int, headers: bytes = b"", refusing: bytes = b"never") -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(UPGRADE + headers + b"\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some()
    assert head.startswith(b"HTTP/1.1 101")
    assert refusing not in head
    return stream


async def test_another_version_of_hypercorn_keeps_its_own_connection_and_its_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.sockets.versions._installed", {**WRITTEN_FOR, "hypercorn": "0.19.0"}.get)
    async with serving(echo, monkeypatch) as port:
        monkeypatch.setattr("hypercorn.trio.run.TCPServer", TCPServer)
        with capture_logs() as lines:
            install()
        async with dial(port) as peer:
            for message in ("text", b"binary", "", "x" * 1000):
                await peer.send_message(message)
                assert await peer.get_message() == message
            await peer.send_message("close")
            with pytest.raises(ConnectionClosed) as gone:
                await peer.get_message()

    assert [(line["event"], line["library"], line["installed"]) for line in lines] == [
        ("library_not_known", "hypercorn", "0.19.0")
    ]
    assert gone.value.reason is not None
    assert (gone.value.reason.code, gone.value.reason.reason) == (4001, "as you wish")


def test_the_version_of_hypercorn_we_know_has_our_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercorn.trio.run.TCPServer", TCPServer)
    with capture_logs() as lines:
        install()

    assert hypercorn.trio.run.TCPServer is not TCPServer  # type: ignore[attr-defined]
    assert lines == []


_VERSION, _KEY = (line + b"\r\n" for line in KEY.split(b"\r\n")[:2])


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (KEY, "nginx: proxy_http_version 1.1"),
        (_VERSION, "sec-websocket-key is missing"),
        (_KEY, "sec-websocket-version is not 13"),
        (_KEY + b"Sec-WebSocket-Version: 8\r\n", "sec-websocket-version is not 13"),
        (KEY + b"Sec-WebSocket-Extensions: \xff\r\n", "sec-websocket-extensions is not ASCII"),
        (KEY + b"Sec-WebSocket-Protocol: \xff\r\n", "sec-websocket-protocol is not ASCII"),
        (KEY + b"Connection: \xff, Upgrade\r\n", "connection is not ASCII"),
        (KEY + b"Connection: \xff\r\nConnection: Upgrade\r\n", "connection is not ASCII"),
        (KEY + b"\r\n\x81\x82", "before the answer"),  # pgjones/hypercorn#225
    ],
)
async def test_an_upgrade_that_is_none_is_refused_in_words(
    lines: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0" if "nginx" in told else b"HTTP/1.1").removesuffix(KEY)
    with capture_logs() as logs:
        async with serving(echo, monkeypatch) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(head + lines + b"\r\n")
            answer = b"".join([data async for data in stream])

    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().lower().split("\r\n")
    assert status.startswith("http/1.1 400")
    assert {f"{name}: {value}".lower() for name, value in HEADERS.items()} <= {*fields}
    assert told in orjson.loads(body)["error"]
    assert [(line["event"], line["path"], told in line["why"]) for line in logs] == [("upgrade_refused", "/", True)]


async def test_strangers_fill_no_log_with_upgrades_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        async with serving(echo, monkeypatch, connections=Connections()) as port:
            for _ in range(5):
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    await stream.send_all(UPGRADE.removesuffix(KEY) + b"\r\n")
                    assert b"400" in b"".join([data async for data in stream])

    assert [(line["event"], line["times"]) for line in logs] == [("upgrade_refused", 1)]


async def test_a_request_that_a_proxy_has_made_look_like_an_upgrade_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy may set the fields of an upgrade for every request: a webhook is a POST, which is never one."""
    webhook = UPGRADE.removesuffix(KEY).replace(b"GET", b"POST") + b"Content-Length: 0\r\n\r\n"
    async with serving(answer, monkeypatch) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(webhook)
        answered = await stream.receive_some()

    assert answered.startswith(b"HTTP/1.1 204")
