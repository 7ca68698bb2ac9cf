"""The rows of the tables can be reached, the rules end what they begin, and nothing here knows trio or a clock."""

import subprocess
import sys
from enum import Enum
from typing import get_args

import attrs
import pytest

from actors.policy import Deadlines
from actors.turn import effects, events
from actors.turn.rules import RULES, RULES_IN
from actors.turn.state import Phase
from actors.turn.tables import TABLES, Table
from tests.actors.turn.picture import name_of

ONLY_NOTED = {
    events.Signal.THINKING_SLOW,
    events.Signal.PLAYED,
    events.FunctionCancelled,
    events.Signal.SERVICE_THERE,
    events.Signal.SESSION_AGED,
    events.Signal.VOICE_BEGAN,
    events.Signal.KEY_PRESSED,
    events.Signal.PERSON_WANTED,
    events.Signal.PERSON_UNWANTED,
    events.RemarkMade,
    events.CloseAsked,
    events.InjectionWentOn,
    events.FunctionCancelled,
    events.Signal.TIME_PASSED,
}
"""No table names them: they leave something behind, and a rule acts on it."""


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.part)
def test_each_row_of_a_table_can_be_reached_and_changes_something(table: Table) -> None:
    for event, line in table.lines.items():
        assert set(line) <= set(table.states), name_of(event)
        for cell in line.values():
            assert all(row.when != "always" for row in cell[:-1])
            assert all(row.to is not None or row.actions for row in cell)


def test_each_event_is_in_a_table_or_only_noted() -> None:
    named = {event for table in TABLES for event in table.lines}
    everything = {*events.Signal, *get_args(events.Recognised)} - {events.Signal}

    assert named | ONLY_NOTED == everything
    assert not named & ONLY_NOTED


def test_every_value_says_who_sends_it_and_when() -> None:
    for value in [*get_args(events.Recognised), *get_args(effects.Effect)]:
        assert attrs.has(value) or issubclass(value, Enum)
        assert len(value.__doc__ or "") > 20, value.__name__


def test_each_rule_has_its_own_name_and_a_phase() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.phases for rule in RULES)
    assert RULES_IN[Phase.OVER] == ()


def test_nothing_here_imports_trio() -> None:
    code = "import sys, actors.turn.machine; sys.exit('trio' in sys.modules)"

    assert subprocess.call([sys.executable, "-c", code]) == 0  # noqa: S603


@pytest.mark.parametrize("budget", [float("inf"), 0.5])
def test_a_policy_that_leaves_a_caller_in_silence_is_refused(budget: float) -> None:
    with pytest.raises(ValueError, match="silence_budget"):
        Deadlines(silence_budget=budget)
