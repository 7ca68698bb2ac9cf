"""Draw the trace of a whole simulated call: `uv run python -m tests.docs.trace_picture` writes `docs/trace.svg`."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import attrs
import trio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from trio.testing import MockClock

from actors.call_services import CallPlan
from testkit.harness import play
from web.calls.call_trace import CallTrace, Tracing

TARGET = Path(__file__).parents[2] / "docs" / "trace.svg"
ROW, LEFT, WIDTH = 17, 290, 640
COLOURS = {
    "call": "#57606a",
    "invoke_agent": "#0969da",
    "turn": "#1a7f37",
    "handoff": "#9a6700",
    "execute_tool": "#8250df",
}


async def spans_of_a_call() -> Sequence[ReadableSpan]:
    """Play the sale, and read its journal."""
    played = await play("sale")
    exporter, traces = InMemorySpanExporter(), Tracing.of({})
    traces.provider.shutdown()  # it would look for a collector
    traces = attrs.evolve(traces, provider=TracerProvider(id_generator=traces.ids, shutdown_on_exit=False))
    traces.provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace = CallTrace(CallPlan("CA" + "1" * 32, "MZ" + "1" * 32, "outbound"), traces, "open_ai", "gpt-5.4-mini")
    for entry in played.entries:
        trace.read(entry)
    return exporter.get_finished_spans()


def _start(span: ReadableSpan) -> int:
    return span.start_time or 0


def in_order(
    spans: Sequence[ReadableSpan], parent: int | None = None, depth: int = 0
) -> list[tuple[int, ReadableSpan]]:
    """Return the spans as a tree is read, with their depth."""
    own = [span for span in spans if (span.parent.span_id if span.parent is not None else None) == parent]
    found: list[tuple[int, ReadableSpan]] = []
    for span in sorted(own, key=_start):
        found += [(depth, span), *in_order(spans, span.context.span_id if span.context else 0, depth + 1)]
    return found


def drawn(spans: Sequence[ReadableSpan]) -> str:
    """Return the picture."""
    rows, first = in_order(spans), min(map(_start, spans))
    scale = WIDTH / (max(span.end_time or 0 for span in spans) - first)
    size = f"0 0 {LEFT + WIDTH + 70} {(len(rows) + 1) * ROW}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" font-family="sans-serif" font-size="11">',
        '<title>The trace of a call: its spans, by time</title><rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for index, (depth, span) in enumerate(rows):
        y, x = index * ROW + 6, LEFT + (_start(span) - first) * scale
        width, seconds = ((span.end_time or 0) - _start(span)) * scale, ((span.end_time or 0) - _start(span)) / 1e9
        colour = COLOURS.get(span.name.split()[0], "#8c959f")
        lines.append(f'<text x="{6 + 14 * depth}" y="{y + 11}" fill="#1f2328">{escape(span.name)}</text>')
        lines.append(
            f'<rect x="{x:.1f}" y="{y + 2}" width="{max(width, 1.5):.1f}" height="{ROW - 5}" fill="{colour}"/>'
        )
        lines.append(f'<text x="{x + max(width, 1.5) + 4:.1f}" y="{y + 11}" fill="#57606a">{seconds:.2f} s</text>')
    return "\n".join([*lines, "</svg>\n"])


def main() -> None:
    """Write the picture."""
    TARGET.write_text(drawn(trio.run(spans_of_a_call, clock=MockClock(autojump_threshold=0))), "utf-8")


if __name__ == "__main__":
    main()
