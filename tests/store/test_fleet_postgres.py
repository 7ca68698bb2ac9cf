"""What only many workers do: carry each other's calls, die, sleep, and lose their database."""

import math
import os
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

import attrs
import psycopg
import pytest
import trio
from structlog.testing import capture_logs
from trio.lowlevel import wait_readable
from trio.testing import wait_all_tasks_blocked

from store import outbox, tokens
from store.calls import DatabaseRefused, DatabaseUnavailable, MemoryRecords
from store.checkpoints import keep_news
from store.databases import Arguments, Rows, for_postgres
from store.erasing import Subject
from store.fleet import driver, statements
from store.fleet.commands import OtherWorkers
from store.fleet.cut_calls import adopt_cut, close_dead
from store.fleet.driver import CONNECTIONS, Database, PostgresDatabase
from store.fleet.migrations import MIGRATIONS, Migration, migrate
from store.fleet.postgres import PostgresFleet
from store.fleet.shared import BEAT_SECONDS, DEAD_SECONDS, TELL, Answers, Question, State, skew
from store.orders import campaigns
from store.orders import queue as orders
from store.records import CallRecord, RunningRecord, TurnRecord
from store.search import CallQuery
from store.sql import SqlRecords
from store.tokens import TokenStore
from tests.store.fleets import Workers, call, hidden
from tests.store.samples import FULL
from tests.store.throw_away_postgres import Cluster
from tests.store.ways_between import way_to
from tests.web.fakes import settings
from web.checkup import check_records
from web.twilio_checks import Finding

pytestmark = pytest.mark.slow
AWAY = "postgresql://me@/calls?host=/nowhere/at/all"
WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
OLDER = "UPDATE workers SET beat = beat - interval '11 s' WHERE worker = %s"


def execute(url: str, sql: str, *arguments: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode(), arguments or None)
        return cursor.fetchall() if cursor.description else []


async def wait_listening(url: str) -> None:
    while not execute(url, "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"):  # noqa: ASYNC110 - far away
        await trio.sleep(0.01)


def running() -> RunningRecord:
    return RunningRecord(FULL)


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_worker_starts_until_the_database_has_answered_or_for_some_seconds(
    is_there: bool, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.fleet.postgres.START_SECONDS", 30.0 if is_there else 0.5)
    fleet = PostgresFleet(1, Database(workers.url if is_there else AWAY))
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fleet.run, MemoryRecords().save)
        await wait_all_tasks_blocked()
        while fleet.is_starting:
            assert fleet.is_away
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()

    assert 0 < trio.current_time() - began < 20
    assert fleet.is_away == (not is_there)


async def test_a_database_that_comes_and_goes_is_told_once_a_minute_and_one_that_stays_away_is_told(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = await workers.join(1)
    with capture_logs() as told:
        for _ in range(3):
            with hidden(fleet.database), pytest.raises(DatabaseUnavailable):
                await fleet.beat()
            await fleet.beat()
        with hidden(fleet.database):
            for seconds in (60, 0, 0):
                fleet.database._may_tell_away -= 60 - seconds
                with pytest.raises(DatabaseUnavailable):
                    await fleet.beat()
        await fleet.beat()

    events = [one["event"] for one in told if one["event"].startswith("database_")]
    assert events == ["database_away", "database_back"] * 2


async def test_two_workers_that_start_with_one_name_hold_their_calls_each(workers: Workers) -> None:
    """As copies of one machine do that was saved with its memory."""
    one, other = [await workers.join(2, "twin") for _ in range(2)]

    assert await one.admit(call("CA1"))
    assert await other.admit(call("CA2"))
    for fleet in (one, other, one, other):
        await fleet._compare()
        await fleet.beat()

    assert {live.key for live in await one.live()} == {"CA1", "CA2"}
    assert not await one.admit(call("CA3"))
    assert execute(workers.url, "SELECT count(*) FROM workers") == [(2,)]


async def test_a_slot_kept_by_one_worker_is_taken_by_the_other_to_which_the_stream_came(workers: Workers) -> None:
    webhook, stream = await workers.join(1, "webhook"), await workers.join(1, "stream")

    assert await webhook.reserve("CA1", 60)
    assert not await stream.admit(call("CA2"))
    assert await stream.admit(call("CA1"))
    assert [one.worker for one in await webhook.live()] == ["stream"]


async def test_news_that_a_call_was_not_answered_frees_the_slot_that_another_worker_keeps(workers: Workers) -> None:
    orders, hears = await workers.join(1, "orders"), await workers.join(1, "hears")
    await orders.reserve("OR1", 60)

    hears.free("OR1")
    await hears.beat()

    assert await hears.admit(call("CA2"))


async def test_a_slot_for_which_nobody_came_is_emptied_though_there_is_room(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.fleet.postgres.COMPARE_SECONDS", 0.0)
    dead, other = await workers.join(9, "dead"), await workers.join(9, "other")
    await dead.reserve("CA1", 60)
    execute(workers.url, "UPDATE slots SET lapses = lapses - interval '61 s' WHERE key = 'CA1'")

    await other.beat()

    assert execute(workers.url, "SELECT key FROM slots WHERE key IS NOT NULL") == []


async def test_a_worker_cannot_end_a_call_that_has_moved_to_another(workers: Workers) -> None:
    first, second = await workers.join(2, "first"), await workers.join(2, "second")
    await first.admit(call("CA1"))
    await second.admit(call("CA1"), over=True)

    first.free("CA1")
    await first.beat()

    assert [one.worker for one in await first.live()] == ["second"]


async def test_a_dead_workers_calls_are_closed_once_with_their_last_words_and_their_slots_are_free(
    workers: Workers,
) -> None:
    dead, first, second = [await workers.join(2, name) for name in ("dead", "first", "second")]
    await dead.admit(call(FULL.call_sid))
    await dead.admit(call("CA2"))
    dead.running = {FULL.call_sid: running()}
    await dead.beat()
    execute(workers.url, OLDER, "dead")
    records = MemoryRecords()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_dead, first.database, first.worker)
        nursery.start_soon(close_dead, second.database, second.worker)

    assert [await adopt_cut(one.database, records.save, set()) for one in (first, second)] == [2, 0]
    assert await records.get(FULL.call_sid) == FULL
    without_note = await records.get("CA2")
    assert without_note is not None
    assert (without_note.outcome, without_note.caller) == ("cut", "+15557650000")
    assert [await first.admit(call(f"CA{n}")) for n in (7, 8, 9)] == [True, True, False]


async def test_the_note_of_a_newer_version_is_left_to_it_and_its_call_has_a_record_at_once(workers: Workers) -> None:
    dead, old, new = [await workers.join(2, name) for name in ("dead", "old", "new")]
    await dead.admit(call(FULL.call_sid))
    dead.running = {FULL.call_sid: running()}
    await dead.beat()
    execute(workers.url, OLDER, "dead")
    await close_dead(old.database, old.worker)
    execute(workers.url, "UPDATE cut_calls SET note = 'newer' || note")
    records, unread = MemoryRecords(), set[str]()

    async def adopt(record: CallRecord) -> None:
        await keep_news(records, record)

    assert [await adopt_cut(old.database, adopt, unread) for _ in range(2)] == [1, 0]
    assert (await kept_in(records)).duration == 0

    execute(workers.url, "UPDATE cut_calls SET note = substr(note, 6)")
    assert [await adopt_cut(new.database, adopt, set()) for _ in range(2)] == [1, 0]
    assert await kept_in(records) == FULL


async def test_a_call_that_went_on_and_was_cut_again_is_read_by_a_worker_that_could_not_read_its_first_note(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.fleet.postgres.COMPARE_SECONDS", 0.0)
    records, unread = MemoryRecords(), set[str]()
    survivor = await workers.join(2, "survivor")
    for worker, newer in (("newer", "newer"), ("old", "")):
        dead = await workers.join(2, worker)
        await dead.admit(call(FULL.call_sid))
        dead.running = {FULL.call_sid: running()}
        await dead.beat()  # which says that the call runs again
        await adopt_cut(survivor.database, records.save, unread)
        execute(workers.url, OLDER, worker)
        await close_dead(survivor.database, survivor.worker)
        execute(workers.url, "UPDATE cut_calls SET note = %s || note", newer)
        await adopt_cut(survivor.database, records.save, unread)

    assert await kept_in(records) == FULL


async def kept_in(records: MemoryRecords) -> CallRecord:
    kept = await records.get(FULL.call_sid)
    assert kept is not None
    return kept


async def test_a_note_that_nobody_reads_is_kept_for_a_day(workers: Workers) -> None:
    dead, old = [await workers.join(2, name) for name in ("dead", "old")]
    await dead.admit(call("CA1"))
    execute(workers.url, OLDER, "dead")
    await close_dead(old.database, old.worker)
    unread = set[str]()
    left = []
    for days in (0, 1):
        execute(workers.url, "UPDATE cut_calls SET note = '{}', died = died + interval '1 day' * %s", -days)
        await adopt_cut(old.database, MemoryRecords().save, unread)
        left.append(len(await old.database.ask("SELECT 1 FROM cut_calls")))

    assert left == [1, 0]


async def test_a_worker_that_only_slept_takes_a_new_name_and_its_calls_run_on(workers: Workers) -> None:
    slept, other = await workers.join(2, "slept"), await workers.join(2, "other")
    await slept.admit(call("CA1"))
    execute(workers.url, OLDER, "slept")
    await close_dead(other.database, other.worker)

    with pytest.raises(DatabaseUnavailable, match="declared dead"):
        await slept.beat()
    await slept.beat()

    assert [one.worker for one in await other.live()] == [slept.worker]
    assert slept.worker != "slept"
    assert await adopt_cut(other.database, MemoryRecords().save, set()) == 0


async def test_calls_for_which_there_is_no_slot_after_a_sleep_run_on_and_nobody_new_is_let_in(workers: Workers) -> None:
    slept, other = await workers.join(1, "slept"), await workers.join(1, "other")
    await slept.admit(call("CA1"))
    execute(workers.url, OLDER, "slept")
    await close_dead(other.database, other.worker)
    assert await other.admit(call("CA2"))

    with pytest.raises(DatabaseUnavailable):
        await slept.beat()
    await slept.beat()
    other.free("CA2")
    await other.beat()

    assert [one.key for one in await other.live()] == ["CA1"]
    assert not await other.admit(call("CA3"))
    slept.free("CA1")
    await slept.beat()
    assert await other.admit(call("CA3"))


async def test_a_dead_worker_lets_nobody_in_under_its_old_name(workers: Workers) -> None:
    dead, other = await workers.join(2, "dead"), await workers.join(2, "other")
    execute(workers.url, OLDER, "dead")
    await close_dead(other.database, other.worker)

    await dead.admit(call("CA1"))

    assert dead.state is State.AWAY
    assert execute(workers.url, "SELECT * FROM live_calls WHERE worker = 'dead'") == []


@pytest.mark.parametrize(("before", "after", "let_in"), [(3, 1, 0), (1, 3, 2), (2, 2, 1)])
async def test_another_cap_holds_as_soon_as_calls_have_ended(
    workers: Workers, before: int, after: int, let_in: int
) -> None:
    old = await workers.join(before, "old")
    await old.admit(call("CA0"))
    new = await workers.join(after, "new")

    assert sum([await new.admit(call(f"CA{n}")) for n in range(1, 6)]) == let_in


async def test_without_the_database_a_worker_lets_in_its_part_of_what_was_free(workers: Workers) -> None:
    one, other = await workers.join(6, "one"), await workers.join(6, "other")
    await one.admit(call("CA0"))
    await other.admit(call("CA1"))
    await one.beat()
    await other.beat()

    with hidden(one.database):
        let_in = [await one.admit(call(f"CA{n}")) for n in range(2, 7)]

    assert let_in == [True, True, False, False, False]
    assert one.state is State.AWAY


async def test_a_new_call_waits_for_a_database_that_is_only_restarted(workers: Workers) -> None:
    """It is let in by the database, and not by this worker alone: so there is one cap, and no guess at it."""
    fleet = PostgresFleet(2, workers.database(), worker="w1", patience=20)
    await fleet.beat()
    let_in: list[bool] = []

    async def come() -> None:
        let_in.append(await fleet.admit(call("CA1")))

    async with trio.open_nursery() as nursery:
        with hidden(fleet.database):
            nursery.start_soon(come)
            with trio.fail_after(30):
                while fleet.state is not State.AWAY:  # noqa: ASYNC110 - far away
                    await trio.sleep(0.01)
            await wait_all_tasks_blocked()
        assert let_in == []
        await fleet.beat()

    assert (let_in, [one.key for one in await fleet.live()]) == ([True], ["CA1"])


async def test_back_again_what_was_let_in_is_reported_and_what_ended_is_freed(workers: Workers) -> None:
    one, other = await workers.join(6, "one"), await workers.join(6, "other")
    await one.admit(call("CA0"))
    await one.beat()
    await other.beat()
    with hidden(one.database):
        await one.admit(call("CA1"))
        await one.reserve("CA2", 60)
        one.free("CA0")
        with pytest.raises(DatabaseUnavailable):
            await one.beat()

    await one.beat()

    assert one.state is State.UP
    assert [one.key for one in await other.live()] == ["CA1"]
    assert [await other.admit(call(f"CA{n}")) for n in range(5, 10)] == [True] * 4 + [False]


async def test_a_call_let_in_without_the_database_has_the_slot_that_was_kept_for_it(workers: Workers) -> None:
    one, other = await workers.join(2, "one"), await workers.join(2, "other")
    await other.reserve("CA1", 60)
    with hidden(one.database):
        assert await one.admit(call("CA1"))

    await one.beat()

    assert execute(workers.url, "SELECT worker, lapses FROM slots WHERE key = 'CA1'") == [("one", None)]
    assert await other.admit(call("CA2"))


async def test_a_slot_kept_before_the_database_was_lost_is_not_kept_again(workers: Workers) -> None:
    """Its call may have run elsewhere, and ended."""
    one, other = await workers.join(2, "one"), await workers.join(2, "other")
    await one.reserve("CA1", 60)
    await other.admit(call("CA1"))
    other.free("CA1")
    await other.beat()
    with hidden(one.database), pytest.raises(DatabaseUnavailable):
        await one.beat()

    await one.beat()

    assert execute(workers.url, "SELECT key FROM slots WHERE key IS NOT NULL") == []


async def test_a_worker_that_comes_back_first_lets_nobody_in_before_the_others_have_reported(workers: Workers) -> None:
    first, last = await workers.join(4, "first"), await workers.join(4, "last")
    with hidden(first.database):
        assert await first.admit(call("CA1"))
    assert first.left_at is not None
    first.left_at -= 5
    execute(workers.url, "UPDATE workers SET beat = beat - interval '5 s'")

    await first.beat()

    assert first.state.value == "returning"
    await last.beat()
    await first.beat()
    assert first.state.value == "up"


async def test_nobody_is_declared_dead_because_the_database_was_away(workers: Workers) -> None:
    first, last = await workers.join(4, "first"), await workers.join(4, "last")
    await last.admit(call("CA1"))
    with hidden(first.database):
        await first.admit(call("CA2"))
    execute(workers.url, "UPDATE workers SET beat = beat - interval '30 s'")

    await first.beat()
    await last.beat()

    assert {one.key for one in await first.live()} == {"CA1", "CA2"}


@pytest.mark.parametrize("seconds", [30, -300])
async def test_where_the_clock_of_the_database_jumps_the_living_live_and_the_dead_are_found(
    seconds: int, workers: Workers
) -> None:
    first, living, dead = [await workers.join(4, name) for name in ("first", "living", "dead")]
    await living.admit(call("CA1"))
    await dead.admit(call("CA2"))
    first._beating_since = -math.inf
    execute(workers.url, "UPDATE workers SET beat = beat - %s * interval '1 s'", seconds)
    for worker in (first, living):
        assert worker.left_at is not None
        worker.left_at -= seconds

    calls = list[set[str]]()
    for _ in range(2):
        await first.beat()
        calls.append({one.key for one in await first.live()})
        await living.beat()
        first._beating_since -= DEAD_SECONDS + BEAT_SECONDS

    assert calls == [{"CA1", "CA2"}, {"CA1"}]


async def test_a_slot_kept_before_the_clock_was_set_back_is_free_when_nobody_came(workers: Workers) -> None:
    fleet = await workers.join(2)
    for key, seconds in (("on its way", 60.0), ("late", 0.05)):
        await fleet.reserve(key, seconds)
    execute(workers.url, "UPDATE slots SET lapses = lapses + interval '1 hour' WHERE key IS NOT NULL")
    await trio.sleep(0.06)
    fleet._compared = -math.inf
    await fleet.beat()

    assert execute(workers.url, "SELECT key FROM slots WHERE key IS NOT NULL") == [("on its way",)]


@attrs.define
class Meanwhile(Database):
    """A database before whose next answer something else is done."""

    first: list[Callable[[], Awaitable[object]]] = attrs.field(factory=list)

    async def ask(self, sql: str, arguments: Arguments | None = None, *, even_away: bool = False) -> Rows:
        if self.first:
            await self.first.pop()()
        return await super().ask(sql, arguments, even_away=even_away)


async def test_a_call_let_in_while_a_worker_compares_keeps_its_slot(workers: Workers) -> None:
    """What the worker held when it began to compare is not what it holds when the database does."""
    database = Meanwhile(workers.url)
    workers.opened.append(database)
    fleet = PostgresFleet(2, database, worker="w1")
    await fleet.beat()
    database.first.append(lambda: fleet.admit(call("CA1")))
    await fleet._compare()

    assert [one.key for one in await fleet.live()] == ["CA1"]
    assert execute(workers.url, "SELECT key FROM slots WHERE key IS NOT NULL") == [("CA1",)]


@pytest.mark.parametrize("is_over", [False, True], ids=["lapsed", "over"])
@pytest.mark.parametrize("comes", ["webhook", "stream"])
@pytest.mark.parametrize("who", ["w1", "w2"])
async def test_a_slot_that_is_wanted_again_while_a_worker_gives_it_up_is_kept(
    is_over: bool, comes: str, who: str, workers: Workers
) -> None:
    """A caller comes late, or again, and to either worker, in the moment in which the first one gives the slot up."""
    database = Meanwhile(workers.url)
    workers.opened.append(database)
    fleet, other = PostgresFleet(2, database, worker="w1"), await workers.join(2, "w2")
    await fleet.beat()
    await fleet.reserve("late", 0.05)
    execute(workers.url, "UPDATE slots SET lapses = lapses + interval '1 hour' WHERE key IS NOT NULL")
    await trio.sleep(0.06)
    wanted = fleet if who == "w1" else other
    if is_over:
        await fleet.admit(call("late"))
        fleet.free("late")
    else:
        fleet._compared = -math.inf

    async def come() -> None:
        assert await (wanted.reserve("late", 60) if comes == "webhook" else wanted.admit(call("late"), over=True))

    async def come_meanwhile() -> None:
        if wanted is other:
            await come()
        else:  # which waits until the worker knows what it has given up
            nursery.start_soon(come)
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        database.first += [come_meanwhile] if is_over else [come_meanwhile, trio.lowlevel.checkpoint]
        await fleet.beat()

    held = execute(workers.url, "SELECT key, worker FROM slots WHERE key IS NOT NULL")
    assert held == ([] if is_over and (who, comes) == ("w2", "webhook") else [("late", who)])
    assert [one.worker for one in await fleet.live()] == ([who] if comes == "stream" else [])


async def test_a_lost_answer_costs_no_slot(workers: Workers) -> None:
    """The call was let in, and its worker does not know."""
    fleet = await workers.join(1, "w1")
    execute(workers.url, "UPDATE slots SET key = 'CA1', worker = 'w1'")
    execute(workers.url, "INSERT INTO live_calls (key, call_sid, worker, about) VALUES ('CA1', 'CA1', 'w1', '{}')")

    with hidden(fleet.database), pytest.raises(DatabaseUnavailable):
        await fleet.beat()
    await fleet.beat()

    assert await fleet.admit(call("CA2"))


@attrs.define
class Late(Database):
    """A database that refuses a slot while some have not reported; its refusals come after the next beat."""

    beat: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint

    async def ask(self, sql: str, arguments: Arguments | None = None, *, even_away: bool = False) -> Rows:
        if sql == statements.RESERVE and arguments and arguments["careful"]:
            await self.beat()
            return []
        return await super().ask(sql, arguments, even_away=even_away)


async def test_a_refusal_from_before_all_workers_have_reported_is_asked_again(workers: Workers) -> None:
    """The last one of them reports while the careful answer is on its way: nobody is refused by it."""
    database = Late(workers.url)
    database.is_ready = True
    workers.opened.append(database)
    fleet = PostgresFleet(2, database, worker="w1", patience=5)
    await fleet.beat()
    other = await workers.join(2, "w2")
    with hidden(database), pytest.raises(DatabaseUnavailable):
        await fleet.beat()
    fleet.left_at = time.time() - 60
    execute(workers.url, "UPDATE workers SET allowance = 2, beat = beat - interval '4 s' WHERE worker = 'w2'")
    await fleet.beat()
    assert fleet.state.value == "returning"

    async def all_report() -> None:
        database.beat = trio.lowlevel.checkpoint
        await other.beat()
        await fleet.beat()

    database.beat = all_report
    assert await fleet.reserve("CA1", 60)


DELETED = {
    "slots that are held": "DELETE FROM slots WHERE key IS NOT NULL",
    "slots": "DELETE FROM slots",
    "account": "DELETE FROM account",
    "account and slots": "TRUNCATE account, slots",
    "workers": "TRUNCATE workers, slots, live_calls",
    "everything": "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
}


@pytest.mark.parametrize("what", DELETED)
async def test_what_an_operator_has_deleted_is_there_again_and_the_cap_holds(workers: Workers, what: str) -> None:
    fleet = await workers.join(2)
    await fleet.admit(call("CA1"))
    execute(workers.url, DELETED[what])
    with capture_logs() as logs:
        for _ in range(3):
            fleet._compared = -math.inf
            with suppress(DatabaseUnavailable):
                await fleet.beat()

    assert [await fleet.reserve(name, 60) for name in ("CA1", "CA2", "CA3")] == [True, True, False]
    assert await fleet.claim_turn(1, 60) == 0
    assert [live.call_sid for live in await fleet.live()] == ["CA1"]
    assert execute(workers.url, "SELECT count(*), count(key) FROM slots") == [(2, 2)]
    assert "max_calls_differs" not in {line["event"] for line in logs}


@attrs.define
class Losing(Database):
    """A database whose answer to a statement is lost on its way, once: after it was carried out, or before."""

    statement: str = ""
    is_carried_out: bool = True
    meanwhile: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint

    async def ask(self, sql: str, arguments: Arguments | None = None, *, even_away: bool = False) -> Rows:
        if sql != self.statement:
            return await super().ask(sql, arguments, even_away=even_away)
        self.statement = ""
        if self.is_carried_out:
            await super().ask(sql, arguments)
        await self.meanwhile()
        raise DatabaseUnavailable("lost")


SAY = """INSERT INTO commands (worker, call_sid, body)
    SELECT 'other', 'CA1', '{"kind": "tell", "about": {"kind": "' || n || '"}, "from": "nobody", "token": ""}'
    FROM generate_series(1, %s) n"""
"""Tell something of a call, and await no answer."""


def ears(database: Database) -> tuple[OtherWorkers, list[str]]:
    """Return the others as the worker `other` hears them, and what it has been told."""
    heard = list[str]()

    async def hear(_call_sid: str, about: object) -> object:
        await trio.lowlevel.checkpoint()
        assert isinstance(about, dict)
        heard.append(str(about["kind"]))
        return True

    return OtherWorkers(database, lambda: "other", {TELL: hear}), heard


@pytest.mark.parametrize("is_carried_out", [True, False])
@pytest.mark.parametrize("statement", ["HEAR", "HEARD"])
async def test_a_message_is_heard_once_though_an_answer_of_the_database_is_lost(
    workers: Workers, statement: str, is_carried_out: bool
) -> None:
    await workers.join(2, "other")
    database = Losing(workers.url, statement=getattr(statements, statement), is_carried_out=is_carried_out)
    database.is_ready = True
    workers.opened.append(database)
    rows, heard = ears(database)
    execute(workers.url, SAY, 2)

    async with trio.open_nursery() as nursery:
        with pytest.raises(DatabaseUnavailable):
            await rows.hear(nursery)
        execute(workers.url, SAY, 1)
        for _ in range(2):
            await rows.hear(nursery)

    assert sorted(heard) == ["1", "1", "2"]
    assert execute(workers.url, "SELECT * FROM commands") == []


async def hear_all(rows: OtherWorkers, heard: list[str]) -> list[str]:
    """Have the rows be looked at; return what is heard by that."""
    heard.clear()
    async with trio.open_nursery() as nursery:
        await rows.hear(nursery)
    return sorted(heard)


async def test_what_was_heard_long_ago_is_passed_over_while_a_backup_can_see_it(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.fleet.commands._LATEST", 50)
    other = await workers.join(2, "other")
    (rows, said), read = ears(other.database), list[int]()
    plan = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statements.HEAR}"
    with psycopg.connect(workers.url) as backup:
        backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        backup.execute("SELECT 1 FROM commands")
        execute(workers.url, SAY, 5000)
        heard = await hear_all(rows, said)
        for after in (0, rows._newest - 50):
            (((found,),),) = await other.database.ask(plan, {"worker": "other", "after": after})
            read.append(found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"])

    assert len(heard) == 5000
    assert read[0] > 20 * read[1]


async def test_a_message_that_comes_to_be_seen_late_is_heard_though_later_ones_were(workers: Workers) -> None:
    other = await workers.join(2, "other")
    rows, heard = ears(other.database)
    with psycopg.connect(workers.url) as slow:
        slow.execute(SAY, [1])
        execute(workers.url, SAY, 2)
        assert await hear_all(rows, heard) == ["1", "2"]
        slow.commit()

    assert await hear_all(rows, heard) == ["1"]
    assert await hear_all(rows, heard) == []


async def test_a_message_that_cannot_be_taken_away_is_passed_on_once(workers: Workers) -> None:
    other = await workers.join(2, "other")
    rows, heard = ears(other.database)
    execute(workers.url, SAY, 2)
    execute(workers.url, "CREATE RULE kept AS ON DELETE TO commands DO INSTEAD SELECT 1/0")
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            with suppress(DatabaseUnavailable, psycopg.DataError):
                await rows.hear(nursery)
    execute(workers.url, "DROP RULE kept ON commands")

    assert sorted(heard) == ["1", "2"]
    assert await hear_all(rows, heard) == []
    assert execute(workers.url, "SELECT * FROM commands") == []


async def test_another_server_is_heard_whose_rows_have_lower_numbers_than_those_left_at_the_first(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was heard last could not be taken away any more: then the first one was gone."""
    monkeypatch.setattr("store.fleet.commands._LATEST", 50)
    await workers.join(2, "other")
    database = Losing(workers.url, statement=statements.HEARD, is_carried_out=False)
    database.is_ready = True
    workers.opened.append(database)
    rows, heard = ears(database)
    execute(workers.url, SAY, 100)
    async with trio.open_nursery() as nursery:
        with pytest.raises(DatabaseUnavailable):
            await rows.hear(nursery)
    execute(workers.url, "TRUNCATE commands RESTART IDENTITY")
    rows._newest = 0  # as when it listens to another one
    assert await hear_all(rows, heard) == []
    execute(workers.url, SAY, 2)

    assert await hear_all(rows, heard) == ["1", "2"]


async def test_connections_that_were_lost_are_opened_again_before_calls_need_them(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is far away is not reached in the time that a call has."""
    monkeypatch.setattr("store.fleet.postgres.COMPARE_SECONDS", 0.0)
    fleet = await workers.join(2)
    fleet.database.close()

    await fleet.beat()

    assert (fleet.state, len(fleet.database._idle)) == (State.UP, CONNECTIONS)


async def test_the_worker_of_a_call_is_not_asked_when_it_is_dead(workers: Workers) -> None:
    one, dead = await workers.join(2, "one"), await workers.join(2, "dead")
    await dead.admit(call("CA1"))
    execute(workers.url, OLDER, "dead")

    assert await one.ask(Question(TELL, {}, call="CA1"), 30) == Answers([])


@pytest.mark.real_time
@pytest.mark.parametrize("is_notified", [True, False], ids=["notified", "notification lost"])
async def test_a_message_is_heard_at_once_or_after_a_second(
    workers: Workers, is_notified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.fleet.commands.LOOK_SECONDS", 30.0 if is_notified else 1.0)
    one, other = await workers.join(2, "one"), await workers.join(2, "other")
    await other.admit(call("CA1"))
    rows, heard = ears(other.database)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rows.hear_on)
        if is_notified:
            await wait_listening(workers.url)
            nursery.start_soon(one.ask, Question(TELL, {"kind": "1"}, call="CA1"), 5.0)  # then it is taken back
        else:
            execute(workers.url, SAY, 1)
        with trio.fail_after(10):
            while not heard:  # noqa: ASYNC110 - far away
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_what_is_posted_before_the_listening_is_confirmed_is_heard(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server listens for a worker before that knows it: what comes between is in the answer's bytes."""
    came, posted, heard = list[str](), list[str](), trio.Event()

    async def wait_late(descriptor: int) -> None:
        await wait_readable(descriptor)
        if not posted and execute(workers.url, "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"):
            posted.append("early")
            execute(workers.url, "SELECT pg_notify('worker w1', 'early')")
            while b"early" not in peeked(descriptor):  # noqa: ASYNC110 - far away
                await trio.sleep(0.01)

    def take(text: str) -> None:
        came.append(text)
        if text == "early":
            heard.set()

    monkeypatch.setattr(driver, "wait_readable", wait_late)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.listen, workers.url, "worker w1", take)
        await heard.wait()
        nursery.cancel_scope.cancel()

    assert sorted(came) == ["", "early"]


def peeked(descriptor: int) -> bytes:
    """Return what a socket has received and nobody has read."""
    with socket.socket(fileno=os.dup(descriptor)) as there:
        return there.recv(65536, socket.MSG_PEEK)


@pytest.mark.real_time
async def test_a_worker_with_a_new_name_is_heard_under_it_in_a_second(workers: Workers) -> None:
    one, other = await workers.join(2, "one"), await workers.join(2, "new")
    name = "old"
    await other.admit(call("CA1"))
    others = OtherWorkers(workers.database(), lambda: name, {"echo": twice})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one._others.hear_on)
        nursery.start_soon(others.hear_on)
        await wait_listening(workers.url)
        name = "new"
        others.listen_anew()
        with trio.fail_after(1.7):
            assert await one.ask(Question("echo", "hello", call="CA1"), 5) == Answers([["CA1", "hello"]])
        nursery.cancel_scope.cancel()


async def twice(call_sid: str, about: object) -> object:
    """Answer with what was asked, and of which call."""
    await trio.lowlevel.checkpoint()
    return [call_sid, about]


@asynccontextmanager
async def hearing(*fleets: PostgresFleet) -> AsyncIterator[None]:
    """Have workers hear and answer."""
    async with trio.open_nursery() as nursery:
        for fleet in fleets:
            nursery.start_soon(fleet._others.hear_on)
        yield
        nursery.cancel_scope.cancel()


SAID = ["", {"text": 'it\'s 100 %s \0 é "quoted"'}, None, list(range(9000))]


@pytest.mark.parametrize("about", SAID, ids=["empty", "any text", "null", "long"])
async def test_a_question_is_answered_by_the_worker_that_is_asked(workers: Workers, about: object) -> None:
    one, other, third = [await workers.join(3, name) for name in ("one", "other", "third")]
    await other.admit(call("OR1", call_sid="CA1"))
    for fleet in (one, other, third):
        fleet.answering["echo"] = twice
    async with hearing(one, other, third):
        with trio.fail_after(30):
            by_call = [await one.ask(Question("echo", about, call=name), 30) for name in ("OR1", "CA1")]
            by_name = await one.ask(Question("echo", about, worker="third"), 30)
            all_others = await one.ask(Question("echo", about), 30)

    assert by_call == [Answers([["CA1", about]])] * 2
    assert by_name == Answers([["", about]])
    assert all_others == Answers([["", about]] * 2)


async def refuses(_call_sid: str, _about: object) -> object:
    await trio.lowlevel.checkpoint()
    raise OSError("the disk is away")


@pytest.mark.parametrize("kind", ["unheard of", "refused"])
async def test_a_worker_that_does_not_answer_is_counted(workers: Workers, kind: str) -> None:
    """One of another version, and one that cannot, say so at once; one hears nothing."""
    one, other, _ = [await workers.join(3, name) for name in ("one", "other", "deaf")]
    other.answering["refused"] = refuses
    async with hearing(one, other):
        with trio.fail_after(30), capture_logs() as logs:
            at_once = await one.ask(Question(kind, "x", worker="other"), 300)
            answers = await one.ask(Question(kind, "x"), 1.0)

    assert (at_once, answers) == (Answers([], silent=1), Answers([], silent=2))
    assert {line["event"] for line in logs} == {"question_not_answered"}


async def test_nobody_is_asked_where_there_is_no_such_call_or_worker(workers: Workers) -> None:
    one = await workers.join(2, "one")

    assert await one.ask(Question("echo", "x", call="CA1"), 30) == Answers([])
    assert await one.ask(Question("echo", "x", worker="two"), 30) == Answers([])
    assert await one.ask(Question("echo", "x"), 30) == Answers([])


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped(workers: Workers) -> None:
    one, other = await workers.join(2, "one"), await workers.join(2, "other")
    may_answer = trio.Event()

    async def late(_call_sid: str, _about: object) -> object:
        await may_answer.wait()
        return "late"

    other.answering["echo"] = late
    async with hearing(one, other):
        with trio.fail_after(30):
            assert await one.ask(Question("echo", "x", worker="other"), 0.05) == Answers([], silent=1)
            may_answer.set()
            other.answering["echo"] = twice
            assert await one.ask(Question("echo", "y", worker="other"), 30) == Answers([["", "y"]])
            while execute(workers.url, "SELECT * FROM commands"):  # noqa: ASYNC110 - far away
                await trio.sleep(0.01)


async def test_without_the_database_nobody_is_asked_and_only_our_own_calls_are_found(workers: Workers) -> None:
    one, other = await workers.join(2, "one"), await workers.join(2, "other")
    await one.admit(call("CA1"))
    await other.admit(call("CA2"))
    with hidden(one.database):
        with pytest.raises(DatabaseUnavailable):
            await one.ask(Question("echo", "x"), 30)
        assert [await one.find(name) for name in ("CA1", "CA2")] == [call("CA1", worker="one"), None]


async def test_who_has_asked_and_loses_the_database_has_asked_all_the_same(workers: Workers) -> None:
    """The other worker may do what was asked: a command to a call, say."""
    one, other = await workers.join(2, "one"), await workers.join(2, "other")
    answers = list[Answers]()

    async def ask() -> None:
        answers.append(await one.ask(Question("echo", "x", worker=other.worker), 0.5))

    with trio.fail_after(30), ExitStack() as away:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while not execute(workers.url, "SELECT * FROM commands"):  # noqa: ASYNC110 - far away
                await trio.sleep(0.01)
            away.enter_context(hidden(one.database))

    assert answers == [Answers([], silent=1)]


@pytest.mark.parametrize("then", ["another starts", "another dies", "somebody is forgotten"])
async def test_what_was_told_to_a_worker_as_it_left_is_not_kept(workers: Workers, then: str) -> None:
    """It was there when the other one looked, and gone when the answer was kept."""
    one, dead = await workers.join(2, "one"), await workers.join(2, "dead")
    for worker in ("gone", "one", "dead"):
        execute(workers.url, f"INSERT INTO commands (worker, call_sid, body) VALUES ('{worker}', '', 'words')")  # noqa: S608

    match then:
        case "another starts":
            await workers.join(2, "third")
        case "another dies":
            execute(workers.url, OLDER, "dead")
            await close_dead(one.database, one.worker)
            await workers.join(2, "in its place")
        case _:
            await one.erase(Subject("+15557650000"))

    left = {worker for (worker,) in execute(workers.url, "SELECT worker FROM commands")}
    assert left == {"one", "dead"} - ({dead.worker} if then == "another dies" else set())


async def test_while_nobody_is_dead_nothing_is_read_to_close_the_dead(workers: Workers) -> None:
    """Every worker asks for that with each beat; and rows that were deleted long ago may be there for a backup."""
    await workers.join(2000, "one")
    for into in (
        "commands (worker, call_sid, body) SELECT 'one', '', ''",
        "live_calls (key, call_sid, worker, about) SELECT n, n, 'one', ''",
        "call_notes (call_sid, note) SELECT n, ''",
    ):
        execute(workers.url, f"INSERT INTO {into} FROM generate_series(1, 2000) n")
    execute(workers.url, "ANALYZE")

    with psycopg.connect(workers.url) as connection:
        explain = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statements.REAP}"
        plan = [line for (line,) in connection.execute(explain.encode(), {"worker": "one"})]

    read = [line.strip() for line in plan if re.search(r"on (commands|live_calls|call_notes|slots)", line)]
    assert len(read) >= 4
    assert [line for line in read if "Scan" in line and "never executed" not in line] == []


async def test_a_note_is_read_by_any_worker_and_goes_with_its_call(workers: Workers) -> None:
    one, other = await workers.join(2, "one"), await workers.join(2, "other")
    await one.admit(call(FULL.call_sid))
    one.running = {FULL.call_sid: running()}
    await one.beat()

    assert await other.noted(FULL.call_sid) == FULL
    one.running = {FULL.call_sid: RunningRecord(attrs.evolve(FULL, restarts=7))}
    await one.beat()
    assert await other.noted(FULL.call_sid) == attrs.evolve(FULL, restarts=7)
    one.free(FULL.call_sid)
    await one.beat()
    assert await other.noted(FULL.call_sid) is None


async def test_no_note_is_left_of_a_call_that_ended_before_the_database_knew_it(workers: Workers) -> None:
    """It was let in while the database was away, and over before it was reported."""
    fleet = await workers.join(2)
    with hidden(fleet.database), suppress(DatabaseUnavailable):
        await fleet.beat()
    await fleet.admit(call("OR1", call_sid="CA1"))
    fleet.running = {"CA1": running()}
    await fleet._send_beat()
    fleet.free("OR1")
    await fleet.beat()

    assert execute(workers.url, "SELECT call_sid FROM call_notes") == []


async def test_the_note_of_a_call_that_goes_on_at_another_worker_stays(workers: Workers) -> None:
    one, other = await workers.join(2, "one"), await workers.join(2, "other")
    await one.admit(call("CA1"))
    await other.admit(call("CA1"))
    other.running = {"CA1": running()}
    await other.beat()
    one.free("CA1")
    await one.beat()

    assert execute(workers.url, "SELECT call_sid FROM call_notes") == [("CA1",)]


async def test_no_note_is_left_of_a_call_that_a_dead_worker_had_not_reported(workers: Workers) -> None:
    one, dead = await workers.join(2, "one"), await workers.join(2, "dead")
    await one.admit(call("CA1"))
    for fleet, call_sid in ((one, "CA1"), (dead, "CA2")):
        fleet.running = {call_sid: running()}
        await fleet.beat()
    execute(workers.url, OLDER, "dead")
    await close_dead(one.database, "one")

    assert execute(workers.url, "SELECT call_sid FROM call_notes") == [("CA1",)]


async def test_a_worker_hears_nothing_before_there_are_tables_and_everything_when_there_are(workers: Workers) -> None:
    fleet = PostgresFleet(2, workers.database(), worker="first")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fleet.run, MemoryRecords().save)
        with trio.fail_after(30):
            while fleet.state is State.AWAY:  # noqa: ASYNC110 - far away
                await trio.sleep(0.01)
            execute(workers.url, "INSERT INTO commands (worker, call_sid, body) VALUES ('first', 'CA1', '{}')")
            while execute(workers.url, "SELECT 1 FROM commands"):  # noqa: ASYNC110 - far away
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()

    assert execute(workers.url, "SELECT * FROM workers") == []


async def test_a_token_left_with_one_worker_is_taken_once_by_any(workers: Workers) -> None:
    databases = [workers.database() for _ in range(3)]
    await migrate(databases[0])
    await TokenStore(PostgresDatabase(databases[0])).put("token 1", b"who calls", 60)
    taken: list[bytes | None] = []

    async def take(database: Database) -> None:
        taken.append(await TokenStore(PostgresDatabase(database)).take("token 1"))

    async with trio.open_nursery() as nursery:
        for database in databases:
            nursery.start_soon(take, database)

    assert sorted(filter(None, taken)) == [b"who calls"]


async def test_tokens_expire_and_are_replaced(workers: Workers) -> None:
    database = workers.database()
    await migrate(database)
    tokens = TokenStore(PostgresDatabase(database))
    await tokens.put("old", b"1", 0)
    await tokens.put("new", b"1", 60)
    await tokens.put("new", b"2", 60)

    assert (await tokens.peek("old"), await tokens.peek("new")) == (None, b"2")


async def test_a_token_that_is_exchanged_is_taken_once_and_leaves_an_empty_text(workers: Workers) -> None:
    databases = [workers.database() for _ in range(2)]
    await migrate(databases[0])
    tokens, others = (TokenStore(PostgresDatabase(database)) for database in databases)
    await tokens.put("token", b"who calls", 60)
    taken = [await one.exchange("token", "streamed", 60) for one in (others, tokens)]

    assert (taken, await tokens.peek("streamed")) == ([b"who calls", None], b"")


async def test_of_workers_that_exchange_the_same_token_at_once_one_gets_it(workers: Workers) -> None:
    databases = [workers.database() for _ in range(3)]
    await migrate(databases[0])
    stores = [TokenStore(PostgresDatabase(database)) for database in databases]
    names, taken = [f"token {number}" for number in range(20)], list[str]()
    for name in names:
        await stores[0].put(name, name.encode(), 60)

    async def exchange(store: TokenStore) -> None:
        taken.extend([name for name in names if await store.exchange(name, "streamed", 60) == name.encode()])

    async with trio.open_nursery() as nursery:
        for store in stores:
            nursery.start_soon(exchange, store)

    assert sorted(taken) == sorted(names)
    assert await stores[1].peek_all([*names, "streamed"]) == {"streamed": b""}


async def test_a_worker_that_exchanges_a_token_too_late_leaves_nothing(workers: Workers) -> None:
    databases = [workers.database() for _ in range(2)]
    await migrate(databases[0])
    first, second = (TokenStore(PostgresDatabase(database)) for database in databases)
    await first.put("token", b"who calls", 60)
    await first.put("by first", b"", 60)
    taken = dict[str, bytes | None]()

    async def exchange(store: TokenStore, into: str) -> None:
        taken[into] = await store.exchange("token", into, 60)

    with psycopg.connect(workers.url) as locking:
        locking.execute("SELECT FROM tokens WHERE name = sha256('by first') FOR UPDATE")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange, first, "by first")
            while not execute(workers.url, WAITING):  # noqa: ASYNC110 - another process
                await trio.sleep(0.01)
            nursery.start_soon(exchange, second, "by second")
            await trio.sleep(0.1)
            locking.rollback()

    assert taken == {"by first": b"who calls", "by second": None}
    assert await first.peek_all(["token", "by first", "by second"]) == {"by first": b""}


@pytest.mark.parametrize("content", [b"who calls", b""], ids=["a token", "an empty text"])
async def test_a_token_that_is_taken_while_an_exchange_waits_is_got_once(workers: Workers, content: bytes) -> None:
    databases = [workers.database() for _ in range(2)]
    await migrate(databases[0])
    first, second = (TokenStore(PostgresDatabase(database)) for database in databases)
    await first.put("token", content, 60)
    await first.put("streamed", b"", 60)
    taken: list[bytes | None] = []

    async def exchange() -> None:
        taken.append(await second.exchange("token", "streamed", 60))

    async def take() -> None:
        taken.append(await first.take("token"))

    with psycopg.connect(workers.url) as locking:
        locking.execute("SELECT FROM tokens WHERE name = sha256('streamed') FOR UPDATE")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange)
            while not execute(workers.url, WAITING):  # noqa: ASYNC110 - another process
                await trio.sleep(0.01)
            nursery.start_soon(take)
            await trio.sleep(0.1)
            locking.rollback()

    assert (Counter(taken), await first.peek("token")) == (Counter([content, None]), None)  # either may be first


async def test_before_there_are_tables_a_token_is_the_workers_own(workers: Workers) -> None:
    tokens = TokenStore(PostgresDatabase(Database(workers.url)))
    await tokens.put("mine", b"1", 60)

    assert await tokens.take("mine") == b"1"
    with pytest.raises(DatabaseUnavailable, match="no tables of ours"):
        await tokens.take("mine")


async def test_without_the_database_a_worker_finds_its_own_tokens_and_cannot_say_of_others() -> None:
    tokens = TokenStore(PostgresDatabase(Database(AWAY)))
    await tokens.put("mine", b"1", 60)

    assert await tokens.take("mine") == b"1"
    with pytest.raises(DatabaseUnavailable):
        await tokens.take("mine")


async def test_a_token_of_a_database_that_is_lost_is_taken_once_from_its_worker(workers: Workers) -> None:
    there, other = (PostgresDatabase(workers.database()) for _ in range(2))
    await migrate(workers.database())
    tokens = TokenStore(there)
    await tokens.put("token", b"who calls", 60, has_copy=True)
    tokens.database = PostgresDatabase(Database(AWAY))
    taken = await tokens.exchange("token", "streamed", 60)
    tokens.database = there

    assert (taken, await tokens.exchange("token", "streamed", 60)) == (b"who calls", None)
    assert await TokenStore(other).peek("token") is None


async def test_workers_that_start_together_make_the_tables_once(workers: Workers) -> None:
    async with trio.open_nursery() as nursery:
        for n in range(6):
            nursery.start_soon(workers.join, 4, f"w{n}")

    assert execute(workers.url, "SELECT count(*) FROM workers") == [(6,)]
    assert execute(workers.url, "SELECT count(*) FROM slots") == [(4,)]


async def test_a_later_step_is_made_once_and_a_program_that_is_too_old_for_it_refuses(workers: Workers) -> None:
    database = workers.database()
    steps = (*MIGRATIONS, Migration(99, "CREATE TABLE later (id integer);", oldest=2))

    assert [await migrate(database, steps, program=2) for _ in range(2)] == [99, 99]
    with pytest.raises(DatabaseUnavailable, match="Update this one"):
        await migrate(database)


async def test_a_clock_that_is_a_minute_off_is_told_once_and_changes_nothing(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.fleet.shared.CLOCK_SECONDS", -1.0)  # every clock is off
    with capture_logs() as told:
        fleet = await workers.join(1)
        await fleet.beat()

    assert [one["event"] for one in told if "clock" in one["event"]] == ["clock_differs"]
    assert await fleet.admit(call("CA1"))


async def test_a_slow_workers_turn_is_kept_by_a_fast_one(workers: Workers) -> None:
    fleet = await workers.join(2)
    execute(workers.url, "UPDATE account SET next_turn = clock_timestamp() + interval '59 s'")

    assert [await fleet.claim_turn(pace, longest=60.0) is None for pace in (0.01, 1, 100)] == [False, True, True]


async def test_a_worker_with_another_cap_is_told_by_the_earlier_ones_each_time_it_changes(workers: Workers) -> None:
    with capture_logs() as told:
        fleet = await workers.join(2)
        for n, cap in enumerate((2, 3, 3, 2, 3)):
            await workers.join(cap, f"later{n}")
            await fleet.beat()
            await fleet.beat()

    caps = [(one["here"], one["counts"]) for one in told if one["event"] == "max_calls_differs"]
    assert caps == [(2, 3), (2, 3)]


def test_how_far_a_clock_is_off_is_said_in_seconds() -> None:
    now = time.time()

    assert (skew(now), skew(now - 60)) == ({}, {"clock_ahead": 60})


async def test_two_versions_of_workers_share_calls_while_one_replaces_the_other(workers: Workers) -> None:
    """The newer has made a step that the older does not know, and has not dropped what it still uses."""
    older = await workers.join(1, "older")
    await migrate(workers.database(), (*MIGRATIONS, Migration(99, "ALTER TABLE live_calls ADD later text DEFAULT '';")))
    newer = await workers.join(1, "newer")

    assert await older.admit(call("CA1"))
    assert not await newer.admit(call("CA2"))
    assert [one.call_sid for one in await newer.live()] == ["CA1"]
    assert (await workers.join(1, "restarted")).state is State.UP


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("ALTER ROLE app SET default_transaction_read_only = on", "read-only transaction"),
        ("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM app", "permission denied for table"),
        ("INSERT INTO fleet_schema (number, oldest) VALUES (99, 1000)", "Update this one"),
    ],
    ids=["replica", "rights", "newer"],
)
async def test_a_database_that_is_of_no_use_is_as_good_as_away_and_the_log_says_so_once(
    spoil: str, why: str, workers: Workers
) -> None:
    """A worker that begins goes on by itself; a webhook that asks for a slot is answered."""
    await migrate(workers.database())
    execute(workers.url, "CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app")
    execute(workers.url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO app")
    execute(workers.url, spoil)
    fleet = PostgresFleet(2, Database(workers.url.replace("switchboard@", "app@")), patience=0)
    try:
        with capture_logs() as told:
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable):
                    await fleet.beat()
            is_in = await fleet.admit(call("CA1"))
            fleet.state = State.UP  # as of a worker whose database has become one like this
            is_in_too = await fleet.admit(call("CA2"))
    finally:
        fleet.database.close()
        execute(workers.url, "DROP OWNED BY app; DROP ROLE app")

    assert (is_in, is_in_too) == (True, True)
    assert [one["event"] for one in told if why in one.get("why", "")] == ["database_refused"]


@pytest.mark.parametrize(
    ("spoil", "mend", "fix"),
    [
        ("ALTER ROLE app SET default_transaction_read_only = on", "ALTER ROLE app RESET ALL", "name the primary"),
        (
            "REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM app",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO app",
            "GRANT SELECT",
        ),
    ],
    ids=["replica", "rights"],
)
async def test_whatever_is_asked_of_a_database_of_no_use_the_log_has_it_once_each_time_with_the_fix(
    spoil: str, mend: str, fix: str, workers: Workers
) -> None:
    """Each statement is refused in words of its own, and they are asked in turn, some each second."""
    await migrate(workers.database())
    execute(workers.url, "CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app")
    execute(workers.url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO app")
    fleet = PostgresFleet(2, Database(workers.url.replace("switchboard@", "app@")), patience=0)
    queue = orders.OrderQueue(PostgresDatabase(fleet.database))
    try:
        with capture_logs() as told:
            for _ in range(2):
                await fleet.beat()
                execute(workers.url, spoil)
                fleet.database.close()
                for _ in range(3):
                    with pytest.raises(DatabaseUnavailable):
                        await fleet.beat()
                    with pytest.raises(DatabaseUnavailable):
                        await queue.put(orders.NewOrder("OR1", "+15557650000", {}), "w1", lease=5, latest=5)
                    with pytest.raises(DatabaseUnavailable):
                        await queue.take("w1", 5)
                execute(workers.url, mend)
                fleet.database.close()
    finally:
        fleet.database.close()
        execute(workers.url, "DROP OWNED BY app; DROP ROLE app")

    refused = [one["why"] for one in told if one["event"] == "database_refused"]
    assert [fix in why for why in refused] == [True, True]


async def test_how_a_database_writes_dates_and_names_its_time_zone_is_no_matter(workers: Workers) -> None:
    with hidden_settings(workers.url, "datestyle = 'German, DMY'", "timezone = '<+0530>-05:30'"):
        fleet, other = await workers.join(2, "w1"), await workers.join(2, "w2")
        fleet.state = State.RETURNING
        await fleet.beat()

        assert (await fleet.admit(call("CA1")), await other.reserve("CA2", 60)) == (True, True)
    assert fleet.state is State.UP


async def test_a_database_whose_disk_is_full_is_asked_what_needs_no_room_and_the_log_has_it_once_an_hour(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = await workers.join(2)
    queue = orders.OrderQueue(PostgresDatabase(fleet.database))
    raised = "RAISE EXCEPTION 'could not extend file %', NEW.order_id USING ERRCODE = 'disk_full'"
    full = f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raised}; END $$"
    execute(workers.url, full)
    execute(workers.url, "CREATE TRIGGER full_disk BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION full_disk()")
    with capture_logs() as told:
        for name in ("OR1", "OR2"):
            with pytest.raises(DatabaseUnavailable, match="Make room"):
                await queue.put(orders.NewOrder(name, "+15557650000", {}), "w1", lease=5, latest=5)
            assert await queue.find(name) is None
            assert await fleet.admit(call(name))
        monkeypatch.setattr("store.fleet.driver.TOLD_SECONDS", 0)  # an hour later, when it has filled again
        with pytest.raises(DatabaseUnavailable):
            await queue.put(orders.NewOrder("OR3", "+15557650000", {}), "w1", lease=5, latest=5)

    assert fleet.state is State.UP
    assert [one["event"] for one in told] == ["database_refused"] * 2


@contextmanager
def hidden_settings(url: str, *settings: str) -> Iterator[None]:
    """Have the operator's settings hold for every new connection."""
    for one in settings:
        execute(url, f"ALTER DATABASE postgres SET {one}")
    try:
        yield
    finally:
        execute(url, "ALTER DATABASE postgres RESET ALL")


@contextmanager
def encoded(url: str, encoding: str) -> Iterator[str]:
    """Have another database, whose texts are encoded so; give its URL."""
    execute(url, f"CREATE DATABASE other ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        yield url.replace("/postgres?", "/other?")
    finally:
        execute(url, "DROP DATABASE other WITH (FORCE)")


async def test_a_database_that_was_made_without_a_locale_keeps_every_character(workers: Workers) -> None:
    """Its encoding is SQL_ASCII: it keeps bytes, and does not say what they are."""
    told = attrs.evolve(
        FULL, call_sid="CA1", facts={"city": "Łódź"}, transcript=(TurnRecord(0.0, "caller", "I’m Zoë from Łódź 👋"),)
    )
    with encoded(workers.url, "SQL_ASCII") as url:
        fleet = PostgresFleet(2, Database(url), worker="w1")
        queue, records = orders.OrderQueue(PostgresDatabase(fleet.database)), SqlRecords(url)
        await fleet.beat()
        await fleet.admit(call("CA1"))
        fleet.running = {"CA1": RunningRecord(told)}
        await fleet.beat()
        await queue.put(orders.NewOrder("OR1", "+15557650000", {"name": "Zoë 👋"}), "w1", lease=5, latest=5)
        await records.save(told)
        order = await queue.find("OR1")
        kept = await fleet.noted("CA1"), await records.get("CA1"), await records.search(CallQuery(text="łódź"))
        fleet.database.close()

    assert order is not None
    assert order.body == {"name": "Zoë 👋"}
    assert (kept[0], kept[1], [one.call_sid for one in kept[2]]) == (told, told, ["CA1"])


async def test_a_database_whose_encoding_lacks_characters_is_refused_with_the_fix(workers: Workers) -> None:
    """A quotation mark of a model's would have crashed what tells that this worker lives."""
    with encoded(workers.url, "LATIN1") as url, capture_logs() as told:
        fleet = PostgresFleet(2, Database(url), worker="w1", patience=0)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable, match="ENCODING 'UTF8'"):
                await fleet.beat()
        with pytest.raises(DatabaseRefused, match="LATIN1"):
            await SqlRecords(url).save(FULL)
        is_in = await fleet.admit(call("CA1"))
        fleet.database.close()

    assert is_in
    assert [one["event"] for one in told] == ["database_refused"] * 2  # one of the fleet's, one of the records'


async def test_a_database_that_only_lets_itself_be_read_is_found(workers: Workers) -> None:
    well = await check_records(settings(DATABASE_URL=workers.url))
    execute(workers.url, "ALTER DATABASE postgres SET default_transaction_read_only = on")
    finding = await check_records(settings(DATABASE_URL=workers.url))
    execute(f"{workers.url}&options=-cdefault_transaction_read_only%3Doff", "ALTER DATABASE postgres RESET ALL")

    assert well == Finding(well=True, says="the database answers")
    assert (finding.well, "Write the primary into DATABASE_URL" in finding.says) == (False, True)


async def test_tables_of_a_draft_are_refused(workers: Workers) -> None:
    await migrate(workers.database())
    execute(workers.url, "UPDATE fleet_schema SET number = 8")

    with pytest.raises(DatabaseRefused, match="of a draft"):
        await migrate(workers.database())


async def test_a_role_that_does_not_own_the_tables_is_told_who_has_to_change_them(workers: Workers) -> None:
    await migrate(workers.database())
    execute(workers.url, "CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app")
    execute(workers.url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO app")
    database = Database(workers.url.replace("switchboard@", "app@"))
    try:
        with pytest.raises(DatabaseUnavailable, match=r"must be owner of table calls.*`switchboard migrate`.*GRANT"):
            await migrate(database, (*MIGRATIONS, Migration(99, "ALTER TABLE calls ADD later text;")))
    finally:
        database.close()
        execute(workers.url, "DROP OWNED BY app; DROP ROLE app")


async def test_a_step_that_fails_leaves_nothing_of_it(workers: Workers) -> None:
    database = workers.database()
    broken = Migration(98, "CREATE TABLE half (id integer); SELECT 1 / 0;")

    with pytest.raises(psycopg.Error):
        await migrate(database, (*MIGRATIONS, broken))

    assert await migrate(database) == MIGRATIONS[-1].number
    assert execute(workers.url, "SELECT to_regclass('half')") == [(None,)]


async def test_a_connection_that_the_server_has_closed_costs_nothing(workers: Workers) -> None:
    fleet = await workers.join(2)
    execute(workers.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    assert await fleet.admit(call("CA1"))
    assert fleet.state is State.UP


async def test_where_the_way_has_gone_silent_one_statement_finds_out_for_all_connections(
    cluster: Cluster, workers: Workers
) -> None:
    """As where a firewall forgets them, or the server's address has moved: nobody says that they are of no more use."""
    async with way_to(cluster.folder) as way:
        database = Database(way.url)
        database.is_ready = True
        async with trio.open_nursery() as nursery:
            for _ in range(driver.CONNECTIONS):
                nursery.start_soon(database.ask, "SELECT pg_sleep(0.1)")
        before = way.opened
        way.go_silent()

        database.patience, patience = 0.2, database.patience
        with pytest.raises(DatabaseUnavailable):
            await database.ask("SELECT 1")
        database.patience = patience
        assert await database.ask("SELECT 2", even_away=True) == [(2,)]
        database.close()
    assert before == driver.CONNECTIONS
    assert way.opened == before + 1


async def test_a_server_that_gives_a_statement_up_is_there(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a table is locked, no session of a worker that has given up waits on: others would find none free."""
    await workers.join(1)
    monkeypatch.setattr("store.fleet.driver.PATIENCE", 1.0)
    database = workers.database()
    with psycopg.connect(workers.url) as other:
        other.execute("LOCK TABLE workers")
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable, match="statement timeout"):
                await database.ask("SELECT * FROM workers")

        assert execute(workers.url, WAITING) == []
        assert await database.ask("SELECT 1") == [(1,)]
    assert len(database._idle) == 1


async def test_one_connection_does_where_the_server_has_room_for_no_more(workers: Workers) -> None:
    execute(workers.url, "CREATE ROLE app LOGIN CONNECTION LIMIT 1")
    database = Database(workers.url.replace("switchboard@", "app@"))
    database.is_ready = True
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(database.ask, "SELECT pg_sleep(0.05)")
        assert not database.is_away
    finally:
        database.close()
        execute(workers.url, "DROP ROLE app")


OLD: dict[str, object] = {"single": 9.0, "campaigns": 9.0, "unanswered": 9.0}
SOUGHT: dict[str, tuple[str, str, dict[str, object]]] = {
    "orders to look after": (orders.TAKE, "orders_due", {"worker": "w", "lease": 1.0}),
    "old orders": (orders.PRUNE, "orders_over", OLD),
    "old numbers of campaigns": (orders.PRUNE, "orders_over_of_campaigns", OLD),
    "orders that nobody was told of": (orders.PRUNE, "orders_due", OLD),
    "campaigns that go on": (campaigns._RUNNABLE, "orders_contacts", {}),
    "the next number of a campaign": (campaigns._TAKE, "orders_contacts", {"worker": "w", "lease": 1.0, "latest": 9.0}),
    "news to send": (outbox._TAKE, "outbox_due", {"lease": 1.0}),
    "old news": (outbox._REMOVE, "outbox_created", {"seconds": 9.0}),
    "texts to sweep": (tokens._EXPIRED, "tokens_expires", {"kept": 9.0}),
}


@pytest.mark.parametrize("what", SOUGHT)
async def test_what_is_looked_for_again_and_again_is_found_by_an_index(workers: Workers, what: str) -> None:
    """And by its condition: an index through which a statement goes from end to end takes as long as a table."""
    await workers.join(1)
    sql, index, arguments = SOUGHT[what]
    with psycopg.connect(workers.url) as connection:
        connection.execute("SET enable_seqscan = off; SET enable_sort = off")
        plan = connection.execute(f"EXPLAIN {for_postgres(sql)}".encode(), {**arguments, "campaign": "c"}).fetchall()
    lines = [line for (line,) in plan]
    at = next(number for number, line in enumerate(lines) if f"using {index}" in line or f"on {index}" in line)

    assert "Index Cond" in lines[at + 1]
    assert what == "campaigns that go on" or not [line for line in lines if "Sort" in line]
