"""Costs of a call, by a table of prices that the operator writes; without one there are none.

`read_prices` reads the table, `costs_of` multiplies. Prices change and differ by contract, so none stands in the code.
"""

import math
import tomllib
from collections.abc import Mapping

import attrs

from store.records import CallRecord

SECONDS, CHARACTERS = 60.0, 1000.0
DEAREST = 1e9


@attrs.frozen
class Prices:
    """The operator's prices, in one currency; what has no price is not counted."""

    currency: str
    line_inbound_minute: float | None = None
    """Of the phone line, for each minute that has begun, while a person talks, too; theirs is an outbound one."""
    line_outbound_minute: float | None = None
    agent_minute: float | None = None
    """Of the voice agent service, by the second."""
    speech_1000_characters: float | None = None
    brief: float | None = None
    """Of one request for a Brief."""


def read_prices(text: str) -> Prices:
    """Read a table of prices from TOML. Raises: `ValueError`, with the line or the name that is wrong."""
    try:
        table: Mapping[str, object] = tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError as exc:
        raise ValueError("too many brackets within one another") from exc
    names = {field.name for field in attrs.fields(Prices)}
    if unknown := sorted(table.keys() - names):
        raise ValueError(f"{unknown[0]} is none of {', '.join(sorted(names))}")
    currency = table.get("currency")
    if not isinstance(currency, str) or not 0 < len(currency) <= 8:
        raise ValueError('currency is missing: write currency = "USD"')
    return Prices(currency, **{name: _price(name, value) for name, value in table.items() if name != "currency"})


def _price(name: str, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= DEAREST:  # type: ignore[operator]
        raise ValueError(f"{name} is no price: write a number that is not negative")
    return float(value)  # type: ignore[arg-type]


def costs_of(record: CallRecord, prices: Prices) -> Mapping[str, float]:
    """Return what each part of a call costs; parts without a price are left out."""
    used, transfers = record.usage, [one for one in record.transfers if one.talked]
    line = prices.line_outbound_minute if record.direction == "outbound" else prices.line_inbound_minute
    seconds = max([record.duration, *(one.asked_at + one.talked for one in transfers)])
    parts = {
        "line": (line if record.line else None, math.ceil(seconds / SECONDS)),  # a page's call has none
        "person": (
            prices.line_outbound_minute if transfers else None,
            sum(math.ceil(one.talked / SECONDS) for one in transfers),
        ),
        "agents": (prices.agent_minute, sum(used.agent_seconds.values()) / SECONDS),
        "speech": (prices.speech_1000_characters, used.spoken_characters / CHARACTERS),
        "briefs": (prices.brief, float(used.summaries)),
    }
    return {name: price * amount for name, (price, amount) in parts.items() if price is not None}
