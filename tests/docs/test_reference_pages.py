"""The reference pages show every type as it is, and a scenario's keys are those that its reader knows."""

import re
from typing import get_args

import pytest

from actors.facts import Fact
from simulators.scenario import (
    Caller,
    CallerLine,
    Human,
    ScenarioError,
    ScriptedAgent,
    ScriptedCall,
    ScriptedTurn,
    parse_scenario,
)
from tests.docs import references
from tests.docs.pages import PAGES, headings, page_text, quotes_in
from tests.docs.references import FACTS, PARTS, Part, facts_in, fields_of, parts_of_record, sentence_of

WHOLE = """
[caller]
[[caller.line]]
says = "Hello."
[agents.NAME]
[[agents.NAME.turn]]
hears = "hello"
[[agents.NAME.turn.calls]]
name = "look_up"
[human]
"""
"""A scenario with one of each table, and in each no more than it needs."""


@pytest.mark.parametrize("page", ["scenario", "record", "journal"])
def test_a_reference_page_is_fresh(page: str) -> None:
    name = f"docs/reference/{page}.md"
    (quote,) = quotes_in(page_text(name))

    assert name in PAGES
    assert quote.text == quote.wanted, "run: python -m tests.docs.requote"


@pytest.mark.parametrize("page", ["scenario", "record", "journal"])
def test_every_link_within_a_reference_page_leads_to_a_heading(page: str) -> None:
    text = page_text(f"docs/reference/{page}.md")

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings(text)


def test_every_fact_is_on_a_page() -> None:
    assert {fact for module in FACTS for fact in facts_in(module)} == set(get_args(Fact))


def test_every_type_has_a_sentence() -> None:
    kinds = [*(part.kind for part in PARTS), *parts_of_record(), *get_args(Fact)]

    assert [] == [kind.__name__ for kind in kinds if not sentence_of(kind)]


def test_every_key_of_a_scenario_has_a_sentence() -> None:
    shown = [(part, field) for part in PARTS for field in fields_of(part.kind) if part.key(field.name)]

    assert [] == [f"{part.kind.__name__}.{field.name}" for part, field in shown if not field.sentence]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.title)
def test_the_keys_of_a_table_are_those_that_its_reader_knows(part: Part) -> None:
    text = WHOLE.replace(part.header, f"{part.header}\nnonsense = 1", 1) if part.header else f"nonsense = 1{WHOLE}"

    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text)

    known = str(caught.value).partition("there are ")[2].split(", ")
    assert known == sorted(key for field in fields_of(part.kind) if (key := part.key(field.name)))


def test_what_may_be_left_out_is_what_the_page_says() -> None:
    scenario = parse_scenario(WHOLE)
    (agent,) = scenario.agents.values()
    (turn,) = agent.turns

    assert scenario.human == Human()
    assert scenario.caller == Caller(lines=(CallerLine(says="Hello."),))
    assert agent == ScriptedAgent("NAME", turns=(turn,))
    assert turn == ScriptedTurn("hello", calls=(ScriptedCall("look_up"),))
    assert parse_scenario("").caller == Caller()


@pytest.mark.parametrize("required", ['hears = "hello"\n', 'name = "look_up"'])
def test_a_key_that_the_page_calls_required_is(required: str) -> None:
    with pytest.raises(ScenarioError, match="is missing"):
        parse_scenario(WHOLE.replace(required, ""))

    assert references.scenario_file().count("| required |") == 2
