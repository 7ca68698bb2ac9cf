"""The last sentence of a call that the switchboard ends: said by the agent, heard to its end, and always in time."""

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.endings.intercom import Attendant, Intercom
from actors.endings.machine import AnsweringMachine
from actors.facts import (
    ActorCrashed,
    CallClosing,
    ClosingUnsaid,
    FunctionCalled,
    GoodbyeHeard,
    GoodbyeStarted,
    ReplyEnded,
)
from actors.messages import CloseCall, EndCallNow, MachineAnswered, ToCall
from actors.operator import CommandRunner
from actors.policy import CallPolicy
from actors.turn.effects import EndConversation
from actors.turn.events import CloseAsked
from agents.sentences import ENGLISH
from protocol.audio import SILENCE
from protocol.deepgram import AgentAudioDone, InjectAgentMessage, UserStartedSpeaking
from tests.actors.fakes import END, HAND_OFF, Watched, calls, heard, says, speech, words
from tests.actors.test_agent_session import Scene, on_the_floor

POLICY = CallPolicy()
CLOSING = CloseAsked("drained", "We have to end this call now. Goodbye.")


async def hear_line(scene: Scene) -> InjectAgentMessage:
    return await scene.far.hear(InjectAgentMessage)


async def say_line(scene: Scene, seconds: float = 3.0) -> None:
    await scene.far.say(words(seconds), says(CLOSING.sentence), AgentAudioDone())


# The session says it


async def test_the_last_sentence_is_heard_to_its_end_and_ends_the_session(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        began = trio.current_time()
        scene.watched.state.turn.put(CLOSING)
        assert await hear_line(scene) == InjectAgentMessage(CLOSING.sentence, "interrupt")
        await say_line(scene)
        ended = await scene.concluded()

    assert ended == EndConversation("drained", "", heard=True)
    assert scene.watched.facts(GoodbyeHeard) == [GoodbyeHeard("first", complete=True)]
    assert trio.current_time() - began == pytest.approx(3, abs=0.1)
    assert scene.replies[-1] == CLOSING.sentence


async def test_it_waits_for_what_the_agent_is_saying(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=2.0)
        await scene.settle()
        began = trio.current_time()
        scene.watched.state.turn.put(CLOSING)
        await hear_line(scene)

    assert trio.current_time() - began == pytest.approx(2, abs=0.1)


async def closing_begins(scene: Scene) -> float:
    """Say nothing more; return how long after this moment the agent turns to the last sentence."""
    began = scene.watched.state.journal.now
    scene.watched.state.turn.put(CLOSING)
    await scene.far.hear_for(POLICY.deadlines.closing)
    return scene.watched.times(GoodbyeStarted)[0] - began


async def test_it_waits_for_a_caller_who_is_speaking(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)

        async def fall_silent() -> None:
            await trio.sleep(1.5)
            scene.end_voice()

        scene.begin_voice()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fall_silent)
            took = await closing_begins(scene)

    assert took == pytest.approx(1.5)


async def test_it_waits_for_what_the_caller_has_said_to_be_understood(autojump_clock: MockClock) -> None:
    """The line is quiet already, and the transcript on its way: it comes after a second, and is answered."""
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        await scene.far.say(UserStartedSpeaking())
        scene.begin_voice()
        scene.end_voice()
        await scene.settle()

        async def understand() -> None:
            await trio.sleep(1)
            await scene.far.say(heard("Yes."), words(0.5), says("Good."), AgentAudioDone())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(understand)
            took = await closing_begins(scene)

    assert took == pytest.approx(1.5, abs=0.05)


async def test_it_waits_for_a_function_that_runs(autojump_clock: MockClock) -> None:
    """A noise has made it the caller's turn; the function takes a second."""
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        await scene.far.say(calls("look_up"), UserStartedSpeaking(), heard(" "))
        await scene.settle()

        assert await closing_begins(scene) > 0.9


async def test_an_agent_that_says_goodbye_already_is_let_finish(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(words(3), says("Goodbye, Ada."), AgentAudioDone(), END)
        await scene.settle()
        scene.watched.state.turn.put(CLOSING)
        ended = await scene.concluded()
        await scene.far.hear_for(1)

    assert ended == EndConversation("completed", "task_complete", heard=True)
    assert scene.far.said(InjectAgentMessage) == []
    assert scene.replies == ["Goodbye, Ada."]


async def test_an_agent_that_goes_on_and_on_is_interrupted(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(words(60), says("I could tell you a lot about pensions."))
        await scene.settle()
        began = trio.current_time()
        scene.watched.state.turn.put(CLOSING)
        line = await hear_line(scene)
        took = trio.current_time() - began
        await say_line(scene)
        await scene.concluded()

    assert line.behavior == "interrupt"
    assert took == pytest.approx(POLICY.deadlines.closing / 2)
    assert trio.current_time() - began == pytest.approx(POLICY.deadlines.closing / 2 + 3, abs=0.1)
    assert scene.replies[-1] == CLOSING.sentence


async def test_who_speaks_over_it_is_not_heard_and_does_not_cut_it(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        scene.watched.state.turn.put(CLOSING)
        await hear_line(scene)
        scene.far.audio.clear()
        scene.watched.state.tape.append(speech(100))
        await scene.far.say(words(3), says(CLOSING.sentence), UserStartedSpeaking(), AgentAudioDone())
        await scene.far.hear_for(2)
        await scene.concluded()

    assert scene.watched.facts(GoodbyeHeard) == [GoodbyeHeard("first", complete=True)]
    assert set(scene.far.audio) == {SILENCE}


async def test_a_handoff_that_is_under_way_is_waited_for(autojump_clock: MockClock) -> None:
    """The old agent has not the floor; if it is cancelled, the next one finds the closing where it was left."""
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        await scene.far.say(HAND_OFF)
        await scene.asked_handoff()
        scene.watched.state.turn.put(CLOSING)
        await scene.far.hear_for(60)

    assert scene.far.said(InjectAgentMessage) == []


async def test_a_service_that_takes_a_breath_is_heard_to_its_last_sentence(autojump_clock: MockClock) -> None:
    first, second = "We have to end this call now.", "Goodbye."
    assert f"{first} {second}" == CLOSING.sentence
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        scene.watched.state.turn.put(CLOSING)
        await hear_line(scene)
        await scene.far.say(words(2), says(first), AgentAudioDone())
        await trio.sleep(0.5)
        await scene.far.say(words(1), says(second), AgentAudioDone())
        await scene.concluded()

    assert scene.watched.facts(GoodbyeHeard) == [GoodbyeHeard("first", complete=True)]
    assert scene.replies[-2:] == [first, second]


async def test_nothing_is_heard_behind_it(autojump_clock: MockClock) -> None:
    """The caller had been speaking: their turn ends in the middle of the sentence, and the model answers it."""
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        scene.watched.state.turn.put(CLOSING)
        await hear_line(scene)
        await scene.far.say(words(1), says(CLOSING.sentence), heard("And then there is"), words(2), AgentAudioDone())
        await scene.far.say(HAND_OFF, words(2), says("Let me see."), AgentAudioDone())
        ended = await scene.concluded()

        await trio.sleep(5)  # the line takes its time to hang up

    assert ended == EndConversation("drained", "", heard=True)
    assert scene.replies == ["Hello there.", CLOSING.sentence]
    assert scene.line.played == pytest.approx(1.0 + 3.0)
    assert scene.watched.facts(FunctionCalled) == []


# Nobody does


async def left_unsaid(closing: CloseAsked) -> tuple[Watched, EndConversation, float]:
    """Close a call in which no agent is; return how it ended, and after how long."""
    watched, began = Watched(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.state.turn.run)
        watched.state.turn.put(closing)
        conclusion = await watched.concluded()
        nursery.cancel_scope.cancel()
    return watched, conclusion, trio.current_time() - began


async def test_where_no_agent_says_it_in_time_the_line_has_to(autojump_clock: MockClock) -> None:
    watched, conclusion, took = await left_unsaid(CLOSING)

    assert (conclusion, took) == (EndConversation("drained", unsaid=CLOSING.sentence), POLICY.deadlines.closing)
    assert watched.facts(CallClosing) == [CallClosing("drained")]
    assert watched.facts(ClosingUnsaid) == [ClosingUnsaid("drained")]


async def test_an_agent_that_has_begun_is_given_the_time_of_a_goodbye(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        scene.watched.state.turn.put(CLOSING)
        await hear_line(scene)
        await trio.sleep(0.5)
        began = trio.current_time()
        await scene.far.say(words(60), says("We have to end this call now."))
        assert await scene.concluded() == EndConversation("drained", unsaid=CLOSING.sentence)

    spoken = POLICY.deadlines.longest_closing - POLICY.deadlines.closing - POLICY.deadlines.hang_up
    assert trio.current_time() - began == pytest.approx(spoken, abs=0.1)


async def test_a_message_whose_beep_never_comes_is_given_up(autojump_clock: MockClock) -> None:
    _, conclusion, took = await left_unsaid(attrs.evolve(CLOSING, waits_for_beep=True))

    assert conclusion == EndConversation("drained", unsaid=CLOSING.sentence)
    assert took == 2 * POLICY.deadlines.machine_greeting + POLICY.deadlines.closing


async def test_without_a_last_sentence_the_call_ends_at_once(autojump_clock: MockClock) -> None:
    _, conclusion, took = await left_unsaid(attrs.evolve(CLOSING, sentence=""))

    assert (conclusion, took) == (EndConversation("drained", "", heard=False), 0.0)


async def test_a_call_is_closed_once(autojump_clock: MockClock) -> None:
    watched = Watched()
    watched.state.turn.put(CLOSING)
    watched.state.turn.put(attrs.evolve(CLOSING, outcome="other"))

    assert watched.state.turn.turn.closing == CLOSING
    assert watched.facts(CallClosing) == [CallClosing("drained")]


async def closing_after(
    watched: Watched, *messages: ToCall, machine: type[AnsweringMachine] = AnsweringMachine
) -> CloseAsked | None:
    """Tell a call something; return how it closes."""
    intercom = Intercom()
    with intercom.open("CA1") as mailbox:
        async with trio.open_nursery() as nursery:
            state = watched.state
            nursery.start_soon(Attendant(state, machine(state, ""), CommandRunner(state)).attend, mailbox)
            for message in messages:
                intercom.tell("CA1", message)
                await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    return watched.state.turn.turn.closing


class BrokenMachine(AnsweringMachine):
    """Crashes when it has to listen."""

    async def wait_beep(self) -> None:
        raise ValueError("no ear")


async def test_a_machine_that_crashes_keeps_no_later_message_from_being_read(autojump_clock: MockClock) -> None:
    watched, message, later = Watched(), MachineAnswered("machine_start"), EndCallNow("ended_by_operator")

    assert await closing_after(watched, message, later, machine=BrokenMachine) == CloseAsked("ended_by_operator")
    assert [crash.actor for crash in watched.facts(ActorCrashed)] == ["machine"]


async def test_a_call_that_is_told_to_close_closes(autojump_clock: MockClock) -> None:
    watched = Watched()

    assert await closing_after(watched, CloseCall("drained")) == CloseAsked("drained", ENGLISH.closing)
    assert watched.facts(ReplyEnded) == []


async def test_a_call_that_is_told_to_end_is_given_no_last_sentence(autojump_clock: MockClock) -> None:
    assert await closing_after(Watched(), EndCallNow("ended_by_operator")) == CloseAsked("ended_by_operator")
