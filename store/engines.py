"""SQLAlchemy's engines for the databases that the store knows, SQLite and PostgreSQL, with our patience.

A connection is opened for each use and closed after it. Nothing here knows a table.
"""

import time
from collections.abc import Mapping
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError as SqliteOperationalError

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

BUSY_SECONDS = 2.0
"""How long SQLite waits for another writer (its `busy_timeout`)."""
STATEMENT_SECONDS = 5
"""How long PostgreSQL may work on, or wait for, one statement."""
CONNECT_SECONDS = 3
_SQLITE_PATIENCE: Mapping[str, object] = {"timeout": BUSY_SECONDS, "isolation_level": None}
_POSTGRES_PATIENCE: Mapping[str, object] = {
    "application_name": "switchboard",
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": STATEMENT_SECONDS * 1000,
}
_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
"""Whatever driver a URL names: others need another event loop."""


def _parse_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise ValueError("not a URL of a database: sqlite:///FILE or postgresql://USER@HOST/NAME") from exc
    backend = "postgresql" if parsed.drivername == "postgres" else parsed.get_backend_name()
    if backend not in _DRIVERS:
        raise ValueError(f"{backend} is not a database this store knows: sqlite or postgresql")
    if backend == "sqlite" and not parsed.database:
        raise ValueError("an SQLite database needs a file: sqlite:///FILE")
    return parsed.set(drivername=_DRIVERS[backend])


def _ready_sqlite(connection: SqliteConnection, _: object) -> None:
    """Ask for the write-ahead log; a new file has to be turned over to it, and SQLite does not wait for that lock."""
    (busy,) = connection.execute("PRAGMA busy_timeout").fetchone()
    last_try = time.monotonic() + busy / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except SqliteOperationalError:
            if time.monotonic() > last_try:
                raise
            time.sleep(0.01)
        else:
            connection.execute("PRAGMA secure_delete=ON")  # what is erased is overwritten with zeros
            return


def _begin_sqlite(connection: Connection) -> None:
    # Python's own transactions begin too late for a schema: https://docs.python.org/3/library/sqlite3.html
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgres(connection: Connection) -> None:
    # not as a start-up option: PgBouncer refuses those
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")


def engine_of(name: str) -> Engine:
    """Return an engine for a URL with our patience, except where the URL's own query says otherwise.

    Raises: `ValueError` for a URL of anything else.
    """
    url = _parse_url(name)
    sqlite = url.get_backend_name() == "sqlite"
    patience = _SQLITE_PATIENCE if sqlite else _POSTGRES_PATIENCE
    given = {name: value for name, value in patience.items() if name not in url.query}
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=given)
    if sqlite:
        event.listen(engine, "connect", _ready_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "begin", _begin_postgres)
    return engine
