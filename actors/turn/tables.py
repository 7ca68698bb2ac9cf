"""The tables of events: one for each of the four parts, a line for an event, a cell for a state.

What a table does not name changes nothing in its part. A cell holds rows in order, and the first whose guard holds is
taken; where none does, nothing changes. `docs/turns.md` shows the same tables.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeAlias

import attrs

from actors.turn import conditions, events
from actors.turn.actions import Actions
from actors.turn.conditions import Condition
from actors.turn.events import Recognised
from actors.turn.state import TurnState
from actors.turn.values import CallerState, Debt, Phase, VoiceState

Action: TypeAlias = Callable[[Actions], None]


@attrs.frozen
class Row:
    """The next state, if it is another one, and what is done; taken if the guard holds."""

    to: Enum | None = None
    actions: tuple[Action, ...] = ()
    guard: Condition | None = None


Cell: TypeAlias = tuple[Row, ...]
STAY = Row()


def to(state: Enum | None, *actions: Action, when: str = "") -> Cell:
    """Return a cell of one row, for where the condition of the words `when` holds. Cells can be added up."""
    return (Row(state, actions, conditions.when(when) if when else None),)


def do(*actions: Action, when: str = "") -> Cell:
    """Return a cell that keeps the state."""
    return to(None, *actions, when=when)


def each(states: Iterable[Enum], cell: Cell) -> dict[Enum, Cell]:
    """Return a line with the same cell for each of these states."""
    return dict.fromkeys(states, cell)


@attrs.define
class Table:
    """What events do to one part of the state, which is a field of `TurnState`."""

    part: str
    states: type[Enum]
    lines: dict[type[Recognised], dict[Enum, Cell]]

    def row(self, state: TurnState) -> Row:
        """Choose the row for the event that is being taken, by the state before it."""
        line = self.lines.get(type(state.event))
        cell = line.get(getattr(state, self.part), ()) if line is not None else ()
        for row in cell:
            if row.guard is None or row.guard.holds(state):
                return row
        return STAY

    def move(self, state: TurnState, row: Row) -> None:
        """Take the state that the row names."""
        if isinstance(row.to, Phase):
            state.enter(row.to)
        elif row.to is not None:
            setattr(state, self.part, row.to)


# The tables

QUIET, HEARD = CallerState
CALLER = Table("caller", CallerState, {
    events.CallerStartedSpeaking: {QUIET: to(HEARD, Actions.hear), HEARD: do(Actions.hear, when="the line is loud")},
    events.CallerSaid: {HEARD: to(QUIET)},
    events.NothingUnderstood: {HEARD: to(QUIET, Actions.false_start)},
    events.AgentSaid: {HEARD: to(QUIET, when="the service hears nobody")},
    events.InjectionBegan: {HEARD: to(QUIET, Actions.wait_anew, when="nobody is spoken over")},
    events.SayRefused: {QUIET: to(HEARD, Actions.hear, when="the refusal proves speech")},
    events.FloorVacated: {HEARD: to(QUIET)},
    events.KeysEntered: {HEARD: do(Actions.end_callers_turn, when="they converse")},
})  # fmt: skip

ABSENT, IDLE, COMING, CUT, LATE = VoiceState
VOICE = Table("voice", VoiceState, {
    events.FloorGiven: each(VoiceState, to(IDLE, Actions.take_floor)),
    events.FloorVacated: each(VoiceState, to(ABSENT, Actions.leave_floor)),
    events.HandoffWanted: each((IDLE, COMING, CUT, LATE), to(ABSENT, Actions.forget, when="they converse")),
    events.HandoffEnded: {ABSENT: to(IDLE)},
    events.AudioBegan: {IDLE: to(COMING, Actions.forget)},
    events.AgentSaid: {IDLE: to(COMING, Actions.forget, when="words are audible"), LATE: to(COMING)},
    events.InjectionBegan: {IDLE: to(COMING, Actions.forget), LATE: to(COMING)},
    events.LateFillerBegan: {IDLE: to(LATE), COMING: to(LATE)},
    events.AudioDone: {COMING: to(IDLE, when="it has sound"), CUT: to(IDLE, when="nothing is aside"), LATE: to(IDLE)},
    events.CallerStartedSpeaking: {
        IDLE: do(Actions.set_aside, when="something sounds that a start may cut"),
        COMING: to(CUT, Actions.set_aside, when="a start may cut it"),
    },
    events.ToldHeard: {
        IDLE: do(Actions.drop, when="they converse"),
        COMING: to(CUT, Actions.drop, when="they converse"),
    },
    events.CallerSaid: {
        IDLE: do(Actions.drop, when="a resumed reply sounds") + do(Actions.forget),
        COMING: to(IDLE, Actions.drop, when="they converse"),
        CUT: to(IDLE, Actions.forget),
        LATE: to(IDLE),
    },
    events.ToldEchoed: {IDLE: do(Actions.forget), COMING: to(IDLE), CUT: to(IDLE, Actions.forget), LATE: to(IDLE)},
    events.ThinkingBegan: {CUT: to(IDLE), LATE: to(IDLE)},
    events.DecisionCancelled: {IDLE: do(Actions.drop), COMING: to(CUT, Actions.drop)},
    events.FunctionsAsked: {IDLE: do(Actions.forget), CUT: to(IDLE, Actions.forget), LATE: to(IDLE)},
})  # fmt: skip

SETTLED, OWED = Debt
DEBT = Table("debt", Debt, {
    events.CallerSaid: {
        SETTLED: to(OWED, Actions.owe_answer, when="it is to be answered"),
        OWED: do(Actions.owe_answer),
    },
    events.ToldEchoed: {SETTLED: to(OWED, Actions.owe)},
    events.FunctionsAsked: {SETTLED: to(OWED, Actions.owe, when="no goodbye or transfer is under way")},
    events.FunctionDone: {SETTLED: to(OWED, Actions.owe, when="no goodbye or transfer is under way")},
    events.VoiceEnded: {
        SETTLED: to(OWED, Actions.doubt_hearing, when="the service is deaf"),
        OWED: do(Actions.doubt_hearing, when="the service is deaf"),
    },
    events.FloorGiven: {
        SETTLED: to(OWED, Actions.owe_since_the_last_sound, when="the session owes words")
        + to(OWED, Actions.wait_for_the_unread, when="words are unread"),
    },
    events.DecisionCancelled: {SETTLED: to(OWED, Actions.owe, when="the turn can be asked again")},
    events.AudioDone: {OWED: to(SETTLED, Actions.settle, when="it is answered")},
    events.TransferWanted: {OWED: to(SETTLED, Actions.settle, when="it is said already")},
    events.EndWanted: {OWED: to(SETTLED, Actions.settle, when="it is said already")},
    events.TakenOver: {OWED: to(SETTLED, Actions.settle)},
})  # fmt: skip

CONVERSING, HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING, HUSHED, CLOSING, OVER, TAKEN_OVER = Phase
_refused_in = each((HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING), do(Actions.refuse))
PHASE = Table("phase", Phase, {
    events.HandoffWanted: _refused_in | {CONVERSING: to(HANDING_OVER, Actions.hold), HANDING_OVER: do(Actions.hold)},
    events.HandoffEnded: {HANDING_OVER: to(CONVERSING, Actions.free)},
    events.TransferWanted: _refused_in | {CONVERSING: to(TRANSFERRING, Actions.start_transfer)},
    events.DecisionCancelled: {TRANSFERRING: to(CONVERSING), ENDING: to(CONVERSING)},
    events.PutThroughFailed: {PUTTING_THROUGH: to(CONVERSING, Actions.fail_transfer)},
    events.EndWanted: _refused_in | {CONVERSING: to(ENDING, Actions.start_ending)},
    events.CallerSaid: {
        ENDING: do(Actions.ask_goodbye, when="the end answers them")
        + to(CONVERSING, Actions.reopen, when="the call may go on"),
    },
    events.FloorGiven: {
        HANDING_OVER: to(CONVERSING),
        HUSHED: do(Actions.hold_tape),
        CLOSING: do(Actions.hold_tape, Actions.say_closing),
        TAKEN_OVER: to(CONVERSING),
    },
    events.FloorVacated: each((TRANSFERRING, ENDING), to(CONVERSING, when="it leaves something")),
    events.BeepHeard: {HUSHED: to(CLOSING, Actions.say_closing)},
    events.RestartWanted: {CONVERSING: do(Actions.restart_for_operator, when="a session is there")},
    events.TakenOver: {CONVERSING: to(TAKEN_OVER)},
})  # fmt: skip

TABLES = (CALLER, VOICE, DEBT, PHASE)
