"""Every fault that strikes before the media stream; after each, the line is free and the call has its record."""

from collections.abc import Callable

import attrs
import pytest

from simulators.scenario import Answers
from simulators.twilio.exchange import TwilioKnobs
from store.records import CallRecord
from tests.calls.exchange import Trouble
from tests.examples import one_in
from tests.faults import ringing
from tests.faults.ringing import Act, Rung, check_rung, ring
from web.calls.placing import LATEST_SECONDS, RING_SECONDS, SETTLE_SECONDS
from web.calls.returning import ARRIVAL_SECONDS

KNOBS = TwilioKnobs(bundle=10)
FAIR = Trouble(KNOBS)
MOMENT = 0.1
IN_DOUBT = RING_SECONDS
"""The call may ring as long as that; whether there is one is being found out for longer."""
STREAMS = {
    "no stream ever comes": Trouble(KNOBS, ringing.no_stream),
    "the stream is not signed": Trouble(KNOBS, ringing.unsigned),
    "the stream never starts": Trouble(KNOBS, ringing.without_start),
    "the stream is gone at once": Trouble(KNOBS, ringing.hung_up_at_once),
}


@attrs.frozen
class Case:
    """One call: how its record ends, what happens, what is wrong, and for how long its line may be kept then."""

    name: str
    outcome: str
    act: Act
    trouble: Trouble
    held: float
    answers: Answers = "human"

    def __str__(self) -> str:
        return self.name


def came_in(name: str, outcome: str, trouble: Trouble = FAIR, act: Act = ringing.call_in) -> Case:
    """A line is kept for a caller until the stream must have come."""
    return Case(f"inbound, {name}", outcome, act, trouble, ARRIVAL_SECONDS + MOMENT)


def went_out(name: str, outcome: str, trouble: Trouble = FAIR, act: Act = ringing.call_out, held: float = 0.0) -> Case:
    """A line is given back as soon as it is known that the call is over."""
    return Case(f"outbound, {name}", outcome, act, trouble, held + MOMENT)


def answered(how: Answers, outcome: str) -> Case:
    return attrs.evolve(went_out(f"the call is {how}", outcome), answers=how)


def rest(knobs: TwilioKnobs) -> Trouble:
    return Trouble(knobs, rest=ringing.impatient)


CASES = [
    *(came_in(name, "never_ran", trouble) for name, trouble in STREAMS.items()),
    *(went_out(name, "never_ran", trouble) for name, trouble in STREAMS.items()),
    came_in("the first stream does not come", "completed", Trouble(KNOBS, ringing.first_fails)),
    came_in("the caller hangs up while it rings", "never_ran", act=ringing.hang_up_while_ringing),
    came_in("the caller hangs up and we are told", "never_ran", act=ringing.hang_up_and_be_told),
    came_in("REST is out of order", "completed", Trouble(attrs.evolve(KNOBS, outage=503))),
    came_in("REST never answers", "completed", Trouble(KNOBS, rest=ringing.mute)),
    went_out("the operator calls it off", "canceled", act=ringing.call_off),
    went_out("webhooks are lost", "never_ran", Trouble(KNOBS, webhooks=ringing.lost), held=RING_SECONDS),
    went_out("REST is out of order", "unknown", rest(TwilioKnobs(bundle=10, outage=503)), held=IN_DOUBT),
    went_out("REST refuses everything", "failed", rest(TwilioKnobs(bundle=10, outage=403))),
    went_out("REST never answers", "unknown", Trouble(KNOBS, rest=ringing.mute), held=IN_DOUBT),
    went_out(
        "the order is lost",
        "failed",
        rest(TwilioKnobs(bundle=10, creations="lost")),
        held=LATEST_SECONDS + SETTLE_SECONDS,
    ),
    went_out("the order is taken, and not answered", "completed", rest(TwilioKnobs(bundle=10, creations="unanswered"))),
    answered("busy", "busy"),
    answered("no-answer", "no_answer"),
    answered("failed", "failed"),
]


@pytest.mark.parametrize("case", one_in(5, CASES), ids=str)
def test_whatever_goes_wrong_while_it_rings_the_line_is_free_again(case: Case) -> None:
    rung = ring(case.act, case.trouble, case.answers)

    assert [] == list(check_rung(rung, case.held, case.outcome))


# What looks at it


def hold_the_line(rung: Rung) -> None:
    rung.is_free = False


def free_it_late(rung: Rung) -> None:
    rung.freed_after = 200.0


def forget_the_record(rung: Rung) -> None:
    rung.records.clear()


def say_something_else(rung: Rung) -> None:
    rung.records[0] = attrs.evolve(rung.records[0], outcome="completed")


def keep_two(rung: Rung) -> None:
    rung.records *= 2


def log_an_error(rung: Rung) -> None:
    rung.logs = [{"event": "order_crashed", "log_level": "error"}]


def log_a_number(rung: Rung) -> None:
    rung.logs = [{"event": "call_ended", "log_level": "info", "caller": "+15551230042"}]


def let_something_out(rung: Rung) -> None:
    rung.escaped = KeyError("CallSid")


@pytest.mark.parametrize(
    ("promise", "spoil"),
    [
        (1, let_something_out),
        (6, forget_the_record),
        (6, say_something_else),
        (6, keep_two),
        (7, log_an_error),
        (8, free_it_late),
        (9, hold_the_line),
        (10, log_a_number),
    ],
)
def test_what_is_wrong_with_a_call_that_rang_is_named(promise: int, spoil: Callable[[Rung], None]) -> None:
    kept = CallRecord("CA1", "", "inbound", "", "", "2026-11-22T09:00:00.000+00:00", 0.0, "never_ran")
    rung = Rung(freed_after=20.0, is_free=True, records=[kept])
    assert [] == list(check_rung(rung, 20.0, "never_ran"))

    spoil(rung)

    assert [str(promise)] == [broken.partition(":")[0] for broken in check_rung(rung, 20.0, "never_ran")]
