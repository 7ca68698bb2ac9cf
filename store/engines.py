"""Connections to the databases that the store knows, SQLite and PostgreSQL, with our patience.

A connection is opened for each use, is one transaction, and is closed after it. Statements are written as for
`store.orders.databases`. Nothing here knows a table. All of it blocks.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeAlias
from urllib.parse import unquote

import attrs

from store.orders.databases import Execute, for_sqlite
from store.sqlite import open_sqlite

if TYPE_CHECKING:
    from store.postgres import PostgresEngine

_URL = re.compile(r"(\w+)(?:\+\w+)?://(.*)", re.DOTALL)
"""Whatever driver a URL names: others need another event loop."""

Engine: TypeAlias = "SqliteEngine | PostgresEngine"


@attrs.frozen
class SqliteEngine:
    file: str
    error: ClassVar[type[Exception]] = sqlite3.Error
    misfit: ClassVar[tuple[type[Exception], ...]] = (sqlite3.DataError, sqlite3.IntegrityError)
    """Raised for a row that the database will never take."""

    @property
    def name(self) -> str:
        return f"sqlite:///{self.file}"

    @contextmanager
    def connected(self, *, writes: bool = False) -> Iterator[Execute]:
        with closing(open_sqlite(self.file)) as connection:
            connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            yield lambda sql, arguments: connection.execute(for_sqlite(sql), arguments)
            connection.commit()


def engine_of(url: str) -> Engine:
    """Return the engine for a URL.

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
    if not rest.startswith("/") or rest == "/" or "?" in rest:
        raise ValueError("an SQLite database needs a file: sqlite:///FILE")
    return SqliteEngine(unquote(rest[1:]))
