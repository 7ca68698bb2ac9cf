"""Writes the files of a new project, or of one more agent in it.

The files stand in `starter/template`, a project called acme that works; writing one replaces the name. Nothing is
written unless everything can be: what is wrong is `CannotWrite`, with the fix.
"""

import importlib.util
import keyword
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import orjson

from agents.quoting import SPEAKERS
from agents.unknown import plain_words

TEMPLATE: Final = Path(__file__).with_name("template")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SKIPPED: Final = ("__pycache__", ".pytest_cache")


class CannotWrite(Exception):
    """The project cannot be written as asked; the message says what to do instead."""


def write_project(folder: Path) -> tuple[Path, ...]:
    """Write a new project into a folder that is empty or not there; return its files.

    *Raises* `CannotWrite`.
    """
    name = folder.absolute().name
    _refuse_name(name, f"switchboard new {folder.parent / _near(name)}" if _near(name) else "")
    _refuse_taken(name)
    _refuse_folder(folder)
    files = {folder / _named(str(path), name): _named(text, name) for path, text in _template().items()}
    files[folder / "pyproject.toml"] += _uv_source()
    return _write(files)


def write_agent(name: str, project: Path) -> tuple[Path, ...]:
    """Write one more agent into a project, and list it in the roster; return the files.

    *Raises* `CannotWrite`.
    """
    _refuse_name(name, f"switchboard new --agent {_near(name)}" if _near(name) else "")
    if name in SPEAKERS:
        raise CannotWrite(f"{name!r} names another speaker in transcripts: choose another name, such as {name}_desk")
    rosters = sorted(project.glob("*/agents/__init__.py"))
    if len(rosters) != 1:
        found = f"{rosters[0]} and {rosters[1]} are two rosters" if rosters else "there is no roster"
        raise CannotWrite(f"{found} in {project.absolute()}: go to a project of `switchboard new`")
    roster = rosters[0]
    file, text = roster.with_name(f"{name}.py"), roster.read_text("utf-8")
    if file.exists():
        raise CannotWrite(f"{file} is there already: choose another name")
    listed = re.search(r"^ROSTER = \(\n(?P<names>(?: {4}\S+,\n)+)\)$", text, re.MULTILINE)
    if listed is None:
        raise CannotWrite(f"ROSTER in {roster} has not a name a line: write {file}, and add '.{name}' there")
    first = listed["names"].split('"')[1].lstrip(".")
    agent = _AGENT.format(name=name, says=name.replace("_", " "), first=first)
    added = f'{text[: listed.end("names")]}    ".{name}",\n{text[listed.end("names") :]}'
    return _write({file: agent, roster: added})


def _refuse_name(name: str, instead: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        better = f"; try: {instead}" if instead else ""
        raise CannotWrite(f"{name!r} is no name of a Python package: small letters, digits and underscores{better}")


def _near(name: str) -> str:
    near = "_".join(plain_words(name))
    return f"{near}_agents" if keyword.iskeyword(near) else near if _NAME.fullmatch(near) else ""


def _refuse_taken(name: str) -> None:
    spec = importlib.util.find_spec(name) if name not in sys.stdlib_module_names else None
    if name in sys.stdlib_module_names or name == "tests" or (spec is not None and spec.origin is not None):
        fix = f"choose another name, such as {name}_agents"
        raise CannotWrite(f"there is a Python package {name!r} already, which would be imported instead: {fix}")


def _refuse_folder(folder: Path) -> None:
    blocked = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
    if blocked is not None:
        raise CannotWrite(f"{blocked} is a file: name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise CannotWrite(f"{folder} is not empty: name a new folder, or an empty one")


def _template() -> Mapping[Path, str]:
    files = (path for path in sorted(TEMPLATE.rglob("*")) if path.is_file())
    kept = (path for path in files if not any(part in _SKIPPED for part in path.parts))
    return {_dotted(path.relative_to(TEMPLATE)): path.read_text("utf-8") for path in kept}


def _dotted(path: Path) -> Path:
    """Give hidden files their names: neither git nor a wheel would take them as such."""
    return path.with_name(path.name.removeprefix("dot")) if path.name.startswith("dot.") else path


def _named(text: str, name: str) -> str:
    title = name.replace("_", " ").title()
    for old, new in (("acme", name), ("Acme", title), ("ACME", name.upper())):
        text = re.sub(rf"(?<![A-Za-z]){old}(?![A-Za-z])", new, text)
    return text


def _write(files: Mapping[Path, str]) -> tuple[Path, ...]:
    """Write every file, or none: a roster that is there keeps what it says until all the rest is on the disk."""
    parts = {path: path.with_name(f".{path.name}.part") for path in files}
    folders = {folder for path in files for folder in path.parents if not folder.exists()}
    path = next(iter(files))
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(files[path], "utf-8")
        for path, part in parts.items():
            part.replace(path)
    except OSError as exc:
        for part in parts.values():
            part.unlink(missing_ok=True)
        for folder in sorted(folders, reverse=True):
            with suppress(OSError):
                folder.rmdir()
        raise CannotWrite(f"{path} cannot be written: {exc.strerror}") from exc
    return tuple(files)


def _uv_source() -> str:
    """Say where uv finds this very program, if it was installed from a folder or a file and not from an index."""
    try:
        origin = distribution("switchboard-voice").read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    direct = orjson.loads(origin) if origin else {}
    url = urlsplit(direct.get("url", ""))
    if url.scheme != "file":
        return ""
    editable = ", editable = true" if direct.get("dir_info", {}).get("editable") else ""
    path = orjson.dumps(unquote(url.path)).decode()
    return f"\n[tool.uv.sources]\nswitchboard-voice = {{ path = {path}{editable} }}\n"


_AGENT: Final = '''\
"""The agent for {says}."""

from agents.functions import END_CONVERSATION
from agents.phone import phone_prompt
from agents.spec import AgentSpec

_TASK = """\\
You are the virtual assistant for {says}. A colleague has just handed the call to you.

## Your task
1. Find out what it is about, one question a turn.
2. Say that somebody will call back, say goodbye, and call `end_conversation` with task_complete."""

AGENT = AgentSpec(
    name="{name}",
    role="{says}",
    prompt=phone_prompt(_TASK),
    greeting="Thanks for waiting, {{name}}. What is it about?\\nThanks for waiting. What is it about?",
    voice="aura-2-luna-en",
    functions=(END_CONVERSATION,),
    joins_from={{"{first}": "the customer asks for {says} and agreed to be put through"}},
)
'''
