"""Changing the company's name is one constant: the shipped agents, and the tests that play them, go on as before."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shipped import other_company

ROOT = Path(__file__).parents[2]
PLAYED = (
    "tests/shipped/test_shipped_agents.py",
    "tests/calls/test_whole_call.py",
    "tests/calls/test_silence.py",
    "tests/interop/test_deepgram_sdk.py",
)
"""Tests that have known the name once."""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, text=True, capture_output=True, check=False)  # noqa: S603


@pytest.mark.slow
def test_the_agents_have_the_name_of_another_company() -> None:
    code = (
        "import tests.shipped.other_company as other\n"
        "other.work_for(other.NAME)\n"
        "from agents.roster import default_roster\n"
        "first = default_roster().agents['qualifier']\n"
        "print(first.greeting_with({}), first.prompt)\n"
    )

    said = run("-c", code)

    assert other_company.NAME in said.stdout, said.stderr
    assert "Acme" not in said.stdout


@pytest.mark.slow
def test_what_plays_them_knows_no_name() -> None:
    played = run("-m", "pytest", "-q", "-n", "0", "-p", "tests.shipped.other_company", *PLAYED)

    assert played.returncode == 0, played.stdout[-3000:]
