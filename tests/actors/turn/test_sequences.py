"""The ordinary sequences of a call, each as a script."""

from actors.policy import describe_keys
from actors.turn.effects import (
    AnswerFunction,
    Aside,
    EndConversation,
    EndSession,
    Gate,
    Listening,
    NoteSilence,
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
from agents.sentences import ENGLISH, Sentences
from tests.actors.turn.script import (
    ASK,
    FIRST,
    LATE_VOICE,
    POLICY,
    SECOND,
    Step,
    caller_says,
    clip,
    effects_of,
    filler,
    filler_asked,
    new_turn,
    on_floor,
    play,
    question_asked,
    reply,
    seen,
    state_of,
    without_notes,
)

PRESSED_1 = describe_keys(("1",))


def test_a_greeting_is_heard_and_then_it_is_the_callers_turn() -> None:
    turn = new_turn()
    assert play(turn, [(0, FloorGiven(owes=True)), *reply(0.5, "Hello, this is Ann.")], 5) == []
    assert (turn.debt, turn.voice, state_of(turn).is_pause) == (Debt.SETTLED, VoiceState.IDLE, True)


def test_what_is_said_for_the_switchboard_is_in_the_language_of_the_agent_on_the_floor() -> None:
    turn, spanish = on_floor(), Sentences(fillers=("Un momento.",), still_there="¿Sigue ahí?")
    moved: list[Step] = [(11, Signal.FLOOR_VACATED), (11.2, FloorGiven(owes=False, sentences=spanish))]

    got = effects_of(without_notes(play(turn, [*moved, *caller_says(22)], 28)))

    said = [each.text for each in got if isinstance(each, SayAsAgent)]
    assert said == [ASK, spanish.still_there, spanish.filler]


def test_an_agent_that_takes_a_session_over_is_told_what_to_say_first() -> None:
    turn = on_floor()
    greeting = SayAsAgent(SpeechKind.GREETING, "I am Bob.")
    script: list[Step] = [
        *caller_says(1),
        (3, FunctionsAsked(("h",))),
        (3, HandoffWanted("h")),
        (3.5, Signal.FLOOR_VACATED),
        (3.5, FloorGiven(owes=True, greeting="I am Bob.")),
        *reply(3.7, "I am Bob."),
    ]
    assert play(turn, script, 8) == [(3, Listening.HOLD_TAPE), (3.5, greeting)]
    assert (turn.debt, turn.reply.kind, turn.session.outstanding) == (Debt.SETTLED, SpeechKind.ANSWER, None)


def test_a_greeting_that_is_not_begun_is_the_end_of_its_session() -> None:
    script: list[Step] = [(1, FloorGiven(owes=True, greeting="I am Bob."))]
    seen = play(on_floor(), script, 6)
    assert EndSession("it does not say what it is asked to") in [effect for _, effect in seen]
    assert [at for at, effect in seen if isinstance(effect, EndSession)] == [5]


def test_a_greeting_that_a_noise_interrupts_goes_on() -> None:
    turn = on_floor()
    script: list[Step] = [
        (1, FloorGiven(owes=True, greeting="I am Bob.")),
        (1.1, Signal.AUDIO_BEGAN),
        (1.1, AgentSaid("I am Bob.")),
        (1.5, Signal.CALLER_STARTED_SPEAKING),
    ]
    assert (Aside.RESUME in [effect for _, effect in play(turn, script, 5)]) is True


def test_a_turn_is_answered() -> None:
    turn = on_floor()
    assert play(turn, [*caller_says(1), (2.6, Signal.THINKING_BEGAN), *reply(3.4)], 8) == []
    assert turn.debt is Debt.SETTLED


def test_a_barge_in_cuts_the_reply_once_and_is_answered() -> None:
    turn = on_floor()
    script: list[Step] = [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3.02, AgentSaid("A long reply."))]
    script += [
        (3.5, Signal.CALLER_STARTED_SPEAKING),
        (3.5, Signal.VOICE_BEGAN),
        (3.5, Signal.AUDIO_DONE),
        (3.52, Signal.AUDIO_BEGAN),
        (3.6, AgentSaid("Late.")),
    ]
    script += [(4.0, VoiceEnded(4.0)), (4.1, Signal.CALLER_STARTED_SPEAKING), (4.5, CallerSaid("Wait"))]
    assert play(turn, script, 4.6) == [(3.5, Aside.CUT), (4.5, Aside.FORGET)]
    assert (turn.gate, turn.debt) == (Gate.OPEN, Debt.OWED)
    assert play(turn, reply(5.2), 8) == []
    assert turn.debt is Debt.SETTLED


def test_late_audio_of_a_cut_reply_is_set_aside_until_the_turn_is_known() -> None:
    turn = on_floor()
    play(turn, [(1, Signal.AUDIO_BEGAN), (1.1, AgentSaid("Well")), (1.5, Signal.CALLER_STARTED_SPEAKING)])
    assert state_of(turn).gate is Gate.ASIDE
    play(turn, [(1.52, Signal.AUDIO_BEGAN), (1.6, AgentSaid("Late"))])
    assert (turn.gate, turn.caller) == (Gate.ASIDE, CallerState.HEARD)
    play(turn, [(2, Signal.THINKING_BEGAN)])
    assert state_of(turn).gate is Gate.OPEN


def test_a_function_is_bridged_by_a_filler_and_answered() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (2.8, FunctionsAsked(("f",))),
        *filler(5.3),
        (8.5, FunctionDone("f")),
        *reply(9.2),
    ]
    assert play(turn, script, 15) == [(5, filler_asked()), (5.3, NoteSilence(3.3))]


def test_a_handoff_holds_the_tape_and_fills_the_wait_with_clips() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (3, FunctionsAsked(("h",))),
        (3, HandoffWanted("h")),
        (7.5, Signal.PLAYED),
        (9, FloorGiven(owes=True)),
        *reply(9.5),
    ]
    assert play(turn, script, 13) == [(3, Listening.HOLD_TAPE), (6, clip())]
    assert (turn.phase, turn.debt) == (Phase.CONVERSING, Debt.SETTLED)


def test_during_a_handoff_the_old_agent_is_not_heard_and_what_plays_plays_out() -> None:
    turn = on_floor()
    script: list[Step] = [
        (1, Signal.AUDIO_BEGAN),
        (1.1, AgentSaid("Moving on.")),
        (1.2, HandoffWanted("h")),
        (1.3, Signal.AUDIO_BEGAN),
        (1.4, Signal.CALLER_STARTED_SPEAKING),
    ]
    assert play(turn, script) == [(1.2, Listening.HOLD_TAPE)]
    assert (turn.gate, turn.sounding) == (Gate.SHUT, True)


def test_a_refused_handoff_gives_the_floor_back() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (3, HandoffWanted("h")),
        (3.2, HandoffWanted("i")),
        (4, FunctionCancelled("h")),
        (4, FunctionDone("h")),
    ]
    assert play(turn, script + reply(4.8), 10) == [
        (3, Listening.HOLD_TAPE),
        (3.2, AnswerFunction("i", POLICY.wording.refused)),
        (4, Listening.FREE_TAPE),
    ]
    assert (turn.phase, turn.voice, turn.debt) == (Phase.CONVERSING, VoiceState.IDLE, Debt.SETTLED)


def test_a_withdrawn_handoff_gives_the_floor_back() -> None:
    turn = on_floor()
    assert play(turn, [(3, HandoffWanted("h")), (4, FunctionCancelled("h"))]) == [
        (3, Listening.HOLD_TAPE),
        (4, Listening.FREE_TAPE),
    ]


def test_a_goodbye_is_heard_to_its_end_and_a_breath_longer() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (3, FunctionsAsked(("e",))),
        (3.1, Signal.AUDIO_BEGAN),
        (3.2, AgentSaid("Bye!")),
        (3.3, EndWanted("e", "done")),
        (3.5, Signal.AUDIO_DONE),
        (5, Signal.PLAYED),
    ]
    assert play(turn, script, 9) == [(5 + LATE_VOICE, EndConversation("completed", "done", heard=True))]
    assert turn.on(CallerSaid("hello?"), 9.0) == []


def test_an_agent_that_ends_without_a_word_is_asked_for_a_goodbye() -> None:
    turn = on_floor()
    script: list[Step] = [*caller_says(1), (3, EndWanted("e", "done")), *reply(4, "Goodbye.")]
    assert play(turn, script, 9) == [
        (3, AnswerFunction("e", POLICY.wording.ask_goodbye)),
        (6 + LATE_VOICE, EndConversation("completed", "done", heard=True)),
    ]


def test_a_goodbye_that_never_comes_is_filled_and_ends_the_call() -> None:
    turn = on_floor()
    script: list[Step] = [*caller_says(1), (3, EndWanted("e", "done")), (7.2, Signal.PLAYED), (12.4, Signal.PLAYED)]
    assert play(turn, script, 30) == [
        (3, AnswerFunction("e", POLICY.wording.ask_goodbye)),
        (6, clip()),
        (11.2, clip()),
        (13, EndConversation("completed", "done", unsaid=ENGLISH.farewell)),
    ]


def test_a_caller_who_is_silent_is_asked_twice_and_then_said_goodbye_to() -> None:
    turn = on_floor()
    ask = ASK
    script = reply(1) + reply(13.5, ask) + reply(26, ask) + reply(38.5, ENGLISH.silent_goodbye)
    assert play(turn, script, 45) == [
        (13, question_asked()),
        (25.5, question_asked()),
        (38.0, Listening.HOLD_TAPE),
        (38.0, SayAsAgent(SpeechKind.CLOSING, ENGLISH.silent_goodbye)),
        (40.5 + LATE_VOICE, EndConversation("caller_silent", "", heard=True)),
    ]


def test_a_word_begins_the_count_of_questions_anew() -> None:
    turn = on_floor()
    play(turn, reply(1) + reply(13.5, ASK) + caller_says(20, "Yes") + reply(22), 24)
    assert turn.times_asked == 0


def test_nobody_is_asked_while_they_type() -> None:
    turn = on_floor()
    assert play(turn, [(9.5, Signal.KEY_PRESSED), (11, Signal.KEY_PRESSED)], 13.4) == []


def test_nobody_is_asked_into_their_first_word() -> None:
    assert seen((9.9, Signal.VOICE_BEGAN), (10.1, Signal.CALLER_STARTED_SPEAKING), until=11) == []
    assert seen((9.9, Signal.VOICE_BEGAN), until=11) == [(10.3, question_asked(10.3))]  # a noise


def test_a_caller_who_has_asked_for_time_is_asked_later() -> None:
    script: list[Step] = [(1, CallerSaid("Hold on.", asks_for_time=True)), *reply(2, "Of course.", played=1)]

    got = seen(*script, *reply(63.5, ASK, played=1), until=75)

    assert got == [(63, question_asked(60.0)), (74.5, question_asked())]


def test_an_agent_that_does_not_say_the_question_is_restarted() -> None:
    assert play(on_floor(), [], 14) == [
        (10, question_asked()),
        (14, EndSession("it does not say what it is asked to")),
        (14, clip()),
    ]


def test_an_agent_that_is_there_is_asked_for_the_question_once_more() -> None:
    there: list[Step] = [(at, Signal.SERVICE_THERE) for at in (13.9, 17.9)]

    assert without_notes(play(on_floor(), there, 18)) == [
        (10, question_asked()),
        (14, question_asked(14.0)),
        (18, EndSession("it does not say what it is asked to")),
        (18, clip()),
    ]


def test_keys_are_told_and_answered() -> None:
    turn = on_floor()
    script: list[Step] = [
        (3, Signal.KEY_PRESSED),
        (5.5, KeysEntered("1")),
        (5.6, Signal.CALLER_STARTED_SPEAKING),
        (5.7, CallerSaid(PRESSED_1)),
        *reply(6.5),
    ]
    assert play(turn, script, 10) == [(5.5, TellAsCaller(PRESSED_1, ("1",)))]
    assert (turn.caller, turn.debt) == (CallerState.QUIET, Debt.SETTLED)


def test_keys_wait_for_the_opening_and_for_the_next_agent() -> None:
    turn = new_turn()
    script: list[Step] = [(0, KeysEntered("1")), (1, FloorGiven(owes=True)), *reply(1.5)]
    assert play(turn, script, 3.6) == [(3.5, TellAsCaller(PRESSED_1, ("1",)))]


def test_a_key_for_a_person_puts_the_caller_through() -> None:
    turn = on_floor()
    script: list[Step] = [
        (3, KeysEntered("0", wants_person=True)),
        *reply(3.4, ENGLISH.putting_through),
        (8, PutThroughFailed("nobody")),
    ]
    assert play(turn, script, 8.3) == [
        (3, SayAsAgent(SpeechKind.TRANSFER, ENGLISH.putting_through)),
        (5.4 + LATE_VOICE, PutThrough("")),
        (8, TellAsCaller(f"{describe_keys(('0',))} nobody", ("0",))),
    ]


def test_a_mute_service_does_not_keep_the_caller_from_the_person() -> None:
    assert play(on_floor(), [(3, KeysEntered("0", wants_person=True))], 6) == [
        (3, SayAsAgent(SpeechKind.TRANSFER, ENGLISH.putting_through)),
        (5, PutThrough("")),
    ]


def test_a_transfer_waits_for_its_sentence() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("Putting you through.")),
        (3.2, TransferWanted("t")),
        (3.3, Signal.CALLER_STARTED_SPEAKING),
        (3.5, Signal.AUDIO_DONE),
        (5, Signal.PLAYED),
    ]
    assert play(turn, script, 8) == [(7.3, PutThrough("t"))]
    assert play(turn, [(10, PutThroughFailed("no")), (10, FunctionDone("t"))]) == [(9.0, clip())]


def test_a_restart_asks_the_turn_again_and_its_echo_is_no_turn() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (3, Signal.FLOOR_VACATED),
        (4, FloorGiven(owes=True, ask="When can you come?")),
    ]
    script += [
        (4.1, Signal.CALLER_STARTED_SPEAKING),
        (4.2, CallerSaid("When can you come?")),
        (4.3, Signal.CALLER_STARTED_SPEAKING),
        *reply(5),
    ]
    assert play(turn, script, 9) == [(4, TellAsCaller("When can you come?"))]
    assert turn.debt is Debt.SETTLED


def test_a_vacancy_is_filled_with_clips() -> None:
    turn = on_floor()
    script: list[Step] = [*caller_says(1), (2.6, Signal.FLOOR_VACATED), (7.5, Signal.PLAYED)]
    assert play(turn, script, 12) == [(6, clip()), (11.5, clip())]


def test_a_short_vacancy_in_the_callers_turn_is_not_filled() -> None:
    turn = on_floor()
    assert play(turn, [*reply(1), (8, Signal.FLOOR_VACATED), (8.7, FloorGiven(owes=False))], 10) == []


def test_a_silent_service_is_filled_by_a_clip_and_restarted() -> None:
    turn = on_floor()
    assert play(turn, [*caller_says(1), (7.5, Signal.PLAYED)], 11) == [
        (5, filler_asked(FIRST)),
        (6, clip()),
        (10.5, EndSession("it gives no sign of life")),
    ]


def test_a_service_that_is_there_may_ignore_one_filler() -> None:
    there: list[Step] = [(7.5, Signal.PLAYED), (10.4, Signal.SERVICE_THERE), (13, Signal.PLAYED)]
    got = play(on_floor(), [*caller_says(1), *there, (15.9, Signal.SERVICE_THERE)], 16)

    assert got == [
        (5, filler_asked(FIRST)),
        (6, clip()),
        (10.5, filler_asked(SECOND)),
        (11.5, clip()),
        (16, EndSession("it gives no sign of life")),
    ]


def test_a_filler_that_comes_after_the_answer_is_dropped() -> None:
    turn = on_floor()
    script: list[Step] = [
        *caller_says(1),
        (5.6, Signal.AUDIO_BEGAN),
        (5.7, AgentSaid("On Tuesday.")),
        (6, Signal.AUDIO_DONE),
        (7, Signal.PLAYED),
        (7.1, AgentSaid(FIRST)),
    ]
    assert without_notes(play(turn, script)) == [(5, filler_asked())]
    assert state_of(turn).gate is Gate.SHUT
    play(turn, [(7.4, Signal.AUDIO_DONE)])
    assert state_of(turn).gate is Gate.OPEN


def test_an_operators_closing_waits_for_a_pause_and_is_heard() -> None:
    turn = on_floor()
    script: list[Step] = [
        (1, Signal.AUDIO_BEGAN),
        (1.1, AgentSaid("So…")),
        (2, CloseAsked("ended", "We must stop.")),
        (2.2, Signal.AUDIO_DONE),
        (3, Signal.PLAYED),
        *reply(3.5, "We must stop."),
    ]
    assert play(turn, script, 7) == [
        (3, Listening.HOLD_TAPE),
        (3, SayAsAgent(SpeechKind.CLOSING, "We must stop.")),
        (5.5, EndConversation("ended", "", heard=True)),
    ]


def test_a_closing_that_is_refused_all_the_same_is_said_by_the_line() -> None:
    turn = on_floor()
    script: list[Step] = [
        (2, Signal.CALLER_STARTED_SPEAKING),
        (2, Signal.VOICE_BEGAN),
        (2, CloseAsked("ended", "Stop.")),
        (4.6, Signal.SAY_REFUSED),
    ]
    got = play(turn, script, 9)
    assert got[:2] == [(4.5, Listening.HOLD_TAPE), (4.5, SayAsAgent(SpeechKind.CLOSING, "Stop."))]
    assert got[-1] == (
        7,
        EndConversation("ended", unsaid="Stop."),
    )


def test_a_closing_without_words_ends_the_call_at_once() -> None:
    assert play(on_floor(), [(1, CloseAsked("machine", ""))]) == [(1, EndConversation("machine", "", heard=False))]


def test_a_message_for_a_machine_waits_for_the_beep() -> None:
    turn = on_floor()
    script: list[Step] = [
        (1, Signal.AUDIO_BEGAN),
        (1.1, AgentSaid("Hi")),
        (2, CloseAsked("voicemail_left", "Call us.", True)),
        (3, Signal.AUDIO_BEGAN),
        (9, Signal.BEEP_HEARD),
        *reply(9.4, "Call us."),
    ]
    assert play(turn, script, 13) == [
        (2, Listening.HOLD_TAPE),
        (2, Aside.CUT),
        (2, Aside.FORGET),
        (9, SayAsAgent(SpeechKind.CLOSING, "Call us.")),
        (11.4, EndConversation("voicemail_left", "", heard=True)),
    ]


def test_a_session_lost_in_its_last_sentence_leaves_it_to_the_next() -> None:
    turn = on_floor()
    script: list[Step] = [
        (1, CloseAsked("ended", "Stop.")),
        (1.5, Signal.FLOOR_VACATED),
        (2.5, FloorGiven(owes=False)),
        *reply(3, "Stop."),
    ]
    assert [e for _, e in play(turn, script, 7)] == [
        Listening.HOLD_TAPE,
        SayAsAgent(SpeechKind.CLOSING, "Stop."),
        Listening.HOLD_TAPE,
        SayAsAgent(SpeechKind.CLOSING, "Stop."),
        EndConversation("ended", "", heard=True),
    ]


def test_an_old_session_is_renewed_in_a_pause() -> None:
    turn = on_floor()
    assert play(turn, [*caller_says(1), (2, Signal.SESSION_AGED), *reply(3.4)], 6) == [(5.4, EndSession())]


def test_a_remark_waits_for_a_pause() -> None:
    turn = on_floor()
    assert play(turn, [*caller_says(1), (2, RemarkMade("One minute left.")), *reply(3.4)], 6) == [
        (5.4, SayAsAgent(SpeechKind.REMARK, "One minute left."))
    ]


def test_a_second_turn_restarts_the_silence_and_not_the_patience() -> None:
    turn = on_floor()
    play(turn, caller_says(1) + caller_says(4, "Hello?"))
    assert (state_of(turn).at.owed, state_of(turn).at.waiting) == (5.0, 2.5)


def test_a_beep_that_never_comes_is_waited_for_no_longer() -> None:
    assert play(on_floor(), [(1, CloseAsked("voicemail_left", "Call us.", True))], 62)[1] == (
        61,
        SayAsAgent(SpeechKind.CLOSING, "Call us."),
    )


def test_an_echo_that_never_comes_is_waited_for_no_longer() -> None:
    turn = on_floor()
    play(turn, [(1, KeysEntered("1"))], 6)
    assert state_of(turn).session.told == ""


def test_a_long_vacancy_in_the_callers_turn_is_filled() -> None:
    assert play(on_floor(), [*reply(1), (8, Signal.FLOOR_VACATED)], 9.5) == [(9, clip(silence=6.0))]


def test_a_line_that_never_answers_a_transfer_is_waited_for_no_longer() -> None:
    turn = on_floor()
    got = play(
        turn,
        [
            (3, KeysEntered("0", wants_person=True)),
            (6, Signal.FLOOR_VACATED),
            (7, FloorGiven(owes=False)),
            *reply(7.5, "Hello."),
        ],
        15.1,
    )
    assert got[:2] == [
        (3, SayAsAgent(SpeechKind.TRANSFER, ENGLISH.putting_through)),
        (5, PutThrough("")),
    ]
    assert (turn.phase, got[-1]) == (
        Phase.CONVERSING,
        (14, TellAsCaller(f"{describe_keys(('0',))} {POLICY.wording.unanswered}", ("0",))),
    )


def test_an_operators_restart_is_done_while_the_agent_talks_with_the_caller() -> None:
    renewed = EndSession()
    talking = [*reply(1, "Goodbye.", played=5), (2, Signal.RESTART_WANTED)]
    ending = [*talking[:-1], (1.6, EndWanted("e", "done")), (2, Signal.RESTART_WANTED)]

    assert (2, renewed) in play(on_floor(), talking, 2.1)
    assert (2, renewed) not in play(on_floor(), ending, 2.1)
