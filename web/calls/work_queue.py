"""Work for calls that are over: some of it at once, and no call waits for any.

`WorkQueue` takes what is to be done and has it done by `run`, the oldest first. What crashes, what finds no place, and
what is left when the server closes is logged as `…_crashed`, `…_dropped` and `…_left`; it raises nothing.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

import attrs
import structlog
import trio
from trio.lowlevel import ParkingLot

from actors.supervision import unharmed

T = TypeVar("T")

LAST_SECONDS = 5.0
"""For unfinished work when the server closes."""

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class WorkQueue(Generic[T]):
    name: str
    """The first part of its events in the log."""
    work: Callable[[T], Awaitable[object]]
    at_once: int
    places: int = 1000
    waiting: deque[T] = attrs.field(factory=deque, init=False)
    _under_way: int = attrs.field(default=0, init=False)
    _news: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def put(self, item: T) -> None:
        if len(self.waiting) >= self.places:
            _log.error(f"{self.name}_dropped", call_sid=_call_of(item), why=f"{self.places} wait already")
            return
        self.waiting.append(item)
        self._news.unpark_all()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(self.at_once):
                nursery.start_soon(self._work)

    async def _work(self) -> None:
        while True:
            while not self.waiting:
                await self._news.park()
            self._under_way += 1
            try:
                item = self.waiting.popleft()
                await unharmed(partial(self.work, item), f"{self.name}_crashed", call_sid=_call_of(item))
            finally:
                self._under_way -= 1
                self._news.unpark_all()

    async def finish(self) -> None:
        """Wait until nothing is left, `LAST_SECONDS` at most."""
        with trio.move_on_after(LAST_SECONDS):
            while self._left:
                await self._news.park()
        if self._left:
            _log.error(f"{self.name}_left", count=self._left)

    @property
    def _left(self) -> int:
        return len(self.waiting) + self._under_way


def _call_of(item: object) -> str:
    """Return the CallSid of what is to be done: it is one, or has one."""
    return str(getattr(item, "call_sid", item))
