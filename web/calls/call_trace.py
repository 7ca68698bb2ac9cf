"""The trace of a call, read off its Journal: call › session › turn › function, and handoff › connect, Brief, commit.

`CallTrace` is a reader of the Journal and nothing else: it asks no actor anything, and what it makes of facts are spans
with their times. Names and attributes follow OpenTelemetry's conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/), others begin with `switchboard.`. Nothing that was said is in a
span unless `captures`. The trace has the digest of the CallSid as its id, on every worker and every stream of the call.

`Tracing` is the official SDK, which reads its own `OTEL_…` variables, as everywhere. Spans wait in its bounded queue,
and its own thread sends them to a collector by OTLP over HTTP: one that is slow or away costs spans and nothing else.
This module is imported only where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector: its packages are the extra `otel`.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import trio
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from actors import facts
from actors.call_services import CallPlan
from actors.journal import Entry
from store.masking import mask

CLOSE_SECONDS = 3.0
"""For the last spans to be sent; the thread is left then."""
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURES = frozenset({"true", "span_only", "span_and_event"})


def trace_id_of(call_sid: str) -> str:
    """Return the id of a call's trace, 32 hexadecimal digits."""
    return hashlib.sha256(call_sid.encode()).hexdigest()[:32]


@attrs.define(eq=False)
class _CallIds(RandomIdGenerator):
    """Gives the next trace the id of its call."""

    _next: int = attrs.field(default=0, init=False)

    def name(self, call_sid: str) -> None:
        self._next = int(trace_id_of(call_sid), 16)

    def generate_trace_id(self) -> int:
        return self._next or super().generate_trace_id()


@attrs.frozen
class Tracing:
    """Makes the spans of calls. `captures`: what was said goes along."""

    provider: TracerProvider
    ids: _CallIds
    captures: bool

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Tracing":
        """Set the SDK up; it reads the process's environment, into which `OTEL_…` of a `.env` file are put."""
        for name, value in environ.items():
            if name.startswith("OTEL_"):
                os.environ.setdefault(name, value)
        ids, attributes = _CallIds(), environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        named = environ.get("OTEL_SERVICE_NAME") or "service.name" in attributes
        resource = Resource.create(None if named else {"service.name": "switchboard"})
        provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider, ids, environ.get(CAPTURE, "").lower() in _CAPTURES)

    @property
    def tracer(self) -> Tracer:
        return self.provider.get_tracer("switchboard")

    def begin(self, call_sid: str, name: str, start: int, attributes: Mapping[str, str | int]) -> Span:
        self.ids.name(call_sid)
        return self.tracer.start_span(name, Context(), start_time=start, attributes=dict(attributes))

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send the remaining spans at the end of the `async with`, within `CLOSE_SECONDS`."""
        try:
            yield
        finally:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                alone = trio.CapacityLimiter(1)  # a collector that does not answer keeps no other work waiting
                await trio.to_thread.run_sync(self.provider.shutdown, limiter=alone, abandon_on_cancel=True)


_LONGEST = 200
_SLACK = 0.005
"""Seconds by which what we and what Deepgram measure may differ."""
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


def _messages(role: str, *texts: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for text in texts])


@attrs.define
class _Pass:
    """One pass of the model: from the caller's words, or its functions' answers, to its own words or next call."""

    began: float
    hears: bool = False
    """Whether it begins with the caller's words: then speech-to-text was before it."""
    called_at: float = math.inf
    is_told: bool = False
    """Whether its latency was reported."""


@attrs.define
class _Turn:
    """The turn under way: the passes of the model, and the replies, of which a filler is no answer."""

    passes: list[_Pass] = attrs.field(factory=list)
    sounded: dict[int, float] = attrs.field(factory=dict)
    """When each reply began to sound, by generation."""
    texts: dict[int, str] = attrs.field(factory=dict)
    """Of the replies that are over."""
    owes: bool = False
    """Whether the model is to speak yet."""
    ended_at: float | None = None
    """When its last reply or function was over, if none has begun since."""

    @property
    def sounds(self) -> bool:
        return self.texts.keys() != self.sounded.keys()

    def told_pass(self, report: facts.LatencyReported, seconds: float, until: float) -> _Pass | None:
        """Return the pass that a report is of, whose words were there at `until`; None for one of an earlier turn.

        Deepgram may count the seconds from the caller's last word or from a function's answer: it does not say.
        """
        untold = [one for one in self.passes if not one.is_told]
        if report.ttt_text_latency is None and report.ttt_tool_latency is not None:
            return next(iter(untold), None)
        fitting = [one for one in untold if one.began + seconds <= until + _SLACK]
        return next(reversed(fitting or (untold if report.generation else [])), None)


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
    _turn: _Turn = attrs.field(factory=_Turn, init=False)
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
        self._end_turn()
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
                self._end_turn()
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
        turn = self._turn
        match fact:
            case facts.TurnHeard(agent=agent, text=text):
                self._end_turn()
                self._turn = _Turn([_Pass(self._now, hears=True)], owes=True)
                self._say(self._begin_turn(agent), "gen_ai.input.messages", _messages("user", text))
            case facts.ReplyStarted(agent=agent, generation=generation):
                if TURN not in self._open:
                    self._begin_turn(agent)
                turn.sounded[generation], turn.owes, turn.ended_at = self._now, False, None
                self._event("first audio", {}, TURN)
            case facts.FillerSaid():
                turn.owes = True
            case facts.ReplyEnded(generation=generation) if generation in turn.sounded:
                self._on_reply_ended(fact)
            case facts.LatencyReported(generation=generation) if not generation or generation in turn.sounded:
                self._on_latency(fact)
            case facts.BargeIn(heard_seconds=heard):
                self._event("barge-in", {"switchboard.heard_seconds": heard}, TURN)
            case _:
                pass  # not of a turn

    def _begin_turn(self, agent: str) -> Span:
        """Begin a turn where its first pass does: a function may have been called before anything was said."""
        at = self._turn.passes[0].began if self._turn.passes else self._now
        span = self._open[TURN] = self._started("turn", at, {"gen_ai.agent.name": agent}, f"session {agent}")
        return span

    def _on_reply_ended(self, reply: facts.ReplyEnded) -> None:
        turn, span = self._turn, self._open[TURN]
        turn.texts[reply.generation] = reply.text
        span.set_attribute("switchboard.complete", reply.complete)
        self._say(span, "gen_ai.output.messages", _messages("assistant", *turn.texts.values()))
        if turn.sounds or self._runs_function():
            return
        turn.ended_at = self._now
        if not turn.owes:
            self._end_turn()

    def _end_turn(self) -> None:
        self._close(TURN, at=self._turn.ended_at)
        self._turn = _Turn()

    def _runs_function(self) -> bool:
        return any(key.startswith("function ") for key in self._open)

    def _on_latency(self, report: facts.LatencyReported) -> None:
        """Draw the parts of an answer: Deepgram says how long they took, not when. TTS ends with the first audio."""
        tts, sounded = report.tts_latency, self._turn.sounded.get(report.generation)
        until = self._now if sounded is None else sounded - (tts or 0.0)
        ended = self._draw_pass(report, until)
        if tts is not None and sounded is not None:
            self._span("tts", until, sounded, {}, TURN)
        elif tts is not None:
            self._span("tts", ended, ended + tts, {}, TURN)

    def _draw_pass(self, report: facts.LatencyReported, until: float) -> float:
        """Draw the model's part, and speech-to-text before it; return when it ended."""
        thoughts = (report.ttt_text_latency, report.ttt_tool_latency, report.ttt_token_latency)
        seconds = next((thought for thought in thoughts if thought is not None), None)
        one = self._turn.told_pass(report, seconds, until) if seconds is not None else None
        if one is None or seconds is None:
            return until
        one.is_told = True
        if one.hears and report.stt_latency is not None:
            self._span("stt", one.began - report.stt_latency, one.began, {}, TURN)
        about: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.llm,
        }
        ended = max(one.began, min(one.began + seconds, one.called_at, until))
        self._span(f"chat {self.llm}", one.began, ended, about, TURN)
        return ended

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
                self._turn.ended_at = None
                for one in self._turn.passes[-1:]:
                    one.called_at = min(one.called_at, self._now)
            case facts.FunctionAnswered(result=result, ok=ok, number=number):
                answered = self._open.get(f"function {number}")
                if answered is not None:
                    self._say(answered, "gen_ai.tool.call.result", result)
                self._close(f"function {number}", "" if ok else "refused or failed")
                if not self._runs_function():
                    self._turn.passes.append(_Pass(self._now))
                    self._turn.owes, self._turn.ended_at = True, None if self._turn.sounds else self._now
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

    def _close(self, key: str, error: str = "", about: Attributes | None = None, at: float | None = None) -> None:
        closed = self._open.pop(key, None)
        if closed is not None:
            closed.set_attributes(about or {})
            if error:
                closed.set_status(StatusCode.ERROR, mask(error)[:_LONGEST])
            closed.end(self._at(self._now if at is None else at))

    def _event(self, name: str, about: Attributes, of: str = CALL) -> None:
        masked = {key: mask(value) if isinstance(value, str) else value for key, value in about.items()}
        (self._open.get(of) or self._open[CALL]).add_event(name, masked, self._at(self._now))

    def _say(self, span: Span, name: str, content: str) -> None:
        if self.tracing.captures and content:
            span.set_attribute(name, content)

    def _at(self, seconds: float) -> int:
        return self._zero + round(seconds * 1e9)
