"""Reads a TOML table key by key and complains like a colleague.

Every complaint is a `ScenarioError` that names the file, the key as it would be written, what is wrong, and the fix.
`Table.done` complains about keys that nobody asked for.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar, cast, get_args, get_origin

import attrs
import orjson

from protocol.fields import JSON, quoted, shown

T = TypeVar("T")

_TOP: Final = ("name", "description", "faults")
MOST_BYTES: Final = 2**24


class ScenarioError(Exception):
    """A scenario that cannot be played; the message names file, key, what is wrong, and the fix."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the most similar known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def text_of(path: Path) -> str:
    """Read a file of UTF-8 text; the byte order mark of some editors is no part of it. *Raises* `ScenarioError`."""
    try:
        with path.open("rb") as file:
            found = file.read(MOST_BYTES + 1)
        if len(found) > MOST_BYTES:
            raise ScenarioError(f"{path}: is longer than {MOST_BYTES // 2**20} MiB")
        return found.decode("utf-8-sig")
    except OSError as problem:
        raise ScenarioError(f"{path}: cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise ScenarioError(f"{path}: is not UTF-8: save it as UTF-8") from problem


def parse_toml(text: str, where: str) -> Table:
    """Read TOML text; `where` is what errors call it. *Raises* `ScenarioError`."""
    try:
        return Table(where, "", tomllib.loads(text))
    except RecursionError as problem:
        raise ScenarioError(f"{where}: is not TOML that can be read: too many brackets within one another") from problem
    except ValueError as problem:  # also of an integer with too many digits
        raise ScenarioError(f"{where}: is not TOML: {problem}") from problem


@attrs.define
class Table:
    """One TOML table, and where it is."""

    where: str
    path: str
    content: Mapping[str, JSON]
    name: str = ""
    _asked: set[str] = attrs.field(factory=set, init=False)

    def wrong(self, key: str, problem: str) -> ScenarioError:
        """Make the error for one of this table's keys, or for the table itself."""
        place = ".".join(shown(part) for part in (self.path, key) if part)
        return ScenarioError(f"{self.where}: {place} {problem}")

    def done(self) -> None:
        """Complain about the keys that nobody asked for."""
        unknown = [key for key in self.content if key not in self._asked]
        if not unknown:
            return
        key = unknown[0]
        if self.path and key in _TOP:
            raise self.wrong(key, f"does not belong here; write {key} at the top, before the first [table]")
        known = sorted(self._asked)
        raise self.wrong(key, f"is not a key that is known here{nearest(key, known)}; there are {', '.join(known)}")

    def read(self, kind: type[T], **given: object) -> T:
        """Make a value of a class: a field that is not `given` is the key of its name, and there are no other keys."""
        fields = attrs.fields(cast("type[attrs.AttrsInstance]", kind))
        read = {field.name: self._value(field) for field in fields if field.name not in given}
        self.done()
        return kind(**given, **{name: value for name, value in read.items() if value is not None})

    def _value(self, field: attrs.Attribute[object]) -> object:
        """Return the value of a key, as the type of its field wants it; None where it may be absent and is."""
        key, kind = field.name, field.type
        value: object
        if get_origin(kind) is Literal:
            value = self.optional_choice(key, get_args(kind))
        elif get_origin(kind) is tuple:
            value = self.texts(key)
        elif get_origin(kind) is Mapping:
            value = self.json(key)
        elif kind is bool:
            value = self.optional_boolean(key)
        elif kind in {float, float | None}:
            value = self.optional_seconds(key)
        else:
            value = self.optional_text(key)
        if value is None and field.default is attrs.NOTHING:
            raise self._missing(key)
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a string that may be absent; an empty one is an error."""
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, f"is {quoted(value)}; write some text in quotes")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string; without a default it must be there."""
        value = self.optional_text(key)
        if value is None and default is None:
            raise self._missing(key)
        return value or default or ""

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            raise self.wrong(key, f'is one string; write {key} = ["..."], one sentence each')
        if not isinstance(value, list):
            raise self.wrong(key, f'is {quoted(value)}; write {key} = ["..."]')
        return tuple(self._sentence(key, index, item) for index, item in enumerate(value, 1))

    def optional_seconds(self, key: str) -> float | None:
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 3600:
            raise self.wrong(key, f"is {quoted(value)}; write seconds as a number from 0 to 3600, like {key} = 1.5")
        return float(value)

    def optional_boolean(self, key: str) -> bool | None:
        value = self._get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, f"is {quoted(value)}; write true or false, without quotes")
        return value

    def optional_choice(self, key: str, choices: Sequence[str]) -> str | None:
        """Return one of these words, or None when it is absent."""
        value = self.optional_text(key)
        if value is not None and value not in choices:
            raise self.wrong(key, f"is {quoted(value)}{nearest(value, choices)}; write one of {', '.join(choices)}")
        return value

    def mapping(self, key: str) -> Mapping[str, JSON]:
        value = self._get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.wrong(key, f"is {quoted(value)}; write {key} = {{ name = value }}")
        return value

    def json(self, key: str) -> Mapping[str, JSON]:
        """Return a table that is sent as JSON."""
        value = self.mapping(key)
        try:
            orjson.dumps(value)
        except orjson.JSONEncodeError as problem:
            raise self.wrong(key, f"cannot be sent as JSON: {problem}") from problem
        return value

    def table(self, key: str) -> Table:
        return Table(self.where, self._below(key), self.mapping(key), key)

    def tables(self, key: str) -> tuple[Table, ...]:
        value = self._get(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self._no_tables(key)
        return tuple(self._nth(key, number, item) for number, item in enumerate(value, 1))

    def _nth(self, key: str, number: int, item: JSON) -> Table:
        if not isinstance(item, dict):
            raise self._no_tables(key)
        return Table(self.where, f"{self._below(key)}[{number}]", item, key)

    def _missing(self, key: str) -> ScenarioError:
        return self.wrong(key, f'is missing; write {key} = "..."')

    def _no_tables(self, key: str) -> ScenarioError:
        return self.wrong(key, f"is not a list of tables; write [[{self._below(key)}]] before each")

    def _get(self, key: str) -> JSON:
        self._asked.add(key)
        return self.content.get(key)

    def _below(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _sentence(self, key: str, index: int, item: JSON) -> str:
        if not isinstance(item, str) or not item.strip():
            raise self.wrong(f"{key}[{index}]", f"is {quoted(item)}; write some text in quotes")
        return item
