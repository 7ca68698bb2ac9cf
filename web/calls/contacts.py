"""The numbers of a campaign, read from CSV: all of them or none, with every bad line named.

The first line names the columns: `to`, the fields of a Brief (`name`, `need`, …), `time_zone`, `agents`, and
`metadata.` with a name of your own. Each line is checked as an order is; its number must be one that can be dialled,
and be within the calling hours at some time of the week wherever its callee may be. Ten thousand lines take seconds:
other tasks run in between.
"""

import csv
import difflib
import io
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module

import attrs
import orjson
import trio

from settings import Settings
from store.orders.campaigns import NewContact
from web.calls.campaigns import CallingHours, is_zone
from web.calls.orders import CONTEXT_FIELDS, LineProblem, Order, OrderError, new_order_id, read_order, written_order

COLUMNS = ("to", *CONTEXT_FIELDS, "time_zone", "agents")
METADATA = "metadata."
_OURS = frozenset({f"{METADATA}campaign", f"{METADATA}line"})
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
MOST_NUMBERS = 10_000
MOST_PROBLEMS = 1000
LINES_AT_ONCE = 10
"""Some milliseconds: audio goes out each 20."""
_LONGEST_FIELD = 5000


@attrs.frozen
class ContactReader:
    """Reads files for one campaign. `options` are fields of every order; `now` is in seconds since 1970."""

    settings: Settings
    first_agents: Collection[str]
    hours: CallingHours
    options: Mapping[str, object]
    now: float
    campaign: str = ""
    """Its name, which the records of its calls have in their metadata, with the line of the file."""

    async def read(self, text: str) -> Sequence[NewContact]:
        """Read a whole file. Raises: `OrderError`, with every mistake, `MOST_PROBLEMS` of them at most."""
        if "phonenumbers" not in sys.modules:
            alone = trio.CapacityLimiter(1)  # an import that hangs keeps no other work waiting
            await trio.to_thread.run_sync(import_module, "phonenumbers", limiter=alone, abandon_on_cancel=True)
        await trio.lowlevel.checkpoint()
        try:
            rows = _rows(text)
            columns = [name.strip() for name in next(rows, (1, []))[1]]
            if problems := list(_column_problems(columns)):
                raise OrderError(problems[:MOST_PROBLEMS])
            return await self._read_lines(columns, rows)
        except csv.Error as exc:
            raise OrderError([LineProblem(1, "csv", f"is not CSV: {exc}", _WHOLE_FIX)]) from exc

    async def _read_lines(self, columns: Sequence[str], rows: Iterator[tuple[int, list[str]]]) -> Sequence[NewContact]:
        found, problems, seen, count = list[NewContact](), list[LineProblem](), dict[str, int](), 0
        for line, row in rows:
            if len(problems) >= MOST_PROBLEMS or count > MOST_NUMBERS:
                break
            count += 1
            if count % LINES_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            read = list(self._line(line, columns, row, seen))
            problems += [one for one in read if isinstance(one, LineProblem)]
            found += [one for one in read if isinstance(one, NewContact)]
        problems = [*_count_problems(count), *problems]
        if problems:
            raise OrderError(problems[:MOST_PROBLEMS])
        return found

    def _line(
        self, line: int, columns: Sequence[str], row: Sequence[str], seen: dict[str, int]
    ) -> Iterator[NewContact | LineProblem]:
        if len(row) != len(columns):
            problem = f"has {len(row)} fields, and there are {len(columns)} columns"
            yield LineProblem(line, "line", problem, 'Write commas for empty fields, and "…" around one with commas.')
            return
        fields = {name: value.strip() for name, value in zip(columns, row, strict=True) if value.strip()}
        order = self._order(line, fields)
        problems = [*(() if isinstance(order, Order) else order), *_twice(line, fields, seen)]
        if isinstance(order, Order) and not problems:
            zones = _zones_of(fields)
            opening = self.hours.opening(self.now, zones) if zones else None
            problems = list(_zone_problems(line, fields, zones, opening))
            if opening is not None and not problems:
                yield NewContact(new_order_id(), line, order.to, zones, max(opening, 0.0), written_order(order))
        yield from problems

    def _body(self, line: int, fields: Mapping[str, str]) -> bytes:
        own = {name.removeprefix(METADATA): text for name, text in fields.items() if name.startswith(METADATA)}
        metadata = {"campaign": self.campaign, "line": line, **own}
        context = {name: text for name, text in fields.items() if name in CONTEXT_FIELDS}
        more = {"agents": fields["agents"]} if "agents" in fields else {}
        order = {"to": fields.get("to", ""), "context": context, "metadata": metadata, **self.options, **more}
        return orjson.dumps(order)

    def _order(self, line: int, fields: Mapping[str, str]) -> Order | Sequence[LineProblem]:
        try:
            order = read_order(self._body(line, fields), self.settings, self.first_agents)
        except OrderError as exc:
            named = ((one.field.removeprefix("context."), one.problem, one.fix) for one in exc.problems)
            return [LineProblem(line, *one) for one in named]
        if _is_possible(order.to):
            return order
        fix = "Check it: too short, too long, or of no country."
        return [LineProblem(line, "to", "is not a number that can be dialled", fix)]


_WHOLE_FIX = 'Save it as CSV in UTF-8, with commas: the first line "to,name,need", the next "+12125550123,John,".'


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Go through the lines that are not empty, with their numbers."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    begun = 1
    for row in reader:
        if any(field.strip() for field in row):
            yield begun, row  # which may have line breaks in its quotes
        begun = reader.line_num + 1
        if any(len(field) > _LONGEST_FIELD for field in row):
            raise csv.Error(f"line {reader.line_num} has a field of more than {_LONGEST_FIELD} characters")


def _not_csv(names: Sequence[str]) -> Iterator[LineProblem]:
    if not names:
        yield LineProblem(1, "csv", "is empty", _WHOLE_FIX)
    elif names[0].lower().startswith("sep="):
        yield LineProblem(1, "csv", "begins with a line for Excel", f"Take the line {names[0]} out.")
    elif len(names) == 1 and (found := next((sign for sign in _SEPARATORS if sign in names[0]), None)):
        yield LineProblem(1, "csv", f"has {_SEPARATORS[found]} between its fields", _WHOLE_FIX)


def _column_problems(names: Sequence[str]) -> Iterator[LineProblem]:
    if problems := list(_not_csv(names)):
        yield from problems
        return
    for name in names:
        if name in _OURS:
            yield LineProblem(1, name, "is what the campaign writes itself", "Give the column another name.")
        if name not in COLUMNS and not (name.startswith(METADATA) and len(name) > len(METADATA)):
            near = difflib.get_close_matches(name.lower(), COLUMNS, 1)
            fix = f"Did you mean {near[0]}?" if near else f"The columns are {', '.join(COLUMNS)}, {METADATA}NAME."
            yield LineProblem(1, name or "column", "is not a column", fix)
        if names.count(name) > 1:
            yield LineProblem(1, name, "is there more than once", "Leave one of them out.")
    if "to" not in names:
        yield LineProblem(1, "to", "is missing", "Name the column with the numbers to: to,name,need.")


def _count_problems(count: int) -> Iterator[LineProblem]:
    if count == 0:
        yield LineProblem(1, "csv", "has no numbers", _WHOLE_FIX)
    elif count > MOST_NUMBERS:
        fix = f"Write {MOST_NUMBERS} numbers at most; make several campaigns of more."
        yield LineProblem(1, "csv", f"has more than {MOST_NUMBERS} numbers", fix)


def _twice(line: int, fields: Mapping[str, str], seen: dict[str, int]) -> Iterator[LineProblem]:
    number = fields.get("to", "")
    if number in seen:
        yield LineProblem(line, "to", f"is also in line {seen[number]}", "Leave one of the two lines out.")
    elif number:
        seen[number] = line


def _zone_problems(
    line: int, fields: Mapping[str, str], zones: Sequence[str], opening: float | None
) -> Iterator[LineProblem]:
    if "time_zone" in fields and not is_zone(fields["time_zone"]):
        yield LineProblem(line, "time_zone", "is not a time zone", "Write a name such as America/New_York.")
    elif not zones:
        yield LineProblem(line, "to", "does not tell a time zone", "Add a column time_zone, such as America/New_York.")
    elif opening is None:
        problem = f"may be in {len(zones)} time zones, and is never within the hours in all of them"
        yield LineProblem(line, "to", problem, "Add a column time_zone, such as America/New_York.")


def _zones_of(fields: Mapping[str, str]) -> Sequence[str]:
    if (given := fields.get("time_zone")) is not None:
        return (given,) if is_zone(given) else ()
    # 1 MB and a fifth of a second, which a server without campaigns does without
    from phonenumbers import parse, timezone  # noqa: PLC0415

    return tuple(zone for zone in timezone.time_zones_for_number(parse(fields["to"])) if is_zone(zone))


def _is_possible(number: str) -> bool:
    from phonenumbers import NumberParseException, is_possible_number, parse  # noqa: PLC0415

    try:
        return is_possible_number(parse(number))
    except NumberParseException:
        return False
