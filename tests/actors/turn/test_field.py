"""What people report from real lines, each case as a script (by the numbers of the report)."""

import pytest

from actors.turn.effects import (
    AnswerFunction,
    Aside,
    EndConversation,
    EndSession,
    Gate,
    Listening,
    PutThrough,
    TellAsCaller,
)
from actors.turn.events import (
    AgentSaid,
    CallerSaid,
    EndWanted,
    Event,
    FloorGiven,
    FunctionCancelled,
    FunctionDone,
    FunctionsAsked,
    HandoffWanted,
    PutThroughFailed,
    Signal,
    TransferWanted,
    VoiceEnded,
)
from actors.turn.state import CallerState, Debt, Phase
from tests.actors.turn.script import (
    ASK,
    FIRST,
    GOODBYE,
    LATE_VOICE,
    POLICY,
    SECOND,
    THIRD,
    Step,
    caller_says,
    clip,
    filler,
    filler_asked,
    new_turn,
    on_floor,
    play,
    question_asked,
    reply,
    without_notes,
)

REMINDER = POLICY.wording.reminder.format(function="end_call")


def test_c1_a_withdrawn_goodbye_does_not_end_the_call() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        *GOODBYE,
    ]
    script += [
        (3.5, Signal.CALLER_STARTED_SPEAKING),
        (3.5, Signal.VOICE_BEGAN),
        (4.3, VoiceEnded(4.3)),
        (5, Signal.PLAYED),
        (5.5, FunctionCancelled("end")),
        (5.6, CallerSaid("Wait, one thing")),
    ]
    assert play(turn, script + reply(6.2), 12) == []
    assert (turn.phase, turn.debt) == (Phase.CONVERSING, Debt.SETTLED)


def test_c1_what_is_left_of_a_withdrawn_goodbye_is_cut() -> None:
    turn = on_floor()
    script: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("Goodbye!")),
        (3.2, EndWanted("e", "done")),
        (3.5, Signal.CALLER_STARTED_SPEAKING),
        (4, FunctionCancelled("e")),
    ]
    assert play(turn, script) == [(4, Aside.CUT), (4, Aside.FORGET)]
    assert turn.gate is Gate.SHUT


def test_c2_after_a_false_interruption_the_rest_of_the_reply_is_heard() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("A long reply.")),
        (3.5, Signal.AUDIO_DONE),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (4, Signal.VOICE_BEGAN),
        (4.4, VoiceEnded(4.4)),
        (9, Signal.PLAYED),
    ]
    assert play(turn, script, 10) == [(4, Aside.CUT), (6.9, Aside.RESUME)]


def test_c2_a_reply_that_was_still_coming_goes_on_and_is_asked_for_if_it_does_not() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("A long reply.")),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (4, Signal.AUDIO_DONE),
        (7.5, Signal.PLAYED),
    ]
    got = play(turn, script, 12)
    go_on = (9.0, TellAsCaller(POLICY.wording.go_on))
    assert got == [
        (4, Aside.CUT),
        (6.5, Aside.RESUME),
        go_on,
        (10.5, filler_asked()),
        (11.5, clip()),
    ]  # silent since 7.5


def test_c2_an_empty_transcript_resumes_at_once() -> None:
    turn = on_floor()
    script: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("Long.")),
        (3.2, Signal.AUDIO_DONE),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (4.6, Signal.NOTHING_UNDERSTOOD),
    ]
    assert play(turn, script) == [(4, Aside.CUT), (4.6, Aside.RESUME)]


def test_c2_words_after_all_cut_what_was_resumed() -> None:
    turn = on_floor()
    script: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("Long.")),
        (3.2, Signal.AUDIO_DONE),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (7, CallerSaid("Stop")),
    ]
    assert play(turn, script) == [(4, Aside.CUT), (6.5, Aside.RESUME), (7, Aside.CUT), (7, Aside.FORGET)]


@pytest.mark.parametrize("where", ["greeting", "answer", "restart"])
def test_c3_speech_with_nothing_to_cut_mutes_nothing(where: str) -> None:
    turn = new_turn()
    if where == "greeting":
        script: list[Step] = [(0, FloorGiven(owes=True)), (0.4, Signal.CALLER_STARTED_SPEAKING)]
    elif where == "answer":
        script = [(0, FloorGiven(owes=False)), *caller_says(1), (2.7, Signal.CALLER_STARTED_SPEAKING)]
    else:
        script = [
            (0, FloorGiven(owes=True, ask="When?")),
            (0.2, CallerSaid("When?")),
            (0.3, Signal.CALLER_STARTED_SPEAKING),
        ]
    at = script[-1][0] + 0.5
    seen = play(turn, [*script, (at, Signal.AUDIO_BEGAN)])
    assert Aside.CUT not in [effect for _, effect in seen]
    assert (turn.gate, turn.sounding) == (Gate.OPEN, True)
    assert (
        play(turn, [(at + 0.1, AgentSaid("Hello.")), (at + 0.4, Signal.AUDIO_DONE), (at + 1, Signal.PLAYED)], at + 5)
        == []
    )
    assert turn.debt is Debt.SETTLED


def test_c3_an_answer_that_a_noise_has_cancelled_is_asked_for_again() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (2.7, Signal.CALLER_STARTED_SPEAKING),
        (5.4, Signal.CALLER_STARTED_SPEAKING),
        (5.5, CallerSaid("When can you come?")),
        *reply(6.2),
    ]
    assert play(turn, script, 9) == [
        (5.2, TellAsCaller("When can you come?")),
        (5.2, filler_asked(silence=3.2)),
        (6, clip()),
    ]


@pytest.mark.parametrize("warned", [True, False])
def test_c4_slow_and_alive_is_waited_for_with_varied_fillers(warned: bool) -> None:
    turn = on_floor()
    warnings = [(7.5, Signal.THINKING_SLOW), (12.5, Signal.THINKING_SLOW)] if warned else []
    script: list[Step] = [
        *caller_says(1),
        (2.6, Signal.THINKING_BEGAN),
        *filler(5.3, FIRST),
        *warnings,
        *filler(9.8, SECOND),
        *filler(14.3, THIRD),
        *reply(17),
    ]
    assert without_notes(play(turn, script, 20)) == [
        (5, filler_asked(FIRST)),
        (9.5, filler_asked(SECOND)),
        (14, filler_asked(THIRD)),
    ]


def test_c4_a_service_that_hears_and_says_nothing_is_given_up_though_the_caller_speaks_again() -> None:
    """What it hears is no sign of life, once it has neither said nor refused the filler that it was asked for."""
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (2.6, Signal.THINKING_BEGAN),
        (7.3, Signal.PLAYED),
        *caller_says(8, "Hello?"),
        (9.6, Signal.THINKING_BEGAN),
    ]

    assert without_notes(play(turn, script, 12.5)) == [
        (5, filler_asked(FIRST)),
        (6, clip()),
        (12, EndSession("it gives no sign of life")),
    ]


@pytest.mark.parametrize(
    "sign", [Signal.AUDIO_BEGAN, AgentSaid("I am looking."), Signal.SAY_REFUSED, Signal.THINKING_SLOW]
)
def test_c4_a_service_that_gives_another_sign_is_waited_for(sign: Event) -> None:
    turn = on_floor()
    script: list[Step] = [*caller_says(1), (2.6, Signal.THINKING_BEGAN), (7, sign), (7.3, Signal.PLAYED)]

    seen = play(turn, [*script, *caller_says(8, "Hello?"), (9.6, Signal.THINKING_BEGAN)], 13)

    assert not [effect for _, effect in seen if isinstance(effect, EndSession)]


def test_c4_patience_with_thinking_ends() -> None:
    turn = on_floor()
    script, at = caller_says(1), 5.8
    for text in (FIRST, SECOND, THIRD, FIRST):
        script = [*script, *filler(at - 0.5, text)]
        at += 4.5
    assert play(turn, script, 23.5)[-1] == (23, EndSession("it thinks for too long"))


def test_c7_a_caller_who_tells_a_long_story_is_never_told_that_they_are_not_heard() -> None:
    turn = on_floor()
    script: list[Step] = [
        (1, Signal.CALLER_STARTED_SPEAKING),
        (1, Signal.VOICE_BEGAN),
        (61.1, Signal.SAY_REFUSED),
        (86, VoiceEnded(86)),
        (87, CallerSaid("…and so on")),
        *reply(88),
    ]
    assert play(turn, script, 92) == [(61, question_asked(silence=0.0))]
    assert turn.times_asked == 0


def test_c7_a_noise_without_end_is_asked_about() -> None:
    turn = on_floor()
    script: list[Step] = [(1, Signal.CALLER_STARTED_SPEAKING), (1, Signal.VOICE_BEGAN), *reply(61.3, ASK)]
    assert play(turn, script, 70) == [(61, question_asked(silence=0.0))]
    assert (turn.times_asked, turn.caller) == (1, CallerState.QUIET)


def test_c13_a_caller_who_speaks_over_the_goodbye_is_waited_for_and_answered() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        *GOODBYE,
    ]
    script += [
        (4, Signal.CALLER_STARTED_SPEAKING),
        (4, Signal.VOICE_BEGAN),
        (5, Signal.PLAYED),
        (9, VoiceEnded(9)),
        (9.6, CallerSaid("And the price?")),
    ]
    script += [*reply(10.5, "Ninety. Goodbye!"), (11.1, EndWanted("e2", "done"))]
    assert play(turn, script, 16) == [
        (9.6, AnswerFunction("end", POLICY.wording.reopened)),
        (12.5 + LATE_VOICE, EndConversation("completed", "done", heard=True)),
    ]


def test_c13_a_noise_over_the_goodbye_delays_the_end_and_does_not_cut_it() -> None:
    turn = on_floor()
    script: list[Step] = [
        *GOODBYE,
        (4, Signal.CALLER_STARTED_SPEAKING),
        (5, Signal.PLAYED),
    ]
    assert play(turn, script, 16) == [(8, EndConversation("completed", "done", heard=True))]


def test_c13_a_line_that_is_loud_holds_the_end_for_a_while() -> None:
    turn = on_floor()
    script: list[Step] = [
        *GOODBYE,
        (4, Signal.VOICE_BEGAN),
        (5, Signal.PLAYED),
    ]
    assert play(turn, script, 16) == [(10, EndConversation("completed", "done", heard=True))]


def test_c14_a_function_that_was_announced_and_not_called_is_asked_for_once() -> None:
    turn = on_floor()
    script = (
        caller_says(1)
        + reply(3, "Goodbye!", announces="end_call")
        + [(6.6, CallerSaid(REMINDER))]
        + reply(7.5, "Goodbye!", announces="end_call")
    )
    over = EndConversation("completed", heard=True)
    assert play(turn, script, 16) == [(6.5, TellAsCaller(REMINDER)), (14.5, over)]


def test_c14_a_function_that_was_announced_and_called_is_not() -> None:
    turn = on_floor()
    script = (
        caller_says(1)
        + reply(3, "Goodbye!", announces="end_call")
        + [(4, FunctionsAsked(("e",))), (4.1, EndWanted("e", "done"))]
    )
    assert play(turn, script, 12) == [(5 + LATE_VOICE, EndConversation("completed", "done", heard=True))]


def test_c16_a_reply_that_was_played_ends_the_turn_without_audio_done() -> None:
    turn = on_floor()
    script: list[Step] = [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("On Tuesday.")), (5, Signal.PLAYED)]
    asked: list[Step] = [(8.1, Signal.AUDIO_BEGAN), (8.12, AgentSaid(ASK)), (9.5, Signal.PLAYED)]
    assert without_notes(play(turn, [*script, *asked], 20.9)) == [(8, question_asked(0.0))]
    assert turn.debt is Debt.SETTLED
    assert play(turn, [], 22) == [(21, question_asked())]


def test_c17_a_model_that_says_the_fillers_words_is_heard() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid(FIRST))])
    assert (turn.gate, turn.sounding) == (Gate.OPEN, True)
    assert play(turn, [(3.4, Signal.AUDIO_DONE), (4.5, Signal.PLAYED)], 12) == []
    assert turn.debt is Debt.SETTLED


def test_c19_an_end_during_a_handoff_is_refused_and_the_agent_goes_on() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (3, FunctionsAsked(("h", "e"))),
        (3, HandoffWanted("h")),
        (3, EndWanted("e", "done")),
        (4, FunctionCancelled("h")),
        (4, FunctionDone("h")),
    ]
    got = [effect for _, effect in play(turn, script + reply(4.8, "I will help you myself."), 12)]
    assert got == [Listening.HOLD_TAPE, AnswerFunction("e", POLICY.wording.refused), Listening.FREE_TAPE]
    assert turn.phase is Phase.CONVERSING


def test_c19_a_handoff_during_a_goodbye_is_refused_and_the_goodbye_is_heard() -> None:
    turn = on_floor()
    script: list[Step] = [*caller_says(1), (3, EndWanted("e", "done")), (3, HandoffWanted("h")), *reply(4, "Goodbye.")]
    assert [e for _, e in play(turn, script, 12)][-1] == EndConversation("completed", "done", heard=True)


def test_words_before_a_function_do_not_answer_it() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (2.8, Signal.AUDIO_BEGAN),
        (2.9, AgentSaid("Let me see.")),
        (3, FunctionsAsked(("f",))),
        (3.01, FunctionDone("f")),
        (3.3, Signal.AUDIO_DONE),
        (4, Signal.PLAYED),
    ]
    assert play(turn, script, 8) == [(7, filler_asked(FIRST)), (8, clip())]


@pytest.mark.parametrize("session", [FloorGiven(owes=False), FloorGiven(owes=True), FloorGiven(owes=True, ask="When?")])
def test_c23_a_transfer_outlives_the_session_and_its_failure_is_told_to_the_next(session: FloorGiven) -> None:
    script: list[Step] = [
        *caller_says(1),
        *reply(3, "I put you through.", sent=0.4, played=1),
        (3.3, TransferWanted("t")),
        (5, Signal.FLOOR_VACATED),
        (5.5, session),
    ]
    turn = on_floor()

    assert play(turn, script, 6) == [(4.4, PutThrough("t"))]
    assert turn.phase is Phase.PUTTING_THROUGH
    assert (6.5, TellAsCaller("engaged")) in play(turn, [(6.5, PutThroughFailed("engaged"))])


def test_c23_a_function_that_waits_for_a_line_that_does_not_answer_is_answered() -> None:
    script: list[Step] = [*reply(3, "I put you through.", sent=0.4, played=1), (3.3, TransferWanted("t"))]

    seen = play(on_floor(), script, 14)

    assert (round(4.4 + POLICY.deadlines.transfer, 3), AnswerFunction("t", POLICY.wording.unanswered)) in seen
