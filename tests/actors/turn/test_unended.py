"""A reply that stops without AgentAudioDone: it is over, or the service has broken it off, and nobody says which."""

import math

import pytest

from actors.turn.effects import EndSession, NoteSilence, SayAsAgent, TellAsCaller
from actors.turn.events import (
    AgentSaid,
    CallerSaid,
    EndWanted,
    FloorGiven,
    FunctionsAsked,
    HandoffWanted,
    KeysEntered,
    Signal,
    VoiceEnded,
)
from actors.turn.state import Debt, Phase, VoiceState
from tests.actors.turn.script import (
    ASK,
    SECOND,
    Seen,
    Step,
    caller_says,
    clip,
    effects_of,
    filler_asked,
    lost,
    new_turn,
    on_floor,
    play,
    prepared_turn,
    question_asked,
    reply,
    without_notes,
)

GIVES_UP = EndSession("it does not say what it is asked to")
STOPS: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("We have Tuesday and")), (5, Signal.PLAYED)]
"""The reply to a turn at 1 s; the line is silent from second 5 on."""


def seen(*steps: Step, until: float) -> Seen:
    return without_notes(play(on_floor(), [*caller_says(1), *STOPS, *steps], until))


@pytest.mark.parametrize("sends", [[], [(11.5, Signal.SERVICE_THERE)]], ids=["nothing", "reports"])
def test_a_session_that_says_nothing_more_is_restarted_and_the_silence_is_filled(sends: list[Step]) -> None:
    """The caller is asked at 3 s of silence, a clip is heard at 4 s, and the question is given up at 7 s."""
    got = seen(*sends, until=12.5)

    assert got == [(8, question_asked(0.0)), (9, clip()), (12, GIVES_UP)]


def test_a_greeting_that_stops_is_no_other_reply() -> None:
    turn = new_turn()
    stops: list[Step] = [(0.3, Signal.AUDIO_BEGAN), (0.3, AgentSaid("Good mor")), (1, Signal.PLAYED)]

    assert without_notes(play(turn, [(0.2, FloorGiven(owes=True)), *stops], 4.5))[0] == (4, question_asked(0.0))


def test_a_session_that_asks_the_caller_is_alive() -> None:
    got = play(on_floor(), [*caller_says(1), *STOPS, *reply(8.1, ASK, played=1)], 19)

    assert got == [(8, question_asked(0.0)), (8.1, NoteSilence(3.1))]


def test_a_late_end_settles_it() -> None:
    assert seen((6.8, Signal.AUDIO_DONE), until=15) == []


def test_words_that_the_service_hears_settle_it() -> None:
    got = seen(*caller_says(7, "Tuesday, please."), *reply(9, "Good."), until=20)

    assert got == []


def test_the_caller_is_not_asked_while_they_speak_to_a_deaf_service() -> None:
    """They wait since their last word."""
    got = seen((6, Signal.VOICE_BEGAN), (10, VoiceEnded(10, deaf=True)), until=14.5)

    assert got == [(13, question_asked(0.0)), (14, clip())]


def test_a_word_to_a_deaf_service_counts_also_before_the_reply_is_given_up() -> None:
    """The service was lost in the middle of its reply; the caller has answered what they heard of it."""
    turn = on_floor()

    got = play(turn, [*caller_says(1), *STOPS, (5.2, Signal.VOICE_BEGAN), (6.3, VoiceEnded(6, deaf=True))], 9.5)

    assert turn.debt is Debt.OWED
    assert without_notes(got) == [(9, question_asked(0.0))]


def test_a_noise_asks_no_turn_again() -> None:
    got = seen((7, Signal.CALLER_STARTED_SPEAKING), (7.2, Signal.NOTHING_UNDERSTOOD), until=8.5)

    assert got == [(8, question_asked(0.0))]


def test_a_short_noise_on_the_line_puts_the_question_off() -> None:
    assert seen((7, Signal.VOICE_BEGAN), (7.5, VoiceEnded(7.2)), until=10.3) == [(10.2, question_asked(0.0))]


def test_a_service_that_never_ends_a_reply_is_asked_once() -> None:
    asked: list[Step] = [(8.1, Signal.AUDIO_BEGAN), (8.12, AgentSaid(ASK)), (9, Signal.PLAYED)]
    more: list[Step] = [*caller_says(11), (13, Signal.AUDIO_BEGAN), (13.1, AgentSaid("At nine.")), (15, Signal.PLAYED)]

    assert seen(*asked, *more, until=26) == [(8, question_asked(0.0))]


def test_its_next_end_is_waited_for_again() -> None:
    asked: list[Step] = [*reply(8.1, ASK, played=1)]
    more: list[Step] = [*caller_says(11), (13, Signal.AUDIO_BEGAN), (13.1, AgentSaid("At ni")), (15, Signal.PLAYED)]

    assert seen(*asked, *more, until=18.5) == [(8, question_asked(0.0)), (18, question_asked(0.0))]


@pytest.mark.parametrize("wait", [0.0, 25.0])
def test_the_length_of_the_reply_is_not_waited_for_twice(wait: float) -> None:
    """A long reply has used up nobody's patience."""
    script: list[Step] = [
        *caller_says(1),
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("We have")),
        (5 + wait, Signal.PLAYED),
    ]

    assert effects_of(without_notes(play(on_floor(), script, 8.5 + wait))) == [question_asked(0.0)]


def test_the_end_of_the_sentence_before_it_is_not_its_own() -> None:
    """They come together."""
    script: list[Step] = [
        *caller_says(1),
        (3, Signal.AUDIO_BEGAN),
        (3, AgentSaid("One moment.")),
        (3.5, Signal.AUDIO_DONE),
        (3.5, Signal.AUDIO_BEGAN),
        (3.5, AgentSaid("We have")),
        (5, Signal.PLAYED),
    ]

    assert effects_of(without_notes(play(on_floor(), script, 8.5))) == [question_asked(0.0)]


def test_nor_is_the_end_of_the_first_sentence_of_a_greeting_that_of_the_next_one() -> None:
    script: list[Step] = [
        (1, FloorGiven(owes=True, greeting="Hello. I am Ben.")),
        *reply(1.5, "Hello.", played=1, sent=0.3),
        (2.5, Signal.AUDIO_BEGAN),
        (2.5, AgentSaid("I am Ben.")),
        (4, Signal.PLAYED),
    ]

    assert effects_of(without_notes(play(on_floor(), script, 7.5)))[1:] == [question_asked(0.0)]


def test_what_the_caller_said_before_it_is_asked_of_the_next_session() -> None:
    """With the session the doubt goes; what is owed stays."""
    got = seen((10, Signal.PLAYED), (12.3, FloorGiven(owes=True, ask="When can you come?")), until=13.5)

    assert got[-1] == (13, filler_asked(SECOND))


def test_the_caller_may_say_so_themselves() -> None:
    got = seen((6, Signal.CALLER_STARTED_SPEAKING), (7, CallerSaid("Hello?")), until=9.9)

    assert question_asked(0.0) not in effects_of(got)


def test_a_question_that_stops_is_asked_by_the_next_session() -> None:
    """Which has nothing of its own to say: the caller had been answered, and was silent."""
    turn = on_floor()
    stops: list[Step] = [(13.1, Signal.AUDIO_BEGAN), (13.2, AgentSaid(ASK)), (14, Signal.PLAYED), (19.3, Signal.PLAYED)]
    lost = play(turn, [*reply(1), *stops], 21)

    got = play(turn, [(21.1, Signal.FLOOR_VACATED), (21.4, FloorGiven(owes=False))], 22.5)

    assert without_notes(lost) == [(13, question_asked()), (17, question_asked(0.0)), (18, clip()), (21, GIVES_UP)]
    assert effects_of(got) == [question_asked(0.0)]


def test_a_question_that_is_not_said_is_asked_by_the_next_session_and_then_nothing_is_owed() -> None:
    """A session that has gone mute must not hold a silent caller's call for ever."""
    turn = on_floor()
    lost = play(turn, [], 14.1)
    next_one: list[Step] = [(14.2, Signal.FLOOR_VACATED), (14.5, FloorGiven(owes=False)), (15.2, Signal.PLAYED)]
    next_one += reply(18.3, ASK, played=1)

    got = play(turn, next_one, 29)

    assert lost == [(10, question_asked()), (14, GIVES_UP), (14, clip())]
    assert without_notes(got) == [(18.2, question_asked(0.0))]
    assert turn.debt is Debt.SETTLED


# A service that answers no ping any more

SHORT: list[Step] = [(8, Signal.VOICE_BEGAN), (8.3, VoiceEnded(8.3))]
ANSWERED: list[Step] = [*caller_says(1), *reply(3)]
"""A turn at 1 s, and its answer until 5 s."""


def minded(*steps: Step) -> float:
    """Return since when the silence of such a service is minded."""
    turn = on_floor()
    play(turn, [*ANSWERED, *steps])
    return turn.minds_silence_since


@pytest.mark.parametrize(
    ("steps", "since"),
    [
        ([], math.inf),
        (SHORT, 8.3),
        (SHORT[:1], 8.0),
        ([*SHORT, (8.5, Signal.CALLER_STARTED_SPEAKING)], 8.3),
        ([(4, Signal.VOICE_BEGAN), (4.3, VoiceEnded(4.3))], 5.0),
        ([*SHORT, (8.9, CallerSaid("Yes."))], math.inf),
        ([*SHORT, *reply(8.9)], math.inf),
        ([*SHORT, (8.4, Signal.AUDIO_BEGAN)], math.inf),
        ([*SHORT, (9, Signal.FLOOR_VACATED)], math.inf),
        ([*SHORT, (9, HandoffWanted("h"))], math.inf),
        ([(5.5, FunctionsAsked(("end",))), (5.5, EndWanted("end", "done")), (5.7, Signal.VOICE_BEGAN)], math.inf),
        ([(8, Signal.VOICE_BEGAN), (9, VoiceEnded(9, deaf=True))], 9.0),
        ([(7, Signal.SERVICE_SILENT), *lost(7.1), *SHORT], 8.3),
        ([(7, Signal.SERVICE_SILENT), *lost(7.1), (7.5, Signal.SERVICE_SILENT), *lost(7.6), *SHORT], math.inf),
    ],
)
def test_the_silence_of_a_service_is_minded_behind_a_sound_of_the_callers(steps: list[Step], since: float) -> None:
    """Not where an answer is owed, nor while ours sounds; and in two sessions of a call at most."""
    assert minded(*steps) == since


def test_a_service_that_answers_no_ping_is_lost_and_the_next_session_asks_for_a_moment() -> None:
    got = play(on_floor(), [*ANSWERED, *SHORT, (10.3, Signal.SERVICE_SILENT), *lost(10.4)], 11.5)

    assert got == [(10.3, EndSession("it answers no ping")), (11.3, filler_asked())]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.CONVERSING])
def test_no_session_is_lost_so_but_one_that_converses(phase: Phase) -> None:
    turn, _ = prepared_turn(phase=phase)

    assert turn.on(Signal.SERVICE_SILENT, 10.0) == []


# A word that nobody has heard, into a reply that is cut and resumed


WORD: list[Step] = [(6, Signal.VOICE_BEGAN), (7, VoiceEnded(7, deaf=True))]
CUTS: Step = (6.1, Signal.CALLER_STARTED_SPEAKING)


@pytest.mark.parametrize(("rest", "asked"), [(0.1, True), (0.5, False)])
def test_a_remnant_of_a_reply_does_not_answer_a_word_that_nobody_has_heard(rest: float, asked: bool) -> None:
    """Half a second of it does: the caller has heard the agent since."""
    script = [*caller_says(1), *reply(3, played=20), *WORD, CUTS, (9.5 + rest, Signal.PLAYED)]

    assert (question_asked(0.0) in effects_of(play(on_floor(), script, 13.5))) is asked


def test_the_end_of_a_reply_that_no_word_has_cut_does_not_answer_it() -> None:
    script = [*caller_says(1), *reply(3, played=7), *WORD]

    assert effects_of(play(on_floor(), script, 13.5))[0] == question_asked(0.0)


def test_what_had_come_of_a_torn_reply_does_not_answer_it() -> None:
    """The model is asked for the rest of it."""
    turn = on_floor()
    play(turn, [*caller_says(1), *reply(3)[:2], *WORD, CUTS, (10.5, Signal.PLAYED)])

    assert turn.debt is Debt.OWED


# Keys


def test_the_silence_behind_keys_begins_with_them() -> None:
    """What the caller has heard of the reply was all of it, for they answer."""
    got = seen((7, Signal.KEY_PRESSED), (7.1, KeysEntered("5")), until=10.1)

    assert [(at, type(effect)) for at, effect in got] == [(7.1, TellAsCaller), (10.1, SayAsAgent)]


def test_the_silence_behind_them_goes_on_if_a_lost_session_may_not_have_read_a_word() -> None:
    keys: list[Step] = [(7.2, Signal.KEY_PRESSED), (7.3, KeysEntered("5"))]

    got = seen((7, Signal.SERVICE_SILENT), *keys, *lost(7.4), until=8)

    assert [(at, type(effect)) for at, effect in got[1:]] == [(7.7, TellAsCaller), (8, SayAsAgent)]


def test_words_that_were_asked_for_and_have_no_audio_yet_are_waited_for_as_an_agents_own() -> None:
    turn = on_floor()
    (asked,) = [effect for _, effect in play(turn, caller_says(1), 5) if isinstance(effect, SayAsAgent)]
    play(turn, [(5.2, AgentSaid(asked.text))], 5.9)

    assert turn.voice is VoiceState.COMING
