"""The demo says that a call went well only if it did."""

import attrs
import pytest

from demo.verdict import shortcomings, unanswered
from simulators.faults import parse_fault
from simulators.scenario import Scenario, parse_scenario
from store.records import AgentPeriod, CallRecord, FrameCounts, TurnRecord

SCENARIO = parse_scenario(
    """
    name = "short"
    [caller]
    hangs_up = false
    [[caller.line]]
    says = "Sure, I have a few minutes."
    [[caller.line]]
    silent = 3.0
    [[caller.line]]
    says = "I'm forty-five."
    [agents.qualifier]
    [agents.advisor]
    """
)
HANGING_UP = attrs.evolve(SCENARIO, caller=attrs.evolve(SCENARIO.caller, hangs_up=True))


def record(
    *turns: str, outcome: str = "completed", agents: tuple[str, ...] = ("qualifier", "advisor"), unheard: int = 0
) -> CallRecord:
    said = turns or ("sure i have a few minutes", "I'm forty-five.")
    return CallRecord(
        *("CA1", "MZ1", "outbound", "+15551230000", "+15550009999", "2026-11-29T12:00:00Z", 81.3, outcome),
        agents=tuple(AgentPeriod(agent, 0.0, 1.0) for agent in agents),
        transcript=(
            TurnRecord(1.0, "qualifier", "Is it a good time?", "Is it a good time?"),
            *(TurnRecord(2.0, "caller", text, text) for text in said),
        ),
        frames=FrameCounts(unheard=unheard),
    )


def test_call_as_it_should_be_has_no_shortcomings() -> None:
    assert shortcomings(SCENARIO, record()) == ()


def test_words_may_come_in_other_turns_and_other_letters() -> None:
    assert shortcomings(SCENARIO, record("SURE", "I have a few minutes... I'm forty five")) == ()


@pytest.mark.parametrize(
    ("turns", "complaint"),
    [
        (("Sure, I have a few.", "I'm forty-five."), "no agent heard the caller say “minutes”"),
        (
            ("Sure, sure, I have a few minutes.", "I'm forty-five."),
            "an agent heard “sure”, which the caller did not say then",
        ),
        (("Sure, I have a few minutes.", "I'm forty-nine."), "the caller said “five”, an agent heard “nine”"),
    ],
)
def test_words_that_differ_are_named(turns: tuple[str, ...], complaint: str) -> None:
    assert shortcomings(SCENARIO, record(*turns)) == (complaint,)


def test_agent_who_never_came_is_missed() -> None:
    complaint = "the agents were qualifier; the scenario has qualifier, advisor"

    assert shortcomings(SCENARIO, record(agents=("qualifier",))) == (complaint,)


def test_agents_out_of_order_are_noticed() -> None:
    (complaint,) = shortcomings(SCENARIO, record(agents=("advisor", "qualifier")))

    assert "the agents were advisor, qualifier" in complaint


def test_unheard_frames_are_counted() -> None:
    assert shortcomings(SCENARIO, record(unheard=7)) == ("heard by no agent: 7 frames of the caller's audio",)


def test_other_ending_is_named() -> None:
    assert shortcomings(SCENARIO, record(outcome="no_agent")) == ("the call ended as no_agent, not as completed",)


def test_scenario_may_end_otherwise() -> None:
    silent = attrs.evolve(SCENARIO, ends="caller_silent")

    assert shortcomings(silent, record(outcome="caller_silent")) == ()
    assert shortcomings(silent, record()) == ("the call ended as completed, not as caller_silent",)


@pytest.mark.parametrize("keys", ["(pressed 1 key)", "(pressed 4 keys)", "The caller pressed 1 2 on the keypad."])
def test_keys_are_no_words(keys: str) -> None:
    assert shortcomings(SCENARIO, record("Sure, I have a few minutes.", keys, "I'm forty-five.")) == ()


def test_caller_who_hangs_up_may_end_the_call_and_meet_fewer_agents() -> None:
    assert shortcomings(HANGING_UP, record(outcome="caller_hung_up", agents=("qualifier",))) == ()


def test_with_faults_it_is_enough_that_the_call_was_completed() -> None:
    faulty: Scenario = attrs.evolve(SCENARIO, faults=(parse_fault("deepgram: drop after 8 s"),))

    assert shortcomings(faulty, record("Sure.", unheard=3)) == ()
    assert shortcomings(faulty, record(outcome="no_agent")) != ()


def test_scenario_in_which_nobody_answers_needs_no_record() -> None:
    busy = attrs.evolve(SCENARIO, caller=attrs.evolve(SCENARIO.caller, answers="busy"))

    assert unanswered(busy, "busy") == ()


def test_call_without_a_record_is_a_failure() -> None:
    assert unanswered(SCENARIO, "completed") == ("the call left no record; Twilio says it is completed",)
