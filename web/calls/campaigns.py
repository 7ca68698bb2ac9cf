"""The rules of a campaign: hours, pace, and how often a number is tried again after which outcome.

`read_rules` reads what an operator gives, strictly. `settle` decides, when a call of an order is over, whether its
number waits for another attempt: it is the one place that counts attempts, and notes the decision in the same statement
as the end of the call, so that no attempt is made twice or left out.

A number may lie in several time zones (a country's mobile numbers, a toll-free one): it is called when it is within the
`CallingHours` in all of them, by the time zone database of the machine or of the package `tzdata`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs

from store.json_text import OtherVersion
from store.orders.campaigns import CampaignStore
from store.orders.queue import KeptOrder, OrderQueue
from web.calls.orders import OrderProblem, new_order_id, unknown_fields

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FAR = 9
"""Days to look ahead: a week, and the days at its two ends."""


@attrs.frozen
class CallingHours:
    """From `begins` to `ends` of each of these days (0 is Monday)."""

    begins: time = time(9)
    ends: time = time(20)
    days: Sequence[int] = (0, 1, 2, 3, 4)

    @classmethod
    def read(cls, hours: str, days: str) -> "CallingHours":
        """Read "09:00-20:00" and "mon-fri,sun".

        Raises: `ValueError`, which says what to write.
        """
        found = re.fullmatch(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})", hours.strip())
        try:
            begins, ends = (time(int(found[1]), int(found[2])), _end(found[3], found[4])) if found else (None, None)
        except ValueError:
            begins = ends = None
        if begins is None or ends is None or begins >= ends:
            raise ValueError("hours as 09:00-20:00, from and to, on one day")
        return cls(begins, ends, _days(days))

    def written(self) -> tuple[str, str]:
        ends = "24:00" if self.ends == time.max else f"{self.ends:%H:%M}"
        return f"{self.begins:%H:%M}-{ends}", ",".join(DAYS[day] for day in self.days)

    def opening(self, now: float, zones: Sequence[str]) -> float | None:
        """Return the first moment from `now` on (seconds since 1970) within the hours in every zone.

        None where there is none within a week: the zones are too far apart.
        """
        moment, last = now, now + _FAR * 86_400
        while moment <= last:
            later = max((self._opening(moment, _zone(name)) for name in zones), default=moment)
            if later == moment:
                return moment
            moment = later
        return None

    def _opening(self, now: float, zone: ZoneInfo) -> float:
        local = datetime.fromtimestamp(now, zone)
        if local.weekday() in self.days and self.begins <= local.time() < self.ends:
            return now
        ahead = (local.date() + timedelta(days=days) for days in range(_FAR))
        opening = (datetime.combine(day, self.begins, zone) for day in ahead if day.weekday() in self.days)
        moments = (opens.astimezone(UTC).timestamp() for opens in opening)
        return next(moment for moment in moments if moment > now)


def _end(hour: str, minute: str) -> time:
    return time.max if (hour, minute) == ("24", "00") else time(int(hour), int(minute))


def _days(text: str) -> Sequence[int]:
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise ValueError("days as mon-fri or mon,wed,sat")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return tuple(sorted(found))


@lru_cache(maxsize=500)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def is_zone(name: str) -> bool:
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):  # not there, no name at all, or the name of a folder
        return False
    return "/" in name or name == "UTC"


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
