"""What an event leaves behind, whatever the state: words that were said, names, counts, and what was asked once."""

import pytest

from actors.policy import describe_keys
from actors.turn.effects import (
    AnswerFunction,
    Gate,
    SayAsAgent,
    SpeechKind,
)
from actors.turn.events import (
    AgentSaid,
    CallerSaid,
    CloseAsked,
    EndWanted,
    FloorGiven,
    KeysEntered,
    PutThroughFailed,
    RemarkMade,
    Signal,
    TurnToldLate,
    VoiceEnded,
)
from actors.turn.parts import LastReply
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from tests.actors.turn.script import (
    FIRST,
    POLICY,
    Step,
    caller_says,
    filler_asked,
    on_floor,
    play,
    prepared_turn,
    reply,
    seen,
    state_of,
)

PRESSED = describe_keys(("1",))
NO_GOODBYE = AnswerFunction("e", POLICY.wording.ask_goodbye)


def test_new_words_of_the_caller_leave_nothing_of_the_turn_before() -> None:
    turn, state = prepared_turn(
        promise="look_up", is_reminded=True, is_urged=True, has_asked=True, rest="x", is_unread=True, has_spoken=True
    )

    turn.on(CallerSaid("And on Friday?", asks_for_time=True), 10.0)

    assert (state.promise, state.is_reminded, state.is_urged, state.has_asked) == (None, False, False, False)
    assert (state.session.rest, state.is_unread, state.has_spoken, state.is_away) == ("", False, False, True)


def test_a_turn_that_is_told_behind_its_answer_is_the_callers_last_all_the_same() -> None:
    turn = on_floor()
    play(turn, [(1, Signal.CALLER_STARTED_SPEAKING), (2.1, Signal.AUDIO_BEGAN), (2.2, AgentSaid("On Tuesday."))])
    state = state_of(turn)
    state.times_asked = state.deaf_words = 1

    play(turn, [(3, CallerSaid(" When? ", asks_for_time=True))])

    assert isinstance(state.event, TurnToldLate)
    assert (state.last_turn, state.transcript, state.is_away) == (" When? ", "when", True)
    assert (state.times_asked, state.deaf_words) == (0, 0)


def test_what_is_said_before_keys_are_understood_is_no_goodbye_behind_them() -> None:
    turn = on_floor()
    play(turn, [(1, KeysEntered("1")), *reply(1.1, "Well.", sent=0.1, played=0.2), (1.5, CallerSaid(PRESSED))])

    assert NO_GOODBYE in turn.on(EndWanted("e", "done"), 1.6)


def test_a_caller_who_goes_on_behind_their_words_waits_since_they_stopped() -> None:
    spoken: list[Step] = [
        (1, Signal.VOICE_BEGAN), (1, Signal.CALLER_STARTED_SPEAKING), (2.5, CallerSaid("When?")),
        (3.6, VoiceEnded(3.5)),
    ]  # fmt: skip

    assert seen(*spoken, until=7) == [(6.5, filler_asked())]


def test_a_service_that_tells_late_of_a_noise_holds_nothing_up() -> None:
    turn = on_floor()
    noise: list[Step] = [(3, Signal.VOICE_BEGAN), (4.4, Signal.CALLER_STARTED_SPEAKING), (4.5, VoiceEnded(3.2))]
    play(turn, [*caller_says(1), *noise], 6.2)

    assert turn.caller is CallerState.QUIET


def test_a_turn_that_a_session_is_asked_again_is_asked_once() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), (3, Signal.FLOOR_VACATED), (3.5, FloorGiven(owes=True, ask="When can you come?"))])

    assert state_of(turn).last_turn == ""


def test_keys_and_a_failed_transfer_are_told_once() -> None:
    turn = on_floor()
    play(turn, [(1, Signal.PERSON_WANTED), (4, KeysEntered("7")), (4.5, PutThroughFailed("nobody"))], 4.6)
    state = state_of(turn)

    assert (state.keys, state.why_no_person, state.last_turn) == ((), "", "")


@pytest.mark.parametrize("then", [PutThroughFailed("nobody"), CallerSaid("Wait.")], ids=["failed", "taken back"])
def test_a_function_that_was_answered_waits_for_no_person(then: PutThroughFailed | CallerSaid) -> None:
    phase = Phase.PUTTING_THROUGH if isinstance(then, PutThroughFailed) else Phase.TRANSFERRING
    turn, state = prepared_turn(phase=phase, transfer="t", wish="t")

    turn.on(then, 10.1)

    assert (state.phase, state.session.transfer) == (Phase.CONVERSING, "")


def test_a_caller_who_stays_is_heard_and_answered_as_before() -> None:
    turn, state = prepared_turn(
        phase=Phase.CLOSING, closing=CloseAsked("caller_silent", "Bye."), may_stay=True, is_closing_sent=True
    )
    turn.on(Signal.VOICE_BEGAN, 11.0)
    turn.on(Signal.TIME_PASSED, 12.0)

    turn.on(CallerSaid("Wait."), 13.0)

    assert (state.phase, state.is_closing_sent, turn.gate) == (Phase.CONVERSING, False, Gate.OPEN)


@pytest.mark.parametrize(
    ("event", "debt"),
    [(AgentSaid(FIRST), Debt.SETTLED), (AgentSaid(FIRST), Debt.OWED), (Signal.SAY_REFUSED, Debt.OWED)],
)
def test_a_late_filler_comes_once(event: AgentSaid | Signal, debt: Debt) -> None:
    turn, state = prepared_turn(late_filler=FIRST, debt=debt)

    turn.on(event, 10.0)

    assert state.session.late_filler == ""


@pytest.mark.parametrize(("voice", "begun"), [(VoiceState.IDLE, "r1"), (VoiceState.CUT, "")])
def test_an_operators_sentence_is_begun_where_it_is_heard(voice: VoiceState, begun: str) -> None:
    turn, state = prepared_turn(voice=voice, outstanding=SayAsAgent(SpeechKind.REMARK, "Please wait.", id="r1"))

    turn.on(AgentSaid("Please wait."), 10.0)
    turn.on(RemarkMade("Another one."), 10.1)

    assert (state.remark_begun, state.times_asked) == (begun, 0)


def test_what_begins_later_takes_no_operators_name_away() -> None:
    turn, state = prepared_turn(remark_begun="r1", outstanding=SayAsAgent(SpeechKind.FILLER, FIRST))

    turn.on(AgentSaid(FIRST), 10.0)

    assert state.remark_begun == "r1"


def test_a_session_is_old_no_more_when_it_is_gone() -> None:
    turn, state = prepared_turn(is_aged=True)

    turn.on(Signal.FLOOR_VACATED, 10.0)

    assert not state.session.is_aged


def test_the_first_of_two_reasons_to_close_holds() -> None:
    turn, state = prepared_turn(sounding=True)
    first = CloseAsked("ended", "Goodbye.")

    turn.on(first, 10.0)
    turn.on(CloseAsked("limit", "Time is up."), 10.1)

    assert state.closing == first


def test_words_that_nobody_hears_are_no_words_of_the_agents() -> None:
    turn, state = prepared_turn(voice=VoiceState.CUT)

    turn.on(AgentSaid("On Tuesday."), 10.0)

    assert not state.has_spoken


def test_an_announcement_stands_until_it_is_followed() -> None:
    turn, state = prepared_turn(voice=VoiceState.COMING)

    turn.on(AgentSaid("I look it up.", announces="look_up"), 10.0)
    turn.on(AgentSaid("It takes a while."), 10.1)

    assert state.promise == "look_up"


@pytest.mark.parametrize("phase", Phase)
def test_functions_are_carried_out_until_the_last_sentence_is_due(phase: Phase) -> None:
    turn, _ = prepared_turn(phase=phase)

    assert turn.runs_functions is (phase not in {Phase.HUSHED, Phase.CLOSING, Phase.OVER})


@pytest.mark.parametrize(
    ("phase", "debt", "is_ending"),
    [(Phase.ENDING, Debt.SETTLED, True), (Phase.ENDING, Debt.OWED, False), (Phase.CONVERSING, Debt.SETTLED, False)],
)
def test_no_session_need_come_for_a_goodbye_that_was_said(phase: Phase, debt: Debt, is_ending: bool) -> None:
    turn, _ = prepared_turn(phase=phase, debt=debt)

    assert turn.is_ending is is_ending


def test_words_of_the_models_make_an_answer_of_what_began_as_a_filler() -> None:
    turn, state = prepared_turn(voice=VoiceState.COMING, reply=LastReply(SpeechKind.FILLER, began=10.0))

    turn.on(AgentSaid("On Tuesday."), 10.0)

    assert (state.reply.kind, state.reply.has_own_words) == (SpeechKind.ANSWER, True)


def test_a_greeting_that_was_asked_for_is_words_of_the_models() -> None:
    turn, state = prepared_turn(outstanding=SayAsAgent(SpeechKind.GREETING, "Hello."))

    turn.on(AgentSaid("Hello."), 10.0)

    assert (state.reply.kind, state.reply.has_own_words) == (SpeechKind.ANSWER, True)


def test_a_reply_that_was_received_leaves_no_words_and_no_doubt() -> None:
    turn, state = prepared_turn(voice=VoiceState.COMING, has_words=True, is_unended=True, withholds_end=True)

    turn.on(Signal.AUDIO_DONE, 10.0)

    assert (state.has_words, state.is_unended, state.withholds_end) == (False, False, False)


def test_what_was_said_to_a_lost_session_is_the_operators_when_they_take_over() -> None:
    turn, state = prepared_turn(debt=Debt.OWED, is_unread=True)

    turn.on(Signal.TAKEN_OVER, 10.0)

    assert (state.debt, state.is_unread) == (Debt.SETTLED, False)


def test_a_turn_before_keys_is_not_asked_again_behind_them() -> None:
    turn, state = prepared_turn(last_turn="When?")

    turn.on(KeysEntered("1"), 10.0)

    assert state.last_turn == ""


def test_a_session_has_all_the_time_to_think_when_a_transfer_has_failed() -> None:
    turn, state = prepared_turn(debt=Debt.OWED, phase=Phase.PUTTING_THROUGH)

    turn.on(PutThroughFailed("nobody"), 10.2)

    assert state.at.waiting == 10.2
