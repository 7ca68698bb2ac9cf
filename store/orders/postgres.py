"""Orders in the PostgreSQL that workers share. Only a worker that shares one imports this: psycopg takes 9 MB."""

import re
from functools import lru_cache
from typing import Protocol

import attrs
import psycopg

from store.orders.databases import Arguments, Conflict, Rows


class AsksPostgres(Protocol):
    """A PostgreSQL with the tables of the fleet (`store.fleet.driver.Database`)."""

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        """Run one statement and return its rows.

        Raises: `FleetUnavailable`; `psycopg.IntegrityError`.
        """
        ...


@lru_cache(maxsize=200)
def _for_postgres(sql: str) -> str:
    plain = sql.format(
        now="extract(epoch FROM clock_timestamp())::double precision",
        skip="FOR UPDATE SKIP LOCKED",
        texts="SELECT json_array_elements_text(CAST(:texts AS json))",
        rows="json_array_elements(CAST(:rows AS json)) AS listed (value)",
    )
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", plain)


@attrs.frozen
class PostgresOrders:
    """Orders in the PostgreSQL that workers share; the fleet makes the tables."""

    database: AsksPostgres

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        """Run one statement, as one transaction, and return its rows.

        Raises: `FleetUnavailable`; `Conflict`.
        """
        try:
            return await self.database.ask(_for_postgres(sql), arguments)
        except psycopg.IntegrityError as exc:
            raise Conflict(str(exc)) from exc
