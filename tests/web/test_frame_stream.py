"""Frames over a stream: read in the task that asks, answered where the rules ask for it, gathered on request."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from websockets.utils import apply_mask

from protocol import frames
from protocol.frames import Close, FrameReader
from web.sockets.frame_stream import FrameStream

LIMIT = 2**20


@asynccontextmanager
async def socket_pair() -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    one, other = trio.socket.socketpair()
    async with trio.SocketStream(one) as ours, trio.SocketStream(other) as theirs:
        yield ours, theirs


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FrameStream, FrameStream]]:
    """Open a server's end and a client's."""
    async with socket_pair() as (ours, theirs):
        yield FrameStream(ours, FrameReader(masked=True, limit=LIMIT)), client(theirs)


def client(stream: trio.SocketStream) -> FrameStream:
    return FrameStream(stream, FrameReader(masked=False, limit=LIMIT))


@pytest.mark.parametrize("message", ["", "text: µ-law", b"", b"\x00\xff" * 40, "long" * 50_000, b"long" * 50_000])
async def test_a_message_arrives_as_what_it_was_sent_as(message: str | bytes) -> None:
    async with connected() as (server, other), trio.open_nursery() as nursery:
        nursery.start_soon(other.send, message)
        assert await server.receive() == message
        nursery.start_soon(server.send, message)
        assert await other.receive() == message


async def test_a_peer_is_pinged_where_nothing_was_sent_since_the_last_look() -> None:
    async with socket_pair() as (ours, theirs):
        stream = FrameStream(ours, FrameReader(masked=True, limit=LIMIT))
        await stream.send("word")
        stream.ping_if_silent()
        assert await theirs.receive_some() == b"\x81\x04word"

        stream.ping_if_silent()
        assert await theirs.receive_some() == b"\x89\x00"
        stream.ping_if_silent()
        assert stream.send_nowait("word")
        stream.ping_if_silent()
        assert await theirs.receive_some() == b"\x89\x00\x81\x04word"


async def test_a_stream_knows_when_its_last_ping_was_answered(autojump_clock: MockClock) -> None:
    async with connected() as (server, other), trio.open_nursery() as nursery:
        server.ping()
        await trio.sleep(1)
        assert server.answered == -math.inf

        nursery.start_soon(other.receive)
        nursery.start_soon(server.receive)
        await wait_all_tasks_blocked(0.01)
        assert server.answered == trio.current_time() > 0
        nursery.cancel_scope.cancel()


async def test_nothing_is_pinged_behind_a_close_or_in_the_middle_of_a_frame() -> None:
    async with socket_pair() as (ours, theirs):
        stream = FrameStream(ours, FrameReader(masked=True, limit=LIMIT))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send, "long" * 1_000_000)
            await wait_all_tasks_blocked()
            stream.ping_if_silent()
            stream.ping_if_silent()
            received = b""
            while len(received) < 4_000_010:
                received += await theirs.receive_some()
        await stream.close(1000, "")
        stream.ping_if_silent()
        stream.ping_if_silent()

        assert received.endswith(b"long")
        assert await theirs.receive_some() == b"\x88\x02\x03\xe8"


async def test_what_has_come_with_a_message_is_at_hand_up_to_a_ping() -> None:
    async with socket_pair() as (ours, theirs):
        stream = client(ours)
        one, two, three, four = (frames.message_frame(word, masked=False) for word in ("one", b"two", "three", "four"))
        assert stream.at_hand() == []
        await theirs.send_all(one + two + b"\x89\x00" + three + four[:3])

        assert (await stream.receive(), stream.at_hand(), stream.at_hand()) == ("one", [b"two"], [])
        assert (await stream.receive(), stream.at_hand()) == ("three", [])
        await theirs.send_all(four[3:])
        assert (await stream.receive(), stream.at_hand()) == ("four", [])


async def test_what_was_read_with_the_handshake_is_not_lost() -> None:
    whole = frames.message_frame("Welcome", masked=False)
    async with socket_pair() as (ours, theirs):
        stream = client(ours)
        await theirs.send_all(b"101" + whole[:4])
        read = await stream.read()
        stream.unread(bytes(read[3:]))
        await theirs.send_all(whole[4:])

        assert (read[:3], await stream.receive()) == (b"101", "Welcome")


async def test_a_ping_is_answered_between_two_messages() -> None:
    async with socket_pair() as (ours, theirs):
        stream = client(ours)
        await theirs.send_all(b"\x89\x04here" + frames.message_frame("news", masked=False))

        assert await stream.receive() == "news"
        head = bytes(await theirs.receive_some())
        assert (head[:2], apply_mask(head[6:], head[2:6])) == (b"\x8a\x84", b"here")


async def test_the_peers_goodbye_comes_after_its_last_message_and_is_answered() -> None:
    async with connected() as (server, other):
        await other.send("last")
        await other.close(4000, "done")

        assert [await server.receive() for _ in range(3)] == ["last", Close(4000, "done"), Close(4000, "done")]
        assert await other.receive() == Close(4000, "done")


async def test_nothing_is_said_after_a_goodbye() -> None:
    async with connected() as (server, other):
        await server.close(1000, "")
        await server.send("more")
        await server.close(1001, "again")

        assert await other.receive() == Close(1000, "")
        with trio.move_on_after(0.01):
            assert await other.receive() == Close(1000, "")


@pytest.mark.parametrize(
    ("nonsense", "code"),
    [(b"\x83\x00", 1002), (b"\x81\x01\xff", 1007), (b"\x82\x7f" + (2**40).to_bytes(8), 1009)],
)
async def test_a_peer_that_breaks_the_rules_is_told_which_and_is_gone(nonsense: bytes, code: int) -> None:
    async with socket_pair() as (ours, theirs):
        stream = client(ours)
        await theirs.send_all(frames.message_frame("before", masked=False) + nonsense)
        ended = [await stream.receive(), await stream.receive()]

        assert (ended[0], isinstance(ended[1], Close) and ended[1].code) == ("before", code)
        said = FrameReader(masked=True, limit=LIMIT)
        said.receive(bytes(await theirs.receive_some()))
        assert isinstance(said.arrived[0], Close)
        assert said.arrived[0].code == code


async def test_a_stream_that_breaks_is_a_peer_that_is_gone() -> None:
    async with socket_pair() as (ours, theirs):
        stream = client(ours)
        await theirs.aclose()

        assert await stream.receive() == Close(1006, "")
        await stream.send("into the void")
        await stream.close(1000, "")


async def test_our_own_stream_that_is_closed_under_a_reader_is_a_peer_that_is_gone() -> None:
    async with socket_pair() as (ours, _), trio.open_nursery() as nursery:
        stream = client(ours)

        async def receive() -> None:
            assert await stream.receive() == Close(1006, "")

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        await ours.aclose()


async def arrivals(gather: float, *, count: int = 8, each: float = 0.02) -> list[float]:
    """Return when each of a row of messages, one every 20 ms, is received by one who gathers for so long."""
    came = []
    async with connected() as (server, other), trio.open_nursery() as nursery:

        async def speak() -> None:
            for number in range(count):
                await trio.sleep_until(0.001 + each * number)
                await other.send(str(number))

        nursery.start_soon(speak)
        for number in range(count):
            server.gather(gather)
            assert await server.receive() == str(number)
            came.append(round(trio.current_time(), 3))
    return came


async def test_what_is_gathered_comes_together_in_order(autojump_clock: MockClock) -> None:
    """After the first, what has come by the tick that is theirs, one of four: their neighbours' too."""
    assert await arrivals(0.08, count=8) == [0.001, *[0.08] * 3, *[0.16] * 4]


async def test_what_gathers_for_less_than_a_tick_is_read_on_the_next_one(autojump_clock: MockClock) -> None:
    assert await arrivals(0.01, count=9, each=0.004) == [0.001, *[0.02] * 4, *[0.04] * 4]


@pytest.mark.parametrize(
    ("exactly", "expected"), [(False, [0.001, 0.04, 0.04, 0.06]), (True, [0.001, 0.038, 0.038, 0.075])]
)
async def test_what_is_gathered_exactly_keeps_to_no_tick_of_all_calls(
    exactly: bool, expected: list[float], autojump_clock: MockClock
) -> None:
    """Within 2 ms of the moment that was asked for, and not up to a tick of 20 ms after the last read."""
    came = []
    async with connected() as (server, other), trio.open_nursery() as nursery:

        async def speak() -> None:
            for number in range(4):
                await trio.sleep_until(0.001 + 0.015 * number)
                await other.send(str(number))

        nursery.start_soon(speak)
        for number in range(4):
            assert await server.receive() == str(number)
            came.append(round(trio.current_time(), 3))
            if number != 1:  # it has come with the next one
                server.gather(0.035, exactly=exactly)

    assert came == expected


@pytest.mark.parametrize(("comes", "read"), [(0.031, 0.032), (0.0495, 0.05), (0.0513, 0.0513)])
async def test_what_is_late_is_looked_for_each_two_milliseconds_for_a_while_and_then_read_as_it_comes(
    comes: float, read: float, autojump_clock: MockClock
) -> None:
    """To look costs less than to wake the task, and less than twice so much if nothing comes at all."""
    async with connected() as (server, other):
        server.gather(0.03, exactly=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.receive)
            await trio.sleep_until(comes)
            await other.send("late")

        assert trio.current_time() == pytest.approx(read, abs=1e-5)


@pytest.mark.parametrize("each", [0.02, 0.003])
async def test_who_does_not_gather_hears_at_once(autojump_clock: MockClock, each: float) -> None:
    """Between two ticks as well."""
    assert await arrivals(0.0, each=each) == [round(0.001 + each * number, 3) for number in range(8)]


async def test_after_a_pause_nothing_is_held_back(autojump_clock: MockClock) -> None:
    async with connected() as (server, other), trio.open_nursery() as nursery:
        server.gather(0.08)
        await other.send("one")
        await server.receive()

        async def speak() -> None:
            await trio.sleep(0.5)
            await other.send("two")

        nursery.start_soon(speak)
        await server.receive()

        assert trio.current_time() == 0.5


async def test_those_who_gather_wake_on_the_same_tick(autojump_clock: MockClock) -> None:
    woken = []

    async def listen(starts: float) -> None:
        async with connected() as (server, other):
            await trio.sleep(starts)
            server.gather(0.08)
            for number in range(2):
                await other.send(str(number))
                await server.receive()
            woken.append(round(trio.current_time(), 3))

    async with trio.open_nursery() as nursery:
        for starts in (0.001, 0.004, 0.009):
            nursery.start_soon(listen, starts)

    assert woken == [0.08] * 3


@asynccontextmanager
async def delivering(*said: bytes, gather: float = 0.06) -> AsyncIterator[tuple[FrameStream, list[str | bytes]]]:
    """Open one end that has gathered for so long before these bytes come, 10 ms apart, and what it delivers."""
    taken = list[str | bytes]()
    async with socket_pair() as (ours, theirs), trio.open_nursery() as nursery:
        stream = client(ours)
        await theirs.send_all(frames.message_frame("first", masked=False))
        assert await stream.receive() == "first"
        stream.gather(gather)
        stream.deliver(taken.extend)

        async def speak() -> None:
            for data in said:
                await trio.sleep(0.01)
                await theirs.send_all(data)

        nursery.start_soon(speak)
        yield stream, taken
        nursery.cancel_scope.cancel(reason="enough")


def said(*messages: str | bytes) -> bytes:
    return b"".join(frames.message_frame(message, masked=False) for message in messages)


async def test_what_is_gathered_can_be_taken_without_the_task_that_waits(autojump_clock: MockClock) -> None:
    """It is woken by what is not to be taken."""
    goodbye = frames.close_frame(1000, "enough", masked=False)
    async with delivering(said("one", b"two"), said("three"), *[b""] * 6, said("four") + goodbye) as (stream, taken):
        assert await stream.receive() == Close(1000, "enough")

    assert taken == ["one", b"two", "three", "four"]


async def test_half_a_message_is_delivered_with_its_other_half(autojump_clock: MockClock) -> None:
    whole, goodbye = said("in two halves"), frames.close_frame(1000, "enough", masked=False)
    async with delivering(said("one") + whole[:5], *[b""] * 5, whole[5:], goodbye) as (stream, taken):
        assert (await stream.receive(), taken) == (Close(1000, "enough"), ["one", "in two halves"])


async def test_a_ping_behind_what_is_taken_is_answered(autojump_clock: MockClock) -> None:
    async with delivering(said("one") + b"\x89\x04here" + said("two")) as (stream, taken):
        assert (await stream.receive(), taken) == ("two", ["one"])


@pytest.mark.parametrize("gathers", [None, 0.0, 0.02])
async def test_what_the_taker_raises_is_raised_where_it_is_waited(
    gathers: float | None, autojump_clock: MockClock
) -> None:
    """An `OSError` of theirs is no broken stream, and who wants the next message at once is told of it as well."""

    def take(_: list[str | bytes]) -> None:
        if gathers is not None:
            stream.gather(gathers)
        raise OSError("the disk is full")

    async with delivering(said("one")) as (stream, _):
        stream.deliver(take)
        with pytest.raises(OSError, match="the disk is full"):
            await stream.receive()


async def test_after_our_goodbye_nothing_is_delivered(autojump_clock: MockClock) -> None:
    async with delivering(said("one"), said("two")) as (stream, taken):
        await stream.close(1000, "")
        assert (await stream.receive(), taken) == ("one", [])


async def test_a_peer_that_breaks_off_is_gone_at_the_next_tick(autojump_clock: MockClock) -> None:
    async with delivering(said("one"), b"\x83\x00") as (stream, taken):
        ended = await stream.receive()
        assert (isinstance(ended, Close) and ended.code, taken) == (1002, ["one"])


async def test_a_peer_that_does_not_read_holds_its_sender_and_nobodys_frame_is_torn(autojump_clock: MockClock) -> None:
    async with connected() as (server, other), trio.open_nursery() as nursery:
        messages = [bytes([number]) * 300_000 for number in range(4)]
        for message in messages:
            nursery.start_soon(server.send, message)
        await wait_all_tasks_blocked()

        heard = [await other.receive() for _ in messages]

        assert sorted(heard) == messages


async def test_a_send_that_was_given_up_is_finished_before_whatever_comes_next(autojump_clock: MockClock) -> None:
    async with connected() as (server, other), trio.open_nursery() as nursery:
        with trio.move_on_after(1) as patience:
            await server.send(b"x" * LIMIT)
        assert patience.cancelled_caught
        assert not server.send_nowait("no room")

        nursery.start_soon(server.send, "more")
        assert [await other.receive(), await other.receive()] == [b"x" * LIMIT, "more"]
        assert server.send_nowait("room")
        assert await other.receive() == "room"


async def test_several_messages_go_in_one_piece_if_there_is_room() -> None:
    async with socket_pair() as (ours, theirs):
        server = FrameStream(ours, FrameReader(masked=True, limit=LIMIT))

        assert server.send_nowait("media", b"mark")
        assert bytes(await theirs.receive_some()) == b"\x81\x05media\x82\x04mark"

        while server.send_nowait(b"x" * 10_000):
            """Fill it."""
        assert not server.send_nowait("")


async def test_what_is_sent_into_a_broken_stream_is_nobodys_trouble() -> None:
    async with socket_pair() as (ours, theirs):
        server = FrameStream(ours, FrameReader(masked=True, limit=LIMIT))
        await theirs.aclose()

        assert all(server.send_nowait("message") for _ in range(3))
        await server.send("message")
        assert await server.receive() == Close(1006, "")


async def test_a_socket_that_was_closed_has_nothing_more_to_read_and_takes_nothing() -> None:
    """It has no number any more, and trio would have one task wait for -1, and be at odds with the next one."""
    near, far = trio.socket.socketpair()
    with far:
        stream = FrameStream(trio.SocketStream(near), FrameReader(masked=True, limit=100))
        far.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 1)
        while stream.send_nowait(b"x" * 10_000):
            pass
        near.close()
        for _ in range(2):
            assert await stream.read() == b""
            await stream.write(b"more")
