"""What an event must not touch: the states of each part in which it changes nothing, whatever it does in the others.

An eager reaction is a fault as bad as a missing one: a reply that is muted by a breath, a goodbye that is cut.
"""

from enum import Enum

import attrs
import pytest

from actors.turn.effects import (
    AnswerFunction,
    Aside,
    Effect,
    EndSession,
    Listening,
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
    PutThroughFailed,
    Signal,
    TransferWanted,
)
from actors.turn.machine import Turn
from actors.turn.state import CallerState, Debt, Phase, VoiceState
from tests.actors.turn.script import new_turn, state_of

KEPT = SpeechKind.ANSWER
ALL_VOICES = "ABSENT IDLE COMING CUT LATE"
NO_ENDING = "CONVERSING HANDING_OVER TRANSFERRING PUTTING_THROUGH HUSHED CLOSING"
UNMOVED: dict[str, dict[Event, str]] = {
    "caller": {
        CallerSaid("x"): "QUIET",
        Signal.NOTHING_UNDERSTOOD: "QUIET",
        AgentSaid("x"): "QUIET",
        AgentSaid("asked for"): "QUIET",
        Signal.FLOOR_VACATED: "QUIET",
    },
    "voice": {
        HandoffWanted("h"): "ABSENT",
        FunctionCancelled("h0"): "IDLE COMING CUT LATE",
        Signal.AUDIO_BEGAN: "ABSENT COMING CUT LATE",
        AgentSaid("x"): "ABSENT COMING CUT",
        AgentSaid("asked for"): "ABSENT COMING CUT",
        AgentSaid("too late"): "ABSENT CUT LATE",
        Signal.AUDIO_DONE: "ABSENT IDLE",
        Signal.CALLER_STARTED_SPEAKING: "ABSENT CUT",
        CallerSaid("x"): "ABSENT",
        CallerSaid("told"): "ABSENT",
        Signal.THINKING_BEGAN: "ABSENT IDLE COMING",
        FunctionCancelled("e"): "ABSENT CUT LATE",
        FunctionCancelled("t"): "ABSENT CUT LATE",
        FunctionsAsked(("f",)): "ABSENT COMING",
    },
    "voice, told": {
        Signal.CALLER_STARTED_SPEAKING: "ABSENT CUT LATE",
    },
    "debt": {
        CallerSaid("told"): "OWED",
        FunctionsAsked(("f",)): "OWED",
        FunctionDone("f"): "OWED",
        FloorGiven(owes=True): "OWED",
        Signal.AUDIO_DONE: "SETTLED",
        TransferWanted("t1"): "SETTLED",
        EndWanted("e1", "done"): "SETTLED",
        Signal.TAKEN_OVER: "SETTLED",
    },
    "phase": {
        HandoffWanted("h1"): "HUSHED CLOSING TAKEN_OVER",
        FunctionCancelled("h0"): "CONVERSING TRANSFERRING PUTTING_THROUGH ENDING HUSHED CLOSING TAKEN_OVER",
        TransferWanted("t1"): "HUSHED CLOSING TAKEN_OVER",
        FunctionCancelled("t"): "CONVERSING HANDING_OVER PUTTING_THROUGH ENDING HUSHED CLOSING TAKEN_OVER",
        PutThroughFailed("nobody"): "CONVERSING HANDING_OVER TRANSFERRING ENDING HUSHED CLOSING TAKEN_OVER",
        EndWanted("e1", "done"): "HUSHED CLOSING TAKEN_OVER",
        FunctionCancelled("e"): f"{NO_ENDING} TAKEN_OVER",
        CallerSaid("x"): "CONVERSING HANDING_OVER PUTTING_THROUGH HUSHED CLOSING TAKEN_OVER",
        FloorGiven(owes=False): "CONVERSING TRANSFERRING PUTTING_THROUGH ENDING",
        Signal.FLOOR_VACATED: "CONVERSING HANDING_OVER PUTTING_THROUGH HUSHED CLOSING TAKEN_OVER",
        Signal.BEEP_HEARD: "CONVERSING HANDING_OVER TRANSFERRING PUTTING_THROUGH ENDING CLOSING TAKEN_OVER",
        Signal.TAKEN_OVER: "HANDING_OVER TRANSFERRING PUTTING_THROUGH HUSHED CLOSING",
        Signal.RESTART_WANTED: "HANDING_OVER TRANSFERRING PUTTING_THROUGH ENDING HUSHED CLOSING TAKEN_OVER",
    },
}
STATES: dict[str, type[Enum]] = {"caller": CallerState, "voice": VoiceState, "debt": Debt, "phase": Phase}
CASES = [
    (part, event, name) for part, events in UNMOVED.items() for event, names in events.items() for name in names.split()
]


UNWANTED: dict[str, tuple[Effect | type[Effect], ...]] = {
    "caller": (Aside.RESUME, TellAsCaller),
    "voice": (*Aside, TellAsCaller),
    "debt": (),
    "phase": (Listening.HOLD_TAPE, Listening.FREE_TAPE, AnswerFunction, SayAsAgent, EndSession),
}


def field_of(part: str, name: str) -> tuple[str, object]:
    """Return the field of a part, and its value."""
    field = part.partition(",")[0]
    return field, STATES[field][name]


def prepared(part: str, event: Event, name: str) -> Turn:
    """A call in which anything that is done would be seen: something sounds, something is aside, much is under way."""
    turn = new_turn()
    state = state_of(turn)
    state.now = 10.0
    state.voice, state.sounding, state.is_opened = VoiceState.IDLE, True, True
    for clock in attrs.fields(type(state.at)):
        setattr(state.at, clock.name, 10.0)
    state.at.waiting, state.at.cut, state.at.told, state.reply.began = 10.0, 10.5, 10.5, 10.0
    setattr(state, *field_of(part, name))
    state.closing = CloseAsked("ended", "Goodbye.") if state.phase is Phase.CLOSING else None
    state.at.begun = 9.0  # not yet
    state.debt = Debt.OWED if part == "caller" or event == Signal.FLOOR_VACATED else state.debt
    state.sounding = part != "caller"
    state.last_turn, state.end = "y", EndWanted("e", "done")
    state.session.transfer, state.session.handoff = "t", "h0"
    state.session.outstanding = SayAsAgent(SpeechKind.REMARK, "asked for") if event == AgentSaid("asked for") else None
    state.session.late_filler = "too late" if event == AgentSaid("too late") else ""
    state.session.told = "told" if event == CallerSaid("told") or part == "voice, told" else ""
    state.aside = KEPT if part.startswith("voice") else None
    state.has_spoken = part == "debt"
    return turn


@pytest.mark.parametrize(("part", "event", "name"), CASES)
def test_an_event_changes_nothing(part: str, event: Event, name: str) -> None:
    turn = prepared(part, event, name)
    state = state_of(turn)

    effects = turn.on(event, 10.5)

    field, value = field_of(part, name)
    assert getattr(state, field) is value
    assert state.aside is (KEPT if part.startswith("voice") else None)
    assert state.at.turned == (10.5 if isinstance(event, FloorGiven) else 10.0)
    assert not [effect for effect in effects if {effect, type(effect)} & set(UNWANTED[field])]
