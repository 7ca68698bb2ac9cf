"""A word that the line and the service have heard, and that nobody has understood: the caller is asked, or waits."""

from actors.turn.effects import EndConversation, TellAsCaller
from actors.turn.events import CallerSaid, Signal, VoiceEnded
from tests.actors.turn.script import (
    GOODBYE,
    POLICY,
    Step,
    caller_says,
    clip,
    filler_asked,
    lost,
    question_asked,
    reply,
    seen,
)


def heard(at: float) -> list[Step]:
    """Speech of the caller's for a second, without its transcript."""
    return caller_says(at)[:-1]


GIVEN_UP = 2 + POLICY.deadlines.latest_transcript
"""When no transcript of `heard(1)` is waited for any more."""


def test_a_caller_who_was_heard_and_not_understood_is_asked_at_once() -> None:
    got = seen(*heard(1), until=GIVEN_UP + 1)

    assert got == [(GIVEN_UP, question_asked(0.0)), (GIVEN_UP + 1, clip())]


def test_nobody_is_asked_for_a_word_behind_a_goodbye() -> None:
    got = seen(*GOODBYE, (4, Signal.PLAYED), *heard(4.2), until=10)

    assert got == [(5.2 + POLICY.deadlines.silence_budget, EndConversation("completed", "done", heard=True))]


def test_nor_behind_a_turn_that_is_owed_an_answer() -> None:
    """The turn is asked again, and the silence is filled: the answer to it is what they wait for."""
    asked_again = 4 + POLICY.deadlines.false_start

    got = seen(*caller_says(1), *heard(3), until=asked_again)

    assert got == [
        (asked_again, TellAsCaller("When can you come?")),
        (asked_again, filler_asked(silence=4.5)),
        (asked_again, clip(4.5)),
    ]


def test_a_caller_to_whom_the_agent_speaks_all_the_same_is_not_asked() -> None:
    """The words of the reply are lost, and it sounds as the transcript is waited for no longer."""
    got = seen(*heard(1), (6, Signal.AUDIO_BEGAN), (6.3, Signal.AUDIO_DONE), (9, Signal.PLAYED), until=19)

    assert got == [(9 + POLICY.deadlines.caller_silence, question_asked())]


def test_nor_is_one_to_whom_it_has_begun_to_speak() -> None:
    """What has come of the reply has been played, and the rest of it is on its way."""
    got = seen(*heard(1), (6, Signal.AUDIO_BEGAN), (6.9, Signal.PLAYED), until=17)

    assert got == [(6.9 + POLICY.deadlines.caller_silence, question_asked())]


# The session is lost behind it


def test_the_next_session_asks_nobody_whether_they_are_there_whose_word_was_missed() -> None:
    missed: list[Step] = [(1, Signal.VOICE_BEGAN), (2, VoiceEnded(2, deaf=True))]

    assert seen(*missed, *lost(2.5), until=5) == [(5, filler_asked())]


def test_a_turn_that_was_answered_was_not_missed_though_its_voice_ended_behind_its_transcript() -> None:
    turn: list[Step] = [*heard(1), (1.9, CallerSaid("When can you come?")), *reply(2.6)]

    assert seen(*turn, *lost(7), until=14) == []
