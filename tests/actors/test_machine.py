"""Twilio's verdicts about who has answered, and what is made of them."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.endings.machine import AnsweringMachine
from actors.facts import CallScreened, GoodbyeHeard, MachineDetected
from actors.line.reply import Reply
from actors.policy import CallPolicy
from actors.turn.effects import EndConversation
from actors.turn.events import CloseAsked
from actors.turn.state import Phase
from protocol.deepgram import AgentAudioDone, InjectAgentMessage
from tests.actors.fakes import Watched, heard, says, words
from tests.actors.test_agent_session import on_the_floor

MESSAGE = "This is Alex from Acme. Please call us back."
POLICY = CallPolicy()
ENDS = ("machine_end_beep", "machine_end_silence", "machine_end_other")


def whole(complete: bool = True) -> Reply:
    """A greeting that was heard out, or was cut."""
    reply = Reply("first", 1, 0.0, received=8000, played=8000 if complete else 1000, whole=True)
    reply.cut = not complete
    return reply


async def play(machine: AnsweringMachine, verdict: str) -> None:
    """Tell a verdict, as the attendant does, and do what it calls for."""
    if machine.told(verdict):
        await machine.wait_beep()


def closing_of(watched: Watched) -> str:
    closing = watched.state.turn.turn.closing
    return closing.outcome if closing is not None else ""


def remark_of(watched: Watched) -> str:
    remark = watched.state.turn.turn.remark
    return remark.text if remark is not None else ""


@pytest.mark.parametrize("verdict", ["human", "unknown", "", "machine", "something new"])
async def test_whatever_is_not_a_machine_is_a_person(verdict: str, autojump_clock: MockClock) -> None:
    watched = Watched()
    AnsweringMachine(watched.state, MESSAGE).told(verdict)

    assert closing_of(watched) == ""
    assert watched.facts(MachineDetected) == [MachineDetected(verdict, believed=False)]


@pytest.mark.parametrize("verdict", ["machine_start", *ENDS])
async def test_a_machine_is_hung_up_on_where_there_is_nothing_to_say(verdict: str, autojump_clock: MockClock) -> None:
    watched = Watched()
    await play(AnsweringMachine(watched.state, ""), verdict)

    assert watched.state.turn.turn.closing == CloseAsked("machine")


@pytest.mark.parametrize("message", ["", MESSAGE])
async def test_a_machine_whose_words_are_known_is_not_listened_to_for_longer(
    message: str, autojump_clock: MockClock
) -> None:
    watched = Watched()
    watched.state.conversation.add_caller("You have reached Ada.")
    AnsweringMachine(watched.state, message).told("machine_start")

    assert closing_of(watched) == ("voicemail_left" if message else "machine")


@pytest.mark.parametrize("verdict", ["machine_start", *ENDS])
async def test_a_machine_that_takes_no_message_is_left_none(verdict: str, autojump_clock: MockClock) -> None:
    watched = Watched()
    watched.state.conversation.add_caller("The mailbox is full.")
    await play(AnsweringMachine(watched.state, MESSAGE), verdict)

    assert watched.state.turn.turn.closing == CloseAsked("machine")


async def test_a_fax_is_left_no_message(autojump_clock: MockClock) -> None:
    watched = Watched()
    AnsweringMachine(watched.state, MESSAGE).told("fax")

    assert watched.state.turn.turn.closing == CloseAsked("machine")


@pytest.mark.parametrize("verdict", ["machine_start", *ENDS])
async def test_a_person_who_has_answered_an_agent_is_never_taken_for_a_machine(
    verdict: str, autojump_clock: MockClock
) -> None:
    watched = Watched()
    watched.state.conversation.add_reply(whole())
    watched.state.conversation.add_caller("Yes, I have a minute.")
    AnsweringMachine(watched.state, MESSAGE).told(verdict)

    assert closing_of(watched) == ""


@pytest.mark.parametrize("verdict", ["machine_start", *ENDS])
@pytest.mark.parametrize("words", ["You have reached Ada.", "Hello?", "Hi, it's Ada. " * 5, ""])
@pytest.mark.parametrize("greeting", ["cut", "heard out", "none"])
async def test_words_are_no_person_unless_they_answer_an_agent(
    verdict: str, words: str, greeting: str, autojump_clock: MockClock
) -> None:
    """A greeting is words, too, and a long one is transcribed before Twilio says what it is."""
    watched, answers = Watched(), greeting == "heard out" and words == "Hello?"
    if greeting != "none":
        watched.state.conversation.add_reply(whole(complete=greeting == "heard out"))
    if words:
        watched.state.conversation.add_caller(words)
    await play(AnsweringMachine(watched.state, MESSAGE), verdict)

    assert closing_of(watched) == ("" if answers else "voicemail_left")


@pytest.mark.parametrize("verdict", ["machine_start", *ENDS])
@pytest.mark.parametrize(
    "words", ["He's not available at the moment.", "Did you leave a message yesterday?", "Sorry, I'm driving."]
)
async def test_a_person_who_turns_an_agent_down_is_no_machine(
    words: str, verdict: str, autojump_clock: MockClock
) -> None:
    watched = Watched()
    watched.state.conversation.add_reply(whole())
    watched.state.conversation.add_caller(words)
    await play(AnsweringMachine(watched.state, MESSAGE), verdict)

    assert closing_of(watched) == ""


@pytest.mark.parametrize(
    ("next_words", "closing"),
    [("Tomorrow at ten.", ""), ("At the tone, please record your message.", "voicemail_left"), ("", "voicemail_left")],
)
async def test_words_that_a_person_or_a_machine_may_say_are_listened_to_further(
    next_words: str, closing: str, autojump_clock: MockClock
) -> None:
    watched, began = Watched(), trio.current_time()
    conversation = watched.state.conversation
    conversation.add_reply(whole())
    conversation.add_caller("Hi, I'm not available right now.")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, AnsweringMachine(watched.state, MESSAGE), "machine_start")
        await trio.sleep(8)
        assert closing_of(watched) == ""
        if next_words:
            conversation.add_caller(next_words)

    assert closing_of(watched) == closing
    assert trio.current_time() - began <= POLICY.deadlines.first_word + POLICY.deadlines.machine_quiet


async def test_whom_twilio_has_called_a_person_is_no_machine_later(autojump_clock: MockClock) -> None:
    watched = Watched()
    machine = AnsweringMachine(watched.state, MESSAGE)
    machine.told("human")
    machine.told("machine_start")

    assert closing_of(watched) == ""


async def test_a_person_who_answers_while_a_machine_is_listened_for_is_left_to_the_agent(
    autojump_clock: MockClock,
) -> None:
    watched = Watched()
    machine = AnsweringMachine(watched.state, MESSAGE)
    watched.state.conversation.add_reply(whole())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, machine, "machine_start")
        await trio.sleep(1)
        watched.state.conversation.add_caller("Yes, I have a minute.")

    assert (closing_of(watched), watched.state.conversation.is_with_machine) == ("", False)


SCREEN = "Please say your name and why you are calling."
INTRODUCTION = "It's Alex from Acme, calling because you asked us to."


@pytest.mark.parametrize("message", ["", MESSAGE])
@pytest.mark.parametrize("verdict", ["machine_start", *ENDS])
@pytest.mark.parametrize("words", ["before the verdict", "after it"])
async def test_a_call_screen_hears_who_calls_and_why(
    words: str, verdict: str, message: str, autojump_clock: MockClock
) -> None:
    watched = Watched()
    machine = AnsweringMachine(watched.state, message, INTRODUCTION)
    if words == "before the verdict" or verdict != "machine_start":
        watched.state.conversation.add_caller(SCREEN)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, machine, verdict)
        await trio.sleep(1)
        if words == "after it" and verdict == "machine_start":
            watched.state.conversation.add_caller(SCREEN)

    assert (closing_of(watched), remark_of(watched)) == ("", INTRODUCTION)
    assert len(watched.facts(CallScreened)) == 1


@pytest.mark.parametrize(("said", "remark"), [("This is Alex from Acme.", ""), ("One moment.", INTRODUCTION)])
async def test_an_agent_that_says_who_calls_by_itself_is_not_made_to_say_it_again(
    said: str, remark: str, autojump_clock: MockClock
) -> None:
    watched = Watched()
    watched.state.conversation.add_caller(SCREEN)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, AnsweringMachine(watched.state, "", INTRODUCTION), "machine_start")
        await trio.sleep(1)
        reply = whole()
        reply.add_text(said)
        watched.state.conversation.add_reply(reply)

    assert remark_of(watched) == remark


async def test_the_beep_is_waited_for(autojump_clock: MockClock) -> None:
    watched = Watched()
    machine = AnsweringMachine(watched.state, MESSAGE)
    watched.state.conversation.add_caller("You have reached Ada.")
    machine.told("machine_start")
    turn = watched.state.turn.turn

    assert (turn.closing, turn.phase) == (CloseAsked("voicemail_left", MESSAGE, waits_for_beep=True), Phase.HUSHED)
    machine.told("machine_end_beep")
    assert turn.phase is Phase.CLOSING


async def test_where_nobody_tells_of_the_beep_a_quiet_line_does(autojump_clock: MockClock) -> None:
    watched, began = Watched(), trio.current_time()
    machine, activity = AnsweringMachine(watched.state, MESSAGE), watched.state.activity
    async with trio.open_nursery() as nursery:
        await trio.sleep(3)
        activity.hear(voiced=True, now=3.0)
        assert machine.told("machine_start")
        nursery.start_soon(machine.wait_beep)
        await trio.sleep(2)
        activity.hear(voiced=True, now=5.0)

    assert trio.current_time() - began == pytest.approx(5 + POLICY.deadlines.machine_quiet, abs=0.1)
    assert watched.state.turn.turn.phase is Phase.CLOSING


async def test_a_line_on_which_nobody_has_spoken_yet_has_not_become_quiet(autojump_clock: MockClock) -> None:
    """A call screen may wait until our greeting is over."""
    watched = Watched()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, AnsweringMachine(watched.state, MESSAGE, INTRODUCTION), "machine_start")
        await trio.sleep(7)
        watched.state.activity.hear(voiced=True, now=7.0)
        await trio.sleep(2)
        watched.state.conversation.add_caller(SCREEN)

    assert (closing_of(watched), remark_of(watched)) == ("", INTRODUCTION)


async def test_a_greeting_without_an_end_is_not_waited_for_for_ever(autojump_clock: MockClock) -> None:
    watched, began = Watched(), trio.current_time()
    machine = AnsweringMachine(watched.state, MESSAGE)

    async def music() -> None:
        while True:
            watched.state.activity.hear(voiced=True, now=watched.state.journal.now)
            await trio.sleep(1)

    assert machine.told("machine_start")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(music)
        await machine.wait_beep()
        nursery.cancel_scope.cancel()

    assert trio.current_time() - began == POLICY.deadlines.machine_greeting


async def test_there_is_no_beep_to_wait_for_where_no_message_is_left(autojump_clock: MockClock) -> None:
    assert not AnsweringMachine(Watched().state, "").told("machine_end_beep")
    assert not AnsweringMachine(Watched().state, MESSAGE).told("fax")
    assert not AnsweringMachine(Watched().state, MESSAGE).told("human")
    assert not AnsweringMachine(Watched().state, MESSAGE).told("machine_end_beep")


async def test_a_call_that_is_ending_already_is_left_alone(autojump_clock: MockClock) -> None:
    watched = Watched()
    watched.state.turn.put(CloseAsked("drained", "Goodbye."))
    AnsweringMachine(watched.state, MESSAGE).told("machine_start")

    assert closing_of(watched) == "drained"


async def test_nothing_of_the_agent_is_heard_before_the_beep_and_the_message_is_to_its_end(
    autojump_clock: MockClock,
) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.conversation.caller_turns = 0
        machine = AnsweringMachine(scene.watched.state, MESSAGE)
        await scene.far.say(words(4), says("Hello, this is Alex."))
        await scene.far.say(heard("You have reached Ada"))
        await trio.sleep(2)
        machine.told("machine_start")
        await scene.settle()
        played = scene.line.played
        await scene.far.say(
            AgentAudioDone(), heard("Please leave a message"), words(3), says("Hi Ada."), AgentAudioDone()
        )
        await trio.sleep(6)
        await wait_all_tasks_blocked()

        assert scene.far.said(InjectAgentMessage) == []
        assert scene.line.played == played
        machine.told("machine_end_beep")
        assert await scene.far.hear(InjectAgentMessage) == InjectAgentMessage(MESSAGE, "interrupt")
        await scene.far.say(words(10), says(MESSAGE), AgentAudioDone())
        began = trio.current_time()
        ended = await scene.concluded()

    assert ended == EndConversation("voicemail_left", "", heard=True)
    assert trio.current_time() - began == pytest.approx(10, abs=0.1)
    assert scene.watched.facts(GoodbyeHeard) == [GoodbyeHeard("first", complete=True)]
    assert scene.replies[-1] == MESSAGE
