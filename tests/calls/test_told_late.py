"""Whole calls in which a message comes late, early, twice or not at all: real actors, two ends by hand."""

import pytest
from trio.testing import MockClock

from actors.facts import CallerSilent
from protocol.deepgram import AgentAudioDone, FunctionCallResponse
from tests.actors.fakes import END, calls
from tests.calls.by_hand import a_call, sentence
from tests.calls.test_turns import BUDGET, said_for, was_hung_up_on


async def test_who_ends_the_conversation_with_a_question_of_any_script_waits_for_its_answer(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("それだけです。")
        await call.far.say(*sentence(1, "「他に何かありますか？」", 1.0), END)
        await call.far.hear_for(3)

        assert not was_hung_up_on(call)


# Noises


@pytest.mark.parametrize("apart", [1.6, 2.2])
async def test_three_noises_close_together_cost_no_more_silence_than_one(
    apart: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Tell me more.")
        await call.far.say(*sentence(1, "It is a long story.", 20.0))
        await call.far.hear_for(2)
        began = call.phone.now
        for _ in range(3):
            await call.speak("", 0.2, heard=False)
            await call.far.hear_for(apart)
        await call.far.hear_for(5)

        assert max(call.phone.silences(began)) < BUDGET
        assert call.facts(CallerSilent) == []


# A question that comes with a function


async def test_a_caller_who_was_asked_something_together_with_a_function_is_left_to_answer(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Can you come?")
        await call.far.say(*sentence(1, "Which day suits you?", 2.0, done=False), calls("look_up"))
        await call.far.hear(FunctionCallResponse)
        await call.far.say(AgentAudioDone())
        await call.far.hear_for(9)

        assert said_for(call) == []
        assert call.phone.heard(1) == 2.0
