"""A service that falls silent while its socket stays open (promise 4).

A caller's short word is no proof that a service hears nothing, and nothing that it sends in the caller's turn is due.
So it is pinged behind a sound of theirs of which it says nothing: a peer answers a ping whatever it hears (RFC 6455,
section 5.5.2), and Deepgram has clients ping it (deepgram-python-sdk issue 618).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.facts import SessionCrashed
from actors.policy import CallPolicy
from actors.turn.parts import CEASED
from agents.sentences import ENGLISH
from protocol.audio import BYTES_PER_SECOND
from protocol.deepgram import InjectAgentMessage, LatencyReport
from simulators.deepgram import DeepgramKnobs
from simulators.scenario import CallerLine
from testkit.harness import Played, play
from tests.calls.by_hand import HandCall, a_call, sentence
from tests.calls.test_silence import HASTY, LONGEST_CALL, clip_book, waits
from tests.examples import one_in

DEADLINES = CallPolicy().deadlines
BUDGET = DEADLINES.silence_budget + 0.2
SHORT = 0.24
"""Seconds: three messages of the telephone's, less than the shortest word."""
REPORT = LatencyReport(stt_latency=0.02)


@asynccontextmanager
async def a_quiet_call() -> AsyncIterator[HandCall]:
    """Carry a call up to where its greeting is heard and the caller has said nothing."""
    async with a_call() as call:
        await call.greet()
        await call.far.hear_for(5)
        yield call


def fall_silent(call: HandCall) -> None:
    call.far.socket.answers_pings = False


async def make_sound(call: HandCall, seconds: float = SHORT) -> None:
    """Let the caller say a word of which the service says nothing."""
    call.phone.is_loud = True
    await call.far.hear_for(seconds)
    call.phone.is_loud = False


def fallen_silent(call: HandCall) -> int:
    """Count the sessions that were lost since they had answered no ping."""
    return sum(CEASED in crash.error for crash in call.facts(SessionCrashed))


@pytest.mark.parametrize("seconds", [SHORT, 0.8])
@pytest.mark.parametrize("before", one_in(2, [0.0, 0.1, 1.0, 3.0]))
async def test_a_word_to_a_session_that_has_died_is_answered_by_another_within_the_budget(
    before: float, seconds: float, autojump_clock: MockClock
) -> None:
    async with a_quiet_call() as call:
        fall_silent(call)
        await call.far.hear_for(before)
        await make_sound(call, seconds)
        spoke = call.phone.now
        call.far = await call.service.live()
        await call.far.take_turn("Yes.")
        await call.far.say(*sentence(1, "Good, then let us begin."))
        await call.far.hear_for(3)

        assert call.phone.heard(1) == 2.0
        assert max(call.phone.silences(spoke)) <= BUDGET
        assert fallen_silent(call) == 1


async def test_a_word_whose_beginning_the_service_has_heard_before_it_died_is_answered_too(
    autojump_clock: MockClock,
) -> None:
    async with a_quiet_call() as call:
        await call.speak("", SHORT, heard=False)
        fall_silent(call)
        spoke = call.phone.now
        call.far = await call.service.live()
        await call.far.take_turn("Yes.")
        await call.far.say(*sentence(1, "Good, then let us begin."))
        await call.far.hear_for(3)

        assert max(call.phone.silences(spoke)) <= BUDGET


async def test_a_word_into_the_end_of_a_question_is_answered_within_the_budget(autojump_clock: MockClock) -> None:
    async with a_quiet_call() as call:
        await call.speak("Tell me more.")
        await call.far.say(*sentence(1, "It is a long story, shall I?", 3.0))
        await call.far.hear_for(2.5)
        fall_silent(call)
        await make_sound(call)
        await call.far.hear_for(0.3)
        spoke = call.phone.now
        call.far = await call.service.live()
        await call.far.take_turn("Yes.")
        await call.far.say(*sentence(2, "Good, then let us begin."))
        await call.far.hear_for(3)

        assert call.phone.heard(1) == 3.0
        assert max(call.phone.silences(spoke)) <= BUDGET


async def test_where_the_next_session_says_nothing_either_the_caller_hears_something_within_the_budget(
    autojump_clock: MockClock,
) -> None:
    async with a_quiet_call() as call:
        fall_silent(call)
        await make_sound(call)
        spoke = call.phone.now
        call.far = await call.service.live()
        filler = await call.far.hear(InjectAgentMessage)

        assert filler.message == ENGLISH.filler
        assert call.phone.now - spoke < DEADLINES.silence_budget
        assert fallen_silent(call) == 1


async def test_a_caller_who_speaks_on_to_a_session_that_has_died_is_heard_by_another(autojump_clock: MockClock) -> None:
    """They have not come to an end when it takes the floor, and reads what they have said from the beginning."""
    async with a_quiet_call() as call:
        await make_sound(call, 0.1)
        await call.far.hear_for(0.5)
        fall_silent(call)
        await make_sound(call, 0.1)
        await call.far.hear_for(0.5)
        call.phone.is_loud = True
        call.far = await call.service.live()
        await call.far.hear_for(3)

        assert len(call.far.audio) > 5 * BYTES_PER_SECOND


# What is no sign that the service is gone


async def cough(call: HandCall) -> None:
    await make_sound(call)
    await call.far.hear_for(9)


async def say_nothing(call: HandCall) -> None:
    """No caller waits for anything: a question shows whether the service is there."""
    await call.speak("Tell me more.")
    await call.far.say(*sentence(1, "It is a long story."))
    fall_silent(call)
    await call.far.hear_for(7)


async def stall_network(call: HandCall) -> None:
    """What the service sends comes late, and all of it."""
    await make_sound(call)
    fall_silent(call)
    await call.far.hear_for(1.8)
    call.far.socket.answers_pings = True
    await call.far.hear_for(7)


async def answer_otherwise(call: HandCall) -> None:
    """It answers no ping, and says something else."""
    fall_silent(call)
    await make_sound(call)
    for _ in range(6):
        await call.far.say(REPORT)
        await call.far.hear_for(1)


async def think_silently(call: HandCall) -> None:
    await call.speak("Tell me more.")
    fall_silent(call)
    await make_sound(call)
    await call.far.hear_for(2.6)
    await call.far.say(*sentence(1, "It is a long story."))
    call.far.socket.answers_pings = True
    await call.far.hear_for(8)


async def speak_silently(call: HandCall) -> None:
    """It answers nothing while it speaks, nor while what it has sent is heard."""
    fall_silent(call)
    await call.far.say(*sentence(1, "It is a very long story, as you will see.", 6.0))
    await call.far.hear_for(1)
    await make_sound(call)
    await call.far.hear_for(6.5)
    call.far.socket.answers_pings = True
    await call.far.hear_for(4)


@pytest.mark.parametrize(
    "happens",
    [cough, say_nothing, stall_network, answer_otherwise, think_silently, speak_silently],
    ids=lambda each: each.__name__,
)
async def test_a_service_that_is_there_is_not_lost(
    happens: Callable[[HandCall], Awaitable[None]], autojump_clock: MockClock
) -> None:
    async with a_quiet_call() as call:
        await happens(call)

        assert fallen_silent(call) == 0


async def test_a_call_loses_no_more_than_two_sessions_like_that(autojump_clock: MockClock) -> None:
    """Then it is how the service answers."""
    async with a_quiet_call() as call:
        for number in range(1, 5):
            fall_silent(call)
            await make_sound(call)
            await trio.sleep(4)
            if call.service._ringing:
                call.far = await call.service.live()
            call.far.socket.answers_pings = True
            await call.far.take_turn(f"Hello for the {number}th time?")
            await call.far.say(*sentence(number, "Yes, I can hear you."))
            await call.far.hear_for(7)

        assert fallen_silent(call) == 2


# Whole calls with the simulated service

KINDS = ("stall", "silent drop")
NO = attrs.evolve(
    HASTY,
    caller=attrs.evolve(
        HASTY.caller,
        patience=30.0,
        hangs_up=True,
        lines=(CallerLine("No.", pause=7.0), CallerLine("I live in Seattle.")),
    ),
)
"""The caller's first word is as short as a noise. It comes 14 s after the session has begun."""
WORD = 13.95


def call_about_a_word(kind: str, after: float, reports: float) -> Played:
    async def main() -> Played:
        with trio.fail_after(LONGEST_CALL):
            knobs = DeepgramKnobs(slice_ms=160, stt_reports_per_second=reports)
            fault = f"deepgram: {kind} after {after:g} s"
            return await play(NO, [fault], clips=clip_book(), knobs=knobs, bundle=2)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("reports", [0.0, 4.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", one_in(3, [0.1, -0.1, 0.5, -3.0, -1.0, 0.3, 0.9, 1.5]))
def test_a_simulated_service_that_dies_about_a_short_word_costs_the_caller_no_silence(
    kind: str, after: float, reports: float
) -> None:
    played = call_about_a_word(kind, WORD + after, reports)

    assert [wait for wait in waits(played) if wait[1] - wait[0] > BUDGET] == []
    assert played.the_record.restarts == 1
    assert "I live in Seattle." in played.said_by_caller()
