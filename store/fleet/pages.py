"""What PostgreSQL keeps of rows that are deleted, and what takes it away.

A deleted row stays in its page until something is written over it: a plain VACUUM only lets that happen, VACUUM FULL
writes the table anew, and locks it meanwhile. So small tables are written anew, at once; large ones when an operator
asks for it. Neither takes away a row that a transaction which began before its deletion can still see: a statement of
another worker's, an ANALYZE, a backup; so the end of such transactions is waited for, and if it does not come, that is
said. Samples of columns, which ANALYZE takes for the planner, stay in `pg_statistic` for as long as the table is
there: so none are taken of columns that are about a person. The write-ahead log has everything until its files
(segments) are used again: after a checkpoint they may be, and then something else is written into each. All of it
blocks.
"""

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

import attrs
import psycopg
import psycopg.rows
import structlog

from store.fleet.driver import conninfo_of, told

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
SMALL = 32 * 2**20
"""Bytes of a table, its indexes and long values that may be written anew without being asked."""
QUICK_SECONDS = 0.7
"""For that, the wait for others included: a fleet takes its database for lost after a second without an answer."""
COPIES = "replicas, archived write-ahead log, backups and snapshots of PostgreSQL, for as long as they are kept"
FREE_SPACE = "PostgreSQL's files of {}, until others are written over them: repeat it with --vacuum"
STILL_SEEN = "rows of {} that a transaction which goes on can still see: repeat it when that is over"
"""Where bytes of tables stay, and what takes them away."""
LOCK_SECONDS = 5
"""For a table to be free; behind a VACUUM FULL that waits, everybody else waits too."""
SEEN_SECONDS = 5.0
"""For the end of transactions that can see deleted rows; nobody waits meanwhile."""
SEEN_PAUSES = (0.02, 0.5)
"""Between two looks for that: the first, and the longest one."""
PLAIN_SECONDS = 20
"""For a plain VACUUM of one table (autovacuum goes on with it), and for a checkpoint."""
LOG = "PostgreSQL's write-ahead log, until its files are used again:"
LOG_NOT_OURS = f"{LOG} this role may not ask for that (GRANT pg_checkpoint, pg_monitor TO it)"
MOST_SEGMENTS = 16
"""Used segments of the write-ahead log that are written over without being asked: 256 MB, as PostgreSQL comes."""
_SAMPLES = "pg_statistic"
Connection: TypeAlias = "psycopg.Connection[psycopg.rows.TupleRow]"
_OURS = """SELECT name, pg_total_relation_size(to_regclass(name)) FROM unnest(%s::text[]) name
    WHERE to_regclass(name) IS NOT NULL ORDER BY 2"""
_NOW = "SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text"
"""The first transaction that is not over: what was deleted before now was deleted by an earlier one."""
_IS_SEEN = "SELECT age(relfrozenxid) > age(%s::xid) FROM pg_class WHERE oid = to_regclass(%s)"
"""Is a table not rid of all that transactions before this one have deleted? VACUUM FULL notes how far it is rid."""
_SEGMENT = "pg_size_bytes(current_setting('wal_segment_size'))"
_FILL = f"""SELECT pg_logical_emit_message(false, 'switchboard', repeat(' ', ({_SEGMENT} / 16)::integer))
    FROM generate_series(1, 16 * %s)"""  # noqa: S608 - constants
"""Write something into so many segments of the log. Any role may; readers of the log pass over it."""
_SEGMENTS = """SELECT count(*) FILTER (WHERE name < redo_wal_file),
    count(*) FILTER (WHERE name > pg_walfile_name(pg_current_wal_insert_lsn()))
    FROM pg_ls_waldir(), pg_control_checkpoint() WHERE name ~ '^[0-9A-F]{24}$'"""
"""How many are kept though no longer needed after a crash, and how many are ready to be used again."""
_log = structlog.stdlib.get_logger()


def unsampled() -> str:
    """Return SQL that has ANALYZE take no samples of personal columns."""
    named = ((table, column) for table, columns in PERSONAL.items() for column in columns)
    return "\n".join(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0;" for table, column in named)


@attrs.frozen
class Vacuumed:
    """How many seconds each table took, and where bytes of deleted rows stay."""

    took: Mapping[str, float]
    left: Sequence[str]


def vacuum(url: str, *, full: bool) -> Vacuumed:
    """Take deleted rows away: write small tables anew, or all with `full`; then use the write-ahead log's files again.

    Nobody can use a table while it is written.

    Raises: `OSError`: with `full` a table is in use; or one cannot be reached, or belongs to somebody else; or a pooler
    is between: its sessions are others' in a moment, and our limits of time would stay in them.
    """
    took, refused = dict[str, float](), list[str]()
    try:
        with psycopg.connect(conninfo_of(url), autocommit=True, connect_timeout=LOCK_SECONDS) as connection:
            connection.add_notice_handler(lambda notice: refused.append(str(notice.message_primary)))
            _refuse_pooler(connection)
            connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'".encode())
            ((now,),) = connection.execute(_NOW).fetchall()
            tables = _Tables(connection, refused, took, now)
            for table, size in connection.execute(_OURS, [list(PERSONAL)]).fetchall():
                tables.clean(table, size, full=full)
            if refused:  # PostgreSQL warns, and goes on
                raise OSError("; ".join(refused))
            if not took:
                raise OSError("this role can see no table of ours")
            if full:  # old samples are the database owner's to take away
                tables.clean(_SAMPLES, 0, full=True)
            left = _renew_log(connection, math.inf if full else MOST_SEGMENTS)
    except psycopg.Error as exc:
        raise OSError(f"not vacuumed after {', '.join(took) or 'none'}: {told(exc)}") from exc
    return Vacuumed(took, [*(where.format(", ".join(names)) for where, names in tables.left.items()), *left, COPIES])


def _refuse_pooler(connection: Connection) -> None:
    ((session,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
    if session != connection.info.backend_pid:  # PgBouncer names sessions of its own
        raise OSError("a pooler is between. Set DATABASE_URL to PostgreSQL itself for `switchboard forget --vacuum`")


@attrs.frozen
class _Tables:
    """Takes away what transactions before `now` have deleted; notes how long that took, and in which tables some stays.

    What PostgreSQL warns of is in `refused`.
    """

    connection: Connection
    refused: Sequence[str]
    took: dict[str, float]
    now: str
    until: float = attrs.field(factory=lambda: time.monotonic() + SEEN_SECONDS)
    left: dict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    """The names of the tables, by `FREE_SPACE` and `STILL_SEEN`."""

    def clean(self, table: str, size: int, *, full: bool) -> None:
        """Write a table anew, again and again while others can see deleted rows of it.

        Once they are gone from one table, no other one is seen: so the small ones, which are soon written, come first.
        """
        began, (pause, longest) = time.monotonic(), SEEN_PAUSES
        while True:
            is_last = time.monotonic() > self.until
            if not _is_written_anew(self.connection, table, size, full=full):
                self.left[FREE_SPACE].append(table)
                break
            if self.refused:
                return
            if not self._is_seen(table):
                break
            if is_last:
                self.left[STILL_SEEN].append(table)
                break
            time.sleep(pause)
            pause = min(2 * pause, longest)
        self.took[table] = round(time.monotonic() - began, 3)

    def _is_seen(self, table: str) -> bool:
        return self.connection.execute(_IS_SEEN, [self.now, table]).fetchall() != [(False,)]


def _write_anew(connection: Connection, table: str, seconds: float = 0) -> None:
    connection.execute(f"SET statement_timeout = '{seconds * 1000:.0f}ms'".encode())
    connection.execute(f"VACUUM FULL {table}".encode())


def _is_written_anew(connection: Connection, table: str, size: int, *, full: bool) -> bool:
    """Write a table anew; without `full` only if that is soon done, and else a plain VACUUM does what it can."""
    if full:
        _write_anew(connection, table)
        return True
    if size <= SMALL:
        with suppress(psycopg.errors.QueryCanceled):  # others use it; or the disk is slow
            _write_anew(connection, table, QUICK_SECONDS)
            return True
    connection.execute(f"SET statement_timeout = '{PLAIN_SECONDS}s'".encode())
    connection.execute(f"VACUUM {table}".encode())
    return False


def _renew_log(connection: Connection, most: float) -> Sequence[str]:
    """Have the segments of the write-ahead log used again, and write over `most` of them; return what is left of it."""
    try:
        connection.execute(f"SET statement_timeout = '{PLAIN_SECONDS}s'".encode())
        connection.execute(_FILL, [1])  # the segment that is being written is full then, and the next one begun
        connection.execute("CHECKPOINT")
        ((kept, ready),) = connection.execute(_SEGMENTS).fetchall()
        if ready <= most:
            connection.execute(_FILL, [ready + 1])
            ready = 0
    except psycopg.errors.InsufficientPrivilege:
        return [LOG_NOT_OURS]
    except psycopg.Error as exc:
        return [f"{LOG} {told(exc)}"]
    if kept or ready:
        held = f"{kept} that replication, archiving or wal_keep_size holds back, and {ready} that wait to be used again"
        return [f"files of PostgreSQL's write-ahead log: {held}"]
    return []


def let_overwrite(url: str) -> Sequence[str]:
    """Take away what deleted rows have left, as far as nobody has to wait for it; return where bytes of them stay."""
    try:
        return vacuum(url, full=False).left
    except OSError as exc:
        _log.warning("not_vacuumed", why=str(exc))  # autovacuum will
        return [FREE_SPACE.format("every table"), f"{LOG} {exc}", COPIES]
