"""What PostgreSQL keeps of rows that are deleted, and what takes it away.

A deleted row stays in its page until something is written over it: a plain VACUUM only lets that happen, VACUUM FULL
writes the table anew. Samples of columns, which ANALYZE takes for the planner, stay in `pg_statistic` for as long as
the table is there: so none are taken of columns that are about a person. The write-ahead log keeps everything until
its files are used again; nothing here can change that. All of it blocks.
"""

import time
from collections.abc import Mapping, Sequence

import psycopg
import psycopg.rows
import structlog
from sqlalchemy.engine import make_url

PERSONAL: Mapping[str, tuple[str, ...]] = {
    "calls": ("call_sid", "record"),
    "call_summaries": ("call_sid", "caller", "words"),
    "orders": ("number", "body", "call_sid", "repeat_key", "digest", "why", "history"),
    "outbox": ("call_sid", "body", "why"),
    "tokens": ("name", "content"),
    "live_calls": ("key", "call_sid", "about"),
    "call_notes": ("call_sid", "note"),
    "cut_calls": ("call_sid", "about", "note"),
    "slots": ("key",),
    "commands": ("call_sid", "body"),
}
"""Columns of our tables that are about a person or a call."""
FREE_SPACE = "bytes of deleted rows in PostgreSQL's files, until others are written over them, or VACUUM FULL"
LOG = "PostgreSQL's write-ahead log until its files are used again, replicas and backups for as long as they are kept"
LOCK_SECONDS = 5
"""For a table to be free; behind a VACUUM FULL that waits, everybody else waits too."""
PLAIN_SECONDS = 20
"""For a plain VACUUM of one table: autovacuum goes on with it."""
_SAMPLES = "pg_statistic"
_OURS = "SELECT name FROM unnest(%s::text[]) name WHERE to_regclass(name) IS NOT NULL"
_log = structlog.stdlib.get_logger()


def unsampled(*tables: str) -> str:
    """Return PL/pgSQL that has ANALYZE take no samples of personal columns, and takes away those that it has taken.

    The type of a column is set to what it is: this removes its samples, and writes no row anew.
    """
    return "\n".join(_unsampled(table, PERSONAL[table]) for table in tables)


def _unsampled(table: str, columns: tuple[str, ...]) -> str:
    names = ", ".join(f"'{name}'" for name in columns)
    return f"""DECLARE one record; BEGIN
    FOR one IN SELECT quote_ident(attname) AS name, format_type(atttypid, atttypmod)
            || CASE WHEN attcollation = 0 THEN '' ELSE ' COLLATE ' || attcollation::regcollation END AS type
        FROM pg_attribute
        WHERE attrelid = to_regclass('{table}') AND attname IN ({names}) AND coalesce(attstattarget, -1) <> 0
    LOOP
        EXECUTE 'ALTER TABLE {table} ALTER COLUMN ' || one.name || ' SET STATISTICS 0';
        BEGIN
            EXECUTE 'ALTER TABLE {table} ALTER COLUMN ' || one.name || ' TYPE ' || one.type;
        EXCEPTION WHEN feature_not_supported THEN NULL;  -- a view of the operator's is made of it
        END;
    END LOOP;
END;"""  # noqa: S608 - constants


def vacuum(url: str, *, full: bool) -> Mapping[str, float]:
    """Vacuum our tables; return how many seconds each took. `full` writes them anew, and nobody can use one meanwhile.

    Raises: `OSError`: one is in use, cannot be reached, or belongs to somebody else.
    """
    took, refused = dict[str, float](), list[str]()
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=LOCK_SECONDS) as connection:
            connection.add_notice_handler(lambda notice: refused.append(str(notice.message_primary)))
            connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'".encode())
            connection.execute(f"SET statement_timeout = '{0 if full else PLAIN_SECONDS}s'".encode())
            for (table,) in connection.execute(_OURS, [list(PERSONAL)]).fetchall():
                took[table] = _vacuumed(connection, table, full=full)
            if not took:
                raise OSError("this role can see no table of ours")
            if refused:  # PostgreSQL warns, and goes on
                raise OSError("; ".join(refused))
            if full:
                took[_SAMPLES] = _vacuumed(connection, _SAMPLES, full=True)
    except psycopg.Error as exc:
        raise OSError(f"not vacuumed after {', '.join(took) or 'none'}: {' '.join(str(exc).split())}") from exc
    if refused:  # old samples are the database owner's to take away
        del took[_SAMPLES]
    return took


def _vacuumed(connection: "psycopg.Connection[psycopg.rows.TupleRow]", table: str, *, full: bool) -> float:
    began = time.monotonic()
    connection.execute(f"VACUUM {'FULL ' * full}{table}".encode())
    return round(time.monotonic() - began, 3)


def let_overwrite(url: str) -> Sequence[str]:
    """Have PostgreSQL write over deleted rows from now on; return where their bytes stay."""
    try:
        vacuum(url, full=False)
    except OSError as exc:
        _log.warning("not_vacuumed", why=str(exc))  # autovacuum will
    return FREE_SPACE, LOG
