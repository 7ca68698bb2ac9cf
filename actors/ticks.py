"""One clock for all calls: tasks that can be woken a few milliseconds late sleep to a common tick.

A sleep of trio's own is a cancel scope that expires, with all that cancelling costs; there would be dozens a second for
each call. Here one task sleeps for all, in one scope, and the others are parked. Its scope never expires, or hardly
ever: an instrument looks at the time before trio does, wakes the tasks that are due, so that they run in that very
scheduler turn, and moves the scope's deadline on. It is a system task of trio's, there is one in a run, and it ends
when nobody sleeps any more.
"""

import heapq
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs
import trio

TICK_SECONDS = 0.02
SLACK_SECONDS = 0.002
"""What cannot wait for a tick waits so long, for all that becomes due meanwhile: each turn of the clock costs."""
ROUND_TICKS = 4
ROUND_SECONDS = ROUND_TICKS * TICK_SECONDS
"""What may gather for so long is read on one tick of four …"""
_NEIGHBOURS = 96
"""… and so many streams, of some thirty calls, on the same one: the first to be served on a tick finds cold caches."""
_MOST_LEFT = 64
"""Entries of those who have left, beside one for each sleeper; when there are more, they are let go of."""
_SOON = 1e-4
"""Seconds until trio has looked at the time as well: a tick that has come meanwhile is the next turn's."""
_ROUNDING = 1e-9
"""Seconds: tolerance for floating point in the moment of a tick."""


def time_reader() -> Callable[[], float]:
    """Return what reads the time of this run of trio; `trio.current_time` looks for the run each time."""
    return trio.lowlevel.current_clock().current_time


@attrs.define(eq=False)
class Sleeper:
    """One who sleeps to a tick, which others may move meanwhile. Sleeps in one task at a time, of one run of trio."""

    _clock: "_Clock | None" = attrs.field(default=None, init=False)
    _task: trio.lowlevel.Task | None = attrs.field(default=None, init=False)
    _until: float = attrs.field(default=math.inf, init=False)
    parked: float = attrs.field(default=math.inf, init=False)
    """Until when the clock takes it to sleep: never later than it does. Minus infinity: its tick has come."""
    _is_exact: bool = attrs.field(default=False, init=False)
    _look: Callable[[], float] | None = attrs.field(default=None, init=False)
    _faults: list[BaseException] = attrs.field(factory=list, init=False)
    """What the look has raised, until the task takes it. It stands here because a local name in the task would
    tie it to its own frame, and keep both until a full collection."""

    async def sleep_until(
        self, moment: float, look: Callable[[], float] | None = None, *, exactly: bool = False
    ) -> None:
        """Sleep until the first tick after a moment that is not past yet, or for ever if that is `math.inf`.

        `look` is called when the clock comes, in the task's context and before any task runs: it returns until when to
        sleep on, or a moment that is past, and only then the task is woken. What it raises, the task raises, also one
        that it has woken or cancelled before. `exactly`: to no tick, but until within `SLACK_SECONDS` of a moment.
        *Cancellation* costs nobody else anything.
        """
        self._clock = clock = self._clock or _clock()
        self._task, self._look, self._is_exact = trio.lowlevel.current_task(), look, exactly
        self._until = max(moment, clock.now() + 2 * _ROUNDING)
        self._park(clock)
        try:
            await trio.lowlevel.wait_task_rescheduled(self._abort)  # `_go_on` and `_abort` have left the clock by then
        finally:
            self._look = None  # it may know us
            if self._faults:
                raise self._faults.pop()

    def move(self, moment: float) -> None:
        """Let it sleep until another moment, if it sleeps at all; one that is past wakes it at once.

        One that is later is looked at when the tick comes to which it sleeps now: until then it may be moved again.
        """
        if self._task is None or (clock := self._clock) is None:
            return
        self._until = moment
        if moment >= self.parked:
            return
        if moment <= clock.now():
            self.wake()
        else:
            self._leave()
            self._park(clock)

    def wake(self) -> None:
        """Go on, in the next turn of the scheduler."""
        if self._task is not None:
            self._leave()
            self._go_on()

    def come(self, clock: "_Clock", now: float) -> None:
        """Go on, or sleep on if it was moved, or looks and says so: its tick has come, and the clock has let it go."""
        self.parked = -math.inf
        if self._until <= now and self._look is not None and self._task is not None:
            try:
                self._until = self._task.context.run(self._look)
            except BaseException as fault:  # noqa: ASYNC103, BLE001 - the task's, not the clock's, which others sleep on
                self._faults.append(fault)
                self._until = now
        if self._until <= now:
            self._go_on()
        elif self._task is not None:  # else what it has seen has ended its sleep
            self._park(clock)

    def _go_on(self) -> None:
        task, self._task, self.parked = self._task, None, math.inf
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _park(self, clock: "_Clock") -> None:
        """Have the clock wake it on the first tick that is not before its moment, which may be infinite."""
        self.parked = until = self._until
        if until < math.inf:
            tick = math.ceil((until - _ROUNDING) / TICK_SECONDS) * TICK_SECONDS
            if self._is_exact and tick > until + _ROUNDING:
                clock.last_between = until if until > clock.last_between else clock.last_between
            elif tick > until:
                self.parked = until = tick
            clock.add(self, until)

    def _leave(self) -> None:
        left, self.parked = self.parked, math.inf
        if -math.inf < left < math.inf and self._clock is not None:
            self._clock.remove(left)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._leave()
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


@attrs.define(eq=False)
class Looker(Sleeper):
    """Has the clock look from a moment on, as long as a `with` lasts, where nobody has to be woken: no task sleeps.

    `look` is called, and says when to look again, as in `Sleeper.sleep_until`; a moment that is past ends it. What it
    raises, a task raises that `start` begins.
    """

    first: float
    look: Callable[[], float]
    start: Callable[[Callable[[], Awaitable[None]]], object]

    def __enter__(self) -> None:
        self._clock = clock = _clock()
        self._task, self._look, self._until = trio.lowlevel.current_task(), self.look, self.first
        self._park(clock)

    def __exit__(self, *_: object) -> None:
        self._leave()
        self._task = self._look = None
        del self.look, self.start  # they may know a call, and the clock may know us for longer

    def _go_on(self) -> None:
        task, self._task, self.parked = self._task, None, math.inf
        if task is not None and self._faults:
            task.context.run(self.start, self._raise)

    async def _raise(self) -> None:
        raise self._faults.pop()


@attrs.define(eq=False)
class _Clock(trio.abc.Instrument):
    now: Callable[[], float] = attrs.field(default=trio.current_time, init=False)
    """The same at less than half the price while somebody sleeps: a sleeper may outlive a run of trio."""
    asleep: int = attrs.field(default=0, init=False)
    """How many sleep."""
    _due: list[tuple[float, int, Sleeper]] = attrs.field(factory=list, init=False)
    """A heap of moments (trio time) and sleepers. An entry counts only while its sleeper sleeps until that moment."""
    _nap: trio.CancelScope | None = attrs.field(default=None, init=False)
    """Of the task that sleeps for all; its deadline is the first moment. None while nobody sleeps."""
    _first: float = attrs.field(default=math.inf, init=False)
    """That deadline: a scope's own is a property of many steps."""
    last_between: float = attrs.field(default=-math.inf, init=False)
    """The last moment between two ticks to which somebody sleeps, or has slept."""
    streams: int = attrs.field(default=0, init=False)
    """How many have been given a place."""

    def add(self, sleeper: Sleeper, moment: float) -> None:
        self.asleep += 1
        heapq.heappush(self._due, (moment, id(sleeper), sleeper))
        if self._nap is None:
            self._first = self._latest(moment)
            self._nap = trio.CancelScope(deadline=self._first)
            trio.lowlevel.spawn_system_task(self._sleep_for_all)
        elif moment < self._first and (latest := self._latest(moment)) < self._first:
            self._sleep_until(latest)

    def remove(self, moment: float) -> None:
        """Let go of one who was parked until this moment, and is no more."""
        self.asleep -= 1
        if len(self._due) > 2 * self.asleep + _MOST_LEFT:
            self._due[:] = {entry for entry in self._due if entry[2].parked == entry[0]}  # one may be there twice
            heapq.heapify(self._due)
        if not self.asleep or self._latest(moment) == self._first:
            self._sleep_until(self._next())

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - the interface is trio's
        """Wake those that are due, in the turn of the scheduler that begins now."""
        if self._first <= (now := self.now()):
            self._wake_due(now)
            self._sleep_until(max(self._next(), self.now() + _SOON) if self.asleep else -math.inf)

    async def _sleep_for_all(self) -> None:
        trio.lowlevel.add_instrument(self)
        self.now = time_reader()
        try:
            while self._nap is not None:
                with self._nap:  # it expires if a moment comes between our look at the time and trio's
                    await trio.sleep_forever()
                self._first = self._next()
                self._nap = trio.CancelScope(deadline=self._first) if self.asleep else None
            self._due.clear()
        finally:
            self.now = trio.current_time
            with suppress(KeyError):  # trio has let it go already, for an error in it
                trio.lowlevel.remove_instrument(self)

    def _sleep_until(self, moment: float) -> None:
        if self._nap is not None and moment != self._first:
            self._first = self._nap.deadline = moment

    def _next(self) -> float:
        """Return when the first to be due has waited long enough, a moment that is past if nobody sleeps.

        For a moment that all have left, nobody wakes.
        """
        if not self.asleep:
            return -math.inf
        while self._due[0][2].parked != self._due[0][0]:
            heapq.heappop(self._due)
        return self._latest(self._due[0][0])

    def _latest(self, moment: float) -> float:
        """Return when the clock comes for a moment: while some lie between two ticks, a tick is in no hurry either."""
        return moment + SLACK_SECONDS if moment <= self.last_between else moment

    def _wake_due(self, now: float) -> None:
        due = self._due
        while due and due[0][0] <= now:
            moment, _, sleeper = heapq.heappop(due)
            if sleeper.parked == moment:
                self.asleep -= 1
                sleeper.come(self, now)


_CLOCKS: "trio.lowlevel.RunVar[_Clock]" = trio.lowlevel.RunVar("the clock of all calls")


def next_round(moment: float) -> float:
    """Return the first moment from this one on at which many are served; the same, if it is infinite."""
    rounded = (moment - _ROUNDING) // ROUND_SECONDS * ROUND_SECONDS + ROUND_SECONDS
    return rounded if rounded > moment else moment


def place_in_round() -> int:
    """Return on which tick of each round a stream is to be read."""
    clock = _clock()
    clock.streams += 1
    return clock.streams // _NEIGHBOURS % ROUND_TICKS


def _clock() -> _Clock:
    try:
        return _CLOCKS.get()
    except LookupError:
        clock = _Clock()
        _CLOCKS.set(clock)
        return clock
