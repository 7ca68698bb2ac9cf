"""Asks the database for slots: a free one, one that has lapsed, and one for a call that runs without.

Functions of one statement or a few; they keep nothing.
"""

from contextlib import suppress

import attrs
import orjson
import psycopg
import trio

from store.fleet import statements
from store.fleet.driver import Arguments, Database
from store.fleet.shared import LiveCall

LOCKED_SECONDS = (0.003, 0.006)
"""After these, "full" is asked again: a slot that is locked at this moment looks taken."""


async def ask_for_slot(database: Database, sql: str, arguments: Arguments) -> bool:
    """Ask for a slot; where there seems to be none, once more after those that have lapsed are free.

    Raises: `FleetUnavailable`; `psycopg.IntegrityError` to a worker that was declared dead.
    """
    if await ask_once(database, sql, arguments):
        return True
    await free_lapsed(database)
    for pause in LOCKED_SECONDS:
        if await ask_once(database, sql, arguments):
            return True
        await trio.sleep(pause)
    return await ask_once(database, sql, arguments)


async def ask_once(database: Database, sql: str, arguments: Arguments) -> bool:
    """Ask for a slot; the answer is that of the request that came first. Raises as `ask_for_slot` does."""
    try:
        return bool(await database.ask(sql, arguments))
    except psycopg.errors.UniqueViolation:  # the same call was let in by another request at this moment
        return bool(await database.ask(sql, arguments))


async def free_lapsed(database: Database) -> None:
    """Free the slots for which nobody came, and seat who runs without one. Raises: `FleetUnavailable`."""
    await database.ask(statements.LAPSE)
    await seat(database)


async def seat(database: Database) -> None:
    """Give free slots to calls that run without one. Raises: `FleetUnavailable`."""
    with suppress(psycopg.IntegrityError):  # another worker has seated the same call at this moment
        await database.ask(statements.SEAT)


def about_of(call: LiveCall) -> str:
    plain = attrs.asdict(call, filter=lambda field, _: field.name != "worker")
    return orjson.dumps(plain).decode()
