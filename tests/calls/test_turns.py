"""What people report from real lines about turn-taking (C1 to C23), in whole calls: real actors, two ends by hand.

Times are the mock clock's. What the caller heard is read from the simulated telephone, never from what the switchboard
believes.
"""

from contextlib import suppress
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from actors.facts import (
    CallerSilent,
    FunctionWithdrawn,
    ReplyEnded,
    SessionCrashed,
    SessionRestarting,
    SilenceMet,
    TurnHeard,
)
from actors.line.switch import TransferOrder
from actors.policy import CallPolicy
from agents.roster import Roster
from agents.sentences import ENGLISH
from protocol.deepgram import (
    AgentAudioDone,
    CancelledCall,
    ConversationText,
    FunctionCall,
    FunctionCallCancelled,
    FunctionCallRequest,
    FunctionCallResponse,
    InjectAgentMessage,
    InjectionRefused,
    InjectUserMessage,
    ServerMessage,
    ServiceWarning,
)
from tests.actors.fakes import END, HAND_OFF, ROSTER, calls
from tests.calls.by_hand import STARTED, HandCall, a_call, sentence, voice
from tests.examples import one_in

POLICY = CallPolicy()
BUDGET = POLICY.deadlines.silence_budget + 0.2
"""And what this coarse world may be late by."""
FILLER = ENGLISH.filler
SLOW = ServiceWarning("SLOW_THINK_REQUEST", "We have now waited 5 seconds for a think response.")
WITHDRAWN = FunctionCallCancelled((CancelledCall("id-end_conversation", "end_conversation"),))


def was_hung_up_on(call: HandCall) -> bool:
    return call.line.asked != [] or call.over.is_set()


def said_for(call: HandCall) -> list[str]:
    """What the service was asked to say."""
    return [line.message for line in call.far.said(InjectAgentMessage)]


async def say_what_is_asked(call: HandCall, seconds: float) -> None:
    """Be a service that says at once what it is asked to, for so long."""
    with trio.move_on_after(seconds):
        while True:
            line = await call.far.hear(InjectAgentMessage)
            await call.far.say(*sentence(9, line.message, 1.0))


# Row C1, the goodbye is taken back


@pytest.mark.parametrize("later", one_in(2, [0.1, 2.0]))
@pytest.mark.parametrize("played", [0.5, 1.5])
async def test_a_goodbye_that_is_withdrawn_is_no_end(played: float, later: float, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye then.", 2.0), END)
        await call.far.hear_for(played)
        await call.speak("Wait, one more thing.", later, heard=False)
        await call.far.say(WITHDRAWN, ConversationText("user", "Wait, one more thing."))
        await call.far.say(*sentence(2, "Of course, what is it?", 1.0))
        await call.far.hear_for(5)

        assert not was_hung_up_on(call)
        assert [fact.name for fact in call.facts(FunctionWithdrawn)] == ["end_conversation"]
        assert call.phone.heard(2) == 1.0


# Row C2, a noise in the middle of a reply

NO_TRANSCRIPT: dict[str, list[ServerMessage]] = {
    "nothing": [],
    "audio done": [AgentAudioDone()],
    "an empty transcript": [ConversationText("user", " ")],
    "a transcript without a word": [ConversationText("user", "… ?")],
}


@pytest.mark.parametrize("follows", NO_TRANSCRIPT.values(), ids=NO_TRANSCRIPT)
@pytest.mark.parametrize("at", one_in(2, [2.5, 0.3]))
@pytest.mark.parametrize("is_whole", one_in(2, [False, True]), ids=["half sent", "all sent"])
async def test_a_noise_takes_nothing_of_a_reply_away(
    is_whole: bool, at: float, follows: list[ServerMessage], autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Tell me more.")
        began = call.phone.now
        first, rest = voice(1, 4.0 if is_whole else 3.0), [] if is_whole else [voice(1, 1.0)]
        done: list[ServerMessage] = [AgentAudioDone()]
        await call.far.say(first, ConversationText("assistant", "It is a long story."), *(done if is_whole else []))
        await call.far.hear_for(at)
        await call.speak("", 0.2, heard=False)
        await call.far.say(*(follows if is_whole else []), *rest, *([] if is_whole else done))
        await call.far.hear_for(9)

        assert call.phone.heard(1) == pytest.approx(4.0, abs=0.05)
        assert max(call.phone.silences(began, began + 4.0 + POLICY.deadlines.silence_budget)) <= BUDGET
        assert call.facts(CallerSilent) == []


async def test_an_answer_whose_words_come_behind_the_noise_is_followed_by_no_filler(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Tell me more.")
        await call.far.say(voice(1, 2.0))
        await call.far.hear_for(0.3)
        await call.speak("", 0.2, heard=False)
        await call.far.hear_for(0.3)
        await call.far.say(ConversationText("assistant", "It is a long story."), voice(1, 2.0), AgentAudioDone())
        await call.far.hear_for(11)

        assert call.phone.heard(1) == pytest.approx(4.0, abs=0.05)
        assert call.far.said(InjectAgentMessage) == []


# Row C3, speech that begins when there is nothing to cut


@pytest.mark.parametrize("before", [0.0, 0.05])
async def test_a_greeting_is_heard_though_speech_began_just_before_it(before: float, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.far.say(STARTED)
        await call.far.hear_for(before)
        await call.far.say(*sentence(1, "Hello, this is Alex.", 2.0))
        await call.far.hear_for(4)

        assert call.phone.heard(1) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("after", [0.05, 1.0])
async def test_an_answer_is_heard_though_speech_began_between_it_and_the_turn(
    after: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("What does it cost?")
        await call.far.hear_for(after)
        await call.far.say(STARTED, *sentence(1, "Ten pounds a month.", 2.0))
        await call.far.hear_for(4)

        assert call.phone.heard(1) == pytest.approx(2.0, abs=0.05)


async def test_after_a_restart_the_echo_of_the_turn_asked_again_cuts_nothing(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("What does it cost?")
        call.far.socket.drop()
        call.far = await call.service.live()
        asked = await call.far.hear(InjectUserMessage)
        await call.far.say(ConversationText("user", asked.content), STARTED, *sentence(1, "Ten pounds a month.", 2.0))
        await call.far.hear_for(4)

        assert call.phone.heard(1) == pytest.approx(2.0, abs=0.05)
        assert [fact.text for fact in call.facts(TurnHeard)] == ["What does it cost?"]


# Row C4, slow and alive


@pytest.mark.parametrize("warns", [True, False])
@pytest.mark.parametrize("seconds", one_in(2, [8.0, 15.0]))
async def test_a_slow_answer_is_filled_and_waited_for(seconds: float, warns: bool, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("What does it cost?")
        asked = call.phone.now

        async def warn() -> None:
            while warns:
                await trio.sleep(5)
                await call.far.say(SLOW)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(warn)
            await say_what_is_asked(call, seconds)
            nursery.cancel_scope.cancel()
        await call.far.say(*sentence(1, "Ten pounds a month.", 2.0))
        await call.far.hear_for(4)

        assert call.phone.heard(1) == pytest.approx(2.0, abs=0.05)
        assert call.facts(SessionRestarting) == []
        assert max(call.phone.silences(asked, asked + seconds)) <= BUDGET
        fillers = said_for(call)
        assert fillers
        assert all(one != other for one, other in pairwise(fillers))


# Row C7, a long story


@pytest.mark.parametrize("seconds", one_in(3, [40, 85, 150]))
async def test_nobody_is_told_that_they_cannot_be_heard_while_they_speak(
    seconds: int, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()

        async def refuse() -> None:
            while True:
                await call.far.hear(InjectAgentMessage)
                await call.far.say(InjectionRefused("The user is speaking."))

        call.phone.is_loud = True
        await call.far.say(STARTED)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()
        call.phone.is_loud = False
        await call.far.hear_for(0.4)
        await call.far.say(ConversationText("user", "And that was my story."))
        await call.far.say(*sentence(1, "I see.", 1.0))
        await call.far.hear_for(3)

        assert not was_hung_up_on(call)
        assert ENGLISH.silent_goodbye not in said_for(call)
        assert call.phone.heard(1) == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
async def test_nobody_is_told_that_they_cannot_be_heard_on_a_loud_line(autojump_clock: MockClock) -> None:
    """Music, for one: the service says the questions, so it is there, and hears nobody."""
    async with a_call() as call:
        await call.greet()
        call.phone.is_loud = True
        with suppress(ConnectionClosed):
            await say_what_is_asked(call, 90)
        await call.over.wait()

        assert said_for(call) == [ENGLISH.still_there] * 2 + [ENGLISH.closing]
        assert call.ended.outcome == "caller_silent"
        assert POLICY.deadlines.longest_turn < call.ended.duration < 70


# Row C13, a question into the goodbye


@pytest.mark.parametrize("at", [0.5, 1.7])
async def test_a_question_into_the_goodbye_is_answered_and_the_goodbye_said_again(
    at: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye then.", 2.0), END)
        await call.far.hear_for(at)
        call.phone.is_loud = True
        await call.far.say(STARTED)
        await call.far.hear_for(4)
        was_cut_off = was_hung_up_on(call)
        call.phone.is_loud = False
        await call.far.hear_for(0.4)
        await call.far.say(ConversationText("user", "When are you open?"))
        await call.far.hear_for(0.5)
        await call.far.say(*sentence(2, "From nine to five. Goodbye.", 2.0), END)
        with trio.fail_after(10):
            await call.over.wait()

        assert not was_cut_off
        assert '"ended": false' in call.far.said(FunctionCallResponse)[0].content
        assert call.phone.heard(1) == 2.0
        assert call.phone.heard(2) == 2.0
        assert call.line.asked[0][0] == "hang_up"
        assert call.ended.outcome == "completed"


# Row C14, words without a deed


@pytest.mark.parametrize("words", ["Of course, I'll put you through now.", "I'm transferring you now."])
async def test_an_announced_function_that_is_not_called_is_asked_for_once(
    words: str, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("May I speak to the next one?")
        await call.far.say(*sentence(1, words, 2.0))
        reminded = await call.far.hear(InjectUserMessage)
        await call.far.say(STARTED, ConversationText("user", reminded.content))
        await call.far.say(*sentence(2, "I'll put you through.", 1.0))
        await call.far.hear_for(8)

        assert "handoff_to_next_agent" in reminded.content
        assert call.far.said(InjectUserMessage) == [reminded]
        assert [fact.text for fact in call.facts(TurnHeard)] == ["May I speak to the next one?"]


@pytest.mark.parametrize(
    "said",
    [
        ("I'll put you through now.", "Goodbye!"),
        ("I'll put you through now, goodbye!",),
        ("Goodbye!", "I'll put you through now."),
    ],
)
async def test_a_goodbye_hides_no_other_function_that_is_announced_with_it(
    said: tuple[str, ...], autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("May I speak to the next one?")
        for number, text in enumerate(said, 1):
            await call.far.say(*sentence(number, text, 1.0, done=number == len(said)))
        reminded = await call.far.hear(InjectUserMessage)

        assert "handoff_to_next_agent" in reminded.content


@pytest.mark.parametrize("echoes", [True, False])
@pytest.mark.parametrize(
    "words",
    [
        *(
            ConversationText("assistant", text)
            for text in ("I'm transferring you now.", "One moment.", "Let me check.")
        ),
        *(ConversationText("assistant", "Mhm, so.", behavior) for behavior in ("filler", "backchannel")),
    ],
    ids=lambda words: f"{words.conversational_behavior}: {words.content}",
)
async def test_nobody_is_left_in_silence_behind_an_announcement(
    words: ConversationText, echoes: bool, autojump_clock: MockClock
) -> None:
    """The model does nothing, though it is reminded; the service says the filler, or says nothing more."""
    async with a_call() as call:
        await call.greet()
        await call.speak("When is my appointment?")
        await call.far.say(voice(1, 2.0), words, AgentAudioDone())
        began = call.phone.now
        reminded = await call.far.hear(InjectUserMessage)
        if echoes:
            await call.far.say(ConversationText("user", reminded.content))
            await say_what_is_asked(call, 4)
        await call.far.hear_for(6)

        assert call.far.said(InjectUserMessage) == [reminded]
        assert said_for(call)[0] == FILLER
        if echoes:
            assert call.phone.silences(began)[0] < BUDGET
        else:
            assert call.facts(SilenceMet)[0].seconds < BUDGET


# Row C16, an event that never comes


async def test_a_reply_without_an_end_is_over_when_it_has_been_played(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        for turn in range(4):
            await call.speak(f"Question {turn}?")
            await call.far.say(*sentence(1, "Let me answer that.", 2.0, done=False))
            if turn == 0:  # it may have been broken off
                await call.far.hear(InjectAgentMessage)
                await call.far.say(*sentence(2, ENGLISH.still_there, 1.0, done=False))
            await call.far.hear_for(8)

        assert said_for(call) == [ENGLISH.still_there]
        assert call.facts(SessionCrashed) == []
        assert call.phone.heard(1) == pytest.approx(8.0, abs=0.1)


# Row C17, the model's own words


@pytest.mark.parametrize("words", [FILLER, ENGLISH.still_there, ENGLISH.silent_goodbye])
async def test_what_the_model_says_itself_is_heard_whatever_its_words(words: str, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Are you there?")
        await call.far.say(voice(1, 0.02), ConversationText("assistant", words), voice(1, 1.98), AgentAudioDone())
        await call.far.hear_for(4)

        assert call.phone.heard(1) == pytest.approx(2.0, abs=0.05)
        assert words in [ended.heard for ended in call.facts(ReplyEnded)]


@pytest.mark.parametrize("words", [FILLER, ENGLISH.still_there])
async def test_the_same_goes_for_a_second_reply(words: str, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Look it up, please.")
        await call.far.say(*sentence(1, "I am looking.", 1.0))
        await call.far.hear_for(1.5)
        await call.far.say(voice(2, 0.02), ConversationText("assistant", words), voice(2, 1.98), AgentAudioDone())
        await call.far.hear_for(4)

        assert call.phone.heard(2) == pytest.approx(2.0, abs=0.05)


# Row C19, two decisions in one request

BOTH = FunctionCallRequest((*HAND_OFF.functions, *END.functions))


async def test_a_handoff_and_an_end_in_one_request_leave_no_caller_with_a_filler(autojump_clock: MockClock) -> None:
    """Nobody can be reached: the handoff was first, and the agent goes on."""
    async with a_call() as call:
        call.service.took = 60.0
        await call.greet()
        await call.speak("I would like the next one, and goodbye.")
        await call.far.say(*sentence(1, "I will pass you on.", 1.0), BOTH)
        with trio.fail_after(20):
            answers = [await call.far.hear(FunctionCallResponse) for _ in range(2)]
        await call.far.say(*sentence(2, "I could reach nobody, I am sorry.", 2.0))
        await call.far.hear_for(3)

        assert {answer.name for answer in answers} == {"handoff_to_next_agent", "end_conversation"}
        assert not was_hung_up_on(call)
        assert call.phone.heard(2) == pytest.approx(2.0, abs=0.05)


async def test_an_end_and_a_handoff_in_one_request_end_in_the_goodbye(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Goodbye.")
        await call.far.say(
            *sentence(1, "Goodbye then.", 2.0), FunctionCallRequest((*END.functions, *HAND_OFF.functions))
        )
        with trio.fail_after(10):
            await call.over.wait()

        assert call.phone.heard(1) == 2.0
        assert call.ended.outcome == "completed"
        assert call.service.attempts == 1


@pytest.mark.parametrize("reason", one_in(2, ["task_complete", "customer_goodbye"]))
async def test_a_goodbye_that_the_model_was_asked_for_ends_the_call_though_it_ends_it_once_more(
    reason: str, autojump_clock: MockClock
) -> None:
    again = FunctionCallRequest((FunctionCall("again", "end_conversation", f'{{"reason": "{reason}"}}', True),))
    async with a_call() as call:
        await call.greet()
        await call.speak("That was all.")
        await call.far.say(END)
        await call.far.hear(FunctionCallResponse)
        await call.far.say(*sentence(1, "Goodbye then.", 2.0, done=False), again, AgentAudioDone())
        with trio.fail_after(2.5):
            await call.over.wait()

    assert call.phone.heard(1) == 2.0
    assert (call.ended.outcome, call.facts(SilenceMet)) == ("completed", [])


# Row C22, words before a function


@pytest.mark.parametrize("after", [0.2, 3.0])
async def test_words_before_a_function_are_no_answer_to_it(after: float, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("What does it cost?")
        await call.far.say(*sentence(1, "Let me see.", 1.0, done=False), calls("look_up"))
        await call.far.hear_for(after)
        await call.far.say(AgentAudioDone())
        asked = call.phone.now
        await call.far.hear_for(9)

        assert call.facts(CallerSilent) == []
        assert said_for(call)[0] == FILLER
        assert max(call.phone.silences(asked, asked + 4)) <= BUDGET


# Row C23, a crash while the caller is being put through


class SlowLine:
    """A line that refuses after three seconds."""

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        await trio.sleep(3)
        raise OSError("nobody there")


def with_a_person(roster: Roster = ROSTER) -> Roster:
    first, second = (agent.with_human() for agent in roster.agents.values())
    return Roster({"first": first, "second": second}, "first")


@pytest.mark.parametrize("at", [0.5, 2.5])
async def test_a_hang_up_after_a_failed_transfer_is_no_transfer(at: float, autojump_clock: MockClock) -> None:
    async with a_call(with_a_person(), transfers=SlowLine()) as call:
        await call.greet()
        await call.speak("A person, please.")
        asks = calls("transfer_to_human", arguments='{"reason": "wants a person"}')
        await call.far.say(*sentence(1, "I'll put you through.", 1.0), asks)
        await call.far.hear_for(2.5 + at)
        call.far.socket.drop()
        call.far = await call.service.live()
        await call.far.hear_for(2)
        await call.far.say(*sentence(2, "I am still here.", 1.0))
        await call.far.hear_for(4)

    assert [fact.text for fact in call.facts(TurnHeard)] == ["A person, please."]
    assert call.ended.outcome == "caller_hung_up"


# A reply that was under way when the caller began to speak


@pytest.mark.parametrize("is_heard", [True, False])
@pytest.mark.parametrize("late", [0.0, 0.08])
@pytest.mark.parametrize("words", one_in(2, ["first", "behind"]))
async def test_a_reply_that_begins_just_behind_the_callers_words_does_not_talk_over_them(
    words: str, late: float, is_heard: bool, autojump_clock: MockClock
) -> None:
    said: list[ServerMessage] = [voice(1, 3.0), ConversationText("assistant", "It is a long story.")]
    async with a_call() as call:
        await call.greet()
        await call.speak("Tell me more.")
        await call.far.hear_for(1)
        call.phone.is_loud = True
        await call.far.hear_for(0.2)
        await call.far.say(STARTED)
        await call.far.hear_for(late)
        await call.far.say(*(said[::-1] if words == "first" else said))
        await call.far.hear_for(1)
        spoken_over = call.phone.heard(1)
        call.phone.is_loud = False
        await call.far.hear_for(0.3)
        await call.far.say(*([ConversationText("user", "Or rather, no.")] if is_heard else []), AgentAudioDone())
        await call.far.hear_for(6.5)

        assert spoken_over == 0.0
        assert call.phone.heard(1) == (0.0 if is_heard else 3.0)
