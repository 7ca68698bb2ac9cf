"""Facts of a journal in words, as the picture, the console and the demo tell them; and how words fit into a picture."""

import re
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

import orjson

from actors.facts import GIVEN_UP
from protocol.fields import json_or

_NARROW = frozenset("iljtfrI.,:;'’‘|!()[] ")  # in the widest of the usual faces: DejaVu Sans
_WIDE = frozenset("mwMW@%—…")
_FULL = "\u2e80"
"""From here on most are as wide as they are high, and are written without spaces: a line breaks before any."""
_PIECE = re.compile(rf"\s*(?:[^\s{_FULL}-\U0010ffff]+|[{_FULL}-\U0010ffff])")
ELLIPSIS = "…"
MONO_ADVANCE = 0.605


def arguments_text(value: object) -> str:
    """Write a function's arguments as a call would: `reason="agreed", notes="…"`."""
    if isinstance(value, str | bytes):
        value = json_or(value, value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_literal(item)}" for key, item in value.items())
    return "" if value is None else _literal(value)


def result_text(value: object) -> str:
    return value if isinstance(value, str) else _literal(value)


def _literal(value: object) -> str:
    return orjson.dumps(value, default=str).decode()


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def left_by(how: str) -> str:
    """Say how the caller's stream ended: only a caller who ended the call has hung up."""
    return "hung up" if how in {"stop", ""} else f"was cut off: {_CUT_OFF_BY.get(how, how)}"


_CUT_OFF_BY: Mapping[str, str] = {"disconnect": "the stream closed without a stop message", **GIVEN_UP}


def text_width(words: str, size: float) -> float:
    """Estimate the width of words in a sans-serif face, a little generously."""
    return sum(map(_character_width, words)) * size


def fitted(words: str, width: float, size: float) -> str:
    """Cut words to a width, with an ellipsis where they were cut."""
    if text_width(words, size) <= width:
        return words
    room = width / size - _character_width(ELLIPSIS)
    kept = words[: bisect_right([*accumulate(map(_character_width, words))], room)]
    return kept.rstrip() + ELLIPSIS if kept else ""


def wrapped(words: str, width: float, size: float, lines: int) -> list[str]:
    """Break words into at most so many lines; the last ends in an ellipsis when there were more."""
    rows, rest = list[str](), _PIECE.findall(" ".join(words.split()))
    while rest and len(rows) < lines - 1:
        row = rest.pop(0).strip()
        while rest and text_width(row + rest[0], size) <= width:
            row += rest.pop(0)
        rows.append(fitted(row, width, size))
    if rest:
        rows.append(fitted("".join(rest).strip(), width, size))
    return [row for row in rows if row]


def _character_width(character: str) -> float:
    if character in _NARROW:
        return 0.36
    if character in _WIDE:
        return 0.92
    if character.isupper() or character.isdigit():
        return 0.68
    return 0.6 if character < _FULL else 1.0
