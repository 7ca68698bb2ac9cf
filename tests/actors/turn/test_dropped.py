"""Things that are over and done with: what a session was asked for, what was cut, what was told, and words unheard."""

import pytest

from actors.policy import describe_keys
from actors.turn.effects import (
    AnswerFunction,
    Aside,
    EndConversation,
    EndSession,
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
    FunctionsAsked,
    KeysEntered,
    RemarkMade,
    Signal,
    TransferWanted,
    VoiceEnded,
)
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from agents.sentences import ENGLISH
from tests.actors.turn.script import (
    FIRST,
    GOODBYE,
    POLICY,
    SECOND,
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
    seen,
    state_of,
)

PRESSED = describe_keys(("1",))
NO_GOODBYE = AnswerFunction("e", POLICY.wording.ask_goodbye)
PUTTING_THROUGH = SayAsAgent(SpeechKind.TRANSFER, ENGLISH.putting_through)
ENDS: list[Step] = [(9, FunctionsAsked(("e",))), (9, EndWanted("e", "done"))]


def test_an_agent_that_takes_a_session_over_is_not_taken_for_an_echo_of_what_the_other_was_told() -> None:
    turn = on_floor()
    play(turn, [(1, KeysEntered("1")), (1.5, FloorGiven(owes=False))])

    assert state_of(turn).session.told == ""


def test_a_goodbye_that_is_withdrawn_before_it_sounds_is_not_heard_for_as_long_as_it_may_come() -> None:
    turn, state = prepared_turn(phase=Phase.ENDING, end=EndWanted("e", "done"), voice=VoiceState.COMING)

    turn.on(FunctionCancelled("e"), 10.5)

    assert state.voice is VoiceState.CUT


def test_a_service_that_thinks_is_not_deaf_to_what_is_said_meanwhile() -> None:
    noises: list[Step] = [
        (2.0, Signal.VOICE_BEGAN), (2.6, VoiceEnded(2.5, deaf=True)),
        (3.0, Signal.VOICE_BEGAN), (3.6, VoiceEnded(3.5, deaf=True)),
    ]  # fmt: skip

    assert seen(*caller_says(0.2), *noises, until=4) == []


def test_nor_is_one_that_hears_the_caller_and_takes_its_time_to_find_the_end_of_their_turn() -> None:
    """It reports nothing meanwhile, as one does that is older; a noise comes behind the words."""
    words: list[Step] = [*caller_says(1)[:2], (2.4, VoiceEnded(2, deaf=True))]
    noise: list[Step] = [(3, Signal.VOICE_BEGAN), (3.9, VoiceEnded(3.5, deaf=True))]

    assert seen(*words, *noise, (4.5, CallerSaid("When can you come?")), *reply(5), until=8) == []


def test_a_word_that_is_not_heard_ends_the_silence_before_it() -> None:
    """The agent has answered, and the caller says something else to a service that is deaf to it."""
    noise: list[Step] = [(8, Signal.VOICE_BEGAN), (9, VoiceEnded(9, deaf=True))]

    got = seen(*caller_says(1), *reply(3), *noise, until=12.5)

    assert got == [(12.0, SayAsAgent(SpeechKind.QUESTION, ENGLISH.still_there))]


@pytest.mark.parametrize(("is_heard", "is_asked"), [(True, False), (False, True)])
def test_words_that_had_no_sound_are_no_goodbye(is_heard: bool, is_asked: bool) -> None:
    words: list[Step] = reply(3, played=2) if is_heard else [(3, AgentSaid("Goodbye.")), (7, Signal.PLAYED)]

    got = effects_of(seen(*caller_says(1), *words, *ENDS, until=9.1))

    assert (NO_GOODBYE in got) is is_asked


def test_a_greeting_on_a_session_that_was_taken_over_is_words_of_the_agents() -> None:
    greeted: list[Step] = [
        (1, FloorGiven(owes=False, greeting="Hello there.")), (1.2, Signal.AUDIO_BEGAN),
        (1.3, AgentSaid("Hello there.")), (1.6, Signal.AUDIO_DONE), (2.5, Signal.PLAYED),
    ]  # fmt: skip

    assert NO_GOODBYE not in effects_of(seen(*greeted, (3, EndWanted("e", "done")), until=3.1))


def test_a_last_sentence_whose_end_is_not_told_is_heard_all_the_same() -> None:
    said: list[Step] = [
        (1, CloseAsked("ended", "Bye.")), (1.2, Signal.AUDIO_BEGAN), (1.3, AgentSaid("Bye.")), (3, Signal.PLAYED),
    ]  # fmt: skip

    assert effects_of(seen(*said, until=10))[-1] == EndConversation("ended", heard=True)


def test_a_key_for_a_person_cuts_what_the_agent_says() -> None:
    got = seen((1, Signal.AUDIO_BEGAN), (1.1, AgentSaid("A long reply.")), (2, Signal.PERSON_WANTED), until=2)

    assert effects_of(got) == [Aside.CUT, Aside.FORGET, PUTTING_THROUGH]


def test_a_transfer_that_nobody_has_announced_asks_for_nothing_more_of_the_session() -> None:
    turn = on_floor()
    got = play(turn, [(1, Signal.PERSON_WANTED)], 11.5)

    assert PutThrough("") in effects_of(got)
    assert state_of(turn).session.outstanding is None


def test_a_key_that_came_to_nothing_answers_no_function() -> None:
    got = effects_of(seen((1, Signal.PERSON_WANTED), until=40))

    assert not [effect for effect in got if isinstance(effect, AnswerFunction)]


def test_a_call_that_closes_while_the_caller_is_heard_listens_no_more() -> None:
    turn = on_floor()
    play(turn, [(1, Signal.VOICE_BEGAN), (1.1, Signal.CALLER_STARTED_SPEAKING), (1.2, CloseAsked("ended", "Bye."))], 4)

    assert (state_of(turn).phase, state_of(turn).caller.name) == (Phase.CLOSING, "QUIET")


def test_a_remark_that_is_not_begun_is_forgotten_where_the_call_closes_for_a_machine() -> None:
    turn = on_floor()
    play(turn, [(1, RemarkMade("One minute more.")), (1.5, CloseAsked("voicemail", "Call us.", waits_for_beep=True))])

    assert state_of(turn).session.outstanding is None


def test_what_comes_while_a_message_waits_for_the_beep_is_cut_by_the_message() -> None:
    turn, _ = prepared_turn(
        phase=Phase.HUSHED, closing=CloseAsked("voicemail", "Call us.", waits_for_beep=True), sounding=True
    )

    assert turn.on(Signal.BEEP_HEARD, 20.0)[:2] == [Aside.CUT, Aside.FORGET]


def test_a_reply_that_a_noise_has_torn_is_asked_for_once() -> None:
    torn: list[Step] = [
        (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("A long reply.")), (4, Signal.CALLER_STARTED_SPEAKING),
        (4.1, Signal.AUDIO_DONE), (6.6, Signal.PLAYED), (9, AgentSaid("And on.")), (9, Signal.AUDIO_BEGAN),
        (9.5, Signal.CALLER_STARTED_SPEAKING), (9.6, Signal.AUDIO_DONE), (12.2, Signal.PLAYED),
    ]  # fmt: skip

    got = effects_of(seen(*caller_says(1), *torn, until=15))

    assert got.count(TellAsCaller(POLICY.wording.go_on)) == 1


def test_an_answer_overtakes_the_filler_that_was_asked_for() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), (5.6, AgentSaid("On Tuesday."))])

    assert (state_of(turn).session.outstanding, state_of(turn).session.late_filler) == (None, FIRST)


def test_a_service_that_thinks_behind_a_filler_it_has_not_begun_is_asked_for_the_next_one_no_sooner() -> None:
    slow: list[Step] = [(5.6, Signal.THINKING_BEGAN), (7.7, Signal.PLAYED)]

    got = seen(*caller_says(1), *slow, until=11)

    assert [effect for effect in effects_of(got) if isinstance(effect, EndSession | SayAsAgent)][:1] == [filler_asked()]
    assert SECOND != FIRST


def test_words_that_are_empty_begin_nothing() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), (5.5, AgentSaid(" "))])

    assert (state_of(turn).session.outstanding, turn.debt) == (filler_asked(), Debt.OWED)


def test_the_second_sentence_of_a_remark_is_no_answer() -> None:
    remark: list[Step] = [
        (1, RemarkMade("One minute more. Then we stop.")), (1.2, Signal.AUDIO_BEGAN),
        (1.3, AgentSaid("One minute more.")),
        (1.4, FunctionsAsked(("f",))), (1.5, AgentSaid("Then we stop.")),
    ]  # fmt: skip
    turn = on_floor()
    play(turn, remark)

    assert not state_of(turn).has_spoken


def test_a_call_that_is_over_drops_nothing_more() -> None:
    turn, _ = prepared_turn(phase=Phase.OVER, sounding=True, aside=SpeechKind.ANSWER, voice=VoiceState.COMING)

    assert [turn.on(event, 20.0) for event in (Signal.FLOOR_VACATED, CallerSaid("x"), TransferWanted("t"))] == [[]] * 3


def test_the_audio_behind_a_clip_is_not_the_answer_that_was_said_before() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), *reply(3, played=1), (5, Signal.FLOOR_VACATED)], 10)

    assert state_of(turn).reply.kind is SpeechKind.FILLER


def test_a_goodbye_is_heard_though_the_service_is_gone() -> None:
    got = effects_of(seen(*GOODBYE, (4, Signal.PLAYED), (4.1, Signal.FLOOR_VACATED), until=10))

    assert got[-1] == EndConversation("completed", "done", heard=True)


def test_a_call_that_no_session_joins_is_filled_from_its_beginning() -> None:
    assert new_turn().deadline() == POLICY.deadlines.silence_budget


def test_a_noise_while_a_goodbye_is_owed_is_waited_for_as_briefly_as_before_an_answer() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), (3, EndWanted("e", "done")), (4, Signal.CALLER_STARTED_SPEAKING)], 6.6)

    assert turn.caller is CallerState.QUIET


def test_a_noise_for_which_nobody_waits_is_waited_for_longer() -> None:
    turn = on_floor()
    play(turn, [(1, Signal.CALLER_STARTED_SPEAKING)], 5.9)
    before = turn.caller
    play(turn, [], 6.1)

    assert (before, turn.caller) == (CallerState.HEARD, CallerState.QUIET)


def test_a_caller_who_is_heard_again_while_a_goodbye_is_owed_is_waited_for_anew() -> None:
    turn = on_floor()
    again: list[Step] = [
        (4, Signal.VOICE_BEGAN), (4, Signal.CALLER_STARTED_SPEAKING), (5, Signal.CALLER_STARTED_SPEAKING),
        (5.2, VoiceEnded(5.2)),
    ]  # fmt: skip
    play(turn, [*caller_says(1), (3, EndWanted("e", "done")), *again], 7.5)
    before = turn.caller
    play(turn, [], 7.8)

    assert (before, turn.caller) == (CallerState.HEARD, CallerState.QUIET)


def test_words_upon_which_the_agent_ends_without_a_word_are_owed_a_goodbye() -> None:
    turn = on_floor()
    spoken: list[Step] = [(5, Signal.CALLER_STARTED_SPEAKING), (6, EndWanted("e", "done")), (6.3, CallerSaid("Bye."))]
    play(turn, [*caller_says(1), *reply(3, played=1), *spoken])

    assert turn.debt is Debt.OWED


def test_a_question_into_a_loud_line_is_let_through_though_a_reply_was_cut() -> None:
    turn, state = prepared_turn(voice=VoiceState.CUT, caller=CallerState.HEARD, is_loud=True)

    effects = turn.on(Signal.TIME_PASSED, 10 + POLICY.deadlines.longest_turn)

    assert (effects_of([(0, effect) for effect in effects]), state.voice) == (
        [SayAsAgent(SpeechKind.QUESTION, ENGLISH.still_there)],
        VoiceState.IDLE,
    )


def test_the_rest_of_a_remark_is_given_up_for_the_next_one() -> None:
    turn = on_floor()
    first: list[Step] = [(1, RemarkMade("One minute more. Then we stop.")), *reply(1.2, "One minute more.", played=1)]
    play(turn, [*first, (3, RemarkMade("Please wait."))])

    assert (state_of(turn).session.outstanding, state_of(turn).session.rest) == (
        SayAsAgent(SpeechKind.REMARK, "Please wait."),
        "",
    )


def test_what_was_said_before_keys_is_no_goodbye_behind_them() -> None:
    keys: list[Step] = [(5.5, KeysEntered("1")), (5.6, EndWanted("e", "done"))]

    assert NO_GOODBYE in effects_of(seen(*caller_says(1), *reply(3), *keys, until=5.6))


def test_the_end_of_a_reply_that_had_no_words_yet_when_keys_were_told_says_no_goodbye_upon_them() -> None:
    echoed: list[Step] = [(3.2, KeysEntered("1")), (3.4, CallerSaid(PRESSED)), (3.5, Signal.AUDIO_DONE)]

    got = seen(*caller_says(1), (3, Signal.AUDIO_BEGAN), *echoed, (4, EndWanted("e", "done")), until=4.1)

    assert NO_GOODBYE in effects_of(got)


def test_keys_do_not_lengthen_the_silence_of_a_caller_who_waits() -> None:
    assert (6, clip()) in seen(*caller_says(1), (4, KeysEntered("1")), until=6)


def test_an_operator_who_takes_over_leaves_no_filler_to_be_said() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), (5.5, Signal.TAKEN_OVER)])

    assert state_of(turn).session.outstanding is None


def test_the_reply_behind_one_that_has_gone_on_is_cut_as_any_other() -> None:
    start: list[Step] = [(4, Signal.CALLER_STARTED_SPEAKING), (4.2, Signal.NOTHING_UNDERSTOOD), (6, Signal.PLAYED)]
    later: list[Step] = [*caller_says(8, "And then?"), *reply(10, played=4), (11, Signal.CALLER_STARTED_SPEAKING)]

    assert (11, Aside.CUT) in seen(*caller_says(1), *reply(3, played=5)[:3], *start, *later, until=11)


def test_what_a_caller_was_reminded_of_is_owed_no_more_when_they_are_answered() -> None:
    announced: list[Step] = [*caller_says(1), *reply(3, "I look it up.", announces="look_up")]
    turn = on_floor()
    play(turn, announced, 9)
    assert state_of(turn).owes_deed

    play(turn, reply(10, "It is Tuesday."), 13)

    assert (turn.debt, state_of(turn).owes_deed) == (Debt.SETTLED, False)


def test_a_filler_that_is_not_begun_in_time_may_come_late() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), (6.5, Signal.PLAYED), (7, Signal.THINKING_SLOW)], 9.1)

    assert state_of(turn).session.late_filler == FIRST


def test_words_of_the_agents_end_the_sentence_that_it_was_asked_for() -> None:
    turn = on_floor()
    first: list[Step] = [(1, RemarkMade("One minute more. Then we stop.")), *reply(1.2, "One minute more.", played=1)]
    play(turn, [*first, (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("On Tuesday."))])

    assert state_of(turn).session.rest == ""


def test_what_a_service_says_behind_a_reply_without_an_end_is_a_reply_of_its_own() -> None:
    turn = on_floor()
    unended: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("On Tuesday.")), (5, Signal.PLAYED)]
    play(turn, [*caller_says(1), *unended], 7)
    assert state_of(turn).is_unended

    play(turn, [(7.1, Signal.AUDIO_BEGAN)])

    assert (state_of(turn).is_unended, state_of(turn).withholds_end) == (False, True)
