"""News of calls arrive at least once, in the order of each call, whatever the receiver and the database do."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors import facts
from actors.call_services import CallPlan
from actors.journal import Journal
from store.calls import DatabaseUnavailable, MemoryRecords
from store.databases import Arguments, Rows, SqliteDatabase
from store.outbox import Outbox
from store.records import TRANSFERRING, CallRecord
from tests.web.fakes import CALL_SID, LEAD, LINE, OTHER_CALL_SID, STREAM_SID, context_of, exchange, record
from web.app import create_app
from web.calls.context import Opened
from web.calls.webhooks import SWEEP_SECONDS, Webhooks, delay


@attrs.define
class Receiver:
    """Somebody else's server: it refuses as long as it is told to, and notes what arrives."""

    why: Callable[[], str] = lambda: ""
    seconds: float = 0.1
    tried: list[tuple[float, str]] = attrs.field(factory=list)
    arrived: list[Mapping[str, object]] = attrs.field(factory=list)

    async def __call__(self, name: str, body: bytes) -> str:
        self.tried.append((trio.current_time(), name))
        await trio.sleep(self.seconds)
        why = self.why()
        if not why:
            self.arrived.append(json.loads(body))
        return why

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(str(one["data"]["call_sid"])[-1], str(one["type"])) for one in self.arrived]  # type: ignore[index]


@attrs.define
class Flaky:
    """A database that can go away."""

    inner: SqliteDatabase = attrs.field(factory=SqliteDatabase)
    is_away: bool = False

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        if self.is_away:
            await trio.lowlevel.checkpoint()
            raise DatabaseUnavailable("away")
        return await self.inner.ask(sql, arguments)


@asynccontextmanager
async def webhooks(
    receiver: Receiver, database: Flaky | None = None, records: MemoryRecords | None = None
) -> AsyncIterator[Webhooks]:
    made = Webhooks(Outbox(database or Flaky()), records or MemoryRecords(), receiver)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        yield made
        nursery.cancel_scope.cancel(reason="the test is over")


def plan(call_sid: str = CALL_SID) -> CallPlan:
    return CallPlan(call_sid, STREAM_SID, "inbound", LEAD, LINE, metadata={"order": "A-17"})


async def a_call(made: Webhooks, call_sid: str = CALL_SID) -> None:
    journal = Journal([made.reader(plan(call_sid))])
    journal.note(facts.CallStarted(call_sid, STREAM_SID, "inbound"))
    journal.note(facts.HandoffAsked("qualifier", "advisor", "yes", "", 0))
    journal.note(facts.HandoffCommitted("qualifier", "advisor", 1.0))
    journal.note(facts.TransferAsked("advisor", "wants a person", ""))
    await trio.sleep(0.01)
    made.ended(record(call_sid))


async def grow_old(outbox: Outbox) -> None:
    """Let a day pass for what waits."""
    await outbox.database.ask("UPDATE outbox SET created = created - 86400 WHERE state = 'waiting' AND tries > 0", {})


ALL = ["call.started", "handoff", "transfer", "call.ended"]


async def test_a_call_is_told_in_its_order(autojump_clock: MockClock) -> None:
    receiver = Receiver()
    async with webhooks(receiver) as made:
        await a_call(made)
        await trio.sleep(5)

    started, handoff, transfer, ended = receiver.arrived
    assert [one["type"] for one in receiver.arrived] == ALL
    parties = {"call_sid": CALL_SID, "direction": "inbound", "caller": LEAD, "line": LINE}
    assert started["data"] == {**parties, "at": 0.0, "metadata": {"order": "A-17"}}
    assert handoff["data"] == {**parties, "at": 0.0, "from_agent": "qualifier", "to_agent": "advisor"}
    assert transfer["data"] == {**parties, "at": 0.0, "agent": "advisor"}
    assert ended["data"]["outcome"] == "completed"  # type: ignore[index]
    assert "yes" not in json.dumps(receiver.arrived)


async def test_a_receiver_that_fails_for_a_while_gets_everything_in_order(autojump_clock: MockClock) -> None:
    receiver = Receiver(lambda: "HTTP 500" if trio.current_time() < 600 else "")
    async with webhooks(receiver) as made:
        await a_call(made)
        await a_call(made, OTHER_CALL_SID)
        await trio.sleep(3600)
        dead = await made.outbox.listed("dead", 10)

    assert [kind for sid, kind in receiver.kinds if sid == CALL_SID[-1]] == ALL
    assert [kind for sid, kind in receiver.kinds if sid == OTHER_CALL_SID[-1]] == ALL
    assert (len(receiver.tried) < 30, list(dead)) == (True, [])


async def test_what_does_not_arrive_for_a_day_is_dead_and_can_be_resent(autojump_clock: MockClock) -> None:
    receiver = Receiver(lambda: "no answer within 10 s", seconds=10)
    async with webhooks(receiver) as made:
        await a_call(made)
        for _ in ALL:
            await trio.sleep(15)
            await grow_old(made.outbox)
            await trio.sleep(60)
        dead = await made.outbox.listed("dead", 10)
        receiver.why = lambda: ""
        resent = await made.outbox.resend(None)
        await trio.sleep(300)

    assert [event.why for event in dead] == ["no answer within 10 s"] * 4
    assert (resent, [one["type"] for one in receiver.arrived]) == (4, ALL)


async def test_a_slow_receiver_of_one_call_keeps_no_other_waiting(autojump_clock: MockClock) -> None:
    receiver = Receiver(seconds=9)
    async with webhooks(receiver) as made:
        for number in range(8):
            await a_call(made, f"CA{number:032}")
        await trio.sleep(9.5)

    assert len(receiver.arrived) == 8


async def test_news_that_can_never_be_kept_hold_no_others_back(autojump_clock: MockClock) -> None:
    receiver = Receiver()
    with capture_logs() as lines:
        async with webhooks(receiver) as made:
            made.ended(record(OTHER_CALL_SID, why="\ud800"))
            made.ended(record())
            await trio.sleep(5)

    assert [(line["event"], line["call_sid"]) for line in lines] == [("webhooks_crashed", OTHER_CALL_SID)]
    assert receiver.kinds == [(CALL_SID[-1], "call.ended")]


async def test_news_outlive_a_database_that_is_away(autojump_clock: MockClock) -> None:
    database, receiver = Flaky(is_away=True), Receiver()
    with capture_logs() as lines:
        async with webhooks(receiver, database) as made:
            await a_call(made)
            await trio.sleep(30)
            assert receiver.arrived == []
            database.is_away = False
            await trio.sleep(10)

    assert [one["type"] for one in receiver.arrived] == ALL
    (told,) = [line for line in lines if line["event"] == "webhook_not_kept_yet"]
    assert (told["call_sid"], told["kind"], told["why"]) == (CALL_SID, ALL[0], "away")


async def test_what_a_killed_process_has_sent_is_sent_again_by_the_next(autojump_clock: MockClock) -> None:
    database, receiver = Flaky(), Receiver(seconds=5)
    async with webhooks(receiver, database) as made:
        await a_call(made)
        await trio.sleep(2)  # in the middle of the first one
    async with webhooks(receiver, database):
        await trio.sleep(120)

    assert [one["type"] for one in receiver.arrived] == ALL
    assert [name for _, name in receiver.tried].count(receiver.tried[0][1]) == 2


def over(call_sid: str, minutes: float, outcome: str = "completed") -> CallRecord:
    began = datetime.now(UTC) - timedelta(minutes=minutes)
    return record(call_sid, started_at=began.isoformat(timespec="milliseconds"), outcome=outcome)


async def test_an_end_that_nobody_has_told_is_told_by_the_record(autojump_clock: MockClock) -> None:
    """A process was killed between the record of a call and its event."""
    database, receiver, records = Flaky(), Receiver(), MemoryRecords()
    lost, young, away = (f"CA{number:032}" for number in (1, 2, 3))
    await Outbox(database).put(CALL_SID, "call.started", 0, {})
    await database.ask("UPDATE outbox SET created = created - 7200, state = 'sent'", {})
    for one in (over(lost, 60), over(young, 1), over(away, 60, TRANSFERRING), over("CA" + "4" * 32, 600)):
        await records.save(one)
    async with webhooks(receiver, database, records):
        await trio.sleep(2.5 * SWEEP_SECONDS)

    assert receiver.kinds == [("1", "call.ended")]


def test_waits_grow_from_seconds_to_hours() -> None:
    waits = [delay(tries) for tries in range(1, 12)]

    assert all(low <= wait <= high for wait, low, high in zip(waits[:3], (4, 12, 36), (5, 15, 45), strict=True))
    assert all(0.8 * 4 * 3600 <= wait <= 4 * 3600 for wait in waits[8:])


async def test_a_server_tells_of_its_calls_and_lists_what_did_not_arrive(autojump_clock: MockClock) -> None:
    there, receiver = exchange(), Receiver(lambda: "HTTP 500")
    chosen, context = there.settings, context_of(there)
    app = create_app(chosen, Opened(context.services, context.line, context.slots, post_webhook=receiver))
    there = attrs.evolve(there, app=app)
    async with app.test_app():
        await context_of(there).announced.save(record())
        await trio.sleep(1)
        await grow_old(context_of(there).outbox)
        await trio.sleep(10)
        listed = await there.operator("GET", "/webhooks")
        (name,) = [one["id"] for one in listed.json()["webhooks"]]
        receiver.why = lambda: ""
        wrong = await there.operator("POST", "/webhooks/resend", {"ids": ["x"]})
        resent = await there.operator("POST", "/webhooks/resend", {"ids": [name]})
        await trio.sleep(10)
        left = await there.operator("GET", "/webhooks")

    shown = {name: listed.json()["webhooks"][0][name] for name in ("call_sid", "kind", "state", "why", "tries")}
    ended = {"call_sid": CALL_SID, "kind": "call.ended", "state": "dead", "why": "HTTP 500", "tries": 2}
    assert shown == ended
    assert (wrong.status_code, resent.json(), left.json()) == (400, {"resent": 1}, {"webhooks": []})
    assert receiver.kinds == [("1", "call.ended")]
