"""What an agent, or the call, has decided: and what a noise, a word or a crash makes of it."""

import pytest

from actors.policy import describe_keys
from actors.turn.effects import (
    AnswerFunction,
    Aside,
    EndConversation,
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
from actors.turn.state import CallerState, Debt, Phase
from agents.sentences import ENGLISH
from tests.actors.turn.script import (
    ASK,
    GOODBYE,
    LATE_VOICE,
    POLICY,
    Step,
    caller_says,
    clip,
    effects_of,
    filler_asked,
    lost,
    on_floor,
    play,
    prepared_turn,
    question_asked,
    reply,
    seen,
    state_of,
)

TURN_AGAIN = TellAsCaller("When can you come?")
ANNOUNCED: list[Step] = [*caller_says(1), *reply(3, "I look it up.", announces="look_up")]
REMINDER = POLICY.wording.reminder.format(function="look_up")


BYE: list[Step] = [*caller_says(1), *reply(3, "Goodbye!", sent=0.3, played=2)]
NO_BYE: list[Step] = [*caller_says(1), (7.2, Signal.PLAYED), (12.4, Signal.PLAYED)]
"""Two clips are heard instead."""


def test_the_last_goodbye_is_followed_by_a_breath_and_the_end() -> None:
    """The caller has brought the conversation back as often as they may."""
    turn = on_floor()
    state_of(turn).reopened = [Phase.ENDING] * POLICY.numbers.reopenings
    script: list[Step] = [
        *BYE,
        (3.2, EndWanted("e", "done")),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (5.5, CallerSaid("Bye.")),
    ]

    assert play(turn, script, 12) == [(6.5, EndConversation("completed", "done", heard=True))]


WORDS: list[Step] = [
    *reply(1, "Ten pounds."),
    (4, Signal.CALLER_STARTED_SPEAKING),
    (4, Signal.VOICE_BEGAN),
]
"""The caller speaks behind a reply; their words are transcribed later than what the model does upon them."""
END: Step = (5, EndWanted("e", "done"))


def test_the_words_upon_which_the_agent_has_ended_may_come_behind_the_end() -> None:
    script: list[Step] = [
        *WORDS,
        *reply(4.8, "Goodbye!", played=1),
        END,
        (5.3, VoiceEnded(4.9)),
        (5.4, CallerSaid("Bye.")),
    ]

    assert seen(*script, until=9) == [(6.4, EndConversation("completed", "done", heard=True))]


def test_the_goodbye_is_asked_for_that_does_not_come_before_them() -> None:
    script: list[Step] = [
        *WORDS,
        END,
        (5.3, VoiceEnded(4.9)),
        (5.4, CallerSaid("Bye.")),
        *reply(6, "Goodbye!", played=1),
    ]

    assert seen(*script, until=9) == [
        (5.4, AnswerFunction("e", POLICY.wording.ask_goodbye)),
        (7.5, EndConversation("completed", "done", heard=True)),
    ]


@pytest.mark.parametrize(("began", "said"), [(4.8, 5.4), (4.0, 6.2)], ids=["they have just begun", "they go on"])
def test_other_words_are_answered(began: float, said: float) -> None:
    script: list[Step] = [
        *reply(1, "Goodbye!"),
        (began, Signal.CALLER_STARTED_SPEAKING),
        END,
        (said, CallerSaid("And the price?")),
    ]

    assert seen(*script, until=7) == [(said, AnswerFunction("e", POLICY.wording.reopened))]


def ended(goodbye: list[Step], pressed: float) -> list[Step]:
    """End the conversation, and have the caller press a key at this second."""
    decided: list[Step] = [(3.2, EndWanted("e", "done")), (pressed, Signal.KEY_PRESSED)]
    return sorted([*goodbye, *decided], key=lambda step: step[0])


@pytest.mark.parametrize(("goodbye", "pressed"), [(BYE, 4.5), (NO_BYE, 12.6)])
def test_nobody_is_hung_up_on_while_they_type(goodbye: list[Step], pressed: float) -> None:
    """The keypad tells the keys two and a half seconds after the last one."""
    script: list[Step] = ended(goodbye, pressed)

    got = seen(*script, (pressed + 2.5, KeysEntered("1")), until=pressed + 2.5)

    taken_back, told = AnswerFunction("e", POLICY.wording.reopened), TellAsCaller(describe_keys(("1",)), ("1",))
    assert [(pressed + 2.5, taken_back), (pressed + 2.5, told)] == got[-2:]


def test_keys_that_never_cease_hold_no_call() -> None:
    """It may be music that sounds like them; the caller has brought the conversation back as often as they may."""
    turn = on_floor()
    state_of(turn).reopened = [Phase.ENDING] * POLICY.numbers.reopenings
    keys: list[Step] = [(float(at), Signal.KEY_PRESSED) for at in range(4, 120, 2)]

    at, effect = play(turn, [*BYE, (3.2, EndWanted("e", "done")), *keys], 120)[-1]

    assert isinstance(effect, EndConversation)
    assert at == 3.2 + POLICY.deadlines.longest_turn


@pytest.mark.parametrize(("goodbye", "pressed", "over"), [(BYE, 4.5, 8.0), (NO_BYE, 12.6, 16.1)])
def test_a_key_that_is_followed_by_nothing_ends_the_call_later(
    goodbye: list[Step], pressed: float, over: float
) -> None:
    script: list[Step] = ended(goodbye, pressed)

    at, effect = seen(*script, until=20)[-1]

    assert isinstance(effect, EndConversation)
    assert at == over


def test_a_goodbye_that_a_noise_has_withdrawn_is_asked_for_again() -> None:
    script: list[Step] = [
        *BYE,
        (3.2, EndWanted("e", "done")),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (4.2, FunctionCancelled("e")),
    ]

    assert seen(*script, until=6.6) == [(4.2, Aside.CUT), (4.2, Aside.FORGET), (6.5, TURN_AGAIN)]


def test_a_transfer_that_a_noise_has_withdrawn_is_asked_for_again() -> None:
    script: list[Step] = [
        *BYE,
        (3.2, TransferWanted("t")),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (4.2, FunctionCancelled("t")),
    ]

    assert seen(*script, until=6.6) == [(4.2, Aside.CUT), (4.2, Aside.FORGET), (6.5, TURN_AGAIN)]


@pytest.mark.parametrize("event", [FunctionCancelled("e"), FunctionCancelled("t")])
def test_a_caller_whose_noise_has_withdrawn_a_decision_is_asked_where_the_turn_was_asked_again(event: Event) -> None:
    """They have borne the silence since the noise."""
    phase = Phase.ENDING if event == FunctionCancelled("e") else Phase.TRANSFERRING
    turn, state = prepared_turn(phase=phase, end=EndWanted("e", "done"), transfer="t", caller=CallerState.HEARD)
    state.at.wanted = state.at.answered = 9.0

    got = play(turn, [(11, event)], 13.1)

    assert got == [(13, question_asked(0.0))]


@pytest.mark.parametrize(("asks", "ends_at"), [(True, 9.0), (False, 5 + LATE_VOICE)])
def test_a_goodbye_that_is_a_question_is_waited_for_to_be_answered(asks: bool, ends_at: float) -> None:
    last = AgentSaid("Anything else", asks=asks)
    asked: list[Step] = [
        (3, Signal.AUDIO_BEGAN),
        (3.1, AgentSaid("So?", asks=True)),
        (3.2, last),
        (3.4, Signal.AUDIO_DONE),
    ]
    script: list[Step] = [*caller_says(1), *asked, (3.5, EndWanted("e", "done")), (5, Signal.PLAYED)]

    assert seen(*script, until=10) == [(ends_at, EndConversation("completed", "done", heard=True))]


@pytest.mark.parametrize("late", [0.01, 0.29])
def test_a_caller_who_began_to_speak_before_the_end_of_a_goodbye_is_heard_behind_it(late: float) -> None:
    """Their voice is known of later: it crosses the network, and 60 ms of it show that it is one."""
    wait: list[Step] = [(5 + late, Signal.VOICE_BEGAN), (6, VoiceEnded(6)), (6.5, CallerSaid("Wait!"))]

    got = seen(*GOODBYE, (5, Signal.PLAYED), *wait, until=6.6)

    assert got == [(6.5, AnswerFunction("end", POLICY.wording.reopened))]


def test_a_word_behind_a_goodbye_is_heard_however_short_it_is() -> None:
    """The service says that it hears it within a second of its end."""
    no: list[Step] = [(5.1, Signal.VOICE_BEGAN), (5.8, VoiceEnded(5.4)), (6.3, Signal.CALLER_STARTED_SPEAKING)]

    got = seen(*GOODBYE, (5, Signal.PLAYED), *no, (6.8, CallerSaid("No.")), until=7)

    assert got == [(6.8, AnswerFunction("end", POLICY.wording.reopened))]


def test_noises_behind_a_goodbye_of_which_the_service_says_nothing_hold_the_line_for_a_second_each() -> None:
    one: list[Step] = [(5.1, Signal.VOICE_BEGAN), (5.8, VoiceEnded(5.4))]
    many: list[Step] = [(at + 0.2, Signal.VOICE_BEGAN) for at in range(5, 30)]
    many += [(at + 0.9, VoiceEnded(at + 0.5)) for at in range(5, 30)]
    ended = EndConversation("completed", "done", heard=True)

    assert seen(*GOODBYE, (5, Signal.PLAYED), *one, until=40) == [(6.4, ended)]
    assert seen(*GOODBYE, (5, Signal.PLAYED), *many, until=40) == [(10.2, ended)]


@pytest.mark.parametrize(
    "again",
    [[], [(4.4, EndWanted("e2", "done"))], [(4.4, HandoffWanted("e2"))]],
    ids=["it waits", "it is refused", "a handoff is refused"],
)
def test_a_goodbye_that_was_asked_for_ends_the_call_though_the_model_ends_it_once_more(again: list[Step]) -> None:
    """Its prompt says so: a goodbye, and then the function. The request comes before the end of the audio."""
    goodbye = [*reply(4, "Goodbye.", sent=0.5), (4.3, FunctionsAsked(("e2",)))]

    got = seen(*caller_says(1), (3, EndWanted("e", "done")), *goodbye, *again, until=20)

    assert got[-1] == (6 + LATE_VOICE, EndConversation("completed", "done", heard=True))


TO_A_PERSON: list[Step] = [
    *caller_says(1),
    (2.8, FunctionsAsked(("t",))),
    *reply(3, "I put you through.", sent=0.3, played=2),
    (3.1, TransferWanted("t")),
]


def test_the_sentence_of_a_transfer_that_came_to_nothing_is_none_of_another() -> None:
    """The caller waits for words, and hears a filler if none come."""
    turn = on_floor()

    play(turn, [*TO_A_PERSON, (14.2, FunctionsAsked(("u",))), (14.3, TransferWanted("u"))])

    assert (turn.phase, turn.debt) == (Phase.TRANSFERRING, Debt.OWED)


def test_a_caller_who_speaks_into_the_sentence_before_a_transfer_takes_it_back() -> None:
    """They are heard out, though the sentence ends before."""
    got = seen(*TO_A_PERSON, *caller_says(3.5, "No, wait.", length=2.5), *reply(7, "As you like."), until=12)

    assert got == [(6.5, AnswerFunction("t", POLICY.wording.taken_back))]


@pytest.mark.parametrize("late", [-0.3, 0.01, 0.29])
def test_so_does_a_caller_who_begins_to_speak_at_its_end(late: float) -> None:
    """Their voice is known of later, and that the service hears them later still."""
    no: list[Step] = [
        (5 + late, Signal.VOICE_BEGAN),
        (5.6 + late, Signal.CALLER_STARTED_SPEAKING),
        (6.2, VoiceEnded(6)),
    ]

    got = seen(*TO_A_PERSON, *no, (6.5, CallerSaid("No, wait.")), *reply(7, "As you like."), until=12)

    assert got == [(6.5, AnswerFunction("t", POLICY.wording.taken_back))]


def test_a_noise_in_the_sentence_before_a_transfer_holds_it_up_and_takes_nothing_back() -> None:
    assert seen(*TO_A_PERSON, (4, Signal.CALLER_STARTED_SPEAKING), until=8.5) == [(8, PutThrough("t"))]


def test_who_has_pressed_a_key_for_a_person_does_not_take_it_back_by_a_word() -> None:
    key: list[Step] = [(3, KeysEntered("0", wants_person=True)), *reply(3.4, ENGLISH.putting_through)]

    assert effects_of(seen(*key, (4, CallerSaid("A person!")), until=7))[-1] == PutThrough("")


@pytest.mark.parametrize("at", [4, 5.5], ids=["it is announced", "the line is asked"])
def test_who_is_being_put_through_and_presses_the_key_for_it_is_put_through_once(at: float) -> None:
    failed: list[Step] = [(6, PutThroughFailed("nobody")), (6, FunctionDone("t"))]

    got = seen(*TO_A_PERSON, (at, KeysEntered("0", wants_person=True)), *failed, until=7.5)

    assert got == [(5 + LATE_VOICE, PutThrough("t"))]


def test_the_words_that_a_transfer_answers_do_not_take_it_back() -> None:
    """A function may come before the transcript upon which it was called."""
    early: list[Step] = [*caller_says(1, "A person!"), (2.1, FunctionsAsked(("t",))), (2.2, TransferWanted("t"))]

    assert effects_of(seen(*early, *reply(2.7, "I put you through.", sent=0.3), until=6)) == [PutThrough("t")]


def test_who_is_asked_whether_they_want_a_person_can_answer() -> None:
    asked: list[Step] = [*reply(3, "Shall I put you through?", sent=0.3, played=2), (3.1, TransferWanted("t"))]
    script: list[Step] = [*caller_says(1), *asked]

    assert seen(*script, until=9.1)[0] == (9, PutThrough("t"))
    assert PutThrough("t") not in effects_of(seen(*script, (7.5, CallerSaid("No.")), until=10))


def test_a_note_that_is_taken_meanwhile_ends_no_silence_of_who_is_asked() -> None:
    asked: list[Step] = [*reply(3, "Shall I put you through?", sent=0.3, played=2), (3.1, TransferWanted("t"))]

    got = seen(*caller_says(1), *asked, (7, FunctionsAsked(("note",))), until=9.5)

    assert got == [(9, PutThrough("t")), (9, clip())]


def test_a_question_that_was_answered_is_waited_for_no_longer() -> None:
    asked: list[Step] = [*reply(1, "Shall I put you through?", played=1), *caller_says(2.2, "Yes.", length=0.5)]

    assert seen(*asked, (4, FunctionsAsked(("t",))), (4, TransferWanted("t")), until=6.1) == [(5, PutThrough("t"))]


def test_a_transfer_and_an_end_in_one_request_are_a_transfer() -> None:
    """Whatever order they come in: the caller has been told of a person."""
    both: list[Step] = [(2.8, FunctionsAsked(("e", "t"))), (2.9, EndWanted("e", "done")), (2.9, TransferWanted("t"))]

    got = seen(*caller_says(1), *both, *reply(3, "I put you through. Goodbye.", played=2), until=7)

    assert got[1:] == [(2.9, AnswerFunction("e", POLICY.wording.refused)), (5 + LATE_VOICE, PutThrough("t"))]


def test_a_transfer_outlives_the_session_that_has_announced_it() -> None:
    turn = on_floor()
    script: list[Step] = [*BYE, (3.2, TransferWanted("t")), *lost(4)]

    assert play(turn, script, 5.4) == [(5 + LATE_VOICE, PutThrough("t"))]
    assert TellAsCaller("engaged") in effects_of(play(turn, [(6.5, PutThroughFailed("engaged"))]))


def test_a_key_is_not_put_through_under_the_name_of_an_earlier_function() -> None:
    turn, state = prepared_turn(wish="t", keys=("0",), wants_person=True, is_opened=True)

    assert PutThrough("") in effects_of(play(turn, [(10.0, Signal.THINKING_BEGAN), (11.5, AgentSaid("x"))], 16))
    assert state.reply.kind is SpeechKind.ANSWER


def test_words_while_the_line_is_asked_are_not_the_person() -> None:
    turn, state = prepared_turn(phase=Phase.PUTTING_THROUGH, debt=Debt.OWED)

    play(turn, reply(10, "All right.", played=1), 11.5)

    assert state.debt is Debt.OWED


# A silent caller speaks into the last sentence

SILENT = ENGLISH.silent_goodbye
COMES: list[Step] = [*reply(10.2, ASK, played=1), *reply(21.4, ASK, played=1)]
"""A silent caller, asked twice: the call is to close from second 32.4 on."""


def closes(said: float = 0.3) -> list[Step]:
    return [(32.4 + said, Signal.AUDIO_BEGAN), (32.5 + said, AgentSaid(SILENT))]


@pytest.mark.parametrize("whole", [[], [(33.0, Signal.AUDIO_DONE)]], ids=["coming", "sent"])
def test_a_caller_who_speaks_into_the_closing_is_not_hung_up_on(whole: list[Step]) -> None:
    turn = on_floor()

    got = play(turn, [*COMES, *closes(), *whole, (34, Signal.VOICE_BEGAN), (37, VoiceEnded(37))], 39)

    assert (34.4, Listening.FREE_TAPE) in got
    assert Aside.CUT in effects_of(got)
    assert not [effect for effect in effects_of(got) if isinstance(effect, EndConversation)]
    assert (turn.phase, turn.closing, turn.times_asked) == (Phase.CONVERSING, None, 0)


@pytest.mark.parametrize("sent", [closes(), [*closes(), (33, Signal.AUDIO_DONE)], []], ids=["coming", "sent", "asked"])
def test_the_rest_of_the_closing_is_not_heard_any_more(sent: list[Step]) -> None:
    """Its end may be told too early, and its beginning may be on its way."""
    turn = on_floor()
    play(turn, [*COMES, *sent, (33, Signal.VOICE_BEGAN)], 33.5)

    gates = [turn.gate]
    assert play(turn, [(34, VoiceEnded(34)), (35, CallerSaid("Wait."))]) == []
    assert [*gates, turn.gate] == [Gate.SHUT, Gate.OPEN]


def test_a_caller_who_speaks_before_the_closing_begins_is_not_said_goodbye_to() -> None:
    turn = on_floor()
    sent: list[Step] = [*COMES, (32.5, Signal.VOICE_BEGAN)]

    got = play(turn, sent, 36)

    assert (32.9, Listening.FREE_TAPE) in got
    assert (turn.session.outstanding, turn.closing) == (None, None)


def test_a_short_noise_does_not_keep_the_call() -> None:
    got = seen(
        *COMES,
        *closes(),
        (33, Signal.VOICE_BEGAN),
        (33.35, VoiceEnded(33.3)),
        (35, Signal.AUDIO_DONE),
        (36, Signal.PLAYED),
        until=40,
    )

    assert got[-1] == (36 + LATE_VOICE, EndConversation("caller_silent", "", heard=True))


@pytest.mark.parametrize("late", [0.01, 0.29])
def test_a_caller_whose_voice_comes_just_behind_the_closing_is_not_hung_up_on(late: float) -> None:
    played: list[Step] = [*closes(), (35, Signal.AUDIO_DONE), (36, Signal.PLAYED)]

    got = seen(*COMES, *played, (36 + late, Signal.VOICE_BEGAN), until=38)

    assert got[-1] == (round(36.4 + late, 3), Listening.FREE_TAPE)


def test_the_last_sentence_of_a_call_that_closes_whatever_the_caller_says_ends_it_at_once() -> None:
    over = CloseAsked("stopped", "We close. Goodbye.")

    got = seen((1, over), *reply(1.2, over.sentence, sent=1, played=2), until=5)

    assert got[-1] == (3.2, EndConversation("stopped", "", heard=True))


def test_a_noise_that_was_there_before_does_not_keep_it() -> None:
    said = reply(67.8, ENGLISH.closing, sent=1, played=2)

    got = seen((5, Signal.VOICE_BEGAN), *COMES, *said, until=75)

    assert got[2:] == [
        (67.5, Listening.HOLD_TAPE),
        (67.5, SayAsAgent(SpeechKind.CLOSING, ENGLISH.closing)),
        (71.8, EndConversation("caller_silent", "", heard=True)),
    ]


def test_a_call_that_is_to_close_for_another_reason_is_not_kept() -> None:
    """An operator, or a drain, has asked for it meanwhile."""
    turn = on_floor()
    play(turn, [*COMES, *closes(), (33, CloseAsked("drained", "Goodbye.")), (34, Signal.VOICE_BEGAN)], 35)

    assert turn.phase is Phase.CLOSING


def test_a_caller_is_not_kept_for_ever() -> None:
    turn = on_floor()
    state_of(turn).reopened = [Phase.CLOSING] * POLICY.numbers.reopenings
    play(turn, [*COMES, *closes(), (34, Signal.VOICE_BEGAN)], 35)

    assert turn.phase is Phase.CLOSING


KEPT: dict[Phase, list[Step]] = {
    Phase.TRANSFERRING: [
        *BYE,
        (3.2, TransferWanted("t")),
        (4, Signal.CALLER_STARTED_SPEAKING),
        (5, CallerSaid("Wait.")),
    ],
    Phase.ENDING: [*BYE, (3.2, EndWanted("e", "done")), (4, Signal.CALLER_STARTED_SPEAKING), (5, CallerSaid("Wait."))],
    Phase.CLOSING: [*COMES, *closes(), (34, Signal.VOICE_BEGAN)],
}


@pytest.mark.parametrize("kept", KEPT)
def test_what_a_caller_has_taken_back_often_keeps_them_from_nothing_else(kept: Phase) -> None:
    turn = on_floor()
    state_of(turn).reopened = [phase for phase in KEPT if phase is not kept] * POLICY.numbers.reopenings

    play(turn, KEPT[kept], max(at for at, _ in KEPT[kept]) + 0.5)

    assert turn.phase is Phase.CONVERSING
    assert state_of(turn).reopened[-1] is kept


# What was said is not asked for again


def test_a_goodbye_that_was_announced_and_heard_is_not_said_again() -> None:
    deed: list[Step] = [(7.1, FunctionsAsked(("e",))), (7.2, EndWanted("e", "done"))]

    assert seen(*ANNOUNCED, (6.6, CallerSaid(REMINDER)), *deed, until=12) == [
        (6.5, TellAsCaller(REMINDER)),
        (8.2, EndConversation("completed", "done", heard=True)),
    ]


def test_a_turn_is_not_asked_again_that_a_function_has_just_been_answered_for() -> None:
    script: list[Step] = [*caller_says(1), (3, FunctionsAsked(("f",))), (3.2, Signal.CALLER_STARTED_SPEAKING)]

    assert seen(*script, (5, FunctionDone("f")), until=5.8) == [(5.7, filler_asked(silence=3.7))]


def test_words_that_are_said_with_a_deed_announce_none() -> None:
    turn = on_floor()
    words = reply(3.5, "I put you through.", announces="handoff")

    play(turn, [*caller_says(1), (3, FunctionsAsked(("t",))), (3, TransferWanted("t")), *words], 5)

    assert state_of(turn).promise is None


# Words behind what goes with a decision, which the service transcribes, and of which it says nothing before


UNTOLD: list[Step] = [(4.7, Signal.VOICE_BEGAN), (5.9, VoiceEnded(5.5))]
"""A word, into the end of the goodbye of `BYE`."""
ENDED: list[Step] = [*BYE, (3.2, FunctionsAsked(("end",))), (3.2, EndWanted("end", "done"))]


def test_a_word_behind_a_goodbye_is_answered_although_nobody_has_said_that_it_is_heard() -> None:
    got = seen(*ENDED, *UNTOLD, (8, CallerSaid("Wait, one thing.")), until=8.2)

    assert got == [(8, AnswerFunction("end", POLICY.wording.reopened))]


def test_of_a_word_behind_a_goodbye_that_comes_to_nothing_the_call_ends_within_the_budget() -> None:
    got = seen(*ENDED, *UNTOLD, until=30)

    assert got == [(9.5, EndConversation("completed", "done", heard=True))]


def test_a_word_behind_a_goodbye_without_its_function_is_waited_for_too() -> None:
    goodbye: list[Step] = [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3, AgentSaid("Goodbye!", takes_leave=True))]
    goodbye += [(3.3, Signal.AUDIO_DONE), (4, Signal.PLAYED), (8, Signal.VOICE_BEGAN), (9.4, VoiceEnded(9))]

    assert seen(*goodbye, (11.8, CallerSaid("Wait, one thing.")), until=11.9) == []
    assert [at for at, effect in seen(*goodbye, until=20) if isinstance(effect, EndConversation)] == [13]


@pytest.mark.parametrize("pause", [0.6, 1.4, 2.4])
def test_noises_behind_a_goodbye_of_which_the_service_says_nothing_keep_the_line_for_seconds(pause: float) -> None:
    """A dog that barks, a hammer: as long as a line that stays loud, and a word in the last of them may be one."""
    noises: list[Step] = []
    for number in range(30):
        at = 4.5 + number * (1 + pause)
        noises += [(at, Signal.VOICE_BEGAN), (at + 1, VoiceEnded(at + 0.6))]
    goodbye: list[Step] = [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3, AgentSaid("Goodbye!", takes_leave=True))]
    goodbye += [(3.3, Signal.AUDIO_DONE), (4, Signal.PLAYED)]

    for spoken in (goodbye, ENDED):
        (ended,) = [at for at, _ in seen(*spoken, *noises, until=100)]
        assert ended <= 5 + POLICY.deadlines.farewell_noise + POLICY.deadlines.silence_budget + pause


def test_noises_behind_a_word_that_the_service_has_heard_keep_the_line_longer() -> None:
    noises: list[Step] = [(4.7, Signal.CALLER_STARTED_SPEAKING)]
    for at in (4.7, 7.7, 10.7, 13.7, 16.7, 19.7):
        noises += [(at, Signal.VOICE_BEGAN), (at + 1.4, VoiceEnded(at + 1))]

    got = seen(*ENDED, *noises, (22.5, CallerSaid("Wait, one thing.")), until=22.6)

    assert got == [(22.5, AnswerFunction("end", POLICY.wording.reopened))]


# An end that comes with words which ask the caller to wait: nobody hangs up on whom they have asked to


def _waits_and_ends(*, takes_leave: bool = False) -> list[Step]:
    words = AgentSaid("One moment.", asks_to_wait=True, takes_leave=takes_leave)
    said: list[Step] = [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3, words), (3.1, Signal.AUDIO_DONE)]
    return [*said, (3.2, FunctionsAsked(("end",))), (3.2, EndWanted("end", "done"))]


def test_words_that_ask_the_caller_to_wait_are_no_goodbye() -> None:
    assert seen(*_waits_and_ends(), until=3.3) == [(3.2, AnswerFunction("end", POLICY.wording.ask_goodbye))]


def test_they_are_one_if_they_take_leave_too() -> None:
    assert seen(*_waits_and_ends(takes_leave=True), until=3.3) == []


def test_they_are_the_sentence_before_a_transfer() -> None:
    turn = on_floor()

    play(turn, [*_waits_and_ends()[:-2], (3.2, FunctionsAsked(("t",))), (3.2, TransferWanted("t"))], 3.3)

    assert state_of(turn).debt is Debt.SETTLED
