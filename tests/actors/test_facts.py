"""Every fact is a value that can be written down as it stands."""

import inspect
from collections.abc import Callable
from typing import cast, get_args

import attrs
import orjson
import pytest

from actors import facts
from actors.facts.handoff import HandoffKind
from actors.journal import Entry, event_name, read_entries

FACTS: tuple[type[attrs.AttrsInstance], ...] = get_args(facts.Fact)
SAMPLES: dict[object, object] = {
    str: "x",
    int: 1,
    float: 0.5,
    bool: True,
    HandoffKind: "soft",
    float | None: 0.5,
    tuple[str, ...]: ("x",),
}


def sample(kind: type[attrs.AttrsInstance]) -> facts.Fact:
    make = cast("Callable[..., facts.Fact]", kind)
    return make(*(SAMPLES.get(field.type, {"caller_in": 1}) for field in attrs.fields(kind)))


def test_the_union_names_every_fact_of_the_module() -> None:
    classes = {value for value in vars(facts).values() if inspect.isclass(value) and attrs.has(value)}

    assert classes == set(FACTS)


def test_no_two_facts_are_one_event() -> None:
    assert len({event_name(kind) for kind in FACTS}) == len(FACTS)


@pytest.mark.parametrize("kind", FACTS, ids=event_name)
def test_a_fact_is_frozen_documented_and_json_as_it_stands(kind: type[attrs.AttrsInstance]) -> None:
    fact = sample(kind)
    line = Entry(0, 0.5, fact).as_json()

    assert read_entries(Entry(0, 0.5, fact).line) == [Entry(0, 0.5, fact)]
    assert [type(one.fact) for one in read_entries(orjson.dumps({"event": line["event"]}))] == [kind]
    assert read_entries(orjson.dumps({**{name: [{}] for name in line}, "event": line["event"]}))
    assert orjson.dumps(orjson.loads(orjson.dumps(line))) == orjson.dumps(line)
    assert not {"seq", "at", "event"} & {field.name for field in attrs.fields(kind)}
    assert (kind.__doc__ or "").endswith(".")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(fact, next((field.name for field in attrs.fields(kind)), "any"), None)
