"""Whole calls in which a message comes late, early, twice or not at all: real actors, two ends by hand."""

import pytest
import trio
from trio.testing import MockClock

from actors.facts import CallerSilent
from protocol.deepgram import AgentAudioDone, FunctionCallResponse, InjectAgentMessage, InjectionRefused
from tests.actors.fakes import END, calls
from tests.calls.by_hand import STARTED, HandCall, a_call, sentence
from tests.calls.test_turns import BUDGET, POLICY, said_for, was_hung_up_on


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


async def refuse_and_say(call: HandCall, hears: trio.Event) -> None:
    """Be a service that refuses to speak while it hears the caller, and says what it is asked to otherwise."""
    while True:
        asked = await call.far.hear(InjectAgentMessage)
        await call.far.say(
            *([InjectionRefused("The user is speaking.")] if hears.is_set() else sentence(9, asked.message))
        )


@pytest.mark.parametrize("is_heard", [True, False])
async def test_who_speaks_into_a_reply_for_long_is_not_spoken_over_and_a_television_is(
    is_heard: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call, trio.open_nursery() as nursery:
        hears = trio.Event()
        await call.greet()
        await call.speak("Tell me more.")
        await call.far.say(*sentence(1, "It is a long story.", 20.0))
        await call.far.hear_for(2)
        began = call.phone.now
        if is_heard:
            hears.set()
        nursery.start_soon(refuse_and_say, call, hears)
        call.phone.is_loud = True
        await call.far.say(STARTED)
        await trio.sleep(40)
        heard, silences = call.phone.heard(9), call.phone.silences(began)
        nursery.cancel_scope.cancel(reason="the caller has finished")

        assert (heard > 0) is not is_heard
        assert is_heard or silences[0] < POLICY.deadlines.caller_silence + BUDGET


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
