"""A call as a picture: bands of lanes, one lane for each party, to one scale of time.

Owns how a `Chart` looks. It reads a journal and returns a standalone SVG document: no scripts, no fonts, no links, and
every word escaped. It never fails on a strange journal; what it does not know it leaves out.
"""

from collections.abc import Mapping, Sequence

from actors.journal import Entry
from web.picture.bands import MARGIN, laid_out
from web.picture.chart import Chart, MarkKind, read_chart
from web.picture.drawing import draw_band
from web.picture.glyphs import draw_legend
from web.picture.palette import stylesheet
from web.picture.svg import Canvas, document, fitted, paper, printable, text_width
from web.picture.words import milliseconds

HEADER_HEIGHT = 84.0
FOOTER_HEIGHT = 64.0


def render_timeline(entries: Sequence[Entry], *, title: str) -> str:
    chart = read_chart(entries)
    bands = laid_out(chart, HEADER_HEIGHT)
    bottom = bands[-1].top + bands[-1].height
    width = bands[0].scale.width
    canvas = paper(width, bottom + FOOTER_HEIGHT, role="img", aria_labelledby="title description")
    canvas.draw("title", id="title").element.text = printable(title)
    canvas.draw("desc", id="description").element.text = printable(synopsis(chart))
    canvas.draw("style").element.text = stylesheet()
    canvas.box("paper", 0, 0, width, bottom + FOOTER_HEIGHT)
    _draw_header(canvas, chart, title, width)
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
    parts = [f"{chart.duration:.1f} s", _counted(len(chart.agents), "agent")]
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


def _draw_header(canvas: Canvas, chart: Chart, title: str, width: float) -> None:
    room = width - 2 * MARGIN
    canvas.write(fitted(title, room, 20.0), "ink title", x=MARGIN, y=40)
    canvas.write(fitted(synopsis(chart), room, 12.5), "soft sub", x=MARGIN, y=62)


def _draw_footer(canvas: Canvas, chart: Chart, y: float) -> None:
    x = MARGIN
    used = tuple(kind for kind in MarkKind if any(mark.kind is kind for mark in chart.marks))
    draw_legend(canvas, used, x, y)
    y += 24 if used else 0
    x = _sample_rail(canvas, x, y)
    x = _sample_silence(canvas, x, y)
    _sample_arrow(canvas, x, y)


def _sample_rail(canvas: Canvas, x: float, y: float) -> float:
    canvas.line("cline line dots thick", (x + 2, y), (x + 22, y))
    x = _explained(canvas, "connecting", x + 28, y)
    canvas.box("cline hollow", x, y - 2.5, 22, 5, r=2.5)
    x = _explained(canvas, "ready, not on the line", x + 28, y)
    canvas.box("cfill", x, y - 3, 22, 6, r=3)
    return _explained(canvas, "holds the floor", x + 28, y)


def _sample_silence(canvas: Canvas, x: float, y: float) -> float:
    canvas.box("silence", x, y - 6.5, 30, 13, r=3)
    canvas.write("1.2", "soft small middle", x=x + 15, y=y + 3.4)
    return _explained(canvas, "seconds in which nobody speaks", x + 36, y)


def _sample_arrow(canvas: Canvas, x: float, y: float) -> float:
    canvas.draw(
        "path",
        "softline line",
        d=f"M{x:.1f} {y - 5:.1f} C{x + 14:.1f} {y - 5:.1f} {x + 8:.1f} {y + 5:.1f} {x + 22:.1f} {y + 5:.1f}",
    )
    return _explained(canvas, "handoff: from asking for it to the next agent’s first audio", x + 28, y)


def _explained(canvas: Canvas, words: str, x: float, y: float) -> float:
    canvas.write(words, "soft", x=x, y=y + 3.6)
    return x + text_width(words, 10.5) + 16
