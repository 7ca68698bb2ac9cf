"""Answers to an order that a client gives: values, from the dispatcher to the routes."""

import secrets
from enum import Enum
from typing import TypeAlias

import attrs

from store.orders.queue import DoNotCall, SameKey
from web.calls.live_calls import KnownCall
from web.clients.twilio_api import LineError


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
    """Return an id for an order that nobody has, or can guess."""
    return f"OR{secrets.token_hex(12)}"


@attrs.frozen
class ClientKey:
    """A client's key for an order: `name` is unique for token and key, `digest` tells the orders apart."""

    name: str = ""
    digest: str = ""


NO_KEY = ClientKey()

OrderAnswer: TypeAlias = tuple[KnownCall, Taken] | NoLine | AlreadyRinging | SameKey | DoNotCall
