"""A paced clock is fast while everybody waits, and a machine that stands still costs nobody a deadline."""

import threading
from functools import partial

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from simulators.pacing import HELD_UP_SECONDS, LONGEST_WAIT_SECONDS, PacedClock

FRAME = LONGEST_WAIT_SECONDS


@attrs.define
class Machine:
    """The wall's clock, as the test moves it; `busy` seconds pass at each reading."""

    now: float = 1000.0
    busy: float = 0.0

    def read(self) -> float:
        self.now += self.busy
        return self.now


@attrs.define
class Waiting:
    """A program that does nothing but wait on a paced clock."""

    machine: Machine
    clock: PacedClock

    def wait(self, deadline: float, late: float = 0.0) -> float:
        """Wait once, as long as the clock grants and so much longer; return what time it is then."""
        self.machine.now += self.clock.deadline_to_sleep_time(deadline) + late
        return self.clock.current_time()


@pytest.fixture
def waiting() -> Waiting:
    machine = Machine()
    clock = PacedClock(8.0, machine.read)
    clock.start_clock()
    return Waiting(machine, clock)


async def test_a_wait_is_so_many_times_as_fast(waiting: Waiting) -> None:
    assert waiting.clock.deadline_to_sleep_time(0.016) == pytest.approx(0.002)
    assert waiting.wait(0.016) == pytest.approx(0.016)


async def test_a_wait_that_a_socket_ends_counts_for_what_it_was(waiting: Waiting) -> None:
    waiting.clock.deadline_to_sleep_time(0.016)
    waiting.machine.now += 0.001

    assert waiting.clock.current_time() == pytest.approx(0.008)


async def test_a_long_wait_is_granted_a_frame_at_a_time(waiting: Waiting) -> None:
    times = [waiting.wait(deadline) for deadline in (3600.0, float("inf"), 0.05)]

    assert times == pytest.approx([FRAME, 2 * FRAME, 0.05])


async def test_a_deadline_that_is_over_is_not_waited_for(waiting: Waiting) -> None:
    assert waiting.clock.deadline_to_sleep_time(-1.0) == 0


async def test_work_counts_once(waiting: Waiting) -> None:
    waiting.machine.now += 0.004

    assert waiting.clock.current_time() == pytest.approx(0.004)


@pytest.mark.parametrize("seconds", [0.3, 60.0, 1e6])
async def test_a_machine_that_stands_still_costs_half_a_frame(seconds: float, waiting: Waiting) -> None:
    late = waiting.wait(0.01, late=seconds)
    waiting.machine.now += seconds
    worked = waiting.clock.current_time()

    assert late == pytest.approx(0.01 + HELD_UP_SECONDS)
    assert worked - late == pytest.approx(HELD_UP_SECONDS)


async def test_while_a_thread_works_a_wait_is_as_long_as_it_is(waiting: Waiting) -> None:
    done = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.to_thread.run_sync, done.wait))
        await wait_all_tasks_blocked()
        granted = waiting.clock.deadline_to_sleep_time(0.016)
        done.set()

    assert granted == pytest.approx(0.016)
    assert waiting.clock.deadline_to_sleep_time(0.016) == pytest.approx(0.002)


def test_a_machine_that_stands_still_for_minutes_makes_nobody_late() -> None:
    machine = Machine(busy=0.001)

    async def main() -> float:
        with trio.fail_after(0.2):
            for _ in range(4):
                machine.now += 120.0
                await trio.sleep(0.01)
                machine.now += 120.0
        return trio.current_time()

    assert 0.04 <= trio.run(main, clock=PacedClock(8.0, machine.read)) <= 0.2
