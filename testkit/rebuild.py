"""A recorded call as a scenario: what the caller said and when, what the agents answered, and what failed.

`rebuild` reads a journal and returns everything that a call like it is played from. It guesses nothing silently: what
a journal cannot give is in `notes`.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import attrs

from actors import facts
from actors.journal import Entry, facts_of
from actors.policy import describe_keys
from agents.sentences import ENGLISH, Sentences
from protocol.audio import BYTES_PER_SECOND
from protocol.fields import JSON, json_or
from simulators.scenario import Caller, CallerLine, Scenario, ScriptedAgent, ScriptedCall, ScriptedTurn
from simulators.speech import VOICES, synthesise
from testkit.recorded_faults import NOTICEABLE, recorded_faults
from testkit.recording import RecordedCall
from testkit.witness import is_of_keypad, keys_in
from web.picture.chart import joined

USUAL_ANSWER: Final = 0.5
"""Seconds from a turn to its answer, in the simulated service."""
USUAL_THOUGHT: Final = 0.4
"""The part of it before a function is called."""
NEVER: Final = 600.0
"""Seconds: later than any call goes on."""
WITH_A_CALL: Final = 0.35
"""So soon after a function call, words belong to the call, and not to its answer."""
CUT_AT: Final = 0.1
"""A reply that ended so shortly before the caller spoke was cut by them."""
A_BREATH: Final = 0.15
"""The ends of a reply are quiet: a pause between two is so much longer for who listens."""
QUIET_END: Final = 0.1
"""About so much of it: who waits for a pause has waited longer than since the end of the sound."""
ONSET: Final = 0.02
"""The first frame of a line is quiet: a voice is noticed so much later."""
_ONE_UTTERANCE: Final = 0.8
_ONE_SOUND: Final = 0.05


@attrs.frozen
class RecordedAnswer:
    """A function's arguments, and its answer after so many seconds."""

    arguments: Mapping[str, JSON]
    result: str
    ok: bool
    took: float
    facts: Mapping[str, str]


@attrs.frozen
class Rebuilt:
    """The parts that a recorded call is played from."""

    scenario: Scenario
    faults: tuple[str, ...]
    direction: str
    answers: Mapping[tuple[str, str], tuple[RecordedAnswer, ...]]
    """What the functions of each agent answered, in order."""
    briefs: Mapping[str, Mapping[str, str]]
    """The Brief that the language model wrote for each reader."""
    notes: tuple[str, ...]
    """What the journal does not tell."""


def rebuild(recording: RecordedCall, sentences: Collection[Sentences] = (ENGLISH,)) -> Rebuilt:
    """Make a scenario of a recorded call; `sentences` are those of the agents that take it again."""
    entries, notes = recording.entries, list(recording.unknown)
    started, ended = facts_of(entries, facts.CallStarted)[0], facts_of(entries, facts.CallEnded)[-1]
    said = _utterances(entries, notes)
    voice = min(VOICES, key=lambda name: sum(abs(one.end - one.start - length_of(one.text, name)) for one in said))
    lines = tuple(_caller_lines(entries, said, voice, notes))
    caller = Caller(voice=voice, hangs_up=False, patience=600.0, lines=lines)
    scenario = Scenario(
        name=f"replay of {started.call_sid}",
        description="A recorded call.",
        caller=caller,
        agents=_agents(entries, sentences),
        ends=ended.outcome,
    )
    return Rebuilt(
        scenario=scenario,
        faults=tuple(recorded_faults(entries)),
        direction=started.direction,
        answers=_answers(entries),
        briefs=_briefs(entries),
        notes=tuple(notes),
    )


# The caller


def length_of(text: str, voice: str) -> float:
    """Return how long the sound of a text lasts, from the first word to the last."""
    words = synthesise(text, voice).words
    return (words[-1].end_byte - words[0].start_byte) / BYTES_PER_SECOND if words else 0.0


@attrs.frozen
class _Said:
    text: str
    start: float
    end: float


def _caller_lines(
    entries: Sequence[Entry], said: Sequence[_Said], voice: str, notes: list[str]
) -> Iterator[CallerLine]:
    agents = joined(((fact.start, fact.end) for fact in facts_of(entries, facts.AgentSpoke)), _ONE_SOUND)
    left_off = 0.0
    deeds: list[tuple[float, _Said | str]] = [*((one.start, one) for one in said), *_keys(entries, notes)]
    for at, deed in sorted(deeds, key=lambda each: each[0]):
        cue = _cue(at, left_off, agents)
        if isinstance(deed, str):
            yield attrs.evolve(cue, digits=deed)
            left_off = at
        else:
            yield attrs.evolve(cue, says=deed.text)
            left_off = at + synthesise(deed.text, voice).seconds
    if (hung_up := _hung_up(entries)) is not None:
        yield CallerLine(hangs_up=True, after=max(0.0, round(hung_up - left_off, 3)))


def _keys(entries: Sequence[Entry], notes: list[str]) -> Iterator[tuple[float, str]]:
    pressed = list[tuple[float, str]]()
    for entry in entries:
        match entry.fact:
            case facts.DigitPressed(digit=digit):
                pressed.append((entry.at, digit))
            case facts.KeysPressed(count=count) if pressed and not pressed[-1][1] and count < len(pressed):
                yield from _unkept(pressed[:-1], notes)
                yield pressed[-1][0], "#"  # it ends an entry, and is none of its keys
                pressed.clear()
            case facts.KeysPressed():
                yield from _unkept(pressed, notes)
                pressed.clear()
            case _:
                pass
    yield from _unkept(pressed, notes)


def _unkept(pressed: Sequence[tuple[float, str]], notes: list[str]) -> Iterator[tuple[float, str]]:
    for at, digit in pressed:
        if not digit:
            notes.append(f"the key pressed at {at:.2f} s is not kept (KEEP_DIGITS): 0 is pressed")
        yield at, digit or "0"


def _told_of(text: str, pressed: list[int]) -> str:
    """Return what the service is told of a turn of the caller's: of keys that are not kept, as they are pressed now.

    `pressed` are the keys in each entry that no agent was told of yet; those of this turn are taken out.
    """
    left, told = keys_in(text), list[str]()
    while left > 0 and pressed:
        told.append("0" * min(left, pressed.pop(0)))
        left -= len(told[-1])
    return describe_keys((*told, *["0" * left][: left > 0])) if keys_in(text) else text


def _hung_up(entries: Sequence[Entry]) -> float | None:
    """Return when the caller hung up, if that ended the call."""
    left = (e.at for e in entries if isinstance(e.fact, facts.CallerHungUp) and e.fact.how in {"stop", "disconnect"})
    return next(left, None) if facts_of(entries, facts.CallEnded)[-1].outcome == "caller_hung_up" else None


def _cue(at: float, since: float, agents: Sequence[tuple[float, float]]) -> CallerLine:
    """Say when a line is due: in the pause behind an answer, else so long after the line before."""
    heard = [(start, end) for start, end in agents if end > since and start < at]
    pause = at - heard[-1][1] if heard else 0.0
    gaps = [later - earlier for (_, earlier), (later, _) in pairwise(heard)]
    is_answered = bool(heard) and heard[0][0] >= since
    if is_answered and pause > CUT_AT and not any(gap > pause - A_BREATH for gap in gaps):
        return CallerLine(pause=round(pause + QUIET_END, 3))
    return CallerLine(after=max(0.0, round(at - since - (0.0 if since else ONSET), 3)))


def _utterances(entries: Sequence[Entry], notes: list[str]) -> list[_Said]:
    """Put the words that were understood to the stretches of sound in which they were said."""
    sounds = joined(((fact.start, fact.end) for fact in facts_of(entries, facts.CallerSpoke)), _ONE_UTTERANCE)
    heard = ((entry.at, entry.fact) for entry in entries)
    turns = [(at, it.text) for at, it in heard if isinstance(it, facts.TurnHeard) and not is_of_keypad(it.text)]
    said, free = list[_Said](), list(sounds)
    for number, (at, text) in enumerate(turns):
        before = [sound for sound in free if sound[0] < at]
        left = len(turns) - number - 1
        chosen = before[0] if before and (len(free) <= left + 1 or len(before) == 1) else _likeliest(before, text)
        if chosen is None:
            length = synthesise(text, "caller-1").seconds
            said.append(_Said(text, at - length, at))
            continue
        notes += [f"a sound at {sound[0]:.2f} s, which nobody understood" for sound in free[: free.index(chosen)]]
        free = free[free.index(chosen) + 1 :]
        said.append(_Said(text, *chosen))
    notes += [f"a sound at {start:.2f} s, which nobody understood" for start, _ in free]
    return said


def _likeliest(sounds: Sequence[tuple[float, float]], text: str) -> tuple[float, float] | None:
    length = synthesise(text, "caller-1").seconds
    return min(sounds, key=lambda sound: abs(sound[1] - sound[0] - length), default=None)


# The agents


@attrs.define
class _Turn:
    """The answer to one turn of the caller's, as it is read."""

    agent: str
    hears: str
    at: float
    said: dict[str, list[str]] = attrs.field(factory=lambda: {"says": [], "then": [], "on_error": []}, init=False)
    calls: list[ScriptedCall] = attrs.field(factory=list, init=False)
    then_calls: list[ScriptedCall] = attrs.field(factory=list, init=False)
    answered: int = attrs.field(default=0, init=False)
    failed: bool = attrs.field(default=False, init=False)
    done_at: float = attrs.field(default=0.0, init=False)
    """When the last function was answered."""
    then_at: float | None = attrs.field(default=None, init=False)
    """When the first of what followed came."""
    ready: float | None = attrs.field(default=None, init=False)
    """When the first word of it came."""
    since: float = attrs.field(default=0.0, init=False)
    """From when the session thought about it."""
    called_at: float = attrs.field(default=0.0, init=False)
    generation: int | None = attrs.field(default=None, init=False)
    """Of the reply that was said with the functions."""
    unasked: dict[int, str] = attrs.field(factory=dict[int, str], init=False)
    """What was said besides: to a reminder of the switchboard's, whose words the journal does not have."""
    told_at: float = attrs.field(default=math.inf, init=False)
    """When the session took that for words of the caller's."""
    unasked_slow: float = attrs.field(default=0.0, init=False)
    """How late the answer came."""
    said_ours: bool = attrs.field(default=False, init=False)
    """Whether what was said last was the switchboard's."""

    def read(self, entry: Entry, ours: Mapping[str, bool]) -> None:
        """Take what the agent did next; `ours` is what the switchboard has it say."""
        match entry.fact:
            case facts.FloorTaken() if self.ready is None:
                self.since = entry.at
            case facts.FloorTaken():
                self.generation = None
            case facts.UserStartedSpeaking():
                self.told_at = entry.at
            case facts.ReplyText(text=text, generation=generation) if not self._is_ours(text, ours):
                self.add_text(text, entry.at, generation)
            case facts.FunctionCalled(name=name, arguments=arguments):
                self.add_call(ScriptedCall(name, _json(arguments)), entry.at)
            case facts.FunctionAnswered(ok=ok):
                self.answered, self.failed, self.done_at = self.answered + 1, self.failed or not ok, entry.at
            case facts.HandoffFailed():
                self.failed = True
            case _:
                pass

    def _is_ours(self, text: str, ours: Mapping[str, bool]) -> bool:
        self.said_ours = text in ours and (ours[text] or self.said_ours)
        return self.said_ours

    def add_text(self, text: str, at: float, generation: int) -> None:
        """Add a sentence where it belongs: to the functions, or behind what they have answered."""
        if any(text in sentences for sentences in self.said.values()):
            return
        is_done = bool(self.calls) and self.answered >= len(self.calls)
        if self.generation is None or (self.calls and not is_done):
            with_calls = not is_done or at - self.called_at < WITH_A_CALL
            self.generation = generation if with_calls else -1
        if not self.calls and generation != self.generation:
            if generation not in self.unasked:
                self.unasked_slow = max(self.unasked_slow, at - self.told_at - USUAL_ANSWER)
            self.unasked[generation] = f"{self.unasked.get(generation, '')} {text}".strip()
            return
        place = "says" if generation == self.generation else "on_error" if self.failed else "then"
        self.said[place].append(text)
        if place != "says" and self.then_at is None:
            self.then_at = at
        self.ready = at if self.ready is None else self.ready

    def add_call(self, call: ScriptedCall, at: float) -> None:
        """Add a function call, unless a restarted session asks for it again."""
        if call in self.calls or call in self.then_calls:
            return
        behind = bool(self.said["then"]) or bool(self.calls and self.answered >= len(self.calls))
        (self.then_calls if behind else self.calls).append(call)
        self.called_at = at
        self.ready = at if self.ready is None else self.ready

    def scripted(self) -> ScriptedTurn | None:
        """Write it as a turn of a scenario; None if nothing was answered."""
        if not self.said["says"] and not self.calls:
            return None
        usual = USUAL_ANSWER if self.said["says"] else USUAL_THOUGHT
        slow = (self.ready or 0.0) - max(self.since, self.at) - usual
        return ScriptedTurn(
            hears=self.hears,
            says=tuple(self.said["says"]),
            calls=tuple(self.calls),
            then=tuple(self.said["then"]),
            then_calls=tuple(self.then_calls),
            on_error=tuple(self.said["on_error"]),
            slow=round(slow, 3) if slow > NOTICEABLE else 0.0,
            slow_then=self._slow_then(),
        )

    def _slow_then(self) -> float:
        """Return how late the answer to the functions came; of a failed one, which none followed, it never does."""
        if self.then_at is None:
            return NEVER if self.failed else 0.0
        late = self.then_at - self.done_at - USUAL_ANSWER
        return round(late, 3) if late > NOTICEABLE else 0.0


def _agents(entries: Sequence[Entry], sentences: Collection[Sentences]) -> dict[str, ScriptedAgent]:
    ours, turns, pressed = _begun_by(sentences), list[_Turn](), list[int]()
    for entry in entries:
        if isinstance(entry.fact, facts.KeysPressed) and entry.fact.taken:
            pressed.append(entry.fact.count)
        elif isinstance(entry.fact, facts.TurnHeard):
            turns.append(_Turn(entry.fact.agent, _told_of(entry.fact.text, pressed), entry.at))
        elif turns and getattr(entry.fact, "agent", "") == turns[-1].agent:
            turns[-1].read(entry, ours)
    scripts: dict[str, list[ScriptedTurn]] = {}
    for turn in turns:
        if (scripted := turn.scripted()) is not None:
            scripts.setdefault(turn.agent, []).append(scripted)
    names = [
        entry.fact.agent for entry in entries if isinstance(entry.fact, facts.SessionConnecting | facts.FloorTaken)
    ]
    return {name: _agent(name, scripts.get(name, ()), [turn for turn in turns if turn.agent == name]) for name in names}


def _agent(name: str, scripts: Sequence[ScriptedTurn], turns: Sequence[_Turn]) -> ScriptedAgent:
    unasked = tuple(text for turn in turns for text in turn.unasked.values())
    slow = max((turn.unasked_slow for turn in turns), default=0.0)
    return ScriptedAgent(
        name, turns=tuple(scripts), fallback=unasked, fallback_slow=round(slow, 3) if slow > NOTICEABLE else 0.0
    )


def _begun_by(sentences: Collection[Sentences]) -> dict[str, bool]:
    """Return what the switchboard has agents say, by sentences: whether they begin it, or only go on with it."""
    found = dict[str, bool]()
    for text in (text for each in sentences for _, text in each.all()):
        first, *others = (part.strip() for part in re.split(r"(?<=[.?!])\s+", text))
        found = dict.fromkeys(others, False) | found | {text: True, first: True}
    return found


def _json(arguments: str) -> Mapping[str, JSON]:
    read = json_or(arguments, None)
    return read if isinstance(read, dict) else {}


# Functions and Briefs


def _answers(entries: Sequence[Entry]) -> dict[tuple[str, str], tuple[RecordedAnswer, ...]]:
    called = {fact.number: _json(fact.arguments) for fact in facts_of(entries, facts.FunctionCalled)}
    found: dict[tuple[str, str], tuple[RecordedAnswer, ...]] = {}
    for fact in facts_of(entries, facts.FunctionAnswered):
        one = RecordedAnswer(called.get(fact.number, {}), fact.result, fact.ok, fact.took, fact.facts)
        found[fact.agent, fact.name] = (*found.get((fact.agent, fact.name), ()), one)
    return found


def _briefs(entries: Sequence[Entry]) -> dict[str, Mapping[str, str]]:
    return {fact.reader: fact.brief for fact in facts_of(entries, facts.BriefReady) if fact.source == "groq"}
