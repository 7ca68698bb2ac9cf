"""The arguments of a function: one attrs class, read as a schema and as a validator.

Owns the link between an argument class and the wire: `schema_of` writes the class as the JSON Schema that the model
sees, `read_arguments` reads the model's JSON back into the class. Both use the same `Kind`, so what is offered and what
is accepted cannot differ; how much is forgiven is the function's `Strictness`. A class that cannot be written as a
schema is the author's bug (`SchemaRefused`, found when the roster is loaded); JSON that does not fit is the model's
(`ArgumentsRefused`, its problems written for the model).

    @attrs.frozen
    class Satisfaction:
        rating: Annotated[int, "The customer's rating", Between(1, 5)]
        feedback: Annotated[str, "What the customer added, in their words"] = ""
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from enum import Enum
from functools import lru_cache
from itertools import islice
from typing import TypeVar, cast

import attrs
import orjson

from agents.kinds import Choice, Kind, Several, Text, UnfitValue, as_words, kind_for, plain_type, said_back
from agents.spec_types import problem_with
from protocol.deepgram import TOO_DEEP, TOO_LONG
from protocol.fields import JSON, json_or, kind

ArgumentsT = TypeVar("ArgumentsT")

_NAME = re.compile(r"[a-zA-Z0-9_]{1,64}")
_MOST_TOLD = 10
"""Keys that are no arguments of which the model is told: there may be any number."""
_DESCRIBED = 500
"""Argument classes whose fields are remembered: every session's Settings declare those of its agent's functions."""


class Strictness(Enum):
    """How much of what the model sends may be odd."""

    STRICT = "strict"
    """Nothing: for what cannot be taken back, such as a booking."""
    TOLERANT = "tolerant"
    """There may be keys that are no arguments: they are left out."""
    FORGIVING = "forgiving"
    """Any words do for text, and for one of a few words: for ending the call and handing it on."""


class SchemaRefused(Exception):
    """An argument class cannot be offered to a model; `field` is the argument, or empty for the class."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


class ArgumentsRefused(Exception):
    """A model's arguments do not fit; each problem tells the model what was wrong and what to send instead."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(" ".join(self.problems))


@attrs.frozen
class _Argument:
    name: str
    kind: Kind
    required: bool
    description: str
    absent: Mapping[str, object]
    """What stands for it where it is not sent: None, if its type has it; else the class has a default."""

    def schema(self) -> dict[str, JSON]:
        return {**self.kind.schema(), "description": self.description}

    def taken(self, value: JSON) -> Mapping[str, object]:
        """Read what was sent; an optional argument that is null or blank was not sent. *Raises* `UnfitValue`."""
        if value is None and self.required:
            raise UnfitValue(f"is missing: {self.description or 'it is required'}")
        if value is None or (value == "" and not self.required):
            return self.absent
        result = self.kind.read(value)
        if self.required and result in ("", (), []):
            raise UnfitValue("must not be empty")
        return {self.name: result}

    @property
    def is_words(self) -> bool:
        return isinstance(self.kind, Text) or (isinstance(self.kind, Choice) and self.kind.is_words)


def schema_of(arguments: type) -> dict[str, JSON]:
    """Write an argument class as the JSON Schema of a function's parameters.

    *Raises* `SchemaRefused` for a class or a field that has no such form.
    """
    return _schema(_arguments(arguments))


def _schema(described: Sequence[_Argument]) -> dict[str, JSON]:
    return {
        "type": "object",
        "properties": {each.name: each.schema() for each in described},
        "required": [each.name for each in described if each.required],
        "additionalProperties": False,
    }


def read_arguments(
    arguments: type[ArgumentsT], text: str, strictness: Strictness
) -> tuple[ArgumentsT, tuple[str, ...]]:
    """Read the model's JSON as strictly as the function wants it; return the arguments, and what was odd about them.

    `""` and `null` are no arguments, and `null` is a field not sent; an object may be written as text within a string.

    *Raises* `ArgumentsRefused`, and nothing else, for what cannot be forgiven.
    """
    inside = _arguments(cast("type", arguments))
    if strictness is not Strictness.FORGIVING:
        return _made(arguments, inside, _object(text), strictness)
    given, forgiven = _forgiving_object(text, inside)
    made, more = _made(arguments, inside, given, strictness)
    return made, (*forgiven, *more)


def _made(
    arguments: type[ArgumentsT], inside: Sequence[_Argument], given: Mapping[str, JSON], strictness: Strictness
) -> tuple[ArgumentsT, tuple[str, ...]]:
    """Make a value of an argument class of an object; return it, and what was odd. *Raises* `ArgumentsRefused`."""
    known, forgives = {each.name for each in inside}, strictness is Strictness.FORGIVING
    values: dict[str, object] = {}
    refused: list[str] = []
    forgiven: list[str] = []
    odd = islice((name for name, value in given.items() if value is not None and name not in known), _MOST_TOLD)
    unknown = [f"`{name}` is not an argument: send only {_names(inside)}." for name in odd]
    (refused if strictness is Strictness.STRICT else forgiven).extend(unknown)
    for each in inside:
        sent = given.get(each.name)
        try:
            values.update(each.taken(sent))
        except UnfitValue as unfit:
            if forgives and (each.is_words or not each.required):
                values.update({each.name: as_words(sent)} if each.is_words else each.absent)
                forgiven.append(f"`{each.name}` {unfit}.")
            else:
                refused.append(f"`{each.name}` {unfit}.")
    if refused:
        raise ArgumentsRefused(refused)
    try:
        return arguments(**values), tuple(forgiven)
    except (ValueError, TypeError) as refusal:
        raise ArgumentsRefused([f"{_sentence(refusal)}."]) from refusal


def _forgiving_object(text: str, inside: Sequence[_Argument]) -> tuple[Mapping[str, JSON], Sequence[str]]:
    """Read an object; anything else is taken for the words that were to stand in the first argument of text."""
    try:
        return _object(text), ()
    except ArgumentsRefused as refused:
        unread = text in {TOO_LONG, TOO_DEEP}
        first = next((each.name for each in inside if each.is_words and not unread), None)
        return {} if first is None else {first: as_words(json_or(text, text))}, refused.problems


def _object(text: str) -> Mapping[str, JSON]:
    try:
        value: JSON = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError as error:
        raise ArgumentsRefused(["The arguments are not JSON: send one JSON object."]) from error
    if isinstance(value, str):  # some models write the object as the text of a string
        value = json_or(value, value) if value.strip() else {}
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArgumentsRefused([f"The arguments must be one JSON object, not {said_back(value)}."])
    return value


@attrs.frozen
class Nested:
    """A value of an argument class inside of another one."""

    arguments: type
    inside: tuple[_Argument, ...]

    def schema(self) -> dict[str, JSON]:
        return _schema(self.inside)

    def read(self, value: JSON) -> object:
        if not isinstance(value, Mapping):
            raise UnfitValue(f"must be an object with {_names(self.inside)}, not {kind(value)}")
        try:
            return _made(self.arguments, self.inside, value, Strictness.STRICT)[0]
        except ArgumentsRefused as refused:
            raise UnfitValue(f"is not right: {'; '.join(each.rstrip('.') for each in refused.problems)}") from refused


def _sentence(refusal: ValueError | TypeError) -> str:
    """Return what a validator says: those of attrs put their sentence before the objects that it is about."""
    said = refusal.args[0] if refusal.args and isinstance(refusal.args[0], str) else str(refusal)
    return said.rstrip(".")


def json_of(value: object) -> JSON:
    """Write arguments as the JSON that the model could have sent for them."""
    match value:
        case Enum():
            plain: JSON = value.value
        case date() | time():
            plain = value.isoformat()
        case list() | tuple():
            plain = [json_of(each) for each in value]
        case str() | int() | float() | dict() | None:
            plain = value
        case _:
            plain = {name: json_of(getattr(value, field)) for name, field in json_names(type(value)).items()}
    return plain


def json_names(arguments: type) -> Mapping[str, str]:
    """Return the attributes of an argument class, by the names that the model knows."""
    if not attrs.has(arguments):
        return {}
    return {str(field.alias): field.name for field in attrs.fields(arguments) if field.init}


@lru_cache(maxsize=_DESCRIBED)
def _arguments(arguments: type, outer: tuple[type, ...] = ()) -> tuple[_Argument, ...]:
    if not attrs.has(arguments):
        raise SchemaRefused("", f"{arguments.__name__} is not an attrs class: write @attrs.frozen over it")
    if arguments in outer:
        raise SchemaRefused("", f"{arguments.__name__} contains itself")
    try:
        fields = attrs.fields(attrs.resolve_types(arguments, include_extras=True))
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise SchemaRefused("", f"an annotation cannot be resolved: {error}") from error
    return tuple(_argument(field, (*outer, arguments)) for field in fields if field.init)


def _argument(field: "attrs.Attribute[object]", outer: tuple[type, ...]) -> _Argument:
    name, has_default = field.alias or "", field.default is not attrs.NOTHING
    if _NAME.fullmatch(name) is None:
        raise SchemaRefused(name, "is a name that not every LLM takes: write at most 64 ASCII letters, digits and _")
    try:
        plain, marks = plain_type(field.type)
        sort = kind_for(plain, marks, lambda inner: Nested(inner, _arguments(inner, outer)))
    except UnfitValue as unfit:
        raise SchemaRefused(name, str(unfit)) from unfit
    except SchemaRefused as refused:  # of a class inside
        raise SchemaRefused(f"{name}.{refused.field}".rstrip("."), refused.problem) from refused
    _refuse_default(name, field, sort)
    takes_none = not problem_with(None, name, field.type)
    absent = {name: None} if takes_none and not has_default else {}
    description = " ".join(mark for mark in marks if isinstance(mark, str))
    return _Argument(name, sort, not (has_default or takes_none), description, absent)


def _refuse_default(name: str, field: "attrs.Attribute[object]", sort: Kind) -> None:
    """Refuse a default of another type: the handler would get it whenever the model leaves the argument out."""
    made, factory = field.default, getattr(field.default, "factory", None)  # of an `attrs.Factory`
    if isinstance(factory, type):
        made, factory = factory(), None
    if made is attrs.NOTHING or field.converter or factory is not None:
        return
    told = problem_with(made, name, field.type)
    if isinstance(made, list) and isinstance(sort, Several) and sort.container is tuple:
        told = "is a list; write a tuple"
    if told:
        fix = ", or no default" + (", or add | None to its type" if made is None else "")
        raise SchemaRefused(name, f"its default {told}{fix}")
    if isinstance(made, list) and made is field.default:
        raise SchemaRefused(name, f"has the default {made!r}, one list for all calls: write attrs.field(factory=list)")


def _names(inside: Sequence[_Argument]) -> str:
    return ", ".join(f"`{each.name}`" for each in inside) or "an empty object"
