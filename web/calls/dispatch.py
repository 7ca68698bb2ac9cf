"""Orders of calls: each waits its turn, is placed once, and is followed to an outcome.

`Dispatcher` owns what happens to an order between `POST /calls` and the first news of its call. Nothing is ever placed
twice: a creation whose fate is unknown (no answer from Twilio, or the client has gone meanwhile) is looked for by
our own id, which every webhook of the call carries, and then in Twilio's list, before it is said to have failed. `run`
does this and whatever else takes time; it ends by being cancelled, and raises nothing that Twilio or the database does.

    order ─▶ (its turn) ─▶ place ─┬─▶ placed ──────────────▶ status callbacks, or asked after ─▶ outcome
                                  ├─▶ refused ─────────────────────────────────────────────▶ outcome
                                  └─▶ in doubt ─▶ a webhook with our id, or in the list ─▶ placed, or outcome
"""

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import TypeAlias

import attrs
import structlog
import trio

from actors.supervision import Crashed, guard
from protocol.twilio import FINAL_STATUSES
from web.calls.context import AppContext
from web.calls.live_calls import KnownCall
from web.calls.orders import Order
from web.calls.outcomes import why
from web.clients.twilio_api import LineError

RING_SECONDS = 150.0
"""The longest that a call may be on its way: 60 s of ringing, and the network's own delays."""
ORDER_SECONDS = 900.0
"""Above one call a second Twilio queues; what is known of the lead must outlive that."""
LONGEST_WAIT = 60.0
"""An order that would wait longer is not taken: who orders calls wants them soon."""
DOUBT_SECONDS = 15.0
"""From no answer to asking for the list: webhooks of a call that was placed come within seconds."""
LOOK_SECONDS = 5.0
"""Between looks whether another worker carries a call: its line here is kept for nothing then."""
BUSY_SECONDS = 10.0
"""Until an order that finds no line may be worth another try."""
_LIST_TRIES = 4
_LIST_PAUSE = 5.0
_CLOCK_SKEW = timedelta(seconds=5)
_JOBS = 1000

_log = structlog.stdlib.get_logger()

Job: TypeAlias = Callable[[], Awaitable[None]]


@attrs.frozen
class Placed:
    """Twilio has the call."""


@attrs.frozen
class Waiting:
    """The order waits for its turn, so many seconds."""

    seconds: float


@attrs.frozen
class InDoubt:
    """Twilio did not answer; whether it has the call is being found out."""

    why: str


@attrs.frozen
class Refused:
    """Twilio did not take it."""

    error: LineError


Taken: TypeAlias = Placed | Waiting | InDoubt | Refused


class Lack(Enum):
    """Why an order is not taken."""

    DRAINING = "draining"
    FULL = "full"
    QUEUE = "queue"
    DATABASE = "database"


@attrs.frozen
class NoLine:
    """There is no room for the order now, but perhaps after so many seconds."""

    lack: Lack
    seconds: float


@attrs.frozen
class AlreadyRinging:
    """Our last call to this number is on its way still."""

    call: KnownCall | None
    """None while another request is ordering it."""


async def forget(_call_sid: str) -> None:
    """Note nothing of a call that was placed."""
    await trio.lowlevel.checkpoint()


def new_order_id() -> str:
    """Return an id for an order that nobody has, or can guess."""
    return f"OR{secrets.token_hex(12)}"


@attrs.frozen
class NewOrder:
    """The id of a new order, and the function that is told the CallSid of its call once that is known."""

    order_id: str = attrs.field(factory=new_order_id)
    note_placed: Callable[[str], Awaitable[None]] = forget


@attrs.define(eq=False)
class Dispatcher:
    """Places the orders of one worker."""

    context: AppContext
    _jobs: trio.MemorySendChannel[Job] = attrs.field(init=False)
    _to_do: trio.MemoryReceiveChannel[Job] = attrs.field(init=False)
    _waiting: dict[str, tuple[trio.CancelScope, float]] = attrs.field(factory=dict, init=False)
    """For each order that waits: how it is called off, and when its turn is."""
    _ordered: set[str] = attrs.field(factory=set, init=False)
    """Numbers whose orders are being taken."""
    _told: dict[str, Callable[[str], Awaitable[None]]] = attrs.field(factory=dict, init=False)
    """The function that is told the CallSid, for each order that is not placed yet."""

    def __attrs_post_init__(self) -> None:
        self._jobs, self._to_do = trio.open_memory_channel[Job](_JOBS)

    async def run(self) -> None:
        """Do what takes time, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_drain)
            async for job in self._to_do:
                nursery.start_soon(self._do, job)

    async def take(self, order: Order, new: NewOrder | None = None) -> tuple[KnownCall, Taken] | NoLine:
        """Take an order: place its call, or let it wait for its turn."""
        context, new = self.context, new or NewOrder()
        call_id = new.order_id
        if (none := self.no_line()) is not None:
            return none
        # before anything is claimed: the client may hang up meanwhile, which cancels this
        await context.admissions.note_order(call_id, order.note, ORDER_SECONDS)
        if (none := self.no_line()) is not None:
            return none
        moment = await self._claim(call_id)
        if isinstance(moment, NoLine):
            return moment
        call = context.live_calls.add(KnownCall(call_id, "outbound", order.to, order.line, "queued"))
        self._told[call_id] = new.note_placed
        wait = moment - trio.current_time()
        if wait <= 0:
            return call, await self._place(call, order)
        self._waiting[call_id] = trio.CancelScope(), moment
        self._later(partial(self._place_at, moment, call, order))
        return call, Waiting(wait)

    async def _claim(self, call_id: str) -> float | NoLine:
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

    async def take_unless_ringing(
        self, order: Order, new: NewOrder
    ) -> tuple[KnownCall, Taken] | NoLine | AlreadyRinging:
        """Take an order, unless our last call to the same number has not been answered yet."""
        if (none := self.no_line()) is not None:
            return none
        if (ringing := await self.ringing_to(order.to)) is not None or order.to in self._ordered:
            return AlreadyRinging(ringing)
        self._ordered.add(order.to)
        try:
            return await self.take(order, new)
        finally:
            self._ordered.discard(order.to)

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
                self.context.live_calls.refreshed(call, status)
        return next(self.context.live_calls.ringing_to(number), None)

    def turn_of(self, order_id: str) -> float | None:
        """Return in how many seconds an order is placed; None if it does not wait."""
        waiting = self._waiting.get(order_id)
        return max(0.0, waiting[1] - trio.current_time()) if waiting is not None else None

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

    async def call_off(self, call: KnownCall, reason: str) -> bool:
        """Call off an order that waits for its turn; False when it does not."""
        waiting = self._waiting.pop(call.id, None)
        if waiting is None:
            return False
        waiting[0].cancel(reason=reason)
        await self._conclude(call, "canceled", reason)
        return True

    async def _place_at(self, moment: float, call: KnownCall, order: Order) -> None:
        if (waiting := self._waiting.get(call.id)) is not None:
            with waiting[0]:
                await trio.sleep_until(moment)
        if self._waiting.pop(call.id, None) is not None:
            await self._place(call, order)

    async def _place(self, call: KnownCall, order: Order) -> Taken:
        since, answered = datetime.now(UTC) - _CLOCK_SKEW, False
        try:
            call_sid = await self.context.line.place_call(order.to, call.id, order.options)
            answered = True
        except LineError as exc:
            answered = not exc.maybe_done
            _log.warning("call_not_placed", id=call.id, why=exc.reason, code=exc.code, maybe_placed=exc.maybe_done)
            if exc.maybe_done:
                return InDoubt(exc.reason)
            await self._conclude(call, "failed", _refusal(exc))
            return Refused(exc)
        finally:  # also when the client has hung up, which cancels this
            if not answered:
                self._later(partial(self._find_out, call, since))
        await self._note_placed(call, call_sid)
        return Placed()

    async def _note_placed(self, call: KnownCall, call_sid: str) -> None:
        self.context.live_calls.name(call.id, call_sid)
        _log.info("call_placed", call_sid=call_sid, id=call.id)
        self._later(partial(self._see_through, call))  # first: the client may hang up meanwhile
        await self.context.admissions.note_placed(call.id, call_sid, ORDER_SECONDS)
        await self._tell(call)

    async def _tell(self, call: KnownCall) -> None:
        await self._told.pop(call.id, forget)(call.call_sid)

    async def _find_out(self, call: KnownCall, since: datetime) -> None:
        """Find the call of an order that Twilio did not answer, or say that there is none."""
        call_sid = await self._hear_of(call) or await self._look_up(call, since)
        if call_sid:
            _log.info("call_found", call_sid=call_sid, id=call.id)
            await self._note_placed(call, call_sid)

    async def _hear_of(self, call: KnownCall) -> str:
        with trio.move_on_after(DOUBT_SECONDS):
            while not call.call_sid:
                call_sid = await self.context.admissions.recall_placed(call.id)  # if another worker hears of it
                if call_sid is not None:
                    return call_sid
                await trio.sleep(1)
        return call.call_sid

    async def _look_up(self, call: KnownCall, since: datetime) -> str:
        found = await self._listed(call, since)
        if call.call_sid:
            return call.call_sid
        if found is None or len(found) > 1:
            told = "Twilio did not answer, and its list does not tell whether the call was made"
            await self._conclude(call, "failed", told, outcome="unknown")
        elif not found:
            await self._conclude(call, "failed", "Twilio did not answer, and has no such call")
        return found[0] if found and len(found) == 1 else ""

    async def _listed(self, call: KnownCall, since: datetime) -> list[str] | None:
        for attempt in range(_LIST_TRIES):
            try:
                found = await self.context.line.calls_to(call.caller, since)
            except LineError as exc:
                _log.warning("calls_not_listed", id=call.id, why=exc.reason, attempt=attempt)
                await trio.sleep(_LIST_PAUSE)
            else:
                return [call_sid for call_sid in found if self.context.live_calls.find(call_sid) is None]
        return None

    async def _see_through(self, call: KnownCall) -> None:
        """Give the line back if another worker carries the call; ask after one of which nothing is heard any more.

        One of which Twilio does not tell either, or only that it goes on without us, is given up.
        """
        await self._tell(call)
        until = trio.current_time() + ORDER_SECONDS
        while trio.current_time() < until:
            if await self._is_heard_of(call):
                return
            try:
                status = await self.context.line.status_of(call.call_sid) or "failed"
            except LineError as exc:
                _log.warning("status_not_known", call_sid=call.call_sid, why=exc.reason, code=exc.code)
            else:
                self.context.live_calls.refreshed(call, status)
                if status in FINAL_STATUSES:
                    await self._conclude(call, status, why(status, {}))
        if call.live and not call.streamed:
            told = "no agent ever heard of the call, and Twilio does not tell how it ended"
            await self._conclude(call, "failed", told, outcome="unknown")

    async def _is_heard_of(self, call: KnownCall) -> bool:
        with trio.move_on_after(RING_SECONDS):
            while not call.over and not call.streamed:
                if await self.context.admissions.is_streamed(call.call_sid):
                    self.context.live_calls.carried_elsewhere(call.call_sid)
                    self.context.slots.release(call.id)
                    return True
                await trio.sleep(LOOK_SECONDS)
            return True
        return False

    async def _conclude(self, call: KnownCall, status: str, reason: str, *, outcome: str = "") -> None:
        self._told.pop(call.id, None)
        self.context.slots.release(call.id)
        await self.context.outcomes.conclude(call, status, reason, outcome=outcome)

    async def _wait_drain(self) -> None:
        await self.context.slots.wait_draining()
        for name in list(self._waiting):
            call = self.context.live_calls.find(name)
            if call is not None:
                await self.call_off(call, "the server was shut down before its turn")

    def _later(self, job: Job) -> None:
        try:
            self._jobs.send_nowait(job)
        except trio.WouldBlock:
            _log.error("order_not_followed", why=f"{_JOBS} orders are being followed already")

    @staticmethod
    async def _do(job: Job) -> None:
        ended = await guard(job)
        if isinstance(ended, Crashed):
            _log.error("order_crashed", error=ended.reason)


def _refusal(exc: LineError) -> str:
    code = f" (Twilio {exc.code})" if exc.code else ""
    return f"Twilio refused the call: {exc.reason.rstrip('.')}{code}. {exc.fix}".strip()
