"""Where a task keeps the event loop to itself: measured in real time, which a mock clock does not see.

`StepWatch` times each step of one task, and of the tasks below it. While a step lasts, a thread looks at what it is
doing: a step counts as blocking when the thread has met it in the same line twice, so that a busy machine alone is no
suspect.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

import attrs
import trio
from trio.testing import MockClock

LOOK_EVERY: Final = 0.05
"""Seconds of real time between two looks at a step."""
SPINS: Final = 5_000
"""Rounds of the scheduler in one moment of the mock clock that only a task which never waits takes."""
SPIN_SECONDS: Final = 0.1
"""What such a task may take for a fiftieth of these rounds."""
_HERE: Final = Path(__file__).parent
_LIBRARIES: Final = ("site-packages", "lib/python", "<frozen")


@contextmanager
def instrumented(instrument: trio.abc.Instrument) -> Iterator[None]:
    """Have trio tell an instrument what it does, for as long as the block lasts."""
    trio.lowlevel.add_instrument(instrument)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(instrument)


@attrs.define(eq=False)
class StepWatch(trio.abc.Instrument):
    """Watches the steps of a task and of the tasks below it.

    `place` is where one blocked first, and `longest` the longest such step.
    """

    task: trio.lowlevel.Task
    place: str = ""
    longest: float = 0.0
    _thread: int = attrs.field(factory=threading.get_ident, init=False)
    _since: float = attrs.field(default=0.0, init=False)
    """When the present step began; 0 while there is none."""
    _suspect: str = attrs.field(default="", init=False)
    _over: threading.Event = attrs.field(factory=threading.Event, init=False)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch from the present step of the task on."""
        looker = threading.Thread(target=self._look, name="step watch", daemon=True)
        trio.lowlevel.add_instrument(self)
        looker.start()  # which waits for the thread: no step of the task's
        self.before_task_step(self.task)
        try:
            yield
        finally:
            self.after_task_step(self.task)
            trio.lowlevel.remove_instrument(self)
            self._over.set()
            looker.join()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Begin a step."""
        if self._is_ours(task):
            self._since, self._suspect = time.perf_counter(), ""

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """End a step, and keep where it blocked."""
        if self._since and self._is_ours(task):
            took, self._since = time.perf_counter() - self._since, 0.0
            if self._suspect:
                self.place, self.longest = self.place or self._suspect, max(self.longest, took)

    def _is_ours(self, task: trio.lowlevel.Task) -> bool:
        above: trio.lowlevel.Task | None = task
        while above is not None and above is not self.task:
            above = above.parent_nursery.parent_task if above.parent_nursery is not None else None
        return above is self.task

    def _look(self) -> None:
        seen: tuple[float, str] | None = None
        while not self._over.wait(LOOK_EVERY):
            since, frame = self._since, sys._current_frames().get(self._thread)
            if not since or frame is None:
                seen = None
                continue
            now = (since, _place_of(frame))
            if now == seen and since == self._since:
                self._suspect = now[1]
            seen = now


@attrs.define(eq=False)
class SpinWatch(trio.abc.Instrument):
    """Lets time go by where a task never waits: the mock clock by itself moves only while all tasks wait.

    Without it a handler that polls would keep a test from its deadlines, and from its end.
    """

    _clock: trio.abc.Clock = attrs.field(factory=trio.lowlevel.current_clock, init=False)
    _moment: float = attrs.field(default=-1.0, init=False)
    _rounds: int = attrs.field(default=0, init=False)
    """Of the scheduler, since the clock has moved by itself."""

    def before_io_wait(self, timeout: float) -> None:
        """Count a round, which takes no time where a task can go on at once."""
        now = self._clock.current_time()
        self._rounds = self._rounds + 1 if now == self._moment and timeout == 0 else 0
        if self._rounds >= SPINS and isinstance(self._clock, MockClock):
            self._clock.jump(SPIN_SECONDS)
            self._rounds -= SPINS // 50
        self._moment = self._clock.current_time()


def place_in(trace: TracebackType | None) -> str:
    """Name the line where something was raised: the innermost that is no library's, else the innermost.

    It is empty for an error that was made and put into a group, and raised nowhere.
    """
    lines = []
    while trace is not None:
        lines.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    own = [line for line in lines if not any(part in line[0] for part in _LIBRARIES)]
    return "{}:{}".format(*(own or lines)[-1]) if lines else ""


def _place_of(frame: FrameType) -> str:
    """Name the innermost line that is no library's; the innermost of all where there is none below the testkit.

    It is empty where trio starts a thread: on a busy machine the thread is at work before the step is over.
    """
    place: FrameType | None = frame
    while place is not None and any(part in place.f_code.co_filename for part in _LIBRARIES):
        if place.f_code is trio.to_thread.run_sync.__code__:
            return ""
        place = place.f_back
    if place is None or Path(place.f_code.co_filename).parent == _HERE:
        place = frame
    return f"{place.f_code.co_filename}:{place.f_lineno}"
