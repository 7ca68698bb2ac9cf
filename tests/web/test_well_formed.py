"""Signed is not well-formed: ids that are none are refused at the door, and counts that are none are nothing."""

import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from tests.web.fakes import CALL_SID, STREAM_SID, Peer, context_of, exchange, record, voice_form
from web.routes.problems import count_of

OF_A_CALL = ("/twilio/voice", "/twilio/status", "/twilio/amd", "/twilio/after", "/twilio/dialled")
BAD_IDS = ["../../x", "CA" + "1" * 31, "CA" + "1" * 33, "CA" + "g" * 32, CALL_SID + "\n", "MZ" + "1" * 32, "x" * 9000]
WEBHOOKS = [
    "/twilio/voice", "/twilio/status", "/twilio/amd", "/twilio/stream", "/twilio/after", "/twilio/whisper",
    "/twilio/accepted", "/twilio/dialled",
]  # fmt: skip


@pytest.mark.parametrize("target", WEBHOOKS)
async def test_a_signed_webhook_with_an_id_that_is_none_is_refused(target: str, autojump_clock: MockClock) -> None:
    there = exchange()
    with capture_logs() as logs:
        answers = [await there.twilio(target, voice_form(bad)) for bad in BAD_IDS]

    assert [answer.status_code for answer in answers] == len(BAD_IDS) * [400]
    assert [line["field"] for line in logs if line["event"] == "webhook_malformed"] == len(BAD_IDS) * ["CallSid"]
    assert list(context_of(there).live_calls.newest()) == []
    assert there.slots.expected == 0


@pytest.mark.parametrize("target", [*OF_A_CALL, "/twilio/after?again=1", "/twilio/status?order=OR1"])
async def test_a_webhook_that_does_not_say_of_which_call_it_is_changes_nothing(
    target: str, autojump_clock: MockClock
) -> None:
    there = exchange()
    form = {key: value for key, value in voice_form().items() if key != "CallSid"}
    with capture_logs() as logs:
        answer = await there.twilio(target, {**form, "CallStatus": "completed", "AnsweredBy": "human"})

    assert answer.status_code == 400
    assert [line["field"] for line in logs if line["event"] == "webhook_malformed"] == ["CallSid"]
    assert await context_of(there).admissions.tokens.database.ask("SELECT name FROM tokens", {}) == []


@pytest.mark.parametrize(
    ("field", "good"), [("StreamSid", STREAM_SID), ("RecordingSid", "RE" + "a" * 32), ("ParentCallSid", CALL_SID)]
)
async def test_other_ids_are_read_as_strictly(field: str, good: str, autojump_clock: MockClock) -> None:
    there = exchange()
    answers = [await there.twilio("/twilio/amd", {**voice_form(), field: value}) for value in (good, "", "../x")]

    assert [answer.status_code for answer in answers] == [204, 204, 400]


@pytest.mark.parametrize("target", ["/twilio/whisper?call=../../x", "/twilio/status?order=../../x"])
async def test_an_id_in_our_own_address_is_read_as_strictly(target: str, autojump_clock: MockClock) -> None:
    assert (await exchange().twilio(target, voice_form())).status_code == 400


@pytest.mark.parametrize("name", ["..%2F..%2Fx", "%00", "C" * 65, "CA*", "ü", "a%0Ab"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_name_that_no_call_has_is_unknown(method: str, name: str, autojump_clock: MockClock) -> None:
    assert (await exchange().operator(method, f"/calls/{name}")).status_code == 404


@pytest.mark.parametrize("stream_sid", ["../../x", "", "MZ1", STREAM_SID + "/"])
async def test_a_stream_with_an_id_that_is_none_is_refused(
    stream_sid: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr("tests.web.fakes.STREAM_SID", stream_sid)
    there = exchange()
    answer = await there.twilio("/twilio/voice", voice_form())
    token = answer.text.partition('name="token" value="')[2].partition('"')[0]
    peer = await Peer().starts(token).visit(there.app)

    assert (peer.said, there.calls.plans) == (["accept", "close 1008"], [])


COUNTS = ["9" * 5000, "-1", "1e9", "٣", "", "1.5", "NaN", "0x10"]


@pytest.mark.parametrize("count", COUNTS)
async def test_a_count_that_is_none_is_nothing(count: str, autojump_clock: MockClock) -> None:
    there = exchange()
    answer = await there.twilio("/twilio/status", voice_form(SequenceNumber=count, CallStatus="in-progress"))

    assert answer.status_code == 204
    assert count_of(count) == 0


async def test_the_seconds_that_a_person_talked_are_read_as_a_count(autojump_clock: MockClock) -> None:
    there = exchange()
    await there.records.save(record(outcome="transferring"))
    form = voice_form(DialCallStatus="completed", DialCallDuration="9" * 5000, CallStatus="in-progress")
    answer = await there.twilio("/twilio/dialled", form)

    assert answer.status_code == 200
    assert (await there.operator("GET", f"/calls/{CALL_SID}")).status_code == 200
    assert count_of("75") == 75
