"""What an event leaves behind for later: counts, words that wait, and clocks that begin anew."""

import pytest

from actors.policy import describe_keys
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
    EndWanted,
    Event,
    FloorGiven,
    FunctionDone,
    FunctionsAsked,
    KeysEntered,
    PutThroughFailed,
    RemarkMade,
    Signal,
    TransferWanted,
    VoiceEnded,
)
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from agents.sentences import ENGLISH
from tests.actors.turn.script import (
    ASK,
    FIRST,
    GOODBYE,
    LATE_VOICE,
    POLICY,
    Step,
    caller_says,
    effects_of,
    filler,
    filler_asked,
    lost,
    on_floor,
    play,
    prepared_turn,
    reply,
    seen,
)

WAIT = "Your file is large, one moment."
ANNOUNCED = SayAsAgent(SpeechKind.TRANSFER, ENGLISH.putting_through)


def test_a_goodbye_is_taken_back_twice_and_stands_the_third_time() -> None:
    steps = caller_says(1)
    for at, name in ((3, "first"), (8, "second"), (13, "third")):
        steps += [*reply(at, "Goodbye!"), (at + 0.2, EndWanted(name, "done"))]
        steps += [(at + 1, Signal.CALLER_STARTED_SPEAKING), (at + 2.5, CallerSaid(f"One more thing, {name}."))]
    answers = [effect for effect in effects_of(seen(*steps, until=30)) if isinstance(effect, AnswerFunction)]

    assert answers == [AnswerFunction(name, POLICY.wording.reopened) for name in ("first", "second")]


def test_what_was_said_with_a_function_is_no_goodbye_after_its_answer() -> None:
    steps = [*caller_says(1), (3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("Let me see.")), (3.2, FunctionsAsked(("f",)))]
    steps += [
        (3.5, Signal.AUDIO_DONE),
        (4, FunctionDone("f")),
        (4.1, FunctionsAsked(("e",))),
        (4.1, EndWanted("e", "done")),
    ]

    assert (4.1, AnswerFunction("e", POLICY.wording.ask_goodbye)) in seen(*steps, until=4.2)


def test_a_slow_functions_own_words_are_said_once_in_the_place_of_a_filler() -> None:
    asked: list[Step] = [*caller_says(1), (3, FunctionsAsked(("f",))), (3.1, RemarkMade(WAIT, for_wait=True))]

    assert seen(*asked, *filler(5.3, WAIT), until=9.6) == [(5.0, filler_asked(WAIT)), (9.5, filler_asked(FIRST))]


def test_a_functions_own_words_are_not_said_for_the_next_one() -> None:
    steps: list[Step] = [*caller_says(1), (3, FunctionsAsked(("f",))), (3.1, RemarkMade(WAIT, for_wait=True))]
    steps += [(3.5, FunctionDone("f")), (3.6, FunctionsAsked(("g",)))]

    assert seen(*steps, until=5.1) == [(5.0, filler_asked(FIRST))]


def test_keys_show_that_a_caller_is_there_who_was_asked_twice() -> None:
    steps: list[Step] = [*reply(10.2, ASK), *reply(22.4, ASK), (25, Signal.KEY_PRESSED), (27, KeysEntered("1"))]
    steps += [(27.5, CallerSaid("The caller pressed 1 on the keypad.")), *reply(29)]
    questions = [effect.kind for effect in effects_of(seen(*steps, until=42)) if isinstance(effect, SayAsAgent)]

    assert questions == [SpeechKind.QUESTION] * 3


def test_an_operator_may_want_the_caller_put_through_and_think_better_of_it() -> None:
    assert (1, ANNOUNCED) in seen((1, Signal.PERSON_WANTED), until=1.5)
    assert ANNOUNCED not in effects_of(
        seen(
            (1, Signal.FLOOR_VACATED),
            (2, Signal.PERSON_WANTED),
            (3, Signal.PERSON_UNWANTED),
            (4, FloorGiven(False)),
            until=6,
        )
    )


def test_the_silence_behind_an_operator_begins_when_the_agent_is_back() -> None:
    steps: list[Step] = [*reply(1), (5, Signal.TAKEN_OVER), (5, Signal.FLOOR_VACATED), (30, FloorGiven(owes=True))]

    assert seen(*steps, until=33.1) == [(33.0, filler_asked(silence=3.0))]


@pytest.mark.parametrize(("keys", "wants_person"), [("0", True), ("5", False)])
def test_who_asks_an_operator_for_a_person_has_one(keys: str, wants_person: bool) -> None:
    """What else they have pressed meanwhile is told to the agent."""
    taken: list[Step] = [(5, Signal.TAKEN_OVER), (5, Signal.FLOOR_VACATED), (9, KeysEntered(keys, wants_person))]

    got = seen(*reply(1), *taken, (30, FloorGiven(owes=False)), until=31)

    assert [type(effect) for _, effect in got] == ([] if wants_person else [TellAsCaller])


def test_a_session_that_was_restarted_has_all_the_time_to_think_anew() -> None:
    slow: list[Step] = [(at, event) for at in range(3, 60) for event in (Signal.THINKING_SLOW, Signal.PLAYED)]
    restarts = [at for at, effect in seen(*caller_says(1), *slow, until=60) if isinstance(effect, EndSession)]
    again: list[Step] = [(15, Signal.FLOOR_VACATED), (15.3, FloorGiven(owes=True))]
    later = [at for at, effect in seen(*caller_says(1), *slow, *again, until=60) if isinstance(effect, EndSession)]

    assert restarts[0] < 15.3 + POLICY.deadlines.think_patience <= later[0]


def test_audio_behind_a_filler_is_an_answer_that_a_noise_does_not_take_away() -> None:
    steps: list[Step] = [*caller_says(1), *filler(5.2), (7, Signal.AUDIO_BEGAN), (7.2, Signal.CALLER_STARTED_SPEAKING)]
    done = seen(*steps, (8, Signal.NOTHING_UNDERSTOOD), until=8.1)

    assert done[-2:] == [(7.2, Aside.CUT), (8, Aside.RESUME)]


def test_a_transfer_refuses_no_end_that_a_lost_session_has_asked_for() -> None:
    script: list[Step] = [*caller_says(1), (3, FunctionsAsked(("e",))), (3.1, EndWanted("e", "done")), *lost(4)]
    wanted: list[Step] = [(5, FunctionsAsked(("t",))), (5.1, TransferWanted("t"))]

    got = effects_of(seen(*script, *wanted, until=5.2))

    assert AnswerFunction("e", POLICY.wording.refused) not in got


def test_an_order_to_put_the_caller_through_that_came_to_nothing_is_over() -> None:
    got = seen((1, Signal.PERSON_WANTED), (4, PutThroughFailed("nobody")), until=6)

    assert [at for at, effect in got if effect == ANNOUNCED] == [1]


# Polite words

SPOKEN: list[Step] = [(4.0, Signal.CALLER_STARTED_SPEAKING), (4.0, Signal.VOICE_BEGAN), (4.6, VoiceEnded(4.6))]
POLITELY: list[Step] = [*SPOKEN, (5.0, CallerSaid("Thank you.", is_courtesy=True))]
GOODBYE_TOO: list[Step] = [*SPOKEN, (5.0, CallerSaid("Thank you, bye.", is_courtesy=True, is_farewell=True))]


@pytest.mark.parametrize("polite", [POLITELY, GOODBYE_TOO])
def test_polite_words_over_a_goodbye_take_nothing_back(polite: list[Step]) -> None:
    ended = EndConversation("completed", "done", heard=True)

    assert seen(*GOODBYE, *polite, (5.5, Signal.PLAYED), until=9) == [(5.5 + LATE_VOICE, ended)]


def test_nor_do_they_over_the_sentence_before_a_transfer() -> None:
    announced: list[Step] = [*reply(3, "I put you through.", played=3)[:2], (3.2, TransferWanted("t"))]

    got = seen(*announced, (3.5, Signal.AUDIO_DONE), *POLITELY, (6, Signal.PLAYED), until=7)

    assert got == [(6 + LATE_VOICE, PutThrough("t"))]


def test_nor_do_they_take_back_one_that_they_have_cut() -> None:
    goodbye: list[Step] = [(3.9, Signal.AUDIO_BEGAN), (3.95, AgentSaid("Goodbye!")), (4.2, EndWanted("end", "done"))]
    ended = EndConversation("completed", "done", heard=True)

    got = seen(*goodbye, *POLITELY, (6, Signal.PLAYED), until=9)

    assert got == [(4, Aside.CUT), (5, Aside.RESUME), (7.5, ended)]


SAID = [*reply(3, "We have Tuesday and Friday.", played=9)[:3]]
"""An answer that sounds beyond the polite words, and was received whole before them."""


@pytest.mark.parametrize(
    "steps",
    [
        [
            (3, Signal.AUDIO_BEGAN),
            (3.1, AgentSaid("Is that all?", asks=True)),
            (3.2, EndWanted("end", "done")),
            *POLITELY,
        ],
        [*GOODBYE[:3], (4.5, EndWanted("end", "done")), *POLITELY],
        [*SAID, (3.9, Signal.PLAYED), *POLITELY],
        [*SAID[:1], (3.1, AgentSaid("Is it Tuesday?", asks=True)), *POLITELY],
        [*SAID, *GOODBYE_TOO],
    ],
    ids=[
        "a question",
        "a decision upon them",
        "an answer that was heard",
        "a question in a conversation",
        "a farewell",
    ],
)
def test_they_are_answered_elsewhere(steps: list[Step]) -> None:
    turn = on_floor()

    got = play(turn, steps, 5)

    assert turn.debt is Debt.OWED or AnswerFunction("end", POLICY.wording.ask_goodbye) in effects_of(got)


@pytest.mark.parametrize("told", [POLITELY, POLITELY[1:]], ids=["as speech", "with no start told"])
def test_polite_words_into_an_answer_do_not_cost_the_caller_the_rest_of_it(told: list[Step]) -> None:
    """Nothing is owed behind it: the caller has asked for nothing, and the model may answer or not."""
    turn = on_floor()

    got = effects_of(play(turn, [*SAID, *told, (8, Signal.PLAYED)], 17.9))

    assert got == ([Aside.CUT, Aside.RESUME] if len(told) == len(POLITELY) else [])
    assert turn.debt is Debt.SETTLED


@pytest.mark.parametrize("told", [POLITELY, POLITELY[1:]], ids=["as speech", "with no start told"])
def test_what_was_said_before_them_is_no_goodbye_upon_them(told: list[Step]) -> None:
    got = seen(*SAID, *told, (5.4, FunctionsAsked(("e",))), (5.4, EndWanted("e", "done")), until=5.5)

    assert AnswerFunction("e", POLICY.wording.ask_goodbye) in effects_of(got)


def test_nor_is_anything_owed_behind_an_answer_that_they_have_not_cut_and_that_is_still_coming() -> None:
    coming: list[Step] = [*caller_says(1), *SAID[:2]]

    assert seen(*coming, (3.6, POLITELY[-1][1]), (4.1, Signal.AUDIO_DONE), (6, Signal.PLAYED), until=15.9) == []


def test_the_model_owes_the_rest_of_what_they_have_broken_off() -> None:
    got = seen(*caller_says(1), *SAID[:2], *POLITELY, (4.1, Signal.AUDIO_DONE), (6, Signal.PLAYED), until=9)

    assert got == [(4, Aside.CUT), (5, Aside.RESUME), (9, filler_asked())]


# The agent's own words, which the line carries back to the service

LONG = "We have Tuesday at nine, and Friday at half past ten."
ECHO = "we have tuesday at nine on friday"
ECHOED: list[Step] = [(4.0, Signal.CALLER_STARTED_SPEAKING), (5.0, CallerSaid(ECHO))]


@pytest.mark.parametrize(
    ("until", "is_read", "is_loud"), [(4.9, False, True), (5.2, True, True), (4.9, False, False), (5.2, True, False)]
)
def test_a_voice_that_goes_on_behind_what_was_cut_is_the_callers(until: float, is_read: bool, is_loud: bool) -> None:
    cut: list[Step] = [(4, Signal.VOICE_BEGAN), (4, Signal.CALLER_STARTED_SPEAKING)]
    ends: list[Step] = [] if is_loud else [(until + 0.3, VoiceEnded(until))]
    said = (until + 0.01 if is_loud else until + 0.4, CallerSaid("we have tuesday and friday"))

    got = effects_of(seen(*caller_says(1), *reply(3)[:3], *cut, *ends, said, until=said[0]))

    assert got == [Aside.CUT, Aside.FORGET if is_read else Aside.RESUME]


def test_who_has_read_back_what_was_cut_is_heard_though_another_reply_sounds() -> None:
    turn = on_floor()
    read: list[Step] = [(4, Signal.VOICE_BEGAN), (4, Signal.CALLER_STARTED_SPEAKING), (4.2, KeysEntered("5"))]
    heard: list[Step] = [(4.3, CallerSaid(describe_keys(("5",)))), (6.5, VoiceEnded(6)), (7, CallerSaid(ECHO))]

    play(turn, [*reply(3, LONG, played=6)[:3], *read, *heard, *reply(5, "Five.", played=5)[:3]])

    assert turn.debt is Debt.OWED


def test_an_echo_is_no_turn_and_cuts_one_reply_at_most() -> None:
    turn = on_floor()
    answer: list[Step] = [*reply(13, "On Friday we have half past ten, and eleven.", played=6)]
    again: list[Step] = [(14, Signal.CALLER_STARTED_SPEAKING), (15, CallerSaid("friday we have half past ten"))]

    got = effects_of(play(turn, [*reply(3, LONG, played=6), *ECHOED, *answer, *again], 17.9))

    assert got == [Aside.CUT, Aside.RESUME]
    assert (turn.debt, turn.last_turn) == (Debt.SETTLED, "")


def test_nor_is_one_that_is_transcribed_when_the_reply_was_heard() -> None:
    turn = on_floor()
    turn.hears_itself = True

    play(turn, [*reply(3, LONG, played=1.5), *ECHOED], 6)

    assert (turn.debt, turn.caller) == (Debt.SETTLED, CallerState.QUIET)
    assert turn.repeats(ECHO), "a message that comes twice is noted once"


@pytest.mark.parametrize("shut", [VoiceState.CUT, VoiceState.LATE], ids=["a goodbye", "a filler"])
def test_what_comes_behind_an_echo_is_heard_though_what_came_before_it_is_dropped(shut: VoiceState) -> None:
    turn, state = prepared_turn(voice=shut, sounding=True, own_words=LONG)
    state.at.cut = 10

    play(turn, [(10.1, CallerSaid(ECHO))])

    assert turn.gate is Gate.OPEN


def test_an_echo_is_one_though_keys_were_told_since() -> None:
    turn = on_floor()
    keys: list[Step] = [(4.1, KeysEntered("5")), (4.4, CallerSaid(describe_keys(("5",))))]

    play(turn, [*reply(3, LONG, played=6)[:3], *keys, *ECHOED])

    assert (turn.debt, turn.last_turn) == (Debt.OWED, "")


@pytest.mark.parametrize(("later", "length", "is_echo"), [(0.2, 0.5, True), (1.2, 0.5, False), (0.2, 1.5, False)])
def test_a_line_that_cuts_at_once_what_was_resumed_and_carries_no_words_carries_the_agent_back(
    later: float, length: float, is_echo: bool
) -> None:
    """A speaker phone: each piece of the reply would come back, and be heard as the next start of speech."""

    def sounds(at: float, until: float) -> list[Step]:
        return [(at, Signal.VOICE_BEGAN), (at + 0.1, Signal.CALLER_STARTED_SPEAKING), (until, VoiceEnded(until))]

    again = 4 + POLICY.deadlines.false_start + later
    third = again + length + POLICY.deadlines.false_start + 0.2
    steps = [*sounds(3.5, 4), *sounds(again, again + length), *sounds(third, third + 0.5)]

    got = seen(*reply(3, LONG, played=30)[:3], *steps, until=third + 1)

    assert effects_of(got) == [*2 * [Aside.CUT, Aside.RESUME], *([] if is_echo else [Aside.CUT])]


def test_what_a_caller_says_over_a_reply_on_such_a_line_cuts_it_when_it_is_transcribed() -> None:
    turn = on_floor()
    turn.hears_itself = True

    got = play(turn, [*reply(3, LONG, played=6)[:3], ECHOED[0], (5, CallerSaid("No, I mean in October."))])

    assert got == [(5, Aside.CUT), (5, Aside.FORGET)]
    assert not turn.hears_itself


@pytest.mark.parametrize(
    "said",
    [
        [ECHOED[0], (5, CallerSaid("We have Tuesday at seven, I see."))],
        [ECHOED[0], (5, CallerSaid("Tuesday at nine."))],
        [(5.5, Signal.CALLER_STARTED_SPEAKING), (6.5, CallerSaid(ECHO))],
        [(6.5, CallerSaid(ECHO))],
    ],
    ids=["other words", "a choice", "behind the reply", "behind the reply, with no start told"],
)
def test_a_caller_who_repeats_the_agents_words_is_answered(said: list[Step]) -> None:
    turn = on_floor()

    play(turn, [*reply(3, LONG, played=2), *said])

    assert turn.debt is Debt.OWED


def test_so_is_one_whose_words_the_agent_has_said_here_and_there() -> None:
    said = "Of course. I would like to tell you about it first. You can come to the office, or call us, on any Tuesday."
    turn = on_floor()

    cut = (5, Signal.CALLER_STARTED_SPEAKING)
    play(turn, [*reply(3, said, played=6)[:3], cut, (6, CallerSaid("I would like to come to the office on Tuesday."))])

    assert turn.debt is Debt.OWED


@pytest.mark.parametrize("is_clip", [False, True])
def test_so_is_one_whose_words_are_told_while_something_sounds_that_began_later(is_clip: bool) -> None:
    turn = on_floor()
    play(turn, [*reply(3, LONG, played=2), (5.5, Signal.CALLER_STARTED_SPEAKING), (6.5, Signal.SERVICE_THERE)])
    if is_clip:
        turn.play_clip()
    else:
        play(turn, reply(6.5, FIRST)[:2])

    play(turn, [(7, CallerSaid(ECHO))])

    assert turn.last_turn == ECHO


# Words between two sentences of what goes with a decision


@pytest.mark.parametrize("wanted", [EndWanted("d", "done"), TransferWanted("d")], ids=["a goodbye", "a transfer"])
def test_the_second_sentence_does_not_answer_them_though_it_begins_before_their_transcript(wanted: Event) -> None:
    """Also where they began just before the decision."""
    first: list[Step] = [(3, Signal.AUDIO_BEGAN), (3.1, AgentSaid("Thank you.")), (4, Signal.PLAYED)]
    words: list[Step] = [(4.2, Signal.VOICE_BEGAN), (4.3, Signal.CALLER_STARTED_SPEAKING), (4.8, VoiceEnded(4.8))]
    second: list[Step] = [(5, Signal.AUDIO_BEGAN), (5.1, AgentSaid("Goodbye!")), (5.3, Signal.AUDIO_DONE)]
    told: Step = (5.4, CallerSaid("And the price?"))

    over, before = on_floor(), on_floor()
    play(over, [*first, (3.2, wanted), *words, *second, told])
    play(before, [*first, (3.3, Signal.AUDIO_DONE), *words, (4.4, wanted), *second, told])

    assert over.phase is before.phase is Phase.CONVERSING
    assert over.debt is before.debt is Debt.OWED
