"""Every step of the tutorial, as a reader takes it: commands are run, files are written, changes are made."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "first-agent.md"
ROOT = PAGE.parents[1]
BLOCK = re.compile(
    r"`(?P<file>[\w/.]+)`:\n\n```(?:toml|python|diff)\n(?P<text>.*?)^```$|^```sh\n(?P<shell>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMANDS = {"switchboard": "cli", "pytest": "pytest"}


def commands() -> list[str]:
    return [line for match in BLOCK.finditer(PAGE.read_text("utf-8")) for line in (match["shell"] or "").splitlines()]


def changed(before: str, change: str) -> str:
    """Make a change that is written as a diff: lines that stay, lines that go, lines that come."""
    lines = change.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    assert before.count(old) == 1
    return before.replace(old, new)


def test_a_reader_needs_ten_commands_at_most() -> None:
    assert len(commands()) + 1 <= 10  # with the clone


def test_what_runs_is_all_that_the_page_shows() -> None:
    text = PAGE.read_text("utf-8")

    assert len(list(BLOCK.finditer(text))) == len(re.findall(r"^```\w+$", text, re.MULTILINE))


@pytest.mark.slow
def test_every_step_works(tmp_path: Path) -> None:
    place = tmp_path / "clone"
    place.mkdir()
    environ = {**{name: value for name, value in os.environ.items() if "PYTEST" not in name}, "PYTHONPATH": str(ROOT)}
    told = ""
    for step in BLOCK.finditer(PAGE.read_text("utf-8")):
        if step["file"]:
            file = place / step["file"]
            is_change = step["text"].startswith(" ")
            file.write_text(changed(file.read_text("utf-8"), step["text"]) if is_change else step["text"], "utf-8")
            continue
        for line in step["shell"].splitlines():
            words = shlex.split(line)
            if words[0] == "cd":
                place = (place / words[1]).resolve()
                continue
            program = [sys.executable, "-m", COMMANDS[words[2]], *words[3:]]
            program += ["-p", "no:cacheprovider"] if words[2] == "pytest" else []
            done = subprocess.run(program, cwd=place, env=environ, text=True, capture_output=True, check=False)  # noqa: S603
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            told += done.stdout

    assert "5 passed" in told
    assert told.count("The call went as its scenario says.") == 2
