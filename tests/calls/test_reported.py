"""What people report of other voice agents on the telephone, in whole calls: real actors, two ends by hand.

Each test names the report it is about.
"""

from contextlib import suppress

import attrs
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from actors.facts import CallerSilent, FunctionAnswered, SessionCrashed, TurnHeard
from actors.session.function_calls import DONE_ONCE
from agents.functions import END_CONVERSATION, Answer, CallContext, FunctionSpec, Outcome
from agents.roster import load_roster
from agents.sentences import ENGLISH
from protocol.deepgram import (
    AgentAudioDone,
    ConversationText,
    FunctionCall,
    FunctionCallRequest,
    FunctionCallResponse,
    InjectAgentMessage,
    InjectUserMessage,
)
from tests.actors.fakes import END, NoArguments, agent, calls
from tests.calls.by_hand import STARTED, HandCall, a_call, sentence, voice
from tests.calls.test_turns import BUDGET, POLICY, said_for, say_what_is_asked, was_hung_up_on


async def leave(call: HandCall) -> None:
    """Have the agent say goodbye, and call nothing."""
    await call.greet()
    await call.speak("That is all, thank you.")
    await call.far.say(*sentence(1, "Goodbye then.", 2.0))


# gptme/gptme-contrib#795, jferreiros/vortex#217: a model that says goodbye again and again, and never hangs up


@pytest.mark.parametrize("again", ["Thank you for calling, goodbye.", "I'll end the call now.", ""])
async def test_an_agent_that_says_goodbye_and_calls_nothing_holds_no_silent_caller(
    again: str, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await leave(call)
        reminded = await call.far.hear(InjectUserMessage)
        if again:
            await call.far.say(ConversationText("user", reminded.content), *sentence(2, again, 2.0))
        left = call.phone.now
        with suppress(ConnectionClosed):
            await say_what_is_asked(call, 30)
        await call.over.wait()

        assert call.ended.outcome == "completed"
        assert call.ended.duration < left + 2.0 + BUDGET + POLICY.deadlines.farewell_noise
        assert call.phone.heard(2) == (2.0 if again else 0.0)
        assert call.phone.heard(9) == 0.0


async def test_a_caller_who_speaks_behind_such_a_goodbye_is_answered(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await leave(call)
        reminded = await call.far.hear(InjectUserMessage)
        await call.far.say(ConversationText("user", reminded.content), *sentence(2, "Goodbye!", 1.0))
        await call.far.hear_for(4.5)
        call.phone.is_loud = True
        await call.far.hear_for(3)
        call.phone.is_loud = False
        await call.speak("One more thing, when do you open?")
        await call.far.say(*sentence(3, "At nine.", 1.0))
        await call.far.hear_for(8)

        assert not was_hung_up_on(call)
        assert call.phone.heard(3) == 1.0


async def test_an_agent_that_goes_on_when_it_is_reminded_ends_nothing(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await leave(call)
        reminded = await call.far.hear(InjectUserMessage)
        await call.far.say(ConversationText("user", reminded.content), *sentence(2, "Is there anything else?", 1.0))
        await call.far.hear_for(9)

        assert not was_hung_up_on(call)


# bolna-ai/bolna#793: the caller speaks into each goodbye, and the agent says the next one for ever


async def test_a_caller_who_speaks_into_each_goodbye_ends_the_call_all_the_same(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        for tone in range(1, 6):
            await call.far.say(*sentence(tone, "Goodbye then.", 2.0), *([END] if tone < 4 else []))
            await call.far.hear_for(1)
            await call.speak("Yes, yes, and another thing.")
            await call.far.hear_for(0.3)
        with trio.fail_after(5):
            await call.over.wait()

        assert call.ended.outcome == "completed"
        assert len(call.facts(FunctionAnswered)) == 3


# livekit/agents-js#222, livekit/agents#323: a caller who pauses in a sentence hears an answer to each half


async def test_of_the_answers_to_the_two_halves_of_a_sentence_the_second_is_heard(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("I would like to book.")
        await call.far.hear_for(0.4)
        await call.speak("", 0.5, heard=False)
        await call.far.hear_for(0.2)
        await call.far.say(*sentence(1, "Gladly. For which day?", 2.0))
        await call.far.hear_for(0.4)
        await call.far.say(ConversationText("user", "For Tuesday."))
        await call.far.hear_for(0.8)
        await call.far.say(*sentence(2, "Tuesday it is.", 1.0))
        await call.far.hear_for(6)

        assert (call.phone.heard(1), call.phone.heard(2)) == (0.4, 1.0)
        assert said_for(call) == []


# dograh-hq/dograh#561, sonichi/sutando#4146: a number in pieces, each of them a turn to the service


async def test_a_caller_who_says_a_number_in_pieces_is_talked_over_for_no_longer_than_a_moment(
    autojump_clock: MockClock,
) -> None:
    pieces = ["My number is.", "Zero one seven two.", "Four five five.", "Nine nine eight one."]
    async with a_call() as call:
        await call.greet()
        await call.speak(pieces[0])
        for tone, piece in enumerate(pieces[1:], 1):
            await call.far.hear_for(0.5)
            await call.far.say(voice(tone, 0.5), ConversationText("assistant", "Please go on."))
            await call.far.hear_for(0.2)
            await call.speak(piece, 1.2)
        await call.far.hear_for(0.7)
        await call.far.say(*sentence(5, "Thank you. Shall I read it back?", 2.0))
        await call.far.hear_for(5)

        assert [call.phone.heard(tone) for tone in range(1, 6)] == [0.2, 0.2, 0.2, 0.0, 2.0]
        assert [fact.text for fact in call.facts(TurnHeard)] == pieces
        assert said_for(call) == []


# 5uck1ess/cicero#76: a caller hears one filler, asks "Hello?", and what they waited for is lost


@pytest.mark.parametrize("into", [0.3, 2.0])
async def test_a_caller_who_asks_whether_anybody_is_there_is_answered_once(
    into: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("What does it cost?")
        asked = await call.far.hear(InjectAgentMessage)
        await call.far.say(*sentence(9, asked.message, 1.0))
        await call.far.hear_for(into)
        await call.speak("Hello?")
        await call.far.hear_for(2.0)
        await call.far.say(*sentence(1, "Yes, I am here. It is ten pounds a month.", 2.0))
        await call.far.hear_for(8)

        assert call.phone.heard(1) == 2.0
        assert said_for(call) == [asked.message]
        assert call.facts(SessionCrashed) == []


# HybridAIOne/hybridclaw#1503, livekit/agents#3418: the caller says something while a function is at work


@pytest.mark.parametrize("text", ["Okay.", "And I have an email address, too."])
async def test_what_a_caller_says_while_a_function_is_at_work_costs_nobody_its_answer(
    text: str, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Is Tuesday free?")
        asked = call.phone.now
        await call.far.say(*sentence(1, "Let me look that up.", 1.0), calls("dawdle"))
        await call.far.hear_for(1.5)
        await call.speak(text, 0.6)
        await call.far.hear_for(0.5)
        await call.far.say(*sentence(2, "Thanks for your patience.", 1.0))
        await call.far.hear(FunctionCallResponse)
        await call.far.hear_for(0.5)
        await call.far.say(*sentence(3, "Tuesday at nine is free.", 2.0))
        await call.far.hear_for(8)

        assert [call.phone.heard(tone) for tone in (1, 2, 3)] == [1.0, 1.0, 2.0]
        assert len(call.facts(FunctionAnswered)) == 1
        assert max(call.phone.silences(asked, asked + 8)) < BUDGET


# livekit/agents#4554, #6411: a model answers with the function, and again behind its result


@pytest.mark.parametrize("is_done", [True, False])
async def test_an_answer_before_a_function_and_one_behind_it_are_both_heard(
    is_done: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Is Tuesday free?")
        first = sentence(1, "Tuesday at nine is free, shall I book it?", 3.0, done=is_done)
        await call.far.say(*first, calls("look_up"))
        await call.far.hear(FunctionCallResponse)
        await call.far.say(*([] if is_done else [AgentAudioDone()]))
        await call.far.hear_for(0.4)
        await call.far.say(*sentence(2, "So, Tuesday at nine is free.", 2.0))
        await call.far.hear_for(8)

        assert (call.phone.heard(1), call.phone.heard(2)) == (3.0, 2.0)
        assert said_for(call) == []


# bolna-ai/bolna#842, #707: a noise cuts the question whether the caller is there, and the call goes on for ever


@pytest.mark.parametrize("noise", [0.2, 0.6])
async def test_noises_into_the_questions_hold_no_silent_call(noise: float, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Hm.")
        await call.far.say(*sentence(1, "What is your name?", 1.0))
        began = call.phone.now
        with suppress(ConnectionClosed):
            for _ in range(2):
                asked = await call.far.hear(InjectAgentMessage)
                await call.far.say(*sentence(9, asked.message, 1.0))
                await call.far.hear_for(0.3)
                await call.speak("", noise, heard=False)
            await say_what_is_asked(call, 30)
        await call.over.wait()

        assert said_for(call)[-1] == ENGLISH.silent_goodbye
        assert call.facts(CallerSilent)
        assert call.ended.duration < began + 45


# jambonz/jambonz-feature-server#282: keys that are pressed while a function is at work


async def test_keys_that_are_pressed_while_a_function_is_at_work_are_told_at_once(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Check my card, please.")
        await call.far.say(*sentence(1, "Please type your PIN.", 1.0), calls("dawdle"))
        await call.far.hear_for(1.5)
        for key in "4711#":
            await call.phone.press(key)
        told = await call.far.hear(InjectUserMessage)
        await call.far.say(ConversationText("user", told.content), *sentence(2, "Thank you.", 1.0))
        await call.far.hear(FunctionCallResponse)
        await call.far.say(*sentence(3, "It is valid.", 2.0))
        await call.far.hear_for(6)

        assert "4 7 1 1" in told.content
        assert [call.phone.heard(tone) for tone in (1, 2, 3)] == [1.0, 1.0, 2.0]
        assert len(call.facts(FunctionAnswered)) == 1


# gojargo/jargo#76, livekit/agents#3702: a model calls a function again when the caller speaks on, and it is done twice

BOOK = calls("look_up")


@pytest.mark.parametrize("behind", [0.1, 1.5])
@pytest.mark.parametrize(
    "is_heard", [False, True], ids=["of which they have heard nothing", "of which they have heard"]
)
@pytest.mark.parametrize("done", [True, False], ids=["each reply ends", "the end of a reply is not told"])
async def test_a_function_is_done_once_until_the_caller_has_heard_of_it(
    done: bool, is_heard: bool, behind: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Book it for Tuesday.")
        await call.far.say(*sentence(1, "I will see to that.", 0.5, done=done), BOOK)
        await call.far.hear(FunctionCallResponse)
        await call.far.say(*(sentence(2, "It is booked for Tuesday.", 1.0, done=done) if is_heard else []))
        await call.far.hear_for(behind)
        await call.speak("Please.", 0.5)
        await call.far.say(BOOK)
        await call.far.hear(FunctionCallResponse)
        await call.far.say(*sentence(3, "It is booked.", 1.0))
        await call.far.hear_for(3)

        first, again = call.facts(FunctionAnswered)
        assert (first.result, again.result) == (first.result, first.result)
        assert (again.took > 0) is is_heard
        assert call.phone.heard(3) == 1.0


@pytest.mark.parametrize(("name", "is_lasting"), [("order", True), ("look_up", False)])
@pytest.mark.parametrize("is_at_work", [False, True], ids=["done", "at work"])
async def test_another_one_before_anything_of_the_first_is_heard_is_told_to_have_been_done_once(
    is_at_work: bool, name: str, is_lasting: bool, autojump_clock: MockClock
) -> None:
    done: list[str] = []

    async def work(_arguments: NoArguments, _context: CallContext) -> Outcome:
        await trio.sleep(2.0 if is_at_work else 0.1)
        done.append(name)
        return Answer("Ordered.")

    spec = FunctionSpec(name, "Orders one.", NoArguments, work, defer_until_eot=is_lasting)
    async with a_call(load_roster([attrs.evolve(agent("only"), functions=(spec, END_CONVERSATION))])) as call:
        await call.greet()
        await call.speak("One pizza.")
        await call.far.say(calls(name))
        if not is_at_work:
            await call.far.hear(FunctionCallResponse)
        await call.speak("Another one.", 0.4)
        await call.far.say(FunctionCallRequest((FunctionCall("again", name, "{}", True),)))
        answers = [(await call.far.hear(FunctionCallResponse)).content for _ in range(1 + is_at_work)]
        await call.speak("Hm.", 0.3)
        await call.far.say(calls(name))
        answers.append((await call.far.hear(FunctionCallResponse)).content)
        assert answers[is_at_work:] == 2 * ["Ordered." + DONE_ONCE * is_lasting]
        assert done == [name]

        await call.far.say(*sentence(3, "One is ordered. Another one?", 1.0))
        await call.far.hear_for(1.5)
        await call.speak("Yes.")
        await call.far.say(calls(name))
        assert (await call.far.hear(FunctionCallResponse)).content == "Ordered."
        assert len(done) == 2


async def test_what_has_failed_is_not_told_to_have_been_done_once(autojump_clock: MockClock) -> None:
    async def fail(_arguments: NoArguments, _context: CallContext) -> Outcome:
        await trio.sleep(2)
        raise ValueError("the kitchen is closed")

    spec = FunctionSpec("order", "Orders one.", NoArguments, fail, defer_until_eot=True)
    async with a_call(load_roster([attrs.evolve(agent("only"), functions=(spec, END_CONVERSATION))])) as call:
        await call.greet()
        await call.speak("One pizza.")
        await call.far.say(calls("order"), FunctionCallRequest((FunctionCall("again", "order", "{}", True),)))

        first, again = [(await call.far.hear(FunctionCallResponse)).content for _ in range(2)]

        assert first == again
        assert DONE_ONCE not in first


@pytest.mark.parametrize("is_told_before", [True, False])
async def test_a_function_is_done_once_though_the_caller_speaks_while_its_session_is_lost(
    is_told_before: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Book it for Tuesday.")
        await call.far.say(*sentence(1, "I will see to that.", 0.3), BOOK)
        await call.far.hear_for(0.1)
        if is_told_before:
            await call.speak("Hello?", 0.3)
        call.far.socket.drop()
        call.far = await call.service.live()
        if not is_told_before:
            await call.speak("Hello?", 0.3)
        await call.far.say(BOOK)
        answer = await call.far.hear(FunctionCallResponse)

        assert "broken off" in answer.content


async def test_a_function_at_work_is_done_once_though_the_caller_hears_words_before_its_session_is_lost(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Book it for Tuesday.")
        await call.far.say(calls("dawdle"))
        await call.far.hear_for(0.1)
        await call.far.say(*sentence(2, "One moment.", 0.5))
        await call.far.hear_for(0.6)
        await call.speak("Hello?", 0.3)
        call.far.socket.drop()
        call.far = await call.service.live()
        await call.far.say(calls("dawdle"))

        assert "broken off" in (await call.far.hear(FunctionCallResponse)).content


# A speaker phone: what sounds comes back, is heard as the start of speech, and ends with the cut


@pytest.mark.parametrize("seconds", [3.0, 20.0])
async def test_a_reply_is_heard_to_its_end_on_a_line_that_carries_it_back(
    seconds: float, autojump_clock: MockClock
) -> None:
    async with a_call() as call, trio.open_nursery() as nursery:
        await call.greet()
        await call.speak("What does it cost?")
        asked = call.phone.now
        await call.far.say(*sentence(1, "It is a long story.", seconds))

        async def echo() -> None:
            heard = call.phone.heard(1)
            while True:
                await trio.sleep(0.1)
                before, heard = heard, call.phone.heard(1)
                if heard > before and not call.phone.is_loud:
                    call.phone.is_loud = True
                    await trio.sleep(0.3)
                    await call.far.say(STARTED)
                call.phone.is_loud = heard > before

        nursery.start_soon(echo)
        await call.far.hear_for(seconds + 8)
        nursery.cancel_scope.cancel()

        assert call.phone.heard(1) == seconds
        assert max(call.phone.silences(asked, asked + seconds)) < BUDGET
