"""A call as a picture: bands of lanes, one lane for each party, to one scale of time.

Owns how a `Chart` looks. It reads a journal and returns a standalone SVG document: no scripts, no fonts, no links, and
every word escaped. It never fails on a strange journal; what it does not know it leaves out.
"""

from collections.abc import Mapping, Sequence

from actors.journal import Entry
from store.records import OPERATOR
from web.picture.bands import MARGIN, laid_out
from web.picture.chart import Chart, MarkKind, read_chart
from web.picture.drawing import draw_band, draw_glyph
from web.picture.svg import Canvas, document, fitted, paper, text_width
from web.picture.words import milliseconds

HEADER_HEIGHT = 84.0
FOOTER_HEIGHT = 64.0


def render_timeline(entries: Sequence[Entry], *, title: str) -> str:
    chart = read_chart(entries)
    bands = laid_out(chart, HEADER_HEIGHT)
    bottom = bands[-1].top + bands[-1].height
    width = bands[0].scale.width
    told, room = synopsis(chart), width - 2 * MARGIN
    canvas = paper(width, bottom + FOOTER_HEIGHT, title, told)
    canvas.write(fitted(title, room, 20.0), "ink title", x=MARGIN, y=40)
    canvas.write(fitted(told, room, 12.5), "soft sub", x=MARGIN, y=62)
    for index, band in enumerate(bands):
        draw_band(canvas, chart, band, last=index == len(bands) - 1)
    _draw_footer(canvas, chart, bottom + 24)
    return document(canvas)


def time_map(chart: Chart) -> Mapping[str, object]:
    """Say where each second of the call stands in its picture: for a cursor that moves over it.

    `bands` are start and end in seconds, then top, height, left and right in the picture's own pixels.
    """
    bands = laid_out(chart, HEADER_HEIGHT)
    last = bands[-1]
    return {
        "width": last.scale.width,
        "height": last.top + last.height + FOOTER_HEIGHT,
        "bands": [
            [round(value, 3) for value in (s.start, s.end, s.top, s.height, s.x(s.start), s.x(s.end))] for s in bands
        ],
    }


def synopsis(chart: Chart) -> str:
    parts = [f"{chart.duration:.1f} s", _counted(len({*chart.agents} - {OPERATOR}), "agent")]
    gaps = [milliseconds(handoff.gap) for handoff in chart.handoffs if handoff.gap is not None]
    parts.append(_counted(len(chart.handoffs), "handoff") + (f" ({', '.join(gaps)})" if gaps else ""))
    for kind in (MarkKind.BARGE_IN, MarkKind.RESTART, MarkKind.CRASH):
        count = sum(mark.kind is kind for mark in chart.marks)
        if count:
            parts.append(_counted(count, kind.value, plural="crashes" if kind is MarkKind.CRASH else ""))
    parts.append(f"ended: {chart.outcome}" if chart.outcome else "ended without an outcome")
    return " · ".join(parts)


def _counted(count: int, noun: str, plural: str = "") -> str:
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def _draw_footer(canvas: Canvas, chart: Chart, y: float) -> None:
    """Explain the signs that are used, and the lines."""
    x = MARGIN
    for kind in MarkKind:
        if any(mark.kind is kind for mark in chart.marks):
            draw_glyph(canvas, kind, "5", x + 8, y)
            canvas.write(kind.value, "soft", x=x + 21, y=y + 3.8)
            x += 41 + text_width(kind.value, 10.5)
    canvas.draw("use", href="#key", x=MARGIN, y=y if x == MARGIN else y + 24)
