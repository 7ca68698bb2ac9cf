"""Facts of a journal in words, as the picture, the console and the demo tell them."""

from collections.abc import Mapping

import orjson

from actors.facts import GIVEN_UP
from protocol.fields import json_or


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
