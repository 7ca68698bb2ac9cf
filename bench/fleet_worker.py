"""One worker of `bench.fleet_chaos`: the shared state and the records of a server, without telephones and agents.

It reads orders from its input, a line each, and says what came of them:

    voice SID          a webhook: keep a slot            yes SID, or no SID
    stream SID SECONDS a stream: carry the call          in SID, or full SID; saving SID; out SID: its record is kept
    order KEY NUMBER   POST /calls with a client's key   taken KEY ORDER, or none KEY and why it is not taken
    called ORDER SID   a status callback: the call of an order is over, and was not answered
    drain              let nobody new in, and end when the last call is over
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio

from bench.fleet_twilio import SocketLine
from bench.fleet_verdict import WHY_CUT
from store.calls import MemoryRecords
from store.checkpoints import Checkpoints, keep_news
from store.fleet.driver import Database, PostgresDatabase
from store.fleet.postgres import PostgresFleet
from store.fleet.shared import LiveCall
from store.orders.queue import OrderQueue, SameKey
from store.records import CallRecord, RunningRecord
from store.spill import SpillingRecords
from store.sql import SqlRecords
from store.tokens import TokenStore
from tests.web.fakes import FakeLine, services, settings
from web.calls.context import AppContext, Opened, build_context
from web.calls.dispatch import Dispatcher
from web.calls.orders import ClientKey, NoLine, Order
from web.calls.placing import PLACED_SECONDS
from web.calls.slots import Slots
from web.calls.unfinished import UnfinishedOrders

ARRIVAL_SECONDS = 10.0
ADOPT_SECONDS = 5.0
"""Between two looks for what dead processes have left on the disk."""


def said(*words: object) -> None:
    """Tell the benchmark something."""
    print(*words, flush=True)


@attrs.define(eq=False)
class Worker:
    """The worker."""

    fleet: PostgresFleet
    records: SpillingRecords
    checkpoints: Checkpoints
    context: AppContext
    dispatcher: Dispatcher
    calls: int = 0
    drained: trio.Event = attrs.field(factory=trio.Event)
    is_draining: bool = False

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have a drain wait for what is done in the `with`."""
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1
            self.look()

    async def voice(self, call_sid: str) -> None:
        """Answer a webhook."""
        with self.at_work():
            said("yes" if await self.fleet.reserve(call_sid, ARRIVAL_SECONDS) else "no", call_sid)

    async def stream(self, call_sid: str, seconds: float) -> None:
        """Carry a call."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        call = LiveCall(call_sid, call_sid, "MZ1", "inbound", "+15550000000", "+15550009999", now)
        with self.at_work():
            if await self.fleet.admit(call):
                said("in", call_sid)
                await self.carry(call, seconds)
            else:
                said("full", call_sid)

    async def carry(self, call: LiveCall, seconds: float) -> None:
        """Carry a call that was let in, and keep its record."""
        sid = call.call_sid
        record = CallRecord(
            sid, "MZ1", "inbound", call.caller, call.line, call.started_at, seconds / 2, "cut", why=WHY_CUT
        )
        news = iter([RunningRecord(record)])
        with self.checkpoints.keeping(sid, lambda: next(news, None)):
            await trio.sleep(seconds)
            said("saving", sid)
            await self.records.save(attrs.evolve(record, outcome="completed", duration=seconds, why=""))
        self.fleet.free(sid)
        said("out", sid)

    async def order(self, key: str, number: str) -> None:
        """Take an order."""
        order = Order(number, "+15550009999", {})
        try:
            answer = await self.dispatcher.take_once(order, ClientKey(key, number))
        except OSError:
            said("none", key, "database")
            return
        match answer:
            case NoLine(lack=lack):
                said("none", key, lack.value)
            case SameKey(order=kept):
                said("taken", key, kept.order_id)
            case (call, _):
                said("taken", key, call.id)
            case _:
                said("none", key, type(answer).__name__)

    async def called(self, order: str, call_sid: str) -> None:
        """Hear that the call of an order is over: on whichever worker."""
        try:
            kept = await self.context.orders.placed(order, call_sid, PLACED_SECONDS)
        except OSError:
            return  # Twilio does not repeat it: it is asked after
        if kept is not None and kept.call_sid == call_sid:
            self.context.slots.release(order)
            await self.context.outcomes.ends.note(order, "busy")

    def look(self) -> None:
        """See whether the drain is over."""
        if self.is_draining and not self.calls:
            self.drained.set()

    async def listen(self, nursery: trio.Nursery) -> None:
        """Do what the benchmark says."""
        stdin = trio.wrap_file(sys.stdin)
        while line := await stdin.readline():
            match line.split():
                case ["voice", call_sid]:
                    nursery.start_soon(self.voice, call_sid)
                case ["stream", call_sid, seconds]:
                    nursery.start_soon(self.stream, call_sid, float(seconds))
                case ["order", key, number]:
                    nursery.start_soon(self.order, key, number)
                case ["called", order, call_sid]:
                    nursery.start_soon(self.called, order, call_sid)
                case ["drain"]:
                    self.is_draining = True
                    self.context.slots.drain()
                    self.look()
                case _:
                    said("unknown", line)


async def main(url: str, name: str, folder: Path, max_calls: int) -> None:
    """Work until drained, or killed."""
    records, database = SpillingRecords(SqlRecords(url), folder / "waiting"), Database(url)
    fleet, line = PostgresFleet(max_calls, database, worker=name), SocketLine(str(folder / "twilio.sock"))
    context = build_context(
        settings(CALLS_PER_SECOND="20"),
        Opened(
            services(FakeLine(), MemoryRecords()),
            line,
            Slots(max_calls, fleet),
            TokenStore(PostgresDatabase(database)),
            OrderQueue(PostgresDatabase(database)),
        ),
    )
    dispatcher = Dispatcher(context)
    checkpoints = Checkpoints(folder / "running", records, adopt_every=ADOPT_SECONDS)
    fleet.running = checkpoints.running
    worker = Worker(fleet, records, checkpoints, context, dispatcher)

    async def adopt(record: CallRecord) -> None:
        await keep_news(records, record)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(records.run)
        nursery.start_soon(checkpoints.run)
        nursery.start_soon(partial(worker.fleet.run, adopt))
        nursery.start_soon(dispatcher.run)
        nursery.start_soon(UnfinishedOrders(context, dispatcher).run)
        nursery.start_soon(worker.listen, nursery)
        while worker.fleet.is_away:  # noqa: ASYNC110 - as a readiness probe asks
            await trio.sleep(0.05)
        said("ready")
        await worker.drained.wait()
        await trio.sleep(0.5)
        said("drained")
        nursery.cancel_scope.cancel(reason="drained")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    trio.run(main, sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
