"""Rows that no whole script depends on, one by one: a state, its events, what becomes of it, and what is to be done."""

import pytest

from actors.policy import describe_keys
from actors.turn.effects import (
    AnswerFunction,
    Aside,
    Effect,
    EndSession,
    Gate,
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
    KeysEntered,
    PutThroughFailed,
    Signal,
    TransferWanted,
    VoiceEnded,
)
from actors.turn.parts import LastReply
from actors.turn.state import CallerState, Debt, Phase, TurnState, VoiceState
from tests.actors.turn.script import FIRST, POLICY, part_with, prepared_turn

REFUSED = POLICY.wording.refused
KEPT = SpeechKind.ANSWER
SAID = SayAsAgent(SpeechKind.REMARK, "x")
ASKED = SayAsAgent(SpeechKind.QUESTION, "x")
LAST = SayAsAgent(SpeechKind.CLOSING, "x")
END = EndWanted("e", "done")
PRESSED = TellAsCaller(describe_keys(("1",)), ("1",))
HEARD = CallerState.HEARD
IDLE, COMING, CUT, LATE = VoiceState.IDLE, VoiceState.COMING, VoiceState.CUT, VoiceState.LATE
OWED = Debt.OWED
ENDING = Phase.ENDING


def after(*events: Event, **fields: object) -> tuple[TurnState, list[Effect]]:
    """Bring a call to a state by hand; then the events, all at once, at second 10."""
    turn, state = prepared_turn(**fields)
    return state, [effect for event in events for effect in turn.on(event, 10.0)]


Case = tuple[dict[str, object], list[Event], dict[str, object], list[Effect]]
CALLER_CASES: dict[str, Case] = {
    "words of the agent end what a quiet line was taken for": (
        {"caller": HEARD}, [AgentSaid("x")], {"caller": CallerState.QUIET}, []),
    "words of the agent prove nothing on a loud line": (
        {"caller": HEARD, "is_loud": True, "voice": COMING}, [AgentSaid("x")], {"caller": HEARD}, []),
    "words of a cut reply prove nothing": (
        {"caller": HEARD, "voice": CUT}, [AgentSaid("x")], {"caller": HEARD}, []),
    "a late sentence of a goodbye proves nothing": (
        {"caller": HEARD, "phase": ENDING, "voice": COMING, "sounding": True}, [AgentSaid("x")], {"caller": HEARD}, []),
    "a sentence that was asked for ends it on a quiet line": (
        {"caller": HEARD, "outstanding": SAID}, [AgentSaid("x")], {"caller": CallerState.QUIET}, []),
    "a sentence that was asked for proves nothing on a loud line": (
        {"caller": HEARD, "is_loud": True, "voice": COMING, "outstanding": SAID}, [AgentSaid("x")],
        {"caller": HEARD}, []),
    "a service that is lost hears nobody": (
        {"caller": HEARD}, [Signal.FLOOR_VACATED], {"caller": CallerState.QUIET, "voice": VoiceState.ABSENT}, []),
    "a refusal on a loud line proves speech": (
        {"is_loud": True, "outstanding": SAID}, [Signal.SAY_REFUSED], {"caller": HEARD, "outstanding": None}, []),
    "a refusal on a quiet line proves none": (
        {"outstanding": ASKED}, [Signal.SAY_REFUSED], {"caller": CallerState.QUIET}, []),
    "a refusal because the agent speaks proves none": (
        {"is_loud": True, "sounding": True, "outstanding": SAID}, [Signal.SAY_REFUSED],
        {"caller": CallerState.QUIET}, []),
    "a refusal because the agent begins to speak proves none": (
        {"is_loud": True, "voice": COMING, "outstanding": SAID}, [Signal.SAY_REFUSED],
        {"caller": CallerState.QUIET}, []),
}  # fmt: skip
VOICE_CASES: dict[str, Case] = {
    "audio after a cut is a new reply": (
        {"aside": KEPT}, [Signal.AUDIO_BEGAN], {"voice": COMING, "sounding": True}, [Aside.FORGET]),
    "audio just behind the caller's first sound is set aside": (
        {"caller": HEARD, "is_loud": True}, [Signal.AUDIO_BEGAN], {"voice": CUT, "aside": KEPT}, [Aside.CUT]),
    "audio just behind it takes the place of what was set aside": (
        {"caller": HEARD, "is_loud": True, "aside": KEPT}, [Signal.AUDIO_BEGAN], {"voice": CUT, "aside": KEPT},
        [Aside.FORGET, Aside.CUT]),
    "words just behind it are set aside": (
        {"caller": HEARD, "is_loud": True}, [AgentSaid("x")], {"voice": CUT, "aside": KEPT}, [Aside.CUT]),
    "a sentence that was asked for is set aside just behind it": (
        {"caller": HEARD, "is_loud": True, "outstanding": SAID}, [AgentSaid("x")], {"voice": CUT}, [Aside.CUT]),
    "audio on a quiet line is not": ({"caller": HEARD}, [Signal.AUDIO_BEGAN], {"voice": COMING}, []),
    "audio of a goodbye is not": (
        {"caller": HEARD, "is_loud": True, "phase": ENDING}, [Signal.AUDIO_BEGAN], {"voice": COMING}, []),
    "audio behind a transcript is not": ({"is_loud": True}, [Signal.AUDIO_BEGAN], {"voice": COMING}, []),
    "words after a cut are a new reply": ({"aside": KEPT}, [AgentSaid("x")], {"voice": COMING}, [Aside.FORGET]),
    "a sentence that was asked for is a new reply": (
        {"aside": KEPT, "outstanding": SAID}, [AgentSaid("x")], {"voice": COMING, "outstanding": None}, [Aside.FORGET]),
    "an answer behind a late filler is heard": (
        {"voice": LATE}, [AgentSaid("x")], {"voice": COMING, "has_spoken": True}, []),
    "the last sentence behind a late filler is heard": (
        {"voice": LATE, "outstanding": LAST}, [AgentSaid("x")], {"voice": COMING}, []),
    "a filler that follows the answer at once is late": (
        {"voice": COMING, "sounding": True, "late_filler": FIRST}, [AgentSaid(FIRST)],
        {"voice": LATE, "sounding": True}, []),
    "a late filler that is needed again is heard": (
        {"debt": OWED, "late_filler": FIRST}, [AgentSaid(FIRST)],
        {"voice": COMING, "reply": LastReply(SpeechKind.FILLER, FIRST)}, []),
    "what is told cuts an answer that sounds": (
        {"sounding": True, "sounds_wanted": True, "told": "1", "debt": OWED}, [Signal.CALLER_STARTED_SPEAKING],
        {"caller": CallerState.QUIET, "sounding": False}, [Aside.CUT, Aside.FORGET]),
    "what is told cuts no clip": (
        {"sounding": True, "told": "1", "debt": OWED}, [Signal.CALLER_STARTED_SPEAKING],
        {"caller": CallerState.QUIET, "sounding": True}, []),
    "what is told cuts what comes": (
        {"voice": COMING, "sounding": True, "told": "1", "debt": OWED}, [Signal.CALLER_STARTED_SPEAKING],
        {"voice": CUT}, [Aside.CUT, Aside.FORGET]),
    "what is told cuts no goodbye": (
        {"voice": COMING, "sounding": True, "told": "1", "debt": OWED, "phase": ENDING},
        [Signal.CALLER_STARTED_SPEAKING], {"voice": COMING}, []),
    "what is told cuts no goodbye that was sent": (
        {"sounding": True, "sounds_wanted": True, "told": "1", "debt": OWED, "phase": ENDING},
        [Signal.CALLER_STARTED_SPEAKING],
        {"sounding": True}, []),
    "a turn forgets what it has cut": ({"aside": KEPT}, [CallerSaid("x")], {"debt": OWED}, [Aside.FORGET]),
    "a turn whose beginning was not told cuts nothing that was sent": (
        {"sounding": True}, [CallerSaid("x")], {"sounding": True}, []),
    "a turn whose beginning was not told cuts what comes": (
        {"voice": COMING, "sounding": True}, [CallerSaid("x")], {"voice": IDLE, "sounding": False},
        [Aside.CUT, Aside.FORGET]),
    "a turn cuts no sentence before a transfer": (
        {"voice": COMING, "sounding": True, "phase": Phase.TRANSFERRING, "outstanding": None}, [CallerSaid("x")],
        {"voice": COMING, "sounding": True}, []),
    "a turn ends what comes late": ({"voice": LATE}, [CallerSaid("x")], {"voice": IDLE}, []),
    "an echo forgets what it has cut": (
        {"aside": KEPT, "told": "1"}, [CallerSaid("1")], {"debt": OWED}, [Aside.FORGET]),
    "an echo ends a cut": (
        {"aside": KEPT, "voice": CUT, "told": "1"}, [CallerSaid("1")], {"voice": IDLE}, [Aside.FORGET]),
    "an echo ends what comes late": ({"voice": LATE, "told": "1"}, [CallerSaid("1")], {"voice": IDLE}, []),
    "a goodbye that is withdrawn is cut": (
        {"phase": ENDING, "sounding": True, "end": END}, [FunctionCancelled("e")],
        {"phase": Phase.CONVERSING, "sounding": False}, [Aside.CUT, Aside.FORGET]),
    "the rest of a goodbye that is withdrawn is cut": (
        {"phase": ENDING, "voice": COMING, "sounding": True, "end": END}, [FunctionCancelled("e")],
        {"phase": Phase.CONVERSING, "voice": CUT}, [Aside.CUT, Aside.FORGET]),
    "a transfer that is withdrawn is cut": (
        {"phase": Phase.TRANSFERRING, "sounding": True, "transfer": "t"}, [FunctionCancelled("t")],
        {"phase": Phase.CONVERSING, "sounding": False}, [Aside.CUT, Aside.FORGET]),
    "the rest of a transfer that is withdrawn is cut": (
        {"phase": Phase.TRANSFERRING, "voice": COMING, "sounding": True, "transfer": "t"}, [FunctionCancelled("t")],
        {"phase": Phase.CONVERSING, "voice": CUT}, [Aside.CUT, Aside.FORGET]),
    "a function forgets what was cut": ({"aside": KEPT}, [FunctionsAsked(("f",))], {"debt": OWED}, [Aside.FORGET]),
    "a function ends a cut": ({"aside": KEPT, "voice": CUT}, [FunctionsAsked(("f",))], {"voice": IDLE}, [Aside.FORGET]),
    "a function ends what comes late": ({"voice": LATE}, [FunctionsAsked(("f",))], {"voice": IDLE}, []),
    "nothing is heard of a session that is not there": (
        {"voice": VoiceState.ABSENT},
        [Signal.CALLER_STARTED_SPEAKING, Signal.AUDIO_BEGAN, AgentSaid("x"), Signal.AUDIO_DONE],
        {"voice": VoiceState.ABSENT, "sounding": False}, []),
    "what was cut of a session that is lost is forgotten": (
        {"aside": KEPT, "running": {"f"}}, [Signal.FLOOR_VACATED], {"voice": VoiceState.ABSENT, "running": set()},
        [Aside.FORGET]),
    "words behind the last sentence are not heard": (
        {"phase": Phase.CLOSING, "is_closing_sent": True, "sounding": True,
         "closing": CloseAsked("ended", "x")},
        [AgentSaid("y")], {"voice": IDLE}, []),
}  # fmt: skip
OTHER_CASES: dict[str, Case] = {
    "an answer of a function is owed words": (
        {"running": {"f"}}, [FunctionDone("f")], {"debt": OWED, "running": set()}, []),
    "a transfer that is refused settles nothing": (
        {"phase": Phase.PUTTING_THROUGH, "debt": OWED, "has_spoken": True}, [TransferWanted("t")], {"debt": OWED},
        [AnswerFunction("t", REFUSED)]),
    "an end that is refused settles nothing": (
        {"phase": Phase.HANDING_OVER, "debt": OWED, "has_spoken": True, "voice": VoiceState.ABSENT}, [END],
        {"debt": OWED}, [AnswerFunction("e", REFUSED)]),
    "no word is owed behind a goodbye": (
        {"running": {"f"}, "phase": ENDING, "end": END}, [FunctionDone("f")], {"debt": Debt.SETTLED}, []),
    "no function is owed words behind a goodbye": (
        {"phase": ENDING, "end": END}, [FunctionsAsked(("f",))], {"debt": Debt.SETTLED}, []),
    "words said before a transfer is wanted are its sentence": (
        {"debt": OWED, "has_spoken": True}, [TransferWanted("t")],
        {"debt": Debt.SETTLED, "phase": Phase.TRANSFERRING}, []),
    "a transfer without a word leaves the debt": ({"debt": OWED}, [TransferWanted("t")], {"debt": OWED}, []),
    "an end without a word leaves the debt": (
        {"debt": OWED}, [END], {"debt": OWED, "phase": ENDING}, [AnswerFunction("e", POLICY.wording.ask_goodbye)]),
    "a transfer during a goodbye takes its place": (
        {"phase": ENDING, "end": END}, [TransferWanted("t")],
        {"phase": Phase.TRANSFERRING, "transfer": "t"}, [AnswerFunction("e", REFUSED)]),
    "a handoff during a goodbye is refused, and the goodbye goes on": (
        {"voice": COMING, "phase": ENDING, "has_spoken": True}, [HandoffWanted("h")],
        {"voice": COMING, "debt": Debt.SETTLED}, [AnswerFunction("h", REFUSED)]),
    "a handoff is refused while the line is asked for a person": (
        {"phase": Phase.PUTTING_THROUGH}, [HandoffWanted("h")], {"phase": Phase.PUTTING_THROUGH},
        [AnswerFunction("h", REFUSED)]),
    "a session lost before the sentence of a transfer leaves it to the next": (
        {"phase": Phase.TRANSFERRING, "debt": OWED}, [Signal.FLOOR_VACATED], {"phase": Phase.CONVERSING}, []),
    "a session lost before its goodbye leaves it to the next": (
        {"phase": ENDING, "debt": OWED}, [Signal.FLOOR_VACATED], {"phase": Phase.CONVERSING}, []),
    "a session lost while the caller speaks over the goodbye leaves them to the next": (
        {"phase": ENDING, "sounding": True, "caller": HEARD}, [Signal.FLOOR_VACATED], {"phase": Phase.CONVERSING}, []),
    "a session lost behind its goodbye has said all": (
        {"phase": ENDING, "sounding": True}, [Signal.FLOOR_VACATED], {"phase": ENDING}, []),
    "a caller who never lets go is not answered for ever": (
        {"phase": ENDING, "sounding": True, "reopened": [ENDING] * 2, "end": END}, [CallerSaid("x")],
        {"phase": ENDING}, []),
    "a call that is to close is not reopened": (
        {"phase": ENDING, "sounding": True, "closing": CloseAsked("ended", "x"), "end": END}, [CallerSaid("x")],
        {"phase": ENDING}, []),
    "the line is deaf in a conversation only": (
        {"phase": ENDING, "sounding": True}, [VoiceEnded(10.0, deaf=True)], {"debt": Debt.SETTLED}, []),
    "a session that comes while a message waits holds the tape as well": (
        {"phase": Phase.HUSHED, "closing": CloseAsked("ended", "x", waits_for_beep=True)}, [FloorGiven(owes=False)],
        {"phase": Phase.HUSHED}, [Listening.HOLD_TAPE]),
    "an operator's restart ends the session, which is not old": (
        {}, [Signal.RESTART_WANTED], {"voice": VoiceState.ABSENT}, [EndSession()]),
    "an operator restarts nothing where no session is there": (
        {"voice": VoiceState.ABSENT}, [Signal.RESTART_WANTED], {"phase": Phase.CONVERSING}, []),
    "an operator restarts nothing during a handoff": (
        {"phase": Phase.HANDING_OVER}, [Signal.RESTART_WANTED], {"phase": Phase.HANDING_OVER}, []),
    "an operator who takes the call over owes nothing": (
        {"debt": OWED}, [Signal.TAKEN_OVER], {"debt": Debt.SETTLED, "phase": Phase.TAKEN_OVER}, []),
    "an operator takes over no call that is being ended": (
        {"phase": ENDING}, [Signal.TAKEN_OVER], {"phase": ENDING}, []),
    "an agent that has the call back from an operator converses": (
        {"phase": Phase.TAKEN_OVER, "voice": VoiceState.ABSENT}, [FloorGiven(owes=False)],
        {"phase": Phase.CONVERSING, "voice": IDLE}, []),
    "keys are the end of what the caller is saying": (
        {"caller": HEARD}, [KeysEntered("1")], {"caller": HEARD}, [Listening.END_CALLERS_TURN, PRESSED]),
    "keys end no turn of a caller who says nothing": (
        {}, [KeysEntered("1")], {"caller": CallerState.QUIET}, [PRESSED]),
    "keys that are pressed into a goodbye take it back": (
        {"phase": ENDING, "end": END}, [KeysEntered("1")], {"phase": Phase.CONVERSING, "ended_by": ""},
        [AnswerFunction("e", POLICY.wording.reopened), PRESSED]),
    "keys that an operator hears on the line are theirs": (
        {"phase": Phase.TAKEN_OVER, "voice": VoiceState.ABSENT}, [KeysEntered("1")],
        {"phase": Phase.TAKEN_OVER}, []),
    "keys take back no goodbye of a call that is to close": (
        {"phase": ENDING, "sounding": True, "closing": CloseAsked("ended", "x"), "end": END}, [KeysEntered("1")],
        {"phase": ENDING}, []),
    "keys end no turn where another agent is to have it": (
        {"caller": HEARD, "phase": Phase.HANDING_OVER, "voice": VoiceState.ABSENT}, [KeysEntered("1")],
        {"caller": HEARD}, []),
    "a session that comes for the last sentence does not greet": (
        {"phase": Phase.CLOSING, "closing": CloseAsked("ended", "x")}, [FloorGiven(owes=True, greeting="I am Bob.")],
        {"phase": Phase.CLOSING}, [Listening.HOLD_TAPE, SayAsAgent(SpeechKind.CLOSING, "x")]),
    "a transfer that fails too late is not told": (
        {}, [PutThroughFailed("nobody")], {"phase": Phase.CONVERSING}, []),
    "a second beep changes nothing": (
        {"phase": Phase.CLOSING, "closing": CloseAsked("ended", "x")}, [Signal.BEEP_HEARD],
        {"phase": Phase.CLOSING}, []),
    "a call that is over takes no event": (
        {"phase": Phase.OVER}, [CallerSaid("x"), Signal.CALLER_STARTED_SPEAKING], {"phase": Phase.OVER}, []),
}  # fmt: skip
CASES = CALLER_CASES | VOICE_CASES | OTHER_CASES


@pytest.mark.parametrize("name", CASES)
def test_a_row(name: str) -> None:
    fields, events, becomes, effects = CASES[name]

    state, seen = after(*events, **fields)

    assert seen == effects
    assert {field: getattr(part_with(state, field), field) for field in becomes} == becomes


def test_an_operator_on_the_floor_is_heard_though_no_session_is_there() -> None:
    turn, _ = prepared_turn(phase=Phase.TAKEN_OVER, voice=VoiceState.ABSENT)

    assert turn.gate is Gate.OPEN


def test_the_silence_before_an_operator_gave_the_call_back_is_not_the_agents() -> None:
    state, _ = after(FloorGiven(owes=True), phase=Phase.TAKEN_OVER, voice=VoiceState.ABSENT)

    assert (state.debt, state.silent_since) == (OWED, 10.0)
