"""A clock that runs fast for a program whose every party is in it, and stands still when the program is held up.

In a call between simulators nobody outside waits in real time. Were its clock to run on while the process does not (the
machine is busy, the laptop asleep), the caller's, the agents' and the network's seconds would pass with nobody there to
use them, and a call that is fine would be judged bad. So this clock runs fast only while every task waits. The
program's own work counts once, in threads too; but what takes longer than `HELD_UP_SECONDS` is the machine's doing.

Nothing outside may take part: no browser, no other process, no service.
"""

from collections.abc import Callable
from time import perf_counter

import attrs
import trio
from trio.testing import active_thread_count

LONGEST_WAIT_SECONDS = 0.02
"""One frame of audio. A program that is held up while it waits for a socket, with no deadline near, loses no more."""
HELD_UP_SECONDS = 0.01
"""Half a frame: a task that is late by it misses no frame. At ten times the pace, a wait is off by a millisecond."""


@attrs.define(eq=False)
class PacedClock(trio.abc.Clock):
    """A clock for `trio.run`: `rate` is its seconds in one of the wall's, `read` the wall's clock."""

    rate: float
    read: Callable[[], float] = perf_counter
    _time: float = attrs.field(default=0.0, init=False)
    _read_at: float = attrs.field(default=0.0, init=False)
    _pace: float = attrs.field(default=1.0, init=False)
    _most: float = attrs.field(default=HELD_UP_SECONDS, init=False)
    """What may pass until the next reading, however long that takes."""

    def start_clock(self) -> None:
        self._read_at = self.read()

    def current_time(self) -> float:
        """Return the seconds that were waited and worked since the start."""
        now = self.read()
        self._time += min((now - self._read_at) * self._pace, self._most)
        self._read_at, self._pace, self._most = now, 1.0, HELD_UP_SECONDS
        return self._time

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return how long to wait in real time, now that all tasks wait: until `deadline`, or for a frame of audio."""
        wait = max(0.0, min(deadline - self.current_time(), LONGEST_WAIT_SECONDS))
        self._pace = 1.0 if active_thread_count() else self.rate
        self._most = wait + HELD_UP_SECONDS
        return wait / self._pace
