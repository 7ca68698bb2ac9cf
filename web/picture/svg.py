"""Canvas and paper: SVG elements with everything escaped, and words that fit where they are written.

Owns the XML tree while it is drawn. The tree is built by the standard library, so no text of a caller or an agent can
leave its element; characters that XML has no place for are replaced. Colours, signs and the key of the lines stand in
`sheet.svg`, with which every picture begins.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import attrs

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NARROW = frozenset("iljtfrI.,:;'’‘|!()[] ")  # in the widest of the usual faces: DejaVu Sans
_WIDE = frozenset("mwMW@%—…")
ELLIPSIS = "…"
MONO_ADVANCE = 0.605


def printable(words: str) -> str:
    """Replace what XML 1.0 cannot hold (https://www.w3.org/TR/xml/#charsets)."""
    return _UNPRINTABLE.sub("\ufffd", words)


def text_width(words: str, size: float) -> float:
    """Estimate the width of words in a sans-serif face, a little generously."""
    return sum(_character_width(character) for character in words) * size


def fitted(words: str, width: float, size: float) -> str:
    """Cut words to a width, with an ellipsis where they were cut."""
    if text_width(words, size) <= width:
        return words
    kept = words
    while kept and text_width(kept + ELLIPSIS, size) > width:
        kept = kept[:-1]
    return kept.rstrip() + ELLIPSIS if kept else ""


def wrapped(words: str, width: float, size: float, lines: int) -> list[str]:
    """Break words into at most so many lines; the last ends in an ellipsis when there were more."""
    rows: list[str] = []
    rest = words.split()
    while rest and len(rows) < lines - 1:
        row = rest.pop(0)
        while rest and text_width(f"{row} {rest[0]}", size) <= width:
            row = f"{row} {rest.pop(0)}"
        rows.append(fitted(row, width, size))
    if rest:
        rows.append(fitted(" ".join(rest), width, size))
    return [row for row in rows if row]


def _character_width(character: str) -> float:
    if character in _NARROW:
        return 0.36
    if character in _WIDE:
        return 0.92
    if character.isupper() or character.isdigit():
        return 0.68
    return 0.6 if ord(character) < 0x2E80 else 1.0


@attrs.frozen
class Canvas:
    """Draws into one element of the tree; coordinates are rounded to a hundredth of a pixel."""

    element: ET.Element

    def draw(self, tag: str, style: str = "", **attributes: str | float) -> "Canvas":
        """Add an element; `_` in an attribute's name stands for `-`."""
        written = {name.replace("_", "-"): _written(value) for name, value in attributes.items()}
        if style:
            written["class"] = style
        return Canvas(ET.SubElement(self.element, tag, written))

    def group(self, style: str = "", **attributes: str | float) -> "Canvas":
        return self.draw("g", style, **attributes)

    def titled(self, title: str) -> "Canvas":
        ET.SubElement(self.element, "title").text = printable(title)
        return self

    def write(self, words: str, style: str, **attributes: str | float) -> "Canvas":
        canvas = self.draw("text", style, **attributes)
        canvas.element.text = printable(words)
        return canvas

    def span(self, words: str, style: str) -> None:
        """Write on in this line of text, in another style."""
        ET.SubElement(self.element, "tspan", {"class": style}).text = printable(words)

    def line(self, style: str, start: Sequence[float], end: Sequence[float]) -> "Canvas":
        return self.draw("line", style, x1=start[0], y1=start[1], x2=end[0], y2=end[1])

    def box(self, style: str, x: float, y: float, width: float, height: float, *, r: float = 0.0) -> "Canvas":
        """Draw a rectangle, never narrower than one pixel."""
        return self.draw("rect", style, x=x, y=y, width=max(width, 1.0), height=height, rx=r)


@cache
def _sheet() -> ET.Element:
    return ET.parse(Path(__file__).with_name("sheet.svg")).getroot()  # noqa: S314 - our own file


def stylesheet() -> str:
    return _sheet().findtext("style", "")


def paper(width: float, height: float, title: str, description: str) -> Canvas:
    across, down = _written(width), _written(height)
    size = {"width": across, "height": down, "viewBox": f"0 0 {across} {down}"}
    named = {"role": "img", "aria-labelledby": "title description"}
    canvas = Canvas(ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **named}))
    canvas.draw("title", id="title").element.text = printable(title)
    canvas.draw("desc", id="description").element.text = printable(description)
    canvas.element.extend(_sheet())
    canvas.box("paper", 0, 0, width, height)
    return canvas


def document(canvas: Canvas) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(canvas.element, encoding="unicode") + "\n"


def _written(value: str | float) -> str:
    if isinstance(value, str):
        return printable(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")
