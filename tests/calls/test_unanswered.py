"""A service that is slow, or falls silent, where an agent owes a goodbye or has only begun to hear the caller.

Two ends by hand, as in `by_hand`; times are the mock clock's.
"""

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from actors.facts import SessionCrashed
from actors.policy import CallPolicy
from agents.sentences import ENGLISH
from protocol.deepgram import (
    ConversationText,
    FunctionCallResponse,
    InjectAgentMessage,
    InjectUserMessage,
    ServiceWarning,
)
from tests.actors.fakes import END, ROSTER, calls
from tests.calls.by_hand import STARTED, HandCall, a_call, sentence, voice
from tests.faults.short import filler_clips

DEADLINES = CallPolicy().deadlines
BUDGET = DEADLINES.silence_budget + 0.2
"""And what this coarse world may be late by."""
SLOW = ServiceWarning("SLOW_THINK_REQUEST", "We have now waited 5 seconds for a think response.")


async def end_without_words(call: HandCall) -> None:
    """Have the agent end the conversation before it has said goodbye: it is told to say it."""
    await call.greet()
    await call.speak("That is all, bye.")
    await call.far.say(END)
    assert "goodbye" in (await call.far.hear(FunctionCallResponse)).content


async def test_a_goodbye_of_a_slow_model_is_waited_for(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await end_without_words(call)
        for _ in range(2):
            await call.far.hear_for(5)
            await call.far.say(SLOW)
        await call.far.hear_for(3)
        await call.far.say(*sentence(1, "Goodbye then.", 1.0))
        await call.over.wait()

        assert call.phone.heard(1) == 1.0
        assert call.line.asked[0][0] == "hang_up"


async def test_a_goodbye_that_never_comes_is_said_by_the_telephone_network(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await end_without_words(call)
        await call.over.wait()

        assert call.line.asked[0][0] == "redirect"
        assert ENGLISH.farewell in call.line.asked[0][1]
        assert call.ended.outcome == "completed"
        assert call.ended.functions[-1].result == {"ended": True}


async def test_lost_marks_make_no_silence_longer_where_a_goodbye_is_waited_for(autojump_clock: MockClock) -> None:
    async with a_call(clips=filler_clips(*{agent.voice for agent in ROSTER.agents.values()})) as call:
        await call.greet()
        await call.speak("That is all, bye.")
        call.phone.loses = 99
        asked = call.phone.now
        await call.far.say(END)
        await call.far.hear_for(9)

        assert max(call.phone.silences(asked)) <= BUDGET


async def test_a_caller_who_was_heard_and_not_understood_is_asked_before_long(autojump_clock: MockClock) -> None:
    """Line and service agree that somebody has spoken, and the session has died behind that."""
    async with a_call() as call:
        await call.greet()
        call.phone.is_loud = True
        await call.far.hear_for(0.2)
        await call.far.say(STARTED)
        await call.far.hear_for(1.0)
        call.phone.is_loud = False
        await call.far.say(ServiceWarning("ANY", "It is there to the end of the words."))
        await call.far.hear_for(DEADLINES.latest_transcript + 0.5)

        assert [asked.message for asked in call.far.said(InjectAgentMessage)] == [ENGLISH.still_there]


@pytest.mark.parametrize("text", ["", " … "])
async def test_a_sound_that_the_service_says_is_no_word_costs_no_question(text: str, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("", 1.0, heard=False)
        await call.far.say(ServiceWarning("ANY", "It is there to the end of the words."))
        await call.far.hear_for(0.5)
        await call.far.say(ConversationText("user", text))
        await call.far.hear_for(DEADLINES.latest_transcript + 1.0)

        assert call.far.said(InjectAgentMessage) == []


async def test_the_next_session_asks_nobody_whether_they_are_there_whose_words_it_has_yet_to_hear(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        call.phone.is_loud = True
        await call.far.hear_for(0.6)
        call.phone.is_loud = False
        with suppress(trio.TooSlowError), trio.fail_after(20):
            while not call.facts(SessionCrashed):
                await call.far.hear_for(0.5)
        call.far = await call.service.live()
        await call.far.hear_for(1.5)

        asked = [each.message for each in call.far.said(InjectAgentMessage)]
        assert asked
        assert ENGLISH.still_there not in asked


async def test_nobody_is_asked_whether_they_are_there_while_they_press_keys(autojump_clock: MockClock) -> None:
    """The end of what the agent has said is lost: it might have been broken off."""
    async with a_call() as call:
        await call.far.say(*sentence(0, "What is your number?", 1.0, done=False))
        await call.far.hear_for(2.5)
        for key in "12":
            await call.phone.press(key)
            await call.far.hear_for(1.0)
        await call.far.hear_for(2.5)

        asked = [each.message for each in call.far.said(InjectAgentMessage)]
        assert ENGLISH.still_there not in asked
        assert [told.content for told in call.far.said(InjectUserMessage)] == ["The caller pressed 1 2 on the keypad."]


async def test_nor_is_anybody_asked_at_the_end_of_a_long_entry(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        for key in "12345678":
            await call.phone.press(key)
            await call.far.hear_for(1.8)
        told = await call.far.hear(InjectUserMessage)
        await call.far.say(STARTED, ConversationText("user", told.content), *sentence(1, "Thank you.", 1.0))
        await call.far.hear_for(3)

        assert call.far.said(InjectAgentMessage) == []
        assert call.phone.heard(1) == 1.0


@pytest.mark.parametrize("behind", [0.1, 0.5])
@pytest.mark.parametrize("noise", [0.9, 1.1])
async def test_a_clip_is_heard_whole_though_the_service_takes_what_it_is_told_for_the_caller(
    noise: float, behind: float, autojump_clock: MockClock
) -> None:
    """A turn is asked again after a noise; the service says UserStartedSpeaking before the echo of it."""
    async with a_call(clips={(ROSTER.agents["first"].voice, ENGLISH.filler): voice(3, 1.0).data}) as call:
        await call.greet()
        await call.speak("What does it cost?")
        asked = call.phone.now
        await call.far.hear_for(noise)
        await call.speak("", 0.2, heard=False)
        told = await call.far.hear(InjectUserMessage)
        await call.far.hear_for(behind)
        await call.far.say(STARTED, ConversationText("user", told.content))
        await call.far.hear_for(1.5)
        await call.far.say(*sentence(1, "It is free.", 1.0))
        await call.far.hear_for(2)

        assert (call.phone.heard(3), call.phone.heard(1)) == (1.0, 1.0)
        assert max(call.phone.silences(asked, asked + 6)) <= BUDGET


async def test_a_noise_into_a_filler_that_comes_no_faster_than_it_is_spoken_asks_for_no_rest_of_it(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Is Tuesday free?")
        await call.far.say(*sentence(1, "Let me look.", 1.0), calls("look_up"))
        await call.far.hear(FunctionCallResponse)
        asked = await call.far.hear(InjectAgentMessage)
        await call.far.say(voice(9, 0.04), ConversationText("assistant", asked.message))
        for _ in range(12):
            await call.far.hear_for(0.04)
            await call.far.say(voice(9, 0.04))
        await call.speak("", 0.2, heard=False)
        told = await call.far.hear(InjectUserMessage)

        assert told.content == "Is Tuesday free?"
