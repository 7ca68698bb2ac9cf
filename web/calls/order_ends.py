"""How orders end: noted in the queue when it is known how a call went, wherever that was heard.

`OrderEnds.note` is told of every end, more than once of some; the first counts. `run` takes the ends of conversations
from `put`, which waits for nothing. What is not noted, because the database is away or this process dies, is found out
by whichever worker looks after the order next (`web/calls/unfinished.py`). It raises nothing.
"""

from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from store.orders.queue import KeptOrder, OrderQueue
from store.records import CallRecord

_PLACES = 1000

_log = structlog.stdlib.get_logger()


@attrs.frozen
class HowEnded:
    """How a call went: the outcome of its record, who picked up in Twilio's words, and why in plain words."""

    outcome: str
    answered_by: str = ""
    why: str = ""

    @classmethod
    def of(cls, record: CallRecord) -> "HowEnded":
        """Read it from a record."""
        return cls(record.outcome, record.answered_by, record.why)


@attrs.define(eq=False)
class OrderEnds:
    """Where the ends of the orders of one worker are noted; `settle` decides whether there is another attempt."""

    orders: OrderQueue
    settle: Callable[[OrderQueue, KeptOrder, HowEnded], Awaitable[None]]
    _records: trio.MemorySendChannel[CallRecord] = attrs.field(init=False)
    _to_note: trio.MemoryReceiveChannel[CallRecord] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._records, self._to_note = trio.open_memory_channel[CallRecord](_PLACES)

    def put(self, record: CallRecord) -> None:
        """Take the record of a call that is over."""
        if record.direction != "outbound":
            return
        try:
            self._records.send_nowait(record)
        except trio.WouldBlock:
            _log.warning("order_end_not_noted", call_sid=record.call_sid, why=f"{_PLACES} wait already")

    async def run(self) -> None:
        """Write the queued ends to the database, until cancelled."""
        async for record in self._to_note:
            await self.note(record.call_sid, HowEnded.of(record))

    async def note(self, name: str, ended: HowEnded) -> None:
        """Note how the call of an order went, by the order's id or the CallSid; nothing if it is no order's."""
        try:
            order = await self.orders.find(name)
            if order is not None and not order.is_over:
                await self.settle(self.orders, order, ended)
        except OSError as exc:
            _log.warning("order_end_not_noted", name=name, outcome=ended.outcome, why=str(exc))
