"""The call record, read off the Journal.

`RecordBuilder` is a reader of the Journal and nothing else: whatever way a call ended, and whether or not its actors
survived, the facts noted so far make a `CallRecord`. It raises nothing and owns nothing.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import attrs

from actors import facts
from actors.journal import Entry
from actors.line.ledger import SWITCHBOARD
from actors.line.reply import Reply
from actors.record.packed import PackedList
from actors.record.usage import Meter
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
    pack_turns,
    stream_fault,
    unpack_turns,
)
from store.redaction import CallRedaction

T = TypeVar("T")


@attrs.define
class RecordBuilder:
    """Collects one call. `started_at` is ISO 8601, of the wall clock."""

    caller: str
    line: str
    started_at: str
    earlier: CallRecord | None = None
    """The record so far, if the call has had a stream before this one."""
    metadata: Mapping[str, object] = attrs.field(factory=dict[str, object])
    redaction: CallRedaction = attrs.field(factory=CallRedaction)
    """Applied to replies that are under way; the Journal has applied it to all others."""
    trace_id: str = ""
    recording: str = ""
    """Where the audio will be."""
    _call: facts.CallStarted = attrs.field(factory=lambda: facts.CallStarted("", "", ""))
    _end: facts.CallEnded | None = None
    _now: float = 0.0
    _held: bool = False
    _agents: list[AgentPeriod] = attrs.field(factory=list)
    _handoffs: list[HandoffRecord] = attrs.field(factory=list)
    _functions: dict[str, FunctionRecord] = attrs.field(factory=dict)
    _turns: PackedList[TurnRecord] = attrs.field(factory=lambda: PackedList(pack_turns, unpack_turns))
    _cut_off: list[TurnRecord] = attrs.field(factory=list)
    """The heard part of turns that a handoff cut off: of use only if no session hears them again."""
    _reply_began: dict[int, tuple[float, float | None]] = attrs.field(factory=dict)
    _latencies: dict[int, facts.LatencyReported] = attrs.field(factory=dict)
    """Deepgram's latency reports on replies that are under way, by their generation."""
    _speech_began: float | None = None
    _asked_at: float | None = None
    _restarts: int = 0
    _early_restarts: int = 0
    """Restarts of an agent that has not had the floor yet."""
    _faults: list[str] = attrs.field(factory=list)
    _transfers: list[TransferRecord] = attrs.field(factory=list)
    _facts: dict[str, str] = attrs.field(factory=dict)
    _frames: FrameCounts = attrs.field(factory=FrameCounts)
    _answered_by: str = ""
    _listeners: int = 0
    _commands: list[CommandRecord] = attrs.field(factory=list)
    _meter: Meter = attrs.field(factory=Meter)
    _is_parted: bool = False
    """Whether there was a time without agents since the last one had the floor."""

    def __attrs_post_init__(self) -> None:
        if (earlier := self.earlier) is not None:
            self._call = facts.CallStarted(earlier.call_sid, earlier.stream_sid, earlier.direction)
            self._now, self._frames, self._restarts = earlier.duration, earlier.frames, earlier.restarts
            self._agents, self._handoffs = list(earlier.agents), list(earlier.handoffs)
            self._functions = {f"earlier/{index}": one for index, one in enumerate(earlier.functions)}
            self._faults = list(earlier.faults)
            for turn in earlier.transcript:
                self._turns.append(turn)
            self._transfers, self._facts = list(earlier.transfers), dict(earlier.facts)
            self._answered_by, self._listeners = earlier.answered_by, earlier.listeners
            self._commands = list(earlier.commands)
            self._meter = Meter(earlier.usage)

    def read(self, entry: Entry) -> None:
        self._now = at = round(entry.at, 3)
        self._meter.read(entry)
        match entry.fact:
            case facts.CallStarted() as call:
                self._call = call
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
        return self._as_of(self._end or facts.CallEnded("cut", self._now, {}), self._turns.since())

    def so_far(self, now: float, frames: Mapping[str, int], under_way: Iterable[Reply]) -> RunningRecord:
        """Return the record of a call that is cut `now`, with the unfinished replies."""
        unfinished = [self._unfinished(reply) for reply in under_way if reply.text]
        record = self._as_of(facts.CallEnded("cut", now, frames), [*self._turns.recent, *unfinished])
        return RunningRecord(record, self._turns.packed)

    def _unfinished(self, reply: Reply) -> TurnRecord:
        began_at, latency = self._reply_began.get(reply.generation, (reply.at, None))
        text, heard = self.redaction.text(reply.text), self.redaction.text(reply.heard_text())
        turn = TurnRecord(round(began_at, 3), reply.agent, text, heard, latency)
        return _with_parts(turn, self._latencies.get(reply.generation))

    def _as_of(self, end: facts.CallEnded, turns: list[TurnRecord]) -> CallRecord:
        agents, turns = list(self._agents), [*turns, *self._cut_off]
        if self._held and agents:
            agents[-1] = attrs.evolve(agents[-1], ended=round(end.duration, 3))
        return CallRecord(
            call_sid=self._call.call_sid,
            stream_sid=self._call.stream_sid,
            direction=self._call.direction,
            caller=self.caller,
            line=self.line,
            started_at=self.started_at,
            duration=round(end.duration, 3),
            outcome=end.outcome,
            agents=tuple(agents),
            handoffs=tuple(self._handoffs),
            functions=tuple(self._functions.values()),
            transcript=tuple(sorted(turns, key=lambda turn: turn.at)),
            restarts=self._restarts,
            frames=_sum(self._frames, FrameCounts(**end.frames)),
            faults=tuple(self._faults),
            transfers=tuple(self._transfers),
            facts=dict(self._facts),
            answered_by=self._answered_by,
            listeners=self._listeners,
            commands=tuple(self._commands),
            usage=self._meter.total(end.duration),
            trace_id=self.trace_id,
            recording=self.recording,
            metadata=self.metadata or (self.earlier.metadata if self.earlier else {}),
        )

    def _on_floor_taken(self, agent: str, at: float) -> None:
        self._held = True
        last = self._agents[-1] if self._agents else None
        is_parted, self._is_parted = self._is_parted, False
        if last is not None and last.agent == agent and not is_parted:
            self._agents[-1] = attrs.evolve(last, ended=at)
        else:
            early, self._early_restarts = self._early_restarts, 0
            self._agents.append(AgentPeriod(agent, at, at, restarts=early))

    def _on_restarting(self, agent: str) -> None:
        """Count a restart of the call, and of the agent; one that has not had the floor yet has it counted later."""
        self._restarts += 1
        last = self._agents[-1] if self._agents else None
        if last is None or last.agent != agent or self._is_parted:
            self._early_restarts += 1
        else:
            self._agents[-1] = attrs.evolve(last, restarts=last.restarts + 1)

    def _leave_floor(self, at: float) -> None:
        if self._held and self._agents:
            self._agents[-1] = attrs.evolve(self._agents[-1], ended=at)
        self._held = False

    def _on_words(self, fact: facts.Fact, at: float) -> None:
        match fact:
            case facts.UserStartedSpeaking():
                self._speech_began = at
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
                """Not words."""

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
                """It is over, and was counted."""

    def _on_function(self, fact: facts.FunctionCalled | facts.FunctionAnswered, at: float) -> None:
        key = f"{fact.number}" if fact.number else f"{fact.agent}/{fact.id}"
        match fact:
            case facts.FunctionCalled(agent=agent, name=name, arguments=arguments):
                self._functions[key] = FunctionRecord(at, agent, name, _arguments(arguments), "", ok=False)
            case facts.FunctionAnswered(result=result, ok=ok) if key in self._functions:
                self._facts.update(fact.facts)
                self._functions[key] = attrs.evolve(self._functions[key], result=_as_object(result, result), ok=ok)
            case _:
                """An answer to nothing that was asked."""

    def _on_handoff(
        self,
        fact: facts.HandoffAsked | facts.BriefReady | facts.HandoffGap | facts.HandoffCommitted,
        at: float,
    ) -> None:
        if isinstance(fact, facts.HandoffAsked):
            self._handoffs.append(HandoffRecord(fact.agent, fact.to, at, cause=fact.reason))
            return
        if not self._handoffs:
            return
        match fact:
            case facts.BriefReady(source=source, brief=brief):
                self._handoffs[-1] = attrs.evolve(self._handoffs[-1], brief_source=source, brief=brief)
            case facts.HandoffGap(gap=gap):
                self._handoffs[-1] = attrs.evolve(self._handoffs[-1], gap=gap)
            case facts.HandoffCommitted(took=took, how=how):
                self._handoffs[-1] = attrs.evolve(self._handoffs[-1], took=took, how=how)

    def _on_transfer(self, fact: facts.Fact, at: float) -> None:
        match fact:
            case facts.MachineDetected(verdict=verdict):
                self._answered_by = verdict
            case facts.TransferAsked(agent=agent, reason=reason):
                self._transfers.append(TransferRecord(agent, at, reason))
            case facts.TransferFailed(why=why):
                self._end_transfer(f"failed: {why}")
            case facts.CallerHungUp() if self._transfers and not self._transfers[-1].outcome:
                self._end_transfer("canceled")
            case facts.CallParked(duration=duration, frames=frames):
                self._end = facts.CallEnded(TRANSFERRING, duration, frames)
            case facts.CallResumed(unreached=unreached, given_back=given_back):
                self._is_parted = True
                if unreached or given_back:
                    self._end_transfer(unreached or "given back")
            case _:
                """Not about a person, or a second stream."""

    def _on_operator(self, fact: facts.Fact, at: float) -> None:
        match fact:
            case facts.ListeningStarted():
                self._listeners += 1
            case facts.CommandAnswered(id=command_id, by=by, command=command):
                told = fact.outcome, fact.why, fact.fields
                self._commands.append(CommandRecord(at, command_id, by, command, *told))
            case _:
                """Nothing that an operator has done."""

    def _end_transfer(self, outcome: str) -> None:
        self._transfers[-1:] = [attrs.evolve(one, outcome=outcome) for one in self._transfers[-1:]]

    def _on_handoff_fault(self, fact: facts.HandoffFailed | facts.SoftHandoffGivenUp | facts.SummaryFailed) -> None:
        match fact:
            case facts.HandoffFailed(agent=agent, to=to, why=why):
                self._faults.append(f"handoff from {agent} to {to} failed: {why}")
            case facts.SoftHandoffGivenUp(agent=agent, to=to, step=step, why=why) if step:
                self._faults.append(f"{agent} could not become {to} on its session: {step}: {why}")
            case facts.SummaryFailed(reader=reader, why=why):
                self._faults.append(f"no summary for {reader}: {why}")
            case _:
                """Nothing had been tried."""

    def _on_fault(self, fact: facts.Fact) -> None:
        match fact:
            case facts.SessionCrashed(agent=agent, error=error):
                self._faults.append(f"{agent} crashed: {error}")
            case facts.SessionFailed(agent=agent, error=error):
                self._faults.append(f"{agent} could not start: {error}")
            case facts.HandoffFailed() | facts.SoftHandoffGivenUp() | facts.SummaryFailed():
                self._on_handoff_fault(fact)
            case facts.ActorCrashed(actor=actor, error=error):
                self._faults.append(f"{actor} crashed: {error}")
            case facts.StreamFailed(why=why):
                self._faults.append(stream_fault(why))
            case facts.CallerHungUp(how=how) if how in facts.GIVEN_UP:
                self._faults.append(stream_fault(facts.GIVEN_UP[how]))
            case facts.FrameRefused(where=where, why=why):
                self._faults.append(f"malformed message from {where}: {why}")
            case _:
                """Not a fault."""


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


def _arguments(text: str) -> dict[str, object]:
    """Read the model's arguments; anything but an object is kept under the empty name."""
    unread: dict[str, object] = {"": text}
    return _as_object(text, unread)


def _as_object(text: str, otherwise: T) -> dict[str, object] | T:
    value = json_or(text, None)
    return value if isinstance(value, dict) else otherwise
