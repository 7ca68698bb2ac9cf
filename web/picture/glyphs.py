"""The small signs on the picture: each has its own shape, so that none rests on its colour."""

from collections.abc import Callable, Mapping

from web.picture.chart import Mark, MarkKind
from web.picture.svg import Canvas, text_width


def draw_mark(canvas: Canvas, mark: Mark, x: float, y: float) -> None:
    """Draw the sign of a moment, centred, with its tooltip."""
    group = canvas.group(transform=f"translate({x:.2f} {y:.2f})")
    group.titled(f"{mark.at:.2f} s: {mark.detail}" if mark.kind is not MarkKind.DIGIT else f"key {mark.detail}")
    GLYPHS[mark.kind](group, mark.detail)


def draw_legend(canvas: Canvas, kinds: tuple[MarkKind, ...], x: float, y: float) -> float:
    """Draw the signs with their names in one row; returns where the row ended."""
    for kind in kinds:
        GLYPHS[kind](canvas.group(transform=f"translate({x + 8:.2f} {y:.2f})"), "5")
        canvas.write(kind.value, "soft", x=x + 21, y=y + 3.8)
        x += 21 + text_width(kind.value, 10.5) + 20
    return x


def _bolt(canvas: Canvas, _detail: str) -> None:
    canvas.draw("circle", "amber", r=8)
    canvas.draw("path", "onglyph", d="M1.6 -6 L-3.8 1 H-0.4 L-1.6 6 L3.8 -1 H0.4 Z")


def _burst(canvas: Canvas, _detail: str) -> None:
    canvas.draw("path", "alarm", d="M-3.5 -8.4 H3.5 L8.4 -3.5 V3.5 L3.5 8.4 H-3.5 L-8.4 3.5 V-3.5 Z")
    canvas.draw("path", "onglyphline line thick", d="M-3.2 -3.2 L3.2 3.2 M3.2 -3.2 L-3.2 3.2", stroke_linecap="round")


def _circling(canvas: Canvas, _detail: str) -> None:
    canvas.draw("circle", "good", r=8)
    canvas.draw("path", "onglyphline line", d="M3.4 -2.6 A4.3 4.3 0 1 0 4.3 1", stroke_width=1.8)
    canvas.draw("path", "onglyph", d="M5.2 -5.2 V-0.6 L0.8 -1.8 Z")


def _spent(canvas: Canvas, _detail: str) -> None:
    canvas.draw("path", "alarm", d="M0 -8.6 L8.6 0 L0 8.6 L-8.6 0 Z")
    canvas.draw("path", "onglyphline line thick", d="M-3.6 0 H3.6", stroke_linecap="round")


def _farewell(canvas: Canvas, _detail: str) -> None:
    canvas.draw(
        "path",
        "good",
        d="M-7 -7.2 H7 A1.8 1.8 0 0 1 8.8 -5.4 V3 A1.8 1.8 0 0 1 7 4.8 H-0.5 L-4.6 8.6 V4.8 H-7"
        " A1.8 1.8 0 0 1 -8.8 3 V-5.4 A1.8 1.8 0 0 1 -7 -7.2 Z",
    )
    canvas.draw("path", "onglyphline line thick", d="M-3.8 -1.2 L-1 1.6 L4 -3.8", stroke_linecap="round")


def _handset(canvas: Canvas, _detail: str) -> None:
    canvas.draw("circle", "cfill", r=8.4)
    canvas.draw(
        "path",
        "onglyph",
        d="M-6.2 1.7 C-3.4 -2.9 3.4 -2.9 6.2 1.7 L4.7 3.4 L2 2.2 L1.9 0.1 C0.7 -0.4 -0.7 -0.4"
        " -1.9 0.1 L-2 2.2 L-4.7 3.4 Z",
    )


def _key(canvas: Canvas, detail: str) -> None:
    canvas.box("band", -8, -8, 16, 16, r=3.5)
    canvas.box("cline hollow", -8, -8, 16, 16, r=3.5)
    canvas.write(detail[:1], "ink middle bold", y=3.8)


def _triangle(canvas: Canvas, _detail: str) -> None:
    canvas.draw("path", "amber", d="M0 -8.4 L8.8 7 H-8.8 Z", stroke_linejoin="round")
    canvas.draw("path", "onglyphline line thick", d="M0 -2.8 V1.6 M0 4.4 V4.5", stroke_linecap="round")


def _three_dots(canvas: Canvas, _detail: str) -> None:
    canvas.draw(
        "path",
        "amber",
        d="M-7 -6.4 H7 A1.8 1.8 0 0 1 8.8 -4.6 V4.6 A1.8 1.8 0 0 1 7 6.4 H-7"
        " A1.8 1.8 0 0 1 -8.8 4.6 V-4.6 A1.8 1.8 0 0 1 -7 -6.4 Z",
    )
    for x in (-4.4, 0.0, 4.4):
        canvas.draw("circle", "onglyph", cx=x, r=1.5)


def _person(canvas: Canvas, _detail: str) -> None:
    canvas.draw("circle", "good", r=8.4)
    canvas.draw("circle", "onglyph", cy=-2.6, r=2.6)
    canvas.draw("path", "onglyph", d="M-4.8 5.4 A4.8 4.8 0 0 1 4.8 5.4 Z")


GLYPHS: Mapping[MarkKind, Callable[[Canvas, str], None]] = {
    MarkKind.BARGE_IN: _bolt,
    MarkKind.CRASH: _burst,
    MarkKind.RESTART: _circling,
    MarkKind.EXHAUSTED: _spent,
    MarkKind.GOODBYE: _farewell,
    MarkKind.HANG_UP: _handset,
    MarkKind.DIGIT: _key,
    MarkKind.WARNING: _triangle,
    MarkKind.SILENCE: _three_dots,
    MarkKind.PERSON: _person,
}
