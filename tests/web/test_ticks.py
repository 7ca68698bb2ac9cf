"""One clock wakes all who wait for a tick, and is gone when nobody does."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from web import ticks
from web.ticks import TICK_SECONDS, next_tick, wait_tick


def clocks_running() -> int:
    """Count the clock's task among those of trio's own."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    tasks = [task for nursery in root.child_nurseries for task in nursery.child_tasks]
    return sum("_sleep_for_all" in task.name for task in tasks)


def test_the_next_tick_is_not_before_its_moment_and_takes_no_notice_of_rounding() -> None:
    assert [next_tick(moment) for moment in (0.0, 0.001, 0.01, 0.1 + 0.2, 0.0100001)] == [0, 1, 1, 30, 2]


async def test_everybody_is_woken_on_the_tick_of_their_own(autojump_clock: MockClock) -> None:
    woken = []

    async def wait(number: int) -> None:
        await wait_tick(number)
        woken.append((number, round(trio.current_time() / TICK_SECONDS)))

    async with trio.open_nursery() as nursery:
        for number in (8, 3, 8, 5, 1):
            nursery.start_soon(wait, number)

    assert sorted(woken) == [(1, 1), (3, 3), (5, 5), (8, 8), (8, 8)]


async def test_one_who_comes_later_may_be_woken_sooner(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_tick, 100)
        await trio.sleep(0.02)
        await wait_tick(3)
        assert round(trio.current_time(), 6) == 0.03
        nursery.cancel_scope.cancel()


async def test_who_is_cancelled_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_tick, 8)
        with trio.move_on_after(0.05) as scope:
            await wait_tick(8)
    assert (scope.cancelled_caught, round(trio.current_time(), 6)) == (True, 0.08)


async def test_when_nobody_waits_no_task_is_left_and_the_next_one_finds_a_clock(autojump_clock: MockClock) -> None:
    for _ in range(2):
        with trio.move_on_after(0.02):
            await wait_tick(next_tick(trio.current_time()) + 5)
        await trio.sleep(0.1)
        await wait_all_tasks_blocked()

        assert clocks_running() == 0
        assert not ticks._CLOCK.get()._parked


async def test_there_is_one_clock_for_any_number(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(1, 30):
            nursery.start_soon(wait_tick, number)
        await wait_all_tasks_blocked()
        assert clocks_running() == 1
