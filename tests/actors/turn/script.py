"""Scripts of a call's turn-taking: events with their times, and what `Turn` wants done about them, with its times."""

import math
from collections.abc import Iterable
from typing import TypeAlias

import attrs

from actors.policy import CallPolicy
from actors.turn.effects import Effect, NoteSilence, PlayClip, SayAsAgent, SpeechKind
from actors.turn.events import AgentSaid, CallerSaid, EndWanted, Event, FloorGiven, FunctionsAsked, Signal, VoiceEnded
from actors.turn.machine import Turn
from actors.turn.parts import Session
from actors.turn.state import Debt, TurnState, VoiceState
from agents.sentences import ENGLISH, Sentences

Step: TypeAlias = tuple[float, Event]
Seen: TypeAlias = list[tuple[float, Effect]]

POLICY = CallPolicy()
FIRST, SECOND, THIRD = ENGLISH.fillers
ASK = ENGLISH.still_there
LATE_VOICE = POLICY.deadlines.late_voice
"""The line is held so long behind a goodbye."""
LONGEST_STEP = 500
GOODBYE: list[Step] = [
    (3, Signal.AUDIO_BEGAN),
    (3.1, AgentSaid("Goodbye!")),
    (3.2, FunctionsAsked(("end",))),
    (3.2, EndWanted("end", "done")),
    (3.3, Signal.AUDIO_DONE),
]
"""An agent says goodbye, and ends the conversation."""


def new_turn(policy: CallPolicy = POLICY) -> Turn:
    """A call that has just begun: no session is there."""
    return Turn(policy, 0.0)


def on_floor(policy: CallPolicy = POLICY, sentences: Sentences = ENGLISH) -> Turn:
    """A call in the caller's turn: the session owes nothing."""
    turn = new_turn(policy)
    turn.on(FloorGiven(owes=False, sentences=sentences), 0.0)
    return turn


def prepared_turn(**fields: object) -> tuple[Turn, TurnState]:
    """A call in the caller's turn that is brought to a state by hand, where nothing is due at second 10."""
    turn = new_turn()
    state = state_of(turn)
    state.voice, state.is_opened, state.now = VoiceState.IDLE, True, 10.0
    at = state.at
    at.turned = at.quiet = at.noticed = at.heard = at.voiced = at.phase = 10.0
    at.outstanding = at.vacated = at.close_asked = 10.0
    at.told = 9.5
    for name, value in fields.items():
        setattr(part_with(state, name), name, value)
    if state.debt is Debt.OWED:
        at.owed = at.waiting = 9.5
    turn._deadline = math.inf  # of the state before: the next event finds the new one
    return turn, state


def part_with(state: TurnState, name: str) -> TurnState | Session:
    """Return the part of the state that has a field of this name."""
    part = next(part for part in (state, state.session) if hasattr(part, name))
    assert isinstance(part, TurnState | Session)
    return part


def play(turn: Turn, steps: Iterable[Step], until: float | None = None) -> Seen:
    """Feed events at their times, and the turn's own deadlines between them; return effects with their times."""
    seen: Seen = []
    now = 0.0
    for at, event in sorted(steps, key=lambda step: step[0]):
        now = _pass_time(turn, at, now, seen)
        now = at
        seen.extend((round(at, 3), rounded(effect)) for effect in turn.on(event, at))
    if until is not None:
        _pass_time(turn, until, now, seen)
    return seen


def _pass_time(turn: Turn, until: float, now: float, seen: Seen) -> float:
    for _ in range(LONGEST_STEP):
        due = turn.deadline()
        if due > until:
            return now
        now = max(due, now)
        effects = turn.on(Signal.TIME_PASSED, now)
        seen.extend((round(now, 3), rounded(effect)) for effect in effects)
        assert turn.deadline() > now, "a deadline that does not move"
    raise AssertionError("too many deadlines")


def rounded(effect: Effect) -> Effect:
    """Return an effect with its length of silence in milliseconds."""
    if isinstance(effect, SayAsAgent | PlayClip | NoteSilence):
        return attrs.evolve(effect, silence=round(effect.silence, 3))
    return effect


def filler_asked(text: str = FIRST, silence: float = 3.0) -> SayAsAgent:
    return SayAsAgent(SpeechKind.FILLER, text, silence=silence)


def question_asked(silence: float = 10.0) -> SayAsAgent:
    return SayAsAgent(SpeechKind.QUESTION, ASK, silence=silence)


def clip(silence: float = 4.0) -> PlayClip:
    return PlayClip(silence)


def without_notes(seen: Seen) -> Seen:
    """Leave out what only the journal is told."""
    return [(at, effect) for at, effect in seen if not isinstance(effect, NoteSilence)]


def seen(*steps: Step, until: float) -> Seen:
    """Play a script in a call that is in the caller's turn."""
    return without_notes(play(on_floor(), steps, until))


def state_of(turn: Turn) -> TurnState:
    """What the turn knows, for tests of what no effect shows."""
    return turn


def effects_of(seen: Seen) -> list[Effect]:
    return [effect for _, effect in seen]


def caller_says(at: float, text: str = "When can you come?", length: float = 1.0, wait: float = 0.5) -> list[Step]:
    """Speech of the caller's, and its transcript `wait` seconds after the last word."""
    return [
        (at, Signal.CALLER_STARTED_SPEAKING),
        (at, Signal.VOICE_BEGAN),
        (at + length, VoiceEnded(at + length)),
        (at + length + wait, CallerSaid(text)),
    ]


def lost(at: float) -> list[Step]:
    """A session that is lost, and another one that knows nothing of a debt."""
    return [(at, Signal.FLOOR_VACATED), (at + 0.3, FloorGiven(owes=False))]


def reply(
    at: float, text: str = "We have Tuesday and Friday.", played: float = 2.0, sent: float = 0.5, announces: str = ""
) -> list[Step]:
    """A reply: its first frame, its words, the end of its audio, and the end of its sound."""
    return [
        (at, Signal.AUDIO_BEGAN),
        (at + 0.02, AgentSaid(text, announces, asks=text.endswith("?"), takes_leave=announces == "end_call")),
        (at + sent, Signal.AUDIO_DONE),
        (at + played, Signal.PLAYED),
    ]


def filler(at: float, text: str = FIRST) -> list[Step]:
    """A filler that the agent says."""
    return reply(at, text, played=1.2, sent=0.3)
