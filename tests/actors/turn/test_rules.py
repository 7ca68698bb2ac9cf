"""Rules, their conditions and their phases that no whole script depends on, one by one."""

import pytest

from actors.policy import describe_keys
from actors.turn.effects import (
    Aside,
    EndConversation,
    Gate,
    Listening,
    PlayClip,
    SayAsAgent,
    SpeechKind,
    TellAsCaller,
)
from actors.turn.events import (
    AgentSaid,
    CloseAsked,
    EndWanted,
    FloorGiven,
    FunctionCancelled,
    FunctionsAsked,
    KeysEntered,
    RemarkMade,
    Signal,
    VoiceEnded,
)
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from tests.actors.turn.script import (
    ASK,
    Seen,
    Step,
    caller_says,
    clip,
    effects_of,
    filler_asked,
    new_turn,
    on_floor,
    play,
    prepared_turn,
    reply,
)

CUT, COMING, IDLE, ABSENT = VoiceState.CUT, VoiceState.COMING, VoiceState.IDLE, VoiceState.ABSENT
OWED, HEARD = Debt.OWED, CallerState.HEARD
ENDED = CloseAsked("ended", "We have to stop here.")
REMARK = SayAsAgent(SpeechKind.REMARK, "One minute left.")
BEFORE_ENDING = [Phase.CONVERSING, Phase.HANDING_OVER, Phase.TRANSFERRING, Phase.PUTTING_THROUGH]
BEFORE_CLOSING = [*BEFORE_ENDING, Phase.ENDING]
ALWAYS = [*BEFORE_CLOSING, Phase.HUSHED, Phase.CLOSING, Phase.TAKEN_OVER]


def left_alone(seconds: float, **fields: object) -> Seen:
    """Return what is done, and when, in a call that is brought to a state by hand at second 10 and left alone."""
    turn, _ = prepared_turn(**fields)
    return play(turn, [(10.0, Signal.TIME_PASSED)], 10.0 + seconds)


# The caller, and what was taken for them


def test_a_service_that_hears_the_caller_anew_is_not_asked_to_probe() -> None:
    script: list[Step] = [
        (1, Signal.CALLER_STARTED_SPEAKING),
        (1, Signal.VOICE_BEGAN),
        (40, Signal.CALLER_STARTED_SPEAKING),
    ]

    assert play(on_floor(), script, 100) == [(100, SayAsAgent(SpeechKind.QUESTION, ASK))]


def test_speech_that_goes_on_is_no_false_start_yet() -> None:
    script: list[Step] = [*reply(1, sent=0.5, played=9), (3, Signal.CALLER_STARTED_SPEAKING), (3, Signal.VOICE_BEGAN)]
    script += [(5, Signal.CALLER_STARTED_SPEAKING), (5, VoiceEnded(4.9))]

    assert play(on_floor(), script, 7.5) == [(3, Aside.CUT), (7.4, Aside.RESUME)]


def test_a_reply_that_was_cut_stays_aside_while_the_caller_speaks() -> None:
    script: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("Long.")),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (4, Signal.VOICE_BEGAN),
    ]

    assert play(on_floor(), [*script, (9, VoiceEnded(9))], 10) == [(4, Aside.CUT)]


def test_what_is_left_of_a_withdrawn_goodbye_is_forgotten_if_nobody_speaks() -> None:
    script: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("Bye!")),
        (3.2, EndWanted("e", "")),
        (4, FunctionCancelled("e")),
    ]
    turn = on_floor()

    assert play(turn, script, 6) == [(4, Aside.CUT), (4, Aside.FORGET)]
    gates = [turn.gate]
    play(turn, [], 6.6)
    assert [*gates, turn.gate] == [Gate.SHUT, Gate.OPEN]


def test_what_an_instruction_has_cut_is_never_heard_again() -> None:
    turn = on_floor()

    got = play(
        turn, [*reply(1, sent=3, played=3)[:2], (2, KeysEntered("1")), (2.1, Signal.CALLER_STARTED_SPEAKING)], 2.2
    )

    assert effects_of(got)[1:] == [Aside.CUT, Aside.FORGET]
    gates = [turn.gate]
    play(turn, [], 2.6)
    assert [*gates, turn.gate] == [Gate.SHUT, Gate.OPEN]  # for the answer, whether the words are echoed or not


@pytest.mark.parametrize("phase", BEFORE_CLOSING)
def test_nothing_follows_speech_in_any_phase(phase: Phase) -> None:
    turn, state = prepared_turn(phase=phase, caller=HEARD, sounding=True)

    play(turn, [(10.0, Signal.TIME_PASSED)], 15.1)

    assert state.caller is CallerState.QUIET


@pytest.mark.parametrize("phase", BEFORE_CLOSING)
def test_nothing_follows_a_cut_in_any_phase(phase: Phase) -> None:
    turn, state = prepared_turn(phase=phase, voice=CUT, sounding=True, aside=SpeechKind.FILLER)

    assert Aside.FORGET in effects_of(play(turn, [(10.0, Signal.TIME_PASSED)], 12.6))
    assert state.voice is IDLE


# The agent


@pytest.mark.parametrize("phase", ALWAYS)
def test_a_reply_without_its_end_is_over_in_any_phase(phase: Phase) -> None:
    turn, state = prepared_turn(phase=phase, voice=COMING)

    play(turn, [(10.0, Signal.TIME_PASSED)], 11.6)

    assert state.voice is IDLE


def test_words_whose_audio_never_comes_are_waited_for_no_longer() -> None:
    turn = on_floor()

    play(turn, [(3, AgentSaid("Hello."))], 7.1)

    assert turn.voice is IDLE


@pytest.mark.parametrize("phase", ALWAYS)
def test_an_echo_is_waited_for_no_longer_in_any_phase(phase: Phase) -> None:
    turn, state = prepared_turn(phase=phase, told="1", sounding=True)

    play(turn, [(10.0, Signal.TIME_PASSED)], 14.1)

    assert state.session.told == ""


@pytest.mark.parametrize(
    "phase", [Phase.CONVERSING, Phase.HANDING_OVER, Phase.PUTTING_THROUGH, Phase.ENDING, Phase.TAKEN_OVER]
)
def test_an_injection_is_waited_for_no_longer(phase: Phase) -> None:
    turn, state = prepared_turn(phase=phase, outstanding=REMARK, sounding=True)

    play(turn, [(10.0, Signal.TIME_PASSED)], 14.1)

    assert state.session.outstanding is None


# Silences


def test_a_filler_waits_for_what_is_outstanding() -> None:
    script: list[Step] = [(5, RemarkMade("One minute left.")), (5.5, FunctionsAsked(("f",)))]

    assert play(on_floor(), script, 9.2) == [(5, REMARK), (9, filler_asked(silence=3.5))]


def test_a_filler_that_is_refused_is_not_asked_for_again_in_the_same_silence() -> None:
    assert play(on_floor(), [*caller_says(1), (5.1, Signal.SAY_REFUSED)], 6) == [(5, filler_asked()), (6, clip())]


def test_no_clip_is_played_into_the_callers_speech() -> None:
    script: list[Step] = [*caller_says(1), (5.5, Signal.CALLER_STARTED_SPEAKING), (5.5, Signal.VOICE_BEGAN)]

    assert play(on_floor(), script, 8) == [(5, filler_asked())]


@pytest.mark.parametrize("phase", BEFORE_CLOSING)
def test_a_silence_is_filled_by_a_clip_in_any_phase(phase: Phase) -> None:
    fields = {"phase": phase, "debt": OWED, "outstanding": SayAsAgent(SpeechKind.TRANSFER, "x")}
    turn, state = prepared_turn(**fields)
    state.at.phase = 13.0
    state.at.quiet = 9.0

    assert (13.5, PlayClip(4.0)) in play(turn, [(10.0, Signal.TIME_PASSED)], 13.6)


def test_a_vacancy_in_which_the_caller_waits_is_filled_for_them() -> None:
    script: list[Step] = [(8, FunctionsAsked(("f",))), (8.5, Signal.FLOOR_VACATED)]

    assert play(on_floor(), script, 12) == [(12, clip())]


def test_a_vacancy_behind_words_that_were_spoken_to_the_lost_session_is_filled_in_time() -> None:
    script: list[Step] = [*reply(2), (6, Signal.CALLER_STARTED_SPEAKING), (7.9, Signal.FLOOR_VACATED)]

    assert play(on_floor(), script, 9) == [(8, clip())]


# The end


@pytest.mark.parametrize("phase", [*BEFORE_CLOSING, Phase.TAKEN_OVER])
def test_a_call_that_needs_no_last_words_ends_in_any_phase(phase: Phase) -> None:
    turn, _ = prepared_turn(phase=phase)

    assert turn.on(CloseAsked("machine"), 10.0) == [EndConversation("machine", "", heard=False)]


@pytest.mark.parametrize("phase", BEFORE_CLOSING)
def test_a_message_waits_for_the_beep_in_any_phase(phase: Phase) -> None:
    turn, _ = prepared_turn(phase=phase)

    assert turn.on(CloseAsked("voicemail_left", "x", waits_for_beep=True), 10.0) == [Listening.HOLD_TAPE]
    assert turn.phase is Phase.HUSHED


@pytest.mark.parametrize("phase", [*BEFORE_ENDING, Phase.CLOSING, Phase.TAKEN_OVER])
def test_a_call_that_cannot_say_its_last_words_has_the_line_say_them(phase: Phase) -> None:
    fields = {"phase": phase, "closing": ENDED, "voice": ABSENT, "debt": OWED, "transfer": "t", "sounding": True}

    assert (15.0, EndConversation("ended", unsaid=ENDED.sentence)) in left_alone(5.1, **fields)


def test_a_goodbye_that_does_not_end_is_cut_short_where_the_call_is_to_close() -> None:
    seen = left_alone(20, phase=Phase.ENDING, closing=ENDED, sounding=True)

    assert seen == [(27.0, EndConversation("ended", unsaid=ENDED.sentence))]


def test_a_closing_waits_for_a_session() -> None:
    script: list[Step] = [(1, Signal.FLOOR_VACATED), (1.5, CloseAsked("ended", "Stop.")), (4.5, FloorGiven(owes=False))]
    clips_end: list[Step] = [(4.1, Signal.PLAYED)]

    assert play(on_floor(), script + clips_end, 4.5) == [
        (4.0, clip()),
        (4.5, Listening.HOLD_TAPE),
        (4.5, SayAsAgent(SpeechKind.CLOSING, "Stop.")),
    ]


def test_a_last_sentence_that_is_lost_half_said_is_said_again() -> None:
    script: list[Step] = [
        (1, CloseAsked("ended", "Stop.")),
        (1.5, Signal.AUDIO_BEGAN),
        (1.6, AgentSaid("Stop.")),
        (1.8, Signal.FLOOR_VACATED),
        (2.0, Signal.PLAYED),
        (3, FloorGiven(owes=False)),
        *reply(3.5, "Stop."),
    ]

    assert play(on_floor(), script, 9)[-1] == (5.5, EndConversation("ended", "", heard=True))


@pytest.mark.parametrize("others", [[], [(3.0, FloorGiven(owes=False))]], ids=["none", "another"])
def test_a_session_lost_behind_its_last_sentence_leaves_nothing_to_say(others: list[Step]) -> None:
    turn = on_floor()
    play(
        turn,
        [(1, CloseAsked("ended", "Stop.")), *reply(1.5, "Stop.", sent=0.3, played=9)[:3], (2, Signal.FLOOR_VACATED)],
    )
    assert turn.is_ending

    seen = play(turn, [*others, (9, Signal.PLAYED)])

    ended = (9, EndConversation("ended", "", heard=True))
    assert seen == [*((at, Listening.HOLD_TAPE) for at, _ in others), ended]


def test_speech_that_the_service_has_heard_before_keeps_no_last_sentence_from_its_end() -> None:
    script: list[Step] = [
        (1, Signal.VOICE_BEGAN),
        (1.1, CloseAsked("ended", "Stop.")),
        (3.7, Signal.CALLER_STARTED_SPEAKING),
        *reply(4, "Stop."),
    ]

    assert play(on_floor(), script, 9)[-1] == (8, EndConversation("ended", heard=True))
    assert play(on_floor(), [*script, (7, VoiceEnded(7))], 9)[-1] == (7, EndConversation("ended", heard=True))


def test_a_last_message_of_two_sentences_is_heard_to_the_second() -> None:
    script: list[Step] = [
        (1, CloseAsked("ended", "We stop. Goodbye.")),
        *reply(1.5, "We stop.", sent=0.5, played=1.0),
        *reply(3.2, "Goodbye.", sent=0.5, played=1.0),
    ]

    assert play(on_floor(), script, 9)[-1] == (4.2, EndConversation("ended", "", heard=True))


def test_a_goodbye_that_pauses_is_heard_to_its_end() -> None:
    script: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("Good")),
        (3.2, EndWanted("e", "done")),
        (3.5, Signal.PLAYED),
        (4.8, Signal.AUDIO_BEGAN),
        (5.0, Signal.AUDIO_DONE),
        (5.5, Signal.PLAYED),
    ]

    assert play(on_floor(), script, 9) == [(6.0, EndConversation("completed", "done", heard=True))]


def test_a_long_goodbye_is_heard_to_its_end() -> None:
    script: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("So…")),
        (3.2, EndWanted("e", "done")),
        (30, Signal.AUDIO_DONE),
    ]

    assert play(on_floor(), [*script, (31, Signal.PLAYED)], 35) == [
        (31, EndConversation("completed", "done", heard=True))
    ]


@pytest.mark.parametrize(("heard_at", "closes"), [(0.5, True), (40.0, False)], ids=["silent", "making a sound"])
def test_a_service_that_refuses_every_question_is_not_asked_for_ever(heard_at: float, closes: bool) -> None:
    refused: list[Step] = [(at, Signal.SAY_REFUSED) for at in (11.1, 21.1, 31.1, 41.1, 51.1)]
    sound: list[Step] = [(heard_at, Signal.VOICE_BEGAN), (heard_at + 0.3, VoiceEnded(heard_at + 0.2))]

    got = play(on_floor(), sorted([(1, Signal.AUDIO_DONE), *refused, *sound], key=lambda step: step[0]), 70)

    assert (Listening.HOLD_TAPE in effects_of(got)) is closes


# Keys, remarks, reminders


def test_a_key_for_a_person_waits_for_the_opening() -> None:
    script: list[Step] = [(0, FloorGiven(owes=True)), (0.5, KeysEntered("0", wants_person=True)), *reply(1, "Hello.")]

    assert play(new_turn(), script, 3)[0][0] == 3


def test_a_key_for_a_person_waits_for_a_session() -> None:
    script: list[Step] = [
        (1, Signal.FLOOR_VACATED),
        (1.2, KeysEntered("0", wants_person=True)),
        (3, FloorGiven(owes=False)),
    ]

    assert play(on_floor(), script, 3)[0][0] == 3


@pytest.mark.parametrize(("second", "wants_person", "is_wish"), [("0", True, True), ("5", False, False)])
def test_a_key_for_a_person_that_is_pressed_again_meanwhile_is_the_same_wish(
    second: str, wants_person: bool, is_wish: bool
) -> None:
    keys: list[Step] = [(1.2, KeysEntered("0", wants_person=True)), (2, KeysEntered(second, wants_person=wants_person))]
    _, effect = play(on_floor(), [(1, Signal.FLOOR_VACATED), *keys, (3, FloorGiven(owes=False))], 3)[0]

    assert isinstance(effect, SayAsAgent) is is_wish


def test_a_key_for_a_person_is_told_while_a_function_runs() -> None:
    seen = left_alone(0.1, keys=("0",), wants_person=True, running={"f"}, debt=OWED)

    assert seen == [(10.0, TellAsCaller(describe_keys(("0",)), ("0",)))]


def test_no_person_is_called_when_the_call_is_to_close() -> None:
    assert left_alone(0.1, keys=("0",), wants_person=True, closing=ENDED, is_loud=True, told="x") == []


KEYS_WAIT: dict[str, dict[str, object]] = {
    "for a session": {"voice": ABSENT},
    "for what is outstanding": {"outstanding": REMARK},
    "for an echo": {"told": "x"},
}


@pytest.mark.parametrize("why", KEYS_WAIT)
def test_keys_wait(why: str) -> None:
    assert left_alone(0.1, keys=("1",), **KEYS_WAIT[why]) == []


REMARK_WAITS: dict[str, dict[str, object]] = {
    "for a session": {"voice": ABSENT},
    "for what is outstanding": {"outstanding": SayAsAgent(SpeechKind.TRANSFER, "x")},
    "for ever, in a call that is to close": {"closing": ENDED},
}


@pytest.mark.parametrize("why", REMARK_WAITS)
def test_a_remark_waits(why: str) -> None:
    remark = SayAsAgent(SpeechKind.REMARK, "x")

    seen = effects_of(left_alone(2.0, remark=remark, is_loud=True, sounding=True, **REMARK_WAITS[why]))

    assert remark not in seen


NOBODY_IS_ASKED: dict[str, dict[str, object]] = {
    "while a reply comes": {"voice": COMING},
    "while something sounds": {"sounding": True},
    "while a function runs": {"running": {"f"}},
    "while a transfer is announced": {"outstanding": SayAsAgent(SpeechKind.TRANSFER, "x")},
    "while an echo is awaited": {"told": "x"},
}


@pytest.mark.parametrize("why", NOBODY_IS_ASKED)
def test_nobody_is_asked(why: str) -> None:
    turn, state = prepared_turn(**NOBODY_IS_ASKED[why])
    state.at.turned = state.at.quiet = 0.0
    state.at.said = 9.9

    assert turn.on(Signal.TIME_PASSED, 10.0) == []


# How long a last sentence is waited for

UNSAID: dict[str, tuple[list[Step], float]] = {
    "into silence": ([], 5.0),
    "to a caller who speaks": ([(0.5, Signal.CALLER_STARTED_SPEAKING), (0.5, Signal.VOICE_BEGAN)], 6.0),
}


@pytest.mark.parametrize("how", UNSAID)
def test_a_last_sentence_that_no_agent_begins_is_left_to_the_line(how: str) -> None:
    before, at = UNSAID[how]

    assert play(on_floor(), [*before, (1, ENDED)], 30)[-1] == (at, EndConversation("ended", unsaid=ENDED.sentence))


def test_a_message_is_waited_for_from_the_beep_on() -> None:
    closing = CloseAsked("machine", "Call us back.", waits_for_beep=True)

    seen = play(on_floor(), [(1, closing), (20, Signal.BEEP_HEARD)], 60)

    assert seen[-1] == (25, EndConversation("machine", unsaid="Call us back."))


def test_a_beep_is_not_waited_for_to_end_at_once() -> None:
    message = CloseAsked("voicemail_left", "Call us back.", waits_for_beep=True)
    closings: list[Step] = [(5, CloseAsked("drained", "Goodbye.")), (9, CloseAsked("ended_by_operator"))]

    seen = play(on_floor(), [(1, message), *closings], 60)

    assert seen[-1] == (9, EndConversation("ended_by_operator"))
    assert play(on_floor(), [(1, ENDED), (2, CloseAsked("machine"))], 60)[-1][1] == EndConversation(
        "ended", unsaid=ENDED.sentence
    )


def test_a_long_last_sentence_that_has_begun_is_waited_for_as_long_as_it_takes_to_say() -> None:
    sentence = f"We have to close now. {'x' * 278}"
    script: list[Step] = [
        (1, CloseAsked("ended", sentence)),
        (1.2, Signal.AUDIO_BEGAN),
        (1.3, AgentSaid(sentence[:21])),
    ]

    assert play(on_floor(), script, 60)[-1] == (35.3, EndConversation("ended", unsaid=sentence))
