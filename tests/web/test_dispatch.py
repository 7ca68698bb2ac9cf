"""Orders wait their turn, are placed once, and come to an outcome, whatever Twilio says or does not say."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from store.calls import DatabaseUnavailable, MemoryRecords
from store.databases import Arguments, Rows, SqlDatabase, SqliteDatabase, moving_wall
from store.fleet.shared import Fleet, LiveCall
from store.orders.queue import CANCEL, DROP, OVER, PUT, KeptOrder, OrderQueue
from store.tokens import TokenStore
from tests.web.fakes import LEAD, LINE, FakeLine, note_streamed, services, settings
from tests.web.test_texts_away import texts_away
from web.calls.context import AppContext, Opened, build_context
from web.calls.dispatch import LONGEST_WAIT, Dispatcher
from web.calls.follow_up import NO_SHOW_LOOK_SECONDS, settle_unheard
from web.calls.orders import InDoubt, Lack, NoLine, Order, Placed, Refused, Waiting
from web.calls.placing import (
    BUSY_SECONDS,
    LATEST_SECONDS,
    LOOK_SECONDS,
    NEVER_TOLD,
    ORDER_SECONDS,
    PLACE_SECONDS,
    PLACED_SECONDS,
    RING_SECONDS,
    SETTLE_SECONDS,
)
from web.calls.slots import Slots
from web.calls.unfinished import LATE, NOT_THERE, UnfinishedOrders
from web.clients.twilio import PLAIN_CALL, CallOptions, LineError

ORDER = Order(LEAD, LINE, {})
SILENT = LineError("Twilio did not answer (ReadTimeout)", maybe_done=True)
SID = "CA" + "1" * 32
SOON = 150.0


@pytest.fixture
def late_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders fail after minutes that are not placed."""
    monkeypatch.setattr("web.calls.dispatch.LATEST_SECONDS", SOON)


@attrs.define
class World:
    context: AppContext
    dispatcher: Dispatcher
    line: FakeLine
    records: MemoryRecords

    async def order(self) -> KeptOrder:
        """The order there is."""
        (call,) = self.context.live_calls.newest()
        order = await self.context.orders.find(call.id)
        assert order is not None
        return order

    async def kept(self) -> list[tuple[str, str]]:
        return [(record.outcome, record.why) for record in await self.records.list()]


@asynccontextmanager
async def world(
    line: FakeLine | None = None,
    tokens: TokenStore | None = None,
    orders: SqlDatabase | None = None,
    **changes: str,
) -> AsyncIterator[World]:
    line, records = line or FakeLine(), MemoryRecords()
    chosen = settings(**changes)
    slots = Slots(chosen.calls_per_worker, Fleet(chosen.max_calls))
    queue = OrderQueue(orders or SqliteDatabase())
    context = build_context(chosen, Opened(services(line, records), line, slots, tokens or TokenStore(), queue))
    dispatcher = Dispatcher(context)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dispatcher.run)
        nursery.start_soon(UnfinishedOrders(context, dispatcher).run)
        nursery.start_soon(settle_unheard, context)
        yield World(context, dispatcher, line, records)
        nursery.cancel_scope.cancel()


@attrs.define
class Timed(FakeLine):
    """A line that notes when it is asked."""

    times: list[float] = attrs.field(factory=list)

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        self.times.append(trio.current_time())


@attrs.define
class Answering(FakeLine):
    """A line that loses its answers and can be asked what it has."""

    lists_after: int = 0
    """So many requests for the list fail first."""
    asked: int = 0

    async def calls_to(self, to: str, seconds: float) -> list[str]:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        if self.asked <= self.lists_after:
            raise LineError("Twilio cannot be reached")
        return self.listed


async def taken_in(there: World) -> tuple[str, object]:
    taken = await there.dispatcher.take(ORDER)
    assert isinstance(taken, tuple)
    return taken[0].id, taken[1]


async def test_orders_are_placed_no_faster_than_the_pace(autojump_clock: MockClock) -> None:
    line, began = Timed(), trio.current_time()
    async with world(line, CALLS_PER_SECOND="2") as there:
        taken = [(await taken_in(there))[1] for _ in range(4)]
        await trio.sleep(5)

    assert taken == [Placed(), Waiting(0.5), Waiting(1.0), Waiting(1.5)]
    assert [at - began for at in line.times] == [0.0, 0.5, 1.0, 1.5]


async def test_an_order_that_would_wait_too_long_is_not_taken(autojump_clock: MockClock) -> None:
    async with world(CALLS_PER_SECOND="0.02") as there:
        taken = [await there.dispatcher.take(ORDER) for _ in range(3)]

    assert taken[2] == NoLine(Lack.QUEUE, 100 - LONGEST_WAIT)
    assert there.context.slots.free == there.context.slots.capacity - 2


async def test_an_order_that_waits_counts_as_a_call(autojump_clock: MockClock) -> None:
    async with world(MAX_CALLS="2", CALLS_PER_SECOND="0.1") as there:
        taken = [await there.dispatcher.take(ORDER) for _ in range(3)]

    assert [isinstance(one, NoLine) for one in taken] == [False, False, True]


async def test_orders_that_wait_when_the_server_drains_are_left_to_others(autojump_clock: MockClock) -> None:
    async with world(CALLS_PER_SECOND="0.1") as there:
        for _ in range(3):
            await there.dispatcher.take(ORDER)
        there.context.slots.drain()
        await trio.sleep(60)

        left = [await there.context.orders.take("another worker", 60) for _ in range(3)]
        assert (len(there.line.placed), await there.kept()) == (1, [])
        assert [order is not None and order.state for order in left] == ["waiting", "waiting", False]


async def test_what_twilio_refuses_at_its_turn_is_an_outcome(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.dispatcher.take(ORDER)
        there.line.refusal = LineError("The number is unverified", code=21219, fix="Verify it.")
        await there.dispatcher.take(ORDER)
        await trio.sleep(5)

        ((outcome, why),) = await there.kept()
    assert (outcome, why) == ("failed", "Twilio refused the call: The number is unverified (Twilio 21219). Verify it.")


async def test_a_call_in_doubt_is_found_by_a_webhook_with_our_id(autojump_clock: MockClock) -> None:
    async with world(Answering(SILENT)) as there:
        call, how = await taken_in(there)
        await trio.sleep(1)
        await there.context.orders.placed(call, SID, 60)  # as its webhook does, on whichever worker
        await trio.sleep(SETTLE_SECONDS + 1)

        assert (isinstance(how, InDoubt), await there.kept(), there.line.placed) == (True, [], [])
        assert there.context.live_calls.find(SID) is there.context.live_calls.find(call)


@pytest.mark.usefixtures("late_soon")
@pytest.mark.parametrize(
    ("listed", "fails", "seconds", "outcome"),
    [
        ([SID], 0, SETTLE_SECONDS + 5, ""),
        ([SID], 2, 3 * SETTLE_SECONDS + 9, ""),
        ([], 0, SOON + 2 * SETTLE_SECONDS + 10, "failed"),
        ([SID, "CA2"], 0, SETTLE_SECONDS + 5, "unknown"),
        ([SID], 999, SOON + 60, "unknown"),
    ],
    ids=["listed", "listed at last", "not listed", "two of them", "no list to be had"],
)
async def test_a_call_in_doubt_of_which_nothing_is_heard_is_looked_up(
    listed: list[str], fails: int, seconds: float, outcome: str, autojump_clock: MockClock
) -> None:
    async with world(Answering(SILENT, listed=listed, lists_after=fails)) as there:
        call, _ = await taken_in(there)
        await trio.sleep(seconds)

        assert [one for one, _ in await there.kept()] == ([outcome] if outcome else [])
        known = there.context.live_calls.find(call)
        assert known is not None
        assert known.call_sid == ("" if outcome else SID)
        assert there.context.slots.free == there.context.slots.capacity - (not outcome)
        assert (await there.order()).outcome == outcome
    assert there.line.placed == []


async def test_a_call_in_doubt_that_twilio_does_not_have_is_placed_again_after_two_looks(
    autojump_clock: MockClock,
) -> None:
    async with world(Answering(SILENT)) as there:
        call, _ = await taken_in(there)
        there.line.refusal = None
        await trio.sleep(SETTLE_SECONDS + 5)
        once = list(there.line.placed)
        await trio.sleep(SETTLE_SECONDS + 5)

        assert (once, there.line.placed) == ([], [(LEAD, call)])
        assert (await there.order()).state == "placed"


@attrs.define
class Slow(Answering):
    """A line that takes its time for a call, loses its answers, and lists the calls that it has made."""

    at: list[float] = attrs.field(factory=list)

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        await trio.sleep(PLACE_SECONDS - 1)
        self.placed.append((to, order))
        self.at.append(trio.current_time())
        raise SILENT

    async def calls_to(self, to: str, seconds: float) -> list[str]:
        self.listed = [SID for at in self.at if at >= trio.current_time() - seconds]
        return await super().calls_to(to, seconds)


@pytest.mark.parametrize("fails", [0, 1])
@pytest.mark.parametrize("jump", [40.0, -20.0, -200.0, -3600.0])
async def test_a_call_is_placed_once_whatever_the_clock_is_set_to_meanwhile(
    jump: float, fails: int, autojump_clock: MockClock
) -> None:
    wall, ahead = moving_wall(), 0.0
    database = SqliteDatabase(now=lambda: wall() + ahead)
    async with world(Slow(lists_after=fails), orders=database) as there, trio.open_nursery() as nursery:
        nursery.start_soon(there.dispatcher.take, ORDER)
        await trio.sleep(1)
        ahead = jump
        await trio.sleep(600)

        assert len(there.line.placed) == 1
        has_caught_up = jump > -600  # then Twilio is asked
        assert (await there.order()).call_sid == (SID if has_caught_up else "")


async def test_a_process_that_was_stopped_for_too_long_does_not_ask_any_more(autojump_clock: MockClock) -> None:
    async with world() as there:
        times = iter([0.0, 6.0])
        there.dispatcher.placing = attrs.evolve(there.dispatcher.placing, clock=lambda: next(times, 6.0))
        _, how = await taken_in(there)
        asked = list(there.line.placed)
        await trio.sleep(BUSY_SECONDS + 5)

        assert (how, asked, len(there.line.placed)) == (Waiting(LOOK_SECONDS), [], 1)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_an_order_that_an_older_state_of_the_database_has_waiting_again_is_not_placed_again(
    where: str, autojump_clock: MockClock
) -> None:
    """As after a failover to a replica that was behind. The worker that placed it, or carries it, knows."""
    async with world() as there:
        order, _ = await taken_in(there)
        call_sid = (await there.order()).call_sid
        if where == "elsewhere":
            there.context.live_calls.remove(order)
            await there.context.fleet.admit(LiveCall(order, call_sid))
        older = "UPDATE orders SET state = 'waiting', call_sid = NULL, asked = NULL, due = {now}"
        await there.context.orders.database.ask(older, {})
        await trio.sleep(60)

        assert len(there.line.placed) == 1
        assert ((kept := await there.order()).state, kept.call_sid) == ("placed", call_sid)


async def test_an_order_that_twilio_cannot_be_reached_for_waits_again_at_its_turn(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.dispatcher.take(ORDER)
        there.line.refusal = LineError("Twilio cannot be reached")
        await there.dispatcher.take(attrs.evolve(ORDER, to="+15557650001"))
        await trio.sleep(5)
        there.line.refusal = None
        await trio.sleep(BUSY_SECONDS + 5)

        assert ([to for to, _ in there.line.placed], await there.kept()) == ([LEAD, "+15557650001"], [])


async def test_a_call_that_is_known_already_is_not_taken_for_the_one_in_doubt(
    autojump_clock: MockClock, late_soon: None
) -> None:
    async with world(Answering()) as there:
        await there.dispatcher.take(ORDER)
        there.line.refusal, there.line.listed = SILENT, [f"CA{1:032x}"]
        await trio.sleep(2)
        await there.dispatcher.take(ORDER)
        await trio.sleep(SOON + 2 * SETTLE_SECONDS + 10)

        assert ("failed", NOT_THERE) in await there.kept()
        assert len(there.line.placed) == 1


async def test_a_waiting_order_that_nobody_can_place_is_said_to_have_failed(
    autojump_clock: MockClock, late_soon: None
) -> None:
    async with world() as there:
        await there.dispatcher.take(ORDER)
        there.line.refusal = LineError("Twilio cannot be reached")
        await there.dispatcher.take(attrs.evolve(ORDER, to="+15557650001"))
        await trio.sleep(SOON + 60)

        assert ("failed", LATE) in await there.kept()
        assert [to for to, _ in there.line.placed] == [LEAD]


@attrs.define
class Losing(Answering):
    """A line that loses each request for a call, and has none in its list."""

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        await trio.lowlevel.checkpoint()
        self.placed.append((to, order))
        raise SILENT


async def test_an_order_that_twilio_loses_each_time_is_asked_for_again_and_then_said_to_have_failed(
    autojump_clock: MockClock, late_soon: None
) -> None:
    async with world(Losing()) as there:
        await there.dispatcher.take(ORDER)
        await trio.sleep(SOON + 120)

        assert len(there.line.placed) > 1
        assert await there.kept() == [("failed", NOT_THERE)]


async def test_an_order_whose_operator_hangs_up_meanwhile_is_found_out_about(autojump_clock: MockClock) -> None:
    @attrs.define
    class Slow(Answering):
        async def _answer(self) -> None:
            await trio.sleep(5)

    async with world(Slow(listed=[SID])) as there:
        with trio.move_on_after(1):
            await there.dispatcher.take(ORDER)
        await trio.sleep(SETTLE_SECONDS + 10)

        assert there.context.live_calls.find(SID) is not None


@attrs.define
class Lacking:
    """A database that is away whenever it is asked for this."""

    lacks: str
    database: SqliteDatabase = attrs.field(factory=SqliteDatabase)

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        if sql == self.lacks:
            raise DatabaseUnavailable("away")
        return await self.database.ask(sql, arguments)


async def test_an_order_that_cannot_be_forgotten_is_not_said_to_be_refused(autojump_clock: MockClock) -> None:
    line, slots = FakeLine(), Slots(2, Fleet(1))  # the account's slot is taken by another worker's call
    await slots.fleet.reserve("another", 60)
    queue = OrderQueue(Lacking(DROP))
    opened = Opened(services(line, MemoryRecords()), line, slots, orders=queue)
    dispatcher = Dispatcher(build_context(settings(), opened))

    answer = await dispatcher.take(ORDER)

    assert isinstance(answer, tuple)
    assert isinstance(answer[1], Waiting)
    assert await queue.find(answer[0].id) is not None


@attrs.define
class HangsUp(Lacking):
    """The same, and the client hangs up when its order has been kept."""

    client: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        rows = await super().ask(sql, arguments)
        if sql == PUT:
            self.client.cancel(reason="it hangs up")
        return rows


async def test_an_order_whose_client_hangs_up_is_not_placed_because_it_could_not_be_forgotten(
    autojump_clock: MockClock,
) -> None:
    line, database = FakeLine(), HangsUp(DROP)
    async with world(line, orders=database) as there:
        with database.client:
            await there.dispatcher.take(ORDER)
        database.lacks = ""
        await trio.sleep(LATEST_SECONDS)

    assert database.client.cancelled_caught
    assert line.placed == []
    assert await database.ask("SELECT order_id FROM orders", {}) == []


async def test_an_order_that_was_refused_is_not_placed_because_its_end_could_not_be_noted(
    autojump_clock: MockClock,
) -> None:
    line, database = FakeLine(refusal=LineError("The number is unverified", code=21219)), Lacking(OVER)
    async with world(line, orders=database) as there:
        _, taken = await taken_in(there)
        line.refusal, database.lacks = None, ""
        await trio.sleep(LATEST_SECONDS)
        order, kept = await there.order(), await there.kept()

    assert isinstance(taken, Refused)
    assert (line.placed, order.state, order.outcome, len(kept)) == ([], "over", "failed", 1)


@attrs.define
class LateAnswer(SqliteDatabase):
    """A database that keeps an order some seconds after it was lost, or before, and does not say so."""

    seconds: float = 0.0

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        if sql != PUT:
            return await super().ask(sql, arguments)
        trio.lowlevel.spawn_system_task(self._keep, sql, arguments)
        await trio.sleep(1)
        raise DatabaseUnavailable("no answer")

    async def _keep(self, sql: str, arguments: Arguments) -> None:
        await trio.sleep(self.seconds)
        await super().ask(sql, arguments)


@pytest.mark.parametrize("seconds", [0.0, 7.5])
@pytest.mark.parametrize("is_stopped", [False, True])
async def test_an_order_that_was_kept_though_its_client_was_told_otherwise_is_not_placed(
    is_stopped: bool, seconds: float, autojump_clock: MockClock
) -> None:
    """The client orders anew, and the person would be called twice."""
    line, database = FakeLine(), LateAnswer(seconds=seconds)
    async with world(line, orders=database) as there:
        answer = await there.dispatcher.take(ORDER)
        await trio.sleep(0 if is_stopped else 60)
    async with world(line, orders=database):
        await trio.sleep(LATEST_SECONDS + 60)
    await OrderQueue(database).prune()

    assert answer == NoLine(Lack.DATABASE, BUSY_SECONDS)
    assert line.placed == []
    assert await database.ask("SELECT order_id FROM orders", {}) == []


async def test_of_many_orders_whose_clients_were_told_otherwise_none_is_placed_and_none_is_remembered(
    autojump_clock: MockClock,
) -> None:
    line, database = FakeLine(), LateAnswer()
    async with world(line, orders=database) as there:
        async with trio.open_nursery() as nursery:
            for _ in range(1001):
                nursery.start_soon(there.dispatcher.take, ORDER)
        await trio.sleep(LATEST_SECONDS)

        assert (line.placed, await there.kept(), there.dispatcher.untaken) == ([], [], {})


async def asked_after(there: World) -> None:
    """Check that Twilio is asked for the one call, which nobody has picked up, and is believed."""
    there.line.statuses[f"CA{1:032x}"] = "no-answer"
    await trio.sleep(RING_SECONDS + 5)

    assert await there.kept() == [("no_answer", "nobody picked up")]


async def test_a_call_of_which_nothing_is_heard_is_asked_after(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.dispatcher.take(ORDER)
        await asked_after(there)


async def test_a_call_of_which_nobody_ever_tells_comes_to_an_outcome(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.dispatcher.take(ORDER)
        there.line.refusal = LineError("Twilio cannot be reached")
        await trio.sleep(ORDER_SECONDS + RING_SECONDS)

        assert [one for one, _ in await there.kept()] == ["unknown"]
        assert there.context.slots.free == there.context.slots.capacity


async def test_a_call_that_is_placed_late_has_as_long_as_any_other_before_it_is_given_up(
    autojump_clock: MockClock,
) -> None:
    down = LineError("Twilio cannot be reached")
    async with world(CALLS_PER_SECOND="0.5") as there:
        await there.dispatcher.take(ORDER)
        waiting, _ = await taken_in(there)
        there.line.refusal = down
        await trio.sleep(LATEST_SECONDS - 60)
        there.line.refusal = None
        await trio.sleep(BUSY_SECONDS + 5)
        there.line.refusal = down
        outcomes = list[str]()
        for seconds in (ORDER_SECONDS - 60, 2 * RING_SECONDS):
            await trio.sleep(seconds)
            order = await there.context.orders.find(waiting)
            assert order is not None
            outcomes.append(order.outcome)

        assert [order for _, order in there.line.placed][1:] == [waiting]
        assert outcomes == ["", "unknown"]


@pytest.mark.parametrize("tokens", [TokenStore, texts_away])
async def test_a_call_of_which_nothing_is_heard_any_more_is_asked_after(
    tokens: Callable[[], TokenStore], autojump_clock: MockClock
) -> None:
    async with world(tokens=tokens()) as there:
        await there.dispatcher.take(ORDER)
        await asked_after(there)


async def test_a_call_that_is_carried_is_not_asked_after(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.dispatcher.take(ORDER)
        there.context.live_calls.news_of(f"CA{1:032x}").carried()
        there.line.statuses[f"CA{1:032x}"] = "completed"
        await trio.sleep(ORDER_SECONDS + RING_SECONDS)

        assert await there.kept() == []


async def test_a_call_that_another_worker_carries_takes_no_line_here(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.dispatcher.take(ORDER)
        await note_streamed(there.context.admissions, f"CA{1:032x}")
        await trio.sleep(NO_SHOW_LOOK_SECONDS + 1)

        assert there.context.slots.free == there.context.slots.capacity
        assert [call.elsewhere for call in there.context.live_calls.newest()] == [True]


async def test_an_order_that_is_called_off_has_a_record_also_where_that_is_seen_before_it_is_told(
    autojump_clock: MockClock,
) -> None:
    async with world(CALLS_PER_SECOND="0.05") as there:
        await there.dispatcher.take(ORDER)
        waiting, _ = await taken_in(there)
        assert await there.context.orders.cancel(waiting, "changed their mind")  # the first half of calling it off
        await trio.sleep(NO_SHOW_LOOK_SECONDS + 1)

        assert await there.kept() == [("canceled", "changed their mind")]
        assert there.context.slots.free == there.context.slots.capacity - 1


@attrs.define(eq=False)
class SlowToTell(SqliteDatabase):
    """A database that tells late that an order is called off."""

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        rows = await super().ask(sql, arguments)
        await trio.sleep(sql == CANCEL)
        return rows


async def test_an_order_that_is_called_off_as_its_turn_comes_has_a_record(autojump_clock: MockClock) -> None:
    async with world(orders=SlowToTell(), CALLS_PER_SECOND="0.06") as there:
        await there.dispatcher.take(ORDER)
        waiting, turn = await taken_in(there)
        assert isinstance(turn, Waiting)
        await trio.sleep(turn.seconds - 0.5)

        assert await there.dispatcher.call_off(waiting, "changed their mind")
        assert await there.kept() == [("canceled", "changed their mind")]


async def test_a_call_whose_stream_nobody_has_carried_has_a_record_in_the_end(autojump_clock: MockClock) -> None:
    async with world() as there:
        await there.dispatcher.take(ORDER)
        await note_streamed(there.context.admissions, f"CA{1:032x}")
        there.line.statuses[f"CA{1:032x}"] = "completed"
        await trio.sleep(LATEST_SECONDS + PLACED_SECONDS + 100)

        assert (await there.order()).outcome == "unknown"
        assert await there.kept() == [("unknown", NEVER_TOLD)]


async def test_a_refusal_that_is_certain_is_told_at_once(autojump_clock: MockClock) -> None:
    error = LineError("no", code=20003)
    async with world(FakeLine(error)) as there:
        _, how = await taken_in(there)

    assert how == Refused(error)
