"""Metrics of this worker since it started, in Prometheus' format.

`Counts` owns a registry of its own and the numbers in it; it never blocks and never fails. The rest of `web/` tells it
what happened: each fact of a journal as it is noted, each call when it is over, each request when it is answered. No
label says who called, or what was said.
"""

from collections.abc import Callable, Sequence

import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from actors import facts
from actors.journal import Entry
from store.records import CallRecord
from web.calls.slots import Slots

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_GAPS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_TURNS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_BLOCKS = (0.5, 1.0, 2.0, 5.0, 10.0)
_REQUESTS = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0)


class Counts:
    """The metrics of one worker; `slots` has its capacity."""

    def __init__(self, slots: Slots) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._count_calls()
        self._count_sessions()
        self._measure(slots)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"switchboard_{name}", says, labels, registry=self._registry)

    def _histogram(self, name: str, says: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"switchboard_{name}", says, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, says: str, now: Callable[[], float]) -> None:
        Gauge(f"switchboard_{name}", says, registry=self._registry).set_function(now)

    def _count_calls(self) -> None:
        self._ended = self._counter("calls_ended", "Calls that are over.", "outcome", "direction")
        self._refused = self._counter("refused", "Calls and requests turned away.", "why")
        self._functions = self._counter("functions", "Functions answered, and those refused or failed.", "function")
        turns = "From the end of a caller's turn to the first audio of the answer."
        self._turns = self._histogram("turn_latency_seconds", turns, _TURNS)
        parts = (
            "What Deepgram reports of an answer: its speech-to-text (stt), language model (llm), text-to-speech (tts)."
        )
        self._parts = self._histogram("turn_part_seconds", parts, _TURNS, "part")
        lost = "20 ms frames that were of the caller and unheard by any agent, or of an agent and dropped."
        self._frames = self._counter("frames_lost", lost, "kind")

    def _count_sessions(self) -> None:
        gaps = "Silence the caller heard at a handoff, by how it was done (hard, soft)."
        self._gaps = self._histogram("handoff_gap_seconds", gaps, _GAPS, "how")
        self._restarts = self._counter("agent_restarts", "Agent sessions restarted.")
        self._crashes = self._counter("actor_crashes", "Actors that failed unforeseen.", "actor")
        briefs = "Briefs asked of the language model (written, failed), and handed over (groq, extract)."
        self._briefs = self._counter("briefs", briefs, "outcome")

    def _measure(self, slots: Slots) -> None:
        self._answered = self._counter("http_requests", "Requests answered.", "method", "route", "status")
        self._took = self._histogram("http_request_seconds", "From a request to its answer.", _REQUESTS, "route")
        self._gauge("calls_live", "Calls being carried.", lambda: slots.taken)
        self._gauge("calls_expected", "Lines kept for calls on their way.", lambda: slots.expected)
        self._gauge("calls_capacity", "Calls this worker carries at once.", lambda: slots.capacity)
        self._gauge("draining", "1 once the worker lets nobody new in.", lambda: slots.draining)
        self._gauge("tasks", "Living trio tasks.", lambda: trio.lowlevel.current_statistics().tasks_living)
        blocked = "Turns of the event loop that took longer than 0.25 s: no call was carried in the meantime."
        self._blocked = self._histogram("event_loop_blocked_seconds", blocked, _BLOCKS)

    def refused(self, why: str) -> None:
        self._refused.labels(why).inc()

    def observe(self, entry: Entry) -> None:
        match entry.fact:
            case facts.HandoffGap(gap=gap, how=how):
                self._gaps.labels(how).observe(gap)
            case facts.SessionRestarting():
                self._restarts.inc()
            case facts.SummaryWritten():
                self._briefs.labels("written").inc()
            case facts.SummaryFailed():
                self._briefs.labels("failed").inc()
            case facts.BriefReady(source=source):
                self._briefs.labels(source).inc()
            case facts.ActorCrashed(actor=actor):
                self._crashes.labels(actor).inc()
            case _:
                pass  # not counted

    def ended(self, record: CallRecord) -> None:
        self._ended.labels(record.outcome, record.direction).inc()
        self._frames.labels("unheard").inc(record.frames.unheard)
        self._frames.labels("dropped").inc(record.frames.dropped)
        for function in record.functions:
            self._functions.labels(function.name if function.ok else "refused").inc()
        for turn in record.transcript:
            if turn.latency is not None:
                self._turns.observe(turn.latency)
            for part, seconds in (("stt", turn.stt), ("llm", turn.llm), ("tts", turn.tts)):
                if seconds is not None:
                    self._parts.labels(part).observe(seconds)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._answered.labels(method, route, str(status)).inc()
        self._took.labels(route).observe(seconds)

    def blocked(self, seconds: float) -> None:
        self._blocked.observe(seconds)

    def render(self) -> bytes:
        return generate_latest(self._registry)
