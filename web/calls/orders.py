"""Orders of calls, as the API for operators takes them: read, checked, kept until the call is here, and answered.

`read_order` reads the body of POST /calls, strictly: a misspelt field is an error and not silently ignored, for a call
cannot be taken back. All mistakes are reported at once in `OrderError`, each with its field and how to mend it.
"""

import difflib
import math
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import Any, TypeAlias

import attrs
import orjson
import structlog

from actors.policy import OnMachine
from agents.brief import Brief
from protocol.fields import hidden_in, names_twice
from protocol.phone_numbers import is_phone_number
from settings import Settings
from store.json_text import OtherVersion, known_fields
from store.orders.queue import DoNotCall, OrderQueue, SameKey
from web.calls.live_calls import KnownCall
from web.clients.twilio import CallOptions, LineError

_log = structlog.stdlib.get_logger()

CONTEXT_FIELDS = tuple(field.name for field in attrs.fields(Brief) if field.name != "recent")
FIELDS = ("to", "context", "machine_detection", "time_limit", "record", "agents", "metadata")
LONGEST = 1000
LARGEST_METADATA, DEEPEST_METADATA = 4096, 8


SHORTEST_CALL = 30
_SPARE_SECONDS = 120
"""Twilio's own limit lies so far behind ours, which has a warning and a goodbye."""


@attrs.frozen
class OrderProblem:
    field: str
    problem: str
    fix: str


@attrs.frozen
class LineProblem:
    """One mistake in a file of orders; line 1 has the columns."""

    line: int
    field: str
    problem: str
    fix: str


class OrderError(Exception):
    """An order, a command or a campaign cannot be carried out as it is written."""

    def __init__(self, problems: Sequence[OrderProblem | LineProblem]) -> None:
        super().__init__("; ".join(f"{one.field}: {one.problem}" for one in problems))
        self.problems = tuple(problems)


@attrs.frozen
class Order:
    """A call to place: callee, our number, and facts that are known already."""

    to: str
    line: str
    context: Mapping[str, str]
    on_machine: OnMachine = attrs.field(default=OnMachine.HANG_UP, converter=OnMachine)
    time_limit: int | None = None
    record: bool = False
    agents: str = ""
    metadata: Mapping[str, object] = attrs.field(factory=dict[str, object])

    @property
    def options(self) -> CallOptions:
        return CallOptions(
            detects_machines=self.on_machine is not OnMachine.OFF,
            time_limit=None if self.time_limit is None else self.time_limit + _SPARE_SECONDS,
            records=self.record,
        )

    @property
    def admitted(self) -> Mapping[str, Any]:
        """Return the part of it that the admission of its call has."""
        kept = {name: getattr(self, name) for name in ("context", "time_limit", "agents", "metadata")}
        return {**kept, "voicemail": None if self.on_machine is OnMachine.VOICEMAIL else ""}


def unknown_fields(given: Mapping[str, object], known: tuple[str, ...], prefix: str) -> Iterator[OrderProblem]:
    """Go through the fields that are none, each with the one that may be meant."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            fix = f"Did you mean {near[0]}?" if near else f"Leave it out; the fields are {', '.join(known)}."
            yield OrderProblem(prefix + name, "is not a field", fix)


def _context_problems(context: object) -> Iterator[OrderProblem]:
    if not isinstance(context, dict):
        yield OrderProblem("context", "is not an object", 'Write {"name": "John", "need": "retirement planning"}.')
        return
    yield from unknown_fields(context, CONTEXT_FIELDS, "context.")
    for name, value in context.items():
        if name in CONTEXT_FIELDS and (not isinstance(value, str) or len(value) > LONGEST):
            yield OrderProblem(
                f"context.{name}", f"is not a text of at most {LONGEST} characters", "Write a short text."
            )


def _to_problems(given: Mapping[str, object], settings: Settings) -> Iterator[OrderProblem]:
    to = given.get("to", settings.lead_phone_number)
    if to is None and "to" not in given:
        yield OrderProblem("to", "is missing", "Give the number to call in E.164, or set LEAD_PHONE_NUMBER.")
    elif not isinstance(to, str) or not is_phone_number(to):
        hidden = hidden_in(to) if isinstance(to, str) else ""
        fix = hidden or 'Write + and 7 to 15 digits: "+15557650000".'
        yield OrderProblem("to", "is not a phone number in E.164", fix)
    elif to == settings.twilio_phone_number:
        yield OrderProblem("to", "is our own number", "Give the number of the person to call.")


def _machine_problems(given: Mapping[str, object], settings: Settings) -> Iterator[OrderProblem]:
    wanted = given.get("machine_detection", OnMachine.OFF.value)
    choices = [one.value for one in OnMachine]
    if wanted not in choices:
        yield OrderProblem(
            "machine_detection", f"is not one of {', '.join(choices)}", "Write one of them, or leave it out."
        )
    elif wanted == OnMachine.VOICEMAIL.value and not settings.voicemail_message:
        yield OrderProblem("machine_detection", "needs a message to leave", "Set VOICEMAIL_MESSAGE, or write hang_up.")


def _limit_problems(given: Mapping[str, object], settings: Settings) -> Iterator[OrderProblem]:
    limit, longest = given["time_limit"], settings.max_call_seconds
    most = 7000 if math.isinf(longest) else int(longest)
    if isinstance(limit, bool) or not isinstance(limit, int) or not SHORTEST_CALL <= limit <= most:
        allowed = "" if math.isinf(longest) else "; MAX_CALL_SECONDS allows no more"
        fix = f"Write a whole number from {SHORTEST_CALL} to {most}, or leave it out{allowed}."
        yield OrderProblem("time_limit", f"is not a number of seconds from {SHORTEST_CALL} to {most}", fix)


def _agents_problems(given: Mapping[str, object], first_agents: Collection[str]) -> Iterator[OrderProblem]:
    chosen = given.get("agents", "")
    if "agents" in given and (not isinstance(chosen, str) or chosen not in first_agents):
        names = ", ".join(sorted(first_agents))
        yield OrderProblem("agents", "is no agent that there is", f"Write the agent that begins the call: {names}.")


def _metadata_problems(metadata: object) -> Iterator[OrderProblem]:
    if not isinstance(metadata, dict):
        yield OrderProblem("metadata", "is not an object", 'Write {"order": "A-17"}.')
    elif _depth(metadata) > DEEPEST_METADATA:
        yield OrderProblem("metadata", f"is more than {DEEPEST_METADATA} levels deep", "Write it flatter.")
    elif len(orjson.dumps(metadata)) > LARGEST_METADATA:
        yield OrderProblem("metadata", f"takes more than {LARGEST_METADATA} bytes", "Write a key, and keep the rest.")


def _depth(value: object) -> int:
    """Count levels of lists and objects in one another, no further than too many."""
    deepest, level = 0, [value]
    while level and deepest <= DEEPEST_METADATA:
        inner = [one for one in level if isinstance(one, dict | list)]
        level = [each for one in inner for each in (one.values() if isinstance(one, dict) else one)]
        deepest += bool(inner)
    return deepest


def _problems(given: Mapping[str, object], settings: Settings, first_agents: Collection[str]) -> Iterator[OrderProblem]:
    yield from unknown_fields(given, FIELDS, "")
    yield from _to_problems(given, settings)
    if "context" in given:
        yield from _context_problems(given["context"])
    yield from _machine_problems(given, settings)
    if "time_limit" in given:
        yield from _limit_problems(given, settings)
    if not isinstance(given.get("record", False), bool):
        yield OrderProblem("record", "is not true or false", "Write true for a recording at Twilio, or leave it out.")
    yield from _agents_problems(given, first_agents)
    yield from _metadata_problems(given.get("metadata", {}))


def object_of(body: bytes, fix: str) -> dict[str, Any]:
    """Read the JSON object in a request's body; an empty body is an empty object. Raises: `OrderError`."""
    try:
        given = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as exc:
        raise OrderError((OrderProblem("body", f"is not JSON: {exc}", fix),)) from exc
    if not isinstance(given, dict):
        raise OrderError((OrderProblem("body", "is not an object", fix),))
    if twice := names_twice(body):
        raise OrderError([OrderProblem(name, "is there more than once", "Write it once.") for name in twice])
    return given


def read_order(body: bytes, settings: Settings, first_agents: Collection[str] = ()) -> Order:
    """Read the body of POST /calls; an empty body asks for a call to `LEAD_PHONE_NUMBER`.

    `first_agents` are the names by which an order may choose the agent that begins.

    Raises: `OrderError`.
    """
    given = object_of(body, 'Write {"to": "+15557650000"}.')
    problems = tuple(_problems(given, settings, first_agents))
    if problems:
        raise OrderError(problems)
    context = {name: value for name, value in given.get("context", {}).items() if value}
    usual = OnMachine.VOICEMAIL if settings.voicemail_message else OnMachine.HANG_UP
    return Order(
        str(given.get("to", settings.lead_phone_number)),
        settings.twilio_phone_number,
        context,
        OnMachine(given.get("machine_detection", usual.value)),
        given.get("time_limit"),
        given.get("record", False),
        given.get("agents", ""),
        given.get("metadata", {}),
    )


async def kept_order(queue: OrderQueue, name: str) -> Order | None:
    """Return what was ordered, by the id of the order or its CallSid; None if that is not known, or cannot be read.

    Of the latter the log tells: its call has neither context nor a rule for machines.
    """
    try:
        kept = await queue.find(name)
        return known_fields(Order, kept.body) if kept is not None else None
    except (OSError, OtherVersion) as exc:
        _log.warning("order_unread", id=name, why=str(exc))
        return None


def written_order(order: Order) -> dict[str, object]:
    return {**attrs.asdict(order), "on_machine": order.on_machine.value}


@attrs.frozen
class Placed:
    """Twilio has the call."""


@attrs.frozen
class Waiting:
    """The order waits for its turn, so many seconds."""

    seconds: float


@attrs.frozen
class InDoubt:
    """Twilio did not answer; whether it has the call is being found out."""

    why: str


@attrs.frozen
class Refused:
    """Twilio did not take it."""

    error: LineError


Taken: TypeAlias = Placed | Waiting | InDoubt | Refused


class Lack(Enum):
    """Why an order is not taken."""

    DRAINING = "draining"
    FULL = "full"
    QUEUE = "queue"
    DATABASE = "database"
    REFUSED = "database_refused"


@attrs.frozen
class NoLine:
    """There is no room for the order now, but perhaps after so many seconds."""

    lack: Lack
    seconds: float


@attrs.frozen
class AlreadyRinging:
    """Our last call to this number is on its way still."""

    call: KnownCall | None
    """None while another request is ordering it."""


def new_order_id() -> str:
    return f"OR{secrets.token_hex(12)}"


LONGEST_KEY = 255


@attrs.frozen
class ClientKey:
    """A client's key for an order: `name` is unique for token and key, `digest` tells the orders apart."""

    name: str = ""
    digest: str = ""

    @classmethod
    def of(cls, key: str, token: str, body: bytes) -> "ClientKey":
        """Make the key of an order. Its body has been checked."""
        plain = orjson.dumps(orjson.loads(body.strip() or b"{}"), option=orjson.OPT_SORT_KEYS)
        return cls(f"{sha256(token.encode()).hexdigest()} {key}", sha256(plain).hexdigest())


NO_KEY = ClientKey()

OrderAnswer: TypeAlias = tuple[KnownCall, Taken] | NoLine | AlreadyRinging | SameKey | DoNotCall
