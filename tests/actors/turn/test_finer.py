"""What single conditions inside of verbs and clocks are for: each script fails without one of them."""

import pytest

from actors.turn.effects import (
    AnswerFunction,
    Aside,
    EndConversation,
    EndSession,
    Gate,
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
    FloorGiven,
    FunctionCancelled,
    FunctionDone,
    FunctionsAsked,
    HandoffWanted,
    KeysEntered,
    PutThroughFailed,
    RemarkMade,
    Signal,
    TransferWanted,
    VoiceEnded,
)
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from tests.actors.turn.script import (
    ASK,
    FIRST,
    GOODBYE,
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
)

CLIP_ENDS: Step = (7, Signal.PLAYED)
"""Of the clip in the first silence behind `caller_says(1)`."""


def test_a_late_filler_that_does_not_end_keeps_no_silent_caller_from_being_asked() -> None:
    script = [*caller_says(1), *reply(5.2), (7.3, Signal.AUDIO_BEGAN), (7.3, AgentSaid(FIRST)), (7.5, Signal.PLAYED)]

    assert seen(*script, until=19) == [(5, filler_asked()), (19, question_asked())]


def test_a_noise_while_a_function_is_at_work_asks_no_turn_again() -> None:
    script = [*caller_says(1), (3, FunctionsAsked(("f",))), (3.5, Signal.CALLER_STARTED_SPEAKING)]

    assert not [effect for _, effect in seen(*script, until=8) if isinstance(effect, TellAsCaller)]


def test_nor_does_one_before_another_agent_comes() -> None:
    script = [*caller_says(1), (2.7, TransferWanted("t")), (2.8, Signal.CALLER_STARTED_SPEAKING)]

    assert not [effect for _, effect in seen(*script, until=8) if isinstance(effect, TellAsCaller)]


def test_a_turn_is_asked_again_once_however_many_noises_follow() -> None:
    noises: list[Step] = [(at, Signal.CALLER_STARTED_SPEAKING) for at in (2.7, 5.5)]
    script = [*caller_says(1), *noises, (5.3, CallerSaid("When can you come?"))]

    assert [effect for _, effect in seen(*script, until=9.9) if isinstance(effect, TellAsCaller)] == [
        TellAsCaller("When can you come?")
    ]


def test_nor_is_it_while_keys_that_were_told_are_not_echoed() -> None:
    spoken: list[Step] = [
        (2.5, CallerSaid("And on Friday?")),
        (3, Signal.VOICE_BEGAN),
        (3.1, Signal.CALLER_STARTED_SPEAKING),
    ]

    got = seen((2, KeysEntered("5")), *spoken, (3.3, Signal.NOTHING_UNDERSTOOD), until=3.4)

    assert got == [(2, TellAsCaller("The caller pressed 5 on the keypad.", ("5",)))]


def test_the_answer_to_what_was_told_is_heard_while_the_service_owes_a_transcript() -> None:
    turn = on_floor()
    spoken: list[Step] = [(1, Signal.CALLER_STARTED_SPEAKING), (1, Signal.VOICE_BEGAN), (2.9, VoiceEnded(2.9))]
    told: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.2, KeysEntered("5")), (3.3, Signal.CALLER_STARTED_SPEAKING)]

    play(turn, [*spoken, *told], 3.6)
    before = turn.gate
    play(turn, [], 3.8)

    assert (before, turn.gate, turn.caller) == (Gate.SHUT, Gate.OPEN, CallerState.HEARD)


def test_nor_does_it_show_that_nobody_is_heard() -> None:
    turn = on_floor()
    spoken: list[Step] = [(1, Signal.CALLER_STARTED_SPEAKING), (1, Signal.VOICE_BEGAN), (2.5, VoiceEnded(2.5))]

    play(turn, [*spoken, (2, KeysEntered("5")), *reply(2.6)])

    assert turn.caller is CallerState.HEARD


def test_a_function_is_waited_for_however_long_it_takes() -> None:
    clips: list[Step] = [(at, Signal.PLAYED) for at in range(7, 60, 5)]

    got = seen(*caller_says(1), (3, FunctionsAsked(("f",))), *clips, until=60)

    assert not [effect for _, effect in got if isinstance(effect, EndSession)]


def test_a_turn_that_may_have_been_answered_is_not_asked_of_the_next_session() -> None:
    unended: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("On Tuesday.")), (5, Signal.PLAYED)]

    assert seen(*caller_says(1), *unended, *lost(7), until=7.5) == []


def test_a_filler_that_was_given_up_is_no_answer_when_it_comes_after_all() -> None:
    turn = on_floor()
    spoken: list[Step] = [(5.5, Signal.CALLER_STARTED_SPEAKING), (5.5, Signal.VOICE_BEGAN), (9.5, VoiceEnded(9.5))]

    play(turn, [*caller_says(1), *spoken, (10, CallerSaid("Hello?")), *reply(10.2, FIRST, played=1)], 12)

    assert turn.debt is Debt.OWED


@pytest.mark.parametrize("told", [1, 2], ids=["once", "in two ways"])
def test_nor_is_one_behind_a_refusal_of_what_was_asked_for_after_it(told: int) -> None:
    turn = on_floor()
    refused: list[Step] = [(13.1, Signal.SAY_REFUSED)] * told
    asked: list[Step] = [(2, RemarkMade("Soon.")), *refused, *reply(13.5, FIRST, played=1)]

    play(turn, [*caller_says(1, length=8), *asked], 15)

    assert turn.debt is Debt.OWED


def test_one_of_a_session_that_is_lost_is_not_looked_for_in_the_words_of_the_next() -> None:
    turn = on_floor()

    play(turn, [*caller_says(1), *lost(5.5), *reply(7), (10, Signal.AUDIO_BEGAN), (10.1, AgentSaid(FIRST))], 10.2)

    assert turn.gate is Gate.OPEN


def test_nor_is_a_clip_that_a_noise_has_cut_played_on() -> None:
    noise: list[Step] = [(6.5, Signal.CALLER_STARTED_SPEAKING), (7, Signal.NOTHING_UNDERSTOOD)]

    got = effects_of(seen(*reply(0.1), *caller_says(3), *[(at + 2, event) for at, event in noise], until=9))

    assert got[2:4] == [Aside.CUT, Aside.FORGET]


def test_an_unanswered_question_is_no_reason_to_give_a_session_up_where_the_caller_has_spoken_since() -> None:
    asked: list[Step] = [(10.5, CallerSaid("Well?")), (11, FunctionsAsked(("f",)))]

    assert not [effect for effect in effects_of(seen(*asked, until=15)) if isinstance(effect, EndSession)]


def test_a_filler_is_no_answer_to_a_transfer_that_came_to_nothing() -> None:
    turn = on_floor()
    wanted: list[Step] = [*reply(1, "I put you through.", played=1), (1.4, TransferWanted("t"))]

    play(turn, [*wanted, (7.2, Signal.PLAYED), (12.2, Signal.PLAYED), *filler(15.5, THIRD)], 17)

    assert (turn.phase, turn.debt) == (Phase.CONVERSING, Debt.OWED)


def test_a_model_that_has_begun_to_think_since_the_filler_was_asked_for_is_there() -> None:
    script = [*caller_says(1), (5.5, Signal.THINKING_BEGAN), CLIP_ENDS]

    assert seen(*script, until=10) == [(5, filler_asked()), (6, clip()), (10, filler_asked(SECOND))]


def test_the_patience_with_a_model_begins_anew_with_the_answer_of_its_function() -> None:
    fillers: list[Step] = [step for at in range(5, 30, 4) for step in reply(at + 0.2, "…", played=1)]
    script = [*caller_says(1), (3, FunctionsAsked(("f",))), *fillers, (21, FunctionDone("f"))]

    assert not [effect for _, effect in seen(*script, until=28) if isinstance(effect, EndSession)]


def test_a_remark_waits_for_the_end_of_an_entry() -> None:
    assert seen((2, Signal.KEY_PRESSED), (2.2, RemarkMade("One minute left.")), until=4) == []


def test_a_remark_that_is_refused_in_a_pause_is_said_again_after_a_breath_and_not_at_once() -> None:
    """The service hears the caller, and we do not: it refuses again and again, as fast as it is asked."""
    refused: list[Step] = [(1.1, Signal.SAY_REFUSED), (2.2, Signal.SAY_REFUSED)]
    remark = SayAsAgent(SpeechKind.REMARK, "Soon.", id="r")

    got = seen((1, RemarkMade("Soon.", id="r")), *refused, until=5)

    assert got == [(1, remark), (2.1, remark), (3.2, remark)]


def test_keys_behind_a_decision_upon_words_that_were_understood_take_it_back() -> None:
    turn = on_floor()

    play(turn, [*caller_says(1, length=1.5), *GOODBYE, (3.9, KeysEntered("5"))])

    assert turn.phase is Phase.CONVERSING


def test_a_goodbye_that_goes_on_is_waited_for() -> None:
    words: list[Step] = [(at, AgentSaid("And one more thing.")) for at in (9, 16)]

    assert not [effect for _, effect in seen(*GOODBYE[2:4], *words, until=23) if isinstance(effect, EndConversation)]


def test_the_same_words_behind_a_reply_are_another_turn() -> None:
    turn = on_floor()

    play(turn, [(1, CallerSaid("Yes.")), *reply(2, played=1), (4, CallerSaid("Yes."))])

    assert turn.debt is Debt.OWED


def test_who_is_put_through_by_a_key_behind_a_withdrawn_transfer_is_told_why_not() -> None:
    withdrawn: list[Step] = [(3, TransferWanted("t")), (3.5, FunctionCancelled("t"))]
    pressed: list[Step] = [(8, KeysEntered("0", wants_person=True)), (12, PutThroughFailed("Nobody."))]

    got = seen(*caller_says(1), *withdrawn, *reply(5, played=1), *pressed, until=12)

    assert (12, TellAsCaller("The caller pressed 0 on the keypad. Nobody.", ("0",))) in got
    assert PutThrough("") in [effect for _, effect in got]


# An answer that a noise has cut before its words came

NOISE_FIRST = [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3.05, Signal.CALLER_STARTED_SPEAKING)]
ASIDE: list[Step] = [(3.1, AgentSaid("On Tuesday.")), (3.5, Signal.AUDIO_DONE), (7.5, Signal.PLAYED)]


def test_it_is_answered_when_it_was_resumed_and_heard() -> None:
    assert seen(*NOISE_FIRST, *ASIDE, until=17) == [(3.05, Aside.CUT), (5.55, Aside.RESUME)]


def test_nor_is_more_asked_for_behind_one_that_came_whole_while_a_filler_was_cut() -> None:
    cut: list[Step] = [*reply(5.2, FIRST, sent=0.4)[:3], (5.5, Signal.CALLER_STARTED_SPEAKING)]

    got = seen(*caller_says(1), *cut, *reply(6.5, "On Tuesday.", played=2.5), until=18)

    assert got == [(5, filler_asked()), (5.5, Aside.CUT), (8, Aside.RESUME)]


def test_words_that_came_before_the_answer_of_a_function_do_not_answer_it_when_they_are_resumed() -> None:
    asked: list[Step] = [(2.7, FunctionsAsked(("f",))), (4, FunctionDone("f"))]

    assert (10.5, filler_asked()) in seen(*NOISE_FIRST, *asked, *ASIDE, until=11)


def test_a_deed_that_they_announce_is_waited_for() -> None:
    turn = on_floor()

    play(turn, [*NOISE_FIRST, (3.1, AgentSaid("I put you through.", "transfer_to_human")), *ASIDE[1:]], 9)

    assert turn.owes_deed


def test_words_that_were_said_before_a_function_are_no_goodbye_behind_it_when_they_are_resumed() -> None:
    check: list[Step] = [(3.04, AgentSaid("Let me check.")), (3.04, FunctionsAsked(("f",))), (4, FunctionDone("f"))]
    ended: list[Step] = [(4.1, Signal.NOTHING_UNDERSTOOD), (4.5, FunctionsAsked(("end",))), (4.5, EndWanted("end", ""))]

    assert [at for at, effect in seen(*NOISE_FIRST, *check, *ended, until=6) if isinstance(effect, AnswerFunction)] == [
        4.5
    ]


def test_a_goodbye_among_them_was_said_once_it_was_resumed() -> None:
    goodbye: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, Signal.CALLER_STARTED_SPEAKING), (3.2, AgentSaid("Goodbye!"))]

    got = seen(*goodbye, (3.6, Signal.NOTHING_UNDERSTOOD), (3.8, EndWanted("e", "done")), until=4)

    assert effects_of(got) == [Aside.CUT, Aside.RESUME]


def test_a_filler_behind_what_is_resumed_is_no_answer() -> None:
    asked: list[Step] = [*caller_says(1), *reply(5.1, "Let me see.")[:3], (5.2, FunctionsAsked(("f",)))]
    filled: list[Step] = [(6, FunctionDone("f")), *reply(6.1, FIRST, sent=0.3)[:3]]
    turn = on_floor()

    play(turn, [*asked, *filled, (6.5, Signal.CALLER_STARTED_SPEAKING), (7, Signal.NOTHING_UNDERSTOOD)])

    assert (turn.sounding, turn.debt) == (True, Debt.OWED)


def test_words_without_audio_behind_a_reply_that_was_resumed_answer_nothing() -> None:
    cut: list[Step] = [(3.1, FunctionsAsked(("f",))), (3.4, Signal.CALLER_STARTED_SPEAKING)]
    resumed: list[Step] = [(4, Signal.NOTHING_UNDERSTOOD), (4.1, FunctionDone("f")), (4.9, Signal.PLAYED)]
    lost_audio: list[Step] = [(4.3, AgentSaid("On Tuesday.")), (4.4, Signal.AUDIO_DONE)]

    got = seen(*caller_says(1), *reply(3, "Let me see.")[:2], *cut, *resumed, *lost_audio, until=7)

    assert got == [(3.4, Aside.CUT), (4, Aside.RESUME), (6.4, TellAsCaller(POLICY.wording.go_on))]


# What was begun or waited for in another state of the call


def test_a_filler_that_is_begun_as_the_call_closes_is_not_its_last_sentence() -> None:
    late = 2.6 + POLICY.deadlines.closing / 2 + 0.005  # the clock has not told yet that the sentence is due
    turn = on_floor()

    play(turn, [*caller_says(1), (2.6, CloseAsked("drained", "Goodbye."))], 5)
    turn.on(AgentSaid(FIRST), late)
    play(turn, [(5.5, Signal.AUDIO_DONE)])

    assert (turn.phase, turn.is_closing_sent) == (Phase.CLOSING, False)


def test_a_filler_that_the_agent_before_was_asked_for_is_not_heard_behind_a_greeting_on_the_same_session() -> None:
    turn = on_floor()
    left: list[Step] = [(5.1, HandoffWanted("h")), (5.5, Signal.FLOOR_VACATED)]
    handed: list[Step] = [*left, (5.5, FloorGiven(owes=True, greeting="Hi, I am Bea."))]
    greets: list[Step] = [(5.7, Signal.AUDIO_BEGAN), (5.8, AgentSaid("Hi, I am Bea.")), (6, Signal.AUDIO_DONE)]

    got = play(turn, [*caller_says(1), *handed, *greets, (6.2, AgentSaid(FIRST))])

    assert filler_asked() in effects_of(got)
    assert turn.gate is Gate.SHUT


def test_a_session_whose_handoff_is_withdrawn_has_the_time_to_think() -> None:
    handoff: list[Step] = [(3, HandoffWanted("h")), (23, FunctionCancelled("h"))]
    clips: list[Step] = [(at, Signal.PLAYED) for at in (7.5, 12.5, 17.5, 22.5)]

    got = seen(*caller_says(1), (3, FunctionsAsked(("h",))), *handoff, *clips, until=26)

    assert [effect for _, effect in got if isinstance(effect, EndSession)] == []


def test_a_function_that_was_withdrawn_has_shown_that_the_service_is_alive() -> None:
    """Its first filler was not said: only the call of the function tells that it works."""
    called: list[Step] = [(5.5, FunctionsAsked(("f",))), (6.2, Signal.CALLER_STARTED_SPEAKING)]
    withdrawn: list[Step] = [(6.2, FunctionCancelled("f")), (6.5, CallerSaid("No, wait."))]

    assert (9.2, filler_asked(SECOND)) in seen(*caller_says(1), *called, *withdrawn, until=9.5)


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (ASK, {"outstanding": question_asked()}),
        ("still there?", {"rest": "still there?"}),
        (FIRST, {"late_filler": FIRST}),
    ],
)
def test_any_words_long_after_what_was_told_are_its_answer(words: str, fields: dict[str, object]) -> None:
    turn, _ = prepared_turn(told="Ten.", **fields)
    turn.on(AgentSaid(words), 10.4)

    turn.on(Signal.CALLER_STARTED_SPEAKING, 10.5)

    assert turn.caller is CallerState.HEARD


def test_a_session_that_takes_the_floor_plays_nothing_of_the_one_before() -> None:
    turn, _ = prepared_turn(voice=VoiceState.CUT, aside=SpeechKind.ANSWER)

    assert turn.on(FloorGiven(owes=False), 10.1) == [Aside.FORGET]


def test_a_refusal_while_the_line_is_loud_counts_as_heard_speech() -> None:
    turn, state = prepared_turn(is_loud=True)

    turn.on(Signal.SAY_REFUSED, 10.2)

    assert (turn.caller, state.at.heard, state.at.noticed) == (CallerState.HEARD, 10.2, 10.2)


@pytest.mark.parametrize(
    ("words", "asks_for_time", "is_asked"),
    [
        (AgentSaid("Goodbye!", takes_leave=True), False, False),  # and they mumble theirs
        (AgentSaid("I will note that.", "note"), False, False),
        (AgentSaid("Take your time."), True, False),
        (AgentSaid("On Tuesday."), False, True),
    ],
)
def test_who_is_not_understood_is_asked_unless_it_is_known_why_they_say_nothing(
    words: AgentSaid, asks_for_time: bool, is_asked: bool
) -> None:
    asked = CallerSaid("Hold on, please.", asks_for_time)
    answer: list[Step] = [(2.5, asked), (3, Signal.AUDIO_BEGAN), (3, words), (4, Signal.AUDIO_DONE), (5, Signal.PLAYED)]
    mumble: list[Step] = [
        (5.5, Signal.CALLER_STARTED_SPEAKING),
        (5.5, Signal.VOICE_BEGAN),
        (6.3, VoiceEnded(6.3)),
    ]

    got = effects_of(seen(*answer, *mumble, until=11.9))

    assert (question_asked(0.0) in got) is is_asked
