"""Capacity of this worker: one slot for each call, and how fast calls are placed.

A slot is a context manager, so it cannot leak. A call on its way (placed and ringing, or sent to the media stream and
not there yet) holds a *reservation* instead: it counts like a call, and lapses by itself. `Slots` never fails, and
waits only for the last call to end. While draining, no new reservation is given; calls that have one, of any worker,
are still let in. `Pace` owns no task; its caller waits for the moment it has claimed.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio


@attrs.define
class Slots:
    """The capacity of one worker."""

    capacity: int
    draining: bool = attrs.field(default=False, init=False)
    _taken: set[str] = attrs.field(factory=set, init=False)
    _reserved: dict[str, float] = attrs.field(factory=dict, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _drains: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def taken(self) -> int:
        """Calls being carried now."""
        return len(self._taken)

    @property
    def expected(self) -> int:
        """Calls on their way."""
        self._lapse()
        return len(self._reserved)

    @property
    def free(self) -> int:
        """Calls that could still be let in."""
        self._lapse()
        return max(0, self.capacity - len(self._taken) - len(self._reserved))

    @property
    def accepting(self) -> bool:
        """Whether a new call would be let in."""
        return not self.draining and self.free > 0

    def reserve(self, key: str, seconds: float) -> bool:
        """Keep room for call `key` for a while; a second reservation of the same call replaces the first."""
        self._lapse()
        known = key in self._reserved or key in self._taken
        if not known and not self.accepting:
            return False
        if key not in self._taken:
            self._reserved[key] = trio.current_time() + seconds
        return True

    def readmit(self, key: str, seconds: float) -> None:
        """Keep room for a call that was carried already, and may come back: it is never turned away."""
        self._reserved[key] = trio.current_time() + seconds

    def release(self, key: str) -> None:
        """Give up a reservation; nothing happens when there is none."""
        if self._reserved.pop(key, None) is not None:
            self._announce()

    @contextmanager
    def take(self, key: str) -> Iterator[bool]:
        """Hold a slot for call `key`, in place of its reservation, which another worker may have given.

        So whoever comes is let in while there is room, draining or not: they have shown a ticket. Yields False, and
        holds nothing, when there is no room or when this call has a slot already.
        """
        reserved = self._reserved.pop(key, None) is not None
        if key in self._taken or (not reserved and not self.free):
            yield False
            return
        self._taken.add(key)
        try:
            yield True
        finally:
            self._taken.discard(key)
            self._announce()

    def drain(self) -> None:
        """Let no new call in from now on."""
        self.draining = True
        self._drains.set()

    async def wait_draining(self) -> None:
        """Wait until no new call is let in any more."""
        await self._drains.wait()

    async def wait_empty(self) -> None:
        """Wait until no call is being carried or on its way."""
        self._lapse()
        while self._taken or self._reserved:
            with trio.move_on_at(min(self._reserved.values(), default=math.inf)):
                await self._changed.wait()
            self._lapse()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _lapse(self) -> None:
        now = trio.current_time()
        for key in [key for key, deadline in self._reserved.items() if deadline <= now]:
            del self._reserved[key]


@attrs.define
class Pace:
    """Places so many calls a second, evenly: Twilio accepts faster orders too, and rings them minutes later.

    https://support.twilio.com/hc/en-us/articles/223180028
    """

    per_second: float
    _next: float = attrs.field(default=-math.inf, init=False)

    @property
    def wait(self) -> float:
        """Seconds until a call that is ordered now could be placed."""
        return max(0.0, self._next - trio.current_time())

    def claim(self) -> float:
        """Take the next free moment, and return it."""
        moment = trio.current_time() + self.wait
        self._next = moment + 1 / self.per_second
        return moment
