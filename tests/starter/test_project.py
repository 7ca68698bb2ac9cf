"""`switchboard new` writes a project that works, and nothing where it cannot."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.roster import roster_from
from cli import commands
from simulators.scenario import load_scenario
from starter.project import CannotWrite, write_agent, write_project

RUNNER = CliRunner()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder; what is imported of a project in it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["acme", "blue_shop", "shop2"])
def test_a_new_project_has_a_roster_that_loads_and_a_scenario_that_fits_it(name: str, here: Path) -> None:
    written = write_project(Path(name))
    roster = roster_from([f"./{name}"])

    assert {path.name for path in written} >= {"pyproject.toml", ".env", ".env.example", ".gitignore", "README.md"}
    assert roster.first == "front_desk"
    assert roster.extras.env_prefixes == (f"{name.upper()}_",)
    assert roster.extras.demo is not None
    assert set(load_scenario(Path(roster.extras.demo.scenario)).agents) == set(roster.agents)


@pytest.mark.parametrize("name", ["acme", "hotel", "zoo_2", "a" * 40])
def test_a_new_project_has_nothing_that_ruff_would_mend(name: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(Path(name))
    monkeypatch.chdir(name)
    write_agent("lost_parcels", Path())

    command = [sys.executable, "-m", "ruff", "check", "--extend-select", "I,UP,B,PT", "--no-cache", "."]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own tool

    assert done.returncode == 0, done.stdout


def test_the_name_takes_the_place_of_the_templates_everywhere(here: Path) -> None:
    texts = {path: path.read_text() for path in write_project(Path("blue_shop"))}

    assert not [path for path, text in texts.items() if "acme" in text.lower() or "acme" in str(path)]
    assert "AGENTS=blue_shop.agents" in texts[Path("blue_shop/.env")]
    assert "the planner at Blue Shop" in texts[Path("blue_shop/blue_shop/agents/planner.py")]


def test_a_folder_that_is_there_and_empty_is_taken(here: Path) -> None:
    (here / "acme").mkdir()

    assert write_project(here / "acme")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("my-shop", "small letters, digits and underscores; try: switchboard new my_shop"),
        ("My Shop", "try: switchboard new my_shop"),
        ("über", "try: switchboard new uber"),
        ("2nd", "is no name of a Python package"),
        ("class", "try: switchboard new class_agents"),
        ("json", "there is a Python package 'json' already"),
        ("agents", "there is a Python package 'agents' already, which would be imported instead: choose another name"),
        ("testkit", "such as testkit_agents"),
        ("tests", "such as tests_agents"),
        ("full", "full is not empty: name a new folder, or an empty one"),
        ("file", "file is a file: name a folder"),
        ("file/acme", "file is a file: name a folder"),
    ],
)
def test_what_cannot_be_written_is_told_with_the_fix_and_nothing_is_written(name: str, told: str, here: Path) -> None:
    (here / "full").mkdir()
    (here / "full" / "notes.txt").write_text("mine")
    (here / "file").write_text("mine")
    before = sorted(here.rglob("*"))

    answer = RUNNER.invoke(commands, ["new", name])

    assert answer.exit_code == 2
    assert told in answer.output
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("words", [[], ["acme", "--agent", "billing"]])
def test_one_thing_at_a_time(words: list[str], here: Path) -> None:
    answer = RUNNER.invoke(commands, ["new", *words])

    assert (answer.exit_code, "Write either" in answer.output) == (2, True)
    assert list(here.iterdir()) == []


def test_one_more_agent_is_reached_from_the_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(Path("acme"))
    monkeypatch.chdir("acme")

    answer = RUNNER.invoke(commands, ["new", "--agent", "complaints"])
    write_agent("lost_parcels", Path())
    roster = roster_from(["acme.agents"])

    assert answer.exit_code == 0
    assert list(roster.agents) == ["front_desk", "planner", "complaints", "lost_parcels"]
    assert roster.agents["front_desk"].hands_to == ("planner", "complaints", "lost_parcels")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("planner", "planner.py is there already: choose another name"),
        ("Lost Parcels", "try: switchboard new --agent lost_parcels"),
        ("größe", "try: switchboard new --agent grosse"),
        ("caller", "'caller' names another speaker in transcripts: choose another name, such as caller_desk"),
    ],
)
def test_an_agent_that_cannot_be_added_changes_nothing(
    name: str, told: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(Path("acme"))
    monkeypatch.chdir("acme")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}

    with pytest.raises(CannotWrite, match=told):
        write_agent(name, Path())

    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_outside_of_a_project_there_is_no_agent_to_add(here: Path) -> None:
    with pytest.raises(CannotWrite, match=r"there is no roster in .*: go to a project of `switchboard new`"):
        write_agent("complaints", Path())


def test_above_two_projects_it_is_not_said_which_one_is_meant(here: Path) -> None:
    write_project(Path("acme"))
    write_project(Path("hotel"))
    Path("acme", "acme").rename("acme_agents")
    Path("hotel", "hotel").rename("hotel_agents")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}

    with pytest.raises(CannotWrite, match=r"acme_agents/.* and hotel_agents/.* are two rosters in .*: go to a project"):
        write_agent("complaints", Path())
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("room", [0, 1, 5, 11])
def test_a_disk_that_is_full_leaves_nothing_of_a_project(
    room: int, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, text: str, encoding: str) -> None:
        if len(list(here.rglob("*.part"))) == room:
            path.touch()
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(text.encode(encoding))

    monkeypatch.setattr(Path, "write_text", write)

    with pytest.raises(CannotWrite, match=r"^acme/\S+ cannot be written: No space left on device"):
        write_project(Path("acme"))
    assert list(here.iterdir()) == []


def test_a_disk_that_is_full_leaves_the_roster_as_it_was(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(here / "acme")
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}

    def write(path: Path, text: str, encoding: str) -> None:
        path.write_bytes(text.encode(encoding)[:100])
        if "__init__" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write)

    with pytest.raises(CannotWrite, match="cannot be written"):
        write_agent("complaints", here / "acme")
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
