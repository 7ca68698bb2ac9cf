"""What an operator may ask for: a call to somebody, with what is already known of them.

`read_order` reads the body of POST /calls, strictly: a misspelt field is an error and not silently ignored, for a call
cannot be taken back. All mistakes are reported at once in `OrderError`, each with its field and how to mend it.
"""

import difflib
from collections.abc import Iterator, Mapping

import attrs
import orjson

from agents.brief import Brief
from settings import Settings, is_phone_number

CONTEXT_FIELDS = tuple(field.name for field in attrs.fields(Brief) if field.name != "recent")
LONGEST = 1000


@attrs.frozen
class Problem:
    """One mistake in an order."""

    field: str
    problem: str
    fix: str


class OrderError(Exception):
    """The order cannot be carried out as it is written."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{one.field}: {one.problem}" for one in problems))
        self.problems = problems


@attrs.frozen
class Order:
    """A call to place: to whom, from which of our lines, and what is known of them."""

    to: str
    line: str
    context: Mapping[str, str]


def _unknown_fields(given: Mapping[str, object], known: tuple[str, ...], prefix: str) -> Iterator[Problem]:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            fix = f"Did you mean {near[0]}?" if near else f"Leave it out; the fields are {', '.join(known)}."
            yield Problem(prefix + name, "is not a field", fix)


def _context_problems(context: object) -> Iterator[Problem]:
    if not isinstance(context, dict):
        yield Problem("context", "is not an object", 'Write {"name": "John", "need": "retirement planning"}.')
        return
    yield from _unknown_fields(context, CONTEXT_FIELDS, "context.")
    for name, value in context.items():
        if name in CONTEXT_FIELDS and (not isinstance(value, str) or len(value) > LONGEST):
            yield Problem(f"context.{name}", f"is not a text of at most {LONGEST} characters", "Write a short text.")


def _to_problems(given: Mapping[str, object], settings: Settings) -> Iterator[Problem]:
    to = given.get("to", settings.lead_phone_number)
    if to is None and "to" not in given:
        yield Problem("to", "is missing", "Give the number to call in E.164, or set LEAD_PHONE_NUMBER.")
    elif not isinstance(to, str) or not is_phone_number(to):
        yield Problem("to", "is not a phone number in E.164", 'Write + and 7 to 15 digits: "+15557650000".')
    elif to == settings.twilio_phone_number:
        yield Problem("to", "is our own number", "Give the number of the person to call.")


def _problems(given: Mapping[str, object], settings: Settings) -> Iterator[Problem]:
    yield from _unknown_fields(given, ("to", "context"), "")
    yield from _to_problems(given, settings)
    if "context" in given:
        yield from _context_problems(given["context"])


def read_order(body: bytes, settings: Settings) -> Order:
    """Read the body of POST /calls; an empty body asks for a call to `LEAD_PHONE_NUMBER`.

    Raises: `OrderError`.
    """
    try:
        given = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as exc:
        raise OrderError((Problem("body", f"is not JSON: {exc}", 'Write {"to": "+15557650000"}.'),)) from exc
    if not isinstance(given, dict):
        raise OrderError((Problem("body", "is not an object", 'Write {"to": "+15557650000"}.'),))
    problems = tuple(_problems(given, settings))
    if problems:
        raise OrderError(problems)
    context = {name: value for name, value in given.get("context", {}).items() if value}
    return Order(str(given.get("to", settings.lead_phone_number)), settings.twilio_phone_number, context)
