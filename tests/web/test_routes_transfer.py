"""What a person is told and asked at their end, and what becomes of the caller."""

from html import unescape
from pathlib import Path

import attrs
import httpx
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.line.switch import TransferOrder
from actors.record.resumption import Resumption
from agents.brief import Brief
from agents.sentences import Sentences
from store.calls import MemoryRecords
from store.json_text import json_text
from store.private import write_whole
from store.records import CallRecord, TransferRecord, decode_record, record_as_json
from store.tokens import TokenStore
from tests.web.fakes import (
    CALL_SID,
    LEAD,
    LINE,
    ORIGIN,
    OTHER_CALL_SID,
    STREAM_SID,
    Away,
    Exchange,
    FakeLine,
    Peer,
    context_of,
    exchange,
    record,
)
from web.calls.admission import CallText
from web.calls.returning import Returns, TwilioTransfers, whispered
from web.clients.twilio import LineError

PERSON = "+15559870000"
PATHS = ["/twilio/whisper", "/twilio/accepted", "/twilio/dialled"]
PARKED = record(outcome="transferring", transfers=(TransferRecord("qualifier", 9.0, "wants a person"),))
ORDER = TransferOrder("wants a person", "", "", Brief(name="John Smith", need="retirement planning"))


def dialled_form(status: str, *, bridged: str = "", call_status: str = "in-progress") -> dict[str, str]:
    more = {"DialBridged": bridged} if bridged else {}
    return {
        "CallSid": CALL_SID,
        "CallStatus": call_status,
        "Direction": "inbound",
        "From": LEAD,
        "To": LINE,
        "DialCallStatus": status,
        "DialCallDuration": "42",
        "DialCallSid": OTHER_CALL_SID,
        **more,
    }


async def parked(folder: str = "none") -> Exchange:
    """An exchange with one call that is being put through."""
    there = exchange(RECORDINGS_DIR=folder)
    await context_of(there).services.save(PARKED)
    there.slots.readmit(CALL_SID, 90)
    return there


async def kept(there: Exchange) -> CallRecord:
    found = await there.records.get(CALL_SID)
    assert found is not None
    return found


@pytest.mark.parametrize("path", PATHS)
async def test_an_unsigned_webhook_is_refused_without_a_reason(path: str, autojump_clock: MockClock) -> None:
    async with exchange().client() as client:
        answer = await client.post(path, data=dialled_form("busy"))

    assert (answer.status_code, answer.content) == (403, b"")


async def test_an_address_that_was_changed_is_not_signed(autojump_clock: MockClock) -> None:
    there = exchange()
    signed = Peer(target=f"/twilio/whisper?call={CALL_SID}").signature
    async with there.client() as client:
        answer = await client.post(
            f"/twilio/whisper?call={OTHER_CALL_SID}", data={}, headers={"X-Twilio-Signature": signed or ""}
        )

    assert answer.status_code == 403


async def whispered_as_asked(there: Exchange) -> httpx.Response:
    """Ask for the whisper at the address that Twilio was given."""
    asked = unescape(there.line.redirected[0][1].partition('<Number url="')[2].partition('"')[0])
    return await there.twilio(asked.removeprefix(ORIGIN), {"CallSid": OTHER_CALL_SID})


async def test_the_key_is_asked_for_once_where_a_worker_of_an_earlier_version_is_asked() -> None:
    """It adds the key to the words that it finds."""
    tokens = TokenStore()
    there = exchange(tokens=tokens)
    await TwilioTransfers(there.line, tokens, ORIGIN, LINE, PERSON).put_through(CALL_SID, ORDER)

    left = await context_of(there).admissions.peek(CALL_SID, CallText.WHISPER)
    assert left == "A caller for you: John Smith, retirement planning. wants a person."


async def test_the_person_hears_who_is_calling_and_why(autojump_clock: MockClock) -> None:
    tokens = TokenStore()
    there = exchange(tokens=tokens)
    await TwilioTransfers(there.line, tokens, ORIGIN, LINE, PERSON).put_through(CALL_SID, ORDER)

    answer = await whispered_as_asked(there)

    assert "A caller for you: John Smith, retirement planning. wants a person. Press 1" in answer.text
    assert f'action="{ORIGIN}/twilio/accepted?call={CALL_SID}"' in answer.text


async def test_the_person_hears_it_in_the_language_of_the_agent_that_puts_the_caller_through() -> None:
    tokens = TokenStore()
    there = exchange(tokens=tokens)
    says = Sentences(language="de-DE", call_for_you="Ein Anruf für Sie", press_to_take="Drücken Sie die Eins.")
    order = TransferOrder("will reden", "", "", Brief(name="Jürgen Weiß"), sentences=says)
    await TwilioTransfers(there.line, tokens, ORIGIN, LINE, PERSON).put_through(CALL_SID, order)

    answer = await whispered_as_asked(there)

    said = "Ein Anruf für Sie: Jürgen Weiß. will reden. Drücken Sie die Eins."
    assert f'<Say language="de-DE">{said}</Say>' in answer.text


async def test_a_whisper_that_nobody_left_says_that_somebody_is_there(autojump_clock: MockClock) -> None:
    answer = await exchange().twilio(f"/twilio/whisper?call={CALL_SID}", {"CallSid": OTHER_CALL_SID})

    assert "A caller for you. Press 1" in answer.text


@pytest.mark.parametrize(("digits", "hangs_up", "room"), [("1", False, 50), ("2", True, 49), ("", True, 49)])
async def test_only_the_key_connects_and_gives_our_line_back(
    digits: str, hangs_up: bool, room: int, autojump_clock: MockClock
) -> None:
    there = await parked()

    answer = await there.twilio(f"/twilio/accepted?call={CALL_SID}", {"CallSid": OTHER_CALL_SID, "Digits": digits})

    assert ("<Hangup" in answer.text, there.slots.free) == (hangs_up, room)


@pytest.mark.parametrize(("status", "bridged"), [("completed", "true"), ("answered", "true"), ("completed", "")])
async def test_a_person_who_took_the_call_ends_it(status: str, bridged: str, autojump_clock: MockClock) -> None:
    there = await parked()
    with capture_logs() as lines:
        answers = [await there.twilio("/twilio/dialled", dialled_form(status, bridged=bridged)) for _ in range(2)]

    transferred = await kept(there)
    assert all("<Hangup" in answer.text for answer in answers)
    assert (transferred.outcome, there.slots.free) == ("transferred", 50)
    assert transferred.transfers == (TransferRecord("qualifier", 9.0, "wants a person", "answered", 42.0),)
    assert [line["outcome"] for line in lines if line["event"] == "call_ended"] == ["transferred"]


async def test_what_comes_of_a_transfer_is_in_the_file_of_the_call_too(tmp_path: Path, fast_clock: MockClock) -> None:
    file = tmp_path / CALL_SID / "record.json"
    write_whole(file, json_text(record_as_json(PARKED)))
    there = await parked(str(tmp_path))
    error = {"StreamEvent": "stream-error", "StreamError": "31921", "CallSid": CALL_SID, "StreamSid": STREAM_SID}
    for path, form in {"/twilio/dialled": dialled_form("completed", bridged="true"), "/twilio/stream": error}.items():
        await there.twilio(path, form)

        assert decode_record(file.read_bytes()) == await kept(there)

    assert len((await kept(there)).faults) == 1


@pytest.mark.parametrize(
    ("status", "bridged", "why"),
    [
        ("no-answer", "false", "no-answer"),
        ("busy", "", "busy"),
        ("failed", "", "failed"),
        ("canceled", "", "canceled"),
        ("", "", "no-answer"),
        ("completed", "false", "declined"),
        ("answered", "false", "declined"),
    ],
)
async def test_nobody_took_the_call_so_an_agent_takes_the_caller_back(
    status: str, bridged: str, why: str, autojump_clock: MockClock
) -> None:
    there = await parked()
    answer = await there.twilio("/twilio/dialled", dialled_form(status, bridged=bridged))
    token = answer.text.partition('name="token" value="')[2].partition('"')[0]

    await Peer().starts(token).says("hello").visit(there.app)

    (plan,) = there.calls.plans
    assert (plan.call_sid, plan.direction, plan.caller) == (CALL_SID, "inbound", LEAD)
    assert plan.resumption == Resumption(PARKED, why)
    assert there.slots.free == 50


async def test_twilio_asking_twice_is_answered_twice_and_one_stream_is_let_in(autojump_clock: MockClock) -> None:
    there = await parked()
    answers = [await there.twilio("/twilio/dialled", dialled_form("busy")) for _ in range(2)]

    assert ["<Stream" in answer.text for answer in answers] == [True, True]
    assert there.slots.free == 49


async def test_a_caller_who_comes_back_is_let_in_over_the_limit_and_in_a_drain(autojump_clock: MockClock) -> None:
    there = exchange(MAX_CALLS="1")
    there.slots.reserve("another", 600)
    there.slots.drain()

    answer = await there.twilio("/twilio/dialled", dialled_form("busy"))
    token = answer.text.partition('name="token" value="')[2].partition('"')[0]
    peer = await Peer().starts(token).says("hello").visit(there.app)

    assert peer.said == ["accept", "send", "close 1000"]


@pytest.mark.parametrize("path", ["/twilio/dialled", "/twilio/after"])
async def test_a_caller_who_hung_up_meanwhile_is_gone(path: str, autojump_clock: MockClock) -> None:
    there = await parked()

    answer = await there.twilio(path, dialled_form("no-answer", call_status="completed"))

    assert answer.text.endswith("<Response />")
    assert ((await kept(there)).outcome, there.slots.free) == ("caller_hung_up", 50)


async def test_a_stream_that_was_stopped_by_the_transfer_goes_on_with_it(autojump_clock: MockClock) -> None:
    """Nobody documents whether `<Connect action>` is asked for after a redirect: if it is, it changes nothing."""
    tokens = TokenStore()
    there = exchange(tokens=tokens)
    await TwilioTransfers(there.line, tokens, ORIGIN, LINE, PERSON).put_through(CALL_SID, ORDER)

    answer = await there.twilio("/twilio/after", dialled_form(""))
    await there.twilio("/twilio/dialled", dialled_form("busy"))
    later = await there.twilio("/twilio/after?again=1", dialled_form(""))

    assert answer.text == there.line.redirected[0][1]
    assert "<Dial" not in later.text


async def test_a_transfer_without_a_call_is_refused(autojump_clock: MockClock) -> None:
    assert (await exchange().twilio("/twilio/dialled", {"DialCallStatus": "busy"})).status_code == 400


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (ORDER, "A caller for you: John Smith, retirement planning. wants a person."),
        (TransferOrder("", "", "", Brief(summary="Asks about fees.")), "A caller for you. Asks about fees."),
        (TransferOrder("", "", "", Brief()), "A caller for you."),
        (TransferOrder("x" * 900, "", "", Brief()), f"A caller for you. {'x' * 397}."),
    ],
)
def test_a_whisper_says_what_is_known(order: TransferOrder, words: str) -> None:
    assert whispered(order) == words


async def test_a_function_may_have_a_person_of_its_own(autojump_clock: MockClock) -> None:
    line = FakeLine()
    own = attrs.evolve(ORDER, number="+15551112222")
    await TwilioTransfers(line, TokenStore(), ORIGIN, LINE, PERSON, whispers=False).put_through(CALL_SID, own)

    ((call_sid, document),) = line.redirected
    assert (call_sid, "<Number>+15551112222</Number>" in document) == (CALL_SID, True)


async def test_a_transfer_that_the_line_refused_is_not_gone_on_with(autojump_clock: MockClock) -> None:
    tokens = TokenStore()
    there = exchange(tokens=tokens, line=FakeLine(refusal=LineError("down", code=20500)))
    with pytest.raises(LineError):
        await TwilioTransfers(there.line, tokens, ORIGIN, LINE, PERSON).put_through(CALL_SID, ORDER)

    assert "<Dial" not in (await there.twilio("/twilio/after", dialled_form(""))).text


async def test_an_operator_who_hangs_up_during_a_transfer_ends_the_call(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.twilio("/twilio/voice", dialled_form("") | {"CallStatus": "ringing"})
    await context_of(there).services.save(PARKED)

    answer = await there.operator("DELETE", f"/calls/{CALL_SID}")

    assert (answer.status_code, (await kept(there)).outcome) == (202, "ended_by_operator")


# Every way in which a transfer can end


async def whispered_to(there: Exchange, digits: str | None = None) -> None:
    """Have the person pick up, hear who is calling, and press a key, or none."""
    await there.twilio(f"/twilio/whisper?call={CALL_SID}", {"CallSid": OTHER_CALL_SID})
    if digits is not None:
        await there.twilio(f"/twilio/accepted?call={CALL_SID}", {"CallSid": OTHER_CALL_SID, "Digits": digits})


@pytest.mark.parametrize(
    ("digits", "dialled", "why"),
    [
        ("1", ("completed", "true"), "answered"),
        ("1", ("completed", ""), "answered"),
        (None, ("completed", "true"), "answered"),
        (None, ("completed", ""), "declined"),
        ("2", ("completed", ""), "declined"),
        ("2", ("completed", "false"), "declined"),
        ("2", ("no-answer", "false"), "no-answer"),
        ("1", ("answered", "false"), "declined"),
        (None, ("failed", ""), "failed"),
    ],
)
@pytest.mark.parametrize("left", [False, True])
async def test_a_person_who_picked_up_has_taken_the_call_or_has_not(
    digits: str | None, dialled: tuple[str, str], why: str, left: bool, autojump_clock: MockClock
) -> None:
    there = await parked()
    await whispered_to(there, digits)
    status, bridged = dialled
    call_status = "completed" if left else "in-progress"

    answer = await there.twilio("/twilio/dialled", dialled_form(status, bridged=bridged, call_status=call_status))

    (transfer,) = (ended := await kept(there)).transfers
    if why == "answered":
        assert (ended.outcome, transfer.outcome, transfer.talked) == ("transferred", "answered", 42.0)
    elif left:
        gone = why if why == "failed" else "canceled"
        assert (ended.outcome, transfer.outcome, transfer.talked) == ("caller_hung_up", gone, 0.0)
    else:
        token = answer.text.partition('name="token" value="')[2].partition('"')[0]
        await Peer().starts(token).says("hello").visit(there.app)
        assert there.calls.plans[0].resumption == Resumption(PARKED, why)


async def test_the_carriers_answer_is_told_to_the_agent(autojump_clock: MockClock) -> None:
    there = await parked()
    answer = await there.twilio("/twilio/dialled", dialled_form("no-answer") | {"DialSipResponseCode": "480"})
    token = answer.text.partition('name="token" value="')[2].partition('"')[0]
    await Peer().starts(token).says("hello").visit(there.app)

    told = "no-answer: the phone is switched off or out of reach (SIP 480)"
    assert there.calls.plans[0].resumption == Resumption(PARKED, told)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_call_that_is_hung_up_on_while_a_person_has_it_was_answered(
    elsewhere: bool, autojump_clock: MockClock
) -> None:
    tokens, records = TokenStore(), MemoryRecords()
    there, other = (exchange(tokens=tokens, records=records) for _ in range(2))
    await there.twilio("/twilio/voice", dialled_form("") | {"CallStatus": "ringing"})
    await context_of(there).services.save(PARKED)
    await whispered_to(there, "1")
    await trio.sleep(8)

    await (other if elsewhere else there).operator("DELETE", f"/calls/{CALL_SID}")

    (transfer,) = (ended := await kept(there)).transfers
    assert (ended.outcome, transfer.outcome) == ("ended_by_operator", "answered")
    assert elsewhere or transfer.talked == pytest.approx(8, abs=0.1)


@pytest.mark.parametrize("first", ["DELETE", "dialled"])
async def test_the_network_knows_best_whether_a_person_had_the_call_that_was_hung_up_on(
    first: str, autojump_clock: MockClock
) -> None:
    """A cold transfer: nobody is asked for a key, and Twilio tells of the talk when it is over, sooner or later."""
    there = await parked()
    told = dialled_form("completed", bridged="true", call_status="completed")
    if first == "dialled":
        await context_of(there).admissions.put(CALL_SID, CallText.ENDED_BY, "ended_by_operator")
        await there.twilio("/twilio/dialled", told)
    else:
        there.line.statuses[CALL_SID] = "in-progress"
        await there.operator("DELETE", f"/calls/{CALL_SID}")
        await there.twilio("/twilio/dialled", told)

    (transfer,) = (ended := await kept(there)).transfers
    assert (ended.outcome, transfer.outcome, transfer.talked) == ("ended_by_operator", "answered", 42.0)


async def test_a_call_that_could_not_be_hung_up_has_not_been_ended_by_anybody(autojump_clock: MockClock) -> None:
    there = await parked()
    there.line.refusal = LineError("down", code=20500)
    refused = await there.operator("DELETE", f"/calls/{CALL_SID}")
    await there.twilio("/twilio/dialled", dialled_form("completed", bridged="true"))

    assert (refused.status_code, (await kept(there)).outcome) == (502, "transferred")


@pytest.mark.parametrize(
    ("digits", "outcome", "why"), [("1", "transferred", "answered"), ("2", "caller_hung_up", "canceled")]
)
async def test_the_end_of_a_call_whose_person_was_asked_for_the_key_is_known_without_the_network(
    digits: str, outcome: str, why: str, autojump_clock: MockClock
) -> None:
    there = await parked()
    await whispered_to(there, digits)

    await there.twilio("/twilio/after", dialled_form("", call_status="completed"))

    ended = await kept(there)
    assert (ended.outcome, ended.transfers[0].outcome) == (outcome, why)


async def test_what_a_person_did_counts_for_one_transfer(autojump_clock: MockClock) -> None:
    """Put through, taken back, and put through once more: nobody is asked for the key this time."""
    tokens = TokenStore()
    there = exchange(tokens=tokens)
    transfers = TwilioTransfers(there.line, tokens, ORIGIN, LINE, PERSON)
    for _ in range(2):
        await transfers.put_through(CALL_SID, ORDER)
        await context_of(there).services.save(PARKED)
        before = await Returns(context_of(there)).talked(CALL_SID)
        await whispered_to(there, "1")

    assert before is None


@pytest.mark.parametrize("path", ["/twilio/dialled", "/twilio/after"])
async def test_a_webhook_that_comes_after_the_end_changes_nothing(path: str, autojump_clock: MockClock) -> None:
    there = await parked()
    await there.twilio("/twilio/status", dialled_form("") | {"CallStatus": "completed", "SequenceNumber": "9"})

    answer = await there.twilio(path, dialled_form("busy"))

    assert (answer.text.endswith("<Response />"), there.slots.free) == (True, 50)


async def test_any_worker_takes_the_caller_back_that_sees_the_same_records(autojump_clock: MockClock) -> None:
    tokens, records = TokenStore(), MemoryRecords()
    one, other = (exchange(tokens=tokens, records=records) for _ in range(2))
    await context_of(one).services.save(PARKED)
    answer = await other.twilio("/twilio/dialled", dialled_form("busy"))
    token = answer.text.partition('name="token" value="')[2].partition('"')[0]

    await Peer().starts(token).says("hello").visit(one.app)

    assert [plan.resumption for plan in one.calls.plans] == [Resumption(PARKED, "busy")]


async def test_where_the_record_is_not_seen_the_call_begins_anew(autojump_clock: MockClock) -> None:
    there = exchange()
    answer = await there.twilio("/twilio/dialled", dialled_form("busy"))
    token = answer.text.partition('name="token" value="')[2].partition('"')[0]

    await Peer().starts(token).says("hello").visit(there.app)

    assert [plan.resumption for plan in there.calls.plans] == [None]


async def test_a_database_that_is_away_costs_the_conversation_and_not_the_call(autojump_clock: MockClock) -> None:
    there = exchange(records=Away())
    answer = await there.twilio("/twilio/dialled", dialled_form("busy"))
    transferred = await there.twilio("/twilio/dialled", dialled_form("completed"))

    assert ("<Stream" in answer.text, "<Hangup" in transferred.text) == (True, True)


async def test_without_a_number_nobody_is_dialled(autojump_clock: MockClock) -> None:
    with pytest.raises(LineError, match="no person's number"):
        await TwilioTransfers(FakeLine(), TokenStore(), ORIGIN, LINE).put_through(CALL_SID, ORDER)


async def test_our_own_line_is_nobody(autojump_clock: MockClock) -> None:
    """A function or an operator may name it: an agent would talk with an agent, who may do the same."""
    line = FakeLine()
    with pytest.raises(LineError, match="our own line"):
        await TwilioTransfers(line, TokenStore(), ORIGIN, LINE).put_through(CALL_SID, attrs.evolve(ORDER, number=LINE))

    assert line.redirected == []
