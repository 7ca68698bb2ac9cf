"""A caller who says nothing in their turn, by the session that waits for them: times are counted, not guessed."""

import math

import pytest
import trio
from trio.testing import MockClock

from actors.facts import CallClosing, CallerSilent
from actors.policy import CallPolicy, Deadlines
from actors.supervision import Crashed
from actors.turn.effects import EndConversation
from actors.turn.events import KeysEntered
from agents.sentences import ENGLISH
from protocol.deepgram import AgentAudioDone, InjectAgentMessage, InjectionRefused, LatencyReport, UserStartedSpeaking
from tests.actors.fakes import HAND_OFF, calls, heard, says, words
from tests.actors.test_agent_session import Scene, on_the_floor

POLICY = CallPolicy()
UNHURRIED = CallPolicy(deadlines=Deadlines(silence_budget=1e6))
"""The other silence, the agent's, is `tests/actors/test_agent_session.py`'s."""
WAIT = POLICY.deadlines.caller_silence
GREETING = 1.0
QUESTION = ENGLISH.still_there


async def asked(scene: Scene) -> InjectAgentMessage:
    """Read on until the agent is asked to say something."""
    return await scene.far.hear(InjectAgentMessage)


async def ask_once(scene: Scene) -> None:
    """The agent asks, in half a second."""
    assert await asked(scene) == InjectAgentMessage(QUESTION, "queue")
    await scene.far.say(words(0.5), says(QUESTION), AgentAudioDone())


def times(scene: Scene) -> list[float]:
    return scene.watched.times(CallerSilent)


async def test_a_silent_caller_is_asked_twice_and_then_said_goodbye_to(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)
        await ask_once(scene)
        await ask_once(scene)
        goodbye = await asked(scene)
        at = scene.watched.state.journal.now
        await scene.far.say(words(3), says(ENGLISH.silent_goodbye), AgentAudioDone())
        ended = await scene.concluded()

    assert goodbye.message == ENGLISH.silent_goodbye
    assert ended == EndConversation("caller_silent", "", heard=True)
    assert [*times(scene), at] == pytest.approx([GREETING + WAIT, 1.5 + 2 * WAIT, 2.0 + 3 * WAIT], abs=0.05)
    assert [(fact.asked, fact.seconds) for fact in scene.watched.facts(CallerSilent)] == [(1, WAIT), (2, WAIT)]
    assert scene.replies == ["Hello there.", QUESTION, QUESTION, ENGLISH.silent_goodbye]


async def test_an_agent_that_does_not_even_say_the_question_is_gone(autojump_clock: MockClock) -> None:
    """10 s of the caller's silence, and as long as any injection is waited for."""
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)
        ended = await scene.ended()
        at = trio.current_time()

    assert isinstance(ended, Crashed)
    assert "it does not say what it is asked to" in ended.reason
    assert at == pytest.approx(GREETING + WAIT + POLICY.deadlines.silence_budget, abs=0.05)
    assert len(times(scene)) == 1


@pytest.mark.parametrize("says_it", [True, False])
async def test_a_service_that_is_there_and_ignores_the_question_is_asked_once_more(
    says_it: bool, autojump_clock: MockClock
) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)

        async def report() -> None:
            while True:
                await trio.sleep(0.25)
                await scene.far.say(LatencyReport(stt_latency=0.02))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(report)
            await asked(scene)
            await asked(scene)
            if says_it:
                await scene.far.say(words(0.5), says(QUESTION), AgentAudioDone())
            with trio.move_on_after(6) as waited:
                await scene.ended()
            nursery.cancel_scope.cancel()

    again = GREETING + WAIT + POLICY.deadlines.silence_budget
    assert times(scene) == pytest.approx([GREETING + WAIT, again], abs=0.05)
    assert waited.cancelled_caught is says_it
    if not says_it:
        assert scene.watched.state.journal.now == pytest.approx(again + POLICY.deadlines.silence_budget, abs=0.05)


async def test_noise_does_not_count_as_a_word(autojump_clock: MockClock) -> None:
    """The service takes something for speech every four seconds, and never transcribes any of it."""
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)

        async def cough() -> None:
            while True:
                await trio.sleep(4)
                await scene.far.say(UserStartedSpeaking(), heard(" "))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cough)
            await ask_once(scene)
            nursery.cancel_scope.cancel()

    assert times(scene) == pytest.approx([GREETING + WAIT], abs=0.05)


async def test_a_loud_line_does_not_count_as_a_word(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)
        scene.begin_voice()
        await ask_once(scene)

    assert times(scene) == pytest.approx([GREETING + WAIT], abs=0.05)


async def test_nobody_is_asked_while_they_speak(autojump_clock: MockClock) -> None:
    async with on_the_floor(UNHURRIED) as scene:
        await scene.far.greet(seconds=GREETING)
        await trio.sleep(8)
        await scene.far.say(UserStartedSpeaking())
        scene.begin_voice()
        await scene.far.hear_for(20)
        spoken = list(scene.far.said(InjectAgentMessage))
        scene.end_voice()
        await scene.far.say(heard("It is a long story."))
        await scene.far.say(words(1), says("Go on."), AgentAudioDone())
        await ask_once(scene)

    assert spoken == []
    assert times(scene) == pytest.approx([8 + 20 + 1 + WAIT], abs=0.2)


async def test_what_was_taken_for_speech_delays_the_question_by_a_transcript_at_most(
    autojump_clock: MockClock,
) -> None:
    """It ends a second before they are to be asked; a turn would have been transcribed five seconds later."""
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)
        await trio.sleep(WAIT)
        await scene.far.say(UserStartedSpeaking())
        scene.begin_voice()
        scene.end_voice()
        await ask_once(scene)

    assert times(scene) == pytest.approx([WAIT + 5], abs=0.05)


@pytest.mark.parametrize("seconds", [70, 85, 130])
async def test_a_caller_who_speaks_for_long_is_probed_and_never_hung_up_on(
    seconds: int, autojump_clock: MockClock
) -> None:
    """The line is loud, and the service refuses each question since it hears them: that is no silence (C7)."""
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)
        await trio.sleep(2)
        await scene.far.say(UserStartedSpeaking())
        scene.begin_voice()

        async def refuse() -> None:
            while True:
                await asked(scene)
                await scene.far.say(InjectionRefused("The user is speaking."))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()
        scene.end_voice()
        await scene.far.say(heard("And that is my story."))
        await scene.far.say(words(1), says("I see."), AgentAudioDone())
        await scene.settle()

        assert not scene.over.is_set()
        assert {line.message for line in scene.far.said(InjectAgentMessage)} == {QUESTION}
        assert times(scene) == []
        assert scene.watched.facts(CallClosing) == []


async def test_a_noise_without_end_is_asked_into(autojump_clock: MockClock) -> None:
    """The service takes it for speech for a minute, transcribes nothing of it, and does not refuse to ask."""
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)
        await trio.sleep(2)
        await scene.far.say(UserStartedSpeaking())
        scene.begin_voice()
        began = trio.current_time()
        await ask_once(scene)

        assert trio.current_time() - began == pytest.approx(60, abs=0.05)


async def test_a_word_begins_the_count_anew(autojump_clock: MockClock) -> None:
    async with on_the_floor(UNHURRIED) as scene:
        await scene.far.greet(seconds=GREETING)
        await ask_once(scene)
        await ask_once(scene)
        await trio.sleep(5)
        await scene.far.take_turn("Sorry, I am back.")
        await scene.far.say(words(1), says("Good."), AgentAudioDone())
        await ask_once(scene)

    assert [fact.asked for fact in scene.watched.facts(CallerSilent)] == [1, 2, 1]


async def test_a_key_is_as_good_as_a_word(autojump_clock: MockClock) -> None:
    async with on_the_floor(UNHURRIED) as scene:
        await scene.far.greet(seconds=GREETING)
        await ask_once(scene)
        scene.watched.state.turn.put(KeysEntered("1"))
        await scene.settle()
        await scene.far.say(words(1), says("Thank you."), AgentAudioDone())
        await ask_once(scene)

    assert [fact.asked for fact in scene.watched.facts(CallerSilent)] == [1, 1]


async def test_who_types_slowly_is_not_interrupted(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)
        for _ in range(6):
            await trio.sleep(2.4)
            scene.watched.state.keypad.press("1")

        assert scene.far.said(InjectAgentMessage) == []
        assert times(scene) == []


async def test_while_the_agent_speaks_it_is_not_the_callers_turn(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=3 * WAIT)
        await ask_once(scene)

    assert times(scene) == pytest.approx([4 * WAIT], abs=0.05)


@pytest.mark.parametrize("request_", [calls("dawdle"), HAND_OFF], ids=["function", "handoff"])
async def test_nobody_is_asked_while_a_function_runs_or_a_handoff_is_prepared(
    request_: object, autojump_clock: MockClock
) -> None:
    """Even if a noise has made it the caller's turn meanwhile."""
    async with on_the_floor(CallPolicy(deadlines=Deadlines(silence_budget=1e6, caller_silence=2.0))) as scene:
        await scene.far.greet(seconds=GREETING)
        await scene.far.say(request_, UserStartedSpeaking(), heard(" "))  # type: ignore[arg-type]
        await scene.far.hear_for(4.9)

    assert times(scene) == []


async def test_a_question_that_is_refused_is_not_asked_at_once_again_and_does_not_count(
    autojump_clock: MockClock,
) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=GREETING)
        for _ in range(2):
            await asked(scene)
            await scene.far.say(InjectionRefused("The user is speaking."))
        await asked(scene)

    assert times(scene) == pytest.approx([GREETING + WAIT, GREETING + 2 * WAIT, GREETING + 3 * WAIT], abs=0.05)
    assert {fact.asked for fact in scene.watched.facts(CallerSilent)} == {1}


async def test_it_can_be_turned_off(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(deadlines=Deadlines(caller_silence=math.inf))) as scene:
        await scene.far.greet(seconds=GREETING)
        await scene.far.hear_for(1000)

    assert scene.far.said(InjectAgentMessage) == []
