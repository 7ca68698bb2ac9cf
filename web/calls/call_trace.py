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
CALL, TURN = "call", "turn"
Attributes = Mapping[str, AttributeValue]


_AGENT = {"gen_ai.agent.name": "agent"}
_EVENTS: Mapping[type[facts.Fact], tuple[str, Mapping[str, str]]] = {
    facts.SessionRestarting: ("restart", {**_AGENT, "switchboard.delay": "delay", "switchboard.why": "why"}),
    facts.RestartsExhausted: ("restarts exhausted", _AGENT),
    facts.SilenceMet: ("silence", {**_AGENT, "switchboard.seconds": "seconds", "switchboard.filled_by": "filled_by"}),
    facts.HandoffGap: ("handoff heard", {**_AGENT, "switchboard.gap": "gap"}),
    facts.TransferAsked: ("transfer", _AGENT),
    facts.CallerHungUp: ("hang-up", {"switchboard.how": "how"}),
}
"""For each fact that is an event of the call: its name, and its attributes, each of a field of the fact."""


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


@attrs.define(eq=False)
class CallTrace:
    plan: CallPlan
    tracing: Tracing
    provider: str
    """The provider of the LLM, and its model, as the settings have them."""
    llm: str
    _zero: int = attrs.field(default=0, init=False)
    """The wall's nanoseconds at the start of the call."""
    _now: float = attrs.field(default=0.0, init=False)
    _turn_at: float = attrs.field(default=0.0, init=False)
    _open: dict[str, Span] = attrs.field(factory=dict, init=False)
    """The spans that have not ended: `CALL`, `TURN`, and by agent or number "session closer", "connect closer",
    "handoff closer", "function 3"."""
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
            case fact if CALL in self._open:
                self._read(fact)
            case _:
                pass  # before the start

    def _begin(self, entry: Entry) -> None:
        self._zero = time.time_ns() - round(entry.at * 1e9)
        about = {"switchboard.call_sid": self.plan.call_sid, "switchboard.direction": self.plan.direction}
        span = self.tracing.begin(self.plan.call_sid, "call", self._at(entry.at), about)
        self._open = {CALL: span}

    def _end(self, outcome: str) -> None:
        if CALL in self._open:
            self._open[CALL].set_attribute("switchboard.outcome", outcome)
        for key in reversed([*self._open]):
            self._close(key)

    def _read(self, fact: facts.Fact) -> None:
        self._on_session(fact)
        self._on_turn(fact)
        self._on_function(fact)
        self._on_handoff(fact)
        if (event := _EVENTS.get(type(fact))) is not None:
            name, fields = event
            self._event(name, {attribute: getattr(fact, field) for attribute, field in fields.items()})

    def _on_session(self, fact: facts.Fact) -> None:
        match fact:
            case facts.SessionConnecting(agent=agent, incarnation=incarnation, why=why):
                self._connect(agent, incarnation, why)
            case facts.SessionReady(agent=agent, request_id=request_id):
                self._ready_at = self._now
                self._close(f"connect {agent}", about={"switchboard.request_id": request_id})
            case facts.SessionFailed(agent=agent, error=error) | facts.SessionCrashed(agent=agent, error=error):
                self._close(f"connect {agent}", error)
                self._close(f"session {agent}", error)
            case facts.FloorLeft(agent=agent):
                self._close(TURN)
                self._close(f"session {agent}")
            case _:
                pass  # not of a session

    def _connect(self, agent: str, incarnation: int, why: str) -> None:
        session = f"session {agent}"
        self._close(session)
        about: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": agent,
            "switchboard.incarnation": incarnation,
            "switchboard.why": why,
        }
        self._start(session, f"invoke_agent {agent}", about)
        parent = f"handoff {agent}" if f"handoff {agent}" in self._open and why == "handoff" else session
        self._start(f"connect {agent}", "connect", {"gen_ai.agent.name": agent}, parent)

    def _on_turn(self, fact: facts.Fact) -> None:
        turn = self._open.get(TURN)
        match fact:
            case facts.TurnHeard(agent=agent, text=text):
                self._close(TURN)
                self._say(self._begin_turn(agent), "gen_ai.input.messages", _message("user", text))
            case facts.ReplyStarted(agent=agent):
                if turn is None:
                    self._begin_turn(agent)
                self._event("first audio", {}, TURN)
            case facts.ReplyEnded(text=text, complete=complete) if turn is not None:
                turn.set_attribute("switchboard.complete", complete)
                self._say(turn, "gen_ai.output.messages", _message("assistant", text))
                self._close(TURN)
            case facts.LatencyReported() if turn is not None:
                self._parts(fact, self._turn_at)
            case facts.BargeIn(heard_seconds=heard):
                self._event("barge-in", {"switchboard.heard_seconds": heard}, TURN)
            case _:
                pass  # not of a turn

    def _begin_turn(self, agent: str) -> Span:
        self._turn_at = self._now
        return self._start(TURN, "turn", {"gen_ai.agent.name": agent}, f"session {agent}")

    def _parts(self, report: facts.LatencyReported, began: float) -> None:
        """Add what Deepgram reports of an answer, one part after the other: it does not say when they were."""
        llm = (report.ttt_text_latency, report.ttt_token_latency, report.ttt_tool_latency)
        thought = next((seconds for seconds in llm if seconds is not None), None)
        chat: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.llm,
        }
        at = began - (report.stt_latency or 0.0)
        for name, seconds, about in (
            ("stt", report.stt_latency, dict[str, AttributeValue]()),
            (f"chat {self.llm}", thought, chat),
            ("tts", report.tts_latency, dict[str, AttributeValue]()),
        ):
            if seconds is not None:
                self._span(name, at, at + seconds, about, TURN)
                at += seconds

    def _on_function(self, fact: facts.Fact) -> None:
        match fact:
            case facts.FunctionCalled(agent=agent, name=name, arguments=arguments, number=number):
                about: Attributes = {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": name,
                    "gen_ai.tool.type": "function",
                    "gen_ai.tool.call.id": fact.id,
                }
                parent = TURN if TURN in self._open else f"session {agent}"
                span = self._start(f"function {number}", f"execute_tool {name}", about, parent)
                self._say(span, "gen_ai.tool.call.arguments", arguments)
            case facts.FunctionAnswered(result=result, ok=ok, number=number):
                answered = self._open.get(f"function {number}")
                if answered is not None:
                    self._say(answered, "gen_ai.tool.call.result", result)
                self._close(f"function {number}", "" if ok else "refused or failed")
            case facts.FunctionWithdrawn(number=number):
                self._close(f"function {number}", "withdrawn")
            case _:
                pass  # no function

    def _on_handoff(self, fact: facts.Fact) -> None:
        match fact:
            case facts.HandoffAsked(agent=agent, to=to, reason=reason):
                self._close(f"handoff {to}")
                about: Attributes = {"switchboard.from_agent": agent, "switchboard.to_agent": to}
                self._say(self._start(f"handoff {to}", "handoff", about), "switchboard.reason", reason)
            case facts.BriefReady(reader=to, source=source, took=took) if f"handoff {to}" in self._open:
                self._brief_at = self._now
                self._span("Brief", self._now - took, self._now, {"switchboard.brief_source": source}, f"handoff {to}")
            case facts.SummaryWritten(reader=to, took=took, tokens_in=tokens_in, tokens_out=tokens_out):
                tokens = {"gen_ai.usage.input_tokens": tokens_in, "gen_ai.usage.output_tokens": tokens_out}
                about = {"gen_ai.operation.name": "chat", **tokens}
                self._span("chat Brief", self._now - took, self._now, about, f"handoff {to}")
            case facts.HandoffCommitted(to=to) if f"handoff {to}" in self._open:
                self._span(
                    "commit", min(self._now, max(self._ready_at, self._brief_at)), self._now, {}, f"handoff {to}"
                )
                self._close(f"handoff {to}")
                for other in [key for key in self._open if key.startswith("handoff ")]:
                    self._close(other, "another was under way")
            case facts.HandoffFailed(to=to, why=why):
                self._close(f"handoff {to}", why)
            case facts.HandoffWithdrawn(to=to):
                self._close(f"handoff {to}", "withdrawn")
            case _:
                pass  # no handoff

    def _start(self, key: str, name: str, about: Attributes, parent: str = CALL) -> Span:
        span = self._open[key] = self._started(name, self._now, about, parent)
        return span

    def _started(self, name: str, at: float, about: Attributes, parent: str) -> Span:
        context = set_span_in_context(self._open.get(parent) or self._open[CALL])
        return self.tracing.tracer.start_span(name, context, start_time=self._at(at), attributes=about)

    def _span(self, name: str, start: float, end: float, about: Attributes, parent: str) -> None:
        self._started(name, start, about, parent).end(self._at(end))

    def _close(self, key: str, error: str = "", about: Attributes | None = None) -> None:
        closed = self._open.pop(key, None)
        if closed is not None:
            closed.set_attributes(about or {})
            if error:
                closed.set_status(StatusCode.ERROR, error[:_LONGEST])
            closed.end(self._at(self._now))

    def _event(self, name: str, about: Attributes, of: str = CALL) -> None:
        (self._open.get(of) or self._open[CALL]).add_event(name, about, self._at(self._now))

    def _say(self, span: Span, name: str, content: str) -> None:
        if self.tracing.captures and content:
            span.set_attribute(name, content)

    def _at(self, seconds: float) -> int:
        return self._zero + round(seconds * 1e9)
