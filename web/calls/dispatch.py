"""Orders of calls: each is kept, waits its turn, is placed once, and is followed to an outcome.

`Dispatcher` owns what happens to an order of this worker between `POST /calls` and the first news of its call. An order
is in the database before it is answered, and noted there as *asking* before Twilio is asked; whatever this process does
not bring to an end, because it dies or is cancelled, another one or its next start does (`web/calls/unfinished.py`).
Nothing is ever placed twice: a creation whose fate is unknown is looked for by our own id, which every webhook of the
call carries, and then in Twilio's list. `run` does what takes time; it ends by being cancelled, and raises nothing that
Twilio or the database does.

    order ─▶ (kept) ─▶ (its turn) ─▶ place ─┬─▶ placed ────▶ status callbacks, or asked after ─▶ outcome
                                            ├─▶ refused ───────────────────────────────────▶ outcome
                                            └─▶ in doubt ─▶ a webhook with our id, or in the list ─▶ placed, or again
"""

import math
import secrets
from contextlib import suppress
from functools import partial

import attrs
import structlog
import trio
from trio.lowlevel import ParkingLot

from actors.supervision import unharmed
from store.calls import DatabaseRefused
from store.orders.queue import KeptOrder, NewOrder, Put, SameKey
from web.calls.context import AppContext
from web.calls.live_calls import KnownCall
from web.calls.orders import (
    NO_KEY,
    AlreadyRinging,
    ClientKey,
    Lack,
    NoLine,
    Order,
    OrderAnswer,
    Waiting,
    new_order_id,
    written_order,
)
from web.calls.placing import BUSY_SECONDS, LATEST_SECONDS, RING_SECONDS, Placing
from web.clients.twilio import LineError

LONGEST_WAIT = 60.0
"""An order that would wait longer is not taken: operators want their calls soon."""
LEASE_SECONDS = 20.0
"""For so long beyond its turn an order is this worker's: another takes it then, for this one must have died."""
UNTAKEN_SECONDS = 3600.0
"""An order that nobody knows of is too late to be placed long before."""
_DROP_SECONDS = 2.0

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class _OpenRequest:
    """A client's request with a key, while it is answered."""

    digest: str
    answer: OrderAnswer | None = None
    over: trio.Event = attrs.field(factory=trio.Event)


def _is_refused(order: KeptOrder) -> bool:
    """Whether an order was not carried out: it may be tried again."""
    return order.is_over and order.outcome == "failed" and not order.call_sid


@attrs.define(eq=False)
class Dispatcher:
    context: AppContext
    worker: str = attrs.field(factory=lambda: secrets.token_hex(8))
    """The name of this process in the queue, which none has had."""
    _waiting: dict[str, tuple[float, KnownCall, Order]] = attrs.field(factory=dict, init=False)
    """For each order that waits: when its turn is, and what is placed then."""
    _news: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    _ordered: set[str] = attrs.field(factory=set, init=False)
    """Numbers whose orders are being taken."""
    _open: dict[str, _OpenRequest] = attrs.field(factory=dict, init=False)
    """By the keys of their clients."""
    untaken: dict[str, float] = attrs.field(factory=dict, init=False)
    """Orders that may be kept though their clients were not told so, and since when: those of the last hour."""
    placing: Placing = attrs.field(
        default=attrs.Factory(lambda self: Placing(self.context, self.worker), takes_self=True), init=False
    )

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_drain)
            while True:
                now = trio.current_time()
                for name in [name for name, (moment, *_) in self._waiting.items() if moment <= now]:
                    _, call, order = self._waiting.pop(name)
                    nursery.start_soon(
                        unharmed, partial(self.placing.place, call, order, is_patient=True), "order_crashed"
                    )
                with trio.move_on_at(min((moment for moment, *_ in self._waiting.values()), default=math.inf)):
                    await self._news.park()

    async def take(self, order: Order, key: ClientKey = NO_KEY) -> OrderAnswer:
        if (none := self.no_line()) is not None:
            return none
        call_id = new_order_id()
        kept = await self._keep(order, call_id, key)
        if not isinstance(kept, KeptOrder):
            return kept
        moment = await self._claim_or_drop(call_id)
        if isinstance(moment, NoLine):
            return moment
        if moment is None:  # it is kept, and cannot be forgotten now: somebody places it
            return self.shown(kept), Waiting(LEASE_SECONDS)
        call = self.context.live_calls.add(KnownCall(call_id, "outbound", order.to, order.line, "queued"))
        wait = moment - trio.current_time()
        if wait <= 0:
            return call, await self.placing.place(call, order)
        await self.wait_turn(call, order, moment)
        return call, Waiting(wait)

    async def _keep(self, order: Order, call_id: str, key: ClientKey) -> Put | NoLine:
        new = NewOrder(call_id, order.to, written_order(order), key.name, key.digest)
        is_answered = False
        try:
            kept = await self.context.orders.put(new, self.worker, lease=LEASE_SECONDS, latest=LATEST_SECONDS)
            is_answered = True
        except OSError as exc:
            _log.warning("order_not_kept", why=str(exc))
            return NoLine(Lack.REFUSED if isinstance(exc, DatabaseRefused) else Lack.DATABASE, BUSY_SECONDS)
        finally:
            if not (is_answered or key.name):  # with a key, the client's repetition finds it
                self._forget_soon(call_id)
        return kept

    async def _claim_or_drop(self, call_id: str) -> float | NoLine | None:
        """Claim a slot and a turn, and forget the order where there are none; None where it could not be forgotten.

        Cancellation: forgets it, too.
        """
        moment: float | NoLine | None = None
        is_dropped = False
        try:
            moment = await self.claim(call_id)
        finally:
            if not isinstance(moment, float):
                with trio.move_on_after(_DROP_SECONDS, shield=True), suppress(OSError):
                    await self.context.orders.drop(call_id, self.worker)
                    is_dropped = True
            if moment is None and not is_dropped:  # the client has hung up
                self._forget_soon(call_id)
        return moment if is_dropped or isinstance(moment, float) else None

    def _forget_soon(self, call_id: str) -> None:
        """Have an order dropped as soon as the database shows it, within `UNTAKEN_SECONDS`."""
        now = trio.current_time()
        while self.untaken and next(iter(self.untaken.values())) < now - UNTAKEN_SECONDS:
            del self.untaken[next(iter(self.untaken))]
        self.untaken[call_id] = now

    async def claim(self, call_id: str) -> float | NoLine:
        """Claim a slot and a turn for an order, and return when its turn is. Cancellation: claims no slot."""
        slots, pace = self.context.slots, self.context.pace
        if not await slots.let_in(call_id, pace.wait + RING_SECONDS):
            return NoLine(Lack.FULL, BUSY_SECONDS)
        is_claimed = False
        try:
            moment = await pace.claim(LONGEST_WAIT)
            if moment is None:
                return NoLine(Lack.QUEUE, BUSY_SECONDS)
            if moment > trio.current_time():
                await slots.let_in(call_id, moment - trio.current_time() + RING_SECONDS)
            is_claimed = True
            return moment
        finally:
            if not is_claimed:
                slots.release(call_id)

    async def take_unless_ringing(self, order: Order, key: ClientKey = NO_KEY) -> OrderAnswer:
        if (none := self.no_line()) is not None:
            return none
        if (ringing := await self.ringing_to(order.to)) is not None or order.to in self._ordered:
            return AlreadyRinging(ringing)
        self._ordered.add(order.to)
        try:
            return await self.take(order, key)
        finally:
            self._ordered.discard(order.to)

    async def take_once(self, order: Order, key: ClientKey) -> OrderAnswer:
        """Take an order, unless its key is known: then tell what became of it. Raises: `OSError`.

        The key is kept with its order for a day, in the same statement; an order that was refused, or that nobody began
        to place, frees it. A repetition that comes while the first request is answered waits for it and has its answer.
        """
        while (earlier := self._open.get(key.name)) is not None:
            await earlier.over.wait()
            if earlier.digest == key.digest and earlier.answer is not None:
                return earlier.answer
        request = self._open[key.name] = _OpenRequest(key.digest)
        try:
            request.answer = await self._take_first(order, key)
        finally:
            del self._open[key.name]
            request.over.set()
        return request.answer

    async def _take_first(self, order: Order, key: ClientKey) -> OrderAnswer:
        orders = self.context.orders
        known = await orders.by_key(key.name)  # before anything that a repetition would be refused for
        while True:
            if known is not None and not _is_refused(known):
                return SameKey(known)
            if known is not None:
                await orders.free_key(known.order_id)
            answer = await self.take_unless_ringing(order, key)
            if not isinstance(answer, SameKey):
                return answer
            known = answer.order

    async def ringing_to(self, number: str) -> KnownCall | None:
        """Return our last call to this number, if nobody has answered it yet, as far as is known here or at Twilio."""
        for call in self.context.live_calls.ringing_to(number):
            if not (call.call_sid and call.stale):
                return call
            try:
                status = await self.context.line.status_of(call.call_sid)
            except LineError:
                return call
            if status is not None:
                call.refreshed(status)
        return next(self.context.live_calls.ringing_to(number), None)

    def turn_of(self, order_id: str) -> float | None:
        """Return in how many seconds an order is placed; None if it does not wait."""
        waiting = self._waiting.get(order_id)
        return max(0.0, waiting[0] - trio.current_time()) if waiting is not None else None

    def no_line(self) -> NoLine | None:
        """Return why no order is taken now; None when one is."""
        slots, wait = self.context.slots, self.context.pace.wait
        if slots.draining:
            return NoLine(Lack.DRAINING, BUSY_SECONDS)
        if slots.fleet.is_away:
            return NoLine(Lack.DATABASE, BUSY_SECONDS)
        if wait > LONGEST_WAIT:
            return NoLine(Lack.QUEUE, wait - LONGEST_WAIT)
        return None if slots.accepting else NoLine(Lack.FULL, BUSY_SECONDS)

    async def call_off(self, name: str, reason: str) -> bool:
        """Call off an order that waits for its turn, on any worker; False when none does. Raises: `OSError`."""
        order = await self.context.orders.find(name)
        if order is None or not await self.context.orders.cancel(order.order_id, reason):
            return False
        self._waiting.pop(order.order_id, None)
        await self.placing.conclude(self.shown(order), "canceled", reason)
        return True

    def shown(self, order: KeptOrder) -> KnownCall:
        """Return the call of an order as this worker knows it, or as nobody has shown it here yet."""
        known = self.context.live_calls.find(order.order_id)
        line = self.context.settings.twilio_phone_number
        return known or KnownCall(order.order_id, "outbound", order.number, line, "queued", order.call_sid)

    async def wait_turn(self, call: KnownCall, order: Order, moment: float) -> None:
        try:
            await self.context.orders.hold(call.id, self.worker, moment - trio.current_time() + LEASE_SECONDS)
        except OSError as exc:
            _log.warning("order_not_held", id=call.id, why=str(exc))
        self._waiting[call.id] = moment, call, order
        self._news.unpark_all()

    async def _wait_drain(self) -> None:
        """Leave the orders that wait to other workers, or to the next start, when this one drains."""
        await self.context.slots.wait_draining()
        left, self._waiting = self._waiting, {}
        for name in left:
            self.context.slots.release(name)
            self.context.live_calls.remove(name)
            with suppress(OSError):
                await self.context.orders.leave(name, self.worker)
