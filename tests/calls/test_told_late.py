"""Whole calls in which a message comes late, early, twice or not at all: real actors, two ends by hand."""

from trio.testing import MockClock

from protocol.deepgram import AgentAudioDone, FunctionCallResponse
from tests.actors.fakes import END, calls
from tests.calls.by_hand import a_call, sentence
from tests.calls.test_turns import said_for, was_hung_up_on


async def test_who_ends_the_conversation_with_a_question_of_any_script_waits_for_its_answer(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("それだけです。")
        await call.far.say(*sentence(1, "「他に何かありますか？」", 1.0), END)
        await call.far.hear_for(3)

        assert not was_hung_up_on(call)


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
