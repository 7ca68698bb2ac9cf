"""Connections to PostgreSQL for threads (`store.engines`), and its URLs as libpq takes them."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import ClassVar

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from store.orders.databases import Execute, for_postgres

STATEMENT_SECONDS = 5
"""How long PostgreSQL may work on, or wait for, one statement."""
CONNECT_SECONDS = 3
_STRAY = re.compile(r" |%(?![0-9A-Fa-f]{2})")
"""A space, or a percent sign that begins no code: libpq refuses both, and quotes the password that has them."""
_PASSWORD = re.compile(r"(?<=://)([^:@/]*:)[^/]*(?=@)|((?:ssl)?password=)[^&]*")
"""Where a URL has one: before the host, or behind the question mark."""
_PATIENCE = {
    "connect_timeout": str(CONNECT_SECONDS),
    "tcp_user_timeout": "5000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "application_name": "switchboard",
}
"""A way that has gone silently is noticed ten seconds later, and not, as the kernel would, after two hours."""


def _plain(url: str) -> str:
    rest = _STRAY.sub(lambda stray: f"%{ord(stray[0]):02X}", url.partition(":")[2])
    return f"postgresql:{rest}"


def conninfo_of(url: str) -> str:
    """Return what libpq takes for a `DATABASE_URL`, whatever driver the URL names. Raises: `OSError`."""
    plain = _plain(url)
    try:
        given = conninfo_to_dict(plain)
    except psycopg.ProgrammingError as exc:
        raise OSError(f"{' '.join(str(exc).split())}: PostgreSQL has no such. Check DATABASE_URL.") from exc
    return make_conninfo(plain, **{name: value for name, value in _PATIENCE.items() if not given.get(name)})


@attrs.frozen
class PostgresEngine:
    """One database; a connection is made for each use."""

    url: str = attrs.field(repr=False)
    error: ClassVar[type[Exception]] = psycopg.Error
    misfit: ClassVar[tuple[type[Exception], ...]] = (psycopg.DataError, psycopg.IntegrityError)

    @property
    def name(self) -> str:
        return _PASSWORD.sub(lambda found: f"{found[1] or found[2]}***", _plain(self.url))

    @contextmanager
    def connected(self, *, writes: bool = False) -> Iterator[Execute]:  # noqa: ARG002 - SQLite wants to know
        try:
            conninfo = conninfo_of(self.url)
        except OSError as exc:
            raise psycopg.ProgrammingError(str(exc)) from exc
        with closing(psycopg.connect(conninfo)) as connection:
            # not as a start-up option: PgBouncer refuses those
            connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'".encode())
            yield lambda sql, arguments: connection.execute(for_postgres(sql).encode(), arguments)
            connection.commit()
