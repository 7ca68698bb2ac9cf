"""The tables of events: one for each of the four parts, a line for an event, a column for a state.

Each table is total over its states; an event that it does not name changes nothing in it. A cell holds rows in order,
and the first whose guard holds is taken. `docs/turns.md` shows the same tables.
"""

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

import attrs

from actors.turn import actions, conditions, events
from actors.turn.conditions import Condition
from actors.turn.events import Recognised
from actors.turn.state import TurnState
from actors.turn.values import CallerState, Debt, Phase, VoiceState

Action: TypeAlias = Callable[[TurnState], None]


@attrs.frozen
class Row:
    """The next state, if it is another one, and what is done; taken if the guard holds."""

    to: Enum | None = None
    actions: tuple[Action, ...] = ()
    guard: Condition | None = None


Cell: TypeAlias = tuple[Row, ...]
_NOTHING = Row()
STAY: Cell = (_NOTHING,)


def to(state: Enum | None, *actions: Action, when: str = "") -> Cell:
    """Return a cell of one change; where the condition of the words `when` does not hold, nothing changes."""
    return (Row(state, actions, conditions.when(when)), _NOTHING) if when else (Row(state, actions),)


def do(*actions: Action, when: str = "") -> Cell:
    """Return a cell that keeps the state."""
    return to(None, *actions, when=when)


@attrs.define
class Table:
    """The rows of one part of the state, which is a field of `TurnState`."""

    part: str
    states: type[Enum]
    lines: dict[type[Recognised], dict[Enum, Cell]]

    def row(self, state: TurnState) -> Row:
        """Choose the row for the event that is being taken, by the state before it."""
        line = self.lines.get(type(state.event))
        if line is None:
            return _NOTHING
        return next(row for row in line[getattr(state, self.part)] if row.guard is None or row.guard.holds(state))

    def move(self, state: TurnState, row: Row) -> None:
        """Take the state that the row names."""
        if isinstance(row.to, Phase):
            state.enter(row.to)
        elif row.to is not None:
            setattr(state, self.part, row.to)


def table(part: str, states: type[Enum], lines: dict[type[Recognised], tuple[Cell, ...]]) -> Table:
    """Build a table from its lines, each with a cell for each state in their order."""
    return Table(part, states, {event: dict(zip(states, line, strict=True)) for event, line in lines.items()})


# The tables

QUIET, HEARD = CallerState
CALLER = table("caller", CallerState, {
    # QUIET, HEARD
    events.CallerStartedSpeaking: (to(HEARD, actions.hear), do(actions.hear, when="the line is loud")),
    events.CallerSaid: (STAY, to(QUIET)),
    events.NothingUnderstood: (STAY, to(QUIET, actions.false_start)),
    events.AgentSaid: (STAY, to(QUIET, when="the service hears nobody")),
    events.InjectionBegan: (STAY, to(QUIET, TurnState.wait_anew, when="nobody is spoken over")),
    events.SayRefused: (to(HEARD, actions.hear, when="the refusal proves speech"), STAY),
    events.FloorVacated: (STAY, to(QUIET)),
    events.KeysEntered: (STAY, do(actions.end_callers_turn, when="they converse")),
})  # fmt: skip

ABSENT, IDLE, COMING, CUT, LATE = VoiceState
_cut_what_sounds = do(actions.set_aside, when="something sounds that a start may cut")
_cut_what_comes = to(CUT, actions.set_aside, when="a start may cut it")
_hand_over = to(ABSENT, TurnState.forget, when="they converse")
VOICE = table("voice", VoiceState, {
    # ABSENT, IDLE, COMING, CUT, LATE
    events.FloorGiven: (to(IDLE, actions.take_floor),) * 5,
    events.FloorVacated: (to(ABSENT, actions.leave_floor),) * 5,
    events.HandoffWanted: (STAY, _hand_over, _hand_over, _hand_over, _hand_over),
    events.HandoffEnded: (to(IDLE), STAY, STAY, STAY, STAY),
    events.AudioBegan: (STAY, to(COMING, TurnState.forget), STAY, STAY, STAY),
    events.AgentSaid: (STAY, to(COMING, TurnState.forget, when="words are audible"), STAY, STAY, to(COMING)),
    events.InjectionBegan: (STAY, to(COMING, TurnState.forget), STAY, STAY, to(COMING)),
    events.LateFillerBegan: (STAY, to(LATE), to(LATE), STAY, STAY),
    events.AudioDone: (
        STAY, STAY, to(IDLE, when="it has sound"), do(actions.complete, when="the reply went on"), to(IDLE),
    ),
    events.CallerStartedSpeaking: (STAY, _cut_what_sounds, _cut_what_comes, STAY, STAY),
    events.ToldHeard: (STAY, _cut_what_sounds, _cut_what_comes, STAY, STAY),
    events.CallerSaid: (
        STAY,
        (*do(TurnState.drop, when="a resumed reply sounds")[:1], *do(TurnState.forget)),
        to(IDLE, TurnState.drop, when="they converse"),
        to(IDLE, TurnState.forget),
        to(IDLE),
    ),
    events.ToldEchoed: (STAY, do(TurnState.forget), STAY, to(IDLE, TurnState.forget), to(IDLE)),
    events.ThinkingBegan: (STAY, STAY, STAY, to(IDLE), STAY),
    events.DecisionCancelled: (STAY, do(TurnState.drop), to(CUT, actions.drop_the_rest), STAY, STAY),
    events.FunctionsAsked: (STAY, do(TurnState.forget), STAY, to(IDLE, TurnState.forget), to(IDLE)),
})  # fmt: skip

SETTLED, OWED = Debt
_owed_to_those_who_wait = (
    *to(OWED, actions.owe_since_the_last_sound, when="the session owes words")[:1],
    *to(OWED, actions.wait_for_the_unread, when="words are unread"),
)
DEBT = table("debt", Debt, {
    # SETTLED, OWED
    events.CallerSaid: (to(OWED, TurnState.owe_answer, when="it is to be answered"), do(TurnState.owe_answer)),
    events.ToldEchoed: (to(OWED, TurnState.owe), STAY),
    events.FunctionsAsked: (to(OWED, TurnState.owe, when="the goodbye is not under way"), STAY),
    events.FunctionDone: (to(OWED, TurnState.owe, when="the goodbye is not under way"), STAY),
    events.VoiceEnded: (
        to(OWED, actions.doubt_hearing, when="the service is deaf"),
        do(actions.doubt_hearing, when="the service is deaf"),
    ),
    events.FloorGiven: (_owed_to_those_who_wait, STAY),
    events.DecisionCancelled: (to(OWED, TurnState.owe, when="the turn can be asked again"), STAY),
    events.AudioDone: (STAY, to(SETTLED, TurnState.settle, when="it is answered")),
    events.TransferWanted: (STAY, to(SETTLED, TurnState.settle, when="it is said already")),
    events.EndWanted: (STAY, to(SETTLED, TurnState.settle, when="it is said already")),
    events.TakenOver: (STAY, to(SETTLED, TurnState.settle)),
})  # fmt: skip

CONVERSING, HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING, HUSHED, CLOSING, OVER, TAKEN_OVER = Phase
_refuse = do(actions.refuse)
_said_into_the_end = (
    *do(actions.ask_goodbye, when="the end answers them")[:1],
    *to(CONVERSING, actions.reopen, when="the call may go on"),
)
_leave = to(CONVERSING, when="it leaves something")
PHASE = table("phase", Phase, {
    # CONVERSING, HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING, HUSHED, CLOSING, OVER, TAKEN_OVER
    events.HandoffWanted: (
        to(HANDING_OVER, actions.hold), do(actions.hold), _refuse, _refuse, _refuse, STAY, STAY, STAY, STAY,
    ),
    events.HandoffEnded: (STAY, to(CONVERSING, actions.free), STAY, STAY, STAY, STAY, STAY, STAY, STAY),
    events.TransferWanted: (
        to(TRANSFERRING, actions.start_transfer), _refuse, _refuse, _refuse, _refuse, STAY, STAY, STAY, STAY,
    ),
    events.DecisionCancelled: (STAY, STAY, to(CONVERSING), STAY, to(CONVERSING), STAY, STAY, STAY, STAY),
    events.PutThroughFailed: (STAY, STAY, STAY, to(CONVERSING, actions.fail_transfer), STAY, STAY, STAY, STAY, STAY),
    events.EndWanted: (to(ENDING, actions.start_ending), _refuse, _refuse, _refuse, _refuse, STAY, STAY, STAY, STAY),
    events.CallerSaid: (STAY, STAY, STAY, STAY, _said_into_the_end, STAY, STAY, STAY, STAY),
    events.FloorGiven: (
        STAY, to(CONVERSING), STAY, STAY, STAY,
        do(actions.hold_tape), do(actions.hold_tape, actions.say_closing), STAY, to(CONVERSING),
    ),
    events.FloorVacated: (STAY, STAY, _leave, STAY, _leave, STAY, STAY, STAY, STAY),
    events.BeepHeard: (STAY, STAY, STAY, STAY, STAY, to(CLOSING, actions.say_closing), STAY, STAY, STAY),
    events.RestartWanted: (
        do(actions.restart_for_operator, when="a session is there"), STAY, STAY, STAY, STAY, STAY, STAY, STAY, STAY,
    ),
    events.TakenOver: (to(TAKEN_OVER), STAY, STAY, STAY, STAY, STAY, STAY, STAY, STAY),
})  # fmt: skip

TABLES = (CALLER, VOICE, DEBT, PHASE)
