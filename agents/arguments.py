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
from typing import TypeVar

import attrs
import orjson

from agents.kinds import (
    Choice,
    Kind,
    Member,
    Moment,
    Numeric,
    Several,
    Text,
    UnfitValue,
    YesNo,
    as_words,
    kind_for,
    may_be_none,
    plain_type,
)
from protocol.fields import JSON, json_or, kind

ArgumentsT = TypeVar("ArgumentsT")

_NAME = re.compile(r"[a-zA-Z0-9_]{1,64}")
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

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = tuple(problems)

    def content(self) -> str:
        """Answer the function call: there is no error flag on the wire, so the content says it."""
        advice = "Nothing was done. Call the function again with these problems mended; ask the customer if you must."
        return orjson.dumps({"error": "arguments refused", "problems": self.problems, "advice": advice}).decode()


@attrs.frozen
class _Argument:
    name: str
    kind: Kind
    required: bool
    description: str

    def schema(self) -> dict[str, JSON]:
        return {**self.kind.schema(), "description": self.description}

    def taken(self, value: JSON) -> Mapping[str, object]:
        """Read what was sent; an optional argument that is null or blank was not sent. *Raises* `UnfitValue`."""
        if value is None and self.required:
            raise UnfitValue(f"is missing: {self.description or 'it is required'}")
        if value is None or (value == "" and not self.required):
            return {}
        result = self.kind.read(value)
        if self.required and result in ("", (), []):
            raise UnfitValue("must not be empty")
        return {self.name: result}

    @property
    def is_words(self) -> bool:
        return isinstance(self.kind, Text | Choice)


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
    described = _described(arguments)
    forgives = strictness is Strictness.FORGIVING
    given, forgiven = _forgiving_object(text, described) if forgives else (_object(text), [])
    sent = {name: value for name, value in given.items() if value is not None}
    values: dict[str, object] = {}
    refused: list[str] = []
    unknown = [f"`{name}` is not an argument: send only {_names(described)}." for name in sent if name not in described]
    (refused if strictness is Strictness.STRICT else forgiven).extend(unknown)
    for name, each in described.items():
        try:
            values.update(each.taken(sent.get(name)))
        except UnfitValue as unfit:
            if forgives and (each.is_words or not each.required):
                values.update({name: as_words(sent.get(name))} if each.is_words else {})
                forgiven.append(f"`{name}` {unfit}.")
            else:
                refused.append(f"`{name}` {unfit}.")
    if refused:
        raise ArgumentsRefused(refused)
    try:
        return arguments(**values), tuple(forgiven)
    except (ValueError, TypeError) as refusal:
        raise ArgumentsRefused([f"{_sentence(refusal)}."]) from refusal


def _forgiving_object(text: str, described: Mapping[str, _Argument]) -> tuple[Mapping[str, JSON], list[str]]:
    """Read an object; anything else is taken for the words that were to stand in the first argument of text."""
    try:
        return _object(text), []
    except ArgumentsRefused as refused:
        first = next((name for name, each in described.items() if each.is_words), None)
        return {} if first is None else {first: as_words(json_or(text, text))}, list(refused.problems)


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
        raise ArgumentsRefused([f"The arguments must be one JSON object, not {kind(value)}."])
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
            wanted = _names({each.name: each for each in self.inside})
            raise UnfitValue(f"must be an object with {wanted}, not {kind(value)}")
        known = {each.name for each in self.inside}
        problems = [f"`{name}` is not a part of it" for name in value if name not in known]
        values: dict[str, object] = {}
        for each in self.inside:
            try:
                values.update(each.taken(value.get(each.name)))
            except UnfitValue as unfit:
                problems.append(f"`{each.name}` {unfit}")
        if problems:
            raise UnfitValue(f"is not right: {'; '.join(problems)}")
        try:
            made: object = self.arguments(**values)
        except (ValueError, TypeError) as refusal:
            raise UnfitValue(f"is not right: {_sentence(refusal)}") from refusal
        return made


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
        case str() | int() | float() | None:
            plain = value
        case _:
            plain = {name: json_of(getattr(value, field)) for name, field in _fields(type(value)).items()}
    return plain


def json_names(arguments: type) -> frozenset[str]:
    return frozenset(_fields(arguments))


def _fields(arguments: type) -> Mapping[str, str]:
    """Return the attributes of an argument class, by the names that the model knows."""
    if not attrs.has(arguments):
        return {}
    return {str(field.alias): field.name for field in attrs.fields(arguments) if field.init}


def _described(arguments: type) -> Mapping[str, _Argument]:
    return {each.name: each for each in _arguments(arguments)}


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
    name, required = field.alias or "", field.default is attrs.NOTHING
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
    return _Argument(name, sort, required, " ".join(mark for mark in marks if isinstance(mark, str)))


def _refuse_default(name: str, field: "attrs.Attribute[object]", sort: Kind) -> None:
    """Refuse a default of another type: the handler would get it whenever the model leaves the argument out."""
    made, factory = field.default, getattr(field.default, "factory", None)  # of an `attrs.Factory`
    if isinstance(factory, type):
        made, factory = factory(), None
    if made is attrs.NOTHING or field.converter or factory is not None:
        return
    if not (made is None and may_be_none(field.type)) and (wanted := _wanted_for(made, sort)):
        fix = f"write {wanted}, or no default" + (", or add | None to its type" if made is None else "")
        raise SchemaRefused(name, f"has the default {made!r}: {fix}")
    if isinstance(made, list) and made is field.default:
        raise SchemaRefused(name, f"has the default {made!r}, one list for all calls: write attrs.field(factory=list)")


def _wanted_for(value: object, sort: Kind) -> str:
    """Return what a value of this kind is, where this is none; empty where it is one. Limits are the model's only."""
    match sort:
        case Numeric(whole=whole):
            fits = type(value) is int or (type(value) is float and not whole)
            wanted = "a whole number" if whole else "a number"
        case YesNo():
            fits, wanted = isinstance(value, bool), "True or False"
        case Choice(values=words):
            fits, wanted = value in ("", *words), " or ".join(words)
        case Moment(kind=kind):
            fits, wanted = type(value) is kind, f"a {kind.__name__}"
        case Several(each=each, container=kind):
            fits = isinstance(value, kind) and not any(_wanted_for(one, each) for one in value)
            wanted = f"a {kind.__name__} of such values"
        case Member(enum=kind) | Nested(arguments=kind):
            fits, wanted = isinstance(value, kind), f"a value of {kind.__name__}"
        case _:
            fits, wanted = isinstance(value, str), "a text"
    return "" if fits else wanted


def _names(described: Mapping[str, _Argument]) -> str:
    return ", ".join(f"`{name}`" for name in described) or "an empty object"
