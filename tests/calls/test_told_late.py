"""Whole calls in which a message comes late, early, twice or not at all: real actors, two ends by hand."""

from trio.testing import MockClock

from tests.actors.fakes import END
from tests.calls.by_hand import a_call, sentence
from tests.calls.test_turns import was_hung_up_on


async def test_who_ends_the_conversation_with_a_question_of_any_script_waits_for_its_answer(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("それだけです。")
        await call.far.say(*sentence(1, "「他に何かありますか？」", 1.0), END)
        await call.far.hear_for(3)

        assert not was_hung_up_on(call)
