"""A whole call with every kind of handoff: softly to billing, back to the desk, the hard way to sales."""

import os
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.policy import CallPolicy
from agents.functions import (
    END_CONVERSATION,
    Answer,
    CallContext,
    FunctionSpec,
    HandOff,
    Outcome,
    hand_back,
    handoff_to_next_agent,
)
from agents.roster import load_roster
from agents.sentences import ENGLISH
from agents.spec import AgentSpec, soft
from protocol.deepgram import HistoryCalls, HistoryText, Settings
from simulators.deepgram import DeepgramKnobs
from simulators.scenario import load_scenario
from testkit.harness import play
from testkit.oracle import check
from testkit.witness import Witnessed
from tests.faults.short import filler_clips

THREE = load_scenario(Path(__file__).with_name("three.toml"))
KNOBS = DeepgramKnobs(slice_ms=200)


@attrs.frozen
class Bill:
    """The faults that are found in it."""

    what: Annotated[str, "What is wrong with the bill"]


async def _note_bill(arguments: Bill, context: CallContext) -> Outcome:
    return Answer({"noted": True}, {"bill": arguments.what})


def _agent(name: str, greeting: str, voice: str, *functions: FunctionSpec, hands_to: Sequence[str] = ()) -> AgentSpec:
    return AgentSpec(name, name, f"You are the {name}.", greeting, voice, functions, tuple(hands_to))


ROSTER = load_roster(
    [
        _agent(
            "desk",
            "Acme, good morning.",
            "aura-2-mars-en",
            handoff_to_next_agent("billing", name="handoff_to_billing"),
            handoff_to_next_agent("sales", name="handoff_to_sales"),
            hands_to=(soft("billing"), "sales"),
        ),
        _agent(
            "billing", "Billing, what is it?", "aura-2-thalia-en",
            FunctionSpec("note_bill", "Notes it.", Bill, _note_bill), hand_back(),
        ),
        _agent("sales", "Sales, hello.", "aura-2-vesta-en", END_CONVERSATION),
    ]
)  # fmt: skip


@cache
def play_three(*faults: str) -> Witnessed:
    done = Witnessed(script=THREE, policy=CallPolicy(), bundle=10)
    clips = filler_clips(*(agent.voice for agent in ROSTER.agents.values()))
    again = partial(play, THREE, faults, roster=ROSTER, knobs=KNOBS, bundle=10, played=done, clips=clips)
    trio.run(again, clock=MockClock(autojump_threshold=0))
    return done


def settings_of(played: Witnessed) -> tuple[Settings, ...]:
    assert played.exchange is not None
    return played.exchange.log.received(Settings)


def said_in(settings: Settings) -> list[str]:
    """Return the history that a session was given: words, and the names of functions."""
    assert not isinstance(settings.agent, str)
    found = list[str]()
    for message in settings.agent.context.messages if settings.agent.context else ():
        match message:
            case HistoryText(content=content):
                found.append(content)
            case HistoryCalls(function_calls=calls):
                found += [call.name for call in calls]
            case _:
                pass
    return found


OWN = [
    "Acme, good morning.",
    "I have a question about my bill.",
    "Shall I pass you on to billing?",
    "Yes please.",
    "handoff_to_billing",
]


@pytest.mark.slow
def test_a_call_goes_softly_on_comes_back_and_goes_the_hard_way() -> None:
    played = play_three()
    record = played.the_record

    assert check(played) == []
    assert [(one.to_agent, one.how, one.took, one.gap) for one in record.handoffs] == [
        ("billing", "soft", 0.44, 0.54),
        ("desk", "back", 0.165, 0.265),
        ("sales", "hard", 0.165, 0.265),
    ]
    assert [period.agent for period in record.agents] == ["desk", "billing", "desk", "sales"]
    assert [fact.how for fact in played.facts(facts.HandoffGap)] == ["soft", "back", "hard"]
    assert record.outcome == "completed"


def test_an_agent_that_gets_the_call_back_goes_on_with_its_own_conversation_and_knows_what_it_has_missed() -> None:
    played = play_three()
    _, again, _ = settings_of(played)
    assert not isinstance(again.agent, str)
    prompt = str(again.agent.think[0].prompt)

    assert said_in(again) == OWN
    assert again.agent.greeting == ENGLISH.handed_back
    assert [words in prompt for words in ("noted the bill", "they will be called back", "twice what was agreed")] == [
        True,
        True,
        True,
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "history"),
    [
        (0.05, OWN),
        (8.5, [*OWN, ENGLISH.handed_back, "When are you open?", "We open at nine, and close at five."]),
    ],
)
def test_a_session_that_is_lost_after_a_return_goes_on_with_both_parts(after: float, history: list[str]) -> None:
    """Before its first words have begun they are said by the next session; later that has them in its history."""
    played = play_three(f"deepgram: drop after {after} s on connection 2")
    again = settings_of(played)[2]
    assert not isinstance(again.agent, str)

    assert check(played) == []
    assert said_in(again)[: len(history)] == history
    assert (again.agent.greeting == ENGLISH.handed_back) == (after < 1)
    assert played.the_record.agents[-2].restarts == 1


@pytest.mark.slow
def test_an_agent_that_cannot_be_handed_back_to_leaves_the_call_where_it_is() -> None:
    played = play_three("deepgram: refuse connect 2")

    assert check(played) == []
    assert [(one.to_agent, one.how) for one in played.the_record.handoffs][:2] == [("billing", "soft"), ("desk", "")]
    assert played.the_record.agents[1].agent == "billing"


def test_there_is_nobody_to_hand_back_to_in_a_call_that_an_agent_has_begun() -> None:
    context, function = CallContext("CA1", "billing"), ROSTER.agents["billing"].function("hand_back")
    assert function is not None
    arguments = function.parse('{"reason": "noted"}')

    alone = trio.run(function.handler, arguments, context)
    after_another = trio.run(function.handler, arguments, attrs.evolve(context, before="desk"))

    assert isinstance(alone, Answer)
    assert "Nobody had the customer before you" in alone.text()
    assert after_another == HandOff("desk", "noted", back=True)


# Faults, while the call is handed back and behind it

IS_FULL = os.environ.get("FAULT_MATRIX") in {"full", "every"}
FAULTS = [
    f"{kind}{when}"
    for kind in ("drop", "silent drop", "stall", "mute", "garbage", "error INTERNAL_SERVER_ERROR", "close 1011")
    for when in (
        " after 13.3 s on connection 1",
        " after 13.45 s on connection 1",
        " on connection 2",
        " after 0.05 s on connection 2",
        " after 2 s on connection 2",
        " after 6 s on connection 2",
    )
] + ["slow settings 2 s", "no welcome on connection 2", "refuse connect 2 times 1", "refuse connect 2 times 3"]


@pytest.mark.parametrize("fault", FAULTS if IS_FULL else FAULTS[3::24])
def test_whatever_goes_wrong_on_the_way_back_the_promises_are_kept(fault: str) -> None:
    assert check(play_three(f"deepgram: {fault}")) == []
