"""Metrics of this worker since it started, in Prometheus' format.

`Counts` owns a registry of its own and the numbers in it; it never blocks and never fails. The rest of `web/` tells it
what happened: each fact of a journal as it is noted, each call when it is over, each request when it is answered. No
label says who called, or what was said.
"""

import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from actors import facts
from actors.journal import Entry
from store.records import CallRecord
from web.calls.slots import Slots

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
LAG_EVERY = 0.5
"""Seconds between two looks at how late the event loop is."""
_GAPS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_TURNS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_LAGS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
_BLOCKS = (0.5, 1.0, 2.0, 5.0, 10.0)
_REQUESTS = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0)


class Counts:
    """The metrics of one worker; `slots` has its capacity."""

    def __init__(self, slots: Slots) -> None:
        self._registry = registry = CollectorRegistry()
        self._count_calls(registry)
        self._count_sessions(registry)
        self._count_requests(registry)
        self._measure(registry, slots)

    def _count_calls(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "switchboard_calls_ended", "Calls that are over.", ("outcome", "direction"), registry=registry
        )
        self._refused = Counter("switchboard_refused", "Calls and requests turned away.", ("why",), registry=registry)
        self._seconds = Counter("switchboard_call_seconds", "Seconds of calls that are over.", registry=registry)
        self._functions = Counter(
            "switchboard_functions",
            "Functions answered, and those refused or failed.",
            ("function",),
            registry=registry,
        )
        self._turns = Histogram(
            "switchboard_turn_latency_seconds",
            "From the end of a caller's turn to the first audio of the answer.",
            buckets=_TURNS,
            registry=registry,
        )
        self._parts = Histogram(
            "switchboard_turn_part_seconds",
            "What Deepgram reports of an answer: its speech-to-text (stt), language model (llm), text-to-speech (tts).",
            ("part",),
            buckets=_TURNS,
            registry=registry,
        )
        self._frames = Counter(
            "switchboard_frames_lost",
            "20 ms frames that were of the caller and unheard by any agent, or of an agent and dropped.",
            ("kind",),
            registry=registry,
        )

    def _count_sessions(self, registry: CollectorRegistry) -> None:
        self._gaps = Histogram(
            "switchboard_handoff_gap_seconds",
            "Silence the caller heard at a handoff, by how it was done (hard, soft).",
            ("how",),
            buckets=_GAPS,
            registry=registry,
        )
        self._restarts = Counter("switchboard_agent_restarts", "Agent sessions restarted.", registry=registry)
        self._crashes = Counter(
            "switchboard_actor_crashes", "Actors that failed unforeseen.", ("actor",), registry=registry
        )
        self._briefs = Counter(
            "switchboard_briefs",
            "Briefs asked of the language model (written, failed), and handed over (groq, extract).",
            ("outcome",),
            registry=registry,
        )

    def _count_requests(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "switchboard_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._took = Histogram(
            "switchboard_http_request_seconds",
            "From a request to its answer.",
            ("route",),
            buckets=_REQUESTS,
            registry=registry,
        )

    def _measure(self, registry: CollectorRegistry, slots: Slots) -> None:
        def gauge(name: str, says: str) -> Gauge:
            return Gauge(f"switchboard_{name}", says, registry=registry)

        gauge("calls_live", "Calls being carried.").set_function(lambda: slots.taken)
        gauge("calls_expected", "Lines kept for calls on their way.").set_function(lambda: slots.expected)
        gauge("calls_capacity", "Calls this worker carries at once.").set_function(lambda: slots.capacity)
        gauge("draining", "1 once the worker lets nobody new in.").set_function(lambda: slots.draining)
        gauge("tasks", "Living trio tasks.").set_function(lambda: trio.lowlevel.current_statistics().tasks_living)
        self._lag = Histogram(
            "switchboard_event_loop_lag_seconds",
            f"How late a task runs that wants to be woken every {LAG_EVERY:g} s.",
            buckets=_LAGS,
            registry=registry,
        )
        self._blocked = Histogram(
            "switchboard_event_loop_blocked_seconds",
            "Turns of the event loop that took longer than 0.25 s: no call was carried in the meantime.",
            buckets=_BLOCKS,
            registry=registry,
        )
        ProcessCollector(registry=registry)

    def refused(self, why: str) -> None:
        """Count a call or a request that was turned away."""
        self._refused.labels(why).inc()

    def observe(self, entry: Entry) -> None:
        """Count what stands in a call's journal."""
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
                """Not counted."""

    def ended(self, record: CallRecord) -> None:
        """Count a call that is over."""
        self._ended.labels(record.outcome, record.direction).inc()
        self._seconds.inc(record.duration)
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
        """Count a request that was answered, under its route's pattern."""
        self._answered.labels(method, route, str(status)).inc()
        self._took.labels(route).observe(seconds)

    def blocked(self, seconds: float) -> None:
        """Count a turn of the event loop that took too long."""
        self._blocked.observe(seconds)

    async def watch_lag(self) -> None:
        """Measure how late the event loop is, until cancelled."""
        while True:
            due = trio.current_time() + LAG_EVERY
            await trio.sleep_until(due)
            self._lag.observe(trio.current_time() - due)

    def render(self) -> bytes:
        """Return everything counted, in Prometheus' text format."""
        return generate_latest(self._registry)
