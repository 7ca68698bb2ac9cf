"""Watchdog of the event loop: reports the line that blocks it, while it still does.

One blocking call in a handler freezes every call of the worker. `Watchdog.run` has trio say when it begins to run tasks
and when it waits again, which costs two readings of a clock a turn of the loop, and looks from a thread of its own how
long ago that was. A turn that takes longer than `BLOCKED_SECONDS` is counted, and logged as `event_loop_blocked` with
the stack of the loop's thread and the function whose handler is at work: once a second at most, and again for as long
as it lasts. Under a clock that is not the wall's (tests, a fast demo) it does nothing.
"""

import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from types import FrameType

import attrs
import structlog
import trio

from actors.session.function_calls import handler_in

BLOCKED_SECONDS = 0.25
SUSPECT_SECONDS = 0.2
"""When the stack is taken: a turn that ends between two looks is reported as well."""
LOOK_SECONDS = 0.05
REPORT_SECONDS = 1.0
JOIN_SECONDS = 1.0
LONGEST_STACK = 15

_IDLE = float("inf")
_TRIO = str(Path(trio.__file__).parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})

_log = structlog.stdlib.get_logger()


@attrs.frozen
class Suspect:
    """The stack of a blocked event loop: the line, and the function of an agent that runs it."""

    at: str = ""
    handler: str = ""
    stack: tuple[str, ...] = ()

    @classmethod
    def of(cls, frame: FrameType | None) -> "Suspect":
        if frame is None:
            return cls()
        found = [line for line in traceback.extract_stack(frame) if not line.filename.startswith(_TRIO)]
        ours = [line for line in found if not line.filename.startswith(_LIBRARIES)] or found
        return cls(_words(ours[-1]) if ours else "", handler_in(frame), tuple(map(_words, found[-LONGEST_STACK:])))


def _words(line: traceback.FrameSummary) -> str:
    return f"{line.filename}:{line.lineno} in {line.name}: {line.line}"


@attrs.define(eq=False)
class Watchdog(trio.abc.Instrument):
    """Watches the event loop that `run` runs in; `count` is told of each turn that took too long, in seconds."""

    count: Callable[[float], None]
    _busy_since: float = attrs.field(default=_IDLE, init=False)
    _suspected: tuple[float, Suspect] = attrs.field(default=(_IDLE, Suspect()), init=False)
    """Of the turn that began then."""
    _told_of: float = attrs.field(default=_IDLE, init=False)
    _told_at: float = attrs.field(default=-_IDLE, init=False)
    _untold: int = attrs.field(default=0, init=False)
    _over: threading.Event = attrs.field(factory=threading.Event, init=False)

    async def run(self) -> None:
        """Watch until cancelled. The thread ends with it."""
        if not _is_wall_clock():
            return
        look = threading.Thread(
            target=self._look_on, args=(threading.get_ident(),), name="event loop watchdog", daemon=True
        )
        trio.lowlevel.add_instrument(self)
        look.start()
        try:
            await trio.sleep_forever()
        finally:
            self._over.set()
            with suppress(KeyError):  # trio has let it go already, for an error in it
                trio.lowlevel.remove_instrument(self)
            look.join(JOIN_SECONDS)  # it wakes at once

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - the interface is trio's
        self._busy_since = perf_counter()

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        took = perf_counter() - self._busy_since
        if took >= BLOCKED_SECONDS:
            self._end(took)
        self._busy_since = _IDLE

    def _end(self, took: float) -> None:
        """Count a turn that took too long, and tell of it if nobody has: its own line may have kept the thread out."""
        self.count(took)
        if self._told_of != self._busy_since:
            began, suspect = self._suspected
            self._tell(took, suspect if began == self._busy_since else Suspect())

    def _look_on(self, loop: int) -> None:
        wait = SUSPECT_SECONDS
        while not self._over.wait(wait):
            since = self._busy_since
            took = perf_counter() - since
            # the next look is when a turn that has begun, or begins now, is as old as that
            wait = min(SUSPECT_SECONDS, SUSPECT_SECONDS - took) if took < SUSPECT_SECONDS else LOOK_SECONDS
            if took >= SUSPECT_SECONDS and self._is_due(since, took):
                self._suspected = since, Suspect.of(sys._current_frames().get(loop))
                if took >= BLOCKED_SECONDS and since == self._busy_since:
                    self._told_of = since
                    self._tell(took, self._suspected[1])

    def _is_due(self, since: float, took: float) -> bool:
        """Say whether a stack is needed: for the first time, or for another report."""
        is_new = self._suspected[0] != since
        return is_new or (took >= BLOCKED_SECONDS and perf_counter() >= self._told_at + REPORT_SECONDS)

    def _tell(self, took: float, suspect: Suspect) -> None:
        now = perf_counter()
        if now < self._told_at + REPORT_SECONDS:
            self._untold += 1
            return
        self._told_at, untold, self._untold = now, self._untold, 0
        known = {"handler": suspect.handler} if suspect.handler else {}
        at = suspect.at or "not seen: it kept every other thread out"
        with suppress(OSError, ValueError):  # nobody reads the log any more
            _log.warning(
                "event_loop_blocked",
                seconds=round(took, 3),
                at=at,
                stack="\n".join(suspect.stack),
                untold=untold,
                **known,
            )


def _is_wall_clock() -> bool:
    second = trio.lowlevel.current_clock().deadline_to_sleep_time(trio.current_time() + 1.0)
    return 0.9 < second < 1.1
