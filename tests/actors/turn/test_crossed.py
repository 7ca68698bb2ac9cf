"""Two things cross: a message, a function, a handoff or a transfer comes while another is on its way."""

import pytest

from actors.policy import describe_keys
from actors.turn.effects import (
    Aside,
    Gate,
    Listening,
    PutThrough,
    SayAsAgent,
    SpeechKind,
    TellAsCaller,
)
from actors.turn.events import (
    AgentSaid,
    CallerSaid,
    CloseAsked,
    EndWanted,
    Event,
    FloorGiven,
    FunctionCancelled,
    FunctionDone,
    FunctionsAsked,
    HandoffWanted,
    KeysEntered,
    PutThroughFailed,
    Signal,
    TransferWanted,
    VoiceEnded,
)
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from tests.actors.turn.script import (
    FIRST,
    POLICY,
    SECOND,
    Step,
    caller_says,
    clip,
    effects_of,
    filler_asked,
    on_floor,
    play,
    prepared_turn,
    question_asked,
    reply,
    seen,
    without_notes,
)

COUGH: list[Step] = [(5.6, Signal.VOICE_BEGAN), (5.6, Signal.CALLER_STARTED_SPEAKING), (6.4, VoiceEnded(6))]
KEYS_ECHOED = CallerSaid(describe_keys(("1",)))


# A cut, and what comes behind it


def test_an_answer_that_begins_behind_a_filler_is_kept_with_it() -> None:
    """Its first frame came before the cut, and was no news; its words come after it."""
    filler: list[Step] = [(5.3, Signal.AUDIO_BEGAN), (5.31, AgentSaid(FIRST))]

    got = seen(*caller_says(1), *filler, *COUGH, (5.61, AgentSaid("On Tuesday.")), until=8.5)

    assert effects_of(got) == [filler_asked(), Aside.CUT, Aside.RESUME]


def test_words_without_audio_behind_a_torn_reply_do_not_end_it_though_the_model_thinks_again() -> None:
    """They may be those of the next reply, and their audio is lost: the model is asked to go on."""
    coming: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (6, Signal.THINKING_BEGAN),
        (7, Signal.PLAYED),
    ]

    got = seen(*caller_says(1), *coming, (7.5, AgentSaid("On Tuesday.")), (7.6, Signal.AUDIO_DONE), until=9.9)

    assert got == [(4, Aside.CUT), (6.5, Aside.RESUME), (9.1, TellAsCaller(POLICY.wording.go_on))]


@pytest.mark.parametrize("by", ["goodbye", "told"])
def test_the_end_of_what_was_dropped_ends_the_cut(by: str) -> None:
    turn = on_floor()
    drops: dict[str, list[Step]] = {
        "goodbye": [(1, Signal.AUDIO_BEGAN), (1.1, EndWanted("e", "done")), (2, FunctionCancelled("e"))],
        "told": [(1, Signal.AUDIO_BEGAN), (2, KeysEntered("1")), (2.1, Signal.CALLER_STARTED_SPEAKING)],
    }

    play(turn, [*drops[by], (2.2, Signal.AUDIO_DONE)])

    assert turn.gate is Gate.OPEN


# What is told, and what is on its way


@pytest.mark.parametrize("echo", [[], [(2.2, KEYS_ECHOED)]], ids=["not echoed", "echoed"])
def test_the_answer_to_what_was_told_is_heard_from_its_first_frame(echo: list[Step]) -> None:
    turn = on_floor()
    script: list[Step] = [(1, Signal.AUDIO_BEGAN), (1.1, AgentSaid("Long.")), (2, KeysEntered("1"))]

    got = play(turn, [*script, (2.1, Signal.CALLER_STARTED_SPEAKING)], 2.15)
    assert (effects_of(got)[1:], turn.gate) == ([Aside.CUT, Aside.FORGET], Gate.SHUT)

    play(turn, echo, 2.6)
    assert turn.gate is Gate.OPEN
    assert play(turn, [(2.6, Signal.AUDIO_BEGAN), (2.7, AgentSaid("You pressed one.")), (3, Signal.AUDIO_DONE)]) == []
    assert turn.debt is Debt.SETTLED


@pytest.mark.parametrize("played", [3, 9])
def test_nothing_more_comes_of_a_reply_behind_an_echo(played: float) -> None:
    """The words that follow are those of the next reply, and their audio is lost."""
    coming: list[Step] = [(1, Signal.AUDIO_BEGAN), (1.1, AgentSaid("Long.")), (2, KeysEntered("1")), (2.2, KEYS_ECHOED)]

    answer: list[Step] = [(4, AgentSaid("You pressed one.")), (4.1, Signal.AUDIO_DONE)]

    assert seen(*coming, (played, Signal.PLAYED), *answer, until=played + 3.1)[1:] == [(played + 3, filler_asked())]


@pytest.mark.parametrize("began", [1.5, 0.5], ids=["a reply", "behind another reply"])
def test_a_start_behind_the_answer_to_what_was_told_is_the_callers(began: float) -> None:
    script: list[Step] = [(1, KeysEntered("1")), (began, Signal.AUDIO_BEGAN), (1.6, AgentSaid("You pressed one."))]

    got = seen(*script, (3, Signal.CALLER_STARTED_SPEAKING), (3.2, Signal.AUDIO_DONE), until=6)

    assert effects_of(got)[1:3] == [Aside.CUT, Aside.RESUME]


def test_words_without_audio_that_a_noise_has_cut_are_no_answer_by_another_audio() -> None:
    turn = on_floor()
    cut: list[Step] = [
        (3, AgentSaid("On Tuesday.")),
        (3.1, Signal.CALLER_STARTED_SPEAKING),
        (5.5, Signal.THINKING_BEGAN),
    ]

    play(turn, [*caller_says(1), *cut, (5.6, Signal.PLAYED), *reply(6, FIRST, played=1)], 7)

    assert (turn.debt, turn.has_spoken) == (Debt.OWED, False)


def test_words_behind_a_question_have_no_audio_that_was_played_before_it() -> None:
    """The AgentAudioDone of the reply before them is missing, and their audio is lost."""
    asked: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("Let me see.")), (3.1, FunctionsAsked(("f",)))]
    script: list[Step] = [*asked, (4, Signal.PLAYED), (4.2, FunctionDone("f")), (5, AgentSaid("On Tuesday."))]

    assert seen(*caller_says(1), *script, (5.1, Signal.AUDIO_DONE), until=7.1) == [(7, filler_asked())]


# A filler, and what is on its way


@pytest.mark.parametrize("sign", [KeysEntered("1"), Signal.THINKING_BEGAN])
def test_nothing_more_comes_of_a_late_filler_where_the_model_has_more_to_answer(sign: Event) -> None:
    """Its AgentAudioDone is missing."""
    turn = on_floor()
    late: list[Step] = [
        *reply(5.1, "On Tuesday.", sent=0.2, played=1),
        (5.5, Signal.AUDIO_BEGAN),
        (5.6, AgentSaid(FIRST)),
    ]

    play(turn, [*caller_says(1), *late, (6.2, sign)])

    assert turn.gate is Gate.OPEN


def test_a_filler_without_words_is_not_the_audio_of_words_that_had_none() -> None:
    turn = on_floor()
    lost: list[Step] = [(4.5, AgentSaid("On Tuesday.")), (4.6, Signal.AUDIO_DONE)]

    got = play(
        turn, [*caller_says(1), *lost, (5.4, Signal.AUDIO_BEGAN), (5.8, Signal.AUDIO_DONE), (6.5, Signal.PLAYED)], 9.6
    )

    assert without_notes(got) == [(5, filler_asked()), (9.5, filler_asked(SECOND))]
    assert turn.debt is Debt.OWED


def test_a_filler_without_words_is_no_answer_though_a_function_has_ended_meanwhile() -> None:
    turn = on_floor()
    done: list[Step] = [(5.1, FunctionsAsked(("f",))), (5.2, FunctionDone("f"))]

    play(turn, [*caller_says(1), *done, (5.4, Signal.AUDIO_BEGAN), (5.8, Signal.AUDIO_DONE), (6.5, Signal.PLAYED)], 7)

    assert turn.debt is Debt.OWED


def test_a_late_filler_is_not_the_remark_that_was_asked_for_meanwhile() -> None:
    """The remark that follows is no answer."""
    remark = SayAsAgent(SpeechKind.REMARK, "So.", id="r")
    turn, state = prepared_turn(debt=Debt.OWED, late_filler=FIRST, outstanding=remark)
    state.at.wanted = 9.5

    play(turn, reply(10.1, FIRST, sent=0.2, played=0.3))
    assert turn.awaits_remark("r")
    play(turn, reply(10.5, "So.", played=1))

    assert (turn.debt, turn.remark_begun) == (Debt.OWED, "r")


def test_a_late_filler_without_words_is_no_answer() -> None:
    turn = on_floor()
    said: list[Step] = [*reply(5.1, "Let me see.", played=0.8), (5.1, FunctionsAsked(("f",))), (6, FunctionDone("f"))]

    play(turn, [*caller_says(1), *said, (6.2, Signal.AUDIO_BEGAN), (6.8, Signal.AUDIO_DONE), (7.5, Signal.PLAYED)], 8)

    assert turn.debt is Debt.OWED


def test_a_transfer_that_fails_asks_for_no_second_filler() -> None:
    """The first one may still come."""
    script: list[Step] = [*caller_says(1), (6.2, FunctionsAsked(("t",))), (6.3, TransferWanted("t"))]
    failed: list[Step] = [(7.6, PutThroughFailed("nobody")), (7.6, FunctionDone("t"))]

    got = seen(*script, *caller_says(5.3, "Well?", length=0.5, wait=0.3), *failed, until=8.9)

    assert got == [(5, filler_asked()), (7.3, PutThrough("t"))]


# A handoff that is denied, and the reply that it interrupted


@pytest.mark.parametrize("words", [[], [(5.6, AgentSaid(FIRST))]], ids=["its own", "a filler's"])
def test_the_rest_of_a_reply_behind_a_denied_handoff_is_no_answer(words: list[Step]) -> None:
    turn = on_floor()
    begins: list[Step] = [(5.2, Signal.AUDIO_BEGAN), (5.3, AgentSaid("Let me see.")), (5.3, FunctionsAsked(("h",)))]
    denied: list[Step] = [(5.4, HandoffWanted("h")), *words, (5.8, FunctionCancelled("h")), (5.8, FunctionDone("h"))]

    play(
        turn,
        [*caller_says(1), *begins, *denied, (5.9, Signal.AUDIO_BEGAN), (6, Signal.AUDIO_DONE), (6.5, Signal.PLAYED)],
        7,
    )

    assert turn.debt is Debt.OWED


def test_a_filler_behind_a_denied_handoff_is_no_answer() -> None:
    turn = on_floor()
    denied: list[Step] = [(5.1, FunctionsAsked(("h",))), (5.2, HandoffWanted("h")), (5.4, FunctionCancelled("h"))]

    play(turn, [*caller_says(1), *denied, *reply(5.5, FIRST, played=1)], 7)

    assert (turn.debt, turn.reply.kind) == (Debt.OWED, SpeechKind.FILLER)


# A silence, and what does not end it


def test_a_transfer_does_not_restart_the_silence_before_it() -> None:
    """What the agent said before its first function was no answer, and the transfer was not announced."""
    said: list[Step] = [
        *reply(3, "Let me see.", played=1),
        (3.2, FunctionsAsked(("f",))),
        (4.1, FunctionCancelled("f")),
    ]
    script: list[Step] = [*caller_says(1), *said, (5.5, FunctionsAsked(("t",))), (5.6, TransferWanted("t"))]

    assert seen(*script, until=8.1) == [(6.6, PutThrough("t")), (8, clip())]


def test_what_a_lost_session_has_said_announces_no_transfer_of_the_next_one() -> None:
    said: list[Step] = [*reply(3, "Let me see.", played=1), (3.2, FunctionsAsked(("f",))), (5, Signal.FLOOR_VACATED)]
    script: list[Step] = [*said, (5.5, FloorGiven(owes=False)), (5.8, FunctionsAsked(("t",))), (6, TransferWanted("t"))]

    assert seen(*caller_says(1), *script, until=8.1)[1:] == [(7, PutThrough("t")), (8, clip())]


def test_a_session_that_greets_owes_more_than_the_deed_of_the_one_before() -> None:
    """So it is asked for one filler after the other, and given up."""
    turn = on_floor()
    announced: list[Step] = [*caller_says(1), *reply(3, "I look it up.", announces="look_up")]
    greets: list[Step] = [(7, Signal.FLOOR_VACATED), (7.5, FloorGiven(owes=True))]

    got = play(turn, [*announced, *greets, *reply(9.3, FIRST, played=1)], 14)

    assert turn.debt is Debt.OWED
    assert len([effect for effect in effects_of(got) if isinstance(effect, SayAsAgent)]) > 1


def test_a_word_that_is_not_heard_is_asked_about_though_a_deed_is_waited_for() -> None:
    announced: list[Step] = [*caller_says(1), *reply(3, "I look it up.", announces="look_up"), (9.2, Signal.PLAYED)]
    word: list[Step] = [(9.4, Signal.VOICE_BEGAN), (10.9, VoiceEnded(10.5, deaf=True))]

    assert seen(*announced, *word, until=13.6)[-1] == (13.5, question_asked(0.0))


def test_a_transfer_waits_for_the_rest_of_its_sentence_though_the_line_has_run_dry() -> None:
    wanted: list[Step] = [
        *caller_says(1),
        (3, AgentSaid("I put you")),
        (3, Signal.AUDIO_BEGAN),
        (3, TransferWanted("t")),
    ]
    script: list[Step] = [
        *wanted,
        (4, Signal.PLAYED),
        (4.5, Signal.AUDIO_BEGAN),
        (5.2, Signal.AUDIO_DONE),
        (5.5, Signal.PLAYED),
    ]

    assert seen(*script, until=7) == [(6.2, PutThrough("t"))]


def test_what_was_to_be_the_last_sentence_is_not_heard_where_a_remark_waits() -> None:
    """The caller is there after all, and some of the sentence is on its way still."""
    remark = SayAsAgent(SpeechKind.REMARK, "So.")
    turn, state = prepared_turn(phase=Phase.CLOSING, voice=VoiceState.COMING, sounding=True, remark=remark)
    state.closing, state.may_stay = CloseAsked("caller_silent", "Goodbye."), True
    state.at.remark, state.at.begun = -100, 10.0

    got = play(turn, [(10.1, Signal.VOICE_BEGAN)], 10.5)

    assert effects_of(got) == [Aside.CUT, Aside.FORGET, Listening.FREE_TAPE]
    assert turn.gate is Gate.SHUT


def test_an_agent_that_goes_on_talking_does_not_keep_the_caller_from_the_person() -> None:
    talks: list[Step] = [step for at in (4, 7, 10, 13) for step in reply(at, "And another thing.", played=2.9)]

    assert effects_of(seen((3, KeysEntered("0", wants_person=True)), *talks, until=13))[-1] == PutThrough("")


def test_a_function_that_ends_during_a_transfer_does_not_restart_the_silence_before_it() -> None:
    script: list[Step] = [*caller_says(1), (2.8, FunctionsAsked(("f", "t"))), *reply(3, "To a person.", played=1)]
    done: list[Step] = [(3.1, TransferWanted("t")), (4.4, FunctionDone("f"))]

    assert effects_of(seen(*script, *done, until=8)) == [PutThrough("t"), clip()]


def test_what_was_said_before_a_function_that_is_withdrawn_announces_no_transfer_after_it() -> None:
    said: list[Step] = [
        *reply(3, "Let me see.", played=1),
        (3.2, FunctionsAsked(("f",))),
        (4.1, FunctionCancelled("f")),
    ]
    script: list[Step] = [*said, (7.2, FunctionsAsked(("t",))), (7.3, TransferWanted("t"))]

    assert seen(*caller_says(1), *script, until=8.1) == [(7, filler_asked()), (8, clip())]


def test_words_upon_an_answer_that_crossed_the_callers_are_no_sign_that_nobody_is_heard() -> None:
    """The line has not answered; the model is told so, and the caller begins to whisper."""
    script: list[Step] = [*reply(3, "I put you through.", sent=0.4, played=1), (3.3, TransferWanted("t"))]
    told = 4.4 + POLICY.deadlines.transfer
    turn = on_floor()

    play(turn, [*script, (told + 0.1, Signal.CALLER_STARTED_SPEAKING), *reply(told + 0.8, "Nobody is there.")][:-2])

    assert turn.caller is CallerState.HEARD
