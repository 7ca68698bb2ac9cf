"""One clock wakes all who sleep to a tick, and is gone when nobody does."""

import heapq
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import ticks
from actors.ticks import SLACK_SECONDS, TICK_SECONDS, Looker, Sleeper


async def wait_tick(number: int) -> None:
    await Sleeper().sleep_until(number * TICK_SECONDS)


def clocks_running() -> int:
    """Count the clock's task among those of trio's own."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    tasks = [task for nursery in root.child_nurseries for task in nursery.child_tasks]
    return sum("_sleep_for_all" in task.name for task in tasks)


async def test_nobody_is_woken_before_their_moment_and_rounding_costs_no_tick(autojump_clock: MockClock) -> None:
    woken = []
    for moment in (0.001, 0.0200001, 0.06, 0.1 + 0.2, math.inf):
        with trio.move_on_after(1.0):
            await Sleeper().sleep_until(moment)
            assert trio.current_time() >= moment
            woken.append(trio.current_time())

    assert woken == pytest.approx([0.02, 0.04, 0.06, 0.3], abs=1e-6)


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
        assert round(trio.current_time(), 6) == 0.06
        nursery.cancel_scope.cancel()


async def test_who_is_cancelled_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_tick, 8)
        with trio.move_on_after(0.05) as scope:
            await wait_tick(8)
    assert (scope.cancelled_caught, round(trio.current_time(), 6)) == (True, 0.16)


async def test_when_nobody_sleeps_no_task_is_left_and_the_next_one_finds_a_clock(autojump_clock: MockClock) -> None:
    for _ in range(2):
        began = trio.current_time()
        with trio.move_on_after(0.02):
            await Sleeper().sleep_until(began + 5)
        await wait_all_tasks_blocked()

        assert clocks_running() == 0
        assert not ticks._CLOCKS.get()._due
        assert round(trio.current_time() - began, 6) == 0.02


async def test_there_is_one_clock_for_any_number(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(1, 30):
            nursery.start_soon(wait_tick, number)
        await wait_all_tasks_blocked()
        assert clocks_running() == 1


async def test_a_moment_between_two_ticks_is_the_later_one(autojump_clock: MockClock) -> None:
    await Sleeper().sleep_until(0.0234)

    assert round(trio.current_time(), 6) == 0.04


async def test_who_cannot_wait_for_a_tick_is_woken_soon_with_those_that_become_due_meanwhile(
    autojump_clock: MockClock,
) -> None:
    woken = list[tuple[float, float]]()

    async def sleep(moment: float) -> None:
        await Sleeper().sleep_until(moment, exactly=True)
        woken.append((moment, round(trio.current_time() - SLACK_SECONDS, 6)))

    async with trio.open_nursery() as nursery:
        for moment in (0.0255, 0.0231, 0.0224, 0.0243, 0.0245):
            nursery.start_soon(sleep, moment)

    assert sorted(woken) == [(0.0224, 0.0224), (0.0231, 0.0224), (0.0243, 0.0224), (0.0245, 0.0245), (0.0255, 0.0245)]


@pytest.mark.parametrize(
    ("between", "woken"),
    [
        ([0.0185], [0.02, 0.02, 0.06]),
        ([0.0215], [0.022, 0.022, 0.06]),
        ([0.031], [0.022, 0.033, 0.06]),
        ([], [0.02, 0.06]),
    ],
)
async def test_a_tick_is_served_with_what_is_due_about_then(
    between: list[float], woken: list[float], autojump_clock: MockClock
) -> None:
    found = list[float]()

    async def sleep(moment: float, exactly: bool) -> None:
        await Sleeper().sleep_until(moment, exactly=exactly)
        found.append(round(trio.current_time(), 6))

    async with trio.open_nursery() as nursery:
        for moment in between:
            nursery.start_soon(sleep, moment, True)
        await wait_all_tasks_blocked()
        for moment in (0.01, 0.05):
            nursery.start_soon(sleep, moment, False)

    assert found == woken


async def test_a_moment_that_is_past_costs_a_tick_and_never_a_loop(autojump_clock: MockClock) -> None:
    await trio.sleep(0.5)
    for _ in range(3):
        await Sleeper().sleep_until(0.5)

    assert round(trio.current_time(), 6) == 0.56


@attrs.define(eq=False)
class Looks(trio.abc.Instrument):
    """When the scheduler has woken, for whatever it was."""

    moments: list[float] = attrs.field(factory=list)

    def after_io_wait(self, timeout: float) -> None:
        self.moments.append(round(trio.current_time(), 6))


@pytest.mark.parametrize("before", [[], [0.2]])
async def test_nobody_wakes_for_a_moment_that_all_have_left(before: list[float], autojump_clock: MockClock) -> None:
    """Neither if it was the next one, nor if others come before it."""
    looks, sleeper = Looks(), Sleeper()
    async with trio.open_nursery() as nursery:
        for moment in (*before, 1.0):
            nursery.start_soon(Sleeper().sleep_until, moment)
        nursery.start_soon(sleeper.sleep_until, 0.5)
        await trio.sleep(0.1)
        sleeper.move(0.3)
        sleeper.wake()
        await wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(looks)
    trio.lowlevel.remove_instrument(looks)

    assert {moment for moment in looks.moments if 0.1 < moment < 1.0} == set(before)


async def test_one_that_is_moved_later_and_later_is_looked_at_once_and_not_woken(autojump_clock: MockClock) -> None:
    looks, sleeper = Looks(), Sleeper()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper.sleep_until, 0.5)
        await trio.sleep(0.1)
        for moment in (0.6, 0.7, 0.8):
            sleeper.move(moment)
        await wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(looks)
    trio.lowlevel.remove_instrument(looks)

    assert sorted({moment for moment in looks.moments if moment > 0.1}) == [0.5, 0.8]


async def test_one_that_is_moved_later_may_be_moved_sooner_again(autojump_clock: MockClock) -> None:
    assert await moved(1.0, 0.5, 0.9, 0.8) == 0.8
    assert await moved(2.0, 1.9, 2.5, 1.5) == 1.5
    assert await moved(3.0, math.inf, 2.9, math.inf, 3.1) == 3.1


async def test_one_that_is_moved_to_never_sleeps_for_ever_and_is_no_burden(autojump_clock: MockClock) -> None:
    sleeper = Sleeper()
    with trio.move_on_after(9.0) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper.sleep_until, 0.5)
            await wait_all_tasks_blocked()
            sleeper.move(math.inf)
            await trio.sleep(1.0)
            assert ticks._clock().asleep == 0

    assert scope.cancelled_caught


async def moved(*moments: float, after: float = 0.02) -> float:
    """Sleep for ever, be moved to these moments, and return when that ended."""
    sleeper, woken = Sleeper(), []

    async def sleep() -> None:
        await sleeper.sleep_until(math.inf)
        woken.append(round(trio.current_time(), 6))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep)
        await trio.sleep(after)
        for moment in moments:
            sleeper.move(moment)
    return woken[0]


async def test_a_sleep_can_be_moved_sooner_later_and_to_now(autojump_clock: MockClock) -> None:
    assert await moved(0.1) == 0.1
    assert await moved(0.9, 0.5) == 0.5
    assert await moved(0.6, math.inf, 0.7) == 0.7
    assert await moved(-math.inf) == 0.72
    assert await moved(trio.current_time() + 0.02) == 0.74


async def test_who_does_not_sleep_is_not_woken(autojump_clock: MockClock) -> None:
    sleeper = Sleeper()
    sleeper.move(0.0)
    sleeper.wake()
    await sleeper.sleep_until(0.06)
    sleeper.move(1.0)

    assert round(trio.current_time(), 6) == 0.06


async def test_who_has_just_been_cancelled_is_not_woken_as_well(autojump_clock: MockClock) -> None:
    sleeper = Sleeper()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper.sleep_until, 1.0)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        sleeper.move(-math.inf)
        sleeper.wake()

    assert (trio.current_time(), ticks._clock().asleep) == (0.0, 0)


@attrs.define(eq=False)
class Steps(trio.abc.Instrument):
    """How many steps the tasks have taken, by their names."""

    of: Counter[str] = attrs.field(factory=Counter)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.of[task.name.rpartition(".")[2]] += 1


async def test_one_that_looks_sleeps_on_until_it_says_otherwise_and_no_task_is_woken_meanwhile(
    autojump_clock: MockClock,
) -> None:
    looked, steps = list[float](), Steps()

    def look() -> float:
        looked.append(round(trio.current_time(), 6))
        return trio.current_time() + 0.02 if len(looked) < 5 else -math.inf

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Sleeper().sleep_until, 0.02, look)
        await trio.sleep(0.01)
        trio.lowlevel.add_instrument(steps)
    trio.lowlevel.remove_instrument(steps)

    assert looked == [0.02, 0.04, 0.06, 0.08, 0.1]
    assert trio.current_time() == pytest.approx(0.1)
    assert steps.of.total() <= 5  # to begin to wait; and the one that is woken, the nursery's, and the clock's


async def test_one_that_looks_does_so_in_the_context_of_its_task(autojump_clock: MockClock) -> None:
    called, seen = ContextVar("called", default=""), list[str]()

    def look() -> float:
        seen.append(called.get())
        return -math.inf

    async def sleep(name: str) -> None:
        called.set(name)
        await Sleeper().sleep_until(0.02, look=look)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep, "one")
        nursery.start_soon(sleep, "two")

    assert sorted(seen) == ["one", "two"]


async def test_what_a_look_raises_its_own_task_raises_and_the_clock_goes_on(autojump_clock: MockClock) -> None:
    def look() -> float:
        raise ValueError("what it saw")

    async def sleep() -> None:
        with pytest.raises(ValueError, match="what it saw"):
            await Sleeper().sleep_until(0.02, look=look)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep)
        nursery.start_soon(wait_tick, 2)
        nursery.start_soon(wait_tick, 7)

    assert trio.current_time() == pytest.approx(0.14)


@pytest.mark.parametrize("deed", ["wake", "move", "cancel"])
async def test_what_a_look_raises_is_raised_also_where_it_has_ended_its_own_sleep_before(
    deed: str, autojump_clock: MockClock
) -> None:
    sleeper, scope = Sleeper(), trio.CancelScope()

    def look() -> float:
        if deed == "cancel":
            scope.cancel(reason="of what it saw")
        elif deed == "move":
            sleeper.move(0.0)
        else:
            sleeper.wake()
        raise ValueError("what it saw")

    with pytest.raises(ValueError, match="what it saw"), scope:
        await sleeper.sleep_until(0.02, look=look)

    await sleeper.sleep_until(0.06)
    assert (round(trio.current_time(), 6), ticks._clock().asleep) == (0.06, 0)


@pytest.mark.parametrize("then", [-math.inf, 0.5])
async def test_a_look_may_end_its_own_sleep(then: float, autojump_clock: MockClock) -> None:
    with trio.CancelScope() as scope:

        def look() -> float:
            scope.cancel(reason="of what it saw")
            return then

        await Sleeper().sleep_until(0.02, look=look)

    assert (scope.cancelled_caught, round(trio.current_time(), 6), ticks._clock().asleep) == (True, 0.02, 0)


@pytest.mark.parametrize("others", [1, 20])
@pytest.mark.parametrize(
    ("deed", "ends"),
    [("wake", 0.02), ("move sooner", 0.02), ("move later", 0.06), ("cancel", 0.02), ("move away", 0.09)],
)
async def test_a_look_may_wake_move_or_cancel_those_that_are_due_with_it(
    deed: str, ends: float, others: int, autojump_clock: MockClock
) -> None:
    """Whether they have come before it or come after it: in which order is the set's."""
    sleepers, ended = [Sleeper() for _ in range(others)], list[float]()

    def look() -> float:
        for sleeper in sleepers:
            if deed == "wake":
                sleeper.wake()
            elif deed != "cancel":
                sleeper.move({"move sooner": 0.01, "move later": 0.06, "move away": math.inf}[deed])
        if deed == "cancel":
            sleeping.cancel_scope.cancel(reason="of what one saw")
        return -math.inf

    async def sleep(sleeper: Sleeper) -> None:
        try:
            await sleeper.sleep_until(0.02)
        finally:
            ended.append(round(trio.current_time(), 6))

    with trio.move_on_after(0.09):
        async with trio.open_nursery() as nursery, trio.open_nursery() as sleeping:
            nursery.start_soon(Sleeper().sleep_until, 0.02, look)
            for sleeper in sleepers:
                sleeping.start_soon(sleep, sleeper)

    assert len(ended) == others
    assert set(ended) <= {0.02, ends}
    assert ticks._clock().asleep == 0


async def test_one_that_is_moved_does_not_look_before(autojump_clock: MockClock) -> None:
    sleeper, looked = Sleeper(), list[float]()

    def look() -> float:
        looked.append(round(trio.current_time(), 6))
        return -math.inf

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper.sleep_until, 0.02, look)
        await wait_all_tasks_blocked()
        sleeper.move(0.06)

    assert looked == [0.06]


@attrs.define(eq=False)
class CreepingClock(trio.abc.Clock):
    """A clock that goes on with each look at it, so that no two looks see the same time."""

    now: float = 0.0

    def start_clock(self) -> None:
        """Begin at 0."""

    def current_time(self) -> float:
        self.now += 0.0004
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0


def test_a_moment_between_our_look_at_the_time_and_trios_is_not_missed() -> None:
    async def sleep_often() -> None:
        for _ in range(50):
            moment = trio.current_time() + 0.02
            await Sleeper().sleep_until(moment, exactly=True)
            assert moment <= trio.current_time() < moment + 0.01

    trio.run(sleep_often, clock=CreepingClock())


async def test_a_tick_that_comes_while_others_are_woken_wakes_no_task_of_the_clocks(autojump_clock: MockClock) -> None:
    steps, woken = Steps(), list[float]()

    def work() -> float:
        autojump_clock.jump(0.005)
        return -math.inf

    async def sleep(moment: float, look: Callable[[], float] | None = None) -> None:
        await Sleeper().sleep_until(moment, look, exactly=True)
        woken.append(round(trio.current_time(), 3))

    trio.lowlevel.add_instrument(steps)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep, 0.018, work)
        nursery.start_soon(sleep, 0.022)
        nursery.start_soon(sleep, 0.028)
    await trio.sleep(1.0)
    trio.lowlevel.remove_instrument(steps)

    assert woken == [0.025, 0.025, 0.03]
    assert steps.of["_sleep_for_all"] == 2  # it begins, and it ends


async def test_one_that_is_moved_again_and_again_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    sleeper = Sleeper()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper.sleep_until, 1.0)
        await wait_all_tasks_blocked()
        for turn in range(100):
            sleeper.move(0.8 - 0.1 * (turn % 2))
        assert len(ticks._CLOCKS.get()._due) == 3
        sleeper.wake()


async def test_moments_that_nobody_waits_for_any_more_are_let_go_of(autojump_clock: MockClock) -> None:
    sleeper, clock = Sleeper(), ticks._CLOCKS.get
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper.sleep_until, 31.0)
        await wait_all_tasks_blocked()
        for turn in range(1000):
            sleeper.move(30.0 - turn / 40)
        assert len(clock()._due) < 100
        sleeper.move(1.5)

    assert round(trio.current_time(), 6) == 1.5


async def test_those_that_sleep_to_the_same_moment_again_and_again_cost_no_more_than_others(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidied, sleepers = list[int](), [Sleeper() for _ in range(100)]
    heapify = heapq.heapify

    def tidy(due: list[tuple[float, int, Sleeper]]) -> None:
        tidied.append(len(due))
        heapify(due)

    monkeypatch.setattr(heapq, "heapify", tidy)

    async def sleep_on(sleeper: Sleeper) -> None:
        while trio.current_time() < 30:
            await sleeper.sleep_until(30.0)

    async with trio.open_nursery() as nursery:
        for sleeper in sleepers:
            nursery.start_soon(sleep_on, sleeper)
        for turn in range(40):
            await wait_all_tasks_blocked()
            for sleeper in sleepers[turn % 2 :: 2]:
                sleeper.wake()
        await wait_all_tasks_blocked()
        assert (0 < len(tidied) <= 20, max(tidied) <= 100) == (True, True)

    assert trio.current_time() == 30.0


async def test_neighbours_are_read_on_one_tick_and_many_calls_on_all(autojump_clock: MockClock) -> None:
    places = [ticks.place_in_round() for _ in range(767)]

    assert set(places[:75]) == {0}
    assert {places.count(place) for place in range(4)} == {191, 192}


async def test_a_look_that_no_task_waits_for_comes_as_often_as_it_says_for_as_long_as_the_with_lasts(
    autojump_clock: MockClock,
) -> None:
    looked, started = list[float](), list[object]()

    def look() -> float:
        looked.append(round(trio.current_time(), 6))
        return trio.current_time() + 0.03

    with Looker(0.02, look, started.append):
        await trio.sleep(0.105)
    await trio.sleep(1)

    assert looked == [0.02, 0.06, 0.1]
    assert started == []


async def test_a_look_that_no_task_waits_for_ends_with_a_moment_that_is_past(autojump_clock: MockClock) -> None:
    looked, started = list[float](), list[object]()

    def look() -> float:
        looked.append(trio.current_time())
        return -math.inf

    with Looker(0.02, look, started.append):
        await trio.sleep(1)

    assert (looked, started) == ([0.02], [])


async def test_what_a_look_raises_that_no_task_waits_for_a_task_raises_with_the_context_of_the_with(
    autojump_clock: MockClock,
) -> None:
    called, seen = ContextVar("called", default=""), list[str]()

    def look() -> float:
        raise ValueError(called.get())

    async def raise_(run: Callable[[], Awaitable[None]]) -> None:
        seen.append(called.get())
        await run()

    called.set("this call")
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="this call")):
        async with trio.open_nursery() as nursery:
            with Looker(0.02, look, lambda run: nursery.start_soon(raise_, run)):
                await trio.sleep_forever()

    assert seen == ["this call"]
    assert trio.current_time() == pytest.approx(0.02)
