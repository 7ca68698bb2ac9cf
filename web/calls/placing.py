"""Placing the call of an order: Twilio is asked once.

`Placing` notes an order as *asking* before it asks Twilio, and is the only place that asks. A process may die at any
step: the order is *waiting* then and was not asked for, or *asking*, and is looked for by `web/calls/unfinished.py`
once nobody can be asking any more (`SETTLE_SECONDS`); so is one that Twilio does not answer. One that is *placed* is
asked after there, if nothing is heard of it.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import attrs
import structlog
import trio

from store.records import DO_NOT_CALL, UNANSWERED
from web.calls.context import AppContext
from web.calls.live_calls import KnownCall
from web.calls.orders import InDoubt, Order, Placed, Refused, Taken, Waiting
from web.clients.twilio import LineError

RING_SECONDS = 150.0
"""The longest that a call may be on its way: 60 s of ringing, and the network's own delays."""
ORDER_SECONDS = 900.0
"""Above one call a second Twilio queues: a call that was asked for may be on its way for so long."""
LATEST_SECONDS = 900.0
"""An order that nobody could place in so long fails: operators want their calls soon."""
PLACE_SECONDS = 15.0
"""For Twilio to take a call, with all that is repeated on the way."""
SEND_SECONDS = 5.0
"""From noting that Twilio is asked to asking: a process that was stopped for longer must not ask any more."""
SETTLE_SECONDS = 35.0
"""From asking to looking for the call in Twilio's list: `SEND_SECONDS`, `PLACE_SECONDS`, and the list's own delay."""
LOOK_SECONDS = 5.0
"""Until an order that must not be placed now is looked at again."""
BUSY_SECONDS = 10.0
"""Until an order that finds no line may be worth another try."""
PLACED_SECONDS = RING_SECONDS
"""From placing a call to asking after it, where nothing was noted of its end."""
OF_THE_ACCOUNT = frozenset({*range(300, 400), *range(401, 408), 10001, 20003, 20005, 20404, 21205, 21210, 21212, 90010})
"""Refusals that are not the number's fault: account, credentials, our address or number, or another server's answer."""
PASSING = frozenset({0, 429, 10004, 20429})
"""Refusals that pass: Twilio cannot be reached, too many calls at once, too many requests."""
NEVER_TOLD = "no agent ever heard of the call, and Twilio does not tell how it ended"

_log = structlog.stdlib.get_logger()


def clock_awake() -> float:
    """Return the time of a clock that goes on while the machine is suspended, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@attrs.frozen(eq=False)
class Placing:
    context: AppContext
    worker: str
    clock: Callable[[], float] = clock_awake

    async def place(self, call: KnownCall, order: Order, *, is_patient: bool = False) -> Taken:
        """Ask Twilio for the call, once; `is_patient`: where Twilio cannot be reached, let the order wait again."""
        if not await self._may_ask(call):
            return Waiting(LOOK_SECONDS)
        try:
            with trio.fail_after(PLACE_SECONDS):
                call_sid = await self.context.line.place_call(order.to, call.id, order.options)
        except trio.TooSlowError:
            return InDoubt("Twilio did not answer in time")
        except LineError as exc:
            _log.warning("call_not_placed", id=call.id, why=exc.reason, code=exc.code, maybe_placed=exc.maybe_done)
            return InDoubt(exc.reason) if exc.maybe_done else await self._refused(call, exc, is_patient=is_patient)
        await self.note_placed(call, call_sid)
        return Placed()

    async def _refused(self, call: KnownCall, exc: LineError, *, is_patient: bool) -> Taken:
        if exc.code in OF_THE_ACCOUNT and await self._pause_campaign(call, exc):
            await self._unask(call)
            return Refused(exc)
        if is_patient and exc.code in PASSING and await self._unask(call):
            return Waiting(BUSY_SECONDS)
        await self.conclude(call, "failed", _refusal(exc))
        return Refused(exc)

    async def _pause_campaign(self, call: KnownCall, exc: LineError) -> bool:
        """Pause the campaign of an order: all its other numbers would be refused as well."""
        try:
            return await self.context.campaigns.pause_of(call.id, _refusal(exc))
        except OSError:
            return False

    async def _may_ask(self, call: KnownCall) -> bool:
        """Note that Twilio is about to be asked for a call; False where it must not be, now or at all."""
        began = self.clock()
        try:
            if not await self.context.orders.ask(call.id, self.worker, SETTLE_SECONDS):
                await self._take_in_why_not(call)
                return False
        except OSError as exc:
            _log.warning("call_not_asked_for", id=call.id, why=str(exc))
            return False
        if self.clock() - began > SEND_SECONDS:
            _log.warning("call_not_asked_for", id=call.id, why="this process was stopped for too long")
            await self._unask(call)
            return False
        return True

    async def _take_in_why_not(self, call: KnownCall) -> None:
        order = await self.context.orders.find(call.id)
        if order is None:
            self.context.slots.release(call.id)
            call.conclude("canceled", "canceled")
        elif order.is_over:
            await self.conclude(call, UNANSWERED.get(order.outcome, "completed"), order.why, outcome=order.outcome)
        elif order.worker != self.worker or order.state != "waiting":
            call.carried_elsewhere()
        elif await self.context.orders.refused_number(order.number) is not None:
            await self.conclude(call, "canceled", "the number is on the do-not-call list", outcome=DO_NOT_CALL)
        else:
            await self.put_off(call, LOOK_SECONDS)

    async def _unask(self, call: KnownCall) -> bool:
        """Let an order wait again that Twilio has certainly not taken; False if another worker looks after it."""
        try:
            is_ours = await self.context.orders.unask(call.id, self.worker)
        except OSError:
            return True  # it is looked for in Twilio's list, in vain, and then waits again
        if is_ours:
            await self.put_off(call, BUSY_SECONDS)
        return is_ours

    async def put_off(self, call: KnownCall, seconds: float) -> None:
        """Have somebody look after an order in so many seconds; it takes no slot meanwhile.

        A campaign's number goes back to its campaign, and is no call until that takes it again.
        """
        self.context.slots.release(call.id)
        with suppress(OSError):
            if await self.context.campaigns.put_back(call.id, self.worker, seconds):
                self.context.live_calls.remove(call.id)
            else:
                await self.context.orders.hold(call.id, self.worker, seconds)

    async def note_placed(self, call: KnownCall, call_sid: str) -> None:
        self.context.live_calls.name(call.id, call_sid)
        _log.info("call_placed", call_sid=call_sid, id=call.id)
        try:
            await self.context.orders.placed(call.id, call_sid, PLACED_SECONDS)
        except OSError as exc:
            _log.warning("call_placed_not_noted", id=call.id, call_sid=call_sid, why=str(exc))

    async def conclude(self, call: KnownCall, status: str, reason: str, *, outcome: str = "") -> None:
        """Note how an order ended of which no agent has a record."""
        self.context.slots.release(call.id)
        await self.context.outcomes.conclude(call, status, reason, outcome=outcome)


def _refusal(exc: LineError) -> str:
    code = f" (Twilio {exc.code})" if exc.code else ""
    return f"Twilio refused the call: {exc.reason.rstrip('.')}{code}. {exc.fix}".strip()
