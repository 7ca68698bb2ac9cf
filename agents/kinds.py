"""The sorts of value that a model may send with a function call, and how strictly each is read.

Owns the closed list of kinds: words, numbers, yes or no, one of a few words, dates, members of an enum, and a list of
these. Each writes itself as JSON Schema and reads the LLM's value. A value that does not fit is `UnfitValue`: its
message completes the sentence that begins with the argument's name. So is a type that no kind stands for.
"""

import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from enum import Enum
from typing import Annotated, Final, Literal, Protocol, TypeAlias, Union, get_args, get_origin

import attrs
import orjson

from protocol.fields import JSON, kind, text_or_json

TEXT_LIMIT: Final = 1000
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,15}(\.0+)?", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


class UnfitValue(ValueError):
    """One value does not fit its kind; the message completes the sentence "`field` ..."."""


@attrs.frozen
class Between:
    """The least and the greatest number an argument may be, as an `Annotated` mark."""

    minimum: int | float
    maximum: int | float


Mark: TypeAlias = str | Between
"""What may stand beside a type: its description, and its limits."""


class Kind(Protocol):
    """One sort of argument: how it is offered to the model and how the model's value is read."""

    def schema(self) -> dict[str, JSON]: ...
    def read(self, value: JSON) -> object: ...


@attrs.frozen
class Text:
    """Words; blank counts as nothing said."""

    def schema(self) -> dict[str, JSON]:
        return {"type": "string"}

    def read(self, value: JSON) -> str:
        if not isinstance(value, str):
            raise UnfitValue(f"must be text, not {said_back(value)}")
        if len(value) > TEXT_LIMIT:
            raise UnfitValue(f"must be at most {TEXT_LIMIT} characters; send the short version")
        return value.strip()


@attrs.frozen
class Numeric:
    """A number, whole or not; digits in a string are taken when they are exact, words never."""

    whole: bool
    limits: Between | None = None

    def schema(self) -> dict[str, JSON]:
        limits: dict[str, JSON] = {}
        if self.limits:
            limits = {"minimum": self.limits.minimum, "maximum": self.limits.maximum}
        return {"type": "integer" if self.whole else "number", **limits}

    def read(self, value: JSON) -> int | float:
        number = self.exact(value)
        if number is None or (self.limits and not self.limits.minimum <= number <= self.limits.maximum):
            raise UnfitValue(f"must be {self._wanted()} written in digits, not {said_back(value)}; never guess it")
        return number

    def exact(self, value: JSON) -> int | float | None:
        form = _WHOLE if self.whole else _NUMBER
        if isinstance(value, str) and form.fullmatch(value.strip()):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not self.whole:
            return value
        return int(value) if value == int(value) else None

    def _wanted(self) -> str:
        sort = "a whole number" if self.whole else "a number"
        return f"{sort} from {self.limits.minimum} to {self.limits.maximum}" if self.limits else sort


@attrs.frozen
class YesNo:
    def schema(self) -> dict[str, JSON]:
        return {"type": "boolean"}

    def read(self, value: JSON) -> bool:
        if isinstance(value, str):
            value = {"true": True, "false": False}.get(value.strip().casefold(), value)
        if not isinstance(value, bool):
            raise UnfitValue(f"must be true or false, not {said_back(value)}")
        return value


@attrs.frozen
class Choice:
    """One of a few words, or whole numbers; each stands for itself, or for a member of an enum."""

    values: Mapping[str | int, object]

    @property
    def is_words(self) -> bool:
        return all(type(meant) is str for meant in self.values.values())

    def schema(self) -> dict[str, JSON]:
        is_text = all(isinstance(each, str) for each in self.values)
        return {"type": "string" if is_text else "integer", "enum": list(self.values)}

    def read(self, value: JSON) -> object:
        if isinstance(value, str) and value in self.values:  # before another one, of the same letters
            return self.values[value]
        said = str(value).strip().casefold() if type(value) in (str, int) else None
        number = Numeric(whole=True).exact(value)
        for each, meant in self.values.items():
            if said == each.strip().casefold() if isinstance(each, str) else number == each:
                return meant
        raise UnfitValue(f"must be one of {', '.join(map(str, self.values))}; not {said_back(value)}")


@attrs.frozen
class Moment:
    """A date, a time, or both, in ISO 8601."""

    kind: type[date | time]

    def schema(self) -> dict[str, JSON]:
        return {"type": "string", "format": _MOMENTS[self.kind][0]}

    def read(self, value: JSON) -> date | time:
        said = value.strip() if isinstance(value, str) else ""
        if self.kind is datetime and len(said) <= len("2027-03-24"):
            said = ""  # a date alone is no midnight
        try:
            return self.kind.fromisoformat(said)
        except ValueError:
            wanted = f"must be {_MOMENTS[self.kind][1]}, not {said_back(value)}; never guess it"
            raise UnfitValue(wanted) from None


_MOMENTS: Final[Mapping[type[date | time], tuple[str, str]]] = {
    datetime: ("date-time", "a date with a time, such as 2027-03-24T15:30"),
    date: ("date", "a date, such as 2027-03-24"),
    time: ("time", "a time, such as 15:30"),
}


@attrs.frozen
class Several:
    """A list of one kind."""

    each: Kind
    container: type[list[object] | tuple[object, ...]] = tuple

    def schema(self) -> dict[str, JSON]:
        return {"type": "array", "items": self.each.schema()}

    def read(self, value: JSON) -> list[object] | tuple[object, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise UnfitValue(f"must be a list, not {said_back(value)}")
        return self.container(self.each.read(one) for one in value)


def as_words(value: JSON) -> str:
    """Return as words what the model sent where words were wanted, cut where it is long."""
    return "" if value is None else text_or_json(value).strip()[:TEXT_LIMIT]


def plain_type(annotation: object) -> tuple[object, tuple[Mark, ...]]:
    """Return a type without `Annotated` and `| None`, and the marks that stood beside it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        plain, marks = plain_type(inner[0])
        if any(mark is Between for mark in inner[1:]):
            raise UnfitValue("is marked with the class Between: write Between(…)")
        return plain, (*marks, *(mark for mark in inner[1:] if isinstance(mark, Mark)))
    if origin in (Union, types.UnionType) and len(inner) == 2 and types.NoneType in inner:
        return plain_type(inner[inner[0] is types.NoneType])
    return annotation, ()


def kind_for(annotation: object, marks: Sequence[Mark], nested: Callable[[type], Kind]) -> Kind:
    """Find the kind that stands for a plain type; `nested` makes one of an argument class. *Raises* `UnfitValue`."""
    limits = next((mark for mark in marks if isinstance(mark, Between)), None)
    if annotation is int or annotation is float:
        return Numeric(whole=annotation is int, limits=_sensible(limits))
    if limits:
        raise UnfitValue("has limits but is not a number")
    if annotation is str:
        return Text()
    if annotation is bool:
        return YesNo()
    if isinstance(annotation, type) and (plain := _plain(annotation, nested)) is not None:
        return plain
    return _composed(get_origin(annotation), get_args(annotation), nested)


def _plain(annotation: type, nested: Callable[[type], Kind]) -> Kind | None:
    """Find the kind of a class: of one of Python's own, or of the user's."""
    if annotation in _MOMENTS:
        return Moment(annotation)
    if attrs.has(annotation):
        return nested(annotation)
    if issubclass(annotation, Enum):
        if {type(each.value) for each in annotation} not in ({str}, {int}):
            raise UnfitValue(f"has members of {annotation.__name__} that are not all texts, or all whole numbers")
        return Choice({each.value: each for each in annotation})
    return None


def _sensible(limits: Between | None) -> Between | None:
    both = (limits.minimum, limits.maximum) if limits else (0, 0)
    are_numbers = all(isinstance(one, int) or (isinstance(one, float) and math.isfinite(one)) for one in both)
    if not are_numbers or both[0] > both[1]:
        raise UnfitValue(f"has the limits {both[0]!r} and {both[1]!r}: write two numbers, the smaller one first")
    return limits


def _composed(origin: object, inner: tuple[object, ...], nested: Callable[[type], Kind]) -> Kind:
    if origin is Literal and {type(each) for each in inner} in ({str}, {int}):
        return Choice(dict(zip(inner, inner, strict=True)))  # type: ignore[arg-type]  # texts, or numbers
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return Several(_item(inner[0], nested))
    if origin is list:
        return Several(_item(inner[0], nested), list)
    raise UnfitValue(
        "must be str, int, float, bool, date, time, datetime, an Enum, an attrs class, a Literal of words or numbers, "
        "a tuple[X, ...], a list[X] or X | None of these"
    )


def _item(annotation: object, nested: Callable[[type], Kind]) -> Kind:
    plain, marks = plain_type(annotation)
    if not all(isinstance(mark, Between) for mark in marks):
        raise UnfitValue("has a description inside of the list: write it around the list")
    return kind_for(plain, marks, nested)


def said_back(value: JSON) -> str:
    """Say back what was sent, briefly: a container only by its kind, however deep it is."""
    if isinstance(value, Mapping) or not isinstance(value, str | int | float):
        return kind(value)
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."
