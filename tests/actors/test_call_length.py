"""The longest call: a warning in a pause, a goodbye at the end."""

import math

import pytest
import trio
from trio.testing import MockClock

from actors.endings.intercom import mind_length
from actors.policy import CallPolicy
from actors.turn.effects import SayAsAgent, SpeechKind
from actors.turn.events import CloseAsked, RemarkMade
from agents.sentences import ENGLISH
from protocol.deepgram import AgentAudioDone, InjectAgentMessage
from tests.actors.fakes import Watched, says, words
from tests.actors.test_agent_session import on_the_floor

POLICY = CallPolicy()


async def test_a_call_is_warned_and_then_closed(autojump_clock: MockClock) -> None:
    watched = Watched()
    turn = watched.state.turn.turn
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mind_length, watched.state, 300.0)
        await trio.sleep(300 - POLICY.deadlines.length_notice - 0.01)
        before = turn.remark
        await trio.sleep(0.02)
        after, closing = turn.remark, turn.closing
        began = trio.current_time()

    assert (before, closing) == (None, None)
    assert after == SayAsAgent(SpeechKind.REMARK, ENGLISH.length_warning)
    assert turn.closing == CloseAsked("max_length", ENGLISH.length_goodbye)
    assert trio.current_time() - began == pytest.approx(POLICY.deadlines.length_notice, abs=0.02)


@pytest.mark.parametrize(("longest", "elapsed"), [(30.0, 0.0), (300.0, 270.0), (300.0, 400.0)])
async def test_a_call_that_has_less_time_than_the_notice_is_closed_without_one(
    longest: float, elapsed: float, autojump_clock: MockClock
) -> None:
    turn = (watched := Watched()).state.turn.turn
    watched.state.journal.started -= elapsed  # before this stream
    await mind_length(watched.state, longest)

    assert turn.remark is None
    assert turn.closing is not None
    assert trio.current_time() == pytest.approx(max(0.0, longest - elapsed), abs=0.1)


async def test_a_call_may_last_for_ever(autojump_clock: MockClock) -> None:
    turn = (watched := Watched()).state.turn.turn
    with trio.move_on_after(10_000) as waiting:
        await mind_length(watched.state, math.inf)

    assert waiting.cancelled_caught
    assert (turn.remark, turn.closing) == (None, None)


async def test_the_warning_waits_for_a_pause(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=4.0)
        began = trio.current_time()
        scene.watched.state.turn.put(RemarkMade("One minute left."))
        line = await scene.far.hear(InjectAgentMessage)
        took = trio.current_time() - began
        await scene.far.say(words(1), says("One minute left."), AgentAudioDone())
        await scene.settle()

        assert line == InjectAgentMessage("One minute left.", "queue")
        assert took == pytest.approx(4, abs=0.1)
        assert scene.watched.state.turn.turn.remark is None


async def test_where_there_is_no_pause_it_is_said_all_the_same(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=60.0)
        began = trio.current_time()
        scene.watched.state.turn.put(RemarkMade("One minute left."))
        await scene.far.hear(InjectAgentMessage)

    assert trio.current_time() - began == pytest.approx(10, abs=0.1)
