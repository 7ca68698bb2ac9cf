"""A caller who never came has a record; one who is heard elsewhere, or is still on the way, has none of ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock
from werkzeug.datastructures import MultiDict

from actors.supervision import in_background
from store.calls import DatabaseUnavailable, MemoryRecords
from store.databases import Arguments, Rows, SqliteDatabase
from store.fleet.shared import Fleet
from store.orders.queue import NewOrder
from store.records import CallRecord
from store.tokens import ANSWER_SECONDS, SWEEP_SECONDS, TokenStore
from tests.store.fleets import call
from tests.web.fakes import (
    CALL_SID,
    LEAD,
    LINE,
    OTHER_CALL_SID,
    FakeLine,
    note_streamed,
    services,
    settings,
    voice_form,
)
from web.calls.admission import TOKEN_SECONDS, Admission, arrival_of
from web.calls.context import AppContext, Opened, build_context
from web.calls.follow_up import NO_SHOW_LOOK_SECONDS, OVERDUE_SECONDS, settle_unheard, settle_unused
from web.calls.live_calls import KnownCall
from web.calls.slots import Slots

SOON = OVERDUE_SECONDS + NO_SHOW_LOOK_SECONDS


@attrs.define
class World:
    context: AppContext
    records: MemoryRecords

    async def kept(self) -> list[tuple[str, str, str]]:
        return [(record.call_sid, record.outcome, record.direction) for record in await self.records.list()]


class Broken(MemoryRecords):
    """A store with a bug, which is hit once."""

    hit: bool = False

    async def get(self, call_sid: str) -> CallRecord | None:
        if not self.hit:
            self.hit = True
            raise KeyError(call_sid)
        return await super().get(call_sid)


@attrs.define(eq=False)
class Slow(MemoryRecords):
    """A store that takes its time to answer."""

    async def get(self, call_sid: str) -> CallRecord | None:
        await trio.sleep(5)
        return await super().get(call_sid)


@attrs.define(eq=False)
class Away(SqliteDatabase):
    """A database that does not answer until it is back."""

    is_away: bool = True

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        if self.is_away:
            raise DatabaseUnavailable("the database is away")
        return await super().ask(sql, arguments)


@asynccontextmanager
async def world(
    records: MemoryRecords | None = None, tokens: TokenStore | None = None, worker: str = "w1"
) -> AsyncIterator[World]:
    """A call that has rung at a worker that looks for no-shows."""
    records, line = records or MemoryRecords(), FakeLine()
    context = build_context(
        settings(), Opened(services(line, records), line, Slots(50, Fleet(50, worker=worker)), tokens or TokenStore())
    )
    context.live_calls.add(KnownCall(CALL_SID, "inbound", LEAD, LINE, "ringing", CALL_SID))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle_unheard, context)
        yield World(context, records)
        nursery.cancel_scope.cancel(reason="end of the test")


async def test_a_caller_who_never_came_has_one_record(autojump_clock: MockClock) -> None:
    async with world() as there:
        await trio.sleep(OVERDUE_SECONDS - 1)
        early = await there.kept()
        await trio.sleep(3 * SOON)

        assert early == []
        assert await there.kept() == [(CALL_SID, "never_ran", "inbound")]


async def test_news_of_a_call_puts_it_off(autojump_clock: MockClock) -> None:
    async with world() as there:
        await trio.sleep(OVERDUE_SECONDS - 1)
        there.context.live_calls.news_of(CALL_SID).progress("in-progress", 1)
        await trio.sleep(NO_SHOW_LOOK_SECONDS + 2)

        assert await there.kept() == []


async def test_a_caller_who_has_come_has_a_record_of_their_own(autojump_clock: MockClock) -> None:
    async with world() as there:
        there.context.live_calls.news_of(CALL_SID).carried()
        await trio.sleep(SOON)

        assert await there.kept() == []
        assert there.context.live_calls.find(CALL_SID) is not None


@pytest.mark.parametrize("worker", ["w1", ""], ids=["PostgreSQL", "SQLite"])
async def test_a_caller_whom_another_worker_has_is_shown_there(worker: str, autojump_clock: MockClock) -> None:
    """Workers that share a file of SQLite cannot see which calls the others carry."""
    async with world(worker=worker) as there:
        await note_streamed(there.context.admissions, CALL_SID)
        if worker:
            await there.context.fleet.admit(call(CALL_SID))
        await trio.sleep(SOON)

        assert await there.kept() == []
        assert there.context.live_calls.find(CALL_SID) is None


async def test_a_caller_whose_stream_was_let_in_and_never_carried_has_a_record(autojump_clock: MockClock) -> None:
    """The answer of the database was lost, or the worker died with it."""
    async with world() as there:
        await note_streamed(there.context.admissions, CALL_SID)
        await trio.sleep(SOON)

        assert await there.kept() == [(CALL_SID, "never_ran", "inbound")]


async def test_whether_a_caller_has_come_is_asked_again_where_the_database_was_away(autojump_clock: MockClock) -> None:
    tokens = Away()
    async with world(tokens=TokenStore(tokens)) as there:
        await trio.sleep(3 * SOON)
        before, tokens.is_away = await there.kept(), False
        await trio.sleep(SOON)

        assert before == []
        assert await there.kept() == [(CALL_SID, "never_ran", "inbound")]


@pytest.mark.parametrize("worker", ["w1", ""], ids=["PostgreSQL", "SQLite"])
async def test_a_caller_who_comes_while_another_one_is_looked_after_is_shown(
    worker: str, autojump_clock: MockClock
) -> None:
    other = "CA" + "2" * 32
    async with world(records=Slow(), worker=worker) as there:
        late = there.context.live_calls.add(KnownCall(other, "inbound", LEAD, LINE, "ringing", other))
        await trio.sleep(OVERDUE_SECONDS + 1)
        await note_streamed(there.context.admissions, other)
        await there.context.fleet.admit(call(other))
        late.carried()
        await trio.sleep(SOON)

        assert there.context.live_calls.find(other) is late
        assert await there.kept() == [(CALL_SID, "never_ran", "inbound")]


@attrs.define(eq=False)
class Late(SqliteDatabase):
    """A database that takes nearly as long to write as it may."""

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        await trio.sleep(0 if sql.startswith("SELECT") else 0.95 * ANSWER_SECONDS)
        return await super().ask(sql, arguments)


async def test_a_stream_that_is_let_in_at_the_last_moment_by_a_slow_database_has_one_record(
    autojump_clock: MockClock,
) -> None:
    async with world(tokens=TokenStore(Late())) as there:
        token = await there.context.admissions.mint(Admission(CALL_SID, "inbound", LEAD, LINE, CALL_SID))
        await trio.sleep(TOKEN_SECONDS - 1.2 * ANSWER_SECONDS)
        is_let_in = isinstance(await there.context.admissions.redeem(token, CALL_SID), Admission)
        await there.context.fleet.admit(call(CALL_SID))
        there.context.live_calls.news_of(CALL_SID).carried()
        await trio.sleep(SOON)

        assert (is_let_in, await there.kept()) == (True, [])


@pytest.mark.parametrize("comes", [False, True])
async def test_a_caller_whose_worker_dies_before_their_stream_comes_has_a_record(
    comes: bool, autojump_clock: MockClock
) -> None:
    """The other worker has not heard of the call."""
    async with world() as there:
        there.context.live_calls.remove(CALL_SID)
        admissions = there.context.admissions
        sweep = partial(admissions.tokens.sweep_on, partial(settle_unused, there.context))
        arrival = arrival_of(MultiDict(voice_form()), "")
        admission = attrs.evolve(arrival, came_at=arrival.came_at.replace("20", "19", 1))
        tokens = [await admissions.mint(admission) for _ in range(2)]
        for text in (b"human", b"1.5", b"[]", b"{}", b""):
            await admissions.tokens.put(f"of another kind {text!r}", text, 10)
        await admissions.mint(Admission(OTHER_CALL_SID, "inbound", LEAD, LINE, OTHER_CALL_SID, resumes=True))
        if comes:
            await admissions.redeem(tokens[0], CALL_SID)
        async with in_background(sweep):
            await trio.sleep(4 * SWEEP_SECONDS)

        assert await there.kept() == ([] if comes else [(CALL_SID, "never_ran", "inbound")])
        assert [record.started_at for record in await there.records.list()] == [admission.came_at][comes:]


async def test_a_bug_in_the_store_does_not_end_the_server(autojump_clock: MockClock) -> None:
    other = "CA" + "2" * 32
    with capture_logs() as logs:
        async with world(records=Broken()) as there:
            there.context.live_calls.add(KnownCall(other, "inbound", LEAD, LINE, "ringing", other))
            await trio.sleep(SOON)

            assert [call_sid for call_sid, *_ in await there.kept()] == [other]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["unheard_call_crashed"]


ORDER = "OR" + "1" * 24


@asynccontextmanager
async def ordered(state: str) -> AsyncIterator[tuple[World, KnownCall]]:
    """A call that this worker knows by its order, which another one looks after."""
    async with world() as there:
        known = there.context.live_calls.add(KnownCall(ORDER, "outbound", LEAD, LINE, "queued"))
        orders = there.context.orders
        if state != "gone":
            await orders.put(NewOrder(ORDER, LEAD, {}), "other", lease=20, latest=900)
        if state in {"placed", "streamed", "busy", "once more"}:
            await orders.ask(ORDER, "other", 35)
            await orders.placed(ORDER, OTHER_CALL_SID, 180)
        if state == "streamed":
            await note_streamed(there.context.admissions, OTHER_CALL_SID)
        if state in {"busy", "failed", "goodbye"}:
            await orders.over(ORDER, state)
        if state == "once more":  # the next attempt of a campaign's number has another id
            there.context.live_calls.name(ORDER, OTHER_CALL_SID)
            attempt = await orders.find(ORDER)
            assert attempt is not None
            await orders.once_more(attempt, "OR" + "2" * 24, 600, {"outcome": "busy"})
            await there.records.save(
                CallRecord(OTHER_CALL_SID, "", "outbound", LEAD, LINE, known.created_at, 0.0, "busy")
            )
        yield there, known


@pytest.mark.parametrize(
    ("state", "status", "live"),
    [
        ("waiting", "queued", True),
        ("placed", "queued", True),
        ("streamed", "queued", False),
        ("busy", "busy", False),
        ("failed", "failed", False),
        ("goodbye", "completed", False),  # its worker alone knows that it had a stream
        ("once more", "busy", False),
        ("gone", "canceled", False),
    ],
)
async def test_how_an_order_goes_that_another_worker_looks_after_is_learned_of_it(
    state: str, status: str, live: bool, autojump_clock: MockClock
) -> None:
    """Else its number would ring for ever to this worker: nobody could order a call to it, nor erase it."""
    async with ordered(state) as (there, known):
        await trio.sleep(SOON)

        assert (known.status, known.live, bool(known.call_sid)) == (
            status,
            live,
            state in {"placed", "streamed", "busy", "once more"},
        )
        kept = {direction: outcome for _, outcome, direction in await there.kept()}
        unanswered = {"outbound": known.outcome} if known.outcome in {"busy", "failed"} else {}
        assert kept == {"inbound": "never_ran", **unanswered}
