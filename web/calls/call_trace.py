"""The trace of a call, read off its Journal: call › session › turn › function, and handoff › connect, Brief, commit.

`CallTrace` is a reader of the Journal and nothing else: it asks no actor anything, and what it makes of facts are spans
with their times. Names and attributes follow OpenTelemetry's conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/), others begin with `switchboard.`. Nothing that was said is in a
span unless `captures`. Imported only where traces are wanted.
"""

import json
import time
from collections.abc import Mapping

import attrs
from opentelemetry.trace import Span, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue

from actors import facts
from actors.call_services import CallPlan
from actors.journal import Entry
from web.clients.tracing import Tracing

_LONGEST = 200
Attributes = Mapping[str, AttributeValue]


@attrs.frozen
class Models:
    """Of the settings: who thinks, with which LLM."""

    provider: str
    llm: str


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


@attrs.define(eq=False)
class CallTrace:
    """The trace of one stream of a call."""

    plan: CallPlan
    tracing: Tracing
    models: Models
    _zero: int = attrs.field(default=0, init=False)
    """The wall's nanoseconds at the start of the call."""
    _now: float = attrs.field(default=0.0, init=False)
    _call: Span | None = attrs.field(default=None, init=False)
    _sessions: dict[str, Span] = attrs.field(factory=dict, init=False)
    """By agent: the session that runs, or is being opened."""
    _connects: dict[str, tuple[Span, float]] = attrs.field(factory=dict, init=False)
    _turn: tuple[Span, float] | None = attrs.field(default=None, init=False)
    _functions: dict[int, Span] = attrs.field(factory=dict, init=False)
    _handoff: Span | None = attrs.field(default=None, init=False)
    _ready_at: float = attrs.field(default=0.0, init=False)
    _brief_at: float = attrs.field(default=0.0, init=False)

    def read(self, entry: Entry) -> None:
        self._now = entry.at
        match entry.fact:
            case facts.CallStarted() | facts.CallResumed():
                self._begin(entry)
            case facts.CallEnded(outcome=outcome):
                self._end(outcome)
            case facts.CallParked():
                self._end("transferring")
            case fact if self._call is not None:
                self._read(fact)
            case _:
                pass  # before the start

    def _begin(self, entry: Entry) -> None:
        self._zero = time.time_ns() - self._ns(entry.at)
        about = {"switchboard.call_sid": self.plan.call_sid, "switchboard.direction": self.plan.direction}
        self._call = self.tracing.begin(self.plan.call_sid, "call", self._at(entry.at), about)

    def _end(self, outcome: str) -> None:
        self._end_turn()
        for span in (*self._functions.values(), *(span for span, _ in self._connects.values())):
            self._close(span)
        self._end_handoff()
        for span in self._sessions.values():
            self._close(span)
        if self._call is not None:
            self._call.set_attribute("switchboard.outcome", outcome)
            self._close(self._call)
            self._call = None

    def _read(self, fact: facts.Fact) -> None:
        self._on_session(fact)
        self._on_turn(fact)
        self._on_function(fact)
        self._on_handoff(fact)
        self._on_event(fact)

    # Sessions

    def _on_session(self, fact: facts.Fact) -> None:
        match fact:
            case facts.SessionConnecting(agent=agent, incarnation=incarnation, why=why):
                self._connect(agent, incarnation, why)
            case facts.SessionReady(agent=agent, request_id=request_id):
                self._ready_at = self._now
                self._connected(agent, {"switchboard.request_id": request_id})
            case facts.SessionFailed(agent=agent, error=error) | facts.SessionCrashed(agent=agent, error=error):
                self._connected(agent, {}, error)
                self._leave(agent, error)
            case facts.FloorLeft(agent=agent):
                self._end_turn()
                self._leave(agent)
            case _:
                pass  # not of a session

    def _connect(self, agent: str, incarnation: int, why: str) -> None:
        self._leave(agent)
        about: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": agent,
            "switchboard.incarnation": incarnation,
            "switchboard.why": why,
        }
        session = self._sessions[agent] = self._start(f"invoke_agent {agent}", self._call, about)
        parent = self._handoff if self._handoff is not None and why == "handoff" else session
        self._connects[agent] = self._start("connect", parent, {"gen_ai.agent.name": agent}), self._now

    def _connected(self, agent: str, about: Attributes, error: str = "") -> None:
        connect = self._connects.pop(agent, None)
        if connect is not None:
            connect[0].set_attributes(about)
            self._close(connect[0], error)

    def _leave(self, agent: str, error: str = "") -> None:
        session = self._sessions.pop(agent, None)
        if session is not None:
            self._close(session, error)

    # Turns

    def _on_turn(self, fact: facts.Fact) -> None:
        match fact:
            case facts.TurnHeard(agent=agent, text=text):
                self._end_turn()
                self._begin_turn(agent, _message("user", text))
            case facts.ReplyStarted(agent=agent):
                if self._turn is None:
                    self._begin_turn(agent)
                self._event("first audio", {}, self._turn)
            case facts.ReplyEnded(text=text, complete=complete) if self._turn is not None:
                self._turn[0].set_attribute("switchboard.complete", complete)
                self._say(self._turn[0], "gen_ai.output.messages", _message("assistant", text))
                self._end_turn()
            case facts.LatencyReported() if self._turn is not None:
                self._parts(fact, *self._turn)
            case facts.BargeIn(heard_seconds=heard):
                self._event("barge-in", {"switchboard.heard_seconds": heard}, self._turn)
            case _:
                pass  # not of a turn

    def _begin_turn(self, agent: str, said: str = "") -> None:
        turn = self._start("turn", self._sessions.get(agent, self._call), {"gen_ai.agent.name": agent})
        self._say(turn, "gen_ai.input.messages", said)
        self._turn = turn, self._now

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._close(self._turn[0])
            self._turn = None

    def _parts(self, report: facts.LatencyReported, turn: Span, began: float) -> None:
        """Add what Deepgram reports of an answer, one part after the other: it does not say when they were."""
        llm = (report.ttt_text_latency, report.ttt_token_latency, report.ttt_tool_latency)
        thought = next((seconds for seconds in llm if seconds is not None), None)
        chat: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.models.provider,
            "gen_ai.request.model": self.models.llm,
        }
        at = began - (report.stt_latency or 0.0)
        for name, seconds, about in (
            ("stt", report.stt_latency, dict[str, AttributeValue]()),
            (f"chat {self.models.llm}", thought, chat),
            ("tts", report.tts_latency, dict[str, AttributeValue]()),
        ):
            if seconds is not None:
                self._span(name, turn, at, at + seconds, about)
                at += seconds

    # Functions

    def _on_function(self, fact: facts.Fact) -> None:
        match fact:
            case facts.FunctionCalled(agent=agent, name=name, arguments=arguments, number=number):
                about: Attributes = {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": name,
                    "gen_ai.tool.type": "function",
                    "gen_ai.tool.call.id": fact.id,
                }
                parent = self._turn[0] if self._turn is not None else self._sessions.get(agent, self._call)
                span = self._functions[number] = self._start(f"execute_tool {name}", parent, about)
                self._say(span, "gen_ai.tool.call.arguments", arguments)
            case facts.FunctionAnswered(result=result, ok=ok, number=number):
                answered = self._functions.pop(number, None)
                if answered is not None:
                    self._say(answered, "gen_ai.tool.call.result", result)
                    self._close(answered, "" if ok else "refused or failed")
            case facts.FunctionWithdrawn(number=number):
                withdrawn = self._functions.pop(number, None)
                if withdrawn is not None:
                    self._close(withdrawn, "withdrawn")
            case _:
                pass  # no function

    # Handoffs

    def _on_handoff(self, fact: facts.Fact) -> None:
        match fact:
            case facts.HandoffAsked(agent=agent, to=to, reason=reason):
                self._end_handoff()
                about: Attributes = {"switchboard.from_agent": agent, "switchboard.to_agent": to}
                self._handoff = self._start("handoff", self._call, about)
                self._say(self._handoff, "switchboard.reason", reason)
            case facts.BriefReady(source=source, took=took) if self._handoff is not None:
                self._brief_at = self._now
                self._span("Brief", self._handoff, self._now - took, self._now, {"switchboard.brief_source": source})
            case facts.SummaryWritten(took=took, tokens_in=tokens_in, tokens_out=tokens_out):
                tokens = {"gen_ai.usage.input_tokens": tokens_in, "gen_ai.usage.output_tokens": tokens_out}
                about = {"gen_ai.operation.name": "chat", **tokens}
                self._span("chat Brief", self._handoff or self._call, self._now - took, self._now, about)
            case facts.HandoffCommitted() if self._handoff is not None:
                began = min(self._now, max(self._ready_at, self._brief_at))
                self._span("commit", self._handoff, began, self._now, {})
                self._end_handoff()
            case facts.HandoffFailed(why=why):
                self._end_handoff(why)
            case facts.HandoffWithdrawn():
                self._end_handoff("withdrawn")
            case _:
                pass  # no handoff

    def _end_handoff(self, error: str = "") -> None:
        if self._handoff is not None:
            self._close(self._handoff, error)
            self._handoff = None

    # Events of the call

    def _on_event(self, fact: facts.Fact) -> None:
        match fact:
            case facts.SessionRestarting(agent=agent, delay=delay, why=why):
                about: Attributes = {"gen_ai.agent.name": agent, "switchboard.delay": delay, "switchboard.why": why}
                self._event("restart", about)
            case facts.RestartsExhausted(agent=agent):
                self._event("restarts exhausted", {"gen_ai.agent.name": agent})
            case facts.SilenceMet(agent=agent, seconds=seconds, filled_by=filled_by):
                silence: Attributes = {"switchboard.seconds": seconds, "switchboard.filled_by": filled_by}
                self._event("silence", {"gen_ai.agent.name": agent, **silence})
            case facts.HandoffGap(agent=agent, gap=gap):
                self._event("handoff heard", {"gen_ai.agent.name": agent, "switchboard.gap": gap})
            case facts.TransferAsked(agent=agent):
                self._event("transfer", {"gen_ai.agent.name": agent})
            case facts.CallerHungUp(how=how):
                self._event("hang-up", {"switchboard.how": how})
            case _:
                pass  # no event

    # Spans

    def _start(self, name: str, parent: Span | None, attributes: Attributes) -> Span:
        return self._started(name, parent, self._now, attributes)

    def _started(self, name: str, parent: Span | None, at: float, attributes: Attributes) -> Span:
        context = set_span_in_context(parent) if parent is not None else None
        return self.tracing.tracer.start_span(name, context, start_time=self._at(at), attributes=attributes)

    def _span(self, name: str, parent: Span | None, start: float, end: float, attributes: Attributes) -> None:
        self._started(name, parent, start, attributes).end(self._at(end))

    def _close(self, span: Span, error: str = "") -> None:
        if error:
            span.set_status(StatusCode.ERROR, error[:_LONGEST])
        span.end(self._at(self._now))

    def _event(self, name: str, attributes: Attributes, turn: tuple[Span, float] | None = None) -> None:
        span = turn[0] if turn is not None else self._call
        if span is not None:
            span.add_event(name, attributes, self._at(self._now))

    def _say(self, span: Span, name: str, content: str) -> None:
        if self.tracing.captures and content:
            span.set_attribute(name, content)

    def _at(self, seconds: float) -> int:
        return self._zero + self._ns(seconds)

    @staticmethod
    def _ns(seconds: float) -> int:
        return round(seconds * 1e9)
