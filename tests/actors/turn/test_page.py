"""The page about turn-taking shows the tables, and what becomes of the hard cases, as they are today."""

from pathlib import Path

from tests.actors.turn.cases import with_cases
from tests.actors.turn.picture import with_picture

PAGE = Path(__file__).parents[3] / "docs" / "turns.md"


def test_the_page_shows_the_tables_and_the_rules_of_today() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_picture(page), "run: python -m tests.docs.requote"


def test_the_page_shows_what_becomes_of_the_hard_cases_today() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_cases(page), "run: python -m tests.docs.requote"
