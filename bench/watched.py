"""What a server's process sees of itself while it serves, and what is said of it: turns, collections, growth.

It needs nothing of the load generators', so the tests of it run without their libraries.
"""

import time
from statistics import linear_regression
from typing import Final

import attrs
import trio

_COLLECTION_KEPT_MS: Final = 1.0
"""Only what is longer is kept, for what is kept is memory of the server's."""
_TURN_KEPT_MS: Final = 5.0


@attrs.frozen
class Took:
    """A turn of the event loop, or a collection: when it began (`time.monotonic`), and how long it took."""

    at: float
    wall_ms: float
    cpu_ms: float


@attrs.define(eq=False)
class Watched(trio.abc.Instrument):
    """What the server's process sees of itself."""

    turns: list[Took] = attrs.field(factory=list)
    collections: list[Took] = attrs.field(factory=list)
    _turn: tuple[float, float] = attrs.field(default=(0.0, 0.0), init=False)
    _collection: tuple[float, float] = attrs.field(default=(0.0, 0.0), init=False)

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - the interface is trio's
        self._turn = time.monotonic(), time.thread_time()

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        if self._turn[0] and (took := _since(self._turn)).wall_ms >= _TURN_KEPT_MS:
            self.turns.append(took)

    def on_collection(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._collection = time.monotonic(), time.thread_time()
        elif (took := _since(self._collection)).wall_ms >= _COLLECTION_KEPT_MS:
            self.collections.append(took)


def _since(began: tuple[float, float]) -> Took:
    at, cpu = began
    return Took(at, (time.monotonic() - at) * 1000, (time.thread_time() - cpu) * 1000)


def growth_kb(seen: list[tuple[float, float]]) -> float:
    """Return by how many kB a minute the memory grows (moments and MB): a straight line through all of it."""
    return linear_regression(*zip(*seen, strict=True)).slope * 60 * 1024


def longest(what: str, took: list[Took], promised: float) -> bool:
    """Print how long it took; say whether that is as promised."""
    wall, cpu = (max((getattr(each, clock) for each in took), default=0.0) for clock in ("wall_ms", "cpu_ms"))
    print(f"longest {what}: {wall:.1f} ms, {cpu:.1f} of the processor; at most {promised:g} is promised")
    return cpu <= promised
