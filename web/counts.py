"""What this worker has counted since it started, as Prometheus reads it.

`Counts` owns numbers and their names; it never blocks and never fails. The rest of `web/` tells it what happened.
https://prometheus.io/docs/instrumenting/exposition_formats/ is the text format.
"""

from collections import Counter
from collections.abc import Iterator

import attrs

from store.records import CallRecord

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_GAP_BOUNDS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


def _family(name: str, kind: str, says: str) -> Iterator[str]:
    yield f"# HELP switchboard_{name} {says}"
    yield f"# TYPE switchboard_{name} {kind}"


def _labelled(name: str, says: str, label: str, counts: Counter[str]) -> Iterator[str]:
    yield from _family(name, "counter", says)
    for value, count in sorted(counts.items()):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        yield f'switchboard_{name}{{{label}="{escaped}"}} {count}'


def _plain(name: str, kind: str, says: str, value: float) -> Iterator[str]:
    yield from _family(name, kind, says)
    yield f"switchboard_{name} {value:g}"


@attrs.define
class Counts:
    """Counters of one worker."""

    _ended: Counter[str] = attrs.field(factory=Counter, init=False)
    _refused: Counter[str] = attrs.field(factory=Counter, init=False)
    _functions: Counter[str] = attrs.field(factory=Counter, init=False)
    _gaps: Counter[float] = attrs.field(factory=Counter, init=False)
    _gap_sum: float = attrs.field(default=0.0, init=False)
    _gap_count: int = attrs.field(default=0, init=False)
    _restarts: int = attrs.field(default=0, init=False)
    _seconds: float = attrs.field(default=0.0, init=False)

    def refused(self, why: str) -> None:
        """Count a call or a request that was turned away."""
        self._refused[why] += 1

    def ended(self, record: CallRecord) -> None:
        """Count a call that is over."""
        self._ended[record.outcome] += 1
        self._restarts += record.restarts
        self._seconds += record.duration
        self._functions.update(function.name for function in record.functions)
        for handoff in record.handoffs:
            if handoff.gap is not None:
                self._observe_gap(handoff.gap)

    def render(self, *, live: int, capacity: int, tasks: int) -> str:
        """Return everything counted, with the calls carried now, the most this worker carries, and its tasks."""
        lines = (
            *_plain("tasks", "gauge", "Tasks alive in this worker.", tasks),
            *_plain("calls_live", "gauge", "Calls being carried.", live),
            *_plain("calls_capacity", "gauge", "Calls this worker carries at once.", capacity),
            *_labelled("calls_ended_total", "Calls that are over, by outcome.", "outcome", self._ended),
            *_labelled("refused_total", "Calls and requests turned away, by reason.", "why", self._refused),
            *_labelled("functions_total", "Functions called by agents.", "function", self._functions),
            *_plain("agent_restarts_total", "counter", "Agent sessions restarted.", self._restarts),
            *_plain("call_seconds_total", "counter", "Seconds of calls that are over.", self._seconds),
            *self._gap_histogram(),
        )
        return "\n".join(lines) + "\n"

    def _observe_gap(self, gap: float) -> None:
        self._gap_sum += gap
        self._gap_count += 1
        self._gaps.update(bound for bound in _GAP_BOUNDS if gap <= bound)

    def _gap_histogram(self) -> Iterator[str]:
        name = "handoff_gap_seconds"
        yield from _family(name, "histogram", "Silence the caller heard at a handoff.")
        for bound in _GAP_BOUNDS:
            yield f'switchboard_{name}_bucket{{le="{bound:g}"}} {self._gaps[bound]}'
        yield f'switchboard_{name}_bucket{{le="+Inf"}} {self._gap_count}'
        yield f"switchboard_{name}_sum {self._gap_sum:g}"
        yield f"switchboard_{name}_count {self._gap_count}"
