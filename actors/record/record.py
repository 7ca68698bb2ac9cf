"""The call record, read off the Journal.

`RecordBuilder` is a reader of the Journal and nothing else: whatever way a call ended, and whether or not its actors
survived, the facts noted so far make a `CallRecord`. It raises nothing and owns nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

import attrs

from actors import facts
from actors.journal import Entry
from actors.line.ledger import SWITCHBOARD
from actors.line.reply import Reply
from actors.record.packed import PackedList
from protocol.fields import json_or
from store.records import (
    TRANSFERRING,
    AgentPeriod,
    CallRecord,
    CommandRecord,
    FrameCounts,
    FunctionRecord,
    HandoffRecord,
    RunningRecord,
    TransferRecord,
    TurnRecord,
    Usage,
    stream_fault,
    turn_line,
    turn_of,
)
from store.redaction import CallRedaction

T = TypeVar("T")
_HandoffStep: TypeAlias = facts.HandoffAsked | facts.BriefReady | facts.HandoffGap | facts.HandoffCommitted
_LONGEST_PAUSE = 5.0
"""Seconds between two words of one turn: Flux ends it by then."""


@attrs.define
class Meter:
    """Counts what a call uses of paid services, on top of what its earlier streams have used. It knows no prices.

    Deepgram bills by the minute a session is connected, and synthesis by the character; an LLM by the token.
    """

    _used: Usage = attrs.field(factory=Usage)
    _open: dict[int, tuple[str, float]] = attrs.field(factory=dict, init=False)
    _characters: int = attrs.field(default=0, init=False)
    """Of this stream's replies: there are too many for a new `Usage` each."""

    def read(self, entry: Entry) -> None:
        match entry.fact:
            case (
                facts.SessionConnecting(agent=agent, incarnation=number)
                | facts.FloorTaken(agent=agent, incarnation=number)
            ) if number:  # an operator on the line has no session, and a soft handoff connects none
                self._open.setdefault(number, (agent, entry.at))
            case facts.SessionFailed(incarnation=number) | facts.FloorLeft(incarnation=number):
                self._close(number, entry.at)
            case facts.HandoffFailed(to=agent) | facts.HandoffWithdrawn(to=agent):
                for number in [number for number, (who, _) in self._open.items() if who == agent]:
                    self._close(number, entry.at)
            case facts.ReplyText(text=text):
                self._characters += len(text)
            case facts.SummaryStarted():
                self._used = attrs.evolve(self._used, summaries=self._used.summaries + 1)
            case facts.SummaryWritten() | facts.SummaryFailed() as told:
                self._used = attrs.evolve(
                    self._used,
                    summaries=self._used.summaries + told.requests - 1,
                    summary_tokens_in=self._used.summary_tokens_in + told.tokens_in,
                    summary_tokens_out=self._used.summary_tokens_out + told.tokens_out,
                )
            case _:
                pass  # it costs nothing

    def total(self, now: float) -> Usage:
        """Return what was used up to `now` (seconds of the call)."""
        seconds = dict(self._used.agent_seconds)
        for agent, since in self._open.values():
            seconds[agent] = round(seconds.get(agent, 0.0) + now - since, 3)
        spoken = self._used.spoken_characters + self._characters
        return attrs.evolve(self._used, agent_seconds=seconds, spoken_characters=spoken)

    def _close(self, number: int, at: float) -> None:
        agent, since = self._open.pop(number, ("", at))
        if agent:
            seconds = self._used.agent_seconds
            spent = round(seconds.get(agent, 0.0) + at - since, 3)
            self._used = attrs.evolve(self._used, agent_seconds={**seconds, agent: spent})


@attrs.define
class RecordBuilder:
    """Collects one call."""

    _known: CallRecord
    """As it is when the stream begins; later, all but its agents, functions, words and usage, which are below."""
    redaction: CallRedaction = attrs.field(factory=CallRedaction)
    """Applied to replies that are under way; the Journal has applied it to all others."""
    _end: facts.CallEnded | None = attrs.field(default=None, init=False)
    _now: float = attrs.field(default=0.0, init=False)
    _held: bool = attrs.field(default=False, init=False)
    _agents: list[AgentPeriod] = attrs.field(factory=list, init=False)
    _functions: dict[str, FunctionRecord] = attrs.field(factory=dict, init=False)
    _turns: PackedList[TurnRecord] = attrs.field(factory=lambda: PackedList(turn_line, turn_of), init=False)
    _cut_off: list[TurnRecord] = attrs.field(factory=list, init=False)
    """The heard part of turns that a handoff cut off: of use only if no session hears them again."""
    _reply_began: dict[int, tuple[float, float | None]] = attrs.field(factory=dict, init=False)
    _latencies: dict[int, facts.LatencyReported] = attrs.field(factory=dict, init=False)
    """Deepgram's latency reports on replies that are under way, by their generation."""
    _speech_began: float | None = attrs.field(default=None, init=False)
    _voice_ended: float = attrs.field(default=0.0, init=False)
    _asked_at: float | None = attrs.field(default=None, init=False)
    _early_restarts: int = attrs.field(default=0, init=False)
    """Restarts of an agent that has not had the floor yet."""
    _meter: Meter = attrs.field(factory=Meter, init=False)
    _is_parted: bool = attrs.field(default=False, init=False)
    """Whether there was a time without agents since the last one had the floor."""

    def __attrs_post_init__(self) -> None:
        earlier = self._known
        if earlier.why or earlier.extracted:
            self._known = attrs.evolve(earlier, why="", extracted={})
        self._now, self._agents = earlier.duration, list(earlier.agents)
        self._functions = {f"earlier/{index}": one for index, one in enumerate(earlier.functions)}
        for turn in earlier.transcript:
            self._turns.append(turn)
        self._meter = Meter(earlier.usage)

    def read(self, entry: Entry) -> None:
        self._now = at = round(entry.at, 3)
        self._meter.read(entry)
        match entry.fact:
            case facts.CallEnded() as end:
                self._end = end
            case facts.FloorTaken(agent=agent):
                self._on_floor_taken(agent, at)
            case facts.FloorLeft():
                self._leave_floor(at)
            case facts.FunctionCalled() | facts.FunctionAnswered() as function:
                self._on_function(function, at)
            case facts.HandoffAsked() | facts.BriefReady() | facts.HandoffGap() | facts.HandoffCommitted() as step:
                self._on_handoff(step, at)
            case facts.SessionRestarting(agent=agent):
                self._on_restarting(agent)
            case other:
                self._on_transfer(other, at)
                self._on_words(other, at)
                self._on_fault(other)
                self._on_operator(other, at)

    def record(self) -> CallRecord:
        """Return the record as it stands: of a call that has no end yet, it says so."""
        return self._as_of(self._end or facts.CallEnded("cut", self._now, {}), list(self._turns.since()))

    def so_far(self, now: float, frames: Mapping[str, int], under_way: Iterable[Reply]) -> RunningRecord:
        """Return the record of a call that is cut `now`, with the unfinished replies."""
        unfinished = [self._unfinished(reply) for reply in under_way if reply.text]
        record = self._as_of(facts.CallEnded("cut", now, frames), [*self._turns.recent, *unfinished])
        return RunningRecord(record, tuple(self._turns.volumes))

    def _unfinished(self, reply: Reply) -> TurnRecord:
        began_at, latency = self._reply_began.get(reply.generation, (reply.at, None))
        text, heard = map(self.redaction.rule.text, (reply.text, reply.heard_text()))
        turn = TurnRecord(round(began_at, 3), reply.agent, text, heard, latency)
        return _with_parts(turn, self._latencies.get(reply.generation))

    def _as_of(self, end: facts.CallEnded, turns: list[TurnRecord]) -> CallRecord:
        duration, agents = round(end.duration, 3), tuple(self._agents)
        return attrs.evolve(
            self._known,
            duration=duration,
            outcome=end.outcome,
            agents=_with_last(agents, lambda last: attrs.evolve(last, ended=duration)) if self._held else agents,
            functions=tuple(self._functions.values()),
            transcript=tuple(sorted([*turns, *self._cut_off], key=lambda turn: turn.at)),
            frames=_sum(self._known.frames, FrameCounts(**end.frames)),
            usage=self._meter.total(end.duration),
        )

    def _on_floor_taken(self, agent: str, at: float) -> None:
        if self._goes_on(agent):
            self._agents[-1] = attrs.evolve(self._agents[-1], ended=at)
        else:
            early, self._early_restarts = self._early_restarts, 0
            self._agents.append(AgentPeriod(agent, at, at, restarts=early))
        self._held, self._is_parted = True, False

    def _goes_on(self, agent: str) -> bool:
        """Whether this agent was the last one that had the floor, and nobody else was on the line since."""
        return bool(self._agents) and self._agents[-1].agent == agent and not self._is_parted

    def _on_restarting(self, agent: str) -> None:
        """Count a restart of the call, and of the agent; one that has not had the floor yet has it counted later."""
        if self._goes_on(agent):
            self._agents[-1] = attrs.evolve(self._agents[-1], restarts=self._agents[-1].restarts + 1)
        else:
            self._early_restarts += 1
        self._known = attrs.evolve(self._known, restarts=self._known.restarts + 1)

    def _leave_floor(self, at: float) -> None:
        if self._held:
            self._agents[-1] = attrs.evolve(self._agents[-1], ended=at)
        self._held = False

    def _on_words(self, fact: facts.Fact, at: float) -> None:
        match fact:
            case facts.UserStartedSpeaking() | facts.CallerSpoke():
                self._on_speech(fact, at)
            case facts.TurnHeard(text=text):
                began, self._speech_began = self._speech_began, None
                self._turns.append(TurnRecord(at if began is None else began, "caller", text, text))
                self._asked_at = at
                self._cut_off.clear()
            case facts.TurnCutOff(text=text) if text.strip():
                began = self._speech_began
                self._cut_off.append(TurnRecord(at if began is None else began, "caller", text, text))
            case facts.ReplyStarted() | facts.FillerSaid():
                self._on_waiting(fact, at)
            case facts.ReplyEnded(agent=agent, generation=generation, text=text, heard=heard):
                began_at, latency = self._reply_began.pop(generation, (at, None))
                parts = self._latencies.pop(generation, None)
                if text:
                    self._turns.append(_with_parts(TurnRecord(began_at, agent, text, heard, latency), parts))
            case facts.LatencyReported(generation=generation) if generation in self._reply_began:
                self._latencies[generation] = fact
            case _:
                pass  # not words

    def _on_speech(self, fact: facts.UserStartedSpeaking | facts.CallerSpoke, at: float) -> None:
        """Note where a turn begins: with its words, though for the service a noise of long ago has begun it."""
        if isinstance(fact, facts.UserStartedSpeaking):
            self._speech_began = at
            return
        if self._speech_began is not None and fact.start > max(self._speech_began, self._voice_ended + _LONGEST_PAUSE):
            self._speech_began = fact.start
        self._voice_ended = fact.end

    def _on_waiting(self, fact: facts.ReplyStarted | facts.FillerSaid, at: float) -> None:
        """The caller waits for an answer: any reply is one, but for fillers and the switchboard's own clips."""
        match fact:
            case facts.ReplyStarted(agent=agent, generation=generation):
                asked = None if agent == SWITCHBOARD else self._asked_at
                self._asked_at = self._asked_at if asked is None else None
                self._reply_began[generation] = (at, None if asked is None else round(at - asked, 3))
            case facts.FillerSaid(generation=generation) if generation in self._reply_began:
                began_at, latency = self._reply_began[generation]
                self._asked_at = self._asked_at if latency is None else began_at - latency
                self._reply_began[generation] = (began_at, None)
            case _:
                pass  # it is over, and was counted

    def _on_function(self, fact: facts.FunctionCalled | facts.FunctionAnswered, at: float) -> None:
        key = f"{fact.number}" if fact.number else f"{fact.agent}/{fact.id}"
        match fact:
            case facts.FunctionCalled(agent=agent, name=name, arguments=arguments, thought_signature=thought):
                self._functions[key] = FunctionRecord(at, agent, name, _read_arguments(arguments), "", False, thought)
            case facts.FunctionAnswered(result=result, ok=ok) if key in self._functions:
                self._known = attrs.evolve(self._known, facts={**self._known.facts, **fact.facts})
                self._functions[key] = attrs.evolve(self._functions[key], result=_as_object(result, result), ok=ok)
            case _:
                pass  # an answer to nothing that was asked

    def _on_handoff(self, fact: _HandoffStep, at: float) -> None:
        handoffs = self._known.handoffs
        match fact:
            case facts.HandoffAsked(agent=agent, to=to, reason=reason):
                handoffs = (*handoffs, HandoffRecord(agent, to, at, cause=reason))
            case facts.BriefReady(reader=to, took=took, source=source, brief=brief):
                change = partial(attrs.evolve, brief_source=source, brief=brief)
                handoffs = _with_asked(handoffs, to, at - took, change)
            case facts.HandoffGap(agent=to, gap=gap):
                handoffs = _with_asked(handoffs, to, at - gap, partial(attrs.evolve, gap=gap))
            case facts.HandoffCommitted(to=to, took=took, how=how):
                handoffs = _with_asked(handoffs, to, at - took, partial(attrs.evolve, took=took, how=how))
        self._known = attrs.evolve(self._known, handoffs=handoffs)

    def _on_transfer(self, fact: facts.Fact, at: float) -> None:
        match fact:
            case facts.MachineDetected(verdict=verdict):
                self._known = attrs.evolve(self._known, answered_by=verdict)
            case facts.TransferAsked(agent=agent, reason=reason):
                asked = TransferRecord(agent, at, reason)
                self._known = attrs.evolve(self._known, transfers=(*self._known.transfers, asked))
            case facts.TransferFailed(why=why):
                self._end_transfer(f"failed: {why}")
            case facts.CallerHungUp() if self._known.transfers and not self._known.transfers[-1].outcome:
                self._end_transfer("canceled")
            case facts.CallParked(duration=duration, frames=frames):
                self._end = facts.CallEnded(TRANSFERRING, duration, frames)
            case facts.CallResumed(unreached=unreached, given_back=given_back):
                self._is_parted = True
                if unreached or given_back:
                    self._end_transfer(unreached or "given back")
            case _:
                pass  # not about a person, or a second stream

    def _on_operator(self, fact: facts.Fact, at: float) -> None:
        match fact:
            case facts.ListeningStarted():
                self._known = attrs.evolve(self._known, listeners=self._known.listeners + 1)
            case facts.CommandAnswered(id=command_id, by=by, command=command):
                answered = CommandRecord(at, command_id, by, command, fact.outcome, fact.why, fact.fields)
                self._known = attrs.evolve(self._known, commands=(*self._known.commands, answered))
            case _:
                pass  # nothing that an operator has done

    def _end_transfer(self, outcome: str) -> None:
        self._known = attrs.evolve(
            self._known, transfers=_with_last(self._known.transfers, lambda last: attrs.evolve(last, outcome=outcome))
        )

    def _on_fault(self, fact: facts.Fact) -> None:
        if (fault := _fault_of(fact)) is not None:
            self._known = attrs.evolve(self._known, faults=(*self._known.faults, fault))


_FAULTS: Mapping[type[facts.Fact], str] = {
    facts.HandoffFailed: "handoff from {agent} to {to} failed: {why}",
    facts.SoftHandoffGivenUp: "{agent} could not become {to} on its session: {step}: {why}",
    facts.SummaryFailed: "no summary for {reader}: {why}",
    facts.SessionCrashed: "{agent} crashed: {error}",
    facts.SessionFailed: "{agent} could not start: {error}",
    facts.WritingRefused: "the disk refuses journal and recording: {why}",
    facts.ActorCrashed: "{actor} crashed: {error}",
    facts.FrameRefused: "malformed message from {where}: {why}",
}


def _fault_of(fact: facts.Fact) -> str | None:
    match fact:
        case facts.StreamFailed(why=why):
            return stream_fault(why)
        case facts.CallerHungUp(how=how):
            return stream_fault(facts.GIVEN_UP[how]) if how in facts.GIVEN_UP else None
        case facts.SoftHandoffGivenUp(step=""):
            return None  # nothing had been tried
        case _:
            told = _FAULTS.get(type(fact))
            return told.format(**attrs.asdict(fact)) if told is not None else None


def _with_asked(
    handoffs: tuple[HandoffRecord, ...], to: str, at: float, change: Callable[[HandoffRecord], HandoffRecord]
) -> tuple[HandoffRecord, ...]:
    """Change the handoff to an agent that was asked for at this moment: others are refused while it is under way."""
    theirs = [index for index, one in enumerate(handoffs) if one.to_agent == to]
    asked = min(theirs, key=lambda index: abs(handoffs[index].asked_at - at), default=None)
    return tuple(change(one) if index == asked else one for index, one in enumerate(handoffs))


def _with_last(records: tuple[T, ...], change: Callable[[T], T]) -> tuple[T, ...]:
    """Change the last of some records, if there is one."""
    return (*records[:-1], *map(change, records[-1:]))


def _with_parts(turn: TurnRecord, parts: facts.LatencyReported | None) -> TurnRecord:
    """Add what Deepgram has reported of an answer; the model's part ends with its first words, or its first token."""
    if parts is None:
        return turn
    llm = (parts.ttt_text_latency, parts.ttt_token_latency, parts.ttt_tool_latency)
    first = next((seconds for seconds in llm if seconds is not None), None)
    return attrs.evolve(turn, stt=parts.stt_latency, llm=first, tts=parts.tts_latency)


_COUNTS = tuple(field.name for field in attrs.fields(FrameCounts))


def _sum(one: FrameCounts, other: FrameCounts) -> FrameCounts:
    return FrameCounts(*(getattr(one, name) + getattr(other, name) for name in _COUNTS))


def _read_arguments(text: str) -> dict[str, object]:
    """Read the model's arguments; anything but an object is kept under the empty name."""
    unread: dict[str, object] = {"": text}
    return _as_object(text, unread)


def _as_object(text: str, otherwise: T) -> dict[str, object] | T:
    value = json_or(text, None)
    return value if isinstance(value, dict) else otherwise
