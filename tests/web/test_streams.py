"""A stream of which Twilio says that it is over is over here, too."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from web.calls.live_calls import Streams


async def a_call(streams: Streams, cleans_up: float = 0.0) -> None:
    with streams.carry("CA1"):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(cleans_up)


async def test_it_is_cancelled_and_waited_for(autojump_clock: MockClock) -> None:
    streams = Streams()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a_call, streams, 1.5)
        await wait_all_tasks_blocked()
        await streams.end("CA1")

        assert trio.current_time() == 1.5


async def test_it_is_not_waited_for_longer_than_that(autojump_clock: MockClock) -> None:
    streams = Streams()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a_call, streams, 60)
        await wait_all_tasks_blocked()
        await streams.end("CA1")

        assert trio.current_time() == 5


async def test_a_call_that_is_not_here_is_not_waited_for(autojump_clock: MockClock) -> None:
    await Streams().end("CA1")

    assert trio.current_time() == 0


async def test_a_second_stream_of_a_call_does_not_hide_behind_the_first(autojump_clock: MockClock) -> None:
    streams = Streams()
    with streams.carry("CA1"), streams.carry("CA1"):
        pass
    await streams.settle("CA1")

    assert trio.current_time() == 0
