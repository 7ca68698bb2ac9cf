"""What answers the caller and what does not, and how long a noise keeps them from it."""

import pytest

from actors.turn.effects import Cut, Resume, SayAsAgent
from actors.turn.events import (
    AgentSaid,
    AudioBegan,
    AudioDone,
    CallerStartedSpeaking,
    FunctionDone,
    FunctionsAsked,
    Played,
    SayRefused,
    VoiceBegan,
    VoiceEnded,
)
from actors.turn.state import Debt
from tests.actors.turn.script import Step, caller_says, clip, filler_asked, on_floor, play, question_asked, reply, seen

# A question with a function


def asks_and_calls(asked: float, done: float, received: float) -> list[Step]:
    """Ask "Which day?" from second 3 on, heard by 4.5, and call a function with it."""
    function: list[Step] = [(asked, FunctionsAsked(("f",))), (done, FunctionDone("f"))]
    words = AgentSaid("Which day?", asks=True)
    return [*caller_says(1), (3, AudioBegan()), (3.1, words), *function, (received, AudioDone()), (4.5, Played())]


@pytest.mark.parametrize(
    "times",
    [[3.2, 3.3, 3.5], [3.2, 3.6, 3.5], [3.4, 3.6, 3.3]],
    ids=["done with the words", "done after the audio", "asked after it"],
)
def test_a_question_that_comes_with_a_function_is_the_callers_to_answer(times: list[float]) -> None:
    turn = on_floor()

    assert play(turn, asks_and_calls(*times), 14.6) == [(14.5, question_asked())]


def test_while_the_function_runs_the_silence_behind_the_question_is_filled() -> None:
    """And who was asked to wait waits for an answer."""
    turn = on_floor()

    assert play(turn, asks_and_calls(3.2, 9.0, 3.5), 9.5) == [(7.5, filler_asked()), (8.5, clip())]
    assert turn.debt is Debt.OWED


def test_words_that_ask_nothing_are_no_answer_to_the_function_behind_them() -> None:
    script: list[Step] = [(3.2, AgentSaid("Let me see.")), (3.3, FunctionsAsked(("f",))), (3.4, FunctionDone("f"))]

    assert seen(*asks_and_calls(3.15, 3.16, 3.5), *script, until=8) == [(7.5, filler_asked())]


def test_what_the_caller_answers_is_to_be_answered_whatever_was_asked_before() -> None:
    script = [*asks_and_calls(3.2, 3.3, 3.5), *caller_says(6), (8, FunctionsAsked(("g",))), (8.2, FunctionDone("g"))]

    assert seen(*script, until=10.5) == [(10, filler_asked())]


# Noises


def noises(*begun: float, length: float) -> list[Step]:
    """Noises of which the service says each time that the caller speaks."""
    each = [
        [(at, VoiceBegan()), (at + 0.1, CallerStartedSpeaking()), (at + length + 0.4, VoiceEnded(at + length))]
        for at in begun
    ]
    return [step for steps in each for step in steps]


@pytest.mark.parametrize("begun", [[4.0, 6.0, 8.0], [4.0, 5.0, 6.2, 7.4]])
def test_noises_close_together_keep_a_reply_aside_no_longer_than_one(begun: list[float]) -> None:
    got = seen(*caller_says(1), *reply(3, played=30), *noises(*begun, length=0.3), until=14)

    cuts, resumed = ([at for at, effect in got if isinstance(effect, kind)] for kind in (Cut, Resume))
    assert len(cuts) == len(resumed) > 0
    assert all(resume - cut < 3 for cut, resume in zip(cuts, resumed, strict=True))


def test_words_with_breaths_between_them_are_waited_for() -> None:
    heard = [step for step in noises(4, 5.5, 7, length=0.9) if not isinstance(step[1], CallerStartedSpeaking)]

    got = seen(*caller_says(1), *reply(3, played=30), (4.1, CallerStartedSpeaking()), *heard, until=11)

    assert got == [(4.1, Cut()), (10.4, Resume())]


# A line that stays loud after one start of speech

TELEVISION: list[Step] = [(5, VoiceBegan()), (5.1, CallerStartedSpeaking())]
LONG_REPLY = reply(4, played=30)


@pytest.mark.parametrize("before", [LONG_REPLY, []], ids=["a reply is cut", "an answer is owed"])
def test_where_the_caller_waits_a_loud_line_is_asked_about_as_soon_as_a_silent_one(before: list[Step]) -> None:
    got = seen(*caller_says(2), *before, *TELEVISION, until=15.2)

    assert next(step for step in got if isinstance(step[1], SayAsAgent)) == (15.1, question_asked(0.0))


def test_where_nothing_is_owed_it_is_a_story() -> None:
    assert seen(*caller_says(1), *reply(3, played=1), *TELEVISION, until=65) == []


def test_a_service_that_refuses_the_question_hears_the_caller_and_is_asked_again() -> None:
    refused: list[Step] = [(15.2, SayRefused()), (25.3, SayRefused())]

    got = seen(*caller_says(2), *LONG_REPLY, *TELEVISION, *refused, until=35)

    assert got == [(5.1, Cut()), (15.1, question_asked(0.0)), (25.2, question_asked(0.0))]
