"""Capacity of this worker: one slot for each call, and how fast calls are placed.

A slot is a context manager, so it cannot leak. A call on its way (placed and ringing, or sent to the media stream and
not there yet) holds a *reservation* instead: it counts like a call, and lapses by itself. `Slots` never fails, and
waits only for the last call to end. While draining, no new reservation is given; calls that have one, of any worker,
are still let in. What is taken here is taken of the account as well (`store/fleet/`): `let_in` and `carry` ask for
both, `reserve` and `take` count this worker's calls only. `Pace` owns no task; its caller waits for the moment it has
claimed.
"""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import attrs
import trio
from trio.lowlevel import ParkingLot

from store.fleet.shared import Fleet, LiveCall


@attrs.define
class Slots:
    capacity: int
    fleet: Fleet = attrs.field(default=attrs.Factory(lambda self: Fleet(self.capacity), takes_self=True))
    """The slots of the account."""
    draining: bool = attrs.field(default=False, init=False)
    _taken: set[str] = attrs.field(factory=set, init=False)
    _reserved: dict[str, float] = attrs.field(factory=dict, init=False)
    _changed: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    _drains: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def taken(self) -> int:
        return len(self._taken)

    @property
    def expected(self) -> int:
        self._lapse()
        return len(self._reserved)

    @property
    def free(self) -> int:
        self._lapse()
        return max(0, self.capacity - len(self._taken) - len(self._reserved))

    @property
    def accepting(self) -> bool:
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

    async def let_in(self, key: str, seconds: float) -> bool:
        """Keep room for call `key` for a while, here and in the account. Cancellation: none is kept."""
        if not self.reserve(key, seconds):
            await trio.lowlevel.checkpoint()
            return False
        is_let_in = False
        try:
            is_let_in = await self.fleet.reserve(key, seconds)
        finally:
            if not is_let_in:
                self.release(key)
        return is_let_in

    def readmit(self, key: str, seconds: float) -> None:
        """Keep room for a call that was carried already, and may come back: it is never turned away."""
        self._reserved[key] = trio.current_time() + seconds
        if key not in self._taken:
            self.fleet.readmit(key, seconds)

    def release(self, key: str) -> None:
        """Give up a reservation, whichever worker has given it; nothing happens when there is none."""
        if key and key not in self._taken:
            self.fleet.free(key)
        if self._reserved.pop(key, None) is not None:
            self._announce()

    @asynccontextmanager
    async def carry(self, call: LiveCall, *, over: bool = False) -> AsyncIterator[bool]:
        """Hold a slot for a call, here and in the account; `over`: one that was carried before, and is let in.

        Yields False, and holds nothing, when there is no room or when this call has a slot already.
        """
        with self.take(call.key) as held:
            if not held:
                yield False
                return
            try:
                yield await self.fleet.admit(call, over=over)
            finally:
                self.fleet.free(call.key)
                if (until := self._reserved.get(call.key)) is not None:
                    self.fleet.readmit(call.key, until - trio.current_time())

    @contextmanager
    def take(self, key: str) -> Iterator[bool]:
        """Hold a slot for call `key`, in place of its reservation, which another worker may have given.

        A caller with a token is let in while there is room, draining or not. Yields False, and
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
        self.draining = True
        self._drains.set()

    async def wait_draining(self) -> None:
        await self._drains.wait()

    async def end_at_drain(self, scope: trio.CancelScope) -> None:
        await self.wait_draining()
        scope.cancel(reason="the worker drains")

    async def wait_empty(self) -> None:
        self._lapse()
        while self._taken or self._reserved:
            with trio.move_on_at(min(self._reserved.values(), default=math.inf)):
                await self._changed.park()
            self._lapse()

    def _announce(self) -> None:
        self._changed.unpark_all()

    def _lapse(self) -> None:
        now = trio.current_time()
        for key in [key for key, deadline in self._reserved.items() if deadline <= now]:
            del self._reserved[key]


@attrs.define
class Pace:
    """How fast the calls of the account are placed.

    Twilio takes what comes faster too, and rings it minutes later:
    https://support.twilio.com/hc/en-us/articles/223180028.
    """

    per_second: float
    fleet: Fleet
    _next: float = attrs.field(default=-math.inf, init=False)

    @property
    def wait(self) -> float:
        """Seconds until a call that is ordered now could be placed, as far as is known here."""
        return max(0.0, self._next - trio.current_time())

    async def claim(self, longest: float) -> float | None:
        """Take the next free moment of the account, and return it; None if it is farther away than `longest`."""
        wait = await self.fleet.claim_turn(self.per_second, longest)
        if wait is None:
            return None
        moment = trio.current_time() + wait
        self._next = max(self._next, moment + 1 / self.per_second)
        return moment
