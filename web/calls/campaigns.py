"""The rules of a campaign: hours, pace, and how often a number is tried again after which outcome.

`read_rules` reads what an operator gives, strictly. `settle` decides, when a call of an order is over, whether its
number waits for another attempt: it is the one place that counts attempts, and notes the decision in the same statement
as the end of the call, so that no attempt is made twice or left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from store.json_text import OtherVersion
from store.orders.campaigns import CampaignStore
from store.orders.queue import KeptOrder, OrderQueue
from web.calls.calling_hours import CallingHours
from web.calls.orders import OrderProblem, new_order_id, unknown_fields

KINDS: Final[Mapping[str, str]] = {
    "busy": "busy",
    "no_answer": "no_answer",
    "machine": "machine",
    "voicemail_left": "voicemail",
    "failed": "failed",
}
"""For each outcome after which a number may be called again, the name of its rule."""
RETRIES = tuple(dict.fromkeys(KINDS.values()))
UNREAD = "another version of this program has written the rules: one that can read them goes on with it"
_NUMBERS = ("most_calls", "per_minute", "at_once")
RULES = ("hours", "days", "retry", *_NUMBERS)
MOST_TIMES, MOST_MINUTES, MOST_CALLS, MOST_PER_MINUTE = 10, 14 * 24 * 60, 20, 6000.0


@attrs.frozen
class RetryRule:
    """So many further attempts after an outcome, each so many minutes later at the earliest."""

    times: int
    minutes: float


USUAL: Final[Mapping[str, RetryRule]] = {
    "busy": RetryRule(2, 15),
    "no_answer": RetryRule(2, 240),
    "machine": RetryRule(1, 240),
}


@attrs.frozen
class CampaignRules:
    hours: CallingHours = attrs.field(factory=CallingHours)
    retry: Mapping[str, RetryRule] = attrs.field(factory=lambda: USUAL)
    most_calls: int = 3
    """To one number, whatever their outcomes."""
    per_minute: float = 60.0
    at_once: int = 1

    @property
    def gap(self) -> float:
        """Seconds from one call to the next."""
        return 60.0 / self.per_minute

    def written(self) -> dict[str, object]:
        hours, days = self.hours.written()
        retry = {kind: attrs.asdict(rule) for kind, rule in self.retry.items()}
        plain = {name: getattr(self, name) for name in _NUMBERS}
        return {"hours": hours, "days": days, "retry": retry, **plain}


def rules_of(kept: Mapping[str, object]) -> CampaignRules | None:
    """Read rules as they are kept; None for those of another version: one that is not known may forbid a call."""
    return None if set(kept) - set(RULES) else read_rules(kept, 1)[0]


def read_rules(given: Mapping[str, object], at_once: int) -> tuple[CampaignRules | None, tuple[OrderProblem, ...]]:
    """Read the rules in a request, with defaults for missing ones; `at_once` is the default of that name."""
    rules: Mapping[str, Any] = {**CampaignRules(at_once=at_once).written(), **given}
    if problems := tuple(_problems(rules)):
        return None, problems
    retry = {kind: RetryRule(**rule) for kind, rule in rules["retry"].items()}
    numbers = {name: rules[name] for name in _NUMBERS}
    return CampaignRules(CallingHours.read(str(rules["hours"]), str(rules["days"])), retry, **numbers), ()


def _problems(rules: Mapping[str, object]) -> Iterator[OrderProblem]:
    try:
        CallingHours.read(str(rules["hours"]), str(rules["days"]))
    except ValueError as wanted:
        yield OrderProblem("hours" if "hours as" in str(wanted) else "days", "is not understood", f"Write {wanted}.")
    yield from _number_problems("most_calls", rules["most_calls"], 1, MOST_CALLS)
    yield from _number_problems("at_once", rules["at_once"], 1, 100_000)
    yield from _number_problems("per_minute", rules["per_minute"], 0.01, MOST_PER_MINUTE, whole=False)
    retry = rules["retry"]
    if not isinstance(retry, dict):
        yield OrderProblem("retry", "is not an object", 'Write {"busy": {"times": 2, "minutes": 15}}.')
        return
    yield from unknown_fields(retry, RETRIES, "retry.")
    for kind in RETRIES:
        if kind in retry:
            yield from _retry_problems(f"retry.{kind}", retry[kind])


def _retry_problems(field: str, rule: object) -> Iterator[OrderProblem]:
    if not isinstance(rule, dict) or set(rule) != {"times", "minutes"}:
        yield OrderProblem(field, "is not times and minutes", 'Write {"times": 2, "minutes": 15}.')
        return
    yield from _number_problems(f"{field}.times", rule["times"], 0, MOST_TIMES)
    yield from _number_problems(f"{field}.minutes", rule["minutes"], 1, MOST_MINUTES, whole=False)


def _number_problems(
    field: str, value: object, least: float, most: float, *, whole: bool = True
) -> Iterator[OrderProblem]:
    is_of_kind = isinstance(value, int) or not whole
    if not isinstance(value, int | float) or isinstance(value, bool) or not (is_of_kind and least <= value <= most):
        named = "whole number" if whole else "number"
        yield OrderProblem(field, f"is not a {named} from {least:g} to {most:g}", "Write one, or leave it out.")


async def settle(orders: OrderQueue, order: KeptOrder, outcome: str, why: str = "") -> None:
    """End an order, or let its number wait for the next attempt that the campaign's rules allow.

    Raises: `OSError`; `OtherVersion` where a version that can read the rules has to.
    """
    if not order.campaign:
        await orders.over(order.order_id, outcome, why)
        return
    history = {"id": order.order_id, "call_sid": order.call_sid, "outcome": outcome}
    campaign = await CampaignStore(orders.database).find(order.campaign)
    kind = KINDS.get(outcome, "")
    may_retry = kind and campaign is not None and campaign.state != "canceled"
    rules = rules_of(campaign.rules) if campaign is not None and may_retry else CampaignRules(retry={})
    if rules is None:
        raise OtherVersion(UNREAD)
    had = sum(KINDS.get(str(one.get("outcome"))) == kind for one in order.history)
    rule = rules.retry.get(kind)
    if rule is None or had >= rule.times or order.attempt >= rules.most_calls:
        await orders.over(order.order_id, outcome, why, history)
        return
    now = await orders.now()
    opening = rules.hours.opening(now + rule.minutes * 60, order.zones)
    await orders.once_more(order, new_order_id(), (opening or now) - now, history, why)
