"""Finds the agents that AGENTS names: a package on the path, a folder, or a file.

A roster is a module (most often the `__init__.py` of a package) with `ROSTER`: its agents, each an `AgentSpec`, a
module, or the name of a module that has an `AgentSpec` in `AGENT`; a name that begins with a dot stands in the roster's
own package. Owns the import of what users have written, and says of each mistake in it in which file and line it is.
"""

import difflib
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Final, TypeAlias

import attrs

from agents.spec import AgentSpec
from protocol.fields import quoted

Source: TypeAlias = str | ModuleType | AgentSpec
LONGEST_ERROR: Final = 500
"""Characters of what a user's module raises: it may have a whole file in it."""
Named: TypeAlias = tuple[AgentSpec, str]
"""An agent, and the file to mend it in."""


@attrs.frozen
class RosterProblem:
    """One thing that is wrong with an agent, and where to mend it."""

    file: str
    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}: {self.text}"


class RosterError(Exception):
    """The roster cannot take calls; `problems` says everything that must be mended."""

    def __init__(self, problems: Iterable[RosterProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def refuse(problems: Iterable[RosterProblem]) -> None:
    if found := list(problems):
        raise RosterError(found)


def import_roster(source: str) -> ModuleType:
    """Import what AGENTS names: a package (`acme.agents`), a folder (`./acme`), or a file (`./acme.py`).

    *Raises* `RosterError`.
    """
    if not is_path(source):
        _look_in(Path.cwd())
        return import_module(source)
    try:
        path = Path(source).expanduser().absolute()
    except RuntimeError as exc:
        raise RosterError([RosterProblem("AGENTS", source, "nobody's home has this name")]) from exc
    file = _file_at(path, source)
    package, top = _package_of(file)
    _look_in(package, first=True)
    _refuse_taken(top, package, source)
    return import_module(".".join(_parts(file, package)))


def is_path(source: str) -> bool:
    is_file = "." in source and Path(source).is_file()
    return source.startswith((".", "~")) or source.endswith(".py") or os.sep in source or is_file


def _file_at(path: Path, source: str) -> Path:
    """Find the file that a path means: itself, or a package in this folder."""
    if path.is_file():
        if path.suffix != ".py":
            wanted = "a roster is Python: name a package, a folder or a .py file"
            raise RosterError([RosterProblem("AGENTS", source, wanted)])
        return path
    if not path.is_dir():
        raise RosterError([RosterProblem("AGENTS", source, f"there is no folder or file {path}")])
    places = (path, path / "agents", path / path.name / "agents", path / path.name)
    found = (place / "__init__.py" for place in places if (place / "__init__.py").is_file())
    inner = next((one for one in found if re.search("ROSTER|AGENT|\0", one.read_text("utf-8", errors="replace"))), None)
    if inner is None:
        wanted = "in its __init__.py, list the agents as ROSTER = ('.front_desk', '.bookings')"
        raise RosterError([RosterProblem("AGENTS", source, f"there is no roster in {path}: {wanted}")])
    return inner


def _package_of(file: Path) -> tuple[Path, str]:
    """Return the folder from which a file is imported, and the name it begins with."""
    top = file.parent if file.name == "__init__.py" else file
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    return top.parent, top.stem


def _parts(file: Path, folder: Path) -> tuple[str, ...]:
    parts = file.relative_to(folder).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _look_in(folder: Path, *, first: bool = False) -> None:
    """Let packages of this folder be imported: before those that are installed, or after them."""
    if str(folder) not in sys.path:
        sys.path.insert(0 if first else len(sys.path), str(folder))


def _refuse_taken(name: str, folder: Path, source: str) -> None:
    """Refuse a package whose name another one has already: Python would import that one."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    origin = Path(spec.origin) if spec is not None and spec.origin else None
    if origin is not None and not origin.is_relative_to(folder.resolve()) and not origin.is_relative_to(folder):
        fix = f"rename the folder or file {name!r}: Python has another package of this name, {origin}"
        raise RosterError([RosterProblem("AGENTS", source, fix)])


def import_module(name: str) -> ModuleType:
    """Import a module of a roster by its name. *Raises* `RosterError`, with file and line, and nothing else."""
    with _Told(name):
        importlib.invalidate_caches()
        return importlib.import_module(name)


@attrs.frozen
class _Told:
    """Tells what a user's module raises when it is imported, whatever that is, by file and line."""

    name: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, Exception | SystemExit):
            raise RosterError([not_loaded(self.name, error)]) from error


def not_loaded(name: str, error: BaseException) -> RosterProblem:
    """Say where a module could not be loaded: the file and line of its own mistake, where there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return RosterProblem(in_project(error.filename), f"line {error.lineno}", f"syntax error: {error.msg}")
    told = traceback.format_exception_only(error)[0].strip().partition(": ")[2]  # its `__str__` may raise
    what = f"{type(error).__name__}: {told[:LONGEST_ERROR]}"
    if "null bytes" in what:  # which Python tells without the file
        spec = importlib.util.find_spec(name)
        fix = "it has NUL characters, as UTF-16 has: save it as UTF-8"
        return RosterProblem(in_project(spec.origin if spec and spec.origin else name), "import", fix)
    places = [
        place
        for place in traceback.extract_tb(error.__traceback__)
        if "importlib" not in place.filename and place.filename != __file__
    ]
    if not places:  # the module itself was not found
        what += f": check the name, and that its package is installed, or in {Path.cwd()}"
        return RosterProblem(name, "import", f"cannot be imported: {what}")
    if isinstance(error, KeyError) and places[-1].filename in {"<frozen os>", os.__file__}:
        what += ", which os.environ does not have: what stands in .env is in environment() of the module `settings`"
    place = next((place for place in reversed(places) if _is_users(place.filename)), places[-1])
    return RosterProblem(in_project(place.filename), f"line {place.lineno}", f"cannot be imported: {what}")


def _is_users(file: str) -> bool:
    """Say whether a file is the user's own, and no library's and none of ours."""
    libraries = (Path(os.__file__).parent, Path(__file__).parent.parent)
    is_file = Path(file).is_absolute()  # and no code that was made, or frozen into Python
    return is_file and "site-packages" not in Path(file).parts and not any(map(Path(file).is_relative_to, libraries))


def file_of(module: ModuleType) -> str:
    """Name the file as an editor opened on the project would."""
    return in_project(getattr(module, "__file__", None) or f"{module.__name__}.py")


def in_project(file: str) -> str:
    """Write a path from the folder of the project, ours or the user's; from the root, where it is in neither."""
    path = Path(file)
    roots = (Path(__file__).parent.parent, Path.cwd())
    return next((str(path.relative_to(root)) for root in roots if path.is_relative_to(root)), str(path))


def agents_of(module: ModuleType) -> list[Named]:
    """Return the agents that a roster lists. *Raises* `RosterError`."""
    listed: object = vars(module).get("ROSTER")
    if listed is None and isinstance(vars(module).get("AGENT"), AgentSpec):
        return [load_agent(module)]
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str | ModuleType | AgentSpec) for one in listed):
        wanted = "list the agents, such as ROSTER = ('.front_desk', '.bookings')"
        why = "is missing" if listed is None else "is no list of agents"
        raise RosterError([RosterProblem(file_of(module), "ROSTER", f"{why}: {wanted}")])
    return [load_agent(one, module) for one in listed]


def load_agent(source: Source, roster: ModuleType | None = None) -> Named:
    """Load one agent: a spec, a module, or a module's name. *Raises* `RosterError`."""
    if isinstance(source, AgentSpec):
        return source, f"agent {quoted(source.name)}" if roster is None else file_of(roster)
    package, module = roster.__package__ if roster is not None else None, source
    if isinstance(source, str) and (source.startswith(".") or (package and "." not in source)):
        if roster is None or not package:
            wanted = "a file by itself has no package: list the agents themselves, or make a folder with __init__.py"
            where = "roster" if roster is None else file_of(roster)
            raise RosterError([RosterProblem(where, "ROSTER", f"{source!r}: {wanted}")])
        module = _import_listed(source, roster, package)
    elif isinstance(source, str):
        module = import_module(source)
    if not isinstance(module, ModuleType):
        wanted = "write an AgentSpec, a module, or its name"
        raise RosterError([RosterProblem("roster", "agents", f"{module!r} is no agent: {wanted}")])
    agent: object = getattr(module, "AGENT", None)
    if not isinstance(agent, AgentSpec):
        raise RosterError([RosterProblem(file_of(module), "AGENT", "the module has no AgentSpec of this name")])
    return agent, file_of(module)


def _import_listed(name: str, roster: ModuleType, package: str) -> ModuleType:
    """Import a module that a roster lists; where there is none, say which are in the roster's package."""
    whole = f"{package}{name}" if name.startswith(".") else name
    try:
        return import_module(whole)
    except RosterError as refused:
        missing = refused.__cause__
        if not (isinstance(missing, ModuleNotFoundError) and f"{whole}.".startswith(f"{missing.name}.")):
            raise
    beside = [f".{one.name}" for one in pkgutil.iter_modules(getattr(roster, "__path__", ()))]
    near = difflib.get_close_matches(name, beside, 1)
    fix = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, beside)) or 'none'}"
    raise RosterError([RosterProblem(file_of(roster), "ROSTER", f"there is no {name!r} here; {fix}")])
