"""Frames that were captured, documented or suffered by somebody: `tests/vectors/`, as values."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import attrs
import orjson

from protocol.fields import JSON

VECTORS = Path(__file__).parents[1] / "vectors"


@attrs.frozen
class Vector:
    """One frame, who sends it, and what its finder says about it."""

    name: str
    direction: str
    type: str
    note: str
    frame: str | bytes
    message: Mapping[str, JSON]


def twilio_vectors() -> list[Vector]:
    return [
        Vector(str(line["id"]), str(line["direction"]), str(line["event"]), str(line["note"]), _frame(message), message)
        for line in _lines("twilio.jsonl")
        for message in [cast("Mapping[str, JSON]", line["message"])]
    ]


def deepgram_vectors() -> list[Vector]:
    return [
        Vector(
            f"{number}-{line['type']}",
            str(line["direction"]),
            str(line["type"]),
            str(line["source"]),
            _frame(message),
            message,
        )
        for number, line in enumerate(_lines("deepgram.jsonl"), start=1)
        for message in [cast("Mapping[str, JSON]", line["message"])]
    ]


def live_trace() -> Sequence[str]:
    """Return the wire types of a real eighty-second call, in order."""
    trace = orjson.loads((VECTORS / "deepgram-live-trace.json").read_bytes())
    return [event["type"] for event in trace["events"]]


def _lines(name: str) -> list[dict[str, JSON]]:
    return [orjson.loads(line) for line in (VECTORS / name).read_bytes().splitlines() if line]


def _frame(message: Mapping[str, JSON]) -> str | bytes:
    if "_raw_text" in message:
        return str(message["_raw_text"])
    if "_raw_binary_b64" in message:
        return base64.b64decode(str(message["_raw_binary_b64"]))
    return orjson.dumps(message).decode()
