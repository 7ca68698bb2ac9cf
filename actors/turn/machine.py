"""`Turn`: the machine that the driver feeds.

The law of this folder: a message is first recognised for what it is, and what it leaves behind is noted. Then one row
of each table is chosen by the state *before* the event, and all four act. Then the first rule that is due fires, again
and again, until none is due. One `Turn` lives as long as the call: a restart or a handoff loses nothing.
"""

import math

from actors.policy import CallPolicy
from actors.turn.effects import Effect, SayAsAgent
from actors.turn.events import CloseAsked, Event
from actors.turn.notes import note, recognise
from actors.turn.rules import RULES_IN
from actors.turn.state import TurnState
from actors.turn.tables import TABLES
from actors.turn.values import CallerState, Debt, Gate, Phase, SpeechKind, VoiceState

_MOST_RULES_AT_ONCE = 20
"""More than can be due together: a rule that does not undo its own condition costs a call time, and not its life."""


class Turn:
    """Whose turn it is on one call."""

    def __init__(self, policy: CallPolicy, now: float) -> None:
        """Begin at the start of the call, when no session is there yet."""
        self._state = TurnState(policy, policy.deadlines, policy.wording, policy.numbers, now=now)
        self._state.at.quiet = self._state.at.vacated = now
        self._fire_rules()

    def on(self, event: Event, now: float) -> list[Effect]:
        """Take an event; return what is to be done about it, in this order."""
        state = self._state
        if state.phase is Phase.OVER:
            return []
        state.now = now
        recognised = recognise(state, event)
        note(state, recognised)
        rows = [table.row(state, recognised) for table in TABLES]
        for table, row in zip(TABLES, rows, strict=True):
            table.move(state, row)
        for row in rows:
            for action in row.actions:
                action(state, recognised)
        self._fire_rules()
        effects, state.effects = state.effects, []
        return effects

    def deadline(self) -> float:
        """Return when `TimePassed` is due; infinity: never."""
        return self._deadline

    def _fire_rules(self) -> None:
        state = self._state
        for _ in range(_MOST_RULES_AT_ONCE):
            self._deadline, due_rule = math.inf, None
            for rule in RULES_IN[state.phase]:
                due = rule.due_at(state)
                self._deadline = min(self._deadline, due)
                if due <= state.now:
                    due_rule = rule
                    break
            if due_rule is None:
                return
            due_rule.action(state)

    # What the driver reads after each event

    @property
    def gate(self) -> Gate:
        """Whether the agent's audio is heard, set aside or dropped. The driver copies it after each event."""
        return self._state.gate

    @property
    def is_audio_news(self) -> bool:
        """Whether the next frame of the agent's audio is to be told (`AudioBegan`)."""
        state = self._state
        if state.gate is not Gate.OPEN:
            return False
        return state.voice is VoiceState.IDLE or not (state.sounding and state.has_sound)

    @property
    def is_ending(self) -> bool:
        """Whether the agent has ended the conversation and has left nothing unsaid: no other session need come."""
        return self._state.phase is Phase.ENDING and self._state.debt is Debt.SETTLED

    @property
    def is_aged(self) -> bool:
        """Whether the session on the floor nears the longest that the service allows."""
        return self._state.is_aged

    @property
    def ending(self) -> str:
        """The function that has ended the conversation, if one has; what else wanted to end it was refused."""
        return self._state.end.id if self._state.end is not None else ""

    @property
    def is_closing(self) -> bool:
        """Whether the call is to end by the switchboard: a further `CloseAsked` changes nothing."""
        return self._state.closing is not None

    @property
    def runs_functions(self) -> bool:
        """Whether what the model asks for is to be carried out: no more, once the last sentence is due."""
        return self._state.phase not in {Phase.HUSHED, Phase.CLOSING, Phase.OVER}

    def has_room_for(self, keys: str) -> bool:
        """Whether this entry of keys would be kept until an agent can be told."""
        return self._state.has_room_for(keys)

    @property
    def silent_since(self) -> float:
        """Since when the caller waits and hears nothing, while something is owed and nothing sounds."""
        return self._state.silent_since

    @property
    def times_asked(self) -> int:
        """How often the caller was asked whether they are there, since they last spoke or pressed a key."""
        return self._state.times_asked

    @property
    def outstanding(self) -> SayAsAgent | None:
        """The injection that the service has neither begun nor refused."""
        return self._state.outstanding

    def repeats(self, text: str) -> bool:
        """Whether these words of the caller's are the last ones, which the service sends a second time."""
        return self._state.repeats(text)

    def is_whole(self, now: float) -> bool:
        """Whether an AgentAudioDone that comes now is the end of the reply, and no interruption of it."""
        return self._state.voice is not VoiceState.CUT or self._state.went_on(now)

    @property
    def sounding(self) -> bool:
        """Whether the caller hears something of ours; `Played` is due when nothing is left of it."""
        return self._state.sounding

    @property
    def caller(self) -> CallerState:
        """Whether the service hears the caller."""
        return self._state.caller

    @property
    def voice(self) -> VoiceState:
        """The state of the agent's audio, as the service sends it."""
        return self._state.voice

    @property
    def debt(self) -> Debt:
        """Whether the caller waits for words of an agent."""
        return self._state.debt

    @property
    def phase(self) -> Phase:
        """The phase of the call."""
        return self._state.phase

    @property
    def policy(self) -> CallPolicy:
        """The deadlines and words of the call."""
        return self._state.policy

    @property
    def closing(self) -> CloseAsked | None:
        """How the call is to end, if it is to end by the switchboard."""
        return self._state.closing

    @property
    def remark(self) -> str:
        """The sentence that waits for a pause; empty if none does."""
        return self._state.remark

    def awaits_remark(self, remark_id: str) -> bool:
        """Whether an operator's sentence waits for a pause, or for the service to begin it."""
        outstanding = self._state.outstanding
        return self._state.remark_id == remark_id or (outstanding is not None and outstanding.id == remark_id)

    def has_begun_remark(self, remark_id: str) -> bool:
        """Whether an operator's sentence is the last one that the caller has heard an agent begin."""
        return self._state.remark_begun == remark_id

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries on the keypad that wait to be told to an agent."""
        return tuple(self._state.keys)

    @property
    def told(self) -> str:
        """The words that the service was told as the caller's, and has not echoed."""
        return self._state.told

    @property
    def kind(self) -> SpeechKind:
        """Why the reply is said that is coming, or was the last."""
        return self._state.kind

    @property
    def is_loud(self) -> bool:
        """Whether the line carries the caller's voice."""
        return self._state.is_loud
