"""The tables of events: one for each of the four parts, a line for an event, a column for a state.

Each table is total over its states; an event that it does not name changes nothing in it. A cell holds rows in order,
and the first whose guard holds is taken. `docs/turns.md` shows the same tables.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias

import attrs

from actors.turn.actions import doubt_hearing, false_start, restart_for_operator, say_closing, take_debt_over
from actors.turn.effects import EndCallersTurn, FreeTape, HoldTape, TellReason
from actors.turn.events import (
    AgentSaid,
    AudioBegan,
    AudioDone,
    BeepHeard,
    CallerSaid,
    CallerStartedSpeaking,
    EndCancelled,
    EndWanted,
    FloorGiven,
    FloorVacated,
    FunctionDone,
    FunctionsAsked,
    HandoffEnded,
    HandoffWanted,
    InjectionBegan,
    KeysEntered,
    LateFillerBegan,
    NothingUnderstood,
    PutThroughFailed,
    Recognised,
    RestartWanted,
    SayRefused,
    TakenOver,
    ThinkingBegan,
    ToldEchoed,
    ToldHeard,
    TransferCancelled,
    TransferWanted,
    VoiceEnded,
)
from actors.turn.state import TurnState
from actors.turn.values import CallerState, Debt, Phase, SpeechKind, VoiceState

RowAction: TypeAlias = Callable[[TurnState, Any], None]
Guard: TypeAlias = Callable[[TurnState, Any], bool]


@attrs.frozen
class Row:
    """The next state, if it is another one, and what is done; taken if the guard holds."""

    to: Enum | None = None
    actions: tuple[RowAction, ...] = ()
    guard: Guard | None = None


Cell: TypeAlias = tuple[Row, ...]
_NOTHING = Row()
STAY: Cell = (_NOTHING,)


def to(state: Enum | None, *actions: RowAction, when: Guard | None = None) -> Cell:
    """Return a cell of one change; where the guard does not hold, nothing changes."""
    row = Row(state, actions, when)
    return (row,) if when is None else (row, _NOTHING)


def do(*actions: RowAction, when: Guard | None = None) -> Cell:
    """Return a cell that keeps the state."""
    return to(None, *actions, when=when)


@attrs.define
class Table:
    """The rows of one part of the state, which is a field of `TurnState`."""

    part: str
    states: type[Enum]
    lines: dict[type[Recognised], dict[Enum, Cell]]

    def row(self, state: TurnState, event: Recognised) -> Row:
        """Choose the row for an event by the state before it."""
        line = self.lines.get(type(event))
        if line is None:
            return _NOTHING
        return next(row for row in line[getattr(state, self.part)] if row.guard is None or row.guard(state, event))

    def move(self, state: TurnState, row: Row) -> None:
        """Take the state that the row names."""
        if row.to is not None:
            setattr(state, self.part, row.to)


def table(part: str, states: type[Enum], lines: dict[type[Recognised], tuple[Cell, ...]]) -> Table:
    """Build a table from its lines, each with a cell for each state in their order."""
    return Table(part, states, {event: dict(zip(states, line, strict=True)) for event, line in lines.items()})


# Guards


def a_reply_may_be_cut(state: TurnState, _: Recognised) -> bool:
    return state.phase is Phase.CONVERSING


def a_start_may_cut_it(state: TurnState, _: Recognised) -> bool:
    """What a false start has cut already is cut again only if the line, too, carries a voice."""
    return state.phase is Phase.CONVERSING and (state.is_loud or not state.is_resumed)


def something_sounds(state: TurnState, event: Recognised) -> bool:
    return state.sounding and a_start_may_cut_it(state, event)


def the_line_is_loud(state: TurnState, _: Recognised) -> bool:
    return state.is_loud


def a_resumed_reply_sounds(state: TurnState, _: Recognised) -> bool:
    return state.phase is Phase.CONVERSING and state.is_resumed


def the_service_hears_nobody(state: TurnState, _: AgentSaid) -> bool:
    """The service does not speak while it hears the caller; but a sentence of a goodbye may come late."""
    return not state.is_loud and state.voice is not VoiceState.CUT and state.phase is not Phase.ENDING


def nobody_is_spoken_over(state: TurnState, event: InjectionBegan) -> bool:
    """The service refuses a question while it hears the caller; it never refuses what interrupts."""
    return not state.is_loud or event.kind is SpeechKind.QUESTION


def the_refusal_proves_speech(state: TurnState, _: SayRefused) -> bool:
    return state.is_loud and not state.sounding and state.voice is VoiceState.IDLE


def words_are_audible(state: TurnState, _: Recognised) -> bool:
    return state.is_audible


def it_has_sound(state: TurnState, _: AudioDone) -> bool:
    """The end of the audio is not the end of a reply that has had none: it may have come first."""
    return state.has_sound


def the_reply_went_on(state: TurnState, _: AudioDone) -> bool:
    return state.went_on(state.now)


def it_is_answered(state: TurnState, _: AudioDone) -> bool:
    """The agent's words are what the caller waits for, and not a person."""
    return state.is_answered and state.phase is not Phase.PUTTING_THROUGH


def it_is_to_be_answered(state: TurnState, _: CallerSaid) -> bool:
    if state.ends_upon_words:
        return not state.has_answered_speech
    return state.phase is not Phase.ENDING or state.may_be_reopened


def the_turn_can_be_asked_again(state: TurnState, _: Recognised) -> bool:
    return state.last_turn != ""


def it_is_said_already(state: TurnState, _: Recognised) -> bool:
    """The agent has said what goes with it; what is refused settles nothing."""
    return state.has_spoken and state.phase is Phase.CONVERSING


def the_goodbye_is_not_under_way(state: TurnState, _: Recognised) -> bool:
    return state.phase is not Phase.ENDING


def they_converse(state: TurnState, _: Recognised) -> bool:
    return state.phase is Phase.CONVERSING


def the_service_is_deaf(state: TurnState, event: VoiceEnded) -> bool:
    return event.deaf and state.phase is Phase.CONVERSING


def the_session_owes_words(_: TurnState, event: FloorGiven) -> bool:
    return event.owes or event.ask != ""


def words_are_unread(state: TurnState, _: FloorGiven) -> bool:
    return state.is_unread and state.phase is Phase.CONVERSING


def it_leaves_something(state: TurnState, _: FloorVacated) -> bool:
    return state.debt is Debt.OWED or state.caller is CallerState.HEARD


def the_end_answers_them(state: TurnState, _: CallerSaid) -> bool:
    return state.ends_upon_words


def the_call_may_go_on(state: TurnState, _: CallerSaid) -> bool:
    return state.may_be_reopened


# Actions


def end_callers_turn(state: TurnState, _: Recognised) -> None:
    """The keys are the end of it: what was said before them is to be understood before them."""
    state.emit(EndCallersTurn())


def hear(state: TurnState, _: Recognised) -> None:
    state.at.heard = state.now


def wait_anew(state: TurnState, _: Recognised) -> None:
    state.wait_anew()


def take_floor(state: TurnState, event: FloorGiven) -> None:
    leave_floor(state, event)
    state.is_opened = not (event.owes or event.ask)
    if state.phase is not Phase.CONVERSING:
        return
    if event.ask:
        state.last_turn = ""
        state.tell(event.ask, TellReason.TURN_AGAIN)
    elif state.debt is Debt.OWED and not (event.owes or state.is_unended):
        take_debt_over(state)
    if event.greeting:
        state.say(SpeechKind.GREETING, event.greeting, interrupts=True)


def leave_floor(state: TurnState, _: Recognised) -> None:
    state.outstanding, state.rest, state.late_filler, state.told = None, "", "", ""
    state.unfilled, state.transfer = None, None
    state.running.clear()
    state.handoffs.clear()
    state.forget()


def forget(state: TurnState, _: Recognised) -> None:
    state.forget()


def set_aside_the_rest(state: TurnState, _: Recognised) -> None:
    state.set_aside(was_coming=True, is_wanted=state.kind is SpeechKind.ANSWER or state.sounds_wanted)


def set_aside(state: TurnState, _: Recognised) -> None:
    state.set_aside(was_coming=False, is_wanted=state.kind is SpeechKind.ANSWER or state.sounds_wanted)


def complete(state: TurnState, _: AudioDone) -> None:
    """All of what is aside has come: if it is played on, nothing of it is missing."""
    if state.aside is not None:
        state.aside = attrs.evolve(state.aside, was_coming=False)


def drop(state: TurnState, _: Recognised) -> None:
    state.forget()
    if state.sounding:
        state.drop()


def drop_the_rest(state: TurnState, _: Recognised) -> None:
    state.set_aside(was_coming=True, is_wanted=False)


def owe_an_answer(state: TurnState, _: CallerSaid) -> None:
    state.owe_answer()


def owe(state: TurnState, _: Recognised) -> None:
    state.owe(state.now)


def owe_since_the_last_sound(state: TurnState, _: FloorGiven) -> None:
    state.owe(state.last_sound)


def wait_for_the_unread(state: TurnState, _: FloorGiven) -> None:
    state.doubt(state.last_sound)


def settle(state: TurnState, _: Recognised) -> None:
    state.settle()


def hold(state: TurnState, event: HandoffWanted) -> None:
    state.handoffs.add(event.id)
    state.emit(HoldTape())


def free(state: TurnState, _: HandoffEnded) -> None:
    state.emit(FreeTape())


def hold_tape(state: TurnState, _: Recognised) -> None:
    state.emit(HoldTape())


def refuse(state: TurnState, event: HandoffWanted | TransferWanted | EndWanted) -> None:
    """Two decisions in one request: the first holds."""
    state.answer_function(event.id, state.wording.refused)


def start_transfer(state: TurnState, event: TransferWanted) -> None:
    state.transfer, state.wish, state.at.transfer = event.id, event.id, state.now


def fail_transfer(state: TurnState, event: PutThroughFailed) -> None:
    """The function that asked is answered by its task; where none did, or its session is gone, the agent is told."""
    if state.transfer is None:
        state.why_no_person = event.why
    state.transfer = None
    state.wait_anew()


def start_ending(state: TurnState, event: EndWanted) -> None:
    state.end, state.at.ending = event, state.now
    if not state.has_spoken:
        state.answer_function(event.id, state.wording.ask_goodbye)


def ask_goodbye(state: TurnState, _: CallerSaid) -> None:
    """What was said before the caller spoke is no goodbye."""
    if state.end is not None and not state.has_answered_speech:
        state.answer_function(state.end.id, state.wording.ask_goodbye)


def reopen(state: TurnState, _: CallerSaid) -> None:
    """The caller has spoken after the goodbye: it is answered, and the agent ends the conversation anew."""
    state.times_reopened += 1
    if state.end is not None:
        state.answer_function(state.end.id, state.wording.reopened)
    state.end = None


# The tables

QUIET, HEARD = CallerState
CALLER = table("caller", CallerState, {
    # QUIET, HEARD
    CallerStartedSpeaking: (to(HEARD, hear), do(hear, when=the_line_is_loud)),
    CallerSaid: (STAY, to(QUIET)),
    NothingUnderstood: (STAY, to(QUIET, false_start)),
    AgentSaid: (STAY, to(QUIET, when=the_service_hears_nobody)),
    InjectionBegan: (STAY, to(QUIET, wait_anew, when=nobody_is_spoken_over)),
    SayRefused: (to(HEARD, hear, when=the_refusal_proves_speech), STAY),
    FloorVacated: (STAY, to(QUIET)),
    KeysEntered: (STAY, do(end_callers_turn, when=they_converse)),
})  # fmt: skip

ABSENT, IDLE, COMING, CUT, LATE = VoiceState
_cut_what_sounds = do(set_aside, when=something_sounds)
_cut_what_comes = to(CUT, set_aside_the_rest, when=a_start_may_cut_it)
_hand_over = to(ABSENT, forget, when=a_reply_may_be_cut)
VOICE = table("voice", VoiceState, {
    # ABSENT, IDLE, COMING, CUT, LATE
    FloorGiven: (to(IDLE, take_floor),) * 5,
    FloorVacated: (to(ABSENT, leave_floor),) * 5,
    HandoffWanted: (STAY, _hand_over, _hand_over, _hand_over, _hand_over),
    HandoffEnded: (to(IDLE), STAY, STAY, STAY, STAY),
    AudioBegan: (STAY, to(COMING, forget), STAY, STAY, STAY),
    AgentSaid: (STAY, to(COMING, forget, when=words_are_audible), STAY, STAY, to(COMING)),
    InjectionBegan: (STAY, to(COMING, forget), STAY, STAY, to(COMING)),
    LateFillerBegan: (STAY, to(LATE), to(LATE), STAY, STAY),
    AudioDone: (STAY, STAY, to(IDLE, when=it_has_sound), do(complete, when=the_reply_went_on), to(IDLE)),
    CallerStartedSpeaking: (STAY, _cut_what_sounds, _cut_what_comes, STAY, STAY),
    ToldHeard: (STAY, _cut_what_sounds, _cut_what_comes, STAY, STAY),
    CallerSaid: (
        STAY,
        (Row(None, (drop,), a_resumed_reply_sounds), Row(None, (forget,))),
        to(IDLE, drop, when=a_reply_may_be_cut),
        to(IDLE, forget),
        to(IDLE),
    ),
    ToldEchoed: (STAY, do(forget), STAY, to(IDLE, forget), to(IDLE)),
    ThinkingBegan: (STAY, STAY, STAY, to(IDLE), STAY),
    EndCancelled: (STAY, do(drop), to(CUT, drop_the_rest), STAY, STAY),
    TransferCancelled: (STAY, do(drop), to(CUT, drop_the_rest), STAY, STAY),
    FunctionsAsked: (STAY, do(forget), STAY, to(IDLE, forget), to(IDLE)),
})  # fmt: skip

SETTLED, OWED = Debt
_owed_to_those_who_wait = (
    *to(OWED, owe_since_the_last_sound, when=the_session_owes_words)[:1],
    *to(OWED, wait_for_the_unread, when=words_are_unread),
)
DEBT = table("debt", Debt, {
    # SETTLED, OWED
    CallerSaid: (to(OWED, owe_an_answer, when=it_is_to_be_answered), do(owe_an_answer)),
    ToldEchoed: (to(OWED, owe), STAY),
    FunctionsAsked: (to(OWED, owe, when=the_goodbye_is_not_under_way), STAY),
    FunctionDone: (to(OWED, owe, when=the_goodbye_is_not_under_way), STAY),
    VoiceEnded: (to(OWED, doubt_hearing, when=the_service_is_deaf), do(doubt_hearing, when=the_service_is_deaf)),
    FloorGiven: (_owed_to_those_who_wait, STAY),
    EndCancelled: (to(OWED, owe, when=the_turn_can_be_asked_again), STAY),
    TransferCancelled: (to(OWED, owe, when=the_turn_can_be_asked_again), STAY),
    AudioDone: (STAY, to(SETTLED, settle, when=it_is_answered)),
    TransferWanted: (STAY, to(SETTLED, settle, when=it_is_said_already)),
    EndWanted: (STAY, to(SETTLED, settle, when=it_is_said_already)),
    TakenOver: (STAY, to(SETTLED, settle)),
})  # fmt: skip

CONVERSING, HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING, HUSHED, CLOSING, OVER, TAKEN_OVER = Phase
_refuse = do(refuse)
_said_into_the_end = (
    Row(None, (ask_goodbye,), the_end_answers_them),
    *to(CONVERSING, reopen, when=the_call_may_go_on),
)
_leave = to(CONVERSING, when=it_leaves_something)
PHASE = table("phase", Phase, {
    # CONVERSING, HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING, HUSHED, CLOSING, OVER, TAKEN_OVER
    HandoffWanted: (to(HANDING_OVER, hold), do(hold), _refuse, _refuse, _refuse, STAY, STAY, STAY, STAY),
    HandoffEnded: (STAY, to(CONVERSING, free), STAY, STAY, STAY, STAY, STAY, STAY, STAY),
    TransferWanted: (to(TRANSFERRING, start_transfer), _refuse, _refuse, _refuse, _refuse, STAY, STAY, STAY, STAY),
    TransferCancelled: (STAY, STAY, to(CONVERSING), STAY, STAY, STAY, STAY, STAY, STAY),
    PutThroughFailed: (STAY, STAY, STAY, to(CONVERSING, fail_transfer), STAY, STAY, STAY, STAY, STAY),
    EndWanted: (to(ENDING, start_ending), _refuse, _refuse, _refuse, _refuse, STAY, STAY, STAY, STAY),
    EndCancelled: (STAY, STAY, STAY, STAY, to(CONVERSING), STAY, STAY, STAY, STAY),
    CallerSaid: (STAY, STAY, STAY, STAY, _said_into_the_end, STAY, STAY, STAY, STAY),
    FloorGiven: (
        STAY, to(CONVERSING), STAY, STAY, STAY, do(hold_tape), do(hold_tape, say_closing), STAY, to(CONVERSING),
    ),
    FloorVacated: (STAY, STAY, _leave, STAY, _leave, STAY, STAY, STAY, STAY),
    BeepHeard: (STAY, STAY, STAY, STAY, STAY, to(CLOSING, say_closing), STAY, STAY, STAY),
    RestartWanted: (do(restart_for_operator), STAY, STAY, STAY, STAY, STAY, STAY, STAY, STAY),
    TakenOver: (to(TAKEN_OVER), STAY, STAY, STAY, STAY, STAY, STAY, STAY, STAY),
})  # fmt: skip

TABLES = (CALLER, VOICE, DEBT, PHASE)
