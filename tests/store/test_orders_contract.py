"""SQLite and PostgreSQL keep the same promises about orders, campaigns apart: kept first, looked after by one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from store.databases import IN_MEMORY, SqliteDatabase
from store.fleet.driver import PostgresDatabase
from store.orders.queue import DoNotCall, KeptOrder, NewOrder, OrderQueue, RefusedNumber, SameKey
from tests.examples import POSTGRES
from tests.store.fleets import Workers

LEAD = "+15557650000"
SID = "CA" + "1" * 32


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
async def queue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OrderQueue]:
    if request.param == "postgres":
        workers: Workers = request.getfixturevalue("workers")
        await workers.join(1)
        yield OrderQueue(PostgresDatabase(workers.database()))
        return
    database = SqliteDatabase(IN_MEMORY if request.param == "memory" else str(tmp_path / "calls.db"))
    yield OrderQueue(database)
    database.close()


def new(name: str, number: str = LEAD, **more: str) -> NewOrder:
    return NewOrder(name, number, {"context": {"name": "Zoë"}}, **more)


async def put(queue: OrderQueue, name: str, number: str = LEAD, *, lease: float = 0.0, worker: str = "w1") -> KeptOrder:
    kept = await queue.put(new(name, number), worker, lease=lease, latest=900)
    assert isinstance(kept, KeptOrder)
    await queue.hold(name, worker, lease)
    return kept


async def state_of(queue: OrderQueue, name: str) -> str:
    found = await queue.find(name)
    return "gone" if found is None else found.state


async def test_an_order_is_kept_as_it_was_given(queue: OrderQueue) -> None:
    kept = await put(queue, "OR1")

    assert kept == await queue.find("OR1")
    assert (kept.number, kept.body, kept.state, kept.attempt) == (LEAD, {"context": {"name": "Zoë"}}, "waiting", 1)
    assert not kept.is_late
    assert await queue.find("OR2") is None


async def test_an_order_that_was_not_placed_in_time_is_late(queue: OrderQueue) -> None:
    await queue.put(new("OR1"), "w1", lease=0, latest=-1)

    late = await queue.take("w1", 60)
    assert late is not None
    assert late.is_late


async def test_a_second_order_under_the_same_key_is_the_first(queue: OrderQueue) -> None:
    await queue.put(new("OR1", key="k", digest="d"), "w1", lease=0, latest=900)

    again = await queue.put(new("OR2", key="k", digest="e"), "w1", lease=0, latest=900)

    assert isinstance(again, SameKey)
    assert (again.order.order_id, again.order.digest, await queue.find("OR2")) == ("OR1", "d", None)
    await queue.free_key("OR1")
    assert await queue.by_key("k") is None
    assert isinstance(await queue.put(new("OR2", key="k"), "w1", lease=0, latest=900), KeptOrder)


async def test_orders_that_come_together_under_one_key_are_one(queue: OrderQueue) -> None:
    kept: list[object] = []

    async def come(n: int) -> None:
        kept.append(await queue.put(new(f"OR{n}", key="k"), "w1", lease=0, latest=900))

    async with trio.open_nursery() as nursery:
        for n in range(4):
            nursery.start_soon(come, n)

    assert [type(one) for one in kept].count(KeptOrder) == 1


async def test_an_order_is_taken_by_one_worker_and_by_another_when_its_lease_has_run_out(queue: OrderQueue) -> None:
    await put(queue, "OR1", lease=60)
    assert await queue.take("w2", 60) is None

    assert await queue.hold("OR1", "w1", 0)
    taken = await queue.take("w2", 60)
    assert taken is not None
    assert (taken.order_id, taken.worker) == ("OR1", "w2")
    assert await queue.take("w3", 60) is None
    assert not await queue.hold("OR1", "w1", 60)


async def test_an_order_whose_client_may_have_had_no_answer_is_only_its_workers(queue: OrderQueue) -> None:
    await queue.put(new("OR1"), "w1", lease=0, latest=900)

    takers = [await queue.take(worker, 0) for worker in ("w2", "w1")]
    await queue.hold("OR1", "w1", 0)
    takers.append(await queue.take("w2", 0))

    assert [one is not None and one.worker for one in takers] == [False, "w1", "w2"]


async def test_workers_that_look_together_take_different_orders(queue: OrderQueue) -> None:
    taken: list[str] = []
    for n in range(6):
        await put(queue, f"OR{n}", f"+1555765000{n}")

    async def look(worker: str) -> None:
        while (order := await queue.take(worker, 60)) is not None:
            taken.append(order.order_id)

    async with trio.open_nursery() as nursery:
        for worker in ("w1", "w2", "w3"):
            nursery.start_soon(look, worker)

    assert sorted(taken) == [f"OR{n}" for n in range(6)]


async def test_twilio_is_asked_for_an_order_once(queue: OrderQueue) -> None:
    await put(queue, "OR1")

    assert [await queue.ask("OR1", "w2", 30), await queue.ask("OR1", "w1", 30)] == [False, True]
    assert not await queue.ask("OR1", "w1", 30)
    assert await state_of(queue, "OR1") == "asking"
    assert await queue.take("w2", 60) is None


async def test_one_number_is_asked_for_at_a_time(queue: OrderQueue) -> None:
    await put(queue, "OR1", lease=60)
    await put(queue, "OR2", lease=60)

    assert [await queue.ask("OR1", "w1", 30), await queue.ask("OR2", "w1", 30)] == [True, False]
    await queue.placed("OR1", SID, 60)
    assert await queue.ask("OR2", "w1", 30)


async def test_a_number_on_the_do_not_call_list_is_not_asked_for(queue: OrderQueue) -> None:
    await put(queue, "OR1")
    await queue.refuse_number(LEAD, "asked for it")

    assert not await queue.ask("OR1", "w1", 30)
    assert isinstance(await queue.put(new("OR2"), "w1", lease=0, latest=900), DoNotCall)
    assert await queue.allow_number(LEAD)
    assert await queue.ask("OR1", "w1", 30)
    assert not await queue.allow_number(LEAD)


async def test_the_do_not_call_list_is_read_in_order(queue: OrderQueue) -> None:
    for number in ("+15550000003", "+15550000001", "+15550000002"):
        await queue.refuse_number(number, "law")
    await queue.refuse_number("+15550000002", "asked for it")

    listed = await queue.refused_numbers(after="+15550000001", most=1)

    assert [(one.number, one.why) for one in listed] == [("+15550000002", "asked for it")]
    assert isinstance(await queue.refused_number("+15550000003"), RefusedNumber)
    assert await queue.refused_number(LEAD) is None


async def test_what_was_asked_and_never_answered_is_looked_for_twice_before_it_waits_again(queue: OrderQueue) -> None:
    await put(queue, "OR1")
    await queue.ask("OR1", "w1", 0)

    first = await queue.take("w2", 0)
    assert first is not None
    assert (first.state, first.looks, await queue.again("OR1", "w2")) == ("asking", 1, False)
    second = await queue.take("w2", 60)
    assert second is not None
    assert (second.looks, await queue.again("OR1", "w1"), await queue.again("OR1", "w2")) == (2, False, True)
    assert await queue.ask("OR1", "w2", 30)


async def test_what_was_certainly_not_asked_waits_again(queue: OrderQueue) -> None:
    await put(queue, "OR1")
    await queue.ask("OR1", "w1", 30)

    assert [await queue.unask("OR1", "w2"), await queue.unask("OR1", "w1")] == [False, True]
    assert await state_of(queue, "OR1") == "waiting"


async def test_the_first_call_of_an_order_is_its_call(queue: OrderQueue) -> None:
    await put(queue, "OR1")
    await queue.ask("OR1", "w1", 30)

    first, second = await queue.placed("OR1", SID, 60), await queue.placed("OR1", "CA2", 60)

    assert first is not None
    assert (first, first.call_sid, first.state) == (second, SID, "placed")
    assert await queue.find(SID) == first
    assert await queue.placed("OR9", "CA9", 60) is None


async def test_a_call_belongs_to_one_order(queue: OrderQueue) -> None:
    await put(queue, "OR1")
    await put(queue, "OR2", "+15557650001")
    await queue.placed("OR1", SID, 60)

    other = await queue.placed("OR2", SID, 60)

    assert other is not None
    assert (other.state, other.call_sid) == ("waiting", "")
    assert await queue.known([SID, "CA2"], "OR2") == {SID}
    assert await queue.known([SID, "CA2"], "OR1") == frozenset()


async def test_an_order_ends_once(queue: OrderQueue) -> None:
    await put(queue, "OR1")
    await queue.placed("OR1", SID, 0)

    assert [await queue.over("OR1", "busy", "engaged"), await queue.over("OR1", "failed")] == [True, False]
    found = await queue.find("OR1")
    assert found is not None
    assert (found.is_over, found.outcome, found.why) == (True, "busy", "engaged")
    assert await queue.take("w1", 60) is None


async def test_only_an_order_that_waits_is_called_off(queue: OrderQueue) -> None:
    await put(queue, "OR1")
    await put(queue, "OR2", "+15557650001")
    await queue.ask("OR2", "w1", 30)

    assert [await queue.cancel("OR1", "by hand"), await queue.cancel("OR2", "by hand")] == [True, False]
    assert not await queue.ask("OR1", "w1", 30)


async def test_an_order_is_dropped_only_by_its_worker_while_it_waits(queue: OrderQueue) -> None:
    await put(queue, "OR1")
    await queue.drop("OR1", "w2")
    assert await state_of(queue, "OR1") == "waiting"

    await queue.drop("OR1", "w1")
    assert await state_of(queue, "OR1") == "gone"


async def test_an_order_that_is_left_is_any_workers(queue: OrderQueue) -> None:
    await put(queue, "OR1", lease=60)
    await queue.leave("OR1", "w2")
    assert await queue.take("w2", 60) is None

    await queue.leave("OR1", "w1")
    assert await queue.take("w2", 60) is not None


async def test_a_number_is_forgotten_with_its_orders(queue: OrderQueue) -> None:
    await put(queue, "OR1")
    await put(queue, "OR2", "+15557650001")
    await put(queue, "OR3", "+15557650002")
    await queue.erase(LEAD)
    await queue.erase("OR2")

    assert [await state_of(queue, name) for name in ("OR1", "OR2", "OR3")] == ["gone", "gone", "waiting"]
    await queue.over("OR3", "busy")
    await queue.prune()
    assert await state_of(queue, "OR3") == "over"
