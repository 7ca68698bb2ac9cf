"""What single statements are for, in calls that end, hand over, put through, or wait for functions."""

import pytest

from actors.turn.effects import (
    AnswerFunction,
    Aside,
    EndConversation,
    EndSession,
    Gate,
    PutThrough,
    SpeechKind,
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
    KeysEntered,
    RemarkMade,
    Signal,
    TransferWanted,
    TurnToldLate,
    VoiceEnded,
)
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from agents.sentences import ENGLISH, Sentences
from tests.actors.turn.script import (
    FIRST,
    GOODBYE,
    POLICY,
    Step,
    caller_says,
    clip,
    effects_of,
    filler,
    filler_asked,
    on_floor,
    play,
    reply,
    seen,
    state_of,
)

ASK_GOODBYE = POLICY.wording.ask_goodbye
NOISE: list[Step] = [(4.1, Signal.VOICE_BEGAN), (4.9, VoiceEnded(4.6))]


# The end


def test_a_function_that_ends_beside_the_end_leaves_the_goodbye_said() -> None:
    beside: list[Step] = [*GOODBYE[:2], (3.2, FunctionsAsked(("note", "end"))), (3.3, FunctionDone("note"))]

    got = seen(*beside, (3.4, EndWanted("end", "done")), (3.5, Signal.AUDIO_DONE), (4, Signal.PLAYED), until=9)

    assert effects_of(got) == [EndConversation("completed", "done", heard=True)]


def test_so_does_one_that_ends_behind_it() -> None:
    got = seen(*GOODBYE, (3.4, FunctionsAsked(("note",))), (3.5, FunctionDone("note")), (4, Signal.PLAYED), until=9)

    assert effects_of(got) == [EndConversation("completed", "done", heard=True)]


def test_a_function_beside_the_end_says_no_goodbye() -> None:
    beside: list[Step] = [(3.2, FunctionsAsked(("note", "end"))), (3.3, FunctionDone("note"))]

    assert effects_of(seen(*beside, (3.4, EndWanted("end", "done")), until=4)) == [AnswerFunction("end", ASK_GOODBYE)]


def test_who_speaks_as_the_agent_ends_behind_its_goodbye_is_not_hung_up_on() -> None:
    """The line alone carries them yet."""
    said: list[Step] = [*reply(1, "Goodbye!"), (8.9, Signal.VOICE_BEGAN), (9, EndWanted("e", "done"))]

    assert seen(*said, until=13.9) == []


def test_nor_is_who_speaks_where_no_goodbye_comes() -> None:
    ends: list[Step] = [(1, FunctionsAsked(("e",))), (1, EndWanted("e", "done"))]
    spoken: list[Step] = [(9, Signal.VOICE_BEGAN), (9.1, Signal.CALLER_STARTED_SPEAKING)]

    assert effects_of(seen(*ends, *spoken, until=15)) == [AnswerFunction("e", ASK_GOODBYE), clip()]


# A person, and another agent


@pytest.mark.parametrize(("asked", "noise"), [(5.4, []), (5.6, NOISE)], ids=["the sentence", "a noise behind it"])
def test_who_is_being_put_through_has_waited_since_the_last_that_was_heard(asked: float, noise: list[Step]) -> None:
    wanted: list[Step] = [*reply(3, "I put you through.", played=1), (3.2, FunctionsAsked(("t",)))]

    filled = 8.6 if noise else 8.0

    got = seen(*wanted, *noise, (4.4, TransferWanted("t")), until=filled)

    assert got == [(asked, PutThrough("t")), (filled, clip())]


ENDS: list[Step] = [(3, FunctionsAsked(("e",))), (3, EndWanted("e", "done"))]
TRANSFER: list[Step] = [(3.2, FunctionsAsked(("t",))), (3.3, TransferWanted("t"))]
SENTENCE = reply(3, "I put you through.", played=1)
PLAYED: list[Step] = [(6.5, Signal.PLAYED), (11, Signal.PLAYED), (15.5, Signal.PLAYED)]
"""Behind each clip."""


@pytest.mark.parametrize(
    ("steps", "at_once", "done", "waited"),
    [
        ([*GOODBYE, (4, Signal.PLAYED)], 4.3, 7.0, 8.0),
        ([*caller_says(1), *ENDS, *PLAYED], 13.0, 16.0, 16.0),
        ([*caller_says(1), *SENTENCE, *TRANSFER], 4.5, 7.0, 7.0),
        ([*caller_says(1), *TRANSFER, *PLAYED], 4.3, 7.0, 7.0),
    ],
    ids=["a goodbye", "no goodbye", "a transfer", "a transfer without a word"],
)
def test_only_lasting_work_that_is_asked_for_behind_a_decision_is_waited_for(
    steps: list[Step], at_once: float, done: float, waited: float
) -> None:
    """Behind a goodbye that was said, the model has a second for a word about it."""

    def carried_out(asked: FunctionsAsked, done: float) -> float:
        behind: list[Step] = [(3.4, asked), (done, FunctionDone("w"))]
        got = seen(*sorted(steps + behind, key=lambda step: step[0]), until=30)
        return next(at for at, effect in got if isinstance(effect, EndConversation | PutThrough))

    assert carried_out(FunctionsAsked(("w",)), 20.0) == pytest.approx(at_once)
    assert carried_out(FunctionsAsked(("w",), ("w",)), done) == pytest.approx(waited)


def test_a_transfer_that_is_announced_outlives_its_session_though_it_has_asked_for_something_that_lasts_not() -> None:
    lost: list[Step] = [(3.4, FunctionsAsked(("w",))), (3.5, Signal.FLOOR_VACATED), (4, Signal.PLAYED)]

    got = seen(*caller_says(1), *SENTENCE[:3], *TRANSFER, *lost, until=5)

    assert [effect for effect in effects_of(got) if isinstance(effect, PutThrough)]


def test_a_transfer_that_waits_for_work_is_filled_by_clips() -> None:
    asked: list[Step] = [*SENTENCE, *TRANSFER, (3.4, FunctionsAsked(("w",), ("w",)))]

    assert seen(*caller_says(1), *asked, until=9) == [(8.0, clip())]


def test_a_handoff_that_is_withdrawn_is_over_for_the_next_one() -> None:
    turn = on_floor()
    first: list[Step] = [(1, HandoffWanted("a")), (2, FunctionCancelled("a"))]

    play(turn, [*first, (3, HandoffWanted("b")), (4, FunctionCancelled("b"))])

    assert turn.phase is Phase.CONVERSING


def test_a_refusal_is_none_of_what_interrupts() -> None:
    turn = on_floor()

    play(turn, [(0.1, FloorGiven(owes=True, greeting="Hi.")), (0.2, Signal.SAY_REFUSED)])

    assert turn.session.is_to_say(SpeechKind.GREETING)


# Functions


def test_words_in_the_moment_of_a_functions_end_answer_it() -> None:
    turn = on_floor()
    asked: list[Step] = [*caller_says(1), (3, FunctionsAsked(("f",))), (4, FunctionDone("f"))]

    play(turn, [*asked, (4, AgentSaid("On Tuesday.")), (4, Signal.AUDIO_BEGAN), (4.5, Signal.AUDIO_DONE)])

    assert turn.debt is Debt.SETTLED


def test_a_deed_that_was_announced_and_is_done_is_not_reminded_of() -> None:
    announced: list[Step] = [*caller_says(1), *reply(3, "I note it.", played=0.8, announces="note")]
    done: list[Step] = [(3.6, FunctionsAsked(("note",))), (4, FunctionDone("note")), *reply(4.5, "It is noted.")]

    assert seen(*announced, *done, until=9) == []


def test_the_patience_with_a_model_counts_from_the_end_of_its_function() -> None:
    clips: list[Step] = [(at, Signal.PLAYED) for at in range(7, 28, 5)]
    done: list[Step] = [(21.5, FunctionDone("f")), (21.6, Signal.THINKING_BEGAN)]

    got = seen(*caller_says(1), (3, FunctionsAsked(("f",))), *clips, *done, until=29)

    assert not [effect for effect in effects_of(got) if isinstance(effect, EndSession)]


def test_the_words_of_a_slow_function_are_not_said_once_it_is_done() -> None:
    slow: list[Step] = [(3, FunctionsAsked(("f",))), (3.1, RemarkMade("Searching.", for_wait=True))]

    assert seen(*caller_says(1), *slow, (3.2, FunctionDone("f")), until=5) == [(5, filler_asked())]


def test_nor_are_they_lost_when_another_function_is_asked_for_meanwhile() -> None:
    asked: list[Step] = [(3, FunctionsAsked(("f",))), (3.1, RemarkMade("Searching.", for_wait=True))]

    assert seen(*caller_says(1), *asked, (3.5, FunctionsAsked(("g",))), until=5) == [(5, filler_asked("Searching."))]


# A session, and what it is told


def test_words_to_a_lost_session_are_no_answer_to_what_the_next_one_owes() -> None:
    turn = on_floor()
    given: list[Step] = [(6, Signal.FLOOR_VACATED), (6.5, FloorGiven(owes=True))]

    play(turn, [*caller_says(1), *reply(3), *given, *filler(8.2)], 9)

    assert turn.debt is Debt.OWED


def test_the_same_words_to_another_session_are_a_turn() -> None:
    turn = on_floor()

    play(turn, [(2, CallerSaid("When?")), (3, FloorGiven(owes=True)), (3.5, CallerSaid("When?"))])

    assert turn.event == CallerSaid("When?")


def test_the_callers_first_words_are_no_late_ones() -> None:
    turn = on_floor()

    play(turn, caller_says(1))

    assert not isinstance(turn.event, TurnToldLate)


@pytest.mark.parametrize(
    ("signs", "caller"),
    [
        ([(2.1, Signal.VOICE_BEGAN)], CallerState.HEARD),
        ([(2.1, Signal.CALLER_STARTED_SPEAKING)], CallerState.HEARD),
        ([(2.45, Signal.CALLER_STARTED_SPEAKING)], CallerState.QUIET),
        ([], CallerState.QUIET),
    ],
    ids=["on a loud line", "the second", "that comes twice", "the only one"],
)
def test_one_start_is_that_of_what_was_told_and_the_others_are_the_callers(
    signs: list[Step], caller: CallerState
) -> None:
    turn = on_floor()

    play(turn, [*reply(0.5, played=1)[:3], (2, KeysEntered("5")), *signs, (2.5, Signal.CALLER_STARTED_SPEAKING)])

    assert turn.caller is caller


@pytest.mark.parametrize("news", [KeysEntered("5"), FunctionDone("f")], ids=["keys", "a function"])
def test_a_service_that_answers_news_which_was_under_way_may_hear_the_caller(news: Event) -> None:
    for told, caller in ((1.5, CallerState.QUIET), (1.8, CallerState.HEARD)):
        turn = on_floor()
        starts = (told + 0.05, 2) if isinstance(news, KeysEntered) else (2,)  # the first is that of the keys
        heard = [(at, Signal.CALLER_STARTED_SPEAKING) for at in starts]

        play(turn, [(1, FunctionsAsked(("f",))), (told, news), *heard, (2.4, Signal.AUDIO_BEGAN)])
        play(turn, [(2.4, AgentSaid("You pressed five."))])

        assert turn.caller is caller


def test_a_remark_can_be_withdrawn() -> None:
    made: list[Step] = [(0.1, Signal.VOICE_BEGAN), (1, RemarkMade("Soon.")), (2, RemarkMade(""))]

    assert seen(*made, (4, VoiceEnded(3)), until=9) == []


def test_no_more_keys_wait_than_there_is_room_for() -> None:
    turn = on_floor()
    most = POLICY.numbers.most_keys

    got = play(turn, [(0.1, FloorGiven(owes=True)), (1, KeysEntered("1" * most)), (2, KeysEntered("2")), *reply(3)])

    assert [effect.keys for effect in effects_of(got) if isinstance(effect, TellAsCaller)] == [("1" * most,)]


def test_what_is_torn_is_not_asked_for_while_something_else_is_told() -> None:
    cut: list[Step] = [(3.4, Signal.CALLER_STARTED_SPEAKING), (4, Signal.NOTHING_UNDERSTOOD)]
    keys = KeysEntered("5")

    got = seen(*caller_says(1), *reply(3, "We have")[:2], *cut, (4.1, keys), (4.2, Signal.PLAYED), until=6)

    assert TellAsCaller(POLICY.wording.go_on) not in effects_of(got)


def test_words_that_end_without_audio_are_over_before_a_filler_comes() -> None:
    turn = on_floor()

    play(turn, [*caller_says(1), (3, AgentSaid("On Tuesday.")), (3.1, Signal.AUDIO_DONE)], 4.6)

    assert turn.voice is VoiceState.IDLE


def test_a_late_filler_is_not_kept_with_the_answer_that_a_noise_has_cut() -> None:
    turn = on_floor()
    late: list[Step] = [*caller_says(1), *reply(5.2)[:3], (6, AgentSaid(FIRST))]

    play(turn, [*late, (6.2, Signal.CALLER_STARTED_SPEAKING)])

    assert turn.gate is Gate.SHUT


def test_a_filler_behind_words_before_a_function_answers_nothing_when_it_is_resumed() -> None:
    turn = on_floor()
    words: list[Step] = [
        (5.1, Signal.AUDIO_BEGAN),
        (5.1, FunctionsAsked(("look_up",))),
        (5.2, AgentSaid("Let me see.")),
    ]
    then: list[Step] = [(5.3, FunctionDone("look_up")), (5.5, AgentSaid(FIRST)), (6, Signal.AUDIO_DONE)]
    cut: list[Step] = [(6.5, Signal.CALLER_STARTED_SPEAKING), (7, Signal.NOTHING_UNDERSTOOD), (8, Signal.PLAYED)]

    play(turn, [*caller_says(1), *words, *then, *cut])

    assert turn.debt is Debt.OWED


TWO = Sentences(fillers=("Hold on. I will see.",))


@pytest.mark.parametrize("pieces", [["Hold on."] * 2, ["Hold on.", "I will see.", "I will see."]])
def test_a_filler_whose_words_come_twice_answers_nothing(pieces: list[str]) -> None:
    turn = on_floor(sentences=TWO)
    said: list[Step] = [(5.3, AgentSaid(piece)) for piece in pieces]

    play(turn, [*caller_says(1), (5.2, Signal.AUDIO_BEGAN), *said, (5.5, Signal.AUDIO_DONE), (6, Signal.PLAYED)])

    assert (turn.debt, turn.reply.kind) == (Debt.OWED, SpeechKind.FILLER)


def test_the_same_words_behind_the_end_of_a_filler_are_the_models_own() -> None:
    turn = on_floor()

    play(turn, [*caller_says(1), *filler(5.2), (8, AgentSaid(FIRST))])

    assert turn.reply.has_own_words


@pytest.mark.parametrize("before", [filler(5.2), [(4.9, AgentSaid("On Tuesday.")), (4.95, Signal.AUDIO_DONE)]])
def test_audio_without_words_of_its_own_answers_nothing_when_it_is_resumed(before: list[Step]) -> None:
    turn = on_floor()
    at = before[-1][0] + 0.7
    cut: list[Step] = [(at + 0.05, Signal.CALLER_STARTED_SPEAKING), (at + 0.7, Signal.AUDIO_DONE)]

    play(turn, [*caller_says(1), *before, (at, Signal.AUDIO_BEGAN), *cut, (at + 0.9, Signal.NOTHING_UNDERSTOOD)])

    assert turn.debt is Debt.OWED


def test_a_late_filler_that_never_has_audio_leaves_the_goodbye_before_it_said() -> None:
    ends: list[Step] = [(9, FunctionsAsked(("end",))), (9, EndWanted("end", "done"))]

    got = seen(*caller_says(1), *reply(5.2, "Goodbye!"), (6, AgentSaid(FIRST)), *ends, until=11)

    assert effects_of(got)[-1] == EndConversation("completed", "done", heard=True)


def test_who_whispers_is_not_hung_up_on_for_want_of_a_goodbye() -> None:
    ends: list[Step] = [(3.2, FunctionsAsked(("end",))), (3.2, EndWanted("end", "done"))]
    clips: list[Step] = [(7, Signal.PLAYED), (12, Signal.PLAYED)]
    whispers: list[Step] = [(12.5, Signal.CALLER_STARTED_SPEAKING), (16, CallerSaid("Wait!"))]

    got = seen(*caller_says(1), *ends, *clips, *whispers, until=16)

    assert effects_of(got)[-1] == AnswerFunction("end", POLICY.wording.reopened)


def test_a_late_filler_whose_words_come_twice_is_not_heard() -> None:
    turn = on_floor()

    play(turn, [*caller_says(1), *reply(5.2)[:3], (6, AgentSaid(FIRST)), (6.05, AgentSaid(FIRST))])

    assert turn.gate is Gate.SHUT


def test_words_upon_the_answer_of_a_function_do_not_prove_that_nobody_speaks() -> None:
    speaks: list[Step] = [(1.1, Signal.VOICE_BEGAN), (1.2, Signal.CALLER_STARTED_SPEAKING), (2.9, VoiceEnded(2.5))]
    function: list[Step] = [(1, FunctionsAsked(("look_up",))), (1.5, FunctionDone("look_up"))]

    got = seen(*function, *speaks, *GOODBYE, (3.5, Signal.PLAYED), (5, CallerSaid("And on Friday?")), until=5)

    assert effects_of(got) == [AnswerFunction("end", POLICY.wording.reopened)]


def test_polite_words_are_timed_when_they_come_and_not_by_what_came_before_them() -> None:
    voice: list[Step] = [(2.6, Signal.VOICE_BEGAN), (3.25, VoiceEnded(2.9))]
    begun: list[Step] = [(2.7, Signal.CALLER_STARTED_SPEAKING), *GOODBYE]

    got = seen(
        *caller_says(0.2), *voice, *begun, (4.8, CallerSaid("Mhm", is_courtesy=True)), (5, Signal.PLAYED), until=9
    )

    assert effects_of(got) == [EndConversation("completed", "done", heard=True)]


# What a second misfortune leaves of an answer


def test_words_that_never_had_audio_are_not_said_because_a_noise_cuts_the_filler_behind_them() -> None:
    turn = on_floor()
    unheard: list[Step] = [*caller_says(1), (3, AgentSaid("On Tuesday.")), *filler(5.2)]

    play(turn, [*unheard, (5.6, Signal.CALLER_STARTED_SPEAKING), (6, Signal.NOTHING_UNDERSTOOD), (7, Signal.PLAYED)])

    assert turn.debt is Debt.OWED


@pytest.mark.parametrize("at_last", ["a noise", "its session is lost"])
def test_the_rest_of_a_torn_answer_that_is_lost_as_well_is_asked_for_with_the_turn(at_last: str) -> None:
    go_on = POLICY.wording.go_on
    cut: list[Step] = [(3.4, Signal.CALLER_STARTED_SPEAKING), (4, Signal.NOTHING_UNDERSTOOD), (4.5, Signal.PLAYED)]
    torn: list[Step] = [*caller_says(1), *reply(3, "We have")[:2], *cut, (6.1, CallerSaid(go_on))]
    lost: dict[str, list[Step]] = {
        "a noise": [(6.5, Signal.CALLER_STARTED_SPEAKING), (7, Signal.NOTHING_UNDERSTOOD)],
        "its session is lost": [(6.5, Signal.FLOOR_VACATED), (7, FloorGiven(owes=False))],
    }

    told = [(at, effect.text) for at, effect in seen(*torn, *lost[at_last], until=7.2) if type(effect) is TellAsCaller]

    assert told == [(6, go_on), (7, "When can you come?")]


@pytest.mark.parametrize(
    "asked",
    [[(20, Signal.FLOOR_VACATED), (21, FloorGiven(owes=True))], [(16, KeysEntered("1"))]],
    ids=["session", "keys"],
)
def test_the_rest_of_a_torn_reply_is_asked_for_again_of_another_session_and_behind_keys(asked: list[Step]) -> None:
    cut: list[Step] = [(3.4, Signal.CALLER_STARTED_SPEAKING), (4, Signal.NOTHING_UNDERSTOOD), (4.5, Signal.PLAYED)]
    torn = [*reply(3, "We have")[:2], *cut]

    got = seen(*caller_says(1), *torn, *reply(8), *asked, *((at + 20, event) for at, event in torn), until=26.1)

    assert [at for at, effect in got if effect == TellAsCaller(POLICY.wording.go_on)] == [6, 26]


def test_keys_leave_nothing_of_a_deed_that_was_announced_before_them() -> None:
    announced = reply(3, "I put you through.", announces="transfer_to_human")
    pressed: list[Step] = [(5.2, KeysEntered("1")), *reply(6, "Tuesday it is.")]

    told = [at for at, effect in seen(*caller_says(1), *announced, *pressed, until=12) if type(effect) is TellAsCaller]

    assert told == [5.2]


@pytest.mark.parametrize("asked", [FIRST, ENGLISH.still_there])
def test_an_answer_is_resumed_though_what_was_asked_for_before_it_has_no_end(asked: str) -> None:
    unended: dict[str, list[Step]] = {
        FIRST: [*caller_says(1), *filler(5.2)],
        ENGLISH.still_there: [*reply(10.2, ENGLISH.still_there)],
    }
    steps = [step for step in unended[asked] if step[1] is not Signal.AUDIO_DONE]
    at = steps[-1][0]
    cut: list[Step] = [(at + 1.01, Signal.CALLER_STARTED_SPEAKING), (at + 1.5, Signal.NOTHING_UNDERSTOOD)]

    got = seen(*steps, (at + 1, Signal.AUDIO_BEGAN), *cut, until=at + 1.6)

    assert effects_of(got)[-2:] == [Aside.CUT, Aside.RESUME]


def test_the_words_of_an_answer_behind_a_filler_that_still_sounds_are_no_filler() -> None:
    turn = on_floor()

    play(turn, [*caller_says(1), *filler(5.2)[:2], (5.6, AgentSaid("On Tuesday."))])

    assert turn.reply.kind is SpeechKind.ANSWER


def test_a_torn_answer_is_torn_until_its_end_comes_however_many_pauses_it_has() -> None:
    cut: list[Step] = [(3.4, Signal.CALLER_STARTED_SPEAKING), (4, Signal.NOTHING_UNDERSTOOD), (4.5, Signal.PLAYED)]
    pieces: list[Step] = [(5, Signal.AUDIO_BEGAN), (5.2, Signal.PLAYED), (6, Signal.AUDIO_BEGAN), (6.2, Signal.PLAYED)]

    got = seen(*caller_says(1), *reply(3, "We have")[:2], *cut, *pieces, until=8)

    assert got[-1] == (7.7, TellAsCaller(POLICY.wording.go_on))


@pytest.mark.parametrize("behind", [[(4, Signal.THINKING_BEGAN)], [(13.4, Signal.SAY_REFUSED)]])
def test_a_torn_answer_is_torn_though_the_service_thinks_or_was_asked_for_a_question_behind_the_cut(
    behind: list[Step],
) -> None:
    """Random call 31000625: a fragment of 0.6 s was taken for the answer, and ten seconds of silence followed."""
    cut: list[Step] = [(3.4, Signal.VOICE_BEGAN), (3.4, Signal.CALLER_STARTED_SPEAKING)]
    ends = behind[0][0] + 0.1
    resumed: list[Step] = [(ends, VoiceEnded(ends)), (ends + 0.1, Signal.NOTHING_UNDERSTOOD), (ends + 1, Signal.PLAYED)]

    got = seen(*caller_says(1), *reply(3, "We have")[:2], *cut, *behind, *resumed, until=ends + 3)

    assert got[-1] == (ends + 2.5, TellAsCaller(POLICY.wording.go_on))


@pytest.mark.parametrize("is_told_first", [False, True])
def test_polite_words_leave_an_answer_torn_whether_or_not_the_end_of_the_turn_comes_before_them(
    is_told_first: bool,
) -> None:
    turn = on_floor()
    cut: list[Step] = [(3.4, Signal.VOICE_BEGAN), (3.4, Signal.CALLER_STARTED_SPEAKING), (3.8, VoiceEnded(3.8))]
    ended: list[Step] = [(4, Signal.THINKING_BEGAN)] if is_told_first else []

    steps = [*caller_says(1), *reply(3, "We have")[:2], *cut, *ended, (4, CallerSaid("Mhm.", is_courtesy=True))]
    got = effects_of(play(turn, [*steps, (5, Signal.PLAYED)], until=8.5))

    assert (got, turn.debt) == ([Aside.CUT, Aside.RESUME, filler_asked()], Debt.OWED)


def test_words_without_audio_that_were_cut_are_unsaid_when_something_else_sounds() -> None:
    turn = on_floor()
    cut: list[Step] = [(3, AgentSaid("On Tuesday.")), (3.2, Signal.VOICE_BEGAN), (3.2, Signal.CALLER_STARTED_SPEAKING)]
    other: list[Step] = [(4, Signal.THINKING_BEGAN), (4.5, Signal.AUDIO_BEGAN), (4.6, Signal.AUDIO_DONE)]

    play(turn, [*caller_says(1), *cut, (3.6, VoiceEnded(3.6)), *other])

    assert turn.debt is Debt.OWED


def test_a_reply_that_ends_just_behind_a_cut_was_interrupted() -> None:
    turn = on_floor()
    play(turn, [*caller_says(1), *reply(3)[:2], (3.4, Signal.CALLER_STARTED_SPEAKING)])
    cut = turn.is_whole(3.5), turn.is_whole(3.9)

    play(turn, [(3.9, CallerSaid("No.")), *reply(4.5)[:2], (4.8, CallerSaid("In May."))])

    assert (*cut, turn.is_whole(4.9)) == (False, True, True)


def test_an_answer_that_begins_while_the_caller_speaks_on_is_heard() -> None:
    speaks: list[Step] = [(1, Signal.VOICE_BEGAN), (1, Signal.CALLER_STARTED_SPEAKING)]

    assert seen(*speaks, (1.2, Signal.AUDIO_BEGAN), until=2) == []


@pytest.mark.parametrize(("voiced", "is_new"), [(1, False), (1.3, True)])
def test_an_answer_to_words_whose_sound_the_line_still_carries_is_heard_though_the_service_hears_more(
    voiced: float, is_new: bool
) -> None:
    loud: list[Step] = [(1, Signal.CALLER_STARTED_SPEAKING), (voiced, Signal.VOICE_BEGAN), (1.5, CallerSaid("When?"))]

    got = seen(*loud, (1.6, Signal.CALLER_STARTED_SPEAKING), (1.65, Signal.AUDIO_BEGAN), until=2)

    assert effects_of(got) == ([Aside.CUT] if is_new else [])


def test_a_session_that_is_to_greet_is_asked_for_no_rest_of_what_was_heard_before_it() -> None:
    lost: list[Step] = [*reply(1), (4, Signal.FLOOR_VACATED), (5, FloorGiven(owes=True))]

    got = seen(*lost, (5.1, Signal.CALLER_STARTED_SPEAKING), (5.5, Signal.NOTHING_UNDERSTOOD), until=5.6)

    assert effects_of(got) == []


def test_the_second_sentence_of_a_filler_is_a_filler_though_the_first_was_heard_before_it_came() -> None:
    turn = on_floor(sentences=TWO)
    began: list[Step] = [(5.2, Signal.AUDIO_BEGAN), (5.3, AgentSaid("Hold on.")), (6, Signal.PLAYED)]

    play(turn, [*caller_says(1), *began, (6.4, Signal.AUDIO_BEGAN), (6.5, AgentSaid("I will see."))])

    assert turn.reply.kind is SpeechKind.FILLER


@pytest.mark.parametrize(("gap", "kind"), [(0.05, SpeechKind.FILLER), (0.15, SpeechKind.ANSWER)])
def test_a_filler_that_comes_no_faster_than_it_is_spoken_is_a_filler_to_its_end(gap: float, kind: SpeechKind) -> None:
    turn = on_floor()
    began: list[Step] = [(5.2, Signal.AUDIO_BEGAN), (5.2, AgentSaid(FIRST)), (5.4, Signal.PLAYED)]

    play(turn, [*caller_says(1), *began, (5.4 + gap, Signal.AUDIO_BEGAN)])

    assert turn.reply.kind is kind


def test_words_close_behind_a_filler_are_another_reply_whose_sound_is_yet_to_come() -> None:
    turn = on_floor()
    began: list[Step] = [(5.2, Signal.AUDIO_BEGAN), (5.2, AgentSaid(FIRST)), (5.4, Signal.PLAYED)]

    play(turn, [*caller_says(1), *began, (5.45, AgentSaid("We have Tuesday."))])

    assert (turn.reply.kind, turn.reply.has_sound) == (SpeechKind.ANSWER, False)


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_session_that_is_lost_behind_a_noise_in_its_answer_leaves_the_rest_to_be_asked_for(is_answered: bool) -> None:
    begun = [*reply(3)[:2]] if is_answered else [(3.0, Signal.AUDIO_BEGAN)]
    lost: list[Step] = [(3.4, Signal.CALLER_STARTED_SPEAKING), (3.6, Signal.FLOOR_VACATED)]

    got = seen(*caller_says(1), *begun, *lost, (4, FloorGiven(owes=False)), until=4)

    assert effects_of(got)[-1] == TellAsCaller(POLICY.wording.go_on if is_answered else "When can you come?")


def test_an_echo_does_not_lengthen_the_silence_behind_an_answer_without_audio() -> None:
    said = "We have Tuesday and Friday."
    first = [*caller_says(1), *reply(3, played=3)]
    echo: list[Step] = [(4, Signal.CALLER_STARTED_SPEAKING), (5, CallerSaid(said))]
    again: list[Step] = [(5.5, Signal.CALLER_STARTED_SPEAKING), (7.5, FunctionsAsked(("look_up",)))]
    unheard: list[Step] = [(8, FunctionDone("look_up")), (8.5, AgentSaid(said)), (8.6, Signal.AUDIO_DONE)]

    got = seen(*first, *echo, *again, *unheard, (9, CallerSaid(said)), until=13)

    assert got[-2:] == [(10.5, filler_asked()), (11.5, clip())]


def test_who_was_asked_often_enough_is_not_asked_for_ever_because_the_line_echoes_each_question() -> None:
    """The service hears no echo: the line alone carries it, and that looks like a deaf service."""
    turn = on_floor()
    state_of(turn).times_asked = POLICY.numbers.silent_asks

    assert play(turn, [(1, Signal.VOICE_BEGAN), (2, VoiceEnded(1.9, deaf=True))], 8) == []
