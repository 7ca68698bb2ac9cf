"""One clock for all who gather: `wait_tick` wakes everybody who waits for the same tick in one turn of the scheduler.

A sleep of trio's own is a cancel scope that expires, with all that cancelling costs; there would be a dozen a second
for each call. Here one task sleeps for all, and the others are parked. It is a system task of trio's, there is one in a
run, and it ends when nobody waits any more.
"""

import math

import attrs
import trio

TICK_SECONDS = 0.01


def next_tick(moment: float) -> int:
    """Return the number of the first tick that is not before a moment (trio time)."""
    return math.ceil(moment / TICK_SECONDS - 1e-6)


async def wait_tick(number: int) -> None:
    """Wait for a tick that is yet to come.

    *Cancellation* costs nobody else anything.
    """
    try:
        clock = _CLOCK.get()
    except LookupError:
        clock = _Clock()
        _CLOCK.set(clock)
    await clock.wait(number)


@attrs.define(eq=False)
class _Clock:
    _parked: dict[int, list[trio.lowlevel.Task]] = attrs.field(factory=dict)
    _nap: trio.CancelScope | None = None
    """In which the one that sleeps for all does so; None while nobody waits."""

    async def wait(self, number: int) -> None:
        task, parked = trio.lowlevel.current_task(), self._parked.setdefault(number, [])
        parked.append(task)
        if self._nap is None:
            self._nap = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self._sleep_for_all)
        elif self._nap.deadline > number * TICK_SECONDS:
            self._nap.deadline = number * TICK_SECONDS

        def abort(_: object) -> trio.lowlevel.Abort:
            parked.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def _sleep_for_all(self) -> None:
        while self._parked:
            with trio.CancelScope(deadline=min(self._parked) * TICK_SECONDS) as self._nap:
                await trio.sleep_forever()
            now = trio.current_time()
            for number in [number for number in self._parked if number * TICK_SECONDS <= now]:
                for task in self._parked.pop(number):
                    trio.lowlevel.reschedule(task)
        self._nap = None


_CLOCK: "trio.lowlevel.RunVar[_Clock]" = trio.lowlevel.RunVar("clock of all who gather")
