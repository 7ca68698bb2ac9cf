"""A survey by telephone, as somebody else would test it: keys, soft handoffs, arguments of any name."""

from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import Literal

import attrs
import pytest
from trio.testing import MockClock

from actors.policy import CallPolicy, Numbers
from agents.functions import END_CONVERSATION, Answer, CallContext, FunctionSpec, Outcome, handoff_to_next_agent
from agents.spec import AgentSpec, soft
from protocol.fields import JSON
from simulators.scenario import Scenario
from testkit import ExpectationFailed, answers, calls, conversation, play, presses, says
from testkit.functions import NoSuchFunction


class Score(Enum):
    BAD = "1"
    GOOD = "3"


@attrs.frozen
class Answers:
    """Sent by the model with `note_score`."""

    score: Score
    name: str = ""
    to: str = ""
    times: int = 1
    day: date | None = None


async def note(arguments: Answers, context: CallContext) -> Outcome:
    told = {"name": arguments.name, "addressee": arguments.to, "day": str(arguments.day)}
    return Answer({"noted": arguments.score.value}, {"score": arguments.score.value} | told)


ON, ENDS = calls("handoff_to_next_agent", reason="they agreed"), calls("end_conversation", reason="task_complete")
NOTE = FunctionSpec("note_score", "Notes the score that the caller presses.", Answers, note)
ROSTER = (
    AgentSpec(
        "opener", "interviewer", "You ask for a minute.", "Do you have a minute? Press one for yes.", "aura-2-luna-en",
        (handoff_to_next_agent("asker"), END_CONVERSATION), (soft("asker"),),
    ),
    AgentSpec(
        "asker", "interviewer", "You ask. Keys count.", "How was it, from one to three?", "aura-2-mars-en",
        (NOTE, handoff_to_next_agent("closer")), (soft("closer"),),
    ),
    AgentSpec("closer", "thanks", "You thank.", "Thank you for your answers.", "aura-2-luna-en", (END_CONVERSATION,)),
)  # fmt: skip
SCORE = calls("note_score", score=3, name="Ann", to="Ben", times=2, day="2027-03-24")
GOODBYE = (says("You're welcome, bye."), answers("closer", "Goodbye.", calls=ENDS))
SURVEY = conversation(
    presses("1"),
    answers("opener", calls=ON),
    presses("3#"),
    answers("asker", "A three. Shall we leave it at that?", calls=SCORE),
    says("Yes."),
    answers("asker", calls=ON),
    *GOODBYE,
)


@pytest.mark.parametrize("keeps", [False, True])
async def test_keys_are_no_words_of_the_callers_and_a_consent(autojump_clock: MockClock, keeps: bool) -> None:
    call = await play(ROSTER, SURVEY, policy=CallPolicy(numbers=Numbers(chunk_frames=8), keep_digits=keeps))

    call.expect_agents("opener", "asker", "closer").expect_handoff("asker", how="soft")
    call.expect_brief("closer", score="3", name="Ann", addressee="Ben").expect_outcome("completed")
    assert call.broken == []


async def test_an_argument_may_have_any_name_and_a_value_of_its_own_type(autojump_clock: MockClock) -> None:
    call = await play(ROSTER, SURVEY)

    call.expect_called("note_score", name="Ann", to="Ben", day=date(2027, 3, 24))
    call.expect_called("note_score", score=pytest.approx(2.9, abs=0.2))
    with pytest.raises(ExpectationFailed, match=r"with score=<Score.BAD: '1'>; it was called at"):
        call.expect_called("note_score", score=Score.BAD)


async def test_an_argument_that_the_function_does_not_have_is_not_taken_for_none(autojump_clock: MockClock) -> None:
    odd = attrs.evolve(SCORE, arguments={**SCORE.arguments, "mood": True})
    steps = (presses("1"), answers("opener", calls=ON), presses("3#"), answers("asker", "A three?", calls=odd))
    call = await play(ROSTER, conversation(*steps, says("Yes."), answers("asker", calls=ON), *GOODBYE))

    call.expect_called("note_score", mood=True, score=Score.GOOD)
    with pytest.raises(ExpectationFailed, match="mood=None"):
        call.expect_called("note_score", mood=None)


class Stars(Enum):
    ONE = 1
    THREE = 3


@attrs.frozen
class Rated:
    stars: Stars
    day: Literal["Monday", "Friday"] = "Friday"
    sure: bool = False
    guests: int = 2


async def rated(arguments: Rated, context: CallContext) -> Outcome:
    return Answer({"noted": arguments.stars.value})


@pytest.mark.parametrize("sent", [{"stars": "3"}, {"stars": 3.0, "day": "friday"}, {"stars": " 3 ", "sure": "false"}])
async def test_arguments_are_expected_as_the_function_reads_them(
    autojump_clock: MockClock, sent: Mapping[str, JSON]
) -> None:
    """A model may write a number as text, a word in another case, and leave out what has a default."""
    agents = (
        AgentSpec(
            "desk", "clerk", "You rate.", "How was it?", "aura-2-luna-en",
            (FunctionSpec("rate", "Rates.", Rated, rated), END_CONVERSATION),
        ),
    )  # fmt: skip
    call = await play(
        agents,
        conversation(
            says("It was good."), answers("desk", "Noted.", calls=calls("rate", **sent)),
            says("Goodbye."), answers("desk", "Goodbye.", calls=ENDS),
        ),
    )  # fmt: skip

    call.expect_called("rate", stars=Stars.THREE, day="Friday", sure=False, guests=2)
    call.expect_called("rate", None, **sent)
    for wrong in ({"stars": Stars.ONE}, {"day": "Monday"}, {"guests": 3}):
        with pytest.raises(ExpectationFailed, match="expected rate to be called with"):
            call.expect_called("rate", None, **wrong)


def test_an_answer_to_keys_is_given_when_the_agent_is_told_of_them() -> None:
    heard = [turn.hears for turn in SURVEY.agents["asker"].turns]

    assert heard == ["The caller pressed 3 on the keypad.", "Yes."]
    assert [turn.hears for turn in keyed("12#34").agents["opener"].turns] == [
        "The caller pressed 1 2, then 3 4 on the keypad."
    ]


def keyed(digits: str) -> Scenario:
    return conversation(presses(digits), answers("opener", "Thank you."))


async def test_a_double_for_a_misspelt_function_is_told_which_one_is_meant(autojump_clock: MockClock) -> None:
    with pytest.raises(NoSuchFunction, match="no agent has 'note_scor'; did you mean 'note_score'"):
        await play(ROSTER, SURVEY, functions={"note_scor": note})
