"""One clock for all calls: tasks that can be woken a few milliseconds late sleep to a common tick.

A sleep of trio's own is a cancel scope that expires, with all that cancelling costs; there would be dozens a second for
each call. Here one task sleeps for all, in one scope, and the others are parked. When the scope expires, it does not
take the exception: it wakes the tasks that are due at once, so that they run in that very scheduler turn. It is a
system task of trio's, there is one in a run, and it ends when nobody sleeps any more.
"""

import math

import attrs
import trio

TICK_SECONDS = 0.01
_ROUNDING = 1e-9
"""Seconds: tolerance for floating point in the moment of a tick."""


def next_tick(moment: float) -> int:
    """Return the number of the first tick that is not before a moment (trio time)."""
    return math.ceil((moment - _ROUNDING) / TICK_SECONDS)


def _moment_of(tick: int) -> float:
    return tick * TICK_SECONDS + 2 * _ROUNDING


@attrs.define(eq=False)
class Sleeper:
    """One who sleeps to a tick, which others may move meanwhile. Sleeps in one task at a time."""

    _task: trio.lowlevel.Task | None = None
    _until: float = math.inf
    _is_exact: bool = False

    async def sleep_until(self, moment: float, *, is_exact: bool = False) -> None:
        """Sleep until the first tick after a moment that is not past yet, or for ever if that is `math.inf`.

        `is_exact`: until the moment itself, which costs a turn of the clock that nobody else shares.
        *Cancellation* costs nobody else anything.
        """
        self._task = trio.lowlevel.current_task()
        self._is_exact = is_exact
        self._park(max(moment, trio.current_time() + 2 * _ROUNDING))
        await trio.lowlevel.wait_task_rescheduled(self._abort)  # `strike` and `_abort` have left the clock by then

    def move(self, moment: float) -> None:
        """Let it sleep until another moment, if it sleeps at all; one that is past wakes it at once."""
        if self._task is None:
            return
        if moment <= trio.current_time():
            self.wake()
        else:
            self._leave()
            self._park(moment)

    def wake(self) -> None:
        """Go on, in the next turn of the scheduler."""
        if self._task is not None:
            self._leave()
            self.strike()

    def strike(self) -> None:
        """Go on: the clock has let it go already."""
        task, self._task, self._until = self._task, None, math.inf
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _park(self, moment: float) -> None:
        self._until = moment if self._is_exact or moment == math.inf else _moment_of(next_tick(moment))
        if self._until < math.inf:
            _clock().add(self, self._until)

    def _leave(self) -> None:
        if self._until < math.inf:
            _clock().remove(self, self._until)
            self._until = math.inf

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._leave()
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


@attrs.define(eq=False)
class _Clock:
    _sleepers: dict[float, set[Sleeper]] = attrs.field(factory=dict)
    """By the moment until which they sleep (trio time)."""
    _nap: trio.CancelScope | None = None
    """In which the one that sleeps for all does so; None while nobody sleeps."""

    def add(self, sleeper: Sleeper, moment: float) -> None:
        self._sleepers.setdefault(moment, set()).add(sleeper)
        if self._nap is None:
            self._nap = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self._sleep_for_all)
        elif self._nap.deadline > moment:
            self._nap.deadline = moment

    def remove(self, sleeper: Sleeper, moment: float) -> None:
        sleepers = self._sleepers[moment]
        sleepers.remove(sleeper)
        if not sleepers:
            del self._sleepers[moment]
        if not self._sleepers and self._nap is not None:
            self._nap.deadline = -math.inf

    async def _sleep_for_all(self) -> None:
        task = trio.lowlevel.current_task()

        def strike(_: object) -> trio.lowlevel.Abort:
            if trio.current_time() < nap.deadline:
                return trio.lowlevel.Abort.SUCCEEDED  # the run is over
            self._wake_due()
            trio.lowlevel.reschedule(task)
            return trio.lowlevel.Abort.FAILED

        while self._sleepers:
            with trio.CancelScope(deadline=min(self._sleepers)) as nap:
                self._nap = nap
                await trio.lowlevel.wait_task_rescheduled(strike)  # ends at once when the last one leaves
        self._nap = None

    def _wake_due(self) -> None:
        now = trio.current_time()
        for moment in [moment for moment in self._sleepers if moment <= now]:
            for sleeper in self._sleepers.pop(moment):
                sleeper.strike()


_CLOCKS: "trio.lowlevel.RunVar[_Clock]" = trio.lowlevel.RunVar("the clock of all calls")


def sleeping() -> int:
    """Return how many sleep at the moment, in all calls."""
    return sum(map(len, _clock()._sleepers.values()))


def _clock() -> _Clock:
    try:
        return _CLOCKS.get()
    except LookupError:
        clock = _Clock()
        _CLOCKS.set(clock)
        return clock
