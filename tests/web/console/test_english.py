"""The English texts of the pages: all in one place, and none that a template cannot reach."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from actors.facts import SessionConnecting
from tests.web.console.visitors import signed_in
from tests.web.fakes import exchange
from web.console import rendering
from web.console.rendering import TEXT

PAGES = Path(rendering.__file__).parent
TABLES = {name: table for name, table in vars(rendering).items() if isinstance(table, Mapping) and name.isupper()}
IN_TEMPLATES = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}|<!doctype html>|<[^>]*>", re.DOTALL)
READ_ALOUD = re.compile(r'\b(?:aria-label|alt|title|placeholder)="([^"{]*)"')
IN_MODULES = re.compile(r"//[^\n]*|/\*.*?\*/|\"use strict\"", re.DOTALL)
STRINGS = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'|`([^`]*)`")
UNITS = {"s"}


@pytest.mark.parametrize("name", TABLES)
def test_no_text_has_the_name_of_something_that_a_table_can_do(name: str) -> None:
    """A template that wrote `t.clear` would show a method of the dictionary."""
    assert not set(TABLES[name]) & set(dir(dict))


async def test_the_way_back_from_filters_has_its_name() -> None:
    page = await signed_in(exchange()).ask("GET", "/?q=sale")

    assert f'href="/">{TEXT["clear_filters"]}</a>' in page.text


@pytest.mark.parametrize("template", sorted(PAGES.glob("templates/*.html")), ids=lambda path: path.name)
def test_a_template_has_no_words_of_its_own(template: Path) -> None:
    text = template.read_text()
    words = re.findall(r"[A-Za-z]+", " ".join([IN_TEMPLATES.sub(" ", text), *READ_ALOUD.findall(text)]))

    assert set(words) <= UNITS


@pytest.mark.parametrize("module", sorted(PAGES.glob("static/**/*.js")), ids=lambda path: path.name)
def test_a_module_has_no_sentence_of_its_own(module: Path) -> None:
    text = IN_MODULES.sub(" ", module.read_text())
    found = ["".join(parts) for parts in STRINGS.findall(text)]

    assert [one for one in found if re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", one)] == []


def test_every_reason_for_a_session_has_its_words_on_the_live_page() -> None:
    reasons = re.findall(r"[a-z]+", str(SessionConnecting.__doc__).partition("`why`:")[2])

    assert len(reasons) > 3
    assert set(reasons) - {"or"} <= set(rendering.LIVE)
