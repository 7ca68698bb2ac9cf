"""The small signs on the picture: each has its own shape, so that none rests on its colour."""

from collections.abc import Mapping
from typing import TypeAlias

from web.picture.chart import Mark, MarkKind
from web.picture.svg import Canvas, text_width

Shape: TypeAlias = tuple[str, str, Mapping[str, str | float]]
"""An element of SVG, its style, and its attributes; the origin is the middle of the sign."""

_ROUND: Mapping[str, str | float] = {"stroke_linecap": "round"}
_THICK = "onglyphline line thick"
GLYPHS: Mapping[MarkKind, tuple[Shape, ...]] = {
    MarkKind.BARGE_IN: (
        ("circle", "amber", {"r": 8}),
        ("path", "onglyph", {"d": "M1.6 -6 L-3.8 1 H-0.4 L-1.6 6 L3.8 -1 H0.4 Z"}),
    ),
    MarkKind.CRASH: (
        ("path", "alarm", {"d": "M-3.5 -8.4 H3.5 L8.4 -3.5 V3.5 L3.5 8.4 H-3.5 L-8.4 3.5 V-3.5 Z"}),
        ("path", _THICK, {"d": "M-3.2 -3.2 L3.2 3.2 M3.2 -3.2 L-3.2 3.2", **_ROUND}),
    ),
    MarkKind.RESTART: (
        ("circle", "good", {"r": 8}),
        ("path", "onglyphline line", {"d": "M3.4 -2.6 A4.3 4.3 0 1 0 4.3 1", "stroke_width": 1.8}),
        ("path", "onglyph", {"d": "M5.2 -5.2 V-0.6 L0.8 -1.8 Z"}),
    ),
    MarkKind.EXHAUSTED: (
        ("path", "alarm", {"d": "M0 -8.6 L8.6 0 L0 8.6 L-8.6 0 Z"}),
        ("path", _THICK, {"d": "M-3.6 0 H3.6", **_ROUND}),
    ),
    MarkKind.GOODBYE: (
        ("path", "good", {"d": "M-7 -7.2 H7 A1.8 1.8 0 0 1 8.8 -5.4 V3 A1.8 1.8 0 0 1 7 4.8 H-0.5 L-4.6 8.6 V4.8 H-7"
                               " A1.8 1.8 0 0 1 -8.8 3 V-5.4 A1.8 1.8 0 0 1 -7 -7.2 Z"}),
        ("path", _THICK, {"d": "M-3.8 -1.2 L-1 1.6 L4 -3.8", **_ROUND}),
    ),
    MarkKind.HANG_UP: (
        ("circle", "cfill", {"r": 8.4}),
        ("path", "onglyph", {"d": "M-6.2 1.7 C-3.4 -2.9 3.4 -2.9 6.2 1.7 L4.7 3.4 L2 2.2 L1.9 0.1 C0.7 -0.4 -0.7 -0.4"
                                  " -1.9 0.1 L-2 2.2 L-4.7 3.4 Z"}),
    ),
    MarkKind.DIGIT: (
        ("rect", "band", {"x": -8, "y": -8, "width": 16, "height": 16, "rx": 3.5}),
        ("rect", "cline hollow", {"x": -8, "y": -8, "width": 16, "height": 16, "rx": 3.5}),
    ),
    MarkKind.WARNING: (
        ("path", "amber", {"d": "M0 -8.4 L8.8 7 H-8.8 Z", "stroke_linejoin": "round"}),
        ("path", _THICK, {"d": "M0 -2.8 V1.6 M0 4.4 V4.5", **_ROUND}),
    ),
    MarkKind.SILENCE: (
        ("path", "amber", {"d": "M-7 -6.4 H7 A1.8 1.8 0 0 1 8.8 -4.6 V4.6 A1.8 1.8 0 0 1 7 6.4 H-7"
                                " A1.8 1.8 0 0 1 -8.8 4.6 V-4.6 A1.8 1.8 0 0 1 -7 -6.4 Z"}),
        *(("circle", "onglyph", {"cx": x, "r": 1.5}) for x in (-4.4, 0.0, 4.4)),
    ),
    MarkKind.PERSON: (
        ("circle", "good", {"r": 8.4}),
        ("circle", "onglyph", {"cy": -2.6, "r": 2.6}),
        ("path", "onglyph", {"d": "M-4.8 5.4 A4.8 4.8 0 0 1 4.8 5.4 Z"}),
    ),
}  # fmt: skip


def draw_mark(canvas: Canvas, mark: Mark, x: float, y: float) -> None:
    title = f"key {mark.detail}" if mark.kind is MarkKind.DIGIT else f"{mark.at:.2f} s: {mark.detail}"
    group = canvas.group(transform=f"translate({x:.2f} {y:.2f})").titled(title)
    _draw_glyph(group, mark.kind, mark.detail)


def draw_legend(canvas: Canvas, kinds: tuple[MarkKind, ...], x: float, y: float) -> None:
    for kind in kinds:
        _draw_glyph(canvas.group(transform=f"translate({x + 8:.2f} {y:.2f})"), kind, "5")
        canvas.write(kind.value, "soft", x=x + 21, y=y + 3.8)
        x += 21 + text_width(kind.value, 10.5) + 20


def _draw_glyph(canvas: Canvas, kind: MarkKind, detail: str) -> None:
    for tag, style, attributes in GLYPHS[kind]:
        canvas.draw(tag, style, **attributes)
    if kind is MarkKind.DIGIT:
        canvas.write(detail[:1], "ink middle bold", y=3.8)
