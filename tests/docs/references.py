"""The reference pages as Markdown, from attrs fields and docstrings: `python -m tests.docs.requote` writes them.

A type's sentence is its docstring; a field's is the string after it. A field without one is shown with its type alone.
"""

import ast
import inspect
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Final, Literal

import attrs

from actors.facts import call, handoff, session
from actors.journal import event_name
from protocol.fields import JSON
from simulators.faults import Fault
from simulators.scenario import (
    Caller,
    CallerLine,
    Human,
    Scenario,
    ScriptedAgent,
    ScriptedCall,
    ScriptedTurn,
    parse_scenario,
)
from store.records import CallRecord

_PLAIN: Final = {str: "string", float: "number", int: "integer", bool: "true or false", object: "any value"}

_JSON_NAMES: Final = {"JSON": JSON, "Mapping": Mapping, "Sequence": Sequence}
"""What `protocol.fields.JSON` names in its own definition."""


@attrs.frozen
class Part:
    """One table of a scenario file: how it is written, and the keys that are not called as the fields are."""

    kind: type
    header: str
    keys: Mapping[str, str] = attrs.field(factory=dict)
    """For a field its key; empty for one that is in the header."""

    @property
    def title(self) -> str:
        return f"`{self.header}`" if self.header else "At the top"

    def key(self, field: str) -> str:
        return self.keys.get(field, field)


PARTS: Final = (
    Part(Scenario, ""),
    Part(Caller, "[caller]", {"lines": "line"}),
    Part(CallerLine, "[[caller.line]]"),
    Part(ScriptedAgent, "[agents.NAME]", {"name": "", "turns": "turn"}),
    Part(ScriptedTurn, "[[agents.NAME.turn]]"),
    Part(ScriptedCall, "[[agents.NAME.turn.calls]]"),
    Part(Human, "[human]"),
)
"""The tables of a scenario file, in the order of the page."""

FACTS: Final = (call, handoff, session)


@attrs.frozen
class Field:
    """One field of a type, as a page shows it."""

    name: str
    kind: object
    sentence: str
    default: object
    """`attrs.NOTHING` where there is none."""


def sentence_of(kind: type | ModuleType) -> str:
    """Return the docstring on one line."""
    return _line(kind.__dict__.get("__doc__") or "")


def fields_of(kind: type) -> tuple[Field, ...]:
    """Return the fields of an attrs class, in order."""
    hints, sentences = typing.get_type_hints(kind, localns=_JSON_NAMES), _sentences(kind)
    return tuple(
        Field(each.name, hints[each.name], sentences.get(each.name, ""), _default(each.default))
        for each in attrs.fields(kind)
    )


def facts_in(module: ModuleType) -> tuple[type, ...]:
    """Return the facts of a module, in order."""
    return tuple(each for each in vars(module).values() if attrs.has(each) and each.__module__ == module.__name__)


def parts_of_record() -> tuple[type, ...]:
    """Return the record and every type in it, each once, in the order in which they occur."""
    found: list[type] = [CallRecord]
    for kind in found:
        inner = (each for field in fields_of(kind) for each in _types_in(field.kind) if attrs.has(each))
        found += [each for each in dict.fromkeys(inner) if each not in found]
    return tuple(found)


def scenario_file() -> str:
    """Write a table of keys for each table of a scenario file."""
    return _page(_part(part) for part in PARTS)


def record() -> str:
    """Write a table of fields for each type of a record."""
    return _page(_section(f"## {kind.__name__}", kind) for kind in parts_of_record())


def journal() -> str:
    """Write a table of fields for each fact."""
    return _page(
        section
        for module in FACTS
        for section in (
            f"## {sentence_of(module)}".rstrip("."),
            *(_section(f"### {event_name(fact)}", fact) for fact in facts_in(module)),
        )
    )


def _page(sections: Iterator[str]) -> str:
    return "\n" + "\n\n".join(sections) + "\n\n"


def _part(part: Part) -> str:
    fields = [each for each in fields_of(part.kind) if part.key(each.name)]
    rows = [(f"`{part.key(each.name)}`", _toml(each), _left_out(part, each), each.sentence) for each in fields]
    return _titled(f"## {part.title}", part.kind, ("key", "type", "left out", "what it is"), rows)


def _section(title: str, kind: type) -> str:
    rows = [(f"`{each.name}`", _json(each.kind), each.sentence) for each in fields_of(kind)]
    if any(sentence for _, _, sentence in rows):
        return _titled(title, kind, ("field", "type", "what it is"), rows)
    return _titled(title, kind, ("field", "type"), [row[:2] for row in rows])


def _titled(title: str, kind: type, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "/") for cell in row] for row in rows)] if rows else []
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join(filter(None, (title, sentence_of(kind), table)))


def _toml(field: Field) -> str:
    types_in = _types_in(field.kind)
    for part in PARTS:
        if part.kind in types_in:
            is_one = not _is_array(field.kind) and not _is_object(field.kind)
            anchor = "".join(filter(str.isalnum, part.header.lower()))
            return f"{'table' if is_one else 'tables'} [`{part.header}`](#{anchor})"
    if Fault in types_in:
        return "array of [faults](../simulators.md#faults)"
    return "table" if _is_object(field.kind) else _json(field.kind).removesuffix(" or null")


def _left_out(part: Part, field: Field) -> str:
    if part.kind is Scenario and field.name == "name":
        return "the name of the file"
    default = getattr(parse_scenario(""), field.name) if part.kind is Scenario else field.default
    match default:
        case attrs.NOTHING:
            return "required"
        case bool():
            return f"`{str(default).lower()}`"
        case str() | float() | int() if default != "":
            return f"`{default:g}`" if isinstance(default, float) else f'`"{default}"`'
        case _:
            return ""


def _json(kind: object) -> str:
    if isinstance(kind, type) and kind in _PLAIN:
        return _PLAIN[kind]
    if isinstance(kind, type) and attrs.has(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("null" if each is type(None) else _json(each) for each in arguments)
    if origin is Literal:
        return ", ".join(f'`"{each}"`' for each in arguments)
    if _is_array(kind):
        return f"array of {_json(arguments[0])}{'s' if arguments[0] is str else ''}"
    if _is_object(kind):
        return f"object of {_PLAIN[arguments[1]]}s" if arguments[1] in (str, int, float) else "object"
    raise LookupError(f"a reference page has no word for {kind}")


def _is_array(kind: object) -> bool:
    return typing.get_origin(kind) is tuple


def _is_object(kind: object) -> bool:
    origin = typing.get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _types_in(kind: object) -> tuple[type, ...]:
    own = (kind,) if isinstance(kind, type) and typing.get_origin(kind) is None else ()
    return own + tuple(each for inner in typing.get_args(kind) for each in _types_in(inner))


def _default(default: object) -> object:
    return None if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type] # it is a class


def _sentences(kind: type) -> Mapping[str, str]:
    """Return the strings that stand after fields."""
    body = _classes(inspect.getmodule(kind))[kind.__name__].body
    return {
        field.target.id: _line(string.value.value)
        for field, string in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(string, ast.Expr) and isinstance(string.value, ast.Constant)
        if isinstance(string.value.value, str)
    }


@cache
def _classes(module: ModuleType | None) -> Mapping[str, ast.ClassDef]:
    assert module is not None
    return {each.name: each for each in ast.parse(inspect.getsource(module)).body if isinstance(each, ast.ClassDef)}


def _line(text: str) -> str:
    return " ".join(text.split())
