"""A call as a picture: bands of lanes, one lane for each party, to one scale of time.

It reads a journal and returns a standalone SVG document: no scripts, no fonts, no links, and every word escaped. How it
looks stands in `call.svg`, its colours, signs and the key of its lines in `sheet.svg`, with which every picture begins.
It never fails on a strange journal; what it does not know it leaves out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from actors.journal import Entry
from protocol.fields import counted
from store.records import OPERATOR
from web.picture.bands import GUTTER, MARGIN, RAIL_HEIGHT, ROW_HEIGHT, SPEECH_HEIGHT, laid_out
from web.picture.chart import Chart, MarkKind, read_chart
from web.picture.words import fitted, milliseconds, text_width

HEADER_HEIGHT = 84.0
FOOTER_HEIGHT = 64.0
SILENCE_TOO_LONG = 4.3
"""The budget that the server has unless told otherwise, and what it takes until a sound is heard."""
TONES = 5
_FOLDER = Path(__file__).parent
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold (https://www.w3.org/TR/xml/#charsets)."""


def written(value: object) -> object:
    """Write a value of the template: numbers to a hundredth of a pixel, and no character that XML has no place for."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return _UNPRINTABLE.sub("\ufffd", value) if type(value) is str else value  # not markup: a `str` of its own kind


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(_FOLDER)
    templates = Environment(autoescape=True, loader=loader, undefined=StrictUndefined, finalize=written)
    templates.filters.update(fitted=fitted, width=text_width, milliseconds=milliseconds)
    templates.globals.update(
        margin=MARGIN,
        gutter=GUTTER,
        footer=FOOTER_HEIGHT,
        speech_height=SPEECH_HEIGHT,
        rail_height=RAIL_HEIGHT,
        row_height=ROW_HEIGHT,
        too_long=SILENCE_TOO_LONG,
    )
    return templates


def stylesheet() -> str:
    return (_FOLDER / "sheet.svg").read_text("utf-8").partition("<style>")[2].partition("</style>")[0]


def render_timeline(entries: Sequence[Entry], *, title: str) -> str:
    chart = read_chart(entries)
    bands = laid_out(chart, HEADER_HEIGHT)
    return (
        _templates()
        .get_template("call.svg")
        .render(
            chart=chart,
            bands=bands,
            bottom=bands[-1].top + bands[-1].height,
            width=bands[0].scale.width,
            title=title,
            told=synopsis(chart),
            tone=partial(_tone, chart),
            legend=list(_legend(chart)),
        )
    )


def _tone(chart: Chart, name: str) -> str:
    """Name the colours of a lane; a sixth agent shares those of the first."""
    return f"a{chart.agents.index(name) % TONES}" if name in chart.agents else "c"


def _legend(chart: Chart) -> Iterator[tuple[MarkKind, float]]:
    """Go through the signs that are used, with the place where each is explained."""
    x, used = MARGIN, {mark.kind for mark in chart.marks}
    for kind in MarkKind:
        if kind in used:
            yield kind, x
            x += 41 + text_width(kind.value, 10.5)


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
    parts = [f"{chart.duration:.1f} s", counted(len({*chart.agents} - {OPERATOR}), "agent")]
    gaps = [milliseconds(handoff.gap) for handoff in chart.handoffs if handoff.gap is not None]
    parts.append(counted(len(chart.handoffs), "handoff") + (f" ({', '.join(gaps)})" if gaps else ""))
    for kind in (MarkKind.BARGE_IN, MarkKind.RESTART, MarkKind.CRASH):
        count = sum(mark.kind is kind for mark in chart.marks)
        if count:
            parts.append(counted(count, kind.value, plural="crashes" if kind is MarkKind.CRASH else ""))
    parts.append(f"ended: {chart.outcome}" if chart.outcome else "ended without an outcome")
    return " · ".join(parts)
