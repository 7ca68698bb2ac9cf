"""Frames that look almost right: real types and real keys, with something moved, missing, doubled or replaced."""

import json
from collections.abc import Mapping, Sequence

from hypothesis import settings
from hypothesis import strategies as st

from protocol.fields import JSON
from tests.examples import DRAWN, FULL, UNICODE

QUICK = DRAWN
STATEFUL = settings(QUICK, max_examples=40 if FULL else 8, stateful_step_count=40)

texts = st.text(UNICODE, max_size=8) | st.sampled_from(
    ["", "{}", "nan", "1e400", "12", "-0.5", "History", "v2", "deepgram"]
)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | texts
values: st.SearchStrategy[JSON] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def _keys(value: JSON) -> set[str]:
    if isinstance(value, Mapping):
        return set(value).union(*map(_keys, value.values()))
    if isinstance(value, list):
        return set().union(*map(_keys, value))
    return set()


@st.composite
def damaged(draw: st.DrawFn, messages: Sequence[Mapping[str, JSON]]) -> str:
    """Take a real message and do up to three things to it."""
    message: JSON = json.loads(json.dumps(draw(st.sampled_from(messages))))
    keys = sorted(_keys(list(messages)))
    for _ in range(draw(st.integers(0, 3))):
        message = _damage(draw, message, keys)
    return json.dumps(message, ensure_ascii=draw(st.booleans()))


def _damage(draw: st.DrawFn, value: JSON, keys: Sequence[str]) -> JSON:
    if isinstance(value, dict) and value and draw(st.integers(0, 9)) < 8:
        key = draw(st.sampled_from(sorted(value)))
        match draw(st.sampled_from(["inside", "inside", "remove", "add", "rename"])):
            case "inside":
                return value | {key: _damage(draw, value[key], keys)}
            case "add":
                return value | {draw(st.sampled_from(keys)): draw(values)}
            case "rename":
                return {draw(st.sampled_from(keys)) if name == key else name: item for name, item in value.items()}
            case _:
                return {name: item for name, item in value.items() if name != key}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _damage(draw, value[place], keys), *value[place:]]
    return draw(values)
