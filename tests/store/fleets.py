"""Workers of a fleet, without the rest of the server."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from store.fleet.driver import Database
from store.fleet.postgres import PostgresFleet
from store.fleet.shared import Fleet, LiveCall


def call(key: str, **more: str) -> LiveCall:
    """A running call whose key is its CallSid."""
    return attrs.evolve(LiveCall(key, key, "MZ1", "inbound", "+15557650000", "+15551230000", "2026-11-22"), **more)


async def catch_up(fleet: Fleet) -> None:
    """Have what was given up here be given up in the database."""
    if isinstance(fleet, PostgresFleet):
        await fleet.beat()


@attrs.define
class Workers:
    """Makes workers on one PostgreSQL."""

    url: str
    opened: list[Database] = attrs.field(factory=list)

    def database(self) -> Database:
        """Connections of a worker, on tables that are there."""
        database = Database(self.url)
        database.is_ready = True
        self.opened.append(database)
        return database

    async def join(self, max_calls: int, worker: str = "w1") -> PostgresFleet:
        """A worker that the database knows."""
        fleet = PostgresFleet(max_calls, self.database(), worker=worker, patience=0.05)
        await fleet.beat()
        return fleet

    def close(self) -> None:
        """Close every connection."""
        for database in self.opened:
            database.close()


@contextmanager
def hidden(database: Database) -> Iterator[None]:
    """Lose the database."""
    reached = database.conninfo
    database.conninfo = "host=/nowhere/at/all"
    database.close()
    try:
        yield
    finally:
        database.conninfo = reached
