"""How often a number is called again after which outcome, and when."""

import pytest

from store.databases import SqliteDatabase
from store.orders.campaigns import CampaignStore, NewContact
from store.orders.queue import OrderQueue
from web.calls.campaigns import USUAL, CampaignRules, read_rules, rules_of, settle

NOON = 1_796_058_000.0
"""A Monday in New York."""
ALWAYS: dict[str, object] = {"hours": "00:00-24:00", "days": "mon-sun"}


async def called(outcomes: list[str], rules: dict[str, object], state: str = "running") -> list[tuple[str, float]]:
    """Let calls to one number end so; return how its order stands after each, and in how many seconds it is due."""
    queue = OrderQueue(SqliteDatabase(now=lambda: NOON))
    store = CampaignStore(queue.database)
    one = NewContact("OR1", 2, "+12125550123", ("America/New_York",), 0.0, {})
    await store.create("c1", "spring", [one], rules, state)
    stood = []
    for outcome in outcomes:
        (order,) = await store.contacts("c1")
        await settle(queue, order, outcome)
        ((status, due),) = await queue.database.ask("SELECT state, not_before - :now FROM orders", {})
        stood.append((str(status), float(str(due))))
    return stood


async def states(outcomes: list[str], **rules: object) -> list[str]:
    return [state for state, _ in await called(outcomes, {**ALWAYS, **rules})]


@pytest.mark.parametrize(
    ("outcomes", "last"),
    [
        (["completed"], "over"),
        (["unknown"], "over"),
        (["do_not_call"], "over"),
        (["failed"], "over"),
        (["voicemail_left"], "over"),
        (["busy"], "waiting"),
        (["busy", "busy"], "waiting"),
        (["busy", "busy", "busy"], "over"),
        (["machine"], "waiting"),
        (["machine", "machine"], "over"),
        (["no_answer", "busy"], "waiting"),
        (["no_answer", "busy", "machine"], "over"),  # three calls are enough
    ],
)
async def test_by_the_usual_rules(outcomes: list[str], last: str) -> None:
    assert (await states(outcomes))[-1] == last


async def test_each_outcome_has_its_own_count() -> None:
    rules = {"busy": {"times": 1, "minutes": 1}, "no_answer": {"times": 2, "minutes": 1}}

    told = await states(["busy", "no_answer", "no_answer", "busy"], retry=rules, most_calls=9)

    assert told == ["waiting", "waiting", "waiting", "over"]


async def test_the_next_attempt_is_after_the_minutes_of_the_rule_and_within_the_hours() -> None:
    retry = {"busy": {"times": 5, "minutes": 90}}

    assert await called(["busy"], {**ALWAYS, "retry": retry}) == [("waiting", 90 * 60.0)]
    later = await called(["busy"], {"hours": "09:00-12:30", "days": "mon-fri", "retry": retry})
    assert later == [("waiting", 21 * 3600.0)]


async def test_after_a_cancel_there_is_no_other_attempt() -> None:
    assert [state for state, _ in await called(["busy"], ALWAYS, "canceled")] == ["over"]


def test_rules_are_read_as_they_are_written() -> None:
    rules, problems = read_rules({"most_calls": 5, "retry": {"busy": {"times": 1, "minutes": 2}}}, 7)

    assert rules is not None
    assert problems == ()
    assert rules_of(rules.written()) == rules
    assert (rules.most_calls, rules.at_once, rules.gap) == (5, 7, 1.0)
    plain = rules_of({})
    assert plain is not None
    assert plain.retry == CampaignRules().retry == USUAL


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"hours": "9-17"}, "hours"),
        ({"days": "weekdays"}, "days"),
        ({"most_calls": 0}, "most_calls"),
        ({"most_calls": 2.5}, "most_calls"),
        ({"most_calls": True}, "most_calls"),
        ({"at_once": 0}, "at_once"),
        ({"per_minute": 0}, "per_minute"),
        ({"per_minute": "many"}, "per_minute"),
        ({"retry": []}, "retry"),
        ({"retry": {"bussy": {"times": 1, "minutes": 1}}}, "retry.bussy"),
        ({"retry": {"busy": {"times": 1}}}, "retry.busy"),
        ({"retry": {"busy": {"times": 11, "minutes": 1}}}, "retry.busy.times"),
        ({"retry": {"busy": {"times": 1, "minutes": 0}}}, "retry.busy.minutes"),
    ],
)
def test_a_rule_that_is_none_is_named_with_its_fix(given: dict[str, object], field: str) -> None:
    rules, problems = read_rules(given, 1)

    assert rules is None
    assert [one.field for one in problems] == [field]
    assert all(one.fix for one in problems)
