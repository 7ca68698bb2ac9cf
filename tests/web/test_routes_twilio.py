"""What Twilio is told at its door, and what becomes of what it says there."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.messages import MachineAnswered, NoteCallOver, NoteStreamError
from actors.supervision import in_background
from agents.extras import Extras
from agents.roster import Roster
from agents.sentences import Sentences
from store.calls import MemoryRecords
from store.erasing import Subject
from store.orders.queue import NewOrder
from store.records import CallRecord
from store.tokens import TokenStore
from tests.web.fakes import (
    CALL_SID,
    LEAD,
    LINE,
    OTHER_CALL_SID,
    SELLER,
    STREAM_SID,
    Away,
    Exchange,
    FakeLine,
    Peer,
    context_of,
    exchange,
    note_streamed,
    record,
    voice_form,
)
from web.calls.admission import Admissions
from web.calls.follow_up import NO_SHOW_LOOK_SECONDS, OVERDUE_SECONDS, settle_unheard
from web.calls.live_calls import KnownCall
from web.calls.orders import Order, written_order
from web.calls.outcomes import why_stream
from web.clients.twilio import PLAIN_CALL, CallOptions

PATHS = ["/twilio/voice", "/twilio/status", "/twilio/amd", "/twilio/stream", "/twilio/after"]


def form(**more: str) -> dict[str, str]:
    return {"AccountSid": "AC" + "0" * 32, "CallSid": CALL_SID, **more}


@pytest.mark.parametrize("path", PATHS)
async def test_an_unsigned_webhook_is_refused_without_a_reason(path: str, autojump_clock: MockClock) -> None:
    there = exchange()
    async with there.client() as client:
        answer = await client.post(path, data=form())

    assert (answer.status_code, answer.content) == (403, b"")


@pytest.mark.parametrize("path", PATHS)
async def test_a_webhook_signed_by_somebody_else_is_refused(path: str, autojump_clock: MockClock) -> None:
    answer = await exchange().twilio(path, form(), token="another-token")

    assert answer.status_code == 403


@pytest.mark.parametrize("path", PATHS)
async def test_a_webhook_is_posted(path: str, autojump_clock: MockClock) -> None:
    async with exchange().client() as client:
        answer = await client.get(path)

    assert answer.status_code == 405


async def test_a_body_beyond_all_measure_is_refused(autojump_clock: MockClock) -> None:
    answer = await exchange().twilio("/twilio/voice", form(Padding="x" * 100_000))

    assert answer.status_code == 413


async def test_a_call_is_connected_to_our_stream(autojump_clock: MockClock) -> None:
    answer = await exchange().twilio("/twilio/voice", voice_form())

    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert answer.text.startswith("<?xml")
    assert 'url="wss://agent.example.com/twilio"' in answer.text
    assert 'action="https://agent.example.com/twilio/after"' in answer.text


async def test_fields_nobody_has_heard_of_are_welcome(autojump_clock: MockClock) -> None:
    answer = await exchange().twilio("/twilio/voice", voice_form(NewThing="1", StirVerstat="TN-Validation-Passed-A"))

    assert "<Stream" in answer.text


async def test_repeated_and_blank_fields_are_part_of_what_was_signed(autojump_clock: MockClock) -> None:
    twice: dict[str, str | list[str]] = {**voice_form(), "Tag": ["b", "a"], "Blank": ""}

    assert (await exchange().twilio("/twilio/voice", twice)).status_code == 200


async def test_an_anonymous_caller_has_no_number(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.twilio("/twilio/voice", voice_form(From="anonymous"))

    assert (await there.operator("GET", f"/calls/{CALL_SID}")).json()["caller"] == ""


async def test_a_webhook_without_a_call_is_refused(autojump_clock: MockClock) -> None:
    assert (await exchange().twilio("/twilio/voice", {"From": LEAD})).status_code == 400


async def test_a_caller_beyond_capacity_is_told_so_politely_and_can_be_called_back(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    await there.twilio("/twilio/voice", voice_form())

    answer = await there.twilio("/twilio/voice", voice_form(OTHER_CALL_SID))

    assert "lines are busy" in answer.text
    assert "<Stream" not in answer.text
    assert "<Hangup" in answer.text
    (kept,) = await there.records.list()
    told = (kept.call_sid, kept.outcome, kept.caller, kept.why)
    assert told == (OTHER_CALL_SID, "turned_away", LEAD, "every line was taken")
    assert (
        await context_of(there).admissions.tokens.erase(Subject(calls=frozenset({OTHER_CALL_SID}))) == 0
    )  # no token lies there, to be a no-show


async def test_a_caller_is_turned_away_in_the_language_of_the_agent_that_would_have_answered() -> None:
    spanish = attrs.evolve(SELLER, sentences=Sentences(not_now="Llame más tarde, por favor.", language="es-MX"))
    there = exchange(roster=Roster({"seller": SELLER, "ventas": spanish}, "seller", Extras({LINE: "ventas"})))
    there.slots.drain()

    turned_away = (await there.twilio("/twilio/voice", voice_form())).text

    assert '<Say language="es-MX">Llame más tarde, por favor.</Say><Hangup />' in turned_away


async def test_a_worker_that_drains_connects_a_call_that_another_one_has_ordered(autojump_clock: MockClock) -> None:
    there = exchange()
    there.slots.drain()

    ordered = await there.twilio("/twilio/voice?order=OR1", voice_form())
    came_in = await there.twilio("/twilio/voice", voice_form(OTHER_CALL_SID))

    assert ["<Stream" in answer.text for answer in (ordered, came_in)] == [True, False]


async def test_a_caller_during_a_drain_is_told_so_politely(autojump_clock: MockClock) -> None:
    there = exchange()
    there.slots.drain()

    assert "cannot take a new call" in (await there.twilio("/twilio/voice", voice_form())).text
    assert [one.outcome for one in await there.records.list()] == ["turned_away"]


async def test_a_call_that_was_here_long_ago_and_is_turned_away_keeps_its_record(autojump_clock: MockClock) -> None:
    there, spoken = exchange(), record()
    await there.records.save(spoken)
    there.slots.drain()

    await there.twilio("/twilio/voice", voice_form(CallStatus="in-progress"))

    assert await there.records.list() == [spoken]


async def test_twilio_asking_twice_about_a_call_is_answered_twice(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    answers = [await there.twilio("/twilio/voice", voice_form()) for _ in range(2)]

    assert ["<Stream" in answer.text for answer in answers] == [True, True]


async def test_the_progress_of_a_call_is_shown(autojump_clock: MockClock) -> None:
    there = exchange()
    placed = (await there.operator("POST", "/calls", {"to": LEAD})).json()
    progress = form(CallSid=placed["call_sid"], CallStatus="ringing", SequenceNumber="1")
    answer = await there.twilio(f"/twilio/status?order={placed['id']}", progress)

    assert answer.status_code == 204
    assert (await there.operator("GET", f"/calls/{placed['id']}")).json()["status"] == "ringing"


@attrs.define
class Slow(FakeLine):
    """A telephone network whose answer takes its time."""

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        await trio.sleep(5)
        return await super().place_call(to, order, options)


async def test_progress_that_overtakes_the_answer_of_the_rest_api_is_not_lost(autojump_clock: MockClock) -> None:
    there, first = exchange(line=Slow()), f"CA{1:032x}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.operator, "POST", "/calls", {"to": LEAD})
        await trio.sleep(1)
        (call,) = context_of(there).live_calls.newest()
        early = form(CallSid=first, CallStatus="ringing", SequenceNumber="1")
        await there.twilio(f"/twilio/status?order={call.id}", early)

    assert (await there.operator("GET", f"/calls/{first}")).json()["status"] == "ringing"


async def test_a_second_call_of_an_order_is_hung_up_and_a_late_first_one_is_not(autojump_clock: MockClock) -> None:
    there = exchange()
    placed = (await there.operator("POST", "/calls", {"to": LEAD})).json()
    target = f"/twilio/voice?order={placed['id']}"

    second = await there.twilio(target, voice_form(OTHER_CALL_SID, outbound=True))
    first = await there.twilio(target, voice_form(placed["call_sid"], outbound=True))

    assert ["<Stream" in answer.text for answer in (second, first)] == [False, True]


async def test_the_call_of_an_order_that_was_called_off_is_hung_up(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="2", CALLS_PER_SECOND="0.05")
    await there.operator("POST", "/calls", {"to": LEAD})
    waiting = (await there.operator("POST", "/calls", {"to": "+15557650001"})).json()
    await there.operator("DELETE", f"/calls/{waiting['id']}")

    late = await there.twilio(f"/twilio/voice?order={waiting['id']}", voice_form(OTHER_CALL_SID, outbound=True))

    assert "<Stream" not in late.text


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled", "completed"])
async def test_a_call_that_nobody_took_frees_its_line(status: str, autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    placed = (await there.operator("POST", "/calls", {"to": LEAD})).json()
    assert not there.slots.accepting

    over = form(CallSid=placed["call_sid"], CallStatus=status, SequenceNumber="3")
    await there.twilio(f"/twilio/status?order={placed['id']}", over)
    late = await there.twilio(f"/twilio/voice?order={placed['id']}", voice_form(placed["call_sid"], outbound=True))

    assert late.text.endswith("<Response />")
    assert there.slots.accepting


@pytest.mark.parametrize(
    ("status", "more", "outcome", "says"),
    [
        ("busy", {"SipResponseCode": "486"}, "busy", "the line was engaged"),
        ("no-answer", {}, "no_answer", "nobody picked up"),
        ("failed", {"SipResponseCode": "404"}, "failed", "the number does not exist (SIP 404)"),
        ("failed", {"ErrorCode": "21215"}, "failed", "calls to this country are not enabled"),
        ("canceled", {}, "canceled", "hung up before anybody answered"),
        ("completed", {}, "never_ran", "over before an agent could speak"),
    ],
)
async def test_a_call_that_nobody_spoke_on_has_a_record(
    status: str, more: dict[str, str], outcome: str, says: str, autojump_clock: MockClock
) -> None:
    there = exchange()
    placed = (await there.operator("POST", "/calls", {"to": LEAD})).json()
    over = voice_form(placed["call_sid"], outbound=True) | {"CallStatus": status, "SequenceNumber": "3"} | more

    for _ in range(2):
        await there.twilio(f"/twilio/status?order={placed['id']}", over)

    (kept,) = await there.records.list()
    assert (kept.call_sid, kept.outcome, kept.caller, kept.line) == (placed["call_sid"], outcome, LEAD, LINE)
    assert says in kept.why
    shown = (await there.operator("GET", f"/calls/{placed['id']}")).json()
    assert (shown["status"], shown["outcome"]) == (status, outcome)


async def test_the_end_of_an_order_is_kept_by_whichever_worker_hears_of_it(autojump_clock: MockClock) -> None:
    tokens, records = TokenStore(), MemoryRecords()
    first, second = exchange(tokens=tokens, records=records), exchange(tokens=tokens, records=records)
    placed = (await first.operator("POST", "/calls", {"to": LEAD})).json()
    over = voice_form(placed["call_sid"], outbound=True) | {"CallStatus": "busy", "SequenceNumber": "3"}

    await second.twilio(f"/twilio/status?order={placed['id']}", over)

    assert [kept.outcome for kept in await records.list()] == ["busy"]


async def test_a_call_that_was_carried_elsewhere_is_not_said_to_have_had_no_agent(autojump_clock: MockClock) -> None:
    tokens = TokenStore()
    there = exchange(tokens=tokens)
    await note_streamed(Admissions(tokens), CALL_SID)
    over = voice_form(outbound=True) | {"CallStatus": "completed", "SequenceNumber": "3"}

    await there.twilio("/twilio/status?order=OR1", over)

    assert await there.records.list() == []


async def test_an_inbound_call_that_ends_is_no_order(autojump_clock: MockClock) -> None:
    there = exchange()

    await there.twilio("/twilio/status", voice_form() | {"CallStatus": "completed", "SequenceNumber": "3"})

    assert await there.records.list() == []


@pytest.mark.parametrize("sequence", ["", "x", "²"])
async def test_a_status_without_a_readable_number_is_still_a_status(sequence: str, autojump_clock: MockClock) -> None:
    answer = await exchange().twilio("/twilio/status", form(CallStatus="ringing", SequenceNumber=sequence))

    assert answer.status_code == 204


@pytest.mark.parametrize("verdict", ["human", "machine_start", "machine_end_beep", "fax", ""])
async def test_a_running_call_is_told_who_has_answered_and_decides(verdict: str, autojump_clock: MockClock) -> None:
    there = exchange()
    await there.twilio("/twilio/voice", voice_form())

    with there.intercom.open(CALL_SID) as mailbox:
        await there.twilio("/twilio/amd", form(AnsweredBy=verdict))

        assert (mailbox.receive_nowait(), there.line.hung_up) == (MachineAnswered(verdict), [])


@pytest.mark.parametrize("event", ["stream-started", "stream-stopped", "stream-error"])
async def test_stream_callbacks_are_taken(event: str, autojump_clock: MockClock) -> None:
    answer = await exchange().twilio("/twilio/stream", form(StreamEvent=event, StreamError="31921"))

    assert answer.status_code == 204


@pytest.mark.parametrize("outbound", [False, True])
async def test_an_error_of_a_stream_that_never_ran_is_in_the_record(outbound: bool, autojump_clock: MockClock) -> None:
    there = exchange()
    order = (await there.operator("POST", "/calls", {"to": LEAD})).json() if outbound else {"call_sid": CALL_SID}
    query = f"?order={order['id']}" if outbound else ""
    told = voice_form(order["call_sid"], outbound=outbound)
    await there.twilio(f"/twilio/voice{query}", told)
    error = form(CallSid=order["call_sid"], StreamEvent="stream-error", StreamError="31920")
    for stream in ("1", "1", "2"):
        await there.twilio("/twilio/stream", error | {"StreamSid": "MZ" + stream * 32})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle_unheard, context_of(there))
        await there.twilio(f"/twilio/status{query}", told | {"CallStatus": "completed", "SequenceNumber": "3"})
        await trio.sleep(120)
        nursery.cancel_scope.cancel()

    (kept,) = await there.records.list()
    assert kept.outcome == "never_ran"
    assert "did not accept the WebSocket upgrade (Twilio 31920)" in kept.why
    assert kept.faults == (f"media stream: {kept.why}",) * 2


async def test_an_error_of_a_running_stream_is_told_to_its_call_once(autojump_clock: MockClock) -> None:
    there = exchange()
    error = form(StreamEvent="stream-error", StreamError="31930 - Media discarded", StreamSid=STREAM_SID)
    with there.intercom.open(CALL_SID) as mailbox:
        for _ in range(2):
            await there.twilio("/twilio/stream", error)

        assert mailbox.receive_nowait() == NoteStreamError(why_stream(error))
        with pytest.raises(trio.WouldBlock):
            mailbox.receive_nowait()


@pytest.mark.parametrize(
    ("outcome", "why"), [("caller_hung_up", ""), ("never_ran", why_stream({"StreamError": "31921"}))]
)
async def test_an_error_that_comes_after_the_end_is_added_to_the_record(
    outcome: str, why: str, autojump_clock: MockClock
) -> None:
    there = exchange()
    await there.records.save(record(outcome=outcome, faults=("advisor crashed: x",)))
    with capture_logs() as lines:
        for _ in range(2):
            await there.twilio("/twilio/stream", form(StreamEvent="stream-error", StreamError="31921"))

    (kept,) = await there.records.list()
    assert kept.faults == ("advisor crashed: x", "media stream: our server closed the stream (Twilio 31921)")
    assert (kept.outcome, kept.why) == (outcome, why)
    assert [line for line in lines if line["event"] == "call_ended"] == []


async def test_an_error_of_a_stream_while_the_database_is_away_costs_nothing_else(autojump_clock: MockClock) -> None:
    there = exchange(records=Away())

    answer = await there.twilio("/twilio/stream", form(StreamEvent="stream-error", StreamError="31921"))

    assert answer.status_code == 204


@pytest.mark.parametrize("status", ["completed", "failed", "busy", "no-answer", "canceled"])
@pytest.mark.parametrize("path", ["/twilio/status", "/twilio/after"])
async def test_a_running_call_is_told_that_it_is_over(path: str, status: str, autojump_clock: MockClock) -> None:
    there = exchange()
    await there.twilio("/twilio/voice", voice_form())

    with there.intercom.open(CALL_SID) as mailbox:
        await there.twilio(path, form(CallStatus=status, SequenceNumber="3"))

        assert mailbox.receive_nowait() == NoteCallOver()


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress", ""])
async def test_a_call_that_goes_on_is_not_told_that_it_is_over(status: str, autojump_clock: MockClock) -> None:
    there = exchange()
    with there.intercom.open(CALL_SID) as mailbox:
        await there.twilio("/twilio/status", form(CallStatus=status, SequenceNumber="3"))

        with pytest.raises(trio.WouldBlock):
            mailbox.receive_nowait()


async def test_the_end_of_a_call_whose_record_is_not_kept_yet_is_announced_when_it_is(
    autojump_clock: MockClock,
) -> None:
    """Twilio tells of a hang-up at once, and the call waits for what its caller said last."""
    there = exchange()
    context = context_of(there)

    async def carry() -> None:
        with context.streams.carry(CALL_SID):
            await trio.sleep(1.0)
            await context.announced.save(record(outcome="caller_hung_up"))

    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry)
            await trio.sleep(0.1)
            await there.twilio("/twilio/status", form(CallStatus="completed", SequenceNumber="3"))

    assert [line["outcome"] for line in lines if line["event"] == "call_ended"] == ["caller_hung_up"]
    assert context.announced.parked == {}


@pytest.mark.parametrize("outbound", [False, True])
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("sip:+15557650000@acme.example", "+15557650000"),
        ("whatsapp:+15557650000", "+15557650000"),
        ("client:reception_desk", "client:reception_desk"),
        ("03012345678", "03012345678"),
        ("+266696687", ""),
        ("Restricted", ""),
    ],
)
async def test_the_caller_and_the_called_are_in_the_record(
    said: str, shown: str, outbound: bool, autojump_clock: MockClock
) -> None:
    there = exchange()
    caller = "To" if outbound else "From"
    told = voice_form(outbound=outbound) | {caller: said, ("From" if outbound else "To"): f"sip:{LINE}@acme.example"}
    answer = await there.twilio("/twilio/voice", told)
    await Peer().starts(answer.text.partition('name="token" value="')[2].partition('"')[0]).says("x").visit(there.app)

    (plan,) = there.calls.plans
    assert (plan.caller, plan.line) == (shown, LINE)


async def after(there: Exchange, status: str = "in-progress", query: str = "") -> str:
    return (await there.twilio(f"/twilio/after{query}", form(CallStatus=status))).text


async def test_after_a_call_that_is_over_there_is_nothing_to_do(autojump_clock: MockClock) -> None:
    assert (await after(exchange(), "completed")).endswith("<Response />")


@pytest.mark.parametrize("outcome", ["crashed", "cut", "caller_hung_up", "line_dead"])
async def test_a_caller_whose_stream_was_lost_gets_another_one_once(outcome: str, autojump_clock: MockClock) -> None:
    there = exchange()
    await there.records.save(record(outcome=outcome))

    answers = [await after(there), await after(there), await after(there, query="?again=1")]

    assert ["<Stream" in answer for answer in answers] == [True, True, False]
    assert 'action="https://agent.example.com/twilio/after?again=1"' in answers[0]


async def test_a_caller_whose_stream_never_ran_gets_another_one(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.twilio("/twilio/voice", voice_form())

    assert "<Stream" in await after(there)


@pytest.mark.parametrize(
    ("kept", "says_sorry"),
    [
        (record(), False),
        (record(outcome="caller_hung_up"), False),
        (record(outcome="transferred"), False),
        (record(outcome="crashed"), True),
        (record(outcome="no_agent"), True),
        (record(outcome="line_dead"), True),
    ],
)
async def test_after_the_second_stream_a_caller_whom_we_failed_is_owed_an_apology(
    kept: CallRecord, says_sorry: bool, autojump_clock: MockClock
) -> None:
    there = exchange()
    await there.records.save(kept)

    answer = await after(there, query="?again=1")

    assert ("sorry" in answer, "<Hangup" in answer) == (says_sorry, True)


async def test_after_a_stream_that_never_ran_twice_the_fallback_number_is_dialled(autojump_clock: MockClock) -> None:
    there = exchange(FALLBACK_PHONE_NUMBER="+15559870000")
    await there.twilio("/twilio/voice", voice_form())

    answer = await after(there, query="?again=1")

    assert "<Number>+15559870000</Number>" in answer
    assert f'callerId="{LINE}"' in answer


@pytest.mark.parametrize("worker", ["w1", ""], ids=["PostgreSQL", "SQLite"])
@pytest.mark.parametrize("is_shown", [False, True])
@pytest.mark.parametrize("has_streamed", [False, True])
@pytest.mark.parametrize("status", ["in-progress", "completed"])
async def test_a_call_that_never_ran_has_a_record_though_the_worker_of_its_webhook_has_died(
    status: str, has_streamed: bool, is_shown: bool, worker: str, autojump_clock: MockClock
) -> None:
    """Or though its stream was let in, and the database's answer was lost."""
    there = exchange()
    if is_shown:
        context_of(there).live_calls.add(KnownCall(CALL_SID, "inbound", LEAD, LINE, "ringing", CALL_SID))
    if has_streamed:
        await note_streamed(context_of(there).admissions, CALL_SID)

    await there.twilio("/twilio/after?again=1", {**voice_form(), "CallStatus": status})

    there.slots.fleet.worker = worker
    at_once = await there.records.list()
    async with in_background(partial(settle_unheard, context_of(there))):
        await trio.sleep(OVERDUE_SECONDS + NO_SHOW_LOOK_SECONDS)
    kept = [(one.call_sid, one.outcome, one.caller, one.line) for one in await there.records.list()]
    assert kept == [(CALL_SID, "never_ran", LEAD, LINE)]
    assert len(at_once) == (0 if has_streamed else 1)  # else a record may be on its way from another worker


async def test_an_ordered_call_that_never_ran_is_over_when_twilio_says_so_by_its_order(
    autojump_clock: MockClock,
) -> None:
    """That comes for each call that we have placed, at the same time, and has what was ordered."""
    there, order = exchange(), "OR" + "1" * 24
    ordered = written_order(Order(LEAD, LINE, {}, metadata={"customer": 7}))
    await context_of(there).orders.put(NewOrder(order, LEAD, ordered), "w1", lease=900, latest=900)
    over = {**voice_form(outbound=True), "CallStatus": "completed"}

    await there.twilio("/twilio/after?again=1", over)
    before = await there.records.list()
    await there.twilio(f"/twilio/status?order={order}", over | {"SequenceNumber": "3"})

    assert before == []
    assert [(one.outcome, one.metadata) for one in await there.records.list()] == [("never_ran", {"customer": 7})]


async def test_a_reservation_lapses_when_no_stream_comes(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    await there.twilio("/twilio/voice", voice_form())
    await trio.sleep(31)

    assert there.slots.accepting


async def test_callers_who_are_recorded_are_told_so_first(tmp_path: Path) -> None:
    notice = "This call is recorded."
    here = exchange(RECORDINGS_DIR=str(tmp_path), RECORDING_NOTICE=notice, RECORD_AUDIO=LINE)
    elsewhere = exchange(RECORDINGS_DIR=str(tmp_path), RECORDING_NOTICE=notice, RECORD_AUDIO="+15559990000")
    nowhere = exchange(RECORDINGS_DIR="none", RECORDING_NOTICE=notice)
    told, *others = [await there.twilio("/twilio/voice", voice_form()) for there in (here, elsewhere, nowhere)]

    assert told.text.index(f"<Say>{notice}</Say>") < told.text.index("<Connect")
    assert [answer.text for answer in others if "<Say>" in answer.text] == []


async def test_the_notice_is_said_in_the_language_of_the_agent_that_begins_the_call(tmp_path: Path) -> None:
    own = Sentences(language="es-MX", recording_notice="Grabamos esta llamada.")
    spanish = attrs.evolve(SELLER, sentences=own)
    roster = Roster({"seller": SELLER, "ventas": spanish}, "seller", Extras({LINE: "ventas"}))
    silent = exchange(RECORDINGS_DIR=str(tmp_path), roster=roster)
    told = exchange(RECORDINGS_DIR=str(tmp_path), RECORDING_NOTICE="This call is recorded.", roster=roster)
    ordered = exchange(
        RECORDINGS_DIR=str(tmp_path), RECORDING_NOTICE="We record.", roster=Roster(roster.agents, "ventas")
    )
    body = written_order(Order(LEAD, LINE, {}, agents="seller"))
    await context_of(ordered).orders.put(NewOrder("OR1", LEAD, body), "w1", lease=900, latest=900)

    answers = [await there.twilio("/twilio/voice", voice_form()) for there in (silent, told)]
    answers.append(await ordered.twilio("/twilio/voice?order=OR1", voice_form()))

    says = [re.findall("<Say.*</Say>", answer.text) for answer in answers]
    assert says == [[], ['<Say language="es-MX">Grabamos esta llamada.</Say>'], ["<Say>We record.</Say>"]]


async def test_a_caller_who_comes_back_is_not_told_again(tmp_path: Path) -> None:
    there = exchange(RECORDINGS_DIR=str(tmp_path), RECORDING_NOTICE="This call is recorded.")
    await note_streamed(context_of(there).admissions, CALL_SID)
    again = await there.twilio("/twilio/voice", voice_form() | {"CallStatus": "in-progress"})

    assert "<Connect" in again.text
    assert "<Say>" not in again.text


class CountedPeeks(TokenStore):
    """Counts how often it is asked for texts."""

    count = 0

    async def peek_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        self.count += 1
        return await super().peek_all(names)


@pytest.mark.parametrize(("status", "questions"), [("ringing", 0), ("in-progress", 1)])
async def test_what_has_been_of_a_call_is_one_question_at_most_to_all_workers(
    status: str, questions: int, autojump_clock: MockClock
) -> None:
    tokens = CountedPeeks()
    answer = await exchange(tokens=tokens).twilio("/twilio/voice", voice_form() | {"CallStatus": status})

    assert ("<Connect" in answer.text, tokens.count) == (True, questions)


@pytest.mark.parametrize("target", ["/twilio/voice", "/console/sign-in"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_a_form_of_more_fields_than_twilio_sends_is_neither_read_nor_sorted(
    kind: str, target: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A stranger's of 60 KB took two seconds of the event loop: it was sorted for each address that may be signed."""
    monkeypatch.delattr("twilio.request_validator.RequestValidator.compute_signature")
    monkeypatch.delattr("quart.formparser.parse_qsl")
    fields = [f"{number:x}" for number in range(800)]
    part = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n\r\n'
    body = "&".join(fields) if "www" in kind else "".join(map(part.format, fields)) + "--x--\r\n"
    async with exchange().client() as client:
        headers = {"content-type": kind, "x-twilio-signature": "none"}
        answer = await client.post(target, content=body, headers=headers)

    assert answer.status_code == 413


async def test_of_a_request_without_a_signature_nothing_is_read(autojump_clock: MockClock) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"CallSid="
        await trio.sleep_forever()

    async with exchange().client() as client:
        with trio.fail_after(1):
            answer = await client.post("/twilio/voice", content=never(), headers={"content-length": "1000"})

    assert answer.status_code == 403
