"""Checks that each field of an agent is of its type, before anything else looks at it.

The specs are plain attrs classes, which take whatever they are given: a comma that is missing, a name where a function
belongs. `wrong_types` yields each such field, of the agent, its functions and its options, and what to write there.
"""

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

import attrs

Hint: TypeAlias = Any
"""A type, as it is written."""
Hints: TypeAlias = tuple[Hint, ...]


def wrong_types(spec: attrs.AttrsInstance, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each field whose value is not of its type, and what to write."""
    for field in attrs.fields(type(spec)):
        value, place = getattr(spec, field.name), f"{path}{field.name}"
        if problem := problem_with(value, field.name, field.type):
            yield place, problem
            continue
        if get_origin(field.type) is not Callable and attrs.has(type(value)):
            yield from wrong_types(value, f"{place}.")
        for inner in value if isinstance(value, tuple | list) else ():
            if attrs.has(type(inner)):
                yield from wrong_types(inner, f"{place}.{inner.name}.")


def problem_with(value: object, name: str, hint: Hint) -> str:
    """Say what is wrong with a value that is not of a type, and what to write; empty where it is one."""
    return "" if _fits(value, hint) else _problem(value, name, hint)


def takes_other_than(function: Callable[..., object], values: int) -> str | None:
    """Return what a function takes, where it cannot be given so many values; None where it can."""
    signature = inspect.signature(function)
    try:
        signature.bind(*[None] * values)
    except TypeError:
        bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
        return str(inspect.Signature(bare))
    return None


def _fits(value: object, hint: Hint) -> bool:
    fits = _FITS.get(get_origin(hint))
    if fits is not None:
        return fits(value, get_args(hint))
    if hint in (int, float):
        is_number = isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
        return is_number and not (isinstance(value, float) and math.isnan(value))
    # a field that a user's subclass adds may be anything
    is_known = isinstance(hint, type) and get_origin(hint) is None and hint not in (Any, object)
    if hint is date and isinstance(value, datetime):
        return False
    return not is_known or (isinstance(value, hint) and not (isinstance(value, str) and _UNFIT.search(value)))


def _fits_pairs(value: object, hints: Hints) -> bool:
    return isinstance(value, Mapping) and all(
        _fits(part, hint) for pair in value.items() for part, hint in zip(pair, hints, strict=True)
    )


_FITS: Mapping[Hint, Callable[[object, Hints], bool]] = {
    Union: lambda value, hints: any(_fits(value, each) for each in hints),
    UnionType: lambda value, hints: any(_fits(value, each) for each in hints),
    Annotated: lambda value, hints: _fits(value, hints[0]),
    Literal: lambda value, hints: value in ("", *hints),
    list: lambda value, hints: isinstance(value, list) and all(_fits(each, hints[0]) for each in value),
    tuple: lambda value, hints: isinstance(value, tuple | list) and all(_fits(each, hints[0]) for each in value),
    Mapping: _fits_pairs,
    type: lambda value, _: isinstance(value, type),
    Callable: lambda value, _: callable(value),
}
"""By what stands before the brackets of a type."""


def _problem(value: object, name: str, hint: Hint) -> str:
    if found := _unfit_in(value):
        if found[0] <= "\x7f":
            return f"has a control character in it, {found[0]!r}: leave it out"
        return f"has half a character in it, {found[0]!r}: write it whole"
    origin: Hint = get_origin(hint)
    while origin in (Union, UnionType, Annotated):
        hint = next(each for each in get_args(hint) if each is not NoneType)
        origin = get_origin(hint)
    if (origin is tuple and isinstance(value, tuple | list)) or (origin is list and isinstance(value, list)):
        inner = get_args(hint)[0]
        odd = next(each for each in value if not _fits(each, inner))
        return f"has {_shown(odd)} in it; write {_wanted(name, inner)}"
    return f"is {_shown(value)}; write {_wanted(name, hint)}"


_UNFIT: Final = re.compile(r"[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Half of a surrogate pair, or a control character: not every service and database takes it, and nobody says it."""


def _unfit_in(value: object) -> re.Match[str] | None:
    if isinstance(value, str):
        return _UNFIT.search(value)
    if isinstance(value, Mapping):
        return _unfit_in([part for pair in value.items() for part in pair])
    return next(filter(None, map(_unfit_in, value)), None) if isinstance(value, tuple | list) else None


def _wanted(name: str, hint: Hint) -> str:
    origin: Hint = get_origin(hint)
    if origin is tuple:
        return f"{name}=(…,), with the comma at its end"
    if origin is Literal:
        return " or ".join(map(repr, get_args(hint)))
    return _WANTED.get(origin or hint) or f"{hint.__name__}(…)"


_WANTED: Mapping[Hint, str] = {
    str: "some text in quotes",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    Mapping: "a dict of texts",
    Callable: "the name of a function, without a call",
    type: "a class",
    list: "a list",
}


def _shown(value: object) -> str:
    name = getattr(value, "name", None) or getattr(value, "__name__", None)
    text = f"{type(value).__name__} {name}" if isinstance(name, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


_LONGEST: Final = 60
