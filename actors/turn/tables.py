"""What events do: one table for each of the four parts of the state, a line for an event, a cell for a state.

What a table does not name changes nothing in its part. A cell holds rows in order, and the first whose condition holds
is taken; where none does, nothing changes. `docs/turns.md` shows the same tables, and the same words for conditions.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TypeAlias

import attrs
from attrs.validators import in_

from actors.turn import events
from actors.turn.actions import Actions
from actors.turn.effects import Effect, Listening, SpeechKind
from actors.turn.events import Kind, Signal, kind_of
from actors.turn.parts import JUST_BEHIND
from actors.turn.state import CallerState, Debt, Phase, TurnState, VoiceState

Action: TypeAlias = Callable[[Actions], None] | Effect

# Conditions

CONDITIONS: dict[str, Callable[[TurnState], bool]] = {
    "always": lambda _: True,
    # The line
    "the line is quiet": lambda state: not state.is_loud,
    "nothing sounds": lambda state: not state.sounding,
    "nothing comes or sounds": lambda state: state.voice in (VoiceState.IDLE, VoiceState.ABSENT) and not state.sounding,
    "something sounds that a start may cut": lambda state: state.sounding and CONDITIONS["a start may cut it"](state),
    "an answer sounds": lambda state: state.phase is Phase.CONVERSING and state.sounds_wanted,
    # The caller
    "somebody is heard": lambda state: state.caller is CallerState.HEARD,
    "nobody is heard": lambda state: state.caller is CallerState.QUIET,
    # The service refuses a question while it hears the caller; it never refuses what interrupts
    "nobody is spoken over": lambda state: (
        not state.is_loud
        or (isinstance(state.event, events.InjectionBegan) and state.event.begun.kind is SpeechKind.QUESTION)
    ),
    # The service does not speak while it hears the caller, unless to answer what it, or its model, was told then, or
    # while the news was under way; but a sentence of a goodbye may come late
    "the service hears nobody": lambda state: (
        not state.is_loud
        and state.voice is not VoiceState.CUT
        and state.phase is not Phase.ENDING
        and max(state.at.told, state.at.result) + state.deadlines.shortest_word <= state.at.noticed
    ),
    "the service is deaf": lambda state: (
        isinstance(state.event, events.VoiceEnded) and state.event.deaf and state.phase is Phase.CONVERSING
    ),
    "the refusal proves speech": lambda state: state.is_loud and not state.sounding and state.voice is VoiceState.IDLE,
    "the caller begins to speak": lambda state: state.is_loud and state.at.voiced > state.at.close_asked,
    # The agent's voice
    "a session is there": lambda state: state.voice is not VoiceState.ABSENT,
    "no session is there": lambda state: state.voice is VoiceState.ABSENT,
    "the agent is idle": lambda state: state.voice is VoiceState.IDLE,
    "a reply comes": lambda state: state.voice in (VoiceState.COMING, VoiceState.LATE),
    "a reply is cut": lambda state: state.voice is VoiceState.CUT,
    # What a false start has cut already is cut again only if the line, too, carries a voice. A transcript cuts what an
    # echo would cut again and again
    "a start may cut it": lambda state: (
        state.phase is Phase.CONVERSING and (state.is_loud or not state.is_resumed) and not state.hears_itself
    ),
    # What begins then was under way before it, for an answer takes longer. That the line is loud may be known late
    "the caller has just begun": lambda state: (
        state.caller is CallerState.HEARD
        and state.is_loud
        and state.at.voiced > state.at.understood - state.deadlines.shortest_word
        and state.now <= state.at.heard + JUST_BEHIND
        and CONDITIONS["a start may cut it"](state)
    ),
    "an answer is aside": lambda state: state.aside is SpeechKind.ANSWER,
    "nothing is aside": lambda state: state.aside is None,
    "words are audible": lambda state: state.is_audible,
    # The end of the audio is not the end of a reply that has had none: it may have come first
    "it has sound": lambda state: state.reply.has_sound,
    "it has no sound": lambda state: not state.reply.has_sound,
    "nothing is outstanding": lambda state: state.session.outstanding is None,
    "something is outstanding": lambda state: state.session.outstanding is not None,
    "something is told": lambda state: state.session.told != "",
    "nothing is told": lambda state: state.session.told == "",
    # The debt
    "nothing is owed": lambda state: state.debt is Debt.SETTLED,
    "the caller waits in silence": lambda state: state.waits_in_silence,
    "this silence is unfilled": lambda state: state.at.filler < state.silent_since,
    # The agent's words are what the caller waits for, and not a person
    "it is answered": lambda state: state.is_answered and state.phase is not Phase.PUTTING_THROUGH,
    "it is to be answered": lambda state: not state.keeps_goodbye,
    # The agent has said what goes with it; what is refused settles nothing
    "it is said already": lambda state: state.has_spoken and state.phase is Phase.CONVERSING,
    "it leaves something": lambda state: state.debt is Debt.OWED or state.caller is CallerState.HEARD,
    # The session, its functions, and what waits to be told or said
    "no function runs": lambda state: not state.session.running,
    "no lasting work is done": lambda state: not state.session.does_lasting_work,
    "a transfer waits for it": lambda state: state.phase is Phase.TRANSFERRING and state.session.does_lasting_work,
    "all is at rest": lambda state: state.is_at_rest,
    "the opening is due": lambda state: not state.is_opened,
    "the opening was heard": lambda state: state.is_opened,
    "a person is wanted": lambda state: (state.wants_person or state.is_person_ordered) and not state.why_no_person,
    "the transfer is announced": lambda state: not state.session.is_to_say(SpeechKind.TRANSFER),
    "keys wait and the opening was heard, or a transfer has failed": lambda state: (
        bool(state.keys and state.is_opened) or state.why_no_person != ""
    ),
    "a remark waits": lambda state: state.remark is not None,
    "the session is old": lambda state: state.session.is_aged,
    "a function was announced, or the caller asked to wait": lambda state: state.promise is not None,
    "it is a pause": lambda state: state.is_pause,
    # The phase, and the end of the call
    "they converse": lambda state: state.phase is Phase.CONVERSING,
    "no goodbye or transfer is under way": lambda state: not state.is_decided,
    "the end answers them": lambda state: state.ends_upon_words,
    "it may be taken back": lambda state: state.session.transfer != "" and state.may_be_reopened,
    "the call may go on": lambda state: state.may_be_reopened,
    "the call is to close": lambda state: state.closing is not None,
    "the call is to go on": lambda state: state.closing is None,
    "the call is to close for the caller's silence": lambda state: state.may_stay,
    "the words wait for a beep": lambda state: state.closing is not None and state.closing.waits_for_beep,
    "the last words have begun": lambda state: state.has_closing_begun,
    # All of them, or all that the session will send that has begun them
    "they were received": lambda state: state.is_closing_sent or state.voice is VoiceState.IDLE,
}


@attrs.frozen
class Row:
    """The next state, if it is another one, and what is done; taken if the condition `when` holds."""

    to: Enum | None = None
    actions: tuple[Action, ...] = ()
    when: str = attrs.field(default="always", validator=in_(CONDITIONS))


Cell: TypeAlias = tuple[Row, ...]
STAY = Row()


def to(state: Enum | None, *actions: Action, when: str = "always") -> Cell:
    """Return a cell of one row. Cells can be added up."""
    return (Row(state, actions, when),)


def do(*actions: Action, when: str = "always") -> Cell:
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
    lines: dict[Kind, dict[Enum, Cell]]

    def row(self, state: TurnState) -> Row:
        """Choose the row for the event that is being taken, by the state before it."""
        cell = self.lines.get(kind_of(state.event), {}).get(getattr(state, self.part), ())
        return next((row for row in cell if CONDITIONS[row.when](state)), STAY)


# The tables

QUIET, HEARD = CallerState
CALLER = Table("caller", CallerState, {
    Signal.CALLER_STARTED_SPEAKING: {QUIET: to(HEARD, Actions.notice), HEARD: do(Actions.hear)},
    events.CallerSaid: {HEARD: to(QUIET)},
    events.TurnToldLate: {HEARD: to(QUIET)},
    Signal.NOTHING_UNDERSTOOD: {HEARD: to(QUIET, Actions.false_start)},
    events.AgentSaid: {HEARD: to(QUIET, when="the service hears nobody")},
    events.InjectionBegan: {HEARD: to(QUIET, Actions.wait_anew, when="nobody is spoken over")},
    Signal.SAY_REFUSED: {QUIET: to(HEARD, Actions.notice, when="the refusal proves speech")},
    Signal.FLOOR_VACATED: {HEARD: to(QUIET)},
    # What was said before the keys is to be understood before them
    events.KeysEntered: {HEARD: do(Listening.END_CALLERS_TURN, when="they converse")},
})  # fmt: skip

ABSENT, IDLE, COMING, CUT, LATE = VoiceState
_go_on = do(Actions.go_on, when="an answer is aside")
_cut_at_once = to(CUT, Actions.forget, Actions.set_aside, when="the caller has just begun")
VOICE = Table("voice", VoiceState, {
    events.FloorGiven: each(VoiceState, to(IDLE, Actions.take_floor)),
    Signal.FLOOR_VACATED: each(VoiceState, to(ABSENT, Actions.leave_floor)),
    events.HandoffWanted: each((IDLE, COMING, CUT, LATE), to(ABSENT, Actions.forget, when="they converse")),
    Signal.HANDOFF_ENDED: {ABSENT: to(IDLE)},
    Signal.AUDIO_BEGAN: {IDLE: _cut_at_once + to(COMING, Actions.forget)},
    events.AgentSaid: {
        IDLE: _cut_at_once + to(COMING, Actions.forget, when="words are audible"), LATE: to(COMING),
    },
    events.InjectionBegan: {IDLE: _cut_at_once + to(COMING, Actions.forget), LATE: to(COMING)},
    Signal.LATE_FILLER_BEGAN: {IDLE: to(LATE), COMING: to(LATE)},
    Signal.AUDIO_DONE: {COMING: to(IDLE, when="it has sound"), CUT: to(IDLE, when="nothing is aside"), LATE: to(IDLE)},
    Signal.CALLER_STARTED_SPEAKING: {
        IDLE: do(Actions.set_aside, when="something sounds that a start may cut"),
        COMING: to(CUT, Actions.set_aside, when="a start may cut it"),
        LATE: do(Actions.set_aside, when="something sounds that a start may cut"),
    },
    Signal.TOLD_HEARD: {
        IDLE: do(Actions.drop_answer, when="they converse"), COMING: to(CUT, Actions.drop, when="they converse"),
    },
    events.CallerSaid: {
        IDLE: do(Actions.drop, when="an answer sounds") + do(Actions.forget),
        COMING: to(IDLE, Actions.drop, when="they converse"),
        CUT: to(IDLE, Actions.forget),
        LATE: to(IDLE, Actions.drop, when="an answer sounds") + to(IDLE, Actions.forget),
    },
    events.TurnToldLate: each(VoiceState, _go_on) | {CUT: _go_on + to(IDLE, Actions.forget), LATE: _go_on + to(IDLE)},
    Signal.TOLD_ECHOED: {IDLE: do(Actions.forget), COMING: to(IDLE), CUT: to(IDLE, Actions.forget), LATE: to(IDLE)},
    Signal.THINKING_BEGAN: {CUT: to(IDLE), LATE: to(IDLE)},
    Signal.DECISION_CANCELLED: {IDLE: do(Actions.drop), COMING: to(CUT, Actions.drop)},
    events.FunctionsAsked: {IDLE: do(Actions.forget), CUT: to(IDLE, Actions.forget), LATE: to(IDLE)},
})  # fmt: skip

SETTLED, OWED = Debt
DEBT = Table("debt", Debt, {
    events.CallerSaid: {
        SETTLED: to(OWED, Actions.owe_answer, when="it is to be answered"), OWED: do(Actions.owe_answer),
    },
    events.TurnToldLate: each(Debt, to(OWED, Actions.owe_answer, when="it has no sound")),
    Signal.TOLD_ECHOED: {SETTLED: to(OWED, Actions.owe)},
    events.FunctionsAsked: {
        SETTLED: to(OWED, Actions.owe, when="no goodbye or transfer is under way")
        + to(OWED, Actions.owe, when="a transfer waits for it"),
    },
    events.FunctionDone: {
        SETTLED: to(OWED, Actions.owe, when="no goodbye or transfer is under way"),
        OWED: to(SETTLED, Actions.settle, when="it is answered"),
    },
    events.VoiceEnded: each(Debt, to(OWED, Actions.doubt_hearing, when="the service is deaf")),
    Signal.DECISION_CANCELLED: {SETTLED: to(OWED, Actions.owe_withdrawn)},
    Signal.AUDIO_DONE: {OWED: to(SETTLED, Actions.settle, when="it is answered")},
    events.TransferWanted: {OWED: to(SETTLED, Actions.settle, when="it is said already")},
    events.EndWanted: {OWED: to(SETTLED, Actions.settle, when="it is said already")},
    Signal.TAKEN_OVER: {OWED: to(SETTLED, Actions.settle)},
})  # fmt: skip

CONVERSING, HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING, HUSHED, CLOSING, OVER, TAKEN_OVER = Phase
_refused_in = each((HANDING_OVER, TRANSFERRING, PUTTING_THROUGH, ENDING), do(Actions.refuse))
PHASE = Table("phase", Phase, {
    events.HandoffWanted: _refused_in | {CONVERSING: to(HANDING_OVER, Actions.hold)},
    Signal.HANDOFF_ENDED: {HANDING_OVER: to(CONVERSING, Listening.FREE_TAPE)},
    events.TransferWanted: _refused_in | {
        CONVERSING: to(TRANSFERRING, Actions.start_transfer),
        ENDING: to(TRANSFERRING, Actions.start_transfer, Actions.refuse_end),
    },
    Signal.DECISION_CANCELLED: {TRANSFERRING: to(CONVERSING), ENDING: to(CONVERSING)},
    events.PutThroughFailed: {PUTTING_THROUGH: to(CONVERSING, Actions.fail_transfer)},
    events.EndWanted: _refused_in | {CONVERSING: to(ENDING, Actions.start_ending)},
    events.CallerSaid: {
        TRANSFERRING: to(CONVERSING, Actions.reopen, when="it may be taken back"),
        ENDING: do(Actions.ask_goodbye, when="the end answers them")
        + to(CONVERSING, Actions.reopen, when="the call may go on"),
    },
    events.KeysEntered: {ENDING: to(CONVERSING, Actions.reopen, when="the call may go on")},
    events.FloorGiven: {
        HANDING_OVER: to(CONVERSING),
        HUSHED: do(Listening.HOLD_TAPE),
        CLOSING: do(Listening.HOLD_TAPE, Actions.say_closing),
        TAKEN_OVER: to(CONVERSING),
    },
    Signal.FLOOR_VACATED: each((TRANSFERRING, ENDING), to(CONVERSING, when="it leaves something")),
    Signal.BEEP_HEARD: {HUSHED: to(CLOSING, Actions.say_closing)},
    Signal.SERVICE_SILENT: {CONVERSING: do(Actions.lose_silent)},
    Signal.RESTART_WANTED: {CONVERSING: do(Actions.end_session, when="a session is there")},
    Signal.TAKEN_OVER: {CONVERSING: to(TAKEN_OVER)},
})  # fmt: skip

TABLES = (CALLER, VOICE, DEBT, PHASE)
PARTS = {table.states: table.part for table in TABLES}


def take(state: Actions, rows: Sequence[Row]) -> None:
    """Take the states that these rows name; then do what each of them says."""
    for row in rows:
        if isinstance(row.to, Phase):
            state.enter(row.to)
        elif row.to is not None:
            setattr(state, PARTS[type(row.to)], row.to)
    for row in rows:
        for action in row.actions:
            if callable(action):
                action(state)
            else:
                state.emit(action)
