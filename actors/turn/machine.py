"""`Turn`: the machine that the driver feeds.

The law of this folder: a message is first recognised for what it is, and what it leaves behind is noted. Then one row
of each table is chosen by the state *before* the event, and all four act. Then the first rule that is due fires, again
and again, until none is due. One `Turn` lives as long as the call: a restart or a handoff loses nothing.
"""

import math

import attrs

from actors.turn.actions import Actions
from actors.turn.effects import Effect
from actors.turn.events import Event
from actors.turn.notes import note, recognise
from actors.turn.rules import RULES_IN
from actors.turn.tables import TABLES
from actors.turn.values import Debt, Gate, Phase, VoiceState

_MOST_RULES_AT_ONCE = 20
"""More than can be due together: a rule that does not undo its own condition costs a call time, and not its life."""


@attrs.define(eq=False)
class Turn(Actions):
    """Whose turn it is on one call. It begins at `now`, when no session is there yet."""

    _deadline: float = attrs.field(default=math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin the first silence."""
        self.at.quiet = self.at.vacated = self.now
        self._fire_rules()

    def on(self, event: Event, now: float) -> list[Effect]:
        """Take an event; return what is to be done about it, in this order."""
        if self.phase is Phase.OVER:
            return []
        self.now, self.event = now, recognise(self, event)
        note(self, self.event)
        rows = [table.row(self) for table in TABLES]
        for table, row in zip(TABLES, rows, strict=True):
            table.move(self, row)
        for row in rows:
            for action in row.actions:
                action(self)
        self._fire_rules()
        effects, self.effects = self.effects, []
        return effects

    def deadline(self) -> float:
        """Return when `TimePassed` is due; infinity: never."""
        return self._deadline

    def _fire_rules(self) -> None:
        for _ in range(_MOST_RULES_AT_ONCE):
            self._deadline, due_rule = math.inf, None
            for rule in RULES_IN[self.phase]:
                due = rule.due_at(self)
                self._deadline = min(self._deadline, due)
                if due <= self.now:
                    due_rule = rule
                    break
            if due_rule is None:
                return
            due_rule.action(self)

    # What only the driver and the call read

    @property
    def is_audio_news(self) -> bool:
        """Whether the next frame of the agent's audio is to be told (`AudioBegan`)."""
        is_new = self.voice is VoiceState.IDLE or not (self.sounding and self.has_sound)
        return is_new and self.gate is Gate.OPEN

    @property
    def is_ending(self) -> bool:
        """Whether the agent has ended the conversation and has left nothing unsaid: no other session need come."""
        return self.phase is Phase.ENDING and self.debt is Debt.SETTLED

    @property
    def ending(self) -> str:
        """The function that has ended the conversation, if one has; what else wanted to end it was refused."""
        return self.end.id if self.end is not None else ""

    @property
    def runs_functions(self) -> bool:
        """Whether what the model asks for is to be carried out: no more, once the last sentence is due."""
        return self.phase not in {Phase.HUSHED, Phase.CLOSING, Phase.OVER}

    def is_whole(self, now: float) -> bool:
        """Whether an AgentAudioDone that comes now is the end of the reply, and no interruption of it."""
        return self.voice is not VoiceState.CUT or self.went_on(now)

    def awaits_remark(self, remark_id: str) -> bool:
        """Whether an operator's sentence waits for a pause, or for the service to begin it."""
        return any(asked is not None and asked.id == remark_id for asked in (self.remark, self.outstanding))
