"""The journal as the picture and the demo read it: plain JSON entries, whose fields may be missing.

Owns nothing but the way to ask an entry for a value of the expected kind. A journal of a crashed call, of an older
version or cut in the middle must still draw, so a missing or strange field has a harmless answer and never an error.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from string import Formatter
from typing import TypeAlias

import orjson

from actors.facts import GIVEN_UP
from protocol.fields import json_or

JournalEntry: TypeAlias = Mapping[str, object]


def event(entry: JournalEntry) -> str:
    return text(entry, "event")


def text(entry: JournalEntry, key: str) -> str:
    """Read a text field, empty when it is missing."""
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def number(entry: JournalEntry, key: str, missing: float = 0.0) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return missing
    return float(value)


def flag(entry: JournalEntry, key: str) -> bool:
    """Read a truth value, true when it is missing."""
    value = entry.get(key)
    return value if isinstance(value, bool) else True


def at(entry: JournalEntry) -> float:
    """Say when it happened, in seconds since the call started."""
    return number(entry, "at")


def named(entries: Iterable[JournalEntry], *events: str) -> Iterator[JournalEntry]:
    return (entry for entry in entries if event(entry) in events)


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


class _Words(Formatter):
    def get_value(self, key: int | str, args: Sequence[object], kwargs: Mapping[str, object]) -> object:  # noqa: ARG002 - string.Formatter's interface
        return (args[0], str(key))

    def format_field(self, value: tuple[JournalEntry, str], format_spec: str) -> str:
        entry, key = value
        if format_spec == "ms":
            return milliseconds(number(entry, key))
        return format(number(entry, key), format_spec) if format_spec else text(entry, key)


_WORDS = _Words()


def worded(words: str, entry: JournalEntry) -> str:
    """Fill in the fields of an entry: `{delay:ms}` in milliseconds, `{duration:.1f}` as a number, else as text."""
    return _WORDS.format(words, entry)


def left_by(entry: JournalEntry) -> str:
    """Say how the caller's stream ended: only a caller who ended the call has hung up."""
    how = text(entry, "how")
    return "hung up" if how in {"stop", ""} else f"was cut off: {_CUT_OFF_BY.get(how, how)}"


_CUT_OFF_BY: Mapping[str, str] = {"disconnect": "the stream closed without a stop message", **GIVEN_UP}
