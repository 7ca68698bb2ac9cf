"""Calls that the switchboard places, over real sockets: whatever becomes of them, there is an outcome."""

from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import trio

from agents.sentences import ENGLISH
from simulators.pacing import PacedClock
from simulators.scenario import Answers
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.log import StreamOpened, VerbExecuted, WebhookAnswered
from tests.e2e.line import Line, open_line

pytestmark = pytest.mark.real_time

FREELY = "100"
"""Calls a second."""


async def settled(line: Line, order: httpx.Response) -> dict[str, object]:
    """Wait until an order has come to an outcome."""
    while True:
        shown: dict[str, object] = (await line.operator.get(order.headers["location"])).json()
        if shown.get("record") is not None:
            return shown
        await trio.sleep(1)


async def test_a_lead_is_called_and_talked_to(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path) as line:
        call = await line.call_out(context={"name": "John"})

        record = await line.record_of(call)
    assert (record.direction, record.outcome, record.caller) == ("outbound", "completed", "+15551230000")
    assert record.answered_by == "human"


@pytest.mark.parametrize(
    ("answers", "outcome", "says"),
    [
        ("busy", "busy", "the line was engaged"),
        ("no-answer", "no_answer", "nobody picked up"),
        ("failed", "failed", "the number does not exist (SIP 404)"),
    ],
)
async def test_a_call_that_is_not_answered_has_an_outcome(
    answers: Answers, outcome: str, says: str, tmp_path: Path, fast_clock: PacedClock
) -> None:
    fast_clock.rate = 200  # it rings for a minute, and nothing else goes on
    async with open_line(tmp_path, answers=answers, MAX_CALLS="1") as line:
        call = await line.call_out()
        shown = await line.show(call)
        ready = (await line.operator.get("/readyz")).status_code

        record = await line.record_of(call)
    assert (record.outcome, record.why, record.transcript) == (outcome, says, ())
    assert (shown["status"], shown["outcome"], ready) == (answers, outcome, 200)


async def test_a_machine_is_hung_up_on(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path, answers="machine") as line:
        call = await line.call_out(machine_detection="hang_up")

        record = await line.record_of(call)
    assert (record.outcome, record.answered_by) == ("machine", "machine_start")


async def test_a_machine_is_talked_to_where_nobody_is_to_find_out(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path, answers="machine") as line:
        call = await line.call_out(machine_detection="off")

        record = await line.record_of(call)
    assert (record.outcome, record.answered_by) == ("completed", "")


async def test_orders_beyond_capacity_are_told_when_to_try_again(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path, MAX_CALLS="1", CALLS_PER_SECOND=FREELY) as line:
        first = await line.order()
        refused = await line.order()
        turned_away = line.call_in()
        await line.wait_over(*line.calls)
        accepted = await line.order()

    assert [first.status_code, refused.status_code, accepted.status_code] == [201, 429, 201]
    assert int(refused.headers["retry-after"]) > 0
    assert (said_by_twilio(turned_away), turned_away.log.of(StreamOpened)) == (ENGLISH.busy, ())


def said_by_twilio(call: SimulatedCall) -> str:
    return " ".join(verb.detail for verb in call.log.of(VerbExecuted) if verb.verb == "Say")


async def test_orders_are_placed_one_after_the_other(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path, answers="busy", CALLS_PER_SECOND="0.5") as line:
        answers = [await line.order(to=f"+1555765000{number}") for number in range(3)]
        shown = [await settled(line, answer) for answer in answers]
        placed = [call.created.timestamp() for call in line.calls]

    assert [answer.status_code for answer in answers] == [201, 202, 202]
    assert [one["outcome"] for one in shown] == 3 * ["busy"]
    assert [later - earlier > 1.5 for earlier, later in pairwise(placed)] == [True, True]


async def test_a_call_that_twilio_places_and_never_says_so_is_carried(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path, twilio=TwilioKnobs(bundle=10, creations="unanswered")) as line:
        order = await line.order()
        shown = await settled(line, order)

    assert (order.status_code, shown["outcome"]) == (202, "completed")
    assert len(line.calls) == 1
    assert shown["call_sid"] == line.calls[0].sid


async def test_a_call_that_twilio_answers_too_late_is_carried_once(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path, answers="busy", twilio=TwilioKnobs(creation_takes=20)) as line:
        order = await line.order()
        shown = await settled(line, order)

    assert (order.status_code, shown["outcome"], len(line.calls)) == (202, "busy", 1)


async def test_every_state_of_a_call_is_told_by_twilio_and_taken(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path) as line:
        call = await line.call_out()

    told = [one.status for one in call.log.of(WebhookAnswered) if one.purpose == "status"]
    assert told == [204] * 4
