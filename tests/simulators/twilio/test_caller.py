"""The caller's turn-taking, frame by frame, with nothing but a voice activity in the ear."""

from collections.abc import Iterable

from simulators.scenario import Caller, CallerLine
from simulators.speech import synthesise
from simulators.twilio.caller import (
    Attention,
    CallerAct,
    CallerTurns,
    GoesOn,
    HangsUp,
    KeepsSilent,
    PressesKey,
    StartsLine,
    frames,
)

HELLO = CallerLine(says="Hello there.")


def live(turns: CallerTurns, ear: Iterable[bool]) -> list[CallerAct]:
    return [turns.step(voiced) for voiced in ear]


def first(acts: list[CallerAct], kind: type) -> int:
    return next(index for index, act in enumerate(acts) if isinstance(act, kind))


def voiced(seconds: float) -> list[bool]:
    return [True] * frames(seconds)


def silence(seconds: float) -> list[bool]:
    return [False] * frames(seconds)


def test_the_caller_answers_after_a_pause_behind_the_agents_last_word() -> None:
    turns = CallerTurns(Caller(lines=(CallerLine(says="Hello there.", pause=0.6),)))

    acts = live(turns, voiced(1.0) + silence(0.4) + voiced(1.0) + silence(3.0))

    assert first(acts, StartsLine) == frames(2.4) - 1 + frames(0.6)


def test_the_whole_utterance_is_spoken_frame_by_frame() -> None:
    turns = CallerTurns(Caller(lines=(HELLO,)))

    acts = live(turns, voiced(0.2) + silence(6.0))

    spoken = b"".join(act.frame for act in acts if isinstance(act, StartsLine | GoesOn))
    assert spoken == synthesise("Hello there.", "caller-1").audio


def test_patience_runs_out_when_nobody_speaks() -> None:
    turns = CallerTurns(Caller(lines=(HELLO,), patience=2.0))

    acts = live(turns, silence(3.0))

    assert first(acts, StartsLine) == frames(2.0)


def test_a_barge_in_comes_so_long_after_the_reply_began() -> None:
    turns = CallerTurns(Caller(lines=(CallerLine(says="Wait, please.", barge_in=1.2),)))

    acts = live(turns, silence(0.5) + voiced(5.0))

    assert first(acts, StartsLine) == frames(0.5) + frames(1.2)


def test_a_barge_in_without_a_reply_falls_back_on_patience() -> None:
    turns = CallerTurns(Caller(lines=(CallerLine(says="Wait, please.", barge_in=1.2),), patience=3.0))

    acts = live(turns, silence(4.0))

    assert first(acts, StartsLine) == frames(3.0)


def test_the_tail_of_an_interrupted_reply_is_not_taken_for_an_answer() -> None:
    turns = CallerTurns(Caller(lines=(HELLO, CallerLine(says="And then?", pause=0.2)), patience=30.0))
    live(turns, voiced(0.2) + silence(0.6))
    assert turns.attention is Attention.SPEAKING

    acts = live(turns, voiced(0.3) + silence(10.0))

    assert not any(isinstance(act, StartsLine) for act in acts)


def test_keys_are_pressed_one_by_one() -> None:
    turns = CallerTurns(Caller(lines=(CallerLine(digits="1#"),), hangs_up=False))

    acts = live(turns, voiced(0.1) + silence(2.0))

    assert [(index, act.digit) for index, act in enumerate(acts) if isinstance(act, PressesKey)] == [
        (frames(0.1) - 1 + frames(0.6), "1"),
        (frames(0.1) - 1 + frames(0.6) + frames(0.3), "#"),
    ]


def test_a_silent_line_lets_the_agents_ask_again_and_then_goes_on() -> None:
    turns = CallerTurns(Caller(lines=(CallerLine(silent=5.0), CallerLine(says="Sorry.")), patience=30.0))

    acts = live(turns, voiced(0.2) + silence(3.0) + voiced(0.5) + silence(10.0))

    assert first(acts, StartsLine) == frames(0.2) - 1 + frames(0.6) + frames(5.0) + frames(0.6)


def test_the_caller_hangs_up_when_the_last_line_was_answered() -> None:
    turns = CallerTurns(Caller(lines=()))

    acts = live(turns, voiced(1.0) + silence(2.0))

    assert first(acts, HangsUp) == frames(1.0) - 1 + frames(1.5)
    assert isinstance(turns.step(agents_voiced=False), HangsUp)


def test_a_caller_who_waits_for_the_agents_gives_up_at_last() -> None:
    turns = CallerTurns(Caller(lines=(), hangs_up=False, patience=1.0))

    acts = live(turns, silence(61.0))

    assert first(acts, HangsUp) == frames(60.0)


def test_a_hang_up_so_long_after_a_line_does_not_wait_for_an_answer() -> None:
    lines = (HELLO, CallerLine(hangs_up=True, after=0.3))
    turns = CallerTurns(Caller(lines=lines))
    length = len(synthesise("Hello there.", "caller-1").audio) // 160

    acts = live(turns, voiced(0.2) + silence(9.0))

    assert first(acts, HangsUp) == first(acts, StartsLine) + length + frames(0.3)


def test_a_line_that_hangs_up_hangs_up_when_it_is_the_callers_turn() -> None:
    turns = CallerTurns(Caller(lines=(CallerLine(hangs_up=True),)))

    acts = live(turns, voiced(0.2) + silence(1.0))

    assert first(acts, HangsUp) == frames(0.2) - 1 + frames(0.6)


def test_a_caller_without_lines_keeps_silent() -> None:
    assert isinstance(CallerTurns(Caller()).step(agents_voiced=False), KeepsSilent)


def test_on_a_second_stream_the_caller_waits_to_be_spoken_to_again() -> None:
    turns = CallerTurns(Caller(lines=(HELLO,)))
    live(turns, voiced(0.2))
    turns.listen_again()

    acts = live(turns, silence(3.0) + voiced(0.2) + silence(1.0))

    assert first(acts, StartsLine) == frames(3.0 + 0.2) - 1 + frames(0.6)
