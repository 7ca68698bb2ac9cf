"""Texts that workers leave each other cannot be looked up (the database is away, the disk is): calls go on without."""

from collections.abc import Mapping

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from store.calls import DatabaseUnavailable, MemoryRecords
from store.databases import Rows, SqliteDatabase
from store.orders.queue import OrderQueue
from store.records import CallRecord, TransferRecord
from store.tokens import SWEEP_SECONDS, TokenStore
from tests.web.fakes import (
    CALL_SID,
    LEAD,
    LINE,
    ORIGIN,
    OTHER_CALL_SID,
    Away,
    Exchange,
    FakeLine,
    context_of,
    exchange,
    record,
    voice_form,
)
from tests.web.test_routes_transfer import ORDER, PARKED, PERSON, dialled_form
from web.calls.admission import Admission, Admissions, NotAdmitted
from web.calls.follow_up import FollowUp
from web.calls.returning import Returns, TwilioTransfers


class NoTexts(SqliteDatabase):
    """A database that is away."""

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Rows:
        raise DatabaseUnavailable("the database is away")


def texts_away() -> TokenStore:
    return TokenStore(NoTexts())


def away() -> Exchange:
    return exchange(tokens=texts_away())


def about(**more: str) -> dict[str, str]:
    return {"CallSid": CALL_SID, "CallStatus": "in-progress", "From": LEAD, "To": LINE, "Direction": "inbound", **more}


TWILIO_SECONDS = 15.0
"""So long it waits for an answer, and a caller with it."""
WEBHOOKS: dict[str, tuple[str, dict[str, str], int]] = {
    "voice": ("/twilio/voice", voice_form(), 200),
    "voice of an order": ("/twilio/voice?order=OR1", voice_form(outbound=True), 200),
    "a status": ("/twilio/status", about(CallStatus="ringing"), 204),
    "the last status": ("/twilio/status?order=OR1", about(CallStatus="completed", Direction="outbound-api"), 204),
    "a machine": ("/twilio/amd", about(AnsweredBy="machine_start"), 204),
    "an error of a stream": ("/twilio/stream", about(StreamEvent="stream-error", StreamError="31921"), 204),
    "after the stream": ("/twilio/after", about(), 200),
    "after the second stream": ("/twilio/after?again=1", about(), 200),
    "after the call": ("/twilio/after", about(CallStatus="completed"), 200),
    "whisper": (f"/twilio/whisper?call={CALL_SID}", about(CallSid=OTHER_CALL_SID), 200),
    "the key": (f"/twilio/accepted?call={CALL_SID}", about(CallSid=OTHER_CALL_SID, Digits="1"), 200),
    "nobody took it": ("/twilio/dialled", dialled_form("busy"), 200),
    "somebody took it": ("/twilio/dialled", dialled_form("completed", bridged="true"), 200),
    "the caller left": ("/twilio/dialled", dialled_form("canceled", call_status="completed"), 200),
}


@pytest.mark.parametrize("what", WEBHOOKS)
async def test_each_webhook_is_answered(what: str, autojump_clock: MockClock) -> None:
    path, form, status = WEBHOOKS[what]
    there = away()

    answer = await there.twilio(path, form)

    assert answer.status_code == status


async def test_a_call_that_may_have_been_here_and_is_turned_away_keeps_its_record(autojump_clock: MockClock) -> None:
    there, spoken = exchange(tokens=texts_away(), records=Away()), record()
    await there.records.save(spoken)
    there.slots.drain()

    await there.twilio("/twilio/voice", voice_form(CallStatus="in-progress"))
    await there.twilio("/twilio/voice", voice_form(OTHER_CALL_SID))  # it rings: nobody has answered it before

    kept = await there.records.list()
    assert {one.call_sid: one.outcome for one in kept} == {CALL_SID: spoken.outcome, OTHER_CALL_SID: "turned_away"}


class Mute(MemoryRecords):
    """A database that does not answer."""

    async def get(self, call_sid: str) -> CallRecord | None:
        await trio.sleep_forever()


class Silent(SqliteDatabase):
    """A database that does not answer."""

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Rows:
        await trio.sleep_forever()


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("what", WEBHOOKS)
async def test_each_webhook_is_answered_in_time_though_no_database_answers(
    what: str, known: bool, autojump_clock: MockClock
) -> None:
    path, form, status = WEBHOOKS[what]
    there = exchange(tokens=TokenStore(Silent()), orders=OrderQueue(Silent()), records=Mute())
    if known:
        context_of(there).announced.park(record(outcome="transferring"))

    answer = await there.twilio(path, form)

    assert (answer.status_code, trio.current_time() < TWILIO_SECONDS) == (status, True), trio.current_time()


async def test_a_call_that_is_turned_away_is_told_so_though_the_records_do_not_answer(
    autojump_clock: MockClock,
) -> None:
    there = exchange(records=Mute())
    there.slots.drain()

    answers = [await there.twilio("/twilio/voice", voice_form(CallStatus=status)) for status in ("ringing", "queued")]

    assert ["cannot take a new call" in answer.text for answer in answers] == [True, True]
    assert trio.current_time() < 5


async def test_a_caller_whom_nobody_takes_comes_back_to_the_agent(autojump_clock: MockClock) -> None:
    there = away()
    await context_of(there).services.save(PARKED)

    answer = await there.twilio("/twilio/dialled", dialled_form("no-answer"))

    assert "<Stream" in answer.text


async def test_a_person_is_introduced_to_somebody(autojump_clock: MockClock) -> None:
    answer = await away().twilio(f"/twilio/whisper?call={CALL_SID}", about(CallSid=OTHER_CALL_SID))

    assert "A caller for you. Press 1" in answer.text


async def test_a_call_is_put_through(autojump_clock: MockClock) -> None:
    line = FakeLine()

    await TwilioTransfers(line, texts_away(), ORIGIN, LINE, PERSON).put_through(CALL_SID, ORDER)

    assert [(sid, PERSON in document) for sid, document in line.redirected] == [(CALL_SID, True)]


async def test_a_transfer_ends_as_it_is_told(autojump_clock: MockClock) -> None:
    there = away()
    await context_of(there).services.save(PARKED)

    await Returns(context_of(there)).conclude_left(CALL_SID, "caller_hung_up", "canceled")

    kept = await there.records.get(CALL_SID)
    assert kept is not None
    assert (kept.outcome, kept.transfers) == (
        "caller_hung_up",
        (TransferRecord("qualifier", 9.0, "wants a person", "canceled"),),
    )


async def test_parked_calls_are_looked_after_and_the_log_has_it_once(autojump_clock: MockClock) -> None:
    there = away()
    context = context_of(there)
    context.announced.park(record(outcome="transferring"))

    with capture_logs() as lines:
        for _ in range(3):
            await FollowUp(context).look()

    assert [line["event"] for line in lines] == ["texts_away"]


@attrs.define(eq=False)
class BrokenTexts(SqliteDatabase):
    """A database that answers with an error that nobody planned for."""

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Rows:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("internal error")


async def test_a_sweep_that_fails_as_nobody_planned_ends_no_server(autojump_clock: MockClock) -> None:
    there = exchange(tokens=TokenStore(BrokenTexts()))
    with capture_logs() as lines:
        async with there.app.test_app():
            await trio.sleep(3 * SWEEP_SECONDS)
            async with there.client() as client:
                alive = (await client.get("/healthz")).status_code

    assert alive == 200
    assert "texts_not_swept" in [line["event"] for line in lines]


@attrs.define(eq=False)
class Lost:
    """A database of several workers, which is lost."""

    kept: SqliteDatabase = attrs.field(factory=SqliteDatabase)
    is_lost: bool = False

    async def ask(self, sql: str, arguments: Mapping[str, object]) -> Rows:
        if self.is_lost:
            raise DatabaseUnavailable("the database is away")
        return await self.kept.ask(sql, arguments)


async def test_a_stream_is_let_in_once_whose_database_is_lost_after_its_webhook() -> None:
    database = Lost()
    admissions, other = Admissions(TokenStore(database)), Admissions(TokenStore(database))
    token = await admissions.mint(Admission(CALL_SID, "inbound", LEAD, LINE, CALL_SID))
    database.is_lost = True

    assert isinstance(await other.redeem(token, CALL_SID), NotAdmitted)
    admitted = await admissions.redeem(token, CALL_SID)
    assert isinstance(admitted, Admission)
    assert (admitted.call_sid, admitted.caller) == (CALL_SID, LEAD)
    assert await admissions.is_streamed(CALL_SID)
    assert isinstance(await admissions.redeem(token, CALL_SID), NotAdmitted)
