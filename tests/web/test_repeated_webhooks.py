"""Webhooks that come once more when their call has ended: Twilio repeats them, and a signature has no time in it.

One that was read by others, with its signature, can be sent for ever, to any worker: none may open a stream.
"""

import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import attrs
import orjson
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from store.calls import MemoryRecords
from store.databases import SqliteDatabase
from store.orders.queue import OrderQueue
from store.records import ANSWERED, UNANSWERED
from store.tokens import TokenStore
from tests.web.fakes import (
    CALL_SID,
    LEAD,
    LINE,
    OTHER_CALL_SID,
    Exchange,
    Peer,
    context_of,
    exchange,
    record,
    voice_form,
)
from tests.web.test_media import token_in, token_of
from tests.web.test_routes_transfer import dialled_form
from web.calls.admission import LONGEST_TALK

MOMENTS = {"a moment": 1.0, "hours": 0.9 * LONGEST_TALK, "more hours": 1.2 * LONGEST_TALK}


def workers() -> tuple[Exchange, Exchange]:
    """Two workers that share what workers share; the other may as well be the first after a restart."""
    tokens, records, orders = TokenStore(), MemoryRecords(), OrderQueue(SqliteDatabase())
    first, other = (exchange(tokens=tokens, records=records, orders=orders) for _ in range(2))
    return first, other


async def talks(there: Exchange, token: str) -> None:
    await Peer().starts(token).says("hello").visit(there.app)


def said_at(seconds: float) -> str:
    """Return when something was said so many seconds ago."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


async def passes(there: Exchange, seconds: float) -> None:
    """Let time pass, by the machine's clock, too."""
    await trio.sleep(seconds)
    for kept in await there.records.list():
        await there.records.save(attrs.evolve(kept, started_at=said_at(seconds)))


@pytest.mark.parametrize(
    ("later", "status"),
    [("a moment", "ringing"), ("hours", "ringing"), *((later, "in-progress") for later in MOMENTS)],
)
async def test_a_call_that_came_in_is_not_connected_once_more(
    later: str, status: str, autojump_clock: MockClock
) -> None:
    first, other = workers()
    await talks(first, await token_of(first))
    await first.twilio("/twilio/after", voice_form(CallStatus="completed"))
    await passes(first, MOMENTS[later])

    answers = [await there.twilio("/twilio/voice", voice_form(CallStatus=status)) for there in (first, other)]

    assert ["<Stream" in answer.text for answer in answers] == [False, False]
    assert [there.slots.expected for there in (first, other)] == [0, 0]


async def test_a_call_that_twilio_has_not_told_the_end_of_does_not_ring_once_more(autojump_clock: MockClock) -> None:
    first, other = workers()
    await talks(first, await token_of(first))

    answers = [await there.twilio("/twilio/voice", voice_form()) for there in (first, other)]

    assert ["<Stream" in answer.text for answer in answers] == [False, False]


@pytest.mark.parametrize("later", MOMENTS)
async def test_a_call_that_was_ordered_is_not_connected_once_more(later: str, autojump_clock: MockClock) -> None:
    first, other = workers()
    placed = (await first.operator("POST", "/calls", {"to": LEAD})).json()
    target, form = f"/twilio/voice?order={placed['id']}", voice_form(placed["call_sid"], outbound=True)
    token = token_in((await first.twilio(target, form)).text)
    await Peer().starts(token, call_sid=placed["call_sid"]).says("hello").visit(first.app)
    await first.twilio(f"/twilio/status?order={placed['id']}", form | {"CallStatus": "completed"})
    await passes(first, MOMENTS[later])

    answers = [await there.twilio(target, form) for there in (first, other)]

    assert ["<Stream" in answer.text for answer in answers] == [False, False]


@pytest.mark.parametrize("outcome", sorted({*UNANSWERED, *ANSWERED}))
@pytest.mark.parametrize("target", ["/twilio/voice", "/twilio/after", "/twilio/dialled"])
async def test_no_webhook_brings_a_call_of_yesterday_back(target: str, outcome: str, autojump_clock: MockClock) -> None:
    there = exchange()
    await there.records.save(record(outcome=outcome, started_at=said_at(86_400)))

    answer = await there.twilio(target, dialled_form("no-answer") | voice_form(CallStatus="in-progress"))

    assert ("<Stream" in answer.text, there.slots.expected) == (False, 0)


@pytest.mark.parametrize("outcome", ["crashed", "cut", "caller_hung_up", "line_dead"])
async def test_a_call_that_has_just_lost_its_stream_comes_back_whatever_the_clocks_say(
    outcome: str, autojump_clock: MockClock
) -> None:
    for seconds in (0.0, 3600.0, -3600.0):
        there = exchange()
        await there.records.save(record(outcome=outcome, started_at=said_at(seconds)))

        answer = await there.twilio("/twilio/after", voice_form(CallStatus="in-progress"))

        assert "<Stream" in answer.text


@pytest.mark.parametrize("started_at", ["", "yesterday", "2026-11-30T09:00:00"])
@pytest.mark.parametrize("target", ["/twilio/voice", "/twilio/after", "/twilio/dialled"])
async def test_a_call_whose_begin_cannot_be_read_comes_back(
    target: str, started_at: str, autojump_clock: MockClock
) -> None:
    there = exchange()
    await there.records.save(record(outcome="cut", started_at=started_at))

    answer = await there.twilio(target, dialled_form("no-answer") | voice_form(CallStatus="in-progress"))

    assert "<Stream" in answer.text


async def test_a_call_that_was_turned_away_and_still_rings_is_let_in_by_another_worker(
    autojump_clock: MockClock,
) -> None:
    """Our answer may be lost with the worker that is shut down: Twilio asks again."""
    first, other = workers()
    first.slots.drain()

    answers = [await there.twilio("/twilio/voice", voice_form()) for there in (first, first, other)]

    assert ["cannot take a new call" in answer.text for answer in answers] == [True, True, False]
    assert "<Stream" in answers[2].text


async def test_a_call_that_goes_on_elsewhere_is_left_alone_by_a_repeated_first_webhook(
    autojump_clock: MockClock,
) -> None:
    (first, other), peer = workers(), Peer()
    token = await token_of(first)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.starts(token).visit, first.app)
        await wait_all_tasks_blocked()
        answer = await other.twilio("/twilio/voice", voice_form())
        peer.says("hello")

    assert ("<Stream" in answer.text, other.slots.expected) == (False, 0)
    assert [call.call_sid for call in context_of(other).live_calls.newest()] == []


async def test_the_end_of_an_order_that_is_told_once_more_days_later_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    first, other = workers()
    over = voice_form(outbound=True) | {"CallStatus": "completed", "SequenceNumber": "3"}
    spoken = record(CALL_SID, direction="outbound")
    await first.records.save(spoken)
    await trio.sleep(2 * LONGEST_TALK)

    for there in (first, other):
        await there.twilio("/twilio/status?order=OR1", over)
        await there.twilio("/twilio/status?order=OR1", over | {"CallStatus": "ringing", "SequenceNumber": "1"})

    assert await first.records.list() == [spoken]


def call_token(call_sid: str, claims: object = None) -> str:
    """Return a `CallToken` as captured: a JWT in JSON, percent-encoded; `claims` are of its payload."""
    payload = {"callSid": call_sid, "from": LEAD, "to": LINE, **claims} if isinstance(claims, dict) else claims
    parts = (urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in ({"alg": "ES256"}, payload, "…"))
    return quote(orjson.dumps({"parentCallInfoToken": ".".join(parts), "identityHeaderTokens": []}))


@pytest.mark.parametrize(
    ("seconds", "is_connected"),
    [(1.0, True), (-60.0, True), (0.9 * LONGEST_TALK, True), (1.1 * LONGEST_TALK, False), (30 * 86_400.0, False)],
)
async def test_a_call_that_rang_hours_ago_is_known_by_its_token(
    seconds: float, is_connected: bool, autojump_clock: MockClock
) -> None:
    """Only the `CallToken` tells it: the workers keep nothing of the call any more."""
    there, rang = exchange(), str(int(time.time() - seconds))

    with capture_logs() as logs:
        answer = await there.twilio("/twilio/voice", voice_form(CallToken=call_token(CALL_SID, {"iat": rang})))

    assert ("<Stream" in answer.text, there.slots.expected) == (is_connected, int(is_connected))
    told = [line["call_sid"] for line in logs if line["event"] == "call_of_earlier"]
    assert told == ([] if is_connected else [CALL_SID])  # a clock that is hours ahead keeps every caller out


ODD_TOKENS: Mapping[str, str] = {
    "none": "",
    "no token": "%7B%22parentCallInfoToken%22%3A%22probe.xxxxxxxxx%22%7D",
    "not JSON": "parentCallInfoToken.xxxx.",
    "not Base64": "parentCallInfoToken.x.",
    "of another call": call_token(OTHER_CALL_SID, {"iat": "1"}),
    "without a time": call_token(CALL_SID, {}),
    "no time": call_token(CALL_SID, {"iat": "yesterday"}),
    "no number": call_token(CALL_SID, {"iat": None}),
    "a number that is none": call_token(CALL_SID, {"iat": "nan"}),
    "an array": call_token(CALL_SID, [1]),
    "a number": call_token(CALL_SID, 1),
}


@pytest.mark.parametrize("kind", ODD_TOKENS)
async def test_a_token_that_tells_nothing_keeps_no_caller_out(kind: str, autojump_clock: MockClock) -> None:
    answer = await exchange().twilio("/twilio/voice", voice_form(CallToken=ODD_TOKENS[kind]))

    assert "<Stream" in answer.text
