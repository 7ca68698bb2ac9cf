"""What answers the caller and what does not, and how long a noise keeps them from it."""

import pytest

from actors.policy import describe_keys
from actors.turn.effects import (
    Aside,
    EndConversation,
    PutThrough,
    SayAsAgent,
    TellAsCaller,
)
from actors.turn.events import (
    AgentSaid,
    CallerSaid,
    FloorGiven,
    FunctionDone,
    FunctionsAsked,
    KeysEntered,
    Signal,
    TransferWanted,
    VoiceEnded,
)
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from tests.actors.turn.script import (
    FIRST,
    GOODBYE,
    Seen,
    Step,
    caller_says,
    clip,
    effects_of,
    filler,
    filler_asked,
    new_turn,
    on_floor,
    play,
    prepared_turn,
    question_asked,
    reply,
    seen,
    state_of,
    without_notes,
)

KEYS_TOLD = describe_keys(("1",))

# A question with a function


def asks_and_calls(asked: float, done: float, received: float) -> list[Step]:
    """Ask "Which day?" from second 3 on, heard by 4.5, and call a function with it."""
    function: list[Step] = [(asked, FunctionsAsked(("f",))), (done, FunctionDone("f"))]
    words = AgentSaid("Which day?", asks=True)
    return [
        *caller_says(1),
        (3, Signal.AUDIO_BEGAN),
        (3.1, words),
        *function,
        (received, Signal.AUDIO_DONE),
        (4.5, Signal.PLAYED),
    ]


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


def test_nor_are_they_where_the_function_ends_in_the_same_moment() -> None:
    at_once: list[Step] = [
        (3.1, FunctionsAsked(("f",))),
        (3.1, FunctionDone("f")),
        (3.5, Signal.AUDIO_DONE),
        (4.5, Signal.PLAYED),
    ]

    assert seen(*caller_says(1), (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("Let me see.")), *at_once, until=8) == [
        (7.5, filler_asked())
    ]


def test_what_the_caller_answers_is_to_be_answered_whatever_was_asked_before() -> None:
    script = [*asks_and_calls(3.2, 3.3, 3.5), *caller_says(6), (8, FunctionsAsked(("g",))), (8.2, FunctionDone("g"))]

    assert seen(*script, until=10.5) == [(10, filler_asked())]


# Noises


def noises(*begun: float, length: float) -> list[Step]:
    """Noises of which the service says each time that the caller speaks."""
    each: list[list[Step]] = [
        [
            (at, Signal.VOICE_BEGAN),
            (at + 0.1, Signal.CALLER_STARTED_SPEAKING),
            (at + length + 0.4, VoiceEnded(at + length)),
        ]
        for at in begun
    ]
    return [step for steps in each for step in steps]


@pytest.mark.parametrize("begun", [[4.0, 6.0, 8.0], [4.0, 5.0, 6.2, 7.4]])
def test_noises_close_together_keep_a_reply_aside_no_longer_than_one(begun: list[float]) -> None:
    got = seen(*caller_says(1), *reply(3, played=30), *noises(*begun, length=0.3), until=14)

    cuts, resumed = ([at for at, effect in got if effect is what] for what in (Aside.CUT, Aside.RESUME))
    assert len(cuts) == len(resumed) > 0
    assert all(resume - cut < 3 for cut, resume in zip(cuts, resumed, strict=True))


def test_nor_do_noises_that_are_as_long_as_words_keep_it_aside_beyond_the_silence_budget() -> None:
    """The service hears each of them anew, so the one before it was no word."""
    got = seen(*caller_says(1), *reply(3, played=30), *noises(4, 6.4, 8.8, length=0.6), until=13)

    assert got == [(4.1, Aside.CUT), (8.1, Aside.RESUME), (8.9, Aside.CUT), (11.9, Aside.RESUME)]


def test_a_start_that_only_the_service_hears_makes_no_noise_of_the_word_before_it() -> None:
    """Which is waited for as long as without it."""
    got = seen(
        *caller_says(1), *reply(3, played=30), *noises(4, length=3), (7.5, Signal.CALLER_STARTED_SPEAKING), until=11
    )

    assert got == [(4.1, Aside.CUT), (9.5, Aside.RESUME)]


def test_noises_do_not_keep_a_caller_who_waits_for_an_answer_in_silence() -> None:
    """The turn is asked again, since nothing has come, and is filled like any other."""
    got = seen(*caller_says(1), *noises(2.7, 4.2, 5.7, length=0.3), until=8)

    assert [at for at, effect in got if isinstance(effect, TellAsCaller)] == [5.3]


def test_words_with_breaths_between_them_are_waited_for() -> None:
    heard = [step for step in noises(4, 5.5, 7, length=0.9) if step[1] is not Signal.CALLER_STARTED_SPEAKING]

    got = seen(*caller_says(1), *reply(3, played=30), (4.1, Signal.CALLER_STARTED_SPEAKING), *heard, until=11)

    assert got == [(4.1, Aside.CUT), (10.4, Aside.RESUME)]


def test_behind_a_goodbye_any_sound_may_be_a_word() -> None:
    """Two noises, the second of which the service hears: its words may come as late as those of the first."""
    turn = on_floor()
    noises_behind = [(4.5, Signal.CALLER_STARTED_SPEAKING), *noises(8.2, length=0.3)]

    got = play(turn, [*GOODBYE, (5, Signal.PLAYED), *noises_behind], 20)

    assert got == [(12.5, EndConversation("completed", "done", heard=True))]


@pytest.mark.parametrize("over", ["goodbye", "transfer"])
def test_what_only_the_service_hears_behind_last_words_may_be_a_word_each_time(over: str) -> None:
    """A whisper is heard out from its own start, whatever was heard before it; all of it for a minute at most."""
    last_words = GOODBYE if over == "goodbye" else [*GOODBYE[:2], (3.2, TransferWanted("t")), (3.3, Signal.AUDIO_DONE)]
    ends = EndConversation("completed", "done", heard=True) if over == "goodbye" else PutThrough("t")
    longest = 65.0 if over == "goodbye" else 13.2

    for starts, end in (((4.5, 6, 8), 12.0), ([4.5 + 3 * count for count in range(30)], longest)):
        heard = [(at, Signal.CALLER_STARTED_SPEAKING) for at in starts if at < end]
        assert seen(*last_words, (5, Signal.PLAYED), *heard, until=100)[0] == (end, ends)


# A line that stays loud after one start of speech

TELEVISION: list[Step] = [(5, Signal.VOICE_BEGAN), (5.1, Signal.CALLER_STARTED_SPEAKING)]
LONG_REPLY = reply(4, played=30)


@pytest.mark.parametrize("before", [LONG_REPLY, []], ids=["a reply is cut", "an answer is owed"])
def test_where_the_caller_waits_a_loud_line_is_asked_about_as_soon_as_a_silent_one(before: list[Step]) -> None:
    got = seen(*caller_says(2), *before, *TELEVISION, until=15.2)

    assert next(step for step in got if isinstance(step[1], SayAsAgent)) == (15.1, question_asked(0.0))


@pytest.mark.parametrize(
    ("asks", "asked_at"),
    [((30, KeysEntered("1")), 40.0), ((30, FunctionsAsked(("f",))), 40.0), ((60, FunctionsAsked(("f",))), 65.1)],
    ids=["a key", "a function", "a function, late"],
)
def test_who_asks_for_something_on_a_loud_line_is_given_time_to_be_answered(asks: Step, asked_at: float) -> None:
    got = seen(*caller_says(1), *reply(3, played=1), *TELEVISION, asks, until=66)

    assert next(step for step in got if isinstance(step[1], SayAsAgent)) == (asked_at, question_asked(0.0))


def test_where_nothing_is_owed_it_is_a_story() -> None:
    assert seen(*caller_says(1), *reply(3, played=1), *TELEVISION, until=65) == []


def test_a_service_that_refuses_the_question_hears_the_caller_and_is_asked_again() -> None:
    refused: list[Step] = [(15.2, Signal.SAY_REFUSED), (25.3, Signal.SAY_REFUSED)]

    got = seen(*caller_says(2), *LONG_REPLY, *TELEVISION, *refused, until=35)

    assert got == [(5.1, Aside.CUT), (15.1, question_asked(0.0)), (25.2, question_asked(0.0))]


# A transcript that comes behind the answer

SPEECH = caller_says(1)[:-1]
"""From second 1 to 2."""


@pytest.mark.parametrize("told", [3.1, 3.3, 3.6, 5.5], ids=["its audio", "its words", "its end", "all of it"])
def test_words_that_are_told_behind_their_answer_are_answered(told: float) -> None:
    turn = on_floor()
    answer: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.2, AgentSaid("On Tuesday.")),
        (3.5, Signal.AUDIO_DONE),
        (5, Signal.PLAYED),
    ]

    assert play(turn, [*SPEECH, *answer, (told, CallerSaid("When?"))], 14.9) == []
    assert (turn.debt, turn.caller) == (Debt.SETTLED, CallerState.QUIET)


def test_they_are_where_the_answer_begins_before_the_line_is_known_to_be_quiet() -> None:
    turn = on_floor()
    answer: list[Step] = [(2.2, Signal.AUDIO_BEGAN), (2.22, AgentSaid("On Tuesday.")), (2.3, CallerSaid("When?"))]

    assert play(turn, [*SPEECH[:-1], *answer, (2.4, VoiceEnded(2)), (2.8, Signal.AUDIO_DONE)], 4) == []
    assert turn.debt is Debt.SETTLED


def test_words_whose_audio_is_still_to_come_answer_what_is_told_behind_them() -> None:
    turn = on_floor()
    answer: list[Step] = [(3, AgentSaid("On Tuesday.")), (3.1, CallerSaid("When?")), (3.3, Signal.AUDIO_BEGAN)]

    assert play(turn, [*SPEECH, *answer, (3.5, Signal.AUDIO_DONE), (5, Signal.PLAYED)], 14.9) == []
    assert turn.debt is Debt.SETTLED


@pytest.mark.parametrize("before", [[], [(2.7, FunctionsAsked(("f",)))]], ids=["alone", "with a function"])
def test_they_answer_nothing_if_it_never_comes(before: list[Step]) -> None:
    """The silence has begun with the caller's last word."""
    got = seen(*SPEECH, *before, (3, AgentSaid("On Tuesday.")), (3.1, CallerSaid("When?")), until=5.5)

    assert got == [(5, filler_asked())]


def test_the_service_hears_nobody_any_more_once_it_has_told_the_words() -> None:
    turn = on_floor()

    play(turn, [*SPEECH, (3, Signal.AUDIO_BEGAN), (3.1, CallerSaid("When?"))])

    assert turn.caller is CallerState.QUIET


SPOKEN_INTO: dict[str, list[Step]] = {
    "another turn": [(3.1, CallerSaid("When?")), (3.3, CallerSaid("And where?"))],
    "a voice on the line": [(3.1, Signal.VOICE_BEGAN), (3.3, CallerSaid("Stop."))],
    "a voice that has ended": [(3.1, Signal.VOICE_BEGAN), (3.3, VoiceEnded(3.2)), (3.4, CallerSaid("Stop."))],
}


@pytest.mark.parametrize("into", SPOKEN_INTO)
def test_words_that_are_spoken_into_a_reply_are_another_turn(into: str) -> None:
    turn = on_floor()

    got = play(turn, [*SPEECH, (3, Signal.AUDIO_BEGAN), (3, AgentSaid("On Tuesday.")), *SPOKEN_INTO[into]])

    assert effects_of(got) == [Aside.CUT, Aside.FORGET]
    assert turn.debt is Debt.OWED


@pytest.mark.parametrize("late", [5.3, 6.3], ids=["a filler that was asked for", "a filler that is late"])
def test_what_may_be_a_filler_answers_no_words(late: float) -> None:
    turn = on_floor()
    script: list[Step] = [*caller_says(1), (4, Signal.CALLER_STARTED_SPEAKING), (4.1, Signal.NOTHING_UNDERSTOOD)]

    play(turn, [*script, (late, Signal.AUDIO_BEGAN), (late + 0.1, CallerSaid("Hello?"))])

    assert state_of(turn).at.wanted == pytest.approx(late + 0.1)


def test_a_filler_that_comes_behind_the_answer_answers_nothing_said_before_it() -> None:
    turn = on_floor()
    answer: list[Step] = [*caller_says(1), *reply(5.2, sent=0.5, played=2)]
    behind: list[Step] = [
        (6, Signal.VOICE_BEGAN),
        (6.2, Signal.AUDIO_BEGAN),
        (6.3, AgentSaid(FIRST)),
        (6.4, VoiceEnded(6.1)),
    ]

    play(turn, [*answer, (6.1, Signal.CALLER_STARTED_SPEAKING), *behind, (7, CallerSaid("Well?"))])

    assert turn.debt is Debt.OWED


def test_words_upon_which_the_agent_ends_are_its_decisions_to_answer() -> None:
    ends: list[Step] = [*SPEECH, *GOODBYE, (3.6, CallerSaid("That is all."))]

    assert EndConversation("completed", "done", heard=True) in effects_of(seen(*ends, (5, Signal.PLAYED), until=9))


def test_words_before_a_function_are_heard_though_the_words_that_they_answer_come_behind_both() -> None:
    turn = on_floor()
    calls: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("Let me see.")), (3.2, FunctionsAsked(("f",)))]

    assert play(turn, [*SPEECH, *calls, (3.4, CallerSaid("When?"))], 6) == []
    assert turn.debt is Debt.OWED


@pytest.mark.parametrize("told", [3.4, 3.8], ids=["coming", "received"])
def test_an_answer_to_a_function_is_none_to_the_words_that_were_spoken_before_its_end(told: float) -> None:
    turn = on_floor()
    function: list[Step] = [(0.5, FunctionsAsked(("f",))), (2.6, FunctionDone("f"))]

    play(turn, [*SPEECH, *function, *reply(3, "So.")[:3], (told, CallerSaid("When?"))])

    assert state_of(turn).at.wanted == pytest.approx(told)


@pytest.mark.parametrize("echo", [[], [(2.7, CallerSaid(KEYS_TOLD))]], ids=["no echo", "an echo"])
def test_an_answer_to_keys_is_none_to_the_words_that_were_spoken_with_them(echo: list[Step]) -> None:
    turn = on_floor()
    keys: list[Step] = [(1.9, KeysEntered("1")), (2.5, Signal.TIME_PASSED), *echo]

    play(turn, [*SPEECH, *keys, (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("One.")), (3.4, CallerSaid("When?"))])

    assert state_of(turn).at.wanted == pytest.approx(3.4)


@pytest.mark.parametrize("told", [3.4, 3.6, 5.6], ids=["as it comes", "as it sounds", "after it"])
def test_an_answer_to_a_turn_is_none_to_what_the_caller_adds_before_it_begins(told: float) -> None:
    """Also where it has settled that turn by then."""
    turn = on_floor()
    asked: list[Step] = [(1, Signal.VOICE_BEGAN), (1.1, Signal.CALLER_STARTED_SPEAKING), (1.9, VoiceEnded(1.5))]
    added: list[Step] = [(2.1, Signal.VOICE_BEGAN), (2.2, Signal.CALLER_STARTED_SPEAKING), (2.8, VoiceEnded(2.6))]

    play(turn, [*asked, (2, CallerSaid("When?")), *added, *reply(3, sent=0.5, played=2.5), (told, CallerSaid("And?"))])

    assert turn.debt is Debt.OWED


def test_a_greeting_is_no_answer_to_words_that_were_spoken_before_it() -> None:
    turn = new_turn()
    hello: list[Step] = [(0.4, Signal.VOICE_BEGAN), (0.5, Signal.CALLER_STARTED_SPEAKING), (0.9, VoiceEnded(0.8))]

    play(turn, [(0.2, FloorGiven(owes=True)), *hello, *reply(1, sent=0.5, played=2), (1.6, CallerSaid("Is it you?"))])

    assert turn.debt is Debt.OWED


def test_words_that_the_next_session_reads_from_the_tape_are_no_late_ones() -> None:
    turn = on_floor()
    given: list[Step] = [(2.5, Signal.FLOOR_VACATED), (2.9, FloorGiven(owes=False))]

    play(turn, [*SPEECH, *given, (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("So.")), (3.4, CallerSaid("When?"))])

    assert turn.debt is Debt.OWED


HEARD = Signal.CALLER_STARTED_SPEAKING
SINCE: dict[str, tuple[float, list[Step]]] = {
    "the last word on the line": (6, [*caller_says(1)[:2], (2, CallerSaid("When?")), (3.4, VoiceEnded(3))]),
    "a noise behind them changes nothing": (5, [*caller_says(1), (3, Signal.VOICE_BEGAN), (3.4, VoiceEnded(3.3))]),
    "a loud line": (7, [*caller_says(1)[:2], (4, CallerSaid("When?"))]),
    "a line that stays loud": (11.5, [*caller_says(1)[:2], (7, CallerSaid("When?")), (8.5, CallerSaid("And where?"))]),
    "what only the service hears": (7, [*caller_says(1), (4, HEARD), (5, CallerSaid("And where?"))]),
    "all of it": (8, [(1, HEARD), (2.5, CallerSaid("When?")), (4, HEARD), (5, CallerSaid("And where?"))]),
    "what is read from the tape": (11, [(8, CallerSaid("When?"))]),
}
"""What a caller says, and when the silence behind it is filled."""


@pytest.mark.parametrize("since", SINCE)
def test_a_silence_begins_with_the_last_that_was_heard_of_the_caller(since: str) -> None:
    filled, steps = SINCE[since]

    assert seen(*steps, until=filled) == [(filled, filler_asked())]


# Words of which the service has not said that they begin


@pytest.mark.parametrize("sent", [0.5, 4.5], ids=["sent", "coming"])
def test_words_cut_an_answer_though_the_service_has_told_no_start_of_them(sent: float) -> None:
    voice: list[Step] = [(5, Signal.VOICE_BEGAN), (6.4, VoiceEnded(6)), (6.5, CallerSaid("Stop."))]

    got = seen(*caller_says(1), *reply(3, sent=sent, played=9), *voice, until=6.6)

    assert got[:2] == [(6.5, Aside.CUT), (6.5, Aside.FORGET)]


def test_they_do_not_cut_a_filler_short() -> None:
    assert seen(*caller_says(1), *filler(5.2), (5.6, CallerSaid("Well?")), until=7) == [(5, filler_asked())]


# Behind an answer that sounds, a filler comes late

OVERTAKEN: list[Step] = [
    *caller_says(1),
    (5.2, Signal.AUDIO_BEGAN),
    (5.3, AgentSaid("It is a long story.")),
    (5.6, Signal.AUDIO_DONE),
    (5.7, AgentSaid(FIRST)),
    (16, Signal.PLAYED),
]
LATE_START: list[Step] = [(6, Signal.VOICE_BEGAN), (6.1, Signal.CALLER_STARTED_SPEAKING)]


def behind_it(steps: list[Step], until: float) -> Seen:
    """The effects that are wanted once the answer has begun."""
    return [(at, effect) for at, effect in seen(*OVERTAKEN, *steps, until=until) if 5.6 < at <= until]


@pytest.mark.parametrize("done", [6.6, 8.0], ids=["before the words", "after the words"])
def test_who_speaks_into_the_answer_while_a_late_filler_is_dropped_stops_it_at_once(done: float) -> None:
    words: list[Step] = [(7.4, VoiceEnded(7.2)), (7.7, CallerSaid("Stop.")), (done, Signal.AUDIO_DONE)]

    assert behind_it([*LATE_START, *words], 8.5) == [(6.1, Aside.CUT), (7.7, Aside.FORGET)]


def test_a_noise_there_keeps_the_answer_aside_as_anywhere() -> None:
    noise: list[Step] = [(6.5, VoiceEnded(6.3)), (6.6, Signal.AUDIO_DONE)]

    assert behind_it([*LATE_START, *noise], 12) == [(6.1, Aside.CUT), (8.6, Aside.RESUME)]


def test_words_there_that_the_service_has_not_told_to_begin_stop_it_too() -> None:
    words: list[Step] = [(5.9, Signal.VOICE_BEGAN), (6.4, VoiceEnded(6.2)), (6.5, CallerSaid("Stop."))]

    assert behind_it(words, 7) == [(6.5, Aside.CUT), (6.5, Aside.FORGET)]


def test_a_goodbye_there_is_not_cut_by_a_start_of_speech() -> None:
    turn, _ = prepared_turn(voice=VoiceState.LATE, phase=Phase.ENDING, sounding=True, sounds_wanted=True)

    assert turn.on(Signal.CALLER_STARTED_SPEAKING, 10.1) == []


def test_what_is_no_answer_there_is_not_cut_by_words() -> None:
    turn, _ = prepared_turn(voice=VoiceState.LATE, sounding=True)

    assert turn.on(CallerSaid("Well?"), 10.1) == []


# A recording that begins anew

HOLD = "Thank you for holding. Your call is important to us. Please stay on the line, and somebody will be with you."
SHORT = "I want to speak to a person."


def test_a_recording_that_begins_anew_is_hung_up_on_the_fifth_time() -> None:
    turns: list[Step] = []
    for at in range(0, 100, 10):
        turns += [
            *caller_says(at, HOLD),
            *reply(at + 2.5, played=1),
            *caller_says(at + 5, "Press one."),
            *reply(at + 7),
        ]

    assert without_notes(play(on_floor(), turns)) == [(41.5, EndConversation("machine"))]


def test_a_person_may_say_the_same_again_and_again() -> None:
    turns = [step for at in range(0, 60, 6) for step in (*caller_says(at, SHORT), *reply(at + 2.5, played=1))]

    assert play(on_floor(), turns) == []
