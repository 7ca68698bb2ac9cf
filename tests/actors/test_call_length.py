"""The longest call: a warning in a pause, a goodbye at the end."""

import math

import pytest
import trio
from trio.testing import MockClock

from actors.call_length import mind_length
from actors.policy import CallPolicy
from actors.prompter import Closing
from protocol.deepgram import AgentAudioDone, InjectAgentMessage
from tests.actors.fakes import Watched, says, words
from tests.actors.test_agent_session import on_the_floor

POLICY = CallPolicy()


async def test_a_call_is_warned_and_then_closed(autojump_clock: MockClock) -> None:
    watched, began = Watched(), trio.current_time()
    prompter = watched.desk.prompter
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mind_length, watched.desk, 300.0)
        await prompter.wait_remark()
        warned, text = trio.current_time() - began, prompter.take_remark()
        closing = await prompter.wait_closing()

    assert (warned, trio.current_time() - began) == (300 - POLICY.length_notice, 300)
    assert text == POLICY.length_warning
    assert closing == Closing("max_length", POLICY.length_goodbye, POLICY.closing)


async def test_a_call_shorter_than_the_notice_is_closed_without_one(autojump_clock: MockClock) -> None:
    watched = Watched()
    await mind_length(watched.desk, 30.0)

    assert watched.desk.prompter.remark == ""
    assert watched.desk.prompter.closing is not None


async def test_a_call_may_last_for_ever(autojump_clock: MockClock) -> None:
    watched = Watched()
    with trio.move_on_after(10_000) as waiting:
        await mind_length(watched.desk, math.inf)

    assert waiting.cancelled_caught
    assert (watched.desk.prompter.remark, watched.desk.prompter.closing) == ("", None)


async def test_the_warning_waits_for_a_pause(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=4.0)
        began = trio.current_time()
        scene.watched.desk.prompter.put_remark("One minute left.")
        line = await scene.far.hear(InjectAgentMessage)
        took = trio.current_time() - began
        await scene.far.say(words(1), says("One minute left."), AgentAudioDone())
        await scene.settle()

        assert line == InjectAgentMessage("One minute left.", "queue")
        assert took == pytest.approx(4, abs=0.1)
        assert scene.watched.desk.prompter.remark == ""


async def test_where_there_is_no_pause_it_is_said_all_the_same(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet(seconds=60.0)
        began = trio.current_time()
        scene.watched.desk.prompter.put_remark("One minute left.")
        await scene.far.hear(InjectAgentMessage)

    assert trio.current_time() - began == pytest.approx(10, abs=0.1)
