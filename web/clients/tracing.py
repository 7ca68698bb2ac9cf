"""Traces for an OpenTelemetry collector, by the official SDK: off unless `OTEL_EXPORTER_OTLP_ENDPOINT` names one.

The SDK reads its own `OTEL_…` variables, as everywhere. Spans wait in its bounded queue, and its own thread sends them
by OTLP over HTTP: a collector that is slow or away costs spans and nothing else. This module is imported only where
traces are wanted, and its packages are in the extra `otel`. The trace of a call has the digest of its CallSid as its
id, on every worker and every stream of the call.
"""

import hashlib
import os
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
from opentelemetry.trace import Span, Tracer

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
