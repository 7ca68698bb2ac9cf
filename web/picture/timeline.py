"""A call as a picture one can read like music: staves of lanes, one for each party, to one scale of time.

Owns how a `Score` looks. It reads a journal and returns a standalone SVG document: no scripts, no fonts, no links, and
every word escaped. It never fails on a strange journal; what it does not know it leaves out.
"""

from collections.abc import Mapping, Sequence

from web.picture.drawing import draw_stave
from web.picture.facts import JournalEntry
from web.picture.glyphs import draw_legend
from web.picture.palette import stylesheet
from web.picture.score import MarkKind, Score, read_score
from web.picture.staves import MARGIN, laid_out
from web.picture.svg import Pen, document, fitted, paper, printable, text_width

HEADER_HEIGHT = 84.0
FOOTER_HEIGHT = 64.0


def render_timeline(entries: Sequence[JournalEntry], *, title: str) -> str:
    """Draw the journal of one call as an SVG document."""
    score = read_score(entries)
    staves = laid_out(score, HEADER_HEIGHT)
    bottom = staves[-1].top + staves[-1].height
    width = staves[0].scale.width
    pen = paper(width, bottom + FOOTER_HEIGHT, role="img", aria_labelledby="title description")
    pen.draw("title", id="title").element.text = printable(title)
    pen.draw("desc", id="description").element.text = printable(synopsis(score))
    pen.draw("style").element.text = stylesheet()
    pen.box("paper", 0, 0, width, bottom + FOOTER_HEIGHT)
    _draw_header(pen, score, title, width)
    for index, stave in enumerate(staves):
        draw_stave(pen, score, stave, last=index == len(staves) - 1)
    _draw_footer(pen, score, bottom + 24)
    return document(pen)


def time_map(entries: Sequence[JournalEntry]) -> Mapping[str, object]:
    """Say where each second of the call stands in its picture: for a cursor that moves over it.

    `staves` are start and end in seconds, then top, height, left and right in the picture's own pixels.
    """
    staves = laid_out(read_score(entries), HEADER_HEIGHT)
    last = staves[-1]
    return {
        "width": last.scale.width,
        "height": last.top + last.height + FOOTER_HEIGHT,
        "staves": [
            [round(value, 3) for value in (s.start, s.end, s.top, s.height, s.x(s.start), s.x(s.end))] for s in staves
        ],
    }


def synopsis(score: Score) -> str:
    """Say in one line what happened in the call."""
    parts = [f"{score.duration:.1f} s", _counted(len(score.agents), "agent")]
    gaps = [f"{handoff.gap * 1000:.0f} ms" for handoff in score.handoffs if handoff.gap is not None]
    parts.append(_counted(len(score.handoffs), "handoff") + (f" ({', '.join(gaps)})" if gaps else ""))
    for kind in (MarkKind.BARGE_IN, MarkKind.RESTART, MarkKind.CRASH):
        count = sum(mark.kind is kind for mark in score.marks)
        if count:
            parts.append(_counted(count, kind.value, plural="crashes" if kind is MarkKind.CRASH else ""))
    parts.append(f"ended: {score.outcome}" if score.outcome else "ended without an outcome")
    return " · ".join(parts)


def _counted(count: int, noun: str, plural: str = "") -> str:
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def _draw_header(pen: Pen, score: Score, title: str, width: float) -> None:
    room = width - 2 * MARGIN
    pen.write(fitted(title, room, 20.0), "ink title", x=MARGIN, y=40)
    pen.write(fitted(synopsis(score), room, 12.5), "soft sub", x=MARGIN, y=62)


def _draw_footer(pen: Pen, score: Score, y: float) -> None:
    x = MARGIN
    used = tuple(kind for kind in MarkKind if any(mark.kind is kind for mark in score.marks))
    draw_legend(pen, used, x, y)
    y += 24 if used else 0
    x = _sample_rail(pen, x, y)
    x = _sample_silence(pen, x, y)
    _sample_arrow(pen, x, y)


def _sample_rail(pen: Pen, x: float, y: float) -> float:
    pen.line("cline line dots thick", (x + 2, y), (x + 22, y))
    x = _explained(pen, "connecting", x + 28, y)
    pen.box("cline hollow", x, y - 2.5, 22, 5, r=2.5)
    x = _explained(pen, "ready, not on the line", x + 28, y)
    pen.box("cfill", x, y - 3, 22, 6, r=3)
    return _explained(pen, "holds the floor", x + 28, y)


def _sample_silence(pen: Pen, x: float, y: float) -> float:
    pen.box("silence", x, y - 6.5, 30, 13, r=3)
    pen.write("1.2", "soft small middle", x=x + 15, y=y + 3.4)
    return _explained(pen, "seconds in which nobody speaks", x + 36, y)


def _sample_arrow(pen: Pen, x: float, y: float) -> float:
    pen.draw(
        "path",
        "softline line",
        d=f"M{x:.1f} {y - 5:.1f} C{x + 14:.1f} {y - 5:.1f} {x + 8:.1f} {y + 5:.1f} {x + 22:.1f} {y + 5:.1f}",
    )
    return _explained(pen, "handoff: from asking for it to the next agent’s first audio", x + 28, y)


def _explained(pen: Pen, words: str, x: float, y: float) -> float:
    pen.write(words, "soft", x=x, y=y + 3.6)
    return x + text_width(words, 10.5) + 16
