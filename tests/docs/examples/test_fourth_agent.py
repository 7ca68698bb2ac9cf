"""A fourth agent in a whole call: the real actors between the simulators, two minutes of it in a blink."""

from pathlib import Path

from trio.testing import MockClock

from agents.roster import ROSTER, load_roster
from simulators.scenario import load_scenario
from testkit.harness import play

BILLING = load_scenario(Path(__file__).with_name("billing.toml"))


async def test_a_caller_with_an_invoice_is_handed_to_billing(autojump_clock: MockClock) -> None:
    roster = load_roster([*ROSTER, "tests.docs.examples.billing"])

    call = await play(BILLING, roster=roster)

    assert [period.agent for period in call.the_record.agents] == ["qualifier", "billing"]
    assert [line.says for line in BILLING.caller.lines] == call.said_by_caller()
    assert call.the_record.outcome == "completed"


async def test_a_word_is_not_lost_when_billing_drops_in_the_middle_of_it(autojump_clock: MockClock) -> None:
    roster = load_roster([*ROSTER, "tests.docs.examples.billing"])

    call = await play(BILLING, ["deepgram: drop after 5 s on connection 2"], roster=roster)

    assert call.the_record.restarts == 1
    assert [line.says for line in BILLING.caller.lines] == call.said_by_caller()
