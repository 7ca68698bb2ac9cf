"""What actors may rely on when the network is a deque."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from simulators.memory import MemoryWebSocket, memory_websocket_pair


async def closed_with(socket: MemoryWebSocket) -> tuple[int, str | None]:
    with pytest.raises(ConnectionClosed) as closed:
        await socket.get_message()
    reason = closed.value.reason
    assert reason is not None
    return reason.code, reason.reason


async def test_messages_arrive_whole_and_in_order(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()

    await here.send_message("text")
    await here.send_message(b"bytes")
    await there.send_message("back")

    assert [await there.get_message() for _ in range(2)] == ["text", b"bytes"]
    assert await here.get_message() == "back"


async def test_a_reader_wakes_when_a_message_comes(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    got: list[tuple[float, str | bytes]] = []
    start = trio.current_time()

    async def read() -> None:
        message = await there.get_message()
        got.append((trio.current_time() - start, message))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(2)
        await here.send_message("late")

    assert got == [(2.0, "late")]


async def test_the_other_end_reads_what_was_sent_before_the_close(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    await here.send_message("last words")

    await here.aclose(1011, "enough")

    assert await there.get_message() == "last words"
    assert await closed_with(there) == (1011, "enough")
    assert there.closed is not None
    assert there.closed.code == 1011


async def test_an_end_that_closes_reads_nothing_more(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    await there.send_message("unread")

    await here.aclose()

    assert await closed_with(here) == (1000, None)


async def test_nobody_can_send_after_a_close(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    await here.aclose(1000)

    for socket in (here, there):
        with pytest.raises(ConnectionClosed):
            await socket.send_message("too late")


async def test_closing_twice_keeps_the_first_reason(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()

    await here.aclose(1001, "going")
    await here.aclose(1000)
    await there.aclose(1000)

    assert await closed_with(here) == (1001, "going")
    assert await closed_with(there) == (1001, "going")


async def test_a_waiting_reader_learns_of_the_close(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    reasons: list[tuple[int, str | None]] = []

    async def read() -> None:
        reasons.append(await closed_with(there))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        await here.aclose(1000, "bye")

    assert reasons == [(1000, "bye")]


async def test_a_dropped_connection_is_1006_at_both_ends(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    await here.send_message("in flight")

    here.drop()
    here.drop()

    assert await there.get_message() == "in flight"
    assert await closed_with(there) == (1006, None)
    assert await closed_with(here) == (1006, None)


async def test_a_reader_that_stalls_blocks_the_sender_at_the_bound(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair(buffer=3)
    sent: list[int] = []

    async def send() -> None:
        for number in range(6):
            await here.send_message(str(number))
            sent.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert (sent, there.unread) == ([0, 1, 2], 3)
        assert [await there.get_message() for _ in range(6)] == [str(number) for number in range(6)]

    assert sent == list(range(6))


async def test_closing_waits_for_a_stalled_reader_until_cancelled(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair(buffer=1)
    await here.send_message("never read")
    start = trio.current_time()

    with trio.move_on_after(5) as patience:
        await here.aclose()

    assert patience.cancelled_caught
    assert trio.current_time() - start == 5
    assert here.closed is not None
    assert here.closed.code == 1006
    assert await there.get_message() == "never read"


async def test_closing_goes_on_when_the_reader_does(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair(buffer=1)
    await here.send_message("slowly read")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(here.aclose)
        await wait_all_tasks_blocked()
        assert await there.get_message() == "slowly read"

    assert await closed_with(there) == (1000, None)


async def test_a_drop_frees_a_blocked_sender(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair(buffer=1)
    await here.send_message("fills the buffer")

    async def send() -> None:
        with pytest.raises(ConnectionClosed):
            await here.send_message("blocked")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        there.drop()


async def test_a_cancelled_read_loses_no_message(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    with trio.move_on_after(1):
        await there.get_message()
    await here.send_message("kept")

    with trio.CancelScope() as scope:
        scope.cancel()
        await there.get_message()

    assert scope.cancelled_caught
    assert await there.get_message() == "kept"


async def test_a_cancelled_send_sends_nothing(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair(buffer=1)
    await here.send_message("first")

    with trio.move_on_after(1):
        await here.send_message("given up")

    assert await there.get_message() == "first"
    assert there.unread == 0


async def test_what_is_not_a_message_is_refused_as_by_a_real_socket(autojump_clock: MockClock) -> None:
    here, _ = memory_websocket_pair()

    with pytest.raises(ValueError, match="str or bytes"):
        await here.send_message(bytearray(b"x"))  # type: ignore[arg-type]


async def test_every_operation_lets_others_run(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    await here.send_message("one")

    with trio.testing.assert_checkpoints():
        await here.send_message("two")
    with trio.testing.assert_checkpoints():
        await there.get_message()
    with trio.testing.assert_checkpoints():
        await here.aclose()
    with trio.testing.assert_checkpoints():
        await here.aclose()
