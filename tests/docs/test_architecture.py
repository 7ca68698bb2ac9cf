"""The walks of the architecture page lead through files and names that exist, in few hops; fragments have a kind."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
HOP = re.compile(r"^\d+\. `(?P<path>[\w/.]+)`: (?P<said>.+?)(?=^\d+\. |^#|\Z)", re.MULTILINE | re.DOTALL)
WALKS = {
    "A frame of the caller's, from Twilio to Deepgram": 10,
    "An agent's audio, from Deepgram to the caller": 10,
    "A handoff": 12,
}
KINDS = {"added", "changed", "fixed", "removed", "security"}


def hops(walk: str) -> list[tuple[str, list[str]]]:
    section = PAGE.split(f"### {walk}\n")[1].split("\n### ")[0]
    return [(hop["path"], re.findall(r"`([A-Z_a-z][\w.]+)`", hop["said"])) for hop in HOP.finditer(section)]


def names_of(path: str) -> set[str]:
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            inner = (part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {node.name, *(f"{node.name}.{part.name}" for part in inner)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_leads_through_what_exists(walk: str) -> None:
    steps = hops(walk)

    assert steps
    for path, names in steps:
        known = names_of(path)
        missing = [name for name in names if name not in known and "." in name]
        assert (ROOT / path).is_file(), path
        assert missing == [], (path, missing)
        assert any(name in known for name in names), path


@pytest.mark.parametrize(("walk", "most"), WALKS.items())
def test_a_walk_has_few_hops_and_does_not_turn_back(walk: str, most: int) -> None:
    files = [path for path, _ in hops(walk)]

    assert len(files) <= most
    assert len(set(files)) == len(files), "a file is passed once"


def test_the_tree_of_the_call_has_the_actors_and_tasks_that_there_are() -> None:
    call = (ROOT / "actors" / "call.py").read_text(encoding="utf-8")
    started = {"TwilioBridge", "Scribe", "TurnDriver", "Supervisor", "AgentSession"}
    started |= set(re.findall(r'yield .*?, "(\w+)', call))
    drawn = {name.lower() for name in re.findall(r"^ *[├└]── (\w+)", PAGE, re.MULTILINE)}

    assert drawn == {name.lower() for name in started} - {"call"}  # "call length", beside the keypad


def test_every_fragment_of_the_changelog_has_a_kind_and_says_something() -> None:
    for path in {*(ROOT / "changelog.d").glob("*")} - {ROOT / "changelog.d" / "README.md"}:
        name = path.name.split(".")
        assert len(name) == 3, path.name
        assert name[1] in KINDS, path.name
        assert name[2] == "md", path.name
        assert len(path.read_text(encoding="utf-8").split()) > 3, path.name


def test_the_changelog_is_read_in_ten_minutes() -> None:
    assert len((ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split()) <= 3500
