"""Keys become entries, entries become a sentence for the agent, and nothing that is kept says which."""

import pytest
import trio
from trio.testing import MockClock

from actors.facts import DigitPressed, KeysPressed, TurnHeard, UserStartedSpeaking
from actors.line.line_watch import LONGEST_ENTRY, masked
from actors.policy import CallPolicy, describe_keys
from actors.turn.events import KeysEntered
from protocol.deepgram import AgentAudioDone, InjectAgentMessage, InjectUserMessage
from protocol.deepgram import UserStartedSpeaking as SpeechStarted
from tests.actors.fakes import HAND_OFF, Watched, heard, says, words
from tests.actors.test_agent_session import on_the_floor

PAUSE, MOST = CallPolicy().deadlines.digit_pause, CallPolicy().numbers.most_keys
ONE_TWO = "The caller pressed 1 2 on the keypad."


async def typed(keys: str, every: float) -> tuple[list[str], float]:
    """Press keys at this pace; return the entries they made, and how long after the last key they were over."""
    watched = Watched()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.state.keypad.collect)
        for key in keys:
            await trio.sleep(every)
            watched.state.keypad.press(key)
        await trio.sleep(PAUSE + 1)
        nursery.cancel_scope.cancel()
    pressed, finished = watched.times(DigitPressed), watched.times(KeysPressed)
    return list(watched.state.turn.turn.keys), finished[-1] - pressed[-1]


@pytest.mark.parametrize(
    ("keys", "every", "entries", "after"),
    [
        ("1", 1.0, ["1"], PAUSE),
        ("123", 2.4, ["123"], PAUSE),
        ("12", 2.6, ["1", "2"], PAUSE),
        ("123#", 0.3, ["123"], 0),
        ("123#45#", 0.3, ["123", "45"], 0),
        ("#", 0.3, ["#"], 0),
        ("*12*", 0.3, ["*12*"], PAUSE),
        ("1" * (LONGEST_ENTRY + 1), 0.3, ["1" * LONGEST_ENTRY, "1"], PAUSE),
        ("1x2", 0.3, ["12"], PAUSE),
    ],
)
async def test_an_entry_is_over_after_a_pause_or_at_the_hash(
    keys: str, every: float, entries: list[str], after: float, autojump_clock: MockClock
) -> None:
    made, took = await typed(keys, every)

    assert made == entries
    assert took == pytest.approx(after)


async def test_no_more_keys_wait_than_anybody_types(autojump_clock: MockClock) -> None:
    watched = Watched()
    for _ in range(MOST // 2 + 3):
        watched.state.keypad.press("1")
        watched.state.keypad.press("#")

    waiting = watched.state.turn.turn.keys
    assert sum(map(len, waiting)) == len(waiting) <= MOST
    assert {KeysPressed(1, taken=True)} == set(watched.facts(KeysPressed))


async def test_keys_that_nobody_takes_are_counted_as_lost(autojump_clock: MockClock) -> None:
    watched = Watched()
    for _ in range(MOST + 1):
        watched.state.turn.put(KeysEntered("1"))
    watched.state.keypad.press("1")
    watched.state.keypad.press("#")

    assert watched.facts(KeysPressed) == [KeysPressed(1, taken=False)]


@pytest.mark.parametrize(
    ("entries", "text", "mask"),
    [
        (["1"], "The caller pressed 1 on the keypad.", "(pressed 1 key)"),
        (["123"], "The caller pressed 1 2 3 on the keypad.", "(pressed 3 keys)"),
        (["12", "*#"], "The caller pressed 1 2, then * # on the keypad.", "(pressed 4 keys)"),
        (["0"], "The caller pressed 0 on the keypad: they want to speak to a person.", "(pressed 1 key)"),
        (["000"], "The caller pressed 0 on the keypad: they want to speak to a person.", "(pressed 3 keys)"),
        (["0", "0"], "The caller pressed 0 on the keypad: they want to speak to a person.", "(pressed 2 keys)"),
        (["0000"], "The caller pressed 0 0 0 0 on the keypad.", "(pressed 4 keys)"),
        (["0", "1"], "The caller pressed 0, then 1 on the keypad.", "(pressed 2 keys)"),
    ],
)
def test_an_agent_is_told_which_keys_and_others_how_many(entries: list[str], text: str, mask: str) -> None:
    assert (describe_keys(tuple(entries), "0"), masked(entries)) == (text, mask)


# The session tells the agent


async def test_the_agent_is_told_once_and_answers(autojump_clock: MockClock) -> None:
    """The service says back what it is told: that is no second turn."""
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        for key in "12#":
            scene.watched.state.keypad.press(key)
        assert await scene.far.hear(InjectUserMessage) == InjectUserMessage(ONE_TWO)
        await scene.far.say(SpeechStarted(), heard(ONE_TWO), words(1), says("Thank you."), AgentAudioDone())
        await scene.settle()
        turns = [(turn.speaker, turn.text) for turn in scene.watched.state.conversation.turns()]

        assert turns[:2] == [("first", "Hello there."), ("caller", ONE_TWO)]
        assert len([turn for turn in turns if turn[0] == "caller"]) == 1
        assert scene.watched.facts(TurnHeard) == [TurnHeard("first", "(pressed 2 keys)")]
        assert scene.watched.facts(UserStartedSpeaking) == [UserStartedSpeaking("first")]


async def test_an_answer_is_waited_for_from_the_last_key_on(autojump_clock: MockClock) -> None:
    """And not from when anything was last heard on the line: no filler follows at once."""
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(9)
        scene.watched.state.keypad.press("1")
        scene.watched.state.keypad.press("#")
        await scene.far.hear_for(2.9)
        soon = list(scene.far.said(InjectAgentMessage))
        await scene.far.hear_for(0.2)

        assert (soon, len(scene.far.said(InjectAgentMessage))) == ([], 1)


async def test_which_keys_they_were_is_kept_only_where_that_is_wanted(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(keep_digits=True)) as scene:
        await scene.far.greet()
        await trio.sleep(2)
        for key in "12#":
            scene.watched.state.keypad.press(key)
        await scene.far.hear(InjectUserMessage)

    assert scene.watched.facts(TurnHeard) == [TurnHeard("first", ONE_TWO)]
    assert scene.watched.facts(DigitPressed) == [DigitPressed("1"), DigitPressed("2"), DigitPressed("#")]


async def test_otherwise_no_fact_names_a_key(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        for key in "97#":
            scene.watched.state.keypad.press(key)
        await scene.far.hear(InjectUserMessage)

    noted = [str(entry.fact) for entry in scene.watched.entries if "97" in str(entry.fact) or "9 7" in str(entry.fact)]
    assert noted == []
    assert scene.watched.facts(DigitPressed) == 3 * [DigitPressed("")]


async def test_keys_wait_until_the_greeting_was_heard(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        began = trio.current_time()
        scene.watched.state.turn.put(KeysEntered("12"))
        await scene.far.greet(seconds=3.0)
        await scene.far.hear(InjectUserMessage)

    assert trio.current_time() - began == pytest.approx(3, abs=0.1)


async def test_an_agent_that_is_handing_over_is_told_nothing(autojump_clock: MockClock) -> None:
    """They are the next agent's: `tests/calls/test_in_call.py`."""
    async with on_the_floor() as scene:
        await scene.far.greet()
        await trio.sleep(2)
        await scene.far.say(HAND_OFF)
        await scene.asked_handoff()
        scene.watched.state.keypad.press("1")
        scene.watched.state.keypad.press("#")
        await scene.far.hear_for(5)

        assert scene.far.said(InjectUserMessage) == []
        assert scene.watched.state.turn.turn.keys == ("1",)
