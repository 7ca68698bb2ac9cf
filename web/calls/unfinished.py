"""Orders that nobody looks after: of a worker that died, of a doubt, of a call of which nothing was heard.

`UnfinishedOrders` takes one after the other from the queue, where its lease has run out, and brings it further. One
that waits is placed. One for which Twilio was asked is looked for in Twilio's list, by its number and our other orders,
and waits again when the list has lacked it twice. A call that was placed is asked after. It stops taking when the
worker drains. What fails is tried again by whichever worker looks next; nothing is raised.
"""

from collections.abc import Sequence
from functools import partial

import attrs
import structlog
import trio

from actors.supervision import unharmed
from protocol.twilio import FINAL_STATUSES
from store.calls import readable_record
from store.json_text import OtherVersion, known_fields
from store.orders.queue import LONGEST_LEASE, KeptOrder
from store.records import TRANSFERRING
from web.calls.context import AppContext
from web.calls.dispatch import LEASE_SECONDS, Dispatcher
from web.calls.live_calls import KnownCall
from web.calls.orders import Lack, NoLine, Order
from web.calls.outcomes import why
from web.calls.placing import BUSY_SECONDS, NEVER_TOLD, ORDER_SECONDS, SETTLE_SECONDS
from web.calls.shown_live import find_elsewhere
from web.clients.twilio import LineError, ask_status

LOOK_SECONDS = 2.0
"""Between looks for orders that another worker has left."""
ASK_SECONDS = 60.0
"""Between questions how a call goes of which nothing is heard."""
PRUNE_SECONDS = 60.0
DAY_SECONDS = 86_400.0
AT_ONCE = 20
LATE = "nobody could place the call within 15 minutes"
NOT_TOLD = "Twilio did not answer, and its list does not tell whether the call was made"
NOT_THERE = "Twilio did not answer, and has no such call"

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class UnfinishedOrders:
    """Looks after the orders left in the queue, for one worker."""

    context: AppContext
    dispatcher: Dispatcher
    _pruned: float = attrs.field(default=0.0, init=False)

    async def run(self) -> None:
        """Look after orders until cancelled, or until the worker drains."""
        limiter = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.context.slots.end_at_drain, nursery.cancel_scope)
            while True:
                async with limiter:
                    pass  # somebody is free to look after it
                order = await self._take()
                if order is None:
                    await trio.sleep(LOOK_SECONDS)
                else:
                    nursery.start_soon(self._look_after, order, limiter)

    async def _take(self) -> KeptOrder | None:
        try:
            order = await self.context.orders.take(self.dispatcher.worker, LEASE_SECONDS)
        except OSError as exc:
            _log.debug("orders_away", why=str(exc))
            return None
        if order is None and trio.current_time() > self._pruned + PRUNE_SECONDS:
            self._pruned, seconds = trio.current_time(), self.context.settings.retention_days.records * DAY_SECONDS
            await unharmed(partial(self.context.orders.prune, seconds), "orders_not_pruned")
        return order

    async def _look_after(self, order: KeptOrder, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            await unharmed(partial(self.look_after, order), "order_crashed", id=order.order_id)

    async def look_after(self, order: KeptOrder) -> None:
        """Bring an order further that this worker has taken. Raises: `OSError`; another worker tries again."""
        if self.dispatcher.turn_of(order.order_id) is not None:
            return  # its own task has it, and was late
        record = await readable_record(self.context.services.records, order.call_sid or order.order_id)
        if record is not None and record.outcome != TRANSFERRING:  # only its end was not noted
            await self.context.outcomes.ends.note(order.order_id, record.outcome, record.why)
            return
        match order.state:
            case "waiting" if order.order_id in self.dispatcher.untaken:
                await self.context.orders.drop(order.order_id, self.dispatcher.worker)
                self.dispatcher.untaken.pop(order.order_id, None)
            case "waiting" if order.campaign:  # the worker that took it has died, or may not call it now
                await self.dispatcher.placing.put_off(self.dispatcher.shown(order), 0.0)
            case "waiting":
                await self.place(order)
            case "asking":
                await self._find_out(order)
            case _:
                await self._ask_after(order)

    async def place(self, order: KeptOrder, late: str = LATE) -> None:
        """Have the call of an order placed when it is its turn, or put off where there is no line."""
        call = self.dispatcher.shown(order)
        if call_sid := call.call_sid or await self._carried(order):  # an older state of the database is back
            await self.dispatcher.placing.note_placed(self.context.live_calls.add(call), call_sid)
            return
        if order.is_late and order.campaign:
            await self.dispatcher.placing.put_off(call, 0.0)
            return
        if order.is_late:
            await self.dispatcher.placing.conclude(call, "failed", late)
            return
        none = self.dispatcher.no_line() or await self._claim(order, call)
        if none is not None:
            await self.dispatcher.placing.put_off(call, min(none.seconds, BUSY_SECONDS))

    async def _carried(self, order: KeptOrder) -> str:
        """Return the CallSid of an order whose call runs on any worker; empty where none does."""
        live = await self.context.fleet.find(order.order_id)
        return live.call_sid if live is not None else ""

    async def _claim(self, order: KeptOrder, call: KnownCall) -> NoLine | None:
        """Have the call placed at its turn; return why there is no line for it."""
        try:
            wanted = known_fields(Order, order.body)
        except OtherVersion as exc:
            _log.warning("order_left", id=order.order_id, why=str(exc))
            return NoLine(Lack.REFUSED, BUSY_SECONDS)
        moment = await self.dispatcher.claim(order.order_id)
        if isinstance(moment, NoLine):
            return moment
        await self.dispatcher.wait_turn(self.context.live_calls.add(call), wanted, moment)
        return None

    async def _find_out(self, order: KeptOrder) -> None:
        """Look for the call of an order in Twilio's list, and have it placed when it is not there."""
        call, found = self.dispatcher.shown(order), await self._listed(order)
        if found is None and not order.is_late:
            await self.context.orders.hold(order.order_id, self.dispatcher.worker, SETTLE_SECONDS)
        elif found is None or len(found) > 1:
            await self.dispatcher.placing.conclude(call, "failed", NOT_TOLD, outcome="unknown")
        elif found:
            _log.info("call_found", call_sid=found[0], id=order.order_id)
            await self.dispatcher.placing.note_placed(self.context.live_calls.add(call), found[0])
        elif await self.context.orders.again(order.order_id, self.dispatcher.worker):
            await self.place(order, NOT_THERE)
        else:  # as long as to the first look: the clock may have been set forward before that
            await self.context.orders.hold(order.order_id, self.dispatcher.worker, SETTLE_SECONDS)

    async def _listed(self, order: KeptOrder) -> Sequence[str] | None:
        """Return the calls that may be this order's: to its number, since it was asked for, of no other one or try.

        And somewhat before that: the clock may have been set back since, and a call of nobody's is better left alone.
        """
        age = await self._age(order)
        try:
            listed = await self.context.line.calls_to(order.number, age + LONGEST_LEASE)
        except LineError as exc:
            _log.warning("calls_not_listed", id=order.order_id, why=exc.reason)
            return None
        known = {*await self.context.orders.known(listed, order.order_id)}
        known |= {str(attempt.get("call_sid")) for attempt in order.history}
        return [call_sid for call_sid in listed if call_sid not in known]

    async def _ask_after(self, order: KeptOrder) -> None:
        """Find out how a call went whose end nobody has noted; give it up if Twilio does not tell in so long."""
        call, status = self.dispatcher.shown(order), ""
        is_carried = (call.streamed and not call.over) or await find_elsewhere(self.context, call.call_sid)
        if not is_carried:
            asked = await ask_status(self.context.line, order.call_sid)
            status = "failed" if asked is None else asked
        if status in FINAL_STATUSES:
            await self.dispatcher.placing.conclude(call, status, why(status, {}))
        is_told = status in FINAL_STATUSES  # then its stream was let in, and nobody has kept a record
        if order.is_late and not is_carried and (is_told or not await self._may_go_on(order)):
            given_up = status if is_told else "failed"
            await self.dispatcher.placing.conclude(call, given_up, NEVER_TOLD, outcome="unknown")
            await self.context.outcomes.ends.note(order.order_id, "unknown", NEVER_TOLD)
        await self.context.orders.hold(order.order_id, self.dispatcher.worker, ASK_SECONDS)

    async def _may_go_on(self, order: KeptOrder) -> bool:
        """Whether a call may still be on its way, from when Twilio was asked for it, or with an agent."""
        if await self._age(order) < ORDER_SECONDS:
            return True
        return await self.context.admissions.is_streamed(order.call_sid, if_unknown=True)

    async def _age(self, order: KeptOrder) -> float:
        """Return the seconds since Twilio was asked for the call of an order, by the database's clock."""
        return max(0.0, await self.context.orders.now() - (order.asked or order.created))
