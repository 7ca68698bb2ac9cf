"""Of a call that nobody spoke on there is one record, however often and by whichever way its end is told."""

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from store.calls import DatabaseUnavailable, MemoryRecords
from store.databases import SqliteDatabase
from store.orders.queue import NewOrder, OrderQueue
from store.records import CallRecord
from store.tokens import TokenStore
from tests.web.fakes import CALL_SID, LEAD, LINE
from web.calls.admission import Admissions
from web.calls.campaigns import settle
from web.calls.live_calls import KnownCall
from web.calls.outcomes import OrderEnds, Outcomes


@attrs.define
class Slow(MemoryRecords):
    """A store that takes a second to look up, and counts what it is given."""

    saves: int = 0

    async def get(self, call_sid: str) -> CallRecord | None:
        await trio.sleep(1)
        return await super().get(call_sid)

    async def save(self, record: CallRecord) -> None:
        self.saves += 1
        await super().save(record)


class Away(MemoryRecords):
    """A store that cannot be asked."""

    async def get(self, call_sid: str) -> CallRecord | None:
        raise DatabaseUnavailable("database is locked")


class Full(MemoryRecords):
    """A store that keeps nothing."""

    async def save(self, record: CallRecord) -> None:
        raise OSError("disk full")


def outcomes_in(records: MemoryRecords) -> Outcomes:
    return Outcomes(records, records.save, Admissions(TokenStore()), OrderEnds(OrderQueue(SqliteDatabase()), settle))


def a_call() -> KnownCall:
    return KnownCall("OR1", "outbound", LEAD, LINE, "ringing", CALL_SID)


@pytest.mark.parametrize("status", ["busy", "completed"])
async def test_two_who_tell_at_once_make_one_record(status: str, autojump_clock: MockClock) -> None:
    """A webhook, and the task that looks after calls of which nothing was heard."""
    records, call = Slow(), a_call()
    outcomes = outcomes_in(records)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outcomes.conclude, call, status, "the line was engaged")
        nursery.start_soon(outcomes.conclude, call, status, "the line was engaged")

    assert records.saves == 1


async def test_a_record_that_another_worker_has_kept_stays(autojump_clock: MockClock) -> None:
    records = Slow()
    for _ in range(2):
        await outcomes_in(records).conclude(a_call(), "busy", "the line was engaged")

    assert records.saves == 1


async def test_an_outcome_is_kept_while_the_database_cannot_be_asked(autojump_clock: MockClock) -> None:
    records = Away()
    await outcomes_in(records).conclude(a_call(), "busy", "the line was engaged")

    assert [record.outcome for record in await records.list()] == ["busy"]


async def test_an_outcome_that_cannot_be_kept_is_logged(autojump_clock: MockClock) -> None:
    call = a_call()
    with capture_logs() as lines:
        await outcomes_in(Full()).conclude(call, "busy", "the line was engaged")

    assert (call.status, call.outcome) == ("busy", "busy")
    assert [(line["event"], line["outcome"]) for line in lines] == [("outcome_not_kept", "busy")]


async def test_an_end_that_cannot_be_settled_ends_nothing_else(autojump_clock: MockClock) -> None:
    """As where the campaign of its order has rules of a newer version."""

    async def confused(*_: object) -> None:
        raise ValueError("hours as 09:00-20:00, from and to, on one day")

    queue = OrderQueue(SqliteDatabase())
    await queue.put(NewOrder("OR1", LEAD, {}), "worker", lease=20, latest=900)
    with capture_logs() as lines:
        await OrderEnds(queue, confused).note("OR1", "busy")

    assert [(line["event"], line["name"]) for line in lines] == [("order_end_not_noted", "OR1")]
