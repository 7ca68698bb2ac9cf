"""Things that are lost, or come twice: messages, words, audio, and debts that a session leaves to the next one."""

from itertools import permutations

import pytest

from actors.policy import describe_keys
from actors.turn.effects import (
    Aside,
    EndConversation,
    EndSession,
    SpeechKind,
    TellAsCaller,
)
from actors.turn.events import (
    AgentSaid,
    CallerSaid,
    Event,
    FloorGiven,
    FunctionCancelled,
    FunctionDone,
    FunctionsAsked,
    HandoffWanted,
    KeysEntered,
    RemarkMade,
    Signal,
    VoiceEnded,
)
from actors.turn.state import Debt, Phase
from tests.actors.turn.script import (
    ASK,
    FIRST,
    POLICY,
    SECOND,
    THIRD,
    Step,
    caller_says,
    clip,
    effects_of,
    filler,
    filler_asked,
    lost,
    on_floor,
    play,
    prepared_turn,
    question_asked,
    reply,
    seen,
    state_of,
    without_notes,
)

TURN = "When can you come?"
TURN_AGAIN = TellAsCaller(TURN)
DOES_NOT_HEAR = EndSession("it does not hear the caller")


# Words that come before the service has understood what they are to answer


@pytest.mark.parametrize(
    "asked", [[*caller_says(1)], [(1, KeysEntered("1")), (1.5, CallerSaid(describe_keys(("1",))))]]
)
def test_words_before_a_turn_or_an_echo_are_no_answer_to_it(asked: list[Step]) -> None:
    turn = on_floor()

    play(turn, [*asked])

    assert state_of(turn).at.wanted > asked[-1][0]


# A transcript that comes twice


@pytest.mark.parametrize("again", [TURN, "when can you come"])
def test_a_transcript_that_comes_twice_is_one_turn(again: str) -> None:
    turn = on_floor()

    assert play(turn, [*caller_says(1), *reply(3, sent=1.5, played=2), (4, CallerSaid(again))], 12) == []
    assert turn.debt is Debt.SETTLED


def test_an_echo_that_comes_twice_is_no_turn() -> None:
    turn = on_floor()
    script: list[Step] = [(1, KeysEntered("1")), (1.1, CallerSaid(describe_keys(("1",)))), *reply(2, sent=1.5)]

    play(turn, [*script, (3, CallerSaid(describe_keys(("1",))))], 5)

    assert turn.debt is Debt.SETTLED


@pytest.mark.parametrize(
    ("signs", "is_turn"),
    [
        *(((sign,), True) for sign in (Signal.CALLER_STARTED_SPEAKING, Signal.VOICE_BEGAN, FloorGiven(owes=False))),
        *((signs, True) for signs in permutations((Signal.AUDIO_DONE, Signal.PLAYED))),
        *(((sign,), False) for sign in (Signal.AUDIO_DONE, Signal.PLAYED)),
    ],
)
def test_the_same_words_are_another_turn_where_somebody_has_spoken(signs: tuple[Event, ...], is_turn: bool) -> None:
    """An agent has if the reply was heard to its end; until then its words would be lost to a repetition."""
    turn = on_floor()
    reply: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("No.")), *((6, sign) for sign in signs)]

    play(turn, [*caller_says(1), *reply, (7, CallerSaid(TURN))])

    assert (state_of(turn).at.wanted > 7) is is_turn


# Words without audio, audio without words, and the end of the audio before all of it


def test_words_that_have_no_audio_answer_nothing() -> None:
    turn = on_floor()
    script: list[Step] = [*caller_says(1), (3, AgentSaid("On Tuesday.")), (3.1, Signal.AUDIO_DONE)]

    assert without_notes(play(turn, [*script, *filler(5.3)], 10)) == [(5, filler_asked()), (9.5, filler_asked(SECOND))]
    assert (turn.debt, state_of(turn).has_spoken) == (Debt.OWED, False)


def test_audio_that_has_no_words_is_an_answer_once_it_was_received() -> None:
    turn = on_floor()

    assert (
        play(turn, [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3.5, Signal.AUDIO_DONE), (5, Signal.PLAYED)], 14.9) == []
    )
    assert (turn.debt, state_of(turn).has_spoken) == (Debt.SETTLED, True)


def test_the_rest_of_a_reply_whose_end_is_late_is_no_answer() -> None:
    """It had no words yet when the caller interrupted it, and its last frames come behind what they have said."""
    turn = on_floor()
    cut: list[Step] = [
        *caller_says(1),
        (3, Signal.AUDIO_BEGAN),
        (3.2, Signal.CALLER_STARTED_SPEAKING),
        (3.3, CallerSaid("Well?")),
    ]

    got = play(turn, [*cut, (3.3, Signal.AUDIO_BEGAN), (3.4, Signal.AUDIO_DONE), (3.6, Signal.PLAYED)], 6.7)

    assert without_notes(got)[-1] == (6.6, filler_asked())


@pytest.mark.parametrize("said", ["words before the answer of a function", "a filler"])
def test_audio_that_goes_on_behind_an_end_that_came_too_early_is_no_answer(said: str) -> None:
    """It has no words since: they came before."""
    begun: dict[str, list[Step]] = {
        "words before the answer of a function": [
            (2.6, FunctionsAsked(("f",))),
            (4.5, Signal.AUDIO_BEGAN),
            (4.52, AgentSaid("Let me see.")),
            (4.6, FunctionDone("f")),
        ],
        "a filler": [(5.2, Signal.AUDIO_BEGAN), (5.22, AgentSaid(FIRST))],
    }
    goes_on: list[Step] = [(5.5, Signal.AUDIO_DONE), (5.55, Signal.AUDIO_BEGAN), (5.8, Signal.AUDIO_DONE)]

    got = seen(*caller_says(1), *begun[said], *goes_on, (6.5, Signal.PLAYED), until=9.6)

    assert got[-1] == (9.5, filler_asked(SECOND if said == "a filler" else FIRST))


def test_audio_without_words_is_no_answer_where_a_filler_was_asked_for() -> None:
    script: list[Step] = [*caller_says(1), (5.5, Signal.AUDIO_BEGAN), (5.8, Signal.AUDIO_DONE), (6.5, Signal.PLAYED)]

    assert seen(*script, until=9.6) == [(5, filler_asked()), (9.5, filler_asked(SECOND))]


def test_audio_without_words_is_no_answer_where_a_filler_is_late() -> None:
    script: list[Step] = [
        *caller_says(1),
        (6.1, Signal.PLAYED),
        (6.5, Signal.AUDIO_BEGAN),
        (6.8, Signal.AUDIO_DONE),
        (7.5, Signal.PLAYED),
    ]

    assert seen(*script, until=10.6) == [(5, filler_asked()), (6, clip()), (10.5, filler_asked(SECOND))]


def test_audio_without_words_does_not_answer_what_was_asked_after_it() -> None:
    script: list[Step] = [
        *caller_says(1),
        (3, Signal.AUDIO_BEGAN),
        (3.2, FunctionsAsked(("f",))),
        (3.5, Signal.AUDIO_DONE),
    ]

    assert seen(*script, (4, Signal.PLAYED), until=7.5) == [(7, filler_asked())]


@pytest.mark.parametrize("words_first", [False, True])
def test_the_audio_of_a_filler_is_not_that_of_the_words_before_it(words_first: bool) -> None:
    turn = on_floor()
    began: list[Step] = [
        (5.52 if words_first else 5.5, Signal.AUDIO_BEGAN),
        (5.51, AgentSaid(FIRST)),
        (5.8, Signal.AUDIO_DONE),
    ]

    play(turn, [*caller_says(1), (4.5, AgentSaid("On Tuesday.")), *began, (6.5, Signal.PLAYED)], 7)

    assert (turn.debt, turn.reply.kind) == (Debt.OWED, SpeechKind.FILLER)


def test_what_is_left_of_a_reply_that_was_cut_is_no_answer() -> None:
    script: list[Step] = [
        *caller_says(1),
        (3, Signal.AUDIO_BEGAN),
        (3.1, FunctionsAsked(("f",))),
        (4, FunctionDone("f")),
    ]
    fragment: list[Step] = [
        (4.1, Signal.CALLER_STARTED_SPEAKING),
        (4.2, Signal.THINKING_BEGAN),
        (4.3, Signal.AUDIO_BEGAN),
        (4.4, Signal.AUDIO_DONE),
    ]
    turn = on_floor()

    play(turn, [*script, *fragment, (4.4, Signal.AUDIO_DONE), (4.5, Signal.PLAYED)], 5)

    assert turn.debt is Debt.OWED


def test_what_is_left_of_a_reply_whose_words_were_not_to_be_heard_is_no_answer() -> None:
    script: list[Step] = [
        *caller_says(1),
        (3, FunctionsAsked(("h",))),
        (3, HandoffWanted("h")),
        (3.5, AgentSaid("So.")),
    ]
    turn = on_floor()

    play(
        turn,
        [*script, (4, FunctionCancelled("h")), (4.1, Signal.AUDIO_BEGAN), (4.4, Signal.AUDIO_DONE), (5, Signal.PLAYED)],
        6,
    )

    assert turn.debt is Debt.OWED


def test_a_filler_does_not_answer_keys_whose_echo_is_lost() -> None:
    turn = on_floor()

    play(turn, [*reply(1), (5, KeysEntered("1")), *filler(8.3)], 11)

    assert turn.debt is Debt.OWED


def test_a_question_behind_an_answer_is_not_played_on() -> None:
    script: list[Step] = [*caller_says(1), *reply(3), *reply(15.2, ASK), (15.8, Signal.CALLER_STARTED_SPEAKING)]

    assert effects_of(seen(*script, until=19)) == [question_asked(), Aside.CUT, Aside.FORGET]


REMARK: list[Step] = [(4, RemarkMade("So.")), (14.2, Signal.AUDIO_BEGAN), (14.3, AgentSaid("So."))]


@pytest.mark.parametrize("done", [[], [(14.6, Signal.AUDIO_DONE)]], ids=["coming", "sent"])
def test_an_answer_that_is_cut_together_with_what_was_said_behind_it_is_played_on(done: list[Step]) -> None:
    noises: list[Step] = [
        (16, Signal.CALLER_STARTED_SPEAKING),
        (19, Signal.VOICE_BEGAN),
        (19.1, Signal.CALLER_STARTED_SPEAKING),
    ]
    script: list[Step] = [*caller_says(1), *reply(3, played=25), *REMARK, *done, *noises, (19.3, VoiceEnded(19.2))]

    assert effects_of(seen(*script, until=22))[-4:] == [Aside.CUT, Aside.RESUME, Aside.CUT, Aside.RESUME]


def test_an_end_that_comes_before_the_audio_is_an_end() -> None:
    turn = on_floor()
    script: list[Step] = [
        (3, AgentSaid("On Tuesday.")),
        (3.1, Signal.AUDIO_DONE),
        (3.2, Signal.AUDIO_BEGAN),
        (5, Signal.PLAYED),
    ]

    assert play(turn, [*caller_says(1), *script], 14) == []
    assert turn.debt is Debt.SETTLED


def test_audio_is_news_until_the_reply_has_some() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("So.")), (3.3, Signal.AUDIO_DONE)])
    play(turn, [(3.5, AgentSaid("On Tuesday."))])

    assert (turn.sounding, turn.is_audio_news) == (True, True)
    play(turn, [(3.6, Signal.AUDIO_BEGAN)])
    assert not turn.is_audio_news


def test_words_that_come_behind_their_audio_are_no_other_reply() -> None:
    assert seen(*caller_says(1), *reply(3), (5.5, AgentSaid("We have Tuesday.")), until=14.5) == []


# A service that does not hear the caller, or a noise


def coughs(at: float, *, deaf: bool = True) -> list[Step]:
    """Half a second of voice, or of a noise, of which the service has said nothing."""
    return [(at, Signal.VOICE_BEGAN), (at + 0.9, VoiceEnded(at + 0.5, deaf))]


def test_a_word_that_the_service_does_not_hear_is_asked_about_and_nothing_is_owed() -> None:
    turn = on_floor()

    assert without_notes(play(turn, [*coughs(5), *reply(8.8, ASK, played=1)], 19)) == [(8.5, question_asked(0.0))]
    assert turn.debt is Debt.SETTLED


def test_a_service_that_does_not_ask_about_it_is_restarted() -> None:
    got = seen(*coughs(5), (11, Signal.PLAYED), until=13)

    assert got == [
        (8.5, question_asked(0.0)),
        (9.5, clip()),
        (12.5, EndSession("it does not say what it is asked to")),
    ]


def test_a_second_word_that_it_does_not_hear_is_its_fault() -> None:
    got = seen(*coughs(5), *reply(8.8, ASK, played=1), *coughs(11), *coughs(13), until=14)

    assert got == [(8.5, question_asked(0.0)), (11.9, DOES_NOT_HEAR)]


@pytest.mark.parametrize("sign", [Signal.CALLER_STARTED_SPEAKING, CallerSaid("Hello?")])
def test_a_service_that_has_heard_the_caller_meanwhile_is_not_restarted(sign: Event) -> None:
    heard: list[Step] = [(10.2, sign), *reply(10.4, "Yes?", played=0.5)]

    assert DOES_NOT_HEAR not in effects_of(seen(*coughs(5), *reply(8.8, ASK, played=1), *heard, *coughs(18), until=20))


def test_a_word_that_is_not_heard_while_an_answer_is_waited_for_changes_nothing() -> None:
    assert seen(*caller_says(1), *coughs(3), *reply(4.5), until=16) == []


@pytest.mark.parametrize(("deaf", "is_restarted"), [(True, True), (False, False)])
def test_so_is_the_second_word_behind_a_reply_that_has_stopped(deaf: bool, is_restarted: bool) -> None:
    words = [*coughs(6, deaf=deaf), *coughs(7.5, deaf=deaf)]
    stops: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("We have")), (4, Signal.PLAYED)]

    assert (DOES_NOT_HEAR in effects_of(seen(*caller_says(1), *stops, *words, until=9))) is is_restarted


# Words that the lost session has not transcribed, and the next one is still to read


def cut_off(at: float, given: float) -> list[Step]:
    """A session that is lost while the caller speaks, from 1 to 2; another one has the floor at `given`."""
    speech = caller_says(1)[:-1]
    return [*speech, (at, Signal.FLOOR_VACATED), (given, FloorGiven(owes=False))]


@pytest.mark.parametrize("at", [1.5, 2.2])
def test_words_that_were_lost_with_their_session_are_waited_for_as_words_are(at: float) -> None:
    assert seen(*cut_off(at, 5.4), until=9) == [(5.4, filler_asked(silence=3.4)), (6, clip())]


def test_so_are_words_that_no_session_was_there_to_hear() -> None:
    script: list[Step] = [(0.5, Signal.FLOOR_VACATED), *caller_says(1)[1:-1], (4, FloorGiven(owes=False))]

    assert seen(*script, until=5.9) == [(5, filler_asked())]


def test_a_noise_while_no_session_is_there_is_waited_for_by_nobody() -> None:
    script: list[Step] = [(1, Signal.FLOOR_VACATED), *caller_says(1, length=0.1)[1:-1], (1.5, FloorGiven(owes=False))]

    assert seen(*script, until=11) == []


def test_they_cost_one_filler_if_nothing_is_understood() -> None:
    script = [*cut_off(1.5, 5.4), *filler(5.6)]

    assert seen(*script, until=16) == [(5.4, filler_asked(silence=3.4))]


def test_a_turn_that_is_answered_is_not_asked_again_for_the_words_behind_it() -> None:
    """Those are on the tape, and the next session reads them."""
    turn = on_floor()
    answered: list[Step] = [*caller_says(1), *reply(3, sent=0.5, played=2)]
    words: list[Step] = [
        (6, Signal.VOICE_BEGAN),
        (6.1, Signal.CALLER_STARTED_SPEAKING),
        (6.5, Signal.FLOOR_VACATED),
        (7.4, VoiceEnded(7)),
    ]

    assert play(turn, [*answered, *words, (7.5, FloorGiven(owes=False))], 9) == []
    assert turn.debt is Debt.OWED


def test_once_they_are_transcribed_they_are_a_turn_like_any_other() -> None:
    turn = on_floor()

    play(turn, [*cut_off(1.5, 2.5), (3, CallerSaid(TURN)), *lost(3.5)])

    assert turn.session.told == TURN


# What a session has left


def test_what_a_function_was_to_answer_is_asked_of_the_next_session() -> None:
    """By what was said, the turn was answered: "Let me see." Its function was at work."""
    script: list[Step] = [*caller_says(1), *reply(3, "Let me see."), (3.2, FunctionsAsked(("f",))), *lost(5)]

    assert seen(*script, until=5.5) == [(5.3, TURN_AGAIN)]


def test_a_session_that_was_told_what_to_ask_is_told_once() -> None:
    script: list[Step] = [*caller_says(1), (3, Signal.FLOOR_VACATED), (3.3, FloorGiven(owes=True, ask=TURN))]

    assert seen(*script, until=4) == [(3.3, TURN_AGAIN)]


def test_a_session_that_greets_is_asked_nothing() -> None:
    assert seen(*caller_says(1), (3, Signal.FLOOR_VACATED), (3.3, FloorGiven(owes=True)), until=4) == []


def test_nothing_is_asked_while_the_line_is_asked_for_a_person() -> None:
    turn, _ = prepared_turn(phase=Phase.PUTTING_THROUGH, debt=Debt.OWED, last_turn=TURN)

    assert turn.on(FloorGiven(owes=False), 10.0) == []


def test_a_debt_that_nobody_can_pay_is_a_word_to_the_caller() -> None:
    turn, _ = prepared_turn(debt=Debt.OWED)

    got = play(turn, [*lost(10.0), *reply(13.2, ASK, played=1)], 15)

    assert without_notes(got) == [(13.0, question_asked(0.0))]
    assert turn.debt is Debt.SETTLED


# A reminder


ANNOUNCED: list[Step] = [*caller_says(1), *reply(3, "I look it up.", announces="look_up")]
REMINDER = POLICY.wording.reminder.format(function="look_up")
REMINDED = (6.5, TellAsCaller(REMINDER))
ECHO: Step = (6.6, CallerSaid(REMINDER))


def test_a_reminder_that_the_model_ignores_costs_one_filler() -> None:
    turn = on_floor()

    got = without_notes(play(turn, [*ANNOUNCED, ECHO, *filler(8.3)], 26))

    assert got == [REMINDED, (8, filler_asked()), (22.5, question_asked(10.0))]
    assert turn.debt is Debt.SETTLED


@pytest.mark.parametrize("is_last", [True, False])
def test_a_goodbye_hides_no_function_that_is_announced_with_it(is_last: bool) -> None:
    goodbye = AgentSaid("Goodbye!", "end_call", takes_leave=True)
    script = [*caller_says(1), *reply(3, "I look it up.", announces="look_up"), (3.3 if is_last else 3.01, goodbye)]

    assert effects_of(play(on_floor(), script, 7))[0] == TellAsCaller(REMINDER)


LEFT: list[Step] = [*caller_says(1), *reply(3, "Goodbye!", announces="end_call")]
OVER = EndConversation("completed", heard=True)


@pytest.mark.parametrize(
    ("then", "end"),
    [
        ([], 13),
        ([(3.2, AgentSaid("Take care of yourself."))], 13),
        ([(3.2, AgentSaid("Or can I do anything else?", asks=True))], None),
        ([(7, Signal.VOICE_BEGAN)], None),
        ([(5.2, Signal.VOICE_BEGAN), (6.0, VoiceEnded(6.0, deaf=True))], None),
        (reply(7.5, "Well, goodbye!", announces="end_call"), 14.5),
        (reply(7.5, "Anything else?"), None),
        ([*reply(7.5, "Bye.", announces="end_call"), (9.6, KeysEntered("1"))], None),
        ([*reply(7.5, "Bye.", announces="end_call"), *caller_says(10)], None),
    ],
)
def test_a_goodbye_is_the_end_though_the_model_that_was_reminded_calls_nothing(
    then: list[Step], end: float | None
) -> None:
    """Unless the caller, or the agent, has anything else to say."""
    echo: Step = (6.6, CallerSaid(POLICY.wording.reminder.format(function="end_call")))

    got = seen(*LEFT, echo, *then, until=16)

    assert [at for at, effect in got if effect == OVER] == ([end] if end else [])
    assert [effect for _, effect in got if isinstance(effect, EndConversation)] == ([OVER] if end else [])


def test_a_noise_behind_a_reminder_asks_no_answered_turn_again() -> None:
    got = seen(*ANNOUNCED, ECHO, (6.8, Signal.CALLER_STARTED_SPEAKING), until=9.5)

    assert got == [REMINDED, (9.3, filler_asked(silence=4.3)), (9.3, clip(silence=4.3))]


@pytest.mark.parametrize("deed", [[(7.0, FunctionsAsked(("f",)))], caller_says(7.0), [(7.0, KeysEntered("1"))]])
def test_what_is_asked_after_a_reminder_is_waited_for(deed: list[Step]) -> None:
    turn = on_floor()

    play(turn, [*ANNOUNCED, ECHO, *deed])

    assert (turn.debt, state_of(turn).owes_deed) == (Debt.OWED, False)


@pytest.mark.parametrize("then", [[], reply(4.5, "It is on Tuesday.", played=1)])
def test_a_caller_who_was_asked_to_wait_waits_unless_something_follows(then: list[Step]) -> None:
    said: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("One moment.", asks_to_wait=True)),
        (3.5, Signal.AUDIO_DONE),
    ]
    wait = POLICY.wording.reminder_of_wait

    got = seen(*caller_says(1), *said, (4, Signal.PLAYED), *then, until=6.9)

    assert got == ([] if then else [(5.5, TellAsCaller(wait))])


# Signs of life


def test_a_refusal_is_a_sign_of_life() -> None:
    refusals: list[Step] = [
        (5.1, Signal.SAY_REFUSED),
        (6.2, Signal.PLAYED),
        (9.3, Signal.SAY_REFUSED),
        (10.3, Signal.PLAYED),
    ]

    assert seen(*caller_says(1), *refusals, until=13.3) == [
        (5, filler_asked(FIRST)),
        (6, clip()),
        (9.2, filler_asked(THIRD)),
        (10.2, clip()),
        (13.3, filler_asked(SECOND)),
    ]


def test_a_sign_of_life_counts_though_a_clip_has_filled_the_silence() -> None:
    script: list[Step] = [*caller_says(1), (5.5, AgentSaid("I am")), (6.2, Signal.PLAYED)]

    assert not [effect for effect in effects_of(seen(*script, until=9.5)) if isinstance(effect, EndSession)]


@pytest.mark.parametrize("end", [[(65, VoiceEnded(65))], [(63.3, AgentSaid(ASK))]], ids=["ends", "is asked into"])
def test_a_noise_in_which_nobody_can_speak_uses_up_no_patience(end: list[Step]) -> None:
    turn = on_floor()

    play(turn, [*caller_says(1), (3, Signal.CALLER_STARTED_SPEAKING), (3, Signal.VOICE_BEGAN), *end], 68)

    assert state_of(turn).at.waiting >= 63


# Noises


def test_a_service_that_hears_somebody_again_and_again_does_not_keep_a_reply_aside() -> None:
    """The line carries no voice: a television, perhaps."""
    noises: list[Step] = [(at, Signal.CALLER_STARTED_SPEAKING) for at in range(4, 12)]

    assert seen(*caller_says(1), *reply(3, sent=0.5, played=20), *noises, until=12) == [
        (4, Aside.CUT),
        (6.5, Aside.RESUME),
    ]


def test_a_reply_that_goes_on_is_not_cut_again_by_a_start_alone() -> None:
    noises: list[Step] = [(4, Signal.CALLER_STARTED_SPEAKING), (7, Signal.CALLER_STARTED_SPEAKING)]
    script: list[Step] = [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("A long reply."))]

    assert seen(*script, *noises, until=8) == [(4, Aside.CUT), (6.5, Aside.RESUME)]


def test_a_reply_that_goes_on_is_cut_again_by_a_voice() -> None:
    noises: list[Step] = [
        (4, Signal.CALLER_STARTED_SPEAKING),
        (7, Signal.VOICE_BEGAN),
        (7.1, Signal.CALLER_STARTED_SPEAKING),
    ]

    got = seen(*caller_says(1), *reply(3, sent=0.5, played=9), *noises, until=8)

    assert got == [(4, Aside.CUT), (6.5, Aside.RESUME), (7.1, Aside.CUT)]


@pytest.mark.parametrize(("done", "is_asked_for"), [(4.1, True), (5.0, False)], ids=["interrupted", "sent to its end"])
def test_a_reply_that_went_on_under_a_noise_is_not_asked_to_go_on(done: float, is_asked_for: bool) -> None:
    coming: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("A long reply.")),
        (4, Signal.CALLER_STARTED_SPEAKING),
    ]

    got = effects_of(seen(*caller_says(1), *coming, (done, Signal.AUDIO_DONE), (9, Signal.PLAYED), until=11))

    assert got[:2] == [Aside.CUT, Aside.RESUME]
    assert (TellAsCaller(POLICY.wording.go_on) in got) is is_asked_for


def test_words_that_are_read_from_the_tape_do_not_restart_the_silence_of_a_caller_who_waits() -> None:
    """They were said before the session that transcribes them took the floor."""
    got = seen(*caller_says(1), (6.2, Signal.PLAYED), (7.5, CallerSaid("Tuesday?")), until=9.5)

    assert got == [(5, filler_asked()), (6, clip()), (9.2, EndSession("it gives no sign of life"))]


def test_a_start_that_the_service_tells_late_does_not_restart_the_silence() -> None:
    script: list[Step] = [
        (1, Signal.VOICE_BEGAN),
        (2.4, Signal.CALLER_STARTED_SPEAKING),
        (2.5, VoiceEnded(2)),
        (2.6, CallerSaid(TURN)),
    ]

    assert seen(*script, until=5.2) == [(5, filler_asked())]
