"""What single branches, conditions and statements are for: each script fails without one of them."""

import math

import pytest

from actors.policy import describe_keys
from actors.turn.effects import (
    AnswerFunction,
    EndConversation,
    Gate,
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
    RemarkMade,
    Signal,
    VoiceEnded,
)
from actors.turn.parts import NEVER
from actors.turn.state import Debt, Phase, VoiceState
from agents.sentences import ENGLISH
from tests.actors.turn.script import (
    ASK,
    GOODBYE,
    POLICY,
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
    reply,
    seen,
)

REMARK = SayAsAgent(SpeechKind.REMARK, "Soon.")
SPOKEN: list[Step] = [(1, Signal.CALLER_STARTED_SPEAKING), (1, Signal.VOICE_BEGAN), (2, VoiceEnded(2))]
ENDED: list[Step] = [(5, FunctionsAsked(("end",))), (5, EndWanted("end", "done"))]


# What the driver and the session ask


@pytest.mark.parametrize(
    ("voice", "sounding", "began", "phase", "is_news"),
    [
        (VoiceState.IDLE, True, 9.0, Phase.CONVERSING, True),
        (VoiceState.COMING, True, 9.0, Phase.CONVERSING, False),
        (VoiceState.COMING, False, 9.0, Phase.CONVERSING, True),
        (VoiceState.COMING, True, NEVER, Phase.CONVERSING, True),
        (VoiceState.IDLE, False, NEVER, Phase.HUSHED, False),
    ],
    ids=["behind another reply", "it goes on", "it was starved", "its words came first", "nobody is to hear it"],
)
def test_audio_is_news_where_it_begins(
    voice: VoiceState, sounding: bool, began: float, phase: Phase, is_news: bool
) -> None:
    turn = on_floor()
    turn.voice, turn.sounding, turn.reply.began, turn.phase = voice, sounding, began, phase

    assert turn.is_audio_news is is_news


def test_a_call_that_is_over_needs_no_session() -> None:
    turn = on_floor()

    play(turn, [*GOODBYE, (5, Signal.PLAYED)], 9)

    assert (turn.phase, turn.is_ending) == (Phase.OVER, True)


def test_a_remark_is_awaited_by_its_own_id() -> None:
    turn = on_floor()

    play(turn, [(1, RemarkMade("Soon.", id="a"))])

    assert (turn.awaits_remark("a"), turn.awaits_remark("b")) == (True, False)


def test_nothing_is_neither_an_echo_nor_a_repetition() -> None:
    turn = on_floor()

    assert not turn.echoes("")
    assert not turn.repeats("")


# What the caller says


def test_other_words_than_those_that_were_told_are_a_turn() -> None:
    turn = on_floor()

    play(turn, [(1, KeysEntered("5")), (1.5, CallerSaid("When can you come?"))])

    assert (turn.last_turn, turn.session.told) == ("When can you come?", describe_keys(("5",)))


def test_what_was_asked_for_does_not_answer_words_whose_transcript_is_late() -> None:
    turn = on_floor()

    play(turn, [(0.5, RemarkMade("Soon.")), *SPOKEN, (2.2, Signal.AUDIO_BEGAN), (2.3, CallerSaid("And then?"))])

    assert turn.debt is Debt.OWED


def test_a_goodbye_upon_words_whose_transcript_is_late_is_said() -> None:
    late: list[Step] = [*SPOKEN, (2.2, Signal.AUDIO_BEGAN), (2.3, AgentSaid("Goodbye!")), (3, CallerSaid("Thanks."))]

    assert AnswerFunction("end", POLICY.wording.ask_goodbye) not in effects_of(seen(*late, *ENDED, until=6))


def test_a_noise_that_is_over_before_it_is_told_lengthens_no_silence() -> None:
    assert seen(*caller_says(1), (4.5, VoiceEnded(4)), until=5) == [(5, filler_asked())]


def test_a_noise_does_not_unsay_a_word_that_no_session_has_read() -> None:
    """Nor does the loss of the session that was to read it."""
    word: list[Step] = [(1, Signal.FLOOR_VACATED), (1.2, Signal.VOICE_BEGAN), (2, VoiceEnded(2))]
    noise: list[Step] = [(2.2, Signal.VOICE_BEGAN), (2.3, VoiceEnded(2.3))]

    got = seen(*word, *noise, (2.5, FloorGiven(owes=False)), *lost(2.7), until=6)

    assert filler_asked(silence=3.0) in effects_of(got)


def test_a_word_ends_the_silence_of_a_vacancy() -> None:
    word: list[Step] = [(1, Signal.FLOOR_VACATED), (1.2, Signal.VOICE_BEGAN), (2, VoiceEnded(2))]

    assert seen(*word, until=6) == [(6, clip())]


def test_a_key_for_a_person_among_others_is_told_with_them() -> None:
    turn = new_turn()
    keys: list[Step] = [(1, KeysEntered("12")), (1.5, KeysEntered("0", wants_person=True))]

    got = play(turn, [(0.5, FloorGiven(owes=True)), *reply(0.8, "Hello."), *keys], 3)

    assert [effect.keys for effect in effects_of(got) if isinstance(effect, TellAsCaller)] == [("12", "0")]


def test_a_noise_puts_off_the_goodbye_to_a_silent_caller_no_longer_than_it_lasts() -> None:
    asked: list[Step] = [(at + delay, event) for at in (10, 21) for delay, event in [*reply(0.2, ASK, played=1)]]

    got = seen(*asked, (24, Signal.VOICE_BEGAN), (24.2, VoiceEnded(24.2)), until=40)

    assert [effect.kind for effect in effects_of(got) if isinstance(effect, SayAsAgent)][2:] == [SpeechKind.CLOSING]


def test_what_a_caller_said_to_a_lost_session_is_not_answered_by_the_first_words_of_the_next() -> None:
    turn = on_floor()
    lost_start: list[Step] = [SPOKEN[0], (1.5, Signal.FLOOR_VACATED), (2, FloorGiven(owes=True))]

    play(turn, [*lost_start, *reply(2.5, "Hello."), (3, CallerSaid("When can you come?"))])

    assert turn.debt is Debt.OWED


def test_what_a_caller_said_to_an_operator_is_answered() -> None:
    turn = on_floor()
    taken: list[Step] = [(1, Signal.TAKEN_OVER), (1, Signal.FLOOR_VACATED), (1.2, Signal.VOICE_BEGAN)]

    play(turn, [*taken, (2, VoiceEnded(2)), (3, FloorGiven(owes=False))])

    assert turn.debt is Debt.SETTLED


def test_words_of_an_earlier_turn_of_the_agents_are_no_echo() -> None:
    turn = on_floor()
    asked: list[Step] = [(8, Signal.CALLER_STARTED_SPEAKING), (8.5, CallerSaid("You have Tuesday at nine, I hear?"))]

    play(turn, [*reply(1, "You have Tuesday at nine."), *caller_says(4), *reply(7, "On Friday.", played=3)[:3], *asked])

    assert turn.debt is Debt.OWED


# What the service says


def test_an_echo_of_what_it_was_asked_to_say_is_no_turn() -> None:
    turn = on_floor()
    said: list[Step] = reply(1.5, "Your call will end in a minute.", played=4)[:3]

    play(turn, [(1, RemarkMade("Your call will end in a minute.")), *said, (3, CallerSaid("your call will end in a"))])

    assert turn.debt is Debt.SETTLED


def test_the_second_sentence_of_a_remark_has_the_time_to_be_heard() -> None:
    turn = on_floor()
    said: list[Step] = [(1.2, Signal.AUDIO_BEGAN), (1.3, AgentSaid("Soon.")), (2.5, Signal.PLAYED)]

    play(turn, [(1, RemarkMade("Soon. Wait.")), *said, (3.5, AgentSaid("Wait."))], 5)

    assert turn.voice is VoiceState.COMING


def test_words_before_a_function_that_is_withdrawn_answer_nothing() -> None:
    turn = on_floor()
    function: list[Step] = [(3.2, FunctionsAsked(("f",))), (3.4, FunctionCancelled("f"))]

    play(turn, [*caller_says(1), *reply(3, "Let me see."), *function])

    assert turn.debt is Debt.OWED


@pytest.mark.parametrize(
    "asked",
    [
        [FunctionsAsked(("f",)), FunctionCancelled("f")],
        [FunctionsAsked(("f",)), HandoffWanted("f"), FunctionCancelled("f")],
        [FunctionsAsked(("f",)), FunctionDone("f")],
        [CallerSaid("And on Friday?")],
        [KeysEntered("1")],
    ],
    ids=["a function that is withdrawn", "a handoff", "a function", "a turn", "keys"],
)
def test_words_answer_nothing_that_is_asked_behind_them_in_the_same_moment(asked: list[Event]) -> None:
    turn = on_floor()
    heard: list[Step] = [(2.6, Signal.CALLER_STARTED_SPEAKING), *reply(2.7)[:1], (3, AgentSaid("Let me see."))]

    play(turn, [*caller_says(1), *heard, *((3, event) for event in asked), (3.1, Signal.AUDIO_DONE)])

    assert turn.debt is Debt.OWED


@pytest.mark.parametrize(("lag", "debt"), [(-0.5, Debt.SETTLED), (0.3, Debt.SETTLED), (0.5, Debt.OWED)])
def test_what_the_line_carries_back_may_be_heard_a_moment_behind_the_sound(lag: float, debt: Debt) -> None:
    turn = on_floor()
    heard: list[Step] = [(5 + lag, Signal.CALLER_STARTED_SPEAKING), (6, CallerSaid("we have tuesday and friday"))]

    play(turn, [*caller_says(1), *reply(3), *heard])

    assert turn.debt is debt


def test_a_handoff_that_was_withdrawn_is_over_though_its_id_comes_again() -> None:
    turn = on_floor()
    handoff: list[Step] = [(1, FunctionsAsked(("h",))), (1, HandoffWanted("h")), (2, FunctionCancelled("h"))]

    play(turn, [*handoff, (3, FunctionsAsked(("h",))), (4, FunctionCancelled("h"))])

    assert not turn.session.running


def test_an_answer_that_began_before_its_function_ended_is_whole() -> None:
    turn = on_floor()
    function: list[Step] = [(2.6, FunctionsAsked(("f",))), (3.5, FunctionDone("f"))]
    said: list[Step] = [*reply(3, "Let me see.", sent=1, played=3), (3.6, AgentSaid("On Tuesday."))]

    play(turn, [*caller_says(1), *function, *said], 6)

    assert turn.debt is Debt.SETTLED


def test_nor_is_it_another_one_where_a_noise_has_cut_it_meanwhile() -> None:
    turn = on_floor()
    function: list[Step] = [(2.6, FunctionsAsked(("f",))), (3.2, FunctionDone("f"))]
    said: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("Let me see.")), (3.6, AgentSaid("On Tuesday."))]
    noise: list[Step] = [(3.5, Signal.CALLER_STARTED_SPEAKING), (5, Signal.NOTHING_UNDERSTOOD)]

    play(turn, [*caller_says(1), *function, *said, *noise, (4.2, Signal.AUDIO_DONE)])

    assert turn.debt is Debt.SETTLED


def test_the_end_of_a_reply_that_was_resumed_is_no_answer_without_words() -> None:
    turn = on_floor()
    noise: list[Step] = [(3.2, Signal.CALLER_STARTED_SPEAKING), (4, Signal.NOTHING_UNDERSTOOD)]

    play(turn, [(3, Signal.AUDIO_BEGAN), (3.3, Signal.AUDIO_DONE), *noise, (4.5, Signal.AUDIO_DONE)])

    assert turn.at.answered < math.inf


def test_words_without_audio_that_a_noise_has_cut_answer_nothing_when_they_are_resumed() -> None:
    turn = on_floor()
    said: list[Step] = [(3, AgentSaid("On Tuesday.")), (3.1, Signal.AUDIO_DONE)]
    noise: list[Step] = [(3.2, Signal.CALLER_STARTED_SPEAKING), (5, Signal.NOTHING_UNDERSTOOD), (5, Signal.PLAYED)]

    play(turn, caller_says(1))
    turn.is_urged = True  # it is told once to go on
    play(turn, [*said, *noise])

    assert turn.debt is Debt.OWED


def test_a_refusal_of_a_filler_leaves_the_remark_that_waits() -> None:
    refused: list[Step] = [(3, RemarkMade("Soon.")), (5.1, Signal.SAY_REFUSED)]

    got = seen(*caller_says(1), *refused, *reply(5.5), until=8)

    assert (7.5, REMARK) in got


def test_a_remark_that_a_living_session_does_not_begin_is_no_reason_to_ask_the_caller() -> None:
    assert seen((1, RemarkMade("Soon.")), (4, Signal.SERVICE_THERE), until=6) == [(1, REMARK)]


def test_what_a_caller_cuts_just_after_the_service_was_told_something_is_kept() -> None:
    turn = on_floor()
    spoken: list[Step] = [(3.3, Signal.VOICE_BEGAN), (3.4, Signal.CALLER_STARTED_SPEAKING)]

    play(turn, [*reply(3, played=3)[:2], (3.2, KeysEntered("5")), *spoken], 4)

    assert turn.gate is Gate.ASIDE


# Silence


def test_a_functions_own_words_are_said_though_a_lost_session_has_left_something_unread() -> None:
    lost_turn: list[Step] = [*SPOKEN, (2.1, Signal.FLOOR_VACATED), (2.3, FloorGiven(owes=True))]

    got = seen(*lost_turn, (3, FunctionsAsked(("f",))), (3.1, RemarkMade("It is large.", for_wait=True)), until=5)

    assert got == [(5, filler_asked("It is large."))]


def test_a_function_behind_a_word_that_the_service_has_not_heard_is_waited_for() -> None:
    word: list[Step] = [(1, Signal.VOICE_BEGAN), (2, VoiceEnded(2, deaf=True))]

    assert seen(*word, (3, FunctionsAsked(("f",))), until=5) == [(5, filler_asked())]


def test_what_nobody_has_read_is_filled_once() -> None:
    word: list[Step] = [(1, Signal.FLOOR_VACATED), (1.2, Signal.VOICE_BEGAN), (2, VoiceEnded(2))]

    got = effects_of(
        seen(*word, (2.5, FloorGiven(owes=False)), (5.5, Signal.SAY_REFUSED), (7, Signal.PLAYED), until=10)
    )

    assert [effect.kind for effect in got if isinstance(effect, SayAsAgent)] == [SpeechKind.FILLER, SpeechKind.QUESTION]


def test_a_caller_who_was_asked_in_vain_hears_a_filler_while_a_function_is_at_work() -> None:
    turn, state = prepared_turn(times_asked=2)

    got = play(turn, [(10, FunctionsAsked(("f",)))], 13)

    assert got == [(13, filler_asked())]
    assert state.debt is Debt.OWED


def test_keys_are_owed_an_answer_behind_a_word_that_the_service_has_not_heard() -> None:
    word: list[Step] = [(1, Signal.VOICE_BEGAN), (2, VoiceEnded(2, deaf=True))]

    got = seen(*word, (3, KeysEntered("5")), (3.2, CallerSaid(describe_keys(("5",)))), until=5)

    assert got[1:] == [(5, filler_asked())]


# The end


def test_what_polite_words_have_torn_of_a_goodbye_is_not_owed_when_the_session_is_lost() -> None:
    turn = on_floor()
    goodbye: list[Step] = [(3.9, Signal.AUDIO_BEGAN), (3.95, AgentSaid("Goodbye!")), (4.2, EndWanted("end", "done"))]
    polite: list[Step] = [(4, Signal.CALLER_STARTED_SPEAKING), (5, CallerSaid("Thank you.", is_courtesy=True))]

    play(turn, [*goodbye, *polite, (5.2, Signal.FLOOR_VACATED)])

    assert (turn.phase, turn.is_ending) == (Phase.ENDING, True)


def test_a_goodbye_that_was_never_said_is_not_heard_though_the_end_stands() -> None:
    again: list[Step] = []
    for at in (3, 6, 9):
        again += [(at, FunctionsAsked(("e",))), (at, EndWanted("e", "done")), *caller_says(at + 1.1, length=0.5)]

    end = EndConversation("completed", "done", unsaid=ENGLISH.farewell)
    assert seen(*again, (16, Signal.PLAYED), until=40)[-1][1] == end


def test_a_goodbye_before_the_last_function_is_not_said_a_second_time_by_the_line() -> None:
    function: list[Step] = [(3.2, FunctionsAsked(("note",))), (3.3, FunctionDone("note"))]
    ends: list[Step] = [(3.5, FunctionsAsked(("e",))), (3.5, EndWanted("e", "done"))]
    played: list[Step] = [(9, Signal.PLAYED), (14, Signal.PLAYED)]

    got = seen(*reply(1, "Goodbye!", announces="end_call"), *function, *ends, *played, until=40)

    assert got[-1][1] == EndConversation("completed", "done")


def test_a_goodbye_that_is_withdrawn_was_not_said_to_who_has_spoken_before_it() -> None:
    turn = on_floor()
    spoken: list[Step] = [(2.8, Signal.CALLER_STARTED_SPEAKING), (2.8, Signal.VOICE_BEGAN), (3.2, VoiceEnded(3.2))]

    play(turn, [*spoken, *GOODBYE, (3.6, FunctionCancelled("end")), (4.2, CallerSaid("And the price?"))])

    assert not turn.has_spoken


def test_a_caller_who_speaks_as_the_call_is_to_close_has_a_moment_for_the_answer() -> None:
    got = seen(*SPOKEN, (1.5, CloseAsked("ended", "Goodbye.")), (2.4, CallerSaid("And the price?")), until=5)

    assert [at for at, effect in got if isinstance(effect, SayAsAgent)] == [4]


def test_a_call_that_closes_waits_for_the_operator_as_long_as_it_may() -> None:
    got = seen((1, Signal.TAKEN_OVER), (2, CloseAsked("ended", "Goodbye.")), until=10)

    assert got[-1] == (7, EndConversation("ended", unsaid="Goodbye."))


def test_a_message_is_not_said_where_no_session_is() -> None:
    turn = on_floor()
    message: list[Step] = [
        (1, CloseAsked("voicemail_left", "Call us.", waits_for_beep=True)),
        (2, Signal.FLOOR_VACATED),
    ]

    got = play(turn, [*message, (3, Signal.BEEP_HEARD), (3.5, FloorGiven(owes=True))], 3.5)

    assert [at for at, effect in got if isinstance(effect, SayAsAgent)] == [3.5]


def test_a_last_sentence_of_which_no_more_comes_is_heard() -> None:
    begun: list[Step] = [(1, CloseAsked("ended", "We stop here. Goodbye.")), *reply(1.5, "We stop here.")]

    assert seen(*begun, until=9)[-1] == (4.5, EndConversation("ended"))
