"""A service that reports all the time how well it hears, and falls silent while its socket stays open (promise 4).

Deepgram sends `stt_latency` some four times a second for as long as audio flows, in silence too (its reference, section
4, row 14). A caller's short word is no proof that a service hears nothing, and the end of the reports is. Where a
service reports otherwise, or never, nothing follows from its silence.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.facts import SessionCrashed
from actors.policy import CallPolicy
from agents.sentences import ENGLISH
from protocol.audio import BYTES_PER_SECOND
from protocol.deepgram import InjectAgentMessage, LatencyReport
from simulators.deepgram import DeepgramKnobs
from simulators.scenario import CallerLine
from testkit.harness import Played, play
from tests.actors.fakes import FarEnd
from tests.calls.by_hand import HandCall, a_call, sentence
from tests.calls.test_silence import HASTY, LONGEST_CALL, clip_book, waits
from tests.examples import one_in

DEADLINES = CallPolicy().deadlines
BUDGET = DEADLINES.silence_budget + 0.2
SHORT = 0.24
"""Seconds: three messages of the telephone's, less than the shortest word."""
REPORT = LatencyReport(stt_latency=0.02)


@attrs.define(eq=False)
class Reporter:
    """Reports for one session, as long as it lives."""

    far: FarEnd
    every: float = 0.25
    is_there: bool = True

    async def run(self) -> None:
        while True:
            await trio.sleep(self.every)
            if self.is_there:
                await self.far.say(REPORT)


@asynccontextmanager
async def a_reported_call(every: float = 0.25) -> AsyncIterator[tuple[HandCall, Reporter]]:
    """Carry a call with a service that reports, up to where its greeting is heard and the caller has said nothing."""
    async with a_call() as call, trio.open_nursery() as nursery:
        reporter = Reporter(call.far, every)
        nursery.start_soon(reporter.run)
        await call.greet()
        await call.far.hear_for(5)
        yield call, reporter
        nursery.cancel_scope.cancel(reason="end of the test")


async def make_sound(call: HandCall, seconds: float = SHORT) -> None:
    """Let the caller say a word of which the service says nothing."""
    call.phone.is_loud = True
    await call.far.hear_for(seconds)
    call.phone.is_loud = False


def fallen_silent(call: HandCall) -> int:
    """Count the sessions that were lost since they had ceased to report."""
    return sum("it has ceased to report" in crash.error for crash in call.facts(SessionCrashed))


@pytest.mark.parametrize("seconds", [SHORT, 0.8])
@pytest.mark.parametrize("before", one_in(2, [0.0, 0.1, 1.0, 3.0]))
async def test_a_word_to_a_session_that_has_died_is_answered_by_another_within_the_budget(
    before: float, seconds: float, autojump_clock: MockClock
) -> None:
    async with a_reported_call() as (call, reporter):
        reporter.is_there = False
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
    async with a_reported_call() as (call, reporter):
        await call.speak("", SHORT, heard=False)
        reporter.is_there, spoke = False, call.phone.now
        call.far = await call.service.live()
        await call.far.take_turn("Yes.")
        await call.far.say(*sentence(1, "Good, then let us begin."))
        await call.far.hear_for(3)

        assert max(call.phone.silences(spoke)) <= BUDGET


async def test_a_word_into_the_end_of_a_question_is_answered_within_the_budget(autojump_clock: MockClock) -> None:
    async with a_reported_call() as (call, reporter):
        await call.speak("Tell me more.")
        await call.far.say(*sentence(1, "It is a long story, shall I?", 3.0))
        await call.far.hear_for(2.5)
        reporter.is_there = False
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
    async with a_reported_call() as (call, reporter):
        reporter.is_there = False
        await make_sound(call)
        spoke = call.phone.now
        call.far = await call.service.live()
        filler = await call.far.hear(InjectAgentMessage)

        assert filler.message == ENGLISH.filler
        assert call.phone.now - spoke < DEADLINES.silence_budget
        assert fallen_silent(call) == 1


async def test_a_caller_who_speaks_on_to_a_session_that_has_died_is_heard_by_another(autojump_clock: MockClock) -> None:
    """They have not come to an end when it takes the floor, and reads what they have said from the beginning."""
    async with a_reported_call() as (call, reporter):
        reporter.is_there = False
        call.phone.is_loud = True
        await call.far.hear_for(3)
        call.far = await call.service.live()
        await call.far.hear_for(3)

        assert len(call.far.audio) > 5 * BYTES_PER_SECOND


# What is no sign that the service is gone


async def cough(call: HandCall, _reporter: Reporter) -> None:
    await make_sound(call)
    await call.far.hear_for(9)


async def say_nothing(call: HandCall, reporter: Reporter) -> None:
    """No caller waits for anything: a question shows whether the service is there."""
    await call.speak("Tell me more.")
    await call.far.say(*sentence(1, "It is a long story."))
    await call.far.hear_for(4)
    reporter.is_there = False
    await call.far.hear_for(2.6)
    reporter.is_there = True


async def stall_network(call: HandCall, reporter: Reporter) -> None:
    """What the service sends comes late, and all of it."""
    await make_sound(call)
    reporter.is_there = False
    await call.far.hear_for(1.8)
    await call.far.say(*[REPORT] * 7)
    reporter.is_there = True
    await call.far.hear_for(7)


async def stall_line(call: HandCall, reporter: Reporter) -> None:
    """The caller's audio stops, so that there is nothing to report about, and comes again."""
    await make_sound(call)
    call.phone.is_away, reporter.is_there = True, False
    await call.far.hear_for(2.4)
    call.phone.is_away = False
    await call.far.hear_for(0.3)
    reporter.is_there = True
    await call.far.hear_for(6)


async def think_silently(call: HandCall, reporter: Reporter) -> None:
    await call.speak("Tell me more.")
    reporter.is_there = False
    await make_sound(call)
    await call.far.hear_for(2.6)
    await call.far.say(*sentence(1, "It is a long story."))
    reporter.is_there = True
    await call.far.hear_for(8)


async def speak_silently(call: HandCall, reporter: Reporter) -> None:
    """It reports nothing while it speaks, nor while what it has sent is heard."""
    reporter.is_there = False
    await call.far.say(*sentence(1, "It is a very long story, as you will see.", 6.0))
    await call.far.hear_for(1)
    await make_sound(call)
    await call.far.hear_for(6.5)
    reporter.is_there = True
    await call.far.hear_for(4)


async def report_in_bursts(call: HandCall, reporter: Reporter) -> None:
    """It has been seen to report nothing for a while before."""
    reporter.is_there = False
    await call.far.hear_for(1.5)
    reporter.is_there = True
    await call.far.hear_for(5)
    reporter.is_there = False
    await cough(call, reporter)


@pytest.mark.parametrize(
    "happens",
    one_in(2, [cough, say_nothing, stall_network, stall_line, think_silently, speak_silently, report_in_bursts]),
    ids=lambda each: each.__name__,
)
async def test_a_service_that_reports_all_the_time_and_is_there_is_not_lost(
    happens: Callable[[HandCall, Reporter], Awaitable[None]], autojump_clock: MockClock
) -> None:
    async with a_reported_call() as (call, reporter):
        await happens(call, reporter)

        assert fallen_silent(call) == 0


@pytest.mark.parametrize("every", one_in(2, [100.0, 1.3, 4.0]))
async def test_a_service_that_reports_now_and_then_or_never_is_not_lost_over_a_noise(
    every: float, autojump_clock: MockClock
) -> None:
    async with a_reported_call(every) as (call, reporter):
        reporter.is_there = False
        await make_sound(call)
        await call.far.hear_for(9)

        assert fallen_silent(call) == 0


async def test_a_service_that_reports_around_speech_only_is_not_lost_over_a_noise(autojump_clock: MockClock) -> None:
    async with a_call() as call, trio.open_nursery() as nursery:
        reporter = Reporter(call.far, 0.1)
        nursery.start_soon(reporter.run)
        await call.greet()
        for number in (1, 2, 3):
            reporter.is_there = True
            await call.speak("Tell me more, please, I have all the time in the world.", 4.0)
            await call.far.hear_for(0.5)
            await call.far.say(*sentence(number, "Well.", 0.5))
            reporter.is_there = False
            await call.far.hear_for(0.6)
            await make_sound(call)
            await call.far.hear_for(4)

        assert fallen_silent(call) == 0
        nursery.cancel_scope.cancel(reason="end of the test")


async def test_a_call_loses_no_more_than_two_sessions_like_that(autojump_clock: MockClock) -> None:
    """Then it is how the service reports."""
    async with a_reported_call() as (call, first), trio.open_nursery() as nursery:
        reporters = [first]
        for number in range(1, 5):
            reporters[-1].is_there = False
            await make_sound(call)
            await trio.sleep(4)
            if call.service._ringing:
                call.far = await call.service.live()
                reporters.append(Reporter(call.far))
                nursery.start_soon(reporters[-1].run)
            reporters[-1].is_there = True
            await call.far.take_turn(f"Hello for the {number}th time?")
            await call.far.say(*sentence(number, "Yes, I can hear you."))
            await call.far.hear_for(7)

        assert fallen_silent(call) == 2
        nursery.cancel_scope.cancel(reason="end of the test")


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


def call_with_reports(kind: str, after: float) -> Played:
    async def main() -> Played:
        with trio.fail_after(LONGEST_CALL):
            knobs = DeepgramKnobs(slice_ms=160, stt_reports_per_second=4)
            fault = f"deepgram: {kind} after {after:g} s"
            return await play(NO, [fault], clips=clip_book(), knobs=knobs, bundle=2)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", one_in(3, [0.1, -0.1, 0.5, -3.0, -1.0, 0.3, 0.9, 1.5]))
def test_a_simulated_service_that_dies_about_a_short_word_costs_the_caller_no_silence(kind: str, after: float) -> None:
    played = call_with_reports(kind, WORD + after)

    assert [wait for wait in waits(played) if wait[1] - wait[0] > BUDGET] == []
    assert played.the_record.restarts == 1
    assert "I live in Seattle." in played.said_by_caller()
