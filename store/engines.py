"""Connections to the databases that the store knows, SQLite and PostgreSQL, with our patience.

A connection is opened for each use, is one transaction, and is closed after it. Statements are written as for
`store.orders.databases`. Nothing here knows a table. All of it blocks.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeAlias
from urllib.parse import unquote

import attrs

from store.orders.databases import BUSY_SECONDS, Execute, for_sqlite

if TYPE_CHECKING:
    from store.postgres import PostgresEngine

_URL = re.compile(r"(\w+)(?:\+\w+)?://(.*)", re.DOTALL)
"""Whatever driver a URL names: others need another event loop."""

Engine: TypeAlias = "SqliteEngine | PostgresEngine"


@attrs.frozen
class SqliteEngine:
    file: str
    patience: float = BUSY_SECONDS
    error: ClassVar[type[Exception]] = sqlite3.Error
    misfit: ClassVar[tuple[type[Exception], ...]] = (sqlite3.DataError, sqlite3.IntegrityError)
    """Raised for a row that the database will never take."""

    @property
    def name(self) -> str:
        return f"sqlite:///{self.file}"

    @contextmanager
    def connected(self, *, writes: bool = False) -> Iterator[Execute]:
        with closing(sqlite3.connect(self.file, timeout=self.patience, isolation_level=None)) as connection:
            self._ask_for_log(connection)
            connection.execute("PRAGMA secure_delete=ON")  # what is erased is overwritten with zeros
            connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            yield lambda sql, arguments: connection.execute(for_sqlite(sql), arguments)
            connection.commit()

    def _ask_for_log(self, connection: sqlite3.Connection) -> None:
        """Have a write-ahead log: a new file has to be turned over to it, and SQLite does not wait for that lock."""
        last_try = time.monotonic() + self.patience
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > last_try:
                    raise
                time.sleep(0.01)
            else:
                return


def engine_of(url: str) -> Engine:
    """Return the engine for a URL; of SQLite with the URL's own patience, if it has one.

    Raises: `ValueError` for a URL of anything else.
    """
    parsed = _URL.fullmatch(url)
    if parsed is None:
        raise ValueError("not a URL of a database: sqlite:///FILE or postgresql://USER@HOST/NAME")
    kind, rest = parsed.groups()
    if kind in {"postgresql", "postgres"}:
        # SQLite does without psycopg
        from store.postgres import PostgresEngine  # noqa: PLC0415

        return PostgresEngine(url)
    if kind != "sqlite":
        raise ValueError(f"{kind} is not a database this store knows: sqlite or postgresql")
    name, _, query = rest.partition("?")
    if not name.startswith("/") or name == "/":
        raise ValueError("an SQLite database needs a file: sqlite:///FILE")
    return SqliteEngine(unquote(name[1:]), float(query.removeprefix("timeout=") or BUSY_SECONDS))
