"""Reading of settings from an environment: one `Variable` for each, and every problem reported at once.

`Reading` reads variables from a mapping and collects what is wrong; `SettingsError` tells all of it. `misspelt` finds
names in the mapping that look like one of ours and are not. Nothing here knows a setting by name.
"""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar, cast

import attrs

from protocol.fields import hidden_in, shown

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Parse: TypeAlias = Callable[[str], T]
"""Reads a text, or raises `ValueError` with what was wanted, in words that go on after "which is not"."""

ALIKE, HALF_ALIKE = 0.85, 0.7
"""How much of two names must be the same for one to be a slip of the other; the less where it can be nobody else's."""


_UNSEEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def text_of_file(file: Path) -> str:
    """Return what a file says in UTF-8; the byte order mark of some editors is no part of it.

    Raises: `ValueError` with what is wrong, in words that go on after the name of the file.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise ValueError(f"cannot be read: {exc.strerror}. Make it a text file that this user can read") from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise ValueError(f"is not UTF-8 (line {line}). Save it as UTF-8: in most editors, Save with Encoding") from exc


class SettingsError(Exception):
    """One or more settings are missing or malformed; `problems` has a line for each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        count = "1 setting needs" if len(problems) == 1 else f"{len(problems)} settings need"
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(
            f"{count} attention.\n{lines}\n\n"
            "Set them in the environment or in a file named .env (.env.example lists them all)."
        )
        self.problems = problems


@attrs.frozen
class Variable(Generic[T_co]):
    """One setting: its name, what it is for, an example, and how its text becomes a value.

    `default` is text, as one would write it in `.env`; None means the setting is required.
    """

    name: str
    purpose: str
    example: str
    parse: Parse[T_co]
    default: str | None = None
    secret: bool = False


def setting(purpose: str, parse: Parse[T], default: str | None = None, example: str = "", *, secret: bool = False) -> T:
    """Declare a field of a class of settings: its variable has the name of the field, in capitals.

    The default is an example, too, unless another one is given.
    """
    variable = Variable("", purpose, example or default or "", parse, default, secret)
    field: T = attrs.field(repr=not secret, metadata={"variable": variable})
    return field


def optional_setting(purpose: str, parse: Parse[T], example: str, *, secret: bool = False) -> T | None:
    """Declare a field that is None where nothing is given."""
    return setting(purpose, optional(parse), "", example, secret=secret)


def optional(value_of: Parse[T]) -> Parse[T | None]:
    return lambda value: value_of(value) if value else None


def variable_of(field: "attrs.Attribute[T]") -> Variable[T]:
    return attrs.evolve(field.metadata["variable"], name=field.name.upper())


def variables_of(kind: type[attrs.AttrsInstance]) -> Mapping[str, Variable[object]]:
    found = [variable_of(field) for field in attrs.fields(kind) if "variable" in field.metadata]
    return {variable.name: variable for variable in found}


@attrs.define
class Reading:
    """Reads variables from `environ` and notes their problems. `known` are those that it is asked for by name."""

    environ: Mapping[str, str]
    known: Mapping[str, Variable[object]] = attrs.field(factory=dict[str, Variable[object]])
    problems: list[str] = attrs.field(factory=list, init=False)
    malformed: set[str] = attrs.field(factory=set, init=False)
    """Names whose text is no value: there is a stand-in for it, of which nothing more is to be said."""

    def __call__(self, variable: Variable[T]) -> T:
        """Return the value of a variable; a stand-in for it after a problem."""
        given = self.given(variable.name)
        if not given and variable.default is None:
            return self._note(variable, f"{variable.name} is missing.")
        try:
            if _UNSEEN.search(given) or _is_quoted(given):  # no sentence and no name has it
                raise ValueError("plain text")  # noqa: TRY301 - told as every other value that is none
            if variable.secret and given == variable.example:
                self.malformed.add(variable.name)
                return self._note(variable, f"{variable.name} is the one of .env.example, which everybody knows.")
            return variable.parse(given or variable.default or "")
        except ValueError as wanted:
            self.malformed.add(variable.name)
            value = "a value that is not" if variable.secret else f'"{shown(given)}", which is not'
            return self._note(variable, f"{variable.name} is {value} {wanted}.{_hint(given)}")

    def given(self, name: str) -> str:
        """Return the text of a variable; empty where it is not set."""
        return self.environ.get(name, "").strip()

    def refuse(self, name: str, problem: str) -> None:
        """Note a problem of the variable of this name, unless it has no value at all."""
        if name not in self.malformed:
            self._note(self.known[name], problem)

    def _note(self, variable: Variable[T], problem: str) -> T:
        self.problems.append(f"{problem} It is {variable.purpose}. Example: {variable.name}={variable.example}")
        return cast("T", None)  # never seen: `from_environ` raises when there is any problem


def _is_quoted(given: str) -> bool:
    """Tell whether one pair of quotes is around all of it: a sentence may begin and end with the words of others."""
    return len(given) > 1 and given[0] == given[-1] and given[0] in "\"'" and given[0] not in given[1:-1]


def _hint(given: str) -> str:
    """Say what one does not see, or takes for no part of a value."""
    if hidden := hidden_in(given):
        return f" {hidden}"
    if _is_quoted(given):
        return " Leave the quotes out: only a shell and a .env file take them away."
    return " Leave out what follows #: only a .env file has comments." if " #" in given else ""


def read_one(environ: Mapping[str, str], variable: Variable[T]) -> T:
    """Read one setting without the others. Raises: `SettingsError`."""
    read = Reading(environ)
    value = read(variable)
    if read.problems:
        raise SettingsError(tuple(read.problems))
    return value


def misspelt(environ: Mapping[str, str], known: Collection[str], families: tuple[str, ...]) -> tuple[str, ...]:
    """Tell which names look like one of `known` and are not, a line for each.

    A name looks like ours if it is a slip of one of ours, or if it begins with one of `families`.
    """
    unknown = sorted(name for name in environ if name not in known)
    return tuple(line for name in unknown if (line := _told(name, known, families)))


def _told(name: str, known: Collection[str], families: tuple[str, ...]) -> str:
    upper = name.upper()
    if upper in known:
        return f"{name} is no setting: write {upper}."
    is_ours = upper.startswith(families)
    near = difflib.get_close_matches(upper, known, 1, HALF_ALIKE if is_ours else ALIKE)
    if near:
        return f"{name} is no setting, and nothing reads it. Did you mean {near[0]}?"
    return f"{name} is no setting, and nothing reads it. .env.example lists them all." if is_ours else ""
