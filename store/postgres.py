"""URLs of PostgreSQL, as libpq takes them."""

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

CONNECT_SECONDS = 3
_STRAY = re.compile(r" |%(?![0-9A-Fa-f]{2})")
"""A space, or a percent sign that begins no code: libpq refuses both, and quotes the password that has them."""
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
