"""Whole calls in which a message comes late, early, twice or not at all: real actors, two ends by hand."""

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from actors.facts import CallerSilent, SessionRestarting, SilenceMet, WarningReported
from agents.sentences import ENGLISH
from protocol.deepgram import (
    AgentAudioDone,
    ConversationText,
    FunctionCallResponse,
    InjectAgentMessage,
    InjectionRefused,
    InjectUserMessage,
    ServerMessage,
    ServiceWarning,
)
from tests.actors.fakes import END, calls
from tests.calls.by_hand import STARTED, HandCall, a_call, sentence, voice
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


@pytest.mark.parametrize("late", [3.0, 5.0])
@pytest.mark.parametrize("is_key", [True, False], ids=["keys", "a turn that is asked again"])
async def test_what_the_service_echoes_late_is_no_turn_of_the_callers_and_tells_no_keys(
    is_key: bool, late: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        if is_key:
            for key in "4711#":
                await call.phone.press(key)
        else:
            await call.speak("What does it cost?")
            call.far.socket.drop()
            call.far = await call.service.live()
        told = await call.far.hear(InjectUserMessage)
        await call.far.hear_for(late)
        await call.far.say(ConversationText("user", told.content), *sentence(1, "Thank you.", 1.0))
        await call.far.hear_for(4)
        await call.speak(told.content)

    once, again = ("(pressed 4 keys)" if is_key else "What does it cost?"), told.content
    assert [turn.text for turn in call.ended.transcript if turn.speaker == "caller"] == [once, again]
    assert call.phone.heard(1) == 1.0


@pytest.mark.parametrize("later", [3.0, 5.0])
async def test_what_the_caller_says_again_is_a_turn_though_it_was_told_without_an_echo(
    later: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("What does it cost?")
        call.far.socket.drop()
        call.far = await call.service.live()
        await call.far.hear(InjectUserMessage)
        await call.far.say(*sentence(1, "It is free.", 1.0))
        await call.far.hear_for(later)
        await call.speak("What does it cost?")

    assert [turn.text for turn in call.ended.transcript if turn.speaker == "caller"] == ["What does it cost?"] * 2


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


# A transcript that comes behind the answer


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("words", [False, True])
async def test_a_transcript_behind_the_answer_takes_nothing_of_it_and_asks_for_no_other(
    words: bool, done: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("", 0.8, heard=False)
        await call.far.hear_for(0.6)
        text = ConversationText("assistant", "On Tuesday.")
        end: list[ServerMessage] = [AgentAudioDone()]
        await call.far.say(voice(1, 1.0), *([text] if words else []))
        await call.far.hear_for(0.4)
        await call.far.say(voice(1, 1.0), *(end if done else []), ConversationText("user", "When can you come?"))
        await call.far.hear_for(0.2)
        await call.far.say(*([] if words else [text]), *([] if done else end))
        await call.far.hear_for(8)

        assert call.phone.heard(1) == pytest.approx(2.0, abs=0.05)
        assert said_for(call) == []
        assert call.facts(SilenceMet) == []

    assert [(turn.speaker, turn.text) for turn in call.ended.transcript][-2:] == [
        ("caller", "When can you come?"),
        ("first", "On Tuesday."),
    ]


@pytest.mark.parametrize("after", [0.0, 0.4])
async def test_a_transcript_between_the_words_of_the_answer_and_their_audio_cuts_nothing(
    after: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("", 0.8, heard=False)
        await call.far.hear_for(0.6)
        await call.far.say(ConversationText("assistant", "On Tuesday."))
        await call.far.hear_for(after)
        await call.far.say(ConversationText("user", "When can you come?"))
        await call.far.hear_for(after)
        await call.far.say(voice(1, 2.0), AgentAudioDone())
        await call.far.hear_for(8)

        assert call.phone.heard(1) == 2.0
        assert said_for(call) == []

    assert [(turn.speaker, turn.text, turn.heard) for turn in call.ended.transcript][-2:] == [
        ("caller", "When can you come?", "When can you come?"),
        ("first", "On Tuesday.", "On Tuesday."),
    ]


async def test_an_answer_whose_audio_never_comes_is_none_though_its_words_came_first(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("", 0.8, heard=False)
        began = call.phone.now
        await call.far.hear_for(0.6)
        await call.far.say(ConversationText("assistant", "On Tuesday."), ConversationText("user", "When can you come?"))
        await call.far.hear(InjectAgentMessage)

        assert call.phone.now - began < BUDGET


async def test_words_that_the_goodbye_answers_do_not_bring_the_conversation_back(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("", 0.8, heard=False)
        await call.far.hear_for(0.6)
        await call.far.say(*sentence(1, "Goodbye then.", 1.0), END, ConversationText("user", "That is all, thank you."))
        with trio.fail_after(5):
            await call.over.wait()

        assert call.phone.heard(1) == 1.0
        assert call.far.said(FunctionCallResponse) == []
        assert call.ended.outcome == "completed"


async def test_words_cut_an_answer_though_the_service_has_told_no_start_of_them(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Tell me more.")
        await call.far.say(*sentence(1, "It is a long story.", 20.0))
        await call.far.hear_for(2)
        call.phone.is_loud = True
        await call.far.hear_for(1)
        call.phone.is_loud = False
        await call.far.hear_for(0.5)
        await call.far.say(ConversationText("user", "Stop."))
        await call.far.hear_for(0.5)
        await call.far.say(*sentence(2, "Of course.", 1.0))
        await call.far.hear_for(3)

        assert call.phone.heard(1) == pytest.approx(3.5, abs=0.1)
        assert call.phone.heard(2) == 1.0


# A recording that begins anew


async def test_a_queue_that_plays_its_announcement_again_and_again_is_not_answered_for_ever(
    autojump_clock: MockClock,
) -> None:
    announcement = "Thank you for holding. All of our agents are busy. Please stay on the line for the next one."
    async with a_call() as call:
        await call.greet()
        with suppress(ConnectionClosed):
            for _ in range(20):
                await call.speak(announcement, 4.0)
                await call.far.say(*sentence(1, "I will wait.", 1.0))
                await call.far.hear_for(10)
        with trio.fail_after(10):
            await call.over.wait()

        assert call.ended.outcome == "machine"
        assert call.phone.heard(1) == pytest.approx(4.0, abs=1.0)


# A service that refuses to speak


@pytest.mark.parametrize("speaks", [False, True])
async def test_a_service_that_refuses_every_question_holds_no_silent_call(
    speaks: bool, autojump_clock: MockClock
) -> None:
    """It never refuses what interrupts. Where the line carries a voice, it may be right that the caller speaks."""
    async with a_call() as call, trio.open_nursery() as nursery:
        await call.greet()

        async def refuse() -> None:
            with suppress(ConnectionClosed):
                while True:
                    asked = await call.far.hear(InjectAgentMessage)
                    said = sentence(9, asked.message)
                    await call.far.say(*(said if asked.behavior == "interrupt" else [InjectionRefused("Not now.")]))

        nursery.start_soon(refuse)
        for _ in range(8):
            call.phone.is_loud = speaks
            await trio.sleep(0.2)
            call.phone.is_loud = False
            await trio.sleep(9.8)
        over = call.over.is_set()
        nursery.cancel_scope.cancel(reason="the test has heard enough")

        assert over is not speaks

    assert call.ended.outcome == ("caller_hung_up" if speaks else "caller_silent")
    assert (call.phone.heard(9) > 0) is not speaks


@pytest.mark.parametrize("who", ["USER", "AGENT"])
async def test_a_service_that_refuses_by_a_warning_is_there(who: str, autojump_clock: MockClock) -> None:
    """It is asked again, and not restarted, when it will not ask a silent caller whether they are there."""
    refusal = ServiceWarning(f"INJECT_AGENT_MESSAGE_DURING_{who}_SPEECH", "An injection was ignored.")
    async with a_call() as call:
        await call.greet()
        await call.far.hear(InjectAgentMessage)
        await call.far.say(refusal)
        again = await call.far.hear(InjectAgentMessage)
        await call.far.say(*sentence(1, again.message, 1.0))
        await call.far.hear_for(2)

        assert call.phone.heard(1) == 1.0
        assert call.facts(SessionRestarting) == []


# Words of the agent's that come back


@pytest.mark.parametrize("is_echo", [True, False])
async def test_a_caller_who_reads_back_what_they_hear_is_answered_and_an_echo_is_not(
    is_echo: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("When can you come?")
        await call.far.say(*sentence(1, "You are booked for Tuesday at nine in the morning.", 6.0))
        await call.far.hear_for(3)
        await call.speak("", 0.5 if is_echo else 2.0, heard=False)
        await call.far.hear_for(0.8)
        await call.far.say(ConversationText("user", "Tuesday at nine in the morning?"))
        await call.far.hear_for(6)

        assert call.phone.heard(1) == pytest.approx(6.0 if is_echo else 3.0, abs=0.1)
        assert said_for(call)[:1] == ([] if is_echo else [ENGLISH.filler])
        assert [fact.code for fact in call.facts(WarningReported)] == (["AGENT_ECHO"] if is_echo else [])
