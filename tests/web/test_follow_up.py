"""What becomes of calls that may come back: each gets one end, also if several workers hear of it, or none."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.facts import CallParked
from actors.journal import Journal
from actors.messages import NoteCallOver
from store.calls import DatabaseUnavailable, MemoryRecords
from store.fleet.shared import LiveCall
from store.records import CallRecord, TransferRecord
from store.search import CallQuery, CallSummary
from store.tokens import TokenStore
from tests.web.fakes import CALL_SID, LEAD, LINE, Exchange, FakeLine, context_of, exchange, record, voice_form
from web.calls.admission import LONGEST_TALK, CallText
from web.calls.ending import LOST_SECONDS
from web.calls.follow_up import ASK_SECONDS, FIRST_ASK, LOOK_SECONDS, FollowUp
from web.calls.live_calls import KnownCall
from web.calls.watching import WatchedCall
from web.clients.twilio import LineError

PUT_THROUGH = record(outcome="transferring", transfers=(TransferRecord("qualifier", 9.0, "wants a person"),))
LOST = record(outcome="crashed")


def ended(there: Exchange) -> list[str]:
    """Return the outcomes that the worker has counted, each as often as it has."""
    told = [line.rpartition(" ") for line in context_of(there).counts.render().decode().splitlines()]
    counted = {
        labels.partition('outcome="')[2][:-2]: float(count) for labels, _, count in told if "ended_total{" in labels
    }
    return [outcome for outcome, count in counted.items() for _ in range(int(count))]


async def save(there: Exchange, kept: CallRecord) -> None:
    await context_of(there).services.save(kept)


async def kept_of(there: Exchange) -> CallRecord:
    kept = await there.records.get(CALL_SID)
    assert kept is not None
    return kept


async def put_through(there: Exchange) -> tuple[KnownCall, WatchedCall]:
    """Have a call that this worker has carried be put through to a person."""
    context = context_of(there)
    known = context.live_calls.add(KnownCall(CALL_SID, "inbound", LEAD, LINE, "in-progress", CALL_SID).carried())
    watched = context.watched.watch(CALL_SID)
    Journal([watched.read]).note(CallParked(1.0, {}))
    await save(there, PUT_THROUGH)
    return known, watched


async def resume(there: Exchange) -> None:
    """Tell that the call has come back to this worker, as its stream does."""
    admissions = context_of(there).admissions
    await admissions.put(CALL_SID, CallText.RESUMED, admissions.worker)


@asynccontextmanager
async def following(*workers: Exchange) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for there in workers:
            nursery.start_soon(FollowUp(context_of(there)).run)
        await wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


class CountingTokenStore(TokenStore):
    """Counts how often somebody looks."""

    looks = 0

    async def peek_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        self.looks += 1
        return await super().peek_all(names)


@pytest.mark.parametrize("calls", [1, 50])
async def test_however_many_calls_there_are_what_others_have_heard_is_looked_up_once(
    calls: int, autojump_clock: MockClock
) -> None:
    tokens = CountingTokenStore()
    context = context_of(exchange(tokens=tokens))
    with ExitStack() as running:
        for number in range(calls):
            context.announced.park(record(outcome="crashed", call_sid=f"CA{number:032x}"))
            running.enter_context(context.streams.carry(f"CA{number + 100:032x}"))
        await FollowUp(context).look()

    assert tokens.looks == 3  # of those that run, which are ended; of those that are parked, which are back or over


async def test_a_call_that_another_worker_carries_is_not_taken_up_at_the_start(autojump_clock: MockClock) -> None:
    there = exchange()
    context = context_of(there)
    await save(there, PUT_THROUGH)
    context.announced.leave(CALL_SID)
    await context.admissions.put(CALL_SID, CallText.RESUMED, "another worker")
    await context.fleet.admit(LiveCall(CALL_SID, CALL_SID))

    await FollowUp(context).recall()

    assert await context.admissions.told(CallText.RESUMED, [CALL_SID]) == {CALL_SID: "another worker"}
    assert context.announced.parked == {}


@pytest.mark.parametrize("status", ["completed", "no-answer", None])
async def test_a_transfer_of_which_nothing_is_heard_is_asked_after_and_ends(
    status: str | None, autojump_clock: MockClock
) -> None:
    there = exchange(line=FakeLine(statuses={} if status is None else {CALL_SID: status}))
    async with following(there):
        await save(there, PUT_THROUGH)
        await trio.sleep(FIRST_ASK - LOOK_SECONDS)
        early = ended(there)
        await trio.sleep(2 * LOOK_SECONDS)

    kept = await kept_of(there)
    assert (early, ended(there)) == ([], ["transfer_unknown"])
    assert (kept.outcome, kept.transfers[0].outcome) == ("transfer_unknown", "unknown")
    assert (context_of(there).announced.parked, there.slots.free) == ({}, there.slots.capacity)


async def test_a_transfer_that_a_person_took_by_a_key_was_answered_though_nothing_more_is_heard(
    autojump_clock: MockClock,
) -> None:
    there = exchange(line=FakeLine(statuses={CALL_SID: "completed"}))
    async with following(there):
        await save(there, PUT_THROUGH)
        await there.twilio(f"/twilio/accepted?call={CALL_SID}", {"CallSid": "CA" + "2" * 32, "Digits": "1"})
        await trio.sleep(FIRST_ASK + LOOK_SECONDS)

    kept = await kept_of(there)
    assert (kept.outcome, kept.transfers[0].outcome, kept.transfers[0].talked) == ("transferred", "answered", 0.0)


async def test_a_running_call_whose_end_another_worker_hears_of_is_told(autojump_clock: MockClock) -> None:
    first, second = two_workers(FakeLine())
    async with following(first, second):
        with context_of(first).streams.carry(CALL_SID), first.intercom.open(CALL_SID) as mailbox:
            await second.twilio("/twilio/status", voice_form() | {"CallStatus": "completed"})
            await trio.sleep(LOOK_SECONDS + 1)

            assert mailbox.receive_nowait() == NoteCallOver()


@pytest.mark.slow
@pytest.mark.parametrize("line", [FakeLine(statuses={CALL_SID: "in-progress"}), FakeLine(LineError("down"))])
async def test_a_transfer_that_may_go_on_is_waited_for_as_long_as_a_call_can_last(
    line: FakeLine, autojump_clock: MockClock
) -> None:
    there = exchange(line=line)
    async with following(there):
        await save(there, PUT_THROUGH)
        await trio.sleep(LONGEST_TALK - ASK_SECONDS)
        early = (await kept_of(there)).outcome
        await trio.sleep(2 * ASK_SECONDS)

    assert (early, (await kept_of(there)).outcome, ended(there)) == (
        "transferring",
        "transfer_unknown",
        ["transfer_unknown"],
    )


@attrs.define
class StartsLate(MemoryRecords):
    """A database that comes up after the server."""

    up_at: float = 0.0

    async def search(self, query: CallQuery) -> Sequence[CallSummary]:
        if trio.current_time() < self.up_at:
            raise DatabaseUnavailable("connection refused")
        return await super().search(query)


@pytest.mark.parametrize(
    ("newer", "seconds"), [(0, 0.0), (250, 0.0), (0, 30.0)], ids=["last", "long ago", "database away"]
)
async def test_a_transfer_that_was_under_way_when_the_server_was_stopped_is_asked_after_by_the_next(
    newer: int, seconds: float, autojump_clock: MockClock
) -> None:
    records = StartsLate()
    await save(exchange(records=records), PUT_THROUGH)
    for number in range(newer):
        await records.save(record(f"CA{number:032x}", started_at="2026-11-22T10:00:00.000+00:00"))
    second = exchange(line=FakeLine(statuses={CALL_SID: "completed"}), records=records)
    records.up_at = trio.current_time() + seconds
    with capture_logs() as lines:
        async with following(second):
            await trio.sleep(seconds + FIRST_ASK + 2 * LOOK_SECONDS)

    assert ((await kept_of(second)).outcome, ended(second)) == ("transfer_unknown", ["transfer_unknown"])
    assert ("transfers_not_recalled" in [line["event"] for line in lines]) is (seconds > 0)


async def test_a_lost_call_of_which_nothing_is_heard_is_counted_all_the_same(autojump_clock: MockClock) -> None:
    there = exchange()
    async with following(there):
        await save(there, LOST)
        await trio.sleep(LOST_SECONDS - LOOK_SECONDS)
        early = ended(there)
        await trio.sleep(2 * LOOK_SECONDS)

        assert (early, ended(there)) == ([], ["crashed"])


async def test_a_lost_call_is_counted_when_the_server_is_stopped(autojump_clock: MockClock) -> None:
    there = exchange()
    async with following(there):
        await save(there, LOST)
    at_the_end = ended(there)
    await save(there, record(outcome="cut"))

    assert (at_the_end, sorted(ended(there))) == (["crashed"], ["crashed", "cut"])


def two_workers(line: FakeLine) -> tuple[Exchange, Exchange]:
    tokens, records = TokenStore(), MemoryRecords()
    return exchange(tokens=tokens, records=records, line=line), exchange(tokens=tokens, records=records, line=line)


async def test_a_lost_call_whose_end_another_worker_hears_of_is_counted_by_the_one_that_had_it(
    autojump_clock: MockClock,
) -> None:
    first, second = two_workers(FakeLine())
    async with following(first, second):
        await save(first, LOST)
        await second.twilio("/twilio/after", voice_form() | {"CallStatus": "completed"})
        await trio.sleep(LOOK_SECONDS + 1)

        assert (ended(first), ended(second)) == (["crashed"], [])


@pytest.mark.parametrize("before", [LOST, PUT_THROUGH], ids=["lost", "put through"])
async def test_a_call_that_comes_back_to_another_worker_is_counted_there(
    before: CallRecord, autojump_clock: MockClock
) -> None:
    first, second = two_workers(FakeLine(statuses={CALL_SID: "completed"}))
    async with following(first, second):
        await save(first, before)
        await resume(second)
        await trio.sleep(FIRST_ASK + LOOK_SECONDS)
        await save(second, record(outcome="completed"))
        await trio.sleep(FIRST_ASK)

    assert (ended(first), ended(second)) == ([], ["completed"])


async def test_a_transfer_whose_end_another_worker_hears_of_is_counted_there(autojump_clock: MockClock) -> None:
    first, second = two_workers(FakeLine(statuses={CALL_SID: "completed"}))
    async with following(first, second):
        await save(first, PUT_THROUGH)
        await save(second, record(outcome="transferred"))
        await trio.sleep(FIRST_ASK + LOOK_SECONDS)

    assert (ended(first), ended(second), context_of(first).announced.parked) == ([], ["transferred"], {})


@pytest.mark.parametrize("hearing", [0, 1], ids=["the worker that had it", "another"])
async def test_a_transfer_that_is_over_is_not_shown_as_live_on_any_worker(
    hearing: int, autojump_clock: MockClock
) -> None:
    workers = two_workers(FakeLine(statuses={CALL_SID: "in-progress"}))
    async with following(*workers):
        known, watched = await put_through(workers[0])
        before = known.live, watched.over
        await save(workers[hearing], record(outcome="transferred"))
        await trio.sleep(FIRST_ASK + LOOK_SECONDS)

    assert (before, (known.live, watched.over)) == ((True, False), (False, True))


async def test_a_call_that_has_come_back_to_another_worker_is_not_shown_as_live_here(autojump_clock: MockClock) -> None:
    first, second = two_workers(FakeLine(statuses={CALL_SID: "in-progress"}))
    async with following(first, second):
        known, _ = await put_through(first)
        await resume(second)
        await trio.sleep(LOOK_SECONDS + 1)

    assert (known.live, context_of(first).watched.find(CALL_SID)) == (False, None)
