"""An ASGI WebSocket behaves as trio-websocket's does: whole messages, and `ConnectionClosed` once it is over."""

from collections.abc import Awaitable, Callable
from socket import socketpair

import attrs
import pytest
import trio
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent
from trio.socket import from_stdlib_socket
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from protocol.frames import FrameReader, close_frame, message_frame
from web.sockets.asgi_events import AsgiEvents, target_of
from web.sockets.frame_stream import FrameStream
from web.sockets.open_socket import OpenSocket


@attrs.define
class Server:
    """What an ASGI server does for a socket, and whether it hears the peer's goodbye."""

    answers_close: bool = True
    sent: list[ASGISendEvent] = attrs.field(factory=list)
    _put: trio.MemorySendChannel[ASGIReceiveEvent] = attrs.field(init=False)
    receive: Callable[[], Awaitable[ASGIReceiveEvent]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._put, get = trio.open_memory_channel[ASGIReceiveEvent](50)
        self.receive = get.receive

    def put(self, *events: ASGIReceiveEvent) -> None:
        for event in events:
            self._put.send_nowait(event)

    async def send(self, event: ASGISendEvent) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(event)
        if event["type"] == "websocket.close" and self.answers_close:
            self.put({"type": "websocket.disconnect", "code": 1000})

    def socket(self) -> OpenSocket:
        return AsgiEvents(self.receive, self.send)


def text(words: str) -> ASGIReceiveEvent:
    return {"type": "websocket.receive", "text": words, "bytes": None}


def binary(data: bytes) -> ASGIReceiveEvent:
    return {"type": "websocket.receive", "text": None, "bytes": data}


GONE: ASGIReceiveEvent = {"type": "websocket.disconnect", "code": 1006}


async def test_messages_come_whole_and_in_order_and_of_their_kind(autojump_clock: MockClock) -> None:
    server = Server()
    server.put(text("one"), binary(b"two"), text(""), binary(b""))
    socket = server.socket()

    assert [await socket.get_message() for _ in range(4)] == ["one", b"two", "", b""]


async def test_messages_that_have_come_together_are_handed_over_together() -> None:
    one, other = socketpair()
    async with trio.SocketStream(from_stdlib_socket(one)) as ours, trio.SocketStream(from_stdlib_socket(other)) as peer:
        socket = FrameStream(ours, FrameReader(masked=False, limit=100))
        said: list[str | bytes] = ["one", b"two", b"three"]
        await peer.send_all(b"".join(message_frame(message, masked=False) for message in said))
        await peer.send_all(close_frame(1000, "enough", masked=False))

        assert await socket.get_messages() == said
        with pytest.raises(ConnectionClosed):
            await socket.get_messages()


async def test_a_message_is_sent_in_a_frame_of_its_kind(autojump_clock: MockClock) -> None:
    server = Server()
    socket = server.socket()
    await socket.send_message("one")
    await socket.send_message(b"two")

    assert server.sent == [
        {"type": "websocket.send", "text": "one", "bytes": None},
        {"type": "websocket.send", "text": None, "bytes": b"two"},
    ]


async def test_what_came_before_the_end_is_still_read(autojump_clock: MockClock) -> None:
    server = Server()
    server.put(text("last"), GONE)
    socket = server.socket()

    assert await socket.get_message() == "last"
    with pytest.raises(ConnectionClosed) as gone:
        await socket.get_message()
    assert gone.value.reason is not None
    assert gone.value.reason.code == 1006


async def test_once_the_peer_is_gone_nothing_can_be_sent(autojump_clock: MockClock) -> None:
    server = Server()
    server.put(GONE)
    socket = server.socket()
    with pytest.raises(ConnectionClosed):
        await socket.get_message()

    with pytest.raises(ConnectionClosed):
        await socket.send_message("too late")
    await socket.aclose()
    assert server.sent == []


async def test_closing_ends_a_read_in_progress(autojump_clock: MockClock) -> None:
    server = Server()
    socket = server.socket()

    async def read() -> None:
        with pytest.raises(ConnectionClosed):
            await socket.get_message()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        await socket.aclose(1008, "because")

    assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": "because"}]


async def test_closing_goes_on_when_the_reader_is_cancelled(autojump_clock: MockClock) -> None:
    server = Server(answers_close=False)
    socket, began = server.socket(), trio.current_time()
    reader = trio.CancelScope()

    async def read() -> None:
        with reader:
            await socket.get_message()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        nursery.start_soon(socket.aclose)
        await trio.sleep(1)
        reader.cancel()
        await wait_all_tasks_blocked()
        server.put(text("unread"), GONE)

    assert trio.current_time() - began == 1


async def test_what_comes_while_closing_is_not_delivered(autojump_clock: MockClock) -> None:
    server = Server(answers_close=False)
    socket = server.socket()

    async def read() -> None:
        with pytest.raises(ConnectionClosed):
            await socket.get_message()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        nursery.start_soon(socket.aclose)
        await wait_all_tasks_blocked()
        server.put(text("too late"), GONE)


async def test_closing_reads_on_until_the_peer_has_closed_too(autojump_clock: MockClock) -> None:
    server = Server()
    server.put(*[text("unread")] * 30)
    began = trio.current_time()

    await server.socket().aclose()

    assert trio.current_time() == began
    with pytest.raises(trio.WouldBlock):
        server.receive.__self__.receive_nowait()  # type: ignore[attr-defined]


async def test_closing_waits_no_longer_than_two_seconds_for_the_peer(autojump_clock: MockClock) -> None:
    server, began = Server(answers_close=False), trio.current_time()

    await server.socket().aclose()

    assert trio.current_time() - began == 2


async def test_closing_twice_is_closing_once(autojump_clock: MockClock) -> None:
    server = Server()
    socket = server.socket()
    await socket.aclose()
    await socket.aclose()

    assert len(server.sent) == 1


async def test_a_cancelled_read_loses_nothing(autojump_clock: MockClock) -> None:
    server = Server()
    socket = server.socket()
    with trio.move_on_after(1):
        await socket.get_message()
    server.put(text("one"))

    assert await socket.get_message() == "one"


def test_the_target_is_what_was_asked_for_undecoded() -> None:
    scope = {"raw_path": b"/a%20b", "path": "/a b", "query_string": b"n=a%20b"}

    assert target_of(scope) == "/a%20b?n=a%20b"  # type: ignore[arg-type]


def test_a_server_that_keeps_no_raw_path_is_understood() -> None:
    assert target_of({"path": "/a b", "query_string": b""}) == "/a%20b"  # type: ignore[arg-type]


@pytest.mark.parametrize("raw", ["https://agent.example.com/twilio/voice", "http://10.0.0.7:8000/twilio/voice"])
def test_a_target_with_its_host_is_the_path_behind_it(raw: str) -> None:
    scope = {"raw_path": raw.encode(), "path": "/twilio/voice", "query_string": b""}

    assert target_of(scope) == "/twilio/voice"  # type: ignore[arg-type]
