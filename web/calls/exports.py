"""How a campaign goes, and its results: a line for each number, with its calls and their records."""

import csv
import io
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import attrs
import orjson

from store.calls import readable_record
from store.orders.campaigns import Campaign, Count
from store.orders.queue import KeptOrder
from store.records import DO_NOT_CALL, CallRecord, record_as_json
from web.calls.campaigns import rules_of
from web.calls.context import AppContext
from web.calls.orders import CONTEXT_FIELDS

COLUMNS = ("line", "to", "state", "outcome", "calls", "call_sid", "started_at", "duration", "answered_by", "why")


@attrs.frozen
class Progress:
    """How a campaign goes. `eta_seconds` is for calls at its own pace, without hours in which nobody may be called."""

    numbers: int
    done: int
    calling: int
    waiting: int
    calls: int
    outcomes: Mapping[str, int]
    """Of the numbers that are done."""
    eta_seconds: float | None


def progress_of(campaign: Campaign, counts: Sequence[Count], now: float) -> Progress:
    outcomes, done, calling, waiting, calls = Counter[str](), 0, 0, 0, 0
    for count in counts:
        is_called = count.state != "waiting" and count.outcome != DO_NOT_CALL
        calls += count.attempts if is_called else count.attempts - count.numbers
        if count.state == "over":
            done += count.numbers
            outcomes[count.outcome] += count.numbers
        elif count.is_under_way:
            calling += count.numbers
        else:
            waiting += count.numbers
    left = waiting + calling
    rules = None if campaign.state == "canceled" else rules_of(campaign.rules)
    each = (now - campaign.created) / calls if calls else 0.0
    eta = None if rules is None else round(left * max(rules.gap, each), 1)
    return Progress(done + left, done, calling, waiting, calls, dict(sorted(outcomes.items())), eta)


async def as_csv(context: AppContext, campaign: Campaign) -> AsyncIterator[bytes]:
    """Go through the results as CSV: of each number's last call, with what was found out."""
    records, form = context.services.records, context.services.roster.extras.extract
    extracted = [field.name for field in attrs.fields(form)] if form else []
    found = (*(f"facts.{name}" for name in CONTEXT_FIELDS), *(f"extracted.{name}" for name in extracted))
    yield _csv_line((*COLUMNS, *found))
    async for order in _orders(context, campaign):
        calls = _calls(order)
        record = await readable_record(records, calls[-1]["call_sid"]) if calls else None
        facts = [(record.facts if record is not None else {}).get(name, "") for name in CONTEXT_FIELDS]
        fields = [(record.extracted if record is not None else {}).get(name, "") for name in extracted]
        yield _csv_line((*_columns(order, record), *facts, *fields))


async def as_jsonl(context: AppContext, campaign: Campaign) -> AsyncIterator[bytes]:
    """Go through the results as JSON, a line for each number, with the whole record of each of its calls."""
    async for order in _orders(context, campaign):
        calls = list[dict[str, object]]()
        for call in _calls(order):
            record = await readable_record(context.services.records, call["call_sid"])
            calls.append({**call, "record": None if record is None else record_as_json(record)})
        plain = {"line": order.line, "to": order.number, "state": order.state, "outcome": order.outcome}
        yield orjson.dumps({**plain, "why": order.why, "calls": calls}, option=orjson.OPT_APPEND_NEWLINE)


async def _orders(context: AppContext, campaign: Campaign) -> AsyncIterator[KeptOrder]:
    after = 0
    while orders := await context.campaigns.contacts(campaign.campaign, after):
        for order in orders:
            yield order
        after = orders[-1].line


def _calls(order: KeptOrder) -> Sequence[Mapping[str, str]]:
    """Return the calls there have been to a number, with their outcomes, and the one under way."""
    calls = [{"call_sid": str(one["call_sid"]), "outcome": str(one["outcome"])} for one in order.history]
    under_way = [{"call_sid": order.call_sid, "outcome": ""}] if order.state == "placed" else []
    return [call for call in (*calls, *under_way) if call["call_sid"]]


def _columns(order: KeptOrder, record: CallRecord | None) -> Sequence[object]:
    calls = _calls(order)
    of_record = (record.started_at, round(record.duration, 1), record.answered_by) if record else ("", "", "")
    last = calls[-1]["call_sid"] if calls else ""
    return (order.line, order.number, order.state, order.outcome, len(calls), last, *of_record, order.why)


def _csv_line(fields: Sequence[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(map(_cell, fields))  # with CRLF, as RFC 4180 has it: else a CR in a field is not quoted
    return text.getvalue().encode()


_FORMULA: Final = re.compile(r"[=@\t\r-]|\+(?![0-9]+\Z)")
"""The beginning of what is a formula to a spreadsheet; a phone number is none."""


def _cell(value: object) -> str | int | float:
    """Write lists and objects as JSON; what a spreadsheet would take for a formula is text to it."""
    cell = value if isinstance(value, str | int | float) else orjson.dumps(value).decode()
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
