"""Messages that are lost, come twice or too early, and decisions that a noise or a word meets, in whole calls by hand.

What the caller heard is read from the simulated telephone, and what is left from the record. The scripts of the turn
alone are in `tests/actors/turn/test_lost.py`.
"""

from contextlib import suppress

import orjson
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from actors.facts import (
    CallClosing,
    FrameRefused,
    GoodbyeHeard,
    GoodbyeStarted,
    HandoffAsked,
    ReplyEnded,
    SessionCrashed,
    SilenceMet,
    TransferAsked,
    TurnHeard,
)
from actors.messages import EndCallNow
from actors.policy import CallPolicy, Deadlines
from actors.record.resumption import Resumption
from agents.sentences import ENGLISH
from protocol.deepgram import (
    AgentAudioDone,
    CancelledCall,
    ConversationText,
    FunctionCallCancelled,
    FunctionCallResponse,
    HistoryCalls,
    HistoryText,
    InjectAgentMessage,
    InjectionRefused,
    InjectUserMessage,
    ServerMessage,
)
from tests.actors.fakes import CALL_SID, END, HAND_OFF, calls
from tests.calls.by_hand import STARTED, HandCall, a_call, sentence, voice
from tests.calls.test_turns import SlowLine, with_a_person
from tests.examples import one_in

NONSENSE = '{"type": "ConversationText", "role": "assist'
ASK = ENGLISH.still_there
FILLER = ENGLISH.filler
QUESTION = "What does it cost?"
WORDS, DONE = ConversationText("assistant", "Ten pounds."), AgentAudioDone()
NO_WORDS = ConversationText("assistant", " ")


def turns(call: HandCall) -> list[tuple[str, str]]:
    """What the record says that an agent said behind the caller's first turn, and what was heard of it."""
    said = call.ended.transcript
    first = next(number for number, turn in enumerate(said) if turn.speaker == "caller")
    return [(turn.text, turn.heard) for turn in said[first + 1 :]]


ANSWERS: dict[str, list[ServerMessage]] = {
    "the words come twice": [voice(1, 1.0), WORDS, WORDS, voice(1, 1.0), DONE],
    "the words come again behind the end": [voice(1, 2.0), WORDS, DONE, WORDS],
    "the words come behind the end": [voice(1, 2.0), DONE, WORDS],
    "the end comes before the audio": [WORDS, DONE, voice(1, 2.0)],
    "the caller's come again behind the end": [voice(1, 2.0), WORDS, DONE, ConversationText("user", QUESTION)],
    "words that are none come around them": [NO_WORDS, voice(1, 2.0), WORDS, NO_WORDS, DONE, NO_WORDS],
}


@pytest.mark.parametrize("order", one_in(2, list(ANSWERS)))
async def test_an_answer_is_one_answer_in_whatever_order_it_comes(order: str, autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(*ANSWERS[order])
        await call.far.hear_for(6)

    assert call.phone.heard(1) == 2.0
    assert turns(call) == [("Ten pounds.", "Ten pounds.")]
    assert call.far.said(InjectAgentMessage) == []


@pytest.mark.parametrize("words", one_in(3, ["", None, " \n"]))
async def test_a_transcript_without_words_takes_nothing_of_what_is_said(
    words: str | None, autojump_clock: MockClock
) -> None:
    nothing = orjson.dumps({"type": "ConversationText", "role": "user", "content": words}).decode()
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(voice(1, 1.0), WORDS)
        await call.far.hear_for(0.5)
        await call.far.say_text(nothing)
        await call.far.say(voice(1, 1.0), DONE)
        await call.far.hear_for(2)
        await call.speak("That is all.")
        await call.far.say(*sentence(2, "Goodbye.", 2.0, done=False), END)
        await call.far.hear_for(0.5)
        await call.far.say_text(nothing)
        await call.far.say(voice(2, 2.0), DONE)
        with trio.fail_after(6):
            await call.over.wait()

    assert (call.phone.heard(1), call.phone.heard(2), call.ended.outcome) == (2.0, 4.0, "completed")
    assert [turn.heard for turn in call.ended.transcript if turn.speaker == "first"][1:] == ["Ten pounds.", "Goodbye."]
    assert [fact.complete for fact in call.facts(GoodbyeHeard)] == [True]


async def test_what_cannot_be_read_takes_nothing_of_what_is_said_or_done(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(calls("look_up"))
        await call.far.say_text(NONSENSE)
        await call.far.hear(FunctionCallResponse)
        await call.far.say(voice(1, 1.0))
        await call.far.say_text(NONSENSE)
        await call.far.say(WORDS, voice(1, 1.0), DONE)
        await call.far.hear_for(4)

    assert (call.phone.heard(1), turns(call)) == (2.0, [("Ten pounds.", "Ten pounds.")])
    assert call.facts(SessionCrashed) == []
    assert [fact.where for fact in call.facts(FrameRefused)] == ["deepgram"]


async def test_a_service_that_talks_nothing_but_nonsense_is_as_good_as_silent(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        with suppress(ConnectionClosed):
            await call.speak(QUESTION)
            while True:
                await call.far.say_text(NONSENSE)
                await call.far.hear_for(0.5)

    assert len(call.facts(SessionCrashed)) == 1


async def test_a_goodbye_is_heard_on_a_line_that_echoes_marks_before_it_plays(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        call.phone.echoes_at_once = True
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye then.", 4.0), END)
        with trio.fail_after(6):
            await call.over.wait()

    assert call.phone.heard(1) == 4.0
    assert call.ended.outcome == "completed"


@pytest.mark.parametrize("marks", one_in(2, [1, 3]))
async def test_a_mark_that_does_not_come_back_ends_no_call_and_delays_no_goodbye(
    marks: int, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        call.phone.loses = marks
        await call.greet()
        for _ in range(3):
            await call.speak(QUESTION)
            await call.far.say(*sentence(1, "Ten pounds.", 2.0))
            await call.far.hear_for(6)
        await call.speak("That is all.")
        await call.far.say(*sentence(2, "Goodbye then.", 2.0), END)
        with trio.fail_after(2.5):
            await call.over.wait()

    assert (call.phone.heard(1), call.phone.heard(2), call.ended.outcome) == (6.0, 2.0, "completed")


async def test_a_caller_who_answers_is_heard_to_the_end_on_a_line_that_echoes_no_mark(
    autojump_clock: MockClock,
) -> None:
    async with a_call() as call:
        call.phone.loses = 10**6
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(*sentence(1, "Ten pounds.", 25.0))
        await call.far.hear_for(20)
        await call.speak("Stop.")
        await call.far.say(*sentence(2, "Of course.", 15.0))
        await call.far.hear_for(20)
        told = [fact.heard for fact in call.facts(ReplyEnded)]
        await call.speak("That is all.")
        await call.far.say(*sentence(3, "Goodbye then.", 2.0), END)
        with trio.fail_after(6):
            await call.over.wait()

    assert (call.phone.heard(2), call.phone.heard(3), call.ended.outcome) == (15.0, 2.0, "completed")
    assert told[-1:] == ["Of course."]  # as it was heard, and not at the end of the call


async def test_words_without_audio_leave_nobody_in_silence(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(WORDS, DONE)
        asked = await call.far.hear(InjectAgentMessage)
        await call.far.say(*sentence(2, asked.message, 1.0))
        await call.far.hear_for(1.5)

    assert turns(call) == [("Ten pounds.", ""), (FILLER, FILLER)]


async def test_a_reply_without_its_end_is_not_joined_by_the_next_sentence(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(*sentence(1, "Ten pounds.", 2.0, done=False))
        asked = await call.far.hear(InjectAgentMessage)
        await call.far.say(*sentence(2, asked.message, 1.0))
        await call.far.hear_for(2)

    assert turns(call) == [("Ten pounds.", "Ten pounds."), (ASK, ASK)]


async def test_a_transcript_that_comes_twice_is_one_turn_of_the_record(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(*sentence(1, "Ten pounds.", 3.0, done=False), ConversationText("user", QUESTION), DONE)
        await call.far.hear_for(8)

        assert [fact.text for fact in call.facts(TurnHeard)] == [QUESTION]
        assert call.phone.heard(1) == 3.0
        assert call.far.said(InjectAgentMessage) == []


async def test_a_cough_that_the_service_ignores_costs_one_question(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        call.phone.is_loud = True
        await call.far.hear_for(0.6)
        call.phone.is_loud = False
        asked = await call.far.hear(InjectAgentMessage)
        await call.far.say(*sentence(1, asked.message, 1.0))
        await call.far.hear_for(4)

        assert [line.message for line in call.far.said(InjectAgentMessage)] == [ASK]
        assert call.facts(SessionCrashed) == []


@pytest.mark.slow
async def test_a_service_that_refuses_its_fillers_is_waited_for(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        for _ in range(3):
            await call.far.hear(InjectAgentMessage)
            await call.far.say(InjectionRefused("The agent is thinking."))
        await call.far.say(*sentence(1, "Ten pounds.", 1.0))
        await call.far.hear_for(2)

        assert call.facts(SessionCrashed) == []
        assert call.phone.heard(1) == 1.0


async def test_a_crash_while_a_function_is_at_work_has_the_turn_asked_again(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("Look it up.")
        await call.far.say(*sentence(1, "Let me see.", 1.0), calls("dawdle"))
        await call.far.hear_for(2)
        call.far.socket.drop()
        call.far = await call.service.live()
        with trio.fail_after(1):
            asked = await call.far.hear(InjectUserMessage)

        assert asked.content == "Look it up."


async def test_a_goodbye_that_a_noise_takes_back_is_said_again(autojump_clock: MockClock) -> None:
    withdrawn = FunctionCallCancelled((CancelledCall("id-end_conversation", "end_conversation"),))
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye then.", 2.0), END)
        await call.far.hear_for(0.5)
        await call.speak("", 0.2, heard=False)
        await call.far.say(withdrawn)
        with trio.fail_after(3):
            asked = await call.far.hear(InjectUserMessage)
        await call.far.say(ConversationText("user", asked.content), *sentence(2, "Goodbye!", 1.0), END)
        with trio.fail_after(4):
            await call.over.wait()

        assert asked.content == "That is all."
        assert (call.phone.heard(2), call.ended.outcome) == (1.0, "completed")


@pytest.mark.slow
async def test_a_caller_who_comes_back_in_the_last_sentence_is_heard_and_answered(autojump_clock: MockClock) -> None:
    async with a_call(policy=CallPolicy(deadlines=Deadlines(caller_silence=1.0))) as call:
        await call.greet()
        for _ in range(3):
            asked = await call.far.hear(InjectAgentMessage)
            await call.far.say(*sentence(1, asked.message, 1.5))
        await call.far.hear_for(0.5)
        await call.speak("Wait, I am here.", 2.0)
        await call.far.say(*sentence(2, "Good.", 1.0))
        await call.far.hear_for(0.5)
        was_hung_up_on = call.over.is_set()
        for _ in range(3):
            asked = await call.far.hear(InjectAgentMessage)
            await call.far.say(*sentence(3, asked.message, 0.5))
        with trio.fail_after(3):
            await call.over.wait()

    assert not was_hung_up_on
    assert (call.phone.heard(2), call.ended.outcome) == (1.0, "caller_silent")
    assert [fact.outcome for fact in call.facts(CallClosing)] == ["caller_silent"] * 2
    assert len(call.facts(GoodbyeStarted)) == 2


@pytest.mark.parametrize("goes_first", one_in(2, [False, True]), ids=["the end", "the goodbye"])
async def test_an_end_before_the_words_that_it_answers_is_an_end(goes_first: bool, autojump_clock: MockClock) -> None:
    goodbye = sentence(1, "Goodbye.", 1.0)
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(*sentence(2, "Ten pounds.", 1.0))
        await call.far.hear_for(2)
        await call.speak("", 0.8, heard=False)
        await call.far.say(*(goodbye if goes_first else []), END)
        await call.far.hear_for(0.1)
        await call.far.say(ConversationText("user", "Thanks, goodbye."), *([] if goes_first else goodbye))
        with trio.fail_after(4):
            await call.over.wait()

    assert call.phone.heard(1) == 1.0
    assert [function.result for function in call.ended.functions] == [{"ended": True}]
    assert ("completed", 1) == (call.ended.outcome, len(call.facts(GoodbyeStarted)))


@pytest.mark.parametrize("then", one_in(3, ["an operator ends it", "it is over", "it goes on"]))
async def test_an_end_is_in_the_record_whose_session_was_lost_in_the_goodbye(
    then: str, autojump_clock: MockClock
) -> None:
    """If the caller takes it back, the function has not ended the call, though an operator may end it then."""
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye.", 3.0, done=False), END)
        await call.far.hear_for(0.5)
        call.far.socket.drop()
        await trio.sleep(1)
        if then == "it is over":
            await call.over.wait()
        elif then == "it goes on":
            await call.phone.press("4")
            call.far = await call.service.live()
            await call.far.say(*sentence(2, "Yes?", 1.0))
            await call.far.hear_for(2)
        else:
            await call.phone.press("4")
            await call.phone.press("#")
            await trio.sleep(0.1)
            assert call.intercom.tell(CALL_SID, EndCallNow("ended_by_operator"))
            await call.over.wait()

    assert [function.result for function in call.ended.functions] == [{"ended": True} if then == "it is over" else ""]
    assert ("end_reason" in call.ended.facts) is (then == "it is over")


@pytest.mark.parametrize("is_lost", one_in(2, [False, True]), ids=["", "session lost"])
async def test_an_end_is_in_the_record_though_the_caller_hangs_up_in_the_goodbye(
    is_lost: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye.", 3.0, done=False), END)
        await call.far.hear_for(0.5)
        if is_lost:
            call.far.socket.drop()
        await trio.sleep(1)

    assert [function.result for function in call.ended.functions] == [{"ended": True}]
    assert (call.ended.outcome, call.ended.facts["end_reason"]) == ("caller_hung_up", "task_complete")
    async with a_call(resumption=Resumption(call.ended)) as again:  # if it was their stream that was lost
        await again.greet("I am sorry, I lost you for a moment.")
        await again.far.say(*sentence(2, "Goodbye.", 1.0), END)
        with trio.fail_after(2):
            await again.over.wait()


DECISIONS = {
    "a handoff": (HAND_OFF, HandoffAsked),
    "an end": (END, GoodbyeStarted),
    "a transfer": (calls("transfer_to_human", arguments='{"reason": "wants a person"}'), TransferAsked),
}


@pytest.mark.parametrize("is_told", [True, False], ids=["started", "no start"])
@pytest.mark.parametrize("late", one_in(3, [3.0, 0.1, 4.5]))
@pytest.mark.parametrize("decision", DECISIONS)
async def test_a_decision_may_come_before_the_first_words_of_the_caller(
    decision: str, late: float, is_told: bool, autojump_clock: MockClock
) -> None:
    asked, decided = DECISIONS[decision]
    async with a_call(with_a_person(), transfers=SlowLine()) as call:
        await call.greet()
        call.phone.is_loud = True
        await call.far.say(*([STARTED] if is_told else []))
        await call.far.hear_for(0.8)
        call.phone.is_loud = False
        await call.far.say(asked)
        await call.far.hear_for(late)
        await call.far.say(ConversationText("user", "Somebody else, please."))
        await call.far.hear_for(6)

    assert len(call.facts(decided)) == 1
    assert [function.name for function in call.ended.functions if "not said anything" in str(function.result)] == []


async def test_a_noise_long_ago_holds_no_decision_up(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("", heard=False)
        await call.far.say(ConversationText("user", " "))
        await call.far.hear_for(8)
        await call.far.say(END)
        asked = trio.current_time()
        refused = await call.far.hear(FunctionCallResponse)

    assert "not said anything" in refused.content
    assert trio.current_time() < asked + 1


async def announce_transfer(call: HandCall) -> None:
    await call.greet()
    await call.speak("A person, please.")
    asks = calls("transfer_to_human", arguments='{"reason": "wants a person"}')
    await call.far.say(*sentence(1, "I'll put you through.", 2.0), asks)


async def test_a_caller_who_speaks_into_the_sentence_before_a_transfer_is_not_put_through(
    autojump_clock: MockClock,
) -> None:
    async with a_call(with_a_person(), transfers=SlowLine()) as call:
        await announce_transfer(call)
        await call.far.hear_for(1.5)
        await call.speak("No, wait, I have one more question.", 2.0)
        await call.far.hear(FunctionCallResponse)
        await call.far.say(*sentence(2, "Of course. What is it?", 1.0))
        await call.far.hear_for(6)

    assert (call.phone.heard(1), call.phone.heard(2)) == (2.0, 1.0)
    assert call.facts(TransferAsked) == []
    assert call.far.said(InjectAgentMessage) == []


async def test_a_caller_who_only_thanks_for_it_is_put_through(autojump_clock: MockClock) -> None:
    async with a_call(with_a_person(), transfers=SlowLine()) as call:
        await announce_transfer(call)
        await call.far.hear_for(1.0)
        await call.speak("Okay, thank you.", 1.0)
        await call.far.hear_for(3)

    assert len(call.facts(TransferAsked)) == 1
    assert call.far.said(FunctionCallResponse) == []


async def test_a_caller_who_says_goodbye_into_the_goodbye_hears_no_other_one(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak("That is all.")
        await call.far.say(*sentence(1, "Goodbye then.", 3.0), END)
        await call.far.hear_for(1.0)
        await call.speak("You too, bye-bye!", 1.0)
        with trio.fail_after(3):
            await call.over.wait()

    assert (call.phone.heard(1), call.ended.outcome) == (3.0, "completed")
    assert call.far.said(FunctionCallResponse) == []


async def lose_session(call: HandCall) -> tuple[list[HistoryText | HistoryCalls], str]:
    """Lose the session; return what the next one is told was said, and what it is asked."""
    call.far.socket.drop()
    call.far = await call.service.live()
    settings = call.far.settings
    assert settings is not None
    assert not isinstance(settings.agent, str)
    assert settings.agent.context is not None
    return list(settings.agent.context.messages), (await call.far.hear(InjectUserMessage)).content


FIRST_HALF = HistoryText("assistant", "It is ten pounds.")


@pytest.mark.parametrize("then", ["more is to come", "a function was done", "a noise cuts it"])
async def test_a_session_that_is_lost_in_mid_reply_is_followed_by_the_rest_of_it(
    then: str, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(voice(1, 2.0), ConversationText("assistant", "It is ten pounds."))
        if then == "a function was done":
            await call.far.say(AgentAudioDone(), calls("look_up"))
            await call.far.hear(FunctionCallResponse)
        await call.far.hear_for(2.1 if then == "a noise cuts it" else 0.5)
        if then == "a noise cuts it":
            await call.speak("", 0.2, heard=False)
        told, asked = await lose_session(call)
        await call.far.say(ConversationText("user", asked), *sentence(2, "A month, that is.", 2.0))
        await call.far.hear_for(5)

    texts = [each for each in told if isinstance(each, HistoryText)]
    assert texts[-2:] == [HistoryText("user", QUESTION), FIRST_HALF]
    assert asked == CallPolicy().wording.go_on
    assert (call.phone.heard(1), call.phone.heard(2)) == (2.0, 2.0)
    assert [fact.text for fact in call.facts(TurnHeard)] == [QUESTION]


@pytest.mark.parametrize("is_told", [True, False])
async def test_one_that_is_lost_before_a_word_of_it_was_heard_is_asked_the_turn_again(
    is_told: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        await call.far.say(*([WORDS] if is_told else []))
        await call.far.hear_for(0.1)
        told, asked = await lose_session(call)

    assert asked == QUESTION
    assert HistoryText("user", QUESTION) not in told


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_filler_that_the_answer_has_overtaken_is_not_heard_behind_it_whatever_of_it_comes_first(
    is_first: bool, autojump_clock: MockClock
) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        asked = await call.far.hear(InjectAgentMessage)
        filler = ConversationText("assistant", asked.message)
        late: list[ServerMessage] = [voice(9, 0.2), filler] if is_first else [filler, voice(9, 0.2)]
        await call.far.say(voice(1, 2.0), WORDS, DONE, *late, voice(9, 1.0), DONE)
        await call.far.hear_for(5)

    assert (call.phone.heard(1), call.phone.heard(9)) == (2.0, 0.0)
    assert call.facts(SilenceMet) != []
    assert turns(call) == [("Ten pounds.", "Ten pounds.")]


async def test_a_filler_whose_words_come_twice_is_no_answer(autojump_clock: MockClock) -> None:
    async with a_call() as call:
        await call.greet()
        await call.speak(QUESTION)
        asked = await call.far.hear(InjectAgentMessage)
        words = ConversationText("assistant", asked.message)
        await call.far.say(voice(9, 1.0), words, words, DONE)
        with trio.fail_after(4.5):
            await call.far.hear(InjectAgentMessage)
