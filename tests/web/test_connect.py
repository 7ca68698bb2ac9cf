"""A Voice Agent socket is opened with our key, or the reason why not says whether to try again."""

import gc
import socket
import ssl
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from functools import partial

import pytest
import trio
import trustme
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket
from wsproto.utilities import generate_accept_token

from actors.errors import AgentUnavailable
from protocol.frames import FrameReader, message_frame
from protocol.wire import PacedWebSocket
from web.clients.deepgram import voice_agent_connector
from web.sockets.frame_stream import FrameStream
from web.sockets.open_socket import OpenSocket
from web.sockets.tls import TlsClient
from web.sockets.versions import WRITTEN_FOR, is_known

PATH = "/v1/agent/converse"
Service = Callable[[WebSocketRequest], Awaitable[None]]
LONG = b"x" * (2**20 + 1)
# an unknown version reads by a stream of trio's, whose errors hold themselves since Python 3.12
freeing = ["0.12.2"] if sys.version_info >= (3, 12) else ["0.12.2", "0.13.0"]
freeing_version = pytest.mark.parametrize("library", freeing, indirect=True)
known_version = pytest.mark.parametrize("library", ["0.12.2"], indirect=True)


@pytest.fixture(autouse=True, params=["0.12.2", "0.13.0"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The version of trio-websocket that is installed, as far as the client knows."""
    monkeypatch.setattr("web.sockets.versions._installed", {**WRITTEN_FOR, "trio-websocket": request.param}.get)
    return str(request.param)


async def greet(request: WebSocketRequest) -> None:
    """Say who came, then whatever they say."""
    socket = await request.accept()
    headers = {name.lower(): value for name, value in request.headers}
    with suppress(ConnectionClosed):
        await socket.send_message(headers[b"authorization"].decode() + " " + request.path)
        await socket.send_message(LONG)
        await socket.get_message()


async def refuse(status: int, request: WebSocketRequest, body: bytes | None = None) -> None:
    await request.reject(status, body=body)


@asynccontextmanager
async def serving(service: Service, context: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, service, "127.0.0.1", port, context))
        yield server.port
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def opened(port: int, scheme: str = "ws", context: ssl.SSLContext | None = None) -> tuple[str | bytes, ...]:
    connect = voice_agent_connector(
        f"{scheme}://127.0.0.1:{port}{PATH}", "key", context or ssl.create_default_context()
    )
    async with connect() as socket:
        return await socket.get_message(), await socket.get_message()


async def test_the_key_and_the_path_are_what_deepgram_expects() -> None:
    async with serving(greet) as port:
        assert await opened(port) == (f"Token key {PATH}", LONG)


async def test_a_secure_socket_is_checked_against_the_shared_context(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with serving(greet, server_context) as port:
        assert (await opened(port, "wss", client_context))[0] == f"Token key {PATH}"


def clients_of_tls() -> int:
    return sum(isinstance(each, ssl.SSLObject) and not each.server_side for each in gc.get_objects())


@freeing_version
@pytest.mark.parametrize(("service", "is_trusted"), [(greet, True), (partial(refuse, 429), True), (greet, False)])
async def test_a_connection_that_is_over_takes_its_tls_with_it(
    service: Service, is_trusted: bool, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """A stream of trio's refers to itself, and to 33 kB that the collector would leave until no call runs."""
    gc.collect()
    gc.disable()
    try:
        before = clients_of_tls()
        async with serving(service, server_context) as port:
            for _ in range(3):
                with suppress(AgentUnavailable):
                    await opened(port, "wss", client_context if is_trusted else None)
            await wait_all_tasks_blocked()
            assert clients_of_tls() == before
    finally:
        gc.enable()


class User:
    """Holds one connection open."""


@freeing_version
async def test_a_connection_that_is_left_by_a_cancellation_keeps_nothing_of_its_user() -> None:
    """Since Python 3.12 the frame of a generator that has ended leads to the frames that called it."""
    gc.collect()
    gc.disable()
    try:
        async with serving(greet) as port:
            connect = voice_agent_connector(f"ws://127.0.0.1:{port}{PATH}", "key", ssl.create_default_context())
            left = await use(connect)
            await wait_all_tasks_blocked()
            assert left() is None
    finally:
        gc.enable()


async def use(connect: Callable[[], AbstractAsyncContextManager[PacedWebSocket]]) -> weakref.ref[User]:
    async def stay(user: User) -> None:
        async with connect():
            scope.cancel()
            await trio.sleep_forever()

    with trio.CancelScope() as scope:
        await stay(user := User())
    return weakref.ref(user)


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@known_version
@pytest.mark.parametrize(
    ("forgets_before", "resumed"),
    [((), [0, 1, 2, 3, 4]), ((2,), [0, 1, 1, 2, 3]), ((2, 4), [0, 1, 1, 2, 2]), ((1, 2), [0, 0, 0, 0, 0])],
    ids=["never", "once", "now and then", "twice in a row"],
)
async def test_a_connection_goes_on_from_the_session_of_an_earlier_one_unless_the_service_has_forgotten_it(
    forgets_before: Sequence[int],
    resumed: list[int],
    authority: trustme.CA,
    client_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service that has other keys now, as after a restart, or on another machine, makes a whole handshake."""
    monkeypatch.setattr("web.sockets.tls.MOST_REFUSED", 2)
    port = free_port()
    connect = voice_agent_connector(f"wss://127.0.0.1:{port}{PATH}", "key", client_context)
    hits = list[int]()
    async with AsyncExitStack() as services:
        for number in range(5):
            if not number or number in forgets_before:
                await services.aclose()
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                authority.issue_cert("127.0.0.1").configure_cert(context)
                await services.enter_async_context(serving(greet, context, port))
            async with connect() as agent:
                assert await agent.get_message() == f"Token key {PATH}"
            hits.append(client_context.session_stats()["hits"])

    assert hits == resumed


@known_version
async def test_a_session_that_a_handshake_has_failed_with_is_offered_no_more(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    port, hits = free_port(), list[int]()
    connect = voice_agent_connector(f"wss://127.0.0.1:{port}{PATH}", "key", client_context)
    for context in (server_context, server_context, None, server_context, server_context):
        async with serving(greet, context, port):
            with suppress(AgentUnavailable) if context is None else nullcontext():
                async with connect() as agent:
                    await agent.get_message()
        hits.append(client_context.session_stats()["hits"])

    assert hits == [0, 1, 1, 1, 2]


async def test_calls_that_begin_at_once_are_refused_one_session(
    authority: trustme.CA, client_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.sockets.tls.MOST_REFUSED", 2)
    client, services = TlsClient(client_context), list[ssl.SSLContext]()
    for _ in range(2):
        services.append(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
        authority.issue_cert("127.0.0.1").configure_cert(services[-1])

    resumed = [await begin_at_once(client, services[number], 3) for number in (0, 0, 1, 1)]

    assert resumed == [[False] * 3, [True] * 3, [False] * 3, [True] * 3]


async def begin_at_once(client: TlsClient, service: ssl.SSLContext, count: int) -> list[bool]:
    """Hear something on so many connections, and tell which of them went on from a session."""
    pairs = [trio.socket.socketpair() for _ in range(count)]
    connections = [client.begin("127.0.0.1") for _ in pairs]
    for connection, (ours, theirs) in zip(connections, pairs, strict=True):
        stream = FrameStream(trio.SocketStream(ours), FrameReader(masked=False, limit=1))
        async with trio.open_nursery() as nursery:
            peer = trio.SSLStream(trio.SocketStream(theirs), service, server_side=True)
            nursery.start_soon(peer.send_all, b"welcome")
            await stream.secure(connection)
            await stream.write(b"hello")
            await stream.read()
    for connection, pair in zip(connections, pairs, strict=True):
        client.note(connection)
        for each in pair:
            each.close()
    return [bool(tls.connection.session_reused) for tls in connections]


async def test_a_certificate_nobody_vouches_for_is_not_worth_another_try(server_context: ssl.SSLContext) -> None:
    async with serving(greet, server_context) as port:
        with pytest.raises(AgentUnavailable) as refused:
            await opened(port, "wss")

    assert (refused.value.retryable, "CertVerif" in refused.value.reason) == (False, True)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (401, False),
        (402, False),
        (404, False),
        (429, True),
        *((status, True) for status in (500, 503, 520, 529, 561)),
    ],
)
@pytest.mark.parametrize("body", [None, b'{"err_msg":\n "Not enough credits."}'])
async def test_a_refused_upgrade_says_why_and_whether_to_try_again(
    body: bytes | None, status: int, retryable: bool
) -> None:
    async with serving(partial(refuse, status, body=body)) as port:
        with pytest.raises(AgentUnavailable) as refused:
            await opened(port)

    why = f"HTTP {status}" + (' {"err_msg": "Not enough credits."}' if body else "")
    assert (refused.value.reason, refused.value.retryable) == (why, retryable)


async def test_a_port_where_nobody_listens_may_be_tried_again() -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        with pytest.raises(AgentUnavailable) as refused:
            await opened(unused.getsockname()[1])

    assert refused.value.retryable


async def test_a_name_that_is_not_found_may_be_tried_again() -> None:
    connect = voice_agent_connector("ws://nobody.invalid/", "key", ssl.create_default_context())

    with pytest.raises(AgentUnavailable) as refused:
        async with connect():
            pass
    assert refused.value.retryable


async def test_a_service_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.clients.deepgram.CONNECT_SECONDS", 0.05)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listeners[0]:
        with pytest.raises(AgentUnavailable, match="no answer within"):
            await opened(listeners[0].socket.getsockname()[1])


@known_version
async def test_a_service_that_hangs_up_in_the_middle_of_the_upgrade_is_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.clients.deepgram.CONNECT_SECONDS", 1000.0)

    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, hang_up, 0)
        with pytest.raises(AgentUnavailable, match="hung up during the upgrade") as refused:
            await opened(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()

    assert refused.value.retryable


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_service_that_breaks_off_the_handshake_of_tls_may_be_tried_again_at_once(
    says: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.clients.deepgram.CONNECT_SECONDS", 1000.0)

    async def break_off(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(says)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, break_off, 0)
        with pytest.raises(AgentUnavailable, match=r"^SSL\w*Error: ") as refused:
            await opened(listeners[0].socket.getsockname()[1], "wss")
        nursery.cancel_scope.cancel()

    assert refused.value.retryable


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_connection_that_is_given_up_while_it_opens_is_closed(scheme: str) -> None:
    read, opening = list[bytes](), trio.CancelScope()

    async def read_on(stream: trio.SocketStream) -> None:
        read.append(bytes(await stream.receive_some()))
        opening.cancel(reason="its upgrade has come here")
        read.append(bytes(await stream.receive_some()))
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, read_on, 0)
        with opening:
            await opened(listeners[0].socket.getsockname()[1], scheme)
        await trio.sleep_forever()

    assert (len(read), read[-1]) == (2, b"")


async def test_a_service_that_is_not_there_is_told_by_what_the_network_said() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(AgentUnavailable, match=r"^ConnectionRefusedError: .*Connection refused") as refused:
            await opened(deaf.getsockname()[1])

    assert refused.value.retryable


@pytest.mark.parametrize("error", [ValueError("ours"), OSError("ours"), ConnectionClosed(None)])
async def test_what_is_raised_inside_comes_out_as_it_is(error: Exception) -> None:
    async with serving(greet) as port:
        connect = voice_agent_connector(f"ws://127.0.0.1:{port}{PATH}", "key", ssl.create_default_context())
        with pytest.raises(type(error)) as raised:
            async with connect():
                raise error

    assert raised.value is error


@known_version
async def test_a_library_that_crashes_in_the_upgrade_is_an_agent_that_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(wire: object, max_bytes: int | None = None) -> bytes:
        raise RuntimeError("a bug")

    monkeypatch.setattr("web.clients.deepgram._Handshake.receive_some", broken)
    async with serving(greet) as port:
        with pytest.raises(AgentUnavailable, match="a bug"):
            await opened(port)


@pytest.mark.parametrize("reason", [b" Switching", b" ", b""])
@pytest.mark.parametrize("cut", [0, 1, 20, 125, 129, 130, 135])
async def test_what_comes_with_the_upgrade_is_read_however_it_is_cut(cut: int, reason: bytes) -> None:
    """The service says Welcome in the same breath."""

    async def welcome(stream: trio.SocketStream) -> None:
        accepting = _accepting(bytes(await stream.receive_some())).replace(b" Switching", reason)
        answer = accepting + message_frame("Welcome", masked=False)
        await stream.send_all(answer[:cut])
        await trio.sleep(0.005)
        await stream.send_all(answer[cut:] + message_frame(b"audio", masked=False))
        await stream.receive_some()
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, welcome, 0)
        assert await opened(listeners[0].socket.getsockname()[1]) == ("Welcome", b"audio")
        nursery.cancel_scope.cancel()


async def test_the_service_says_why_it_hangs_up() -> None:
    async def hang_up(request: WebSocketRequest) -> None:
        socket = await request.accept()
        await socket.aclose(1011, "we are tired")

    async with serving(hang_up) as port:
        with pytest.raises(ConnectionClosed) as gone:
            await opened(port)

    assert gone.value.reason is not None
    assert (gone.value.reason.code, gone.value.reason.reason) == (1011, "we are tired")


async def test_a_cancelled_session_hangs_up_and_stays_cancelled() -> None:
    async with serving(greet) as port:
        connect = voice_agent_connector(f"ws://127.0.0.1:{port}{PATH}", "key", ssl.create_default_context())
        with trio.CancelScope() as session:
            async with connect():
                session.cancel()
                await trio.sleep_forever()

    assert session.cancelled_caught


@pytest.mark.parametrize("error", [None, ValueError("ours")])
async def test_a_peer_that_never_says_goodbye_hides_nothing(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.clients.deepgram.DISCONNECT_SECONDS", 0.05)

    async def stall(stream: trio.SocketStream) -> None:
        request = await stream.receive_some()
        key = bytes(request).lower().partition(b"sec-websocket-key: ")[2].split(b"\r\n")[0]
        assert key
        await stream.send_all(_accepting(bytes(request)))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, stall, 0)
        port = listeners[0].socket.getsockname()[1]
        connect = voice_agent_connector(f"ws://127.0.0.1:{port}/", "key", ssl.create_default_context())
        raised = await _raised_by(connect, error)
        nursery.cancel_scope.cancel()

    assert raised is error


async def _raised_by(connect: Callable[[], object], error: Exception | None) -> Exception | None:
    try:
        async with connect():  # type: ignore[attr-defined]
            if error is not None:
                raise error
    except ValueError as exc:
        return exc
    return None


def _accepting(request: bytes) -> bytes:
    lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n") if b": " in line)
    key = next(value for name, value in lines.items() if name.lower() == b"sec-websocket-key")
    head = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    return head + generate_accept_token(key) + b"\r\n\r\n"


async def test_another_version_of_the_library_is_told_once_and_reads_its_frames_itself(library: str) -> None:
    async with serving(greet) as port:
        with capture_logs() as lines:
            connect = voice_agent_connector(f"ws://127.0.0.1:{port}{PATH}", "key", ssl.create_default_context())
            for _ in range(2):
                async with connect() as socket:
                    assert await socket.get_message() == f"Token key {PATH}"

    is_known = library == "0.12.2"
    assert isinstance(socket, OpenSocket) is is_known
    assert [line["event"] for line in lines] == ([] if is_known else ["library_not_known"])


def test_the_versions_we_know_are_those_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    assert all(map(is_known, WRITTEN_FOR))
