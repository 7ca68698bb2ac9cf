"""The last sentence of a call that the switchboard ends: said by the agent, heard to its end, and always in time."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.attendant import attend
from actors.closing import wait_unsaid
from actors.facts import CallClosing, ClosingUnsaid, FunctionCalled, GoodbyeHeard, GoodbyeStarted, ReplyEnded
from actors.intercom import Intercom
from actors.machine import AnsweringMachine
from actors.messages import CloseCall, EndCall, Ended, ToCall
from actors.policy import CallPolicy
from actors.prompter import Closing, Prompter
from protocol.audio import SILENCE
from protocol.deepgram import AgentAudioDone, InjectAgentMessage, InjectionRefused, UserStartedSpeaking
from tests.actors.fakes import END, HAND_OFF, Watched, calls, heard, says, speech, words
from tests.actors.test_agent_session import Scene, on_the_floor

POLICY = CallPolicy()
CLOSING = Closing("drained", "We have to end this call now. Goodbye.", POLICY.closing)


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
        scene.watched.desk.prompter.close(CLOSING)
        assert await hear_line(scene) == InjectAgentMessage(CLOSING.sentence, "queue")
        await say_line(scene)
        ended = await scene.ended()

    assert ended == Ended("drained", "drained")
    assert scene.watched.facts(GoodbyeHeard) == [GoodbyeHeard("first", complete=True)]
    assert trio.current_time() - began == pytest.approx(3, abs=0.1)
    assert scene.replies[-1] == CLOSING.sentence


async def test_it_waits_for_what_the_agent_is_saying(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=2.0)
        await scene.settle()
        began = trio.current_time()
        scene.watched.desk.prompter.close(CLOSING)
        await hear_line(scene)

    assert trio.current_time() - began == pytest.approx(2, abs=0.1)


async def closing_begins(scene: Scene) -> float:
    """Say nothing more; return how long after this moment the agent turns to the last sentence."""
    began = scene.watched.desk.journal.now
    scene.watched.desk.prompter.close(CLOSING)
    await scene.far.hear_for(CLOSING.within)
    return scene.watched.times(GoodbyeStarted)[0] - began


async def test_it_waits_for_a_caller_who_is_speaking(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        activity = scene.watched.desk.activity

        async def fall_silent() -> None:
            await trio.sleep(1.5)
            activity.end()

        activity.hear(voiced=True, now=scene.watched.desk.journal.now)
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
        scene.watched.desk.activity.hear(voiced=True, now=scene.watched.desk.journal.now)
        scene.watched.desk.activity.end()
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
        scene.watched.desk.prompter.close(CLOSING)
        ended = await scene.ended()
        await scene.far.hear_for(1)

    assert ended == Ended("task_complete")
    assert scene.far.said(InjectAgentMessage) == []
    assert scene.replies == ["Goodbye, Ada."]


async def test_an_agent_that_goes_on_and_on_is_interrupted(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(words(60), says("I could tell you a lot about pensions."))
        await scene.settle()
        began = trio.current_time()
        scene.watched.desk.prompter.close(CLOSING)
        line = await hear_line(scene)
        took = trio.current_time() - began
        await say_line(scene)
        await scene.ended()

    assert line.behavior == "interrupt"
    assert took == pytest.approx(CLOSING.within / 2)
    assert trio.current_time() - began == pytest.approx(CLOSING.within / 2 + 3, abs=0.1)
    assert scene.replies[-1] == CLOSING.sentence


async def test_where_the_service_refuses_it_is_said_all_the_same(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        scene.watched.desk.prompter.close(CLOSING)
        await hear_line(scene)
        await scene.far.say(InjectionRefused("The user is speaking."))
        again = await hear_line(scene)
        await say_line(scene)

        assert again == InjectAgentMessage(CLOSING.sentence, "interrupt")
        assert await scene.ended() == Ended("drained", "drained")


async def test_who_speaks_over_it_is_not_heard_and_does_not_cut_it(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        scene.watched.desk.prompter.close(CLOSING)
        await hear_line(scene)
        scene.far.audio.clear()
        scene.watched.desk.tape.append(speech(100))
        await scene.far.say(words(3), says(CLOSING.sentence), UserStartedSpeaking(), AgentAudioDone())
        await scene.far.hear_for(2)
        await scene.ended()

    assert scene.watched.facts(GoodbyeHeard) == [GoodbyeHeard("first", complete=True)]
    assert set(scene.far.audio) == {SILENCE}


async def test_a_handoff_that_is_under_way_is_waited_for(autojump_clock: MockClock) -> None:
    """The old agent has not the floor; if it is cancelled, the next one finds the closing where it was left."""
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        await scene.far.say(HAND_OFF)
        await scene.asked_handoff()
        scene.watched.desk.prompter.close(CLOSING)
        await scene.far.hear_for(60)

    assert scene.far.said(InjectAgentMessage) == []


async def test_a_service_that_takes_a_breath_is_heard_to_its_last_sentence(autojump_clock: MockClock) -> None:
    first, second = "We have to end this call now.", "Goodbye."
    assert f"{first} {second}" == CLOSING.sentence
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        scene.watched.desk.prompter.close(CLOSING)
        await hear_line(scene)
        await scene.far.say(words(2), says(first), AgentAudioDone())
        await trio.sleep(0.5)
        await scene.far.say(words(1), says(second), AgentAudioDone())
        await scene.ended()

    assert scene.watched.facts(GoodbyeHeard) == [GoodbyeHeard("first", complete=True)]
    assert scene.replies[-2:] == [first, second]


async def test_nothing_is_heard_behind_it(autojump_clock: MockClock) -> None:
    """The caller had been speaking: their turn ends in the middle of the sentence, and the model answers it."""
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        scene.watched.desk.prompter.close(CLOSING)
        await hear_line(scene)
        await scene.far.say(words(1), says(CLOSING.sentence), heard("And then there is"), words(2), AgentAudioDone())
        await scene.far.say(HAND_OFF, words(2), says("Let me see."), AgentAudioDone())
        ended = await scene.ended()

        await trio.sleep(5)  # the line takes its time to hang up

    assert ended == Ended("drained", "drained")
    assert scene.replies == ["Hello there.", CLOSING.sentence]
    assert scene.line.played == pytest.approx(1.0 + 3.0)
    assert scene.watched.facts(FunctionCalled) == []


# Nobody does


@attrs.define
class Unsaid:
    """Waits for a call that cannot be closed by an agent."""

    watched: Watched = attrs.field(factory=Watched)
    closing: Closing | None = None

    async def run(self) -> None:
        self.closing = await wait_unsaid(self.watched.desk)


async def test_where_no_agent_says_it_in_time_somebody_else_has_to(autojump_clock: MockClock) -> None:
    there, began = Unsaid(), trio.current_time()
    there.watched.desk.prompter.close(CLOSING)

    await there.run()

    assert (there.closing, trio.current_time() - began) == (CLOSING, CLOSING.within)
    assert there.watched.facts(CallClosing) == [CallClosing("drained")]
    assert there.watched.facts(ClosingUnsaid) == [ClosingUnsaid("drained")]


async def test_an_agent_that_has_begun_is_given_the_time_of_a_goodbye(autojump_clock: MockClock) -> None:
    there, began = Unsaid(), trio.current_time()
    there.watched.desk.prompter.close(CLOSING)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.run)
        await trio.sleep(4)
        there.watched.desk.prompter.begin()

    spoken = POLICY.longest_closing - POLICY.closing - POLICY.hang_up
    assert trio.current_time() - began == pytest.approx(4 + spoken)


async def test_a_message_that_nobody_lets_go_is_given_up(autojump_clock: MockClock) -> None:
    there, began = Unsaid(), trio.current_time()
    there.watched.desk.prompter.close(attrs.evolve(CLOSING, go=trio.Event()))

    await there.run()

    assert trio.current_time() - began == 2 * POLICY.machine_greeting + CLOSING.within


async def test_without_a_last_sentence_the_call_ends_at_once(autojump_clock: MockClock) -> None:
    there, began = Unsaid(), trio.current_time()
    there.watched.desk.prompter.close(attrs.evolve(CLOSING, sentence=""))

    await there.run()

    assert trio.current_time() == began


async def test_a_call_is_closed_once() -> None:
    prompter = Prompter()

    assert (prompter.close(CLOSING), prompter.close(attrs.evolve(CLOSING, outcome="other"))) == (True, False)
    assert await prompter.wait_closing() is CLOSING


async def closing_after(watched: Watched, message: ToCall) -> Closing:
    """Tell a call something; return how it closes."""
    intercom = Intercom()
    with intercom.open("CA1") as mailbox:
        intercom.tell("CA1", message)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attend, watched.desk, AnsweringMachine(watched.desk, ""), mailbox)
            closing = await watched.desk.prompter.wait_closing()
            nursery.cancel_scope.cancel()
    return closing


async def test_a_call_that_is_told_to_close_closes(autojump_clock: MockClock) -> None:
    watched = Watched()
    closing = await closing_after(watched, CloseCall("drained"))

    assert closing == attrs.evolve(closing, outcome="drained", sentence=POLICY.closing_sentence)
    assert watched.facts(ReplyEnded) == []


async def test_a_call_that_is_told_to_end_is_given_no_last_sentence(autojump_clock: MockClock) -> None:
    closing = await closing_after(Watched(), EndCall("ended_by_operator"))

    assert (closing.outcome, closing.sentence) == ("ended_by_operator", "")
