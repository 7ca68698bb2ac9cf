"""The driver alone: when it tells the turn what, and what it does at once."""

import math
from collections.abc import Callable

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors.facts import CallClosing, SilenceMet
from actors.line.reply import SendAudio, Voice
from actors.policy import CallPolicy
from actors.turn.effects import Effect, EndConversation, Gate
from actors.turn.events import AgentSaid, CallerSaid, CloseAsked, Event, FloorGiven, Signal, VoiceEnded, kind_of
from actors.turn.machine import Turn
from actors.turn.state import Debt
from actors.turn_driver import Clips, TurnDriver
from agents.sentences import ENGLISH
from tests.actors.fakes import Speaker, Watched, conclusion_of, words

POLICY = CallPolicy()
FILLER = ENGLISH.filler


def driver() -> tuple[Watched, TurnDriver, Speaker]:
    """Make a driver whose floor is held by the first agent, and which nobody runs yet."""
    watched, speaker = Watched(), Speaker()
    turn = watched.state.turn
    turn.session, turn.speaker = speaker, speaker.agent
    return watched, turn, speaker


class CountingTurn(Turn):
    """A turn that keeps what it was told."""

    def __init__(self, policy: CallPolicy, now: float) -> None:
        super().__init__(policy, now)
        self.events: list[Event] = []

    def on(self, event: Event, now: float) -> list[Effect]:
        self.events.append(event)
        return super().on(event, now)


class StuckTurn(CountingTurn):
    """A turn of which something is due at once, for ever."""

    def deadline(self) -> float:
        return 0.0


async def test_the_gate_follows_each_event_in_its_own_step(autojump_clock: MockClock) -> None:
    watched, turn, _ = driver()
    before = watched.state.ledger.gate

    turn.put(FloorGiven(owes=True))
    given = watched.state.ledger.gate
    turn.put(CloseAsked("drained", "Leave a message.", waits_for_beep=True))

    assert (before, given, watched.state.ledger.gate) == (Gate.OPEN, Gate.OPEN, Gate.SHUT)
    assert watched.facts(CallClosing) == [CallClosing("drained")]


async def test_frames_behind_the_first_are_no_events(autojump_clock: MockClock) -> None:
    watched, turn, speaker = driver()
    turn.turn = counted = CountingTurn(POLICY, trio.current_time())
    turn.put(FloorGiven(owes=True))
    voice = Voice(speaker.agent.name)
    watched.state.ledger.grant(voice)
    for _ in range(50):
        turn.put_audio(voice, words(0.02).data)

    assert [kind_of(event) for event in counted.events] == [FloorGiven, Signal.AUDIO_BEGAN]
    assert watched.state.ledger.unplayed == pytest.approx(1.0)


@pytest.mark.parametrize(("seconds", "left"), [(0.3, 0.3), (0.5, 0.0)])
async def test_a_start_of_speech_cuts_no_less_than_a_word(
    seconds: float, left: float, autojump_clock: MockClock
) -> None:
    """If it was a noise, the end of a reply would be heard seconds behind the rest."""
    watched, turn, speaker = driver()
    turn.put(FloorGiven(owes=True))
    voice = Voice(speaker.agent.name)
    watched.state.ledger.grant(voice)
    turn.put_audio(voice, words(seconds).data)
    turn.put(AgentSaid("Hello."))
    turn.put(Signal.AUDIO_DONE)
    turn.put(Signal.CALLER_STARTED_SPEAKING)

    assert watched.state.ledger.unplayed == pytest.approx(left)


async def test_a_reply_of_which_nothing_is_left_ends_no_silence_when_it_is_resumed(autojump_clock: MockClock) -> None:
    watched, turn, speaker = driver()
    turn.put(FloorGiven(owes=True))
    voice = Voice(speaker.agent.name)
    watched.state.ledger.grant(voice)
    turn.put(Signal.AUDIO_BEGAN)
    turn.put(AgentSaid("Hello."))
    turn.put(Signal.AUDIO_DONE)
    turn.put(Signal.CALLER_STARTED_SPEAKING)
    await trio.sleep(1)
    turn.put(Signal.NOTHING_UNDERSTOOD)

    assert (turn.turn.sounding, turn.turn.at.quiet) == (False, trio.current_time() - 1)


async def test_audio_without_the_floor_is_no_event(autojump_clock: MockClock) -> None:
    watched, turn, _ = driver()
    turn.put(FloorGiven(owes=True))
    turn.put_audio(Voice("another"), words(1).data)

    assert not turn.turn.sounding
    assert watched.state.ledger.dropped == 8000


async def test_a_frame_without_audio_is_no_beginning_of_a_reply(autojump_clock: MockClock) -> None:
    watched, turn, speaker = driver()
    turn.turn = counted = CountingTurn(POLICY, trio.current_time())
    turn.put(FloorGiven(owes=True))
    voice = Voice(speaker.agent.name)
    watched.state.ledger.grant(voice)
    turn.put_audio(voice, b"")

    assert [type(event) for event in counted.events] == [FloorGiven]
    assert not turn.turn.sounding


async def test_time_is_told_when_it_has_come_and_what_an_effect_reports_is_taken_after_it(
    autojump_clock: MockClock,
) -> None:
    """There is no clip: a filler is over as soon as it is asked for, and the next one follows a budget later."""
    watched, turn, _ = driver()
    turn.session = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn.run)
        turn.put(FloorGiven(owes=True))
        await trio.sleep(2 * POLICY.deadlines.silence_budget + 0.5)
        nursery.cancel_scope.cancel()

    assert watched.times(SilenceMet) == [POLICY.deadlines.silence_budget, 2 * POLICY.deadlines.silence_budget]
    assert {fact.filled_by for fact in watched.facts(SilenceMet)} == {"nothing"}


@pytest.mark.parametrize(
    ("clips", "said"),
    [
        ({("other", FILLER): b"another's", ("own", FILLER): b"its own"}, b"its own"),
        ({("other", FILLER): b"another's", ("third", FILLER): b"a third one's"}, b"another's"),
        ({("own", "Un momento."): b"of other words", ("other", FILLER): b"another's"}, b"another's"),
        ({("own", "Un momento."): b"of other words"}, b"of other words"),  # silence would be worse
        ({}, b""),
    ],
)
async def test_a_clip_is_in_the_voice_of_the_agent_whose_turn_it_is_or_else_in_another(
    clips: Clips, said: bytes, autojump_clock: MockClock
) -> None:
    watched, turn, speaker = driver()
    turn.session, turn.speaker = None, attrs.evolve(speaker.agent, voice="own")
    turn.clips.update(clips)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn.run)
        turn.put(FloorGiven(owes=True))
        await trio.sleep(POLICY.deadlines.silence_budget + 0.5)
        nursery.cancel_scope.cancel()

    with trio.move_on_after(1.0):
        work = await watched.state.ledger.next_work()
        assert isinstance(work, SendAudio)
        assert work.audio == said
        return

    assert not said


async def test_a_turn_that_is_stuck_does_not_keep_the_other_calls_waiting(autojump_clock: MockClock) -> None:
    _, turn, _ = driver()
    turn.turn = stuck = StuckTurn(POLICY, trio.current_time())
    with trio.move_on_after(1.0):
        await turn.run()

    assert 50 <= len(stuck.events) <= 110


@pytest.mark.parametrize(
    ("seconds", "heard_before", "reads", "owed"),
    [(0.5, True, True, True), (0.3, True, True, False), (0.5, False, True, False), (0.5, True, False, False)],
    ids=["deaf", "too short for a word", "the service has said something since", "it does not listen"],
)
async def test_a_caller_whom_the_service_does_not_hear_is_owed_an_answer(
    seconds: float, heard_before: bool, reads: bool, owed: bool, autojump_clock: MockClock
) -> None:
    watched, turn, speaker = driver()
    turn.put(FloorGiven(owes=False))
    await trio.sleep(10)
    now = watched.state.journal.now
    speaker.last_heard, speaker.reads_tape = trio.current_time() - (5 if heard_before else 0), reads
    turn.put_voice(is_voiced=True, spoke=None)
    turn.put_voice(is_voiced=False, spoke=(now - 0.4 - seconds, now - 0.4))

    assert (turn.turn.debt is Debt.OWED) is owed


async def test_where_nobody_says_the_last_sentence_the_line_has_to(autojump_clock: MockClock) -> None:
    _, turn, _ = driver()
    turn.session = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn.run)
        turn.put(CloseAsked("drained", "Goodbye."))
        assert await conclusion_of(turn) == EndConversation("drained", unsaid="Goodbye.")
        nursery.cancel_scope.cancel()

    assert trio.current_time() == POLICY.deadlines.closing


def answers(speaker: Speaker) -> None:
    speaker.last_sign = trio.current_time()


def is_another(speaker: Speaker) -> None:
    """Its session took the floor from one that was asked, and has heard from its service before the sound only."""
    speaker.number += 1


@pytest.mark.parametrize(
    ("at", "happens", "asked", "is_gone"),
    [
        (9.0, answers, [1.0], True),
        (0.4, answers, [1.0], True),  # it may have died since, before it could answer anything
        (0.7, answers, [], False),
        (1.7, answers, [1.0], False),
        (1.7, is_another, [1.0, 1.72], True),
    ],
)
async def test_a_service_is_asked_only_if_it_has_said_nothing_a_second_behind_a_sound(
    at: float, happens: Callable[[Speaker], None], asked: list[float], *, is_gone: bool, autojump_clock: MockClock
) -> None:
    _, turn, speaker = driver()
    speaker.last_sign = -math.inf
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn.run)
        turn.put(FloorGiven(owes=False))
        turn.put(Signal.VOICE_BEGAN)
        turn.put(VoiceEnded(trio.current_time()))
        began = trio.current_time()
        await trio.sleep(at)
        happens(speaker)
        turn.wake()
        await trio.sleep(4)
        nursery.cancel_scope.cancel()

    assert [moment - began for moment in speaker.asked] == pytest.approx(asked, abs=0.03)
    assert bool(turn.turn.times_silent) is is_gone


async def test_a_service_that_was_asked_in_the_middle_of_a_sound_is_asked_behind_it_again(
    autojump_clock: MockClock,
) -> None:
    _, turn, speaker = driver()
    speaker.last_sign = -math.inf
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn.run)
        turn.put(FloorGiven(owes=False))
        began = trio.current_time()
        turn.put(Signal.VOICE_BEGAN)
        for seconds in (1.05, 0.9):
            await trio.sleep(seconds)
            answers(speaker)
            turn.put(VoiceEnded(began + 0.9))
        await trio.sleep(2)
        nursery.cancel_scope.cancel()

    assert [moment - began for moment in speaker.asked] == pytest.approx([1.0, 1.9], abs=0.03)
    assert not turn.turn.times_silent


@pytest.mark.parametrize(("heard", "asked"), [(0.2, []), (-0.2, [1.0])])
async def test_a_service_that_hears_the_caller_is_not_asked_while_they_speak(
    heard: float, asked: list[float], autojump_clock: MockClock
) -> None:
    _, turn, speaker = driver()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn.run)
        turn.put(FloorGiven(owes=False))
        turn.put(Signal.VOICE_BEGAN)
        began = trio.current_time()
        speaker.last_sign = began + heard
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()

    assert [moment - began for moment in speaker.asked] == pytest.approx(asked, abs=0.03)


async def test_a_service_that_is_asked_late_has_a_second_to_answer(autojump_clock: MockClock) -> None:
    _, turn, speaker = driver()
    speaker.last_sign = -math.inf
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn.run)
        turn.put(FloorGiven(owes=False))
        turn.put(Signal.VOICE_BEGAN)
        turn.put(VoiceEnded(trio.current_time()))
        await trio.sleep(1.7)
        is_another(speaker)
        turn.wake()
        await trio.sleep(0.9)
        answers(speaker)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()

    assert len(speaker.asked) == 2
    assert not turn.turn.times_silent


async def test_the_caller_that_is_understood_has_no_service_asked(autojump_clock: MockClock) -> None:
    _, turn, speaker = driver()
    speaker.last_sign = -math.inf
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn.run)
        turn.put(FloorGiven(owes=False))
        turn.put(Signal.VOICE_BEGAN)
        turn.put(VoiceEnded(trio.current_time()))
        turn.put(CallerSaid("Yes."))
        await trio.sleep(3)
        nursery.cancel_scope.cancel()

    assert not speaker.asked


async def test_a_service_that_answers_a_ping_late_is_no_line_without_a_lead(autojump_clock: MockClock) -> None:
    watched, turn, speaker = driver()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn.run)
        turn.put(FloorGiven(owes=False))
        speaker.last_sign = trio.current_time()
        turn.put(Signal.VOICE_BEGAN)
        turn.put(VoiceEnded(trio.current_time()))
        await trio.sleep(1.5)
        speaker.last_sign = trio.current_time()
        await trio.sleep(1.5)
        voice = Voice(speaker.agent.name)
        watched.state.ledger.grant(voice)
        turn.put_audio(voice, words(0.4).data)
        assert isinstance(watched.state.ledger.work_now(), SendAudio)
        await trio.sleep(0.45)
        nursery.cancel_scope.cancel()

    assert not turn.turn.sounding
