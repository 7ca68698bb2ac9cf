"""Call records in a database: SQLite in one file beside the program, or PostgreSQL, by the URL.

`SqlRecords` owns three tables: `calls`, a row a call with the whole record as JSON text, `call_summaries` with what one
lists and searches by (a narrow table: a list reads nothing else), and `switchboard_schema`, the version of that
arrangement. Tables are made when they are first needed, so
a database may be absent when the program starts. Every use is one connection and one transaction in a thread of its
own few: calls end seconds apart, and nothing goes stale in a pool. What the database says is translated here, without
the statement or its values (they hold what was spoken): `RecordsUnavailable`, or `ValueError` for a record that it will
never take.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import attrs
import sqlalchemy as sa
import structlog
import trio
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from store.calls import RecordsRefused, RecordsUnavailable
from store.engines import engine_of
from store.erasing import Subject, overwrite_erased
from store.orders.databases import is_damaged
from store.private import keep_private, narrow_file
from store.records import CallRecord, RecordError, decode_record, encode_record
from store.search import CallQuery, CallSummary, summary_of

T = TypeVar("T")

VERSION = 2
THREADS = 4
"""Threads that a database which hangs can keep; the rest of the program does not notice."""
_LONGEST_SID = 255
_LONGEST_LABEL = 64
_SCHEMA_LOCK = 0x53574348
"""An arbitrary number: PostgreSQL's name for the lock under which one worker makes the tables."""

_NOT_OURS = "42501"
"""PostgreSQL's code where a table belongs to another role: `switchboard migrate` is run by it."""

_log = structlog.stdlib.get_logger()

_label = sa.String().with_variant(sa.TEXT(collation="C"), "postgresql")
"""Compared byte by byte in both, which puts ISO 8601 in the order of time; a locale's order may not."""

METADATA = sa.MetaData()
CALLS = sa.Table(
    "calls",
    METADATA,
    sa.Column("call_sid", _label, primary_key=True),
    sa.Column("started_at", _label, nullable=False, index=True),
    sa.Column("outcome", _label, nullable=False, index=True),
    sa.Column("direction", _label, nullable=False, index=True),
    sa.Column("duration", sa.Float, nullable=False, index=True),
    sa.Column("record", sa.Text, nullable=False),
)
SUMMARIES = sa.Table(
    "call_summaries",
    METADATA,
    sa.Column("call_sid", _label, primary_key=True),
    sa.Column("started_at", _label, nullable=False),
    sa.Column("direction", _label, nullable=False),
    sa.Column("caller", _label, nullable=False),
    sa.Column("line", _label, nullable=False),
    sa.Column("outcome", _label, nullable=False),
    sa.Column("duration", sa.Float, nullable=False),
    sa.Column("agents", sa.Text, nullable=False),
    sa.Column("restarts", sa.Integer, nullable=False),
    sa.Column("transfers", sa.Integer, nullable=False),
    sa.Column("faults", sa.Integer, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
    sa.Index("call_summaries_newest", "started_at", "call_sid"),
    sa.Index("call_summaries_outcome", "outcome", "started_at", "call_sid"),
    sa.Index("call_summaries_direction", "direction", "started_at", "call_sid"),
)
SCHEMA = sa.Table(
    "switchboard_schema", METADATA, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False)
)


def _can_be_key(call_sid: str) -> bool:
    return 0 < len(call_sid) <= _LONGEST_SID and call_sid.isprintable()


def _row(record: CallRecord) -> Mapping[str, object]:
    """Return the columns; labels are copies to search by, so a strange one is cut and not a reason to lose a call."""
    if not _can_be_key(record.call_sid):
        raise ValueError(
            f"{record.call_sid[:_LONGEST_SID]!r} cannot be a key: use 1 to {_LONGEST_SID} printable characters"
        )
    labels = {"started_at": record.started_at, "outcome": record.outcome, "direction": record.direction}
    return {
        "call_sid": record.call_sid,
        **{name: label.replace("\0", "")[:_LONGEST_LABEL] for name, label in labels.items()},
        "duration": record.duration,
        "record": encode_record(record).decode(),
    }


def _summary_row(record: CallRecord) -> Mapping[str, object]:
    """Return the columns of a call's summary, its words cut to what a column takes."""
    row = attrs.asdict(summary_of(record))
    row = {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in row.items()}
    labels = {name: row[name][:_LONGEST_LABEL] for name in ("started_at", "direction", "caller", "line", "outcome")}
    return {**row, **labels, "agents": "\n".join(agent.replace("\0", "") for agent in row["agents"])}


def _summary(row: sa.Row[Any]) -> CallSummary:
    plain = dict(row._mapping)
    return CallSummary(**{**plain, "agents": tuple(filter(None, plain["agents"].split("\n")))})


def _conditions(query: CallQuery) -> Iterator[sa.ColumnElement[bool]]:
    """Write a query down in SQL; `store.search.matches` says the same."""
    columns = SUMMARIES.c
    asked: tuple[tuple[object, Callable[[], sa.ColumnElement[bool]]], ...] = (
        (query.outcome, lambda: columns.outcome == query.outcome),
        (query.direction, lambda: columns.direction == query.direction),
        (query.since, lambda: columns.started_at >= query.since),
        (query.until, lambda: columns.started_at < query.until),
        (query.troubled, lambda: columns.restarts + columns.faults > 0),
        (query.transferred, lambda: columns.transfers > 0),
        (query.before, lambda: sa.tuple_(columns.started_at, columns.call_sid) < sa.tuple_(*(query.before or ()))),
    )
    yield from (condition() for is_asked, condition in asked if is_asked)
    for word in query.words:
        yield columns.words.contains(word, autoescape=True)


def _readable(call_sid: str, kept: str) -> CallRecord | None:
    try:
        return decode_record(kept.encode())
    except RecordError as exc:
        _log.warning("record_unreadable", call_sid=call_sid, why=str(exc))
        return None


def _words(error: SQLAlchemyError) -> str:
    """Return what the database said, on one line and without the statement."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(said).split())


def _put(connection: sa.Connection, table: sa.Table, row: Mapping[str, object]) -> None:
    insert = import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table).values(row)
    replaced = {name: insert.excluded[name] for name in row if name != "call_sid"}
    connection.execute(insert.on_conflict_do_update(index_elements=[table.c.call_sid], set_=replaced))


@attrs.define(eq=False)
class SqlRecords:
    """Call records in the database of a URL: `sqlite:///FILE` or `postgresql://…`. Nothing is opened until used.

    The methods are those of `CallRecords`; where they raise `OSError`, it is `RecordsUnavailable`.

    Raises: `ValueError` for a URL of anything else.

    Closes: nothing stays open between two uses.
    """

    _engine: sa.Engine = attrs.field(converter=engine_of, alias="url")
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS), init=False)
    _making: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _made: bool = attrs.field(default=False, init=False)

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    @property
    def file(self) -> str | None:
        """The file of an SQLite database."""
        return self._engine.url.database if self._engine.dialect.name == "sqlite" else None

    async def save(self, record: CallRecord) -> None:
        row, summary = _row(record), _summary_row(record)

        def save(connection: sa.Connection) -> None:
            _put(connection, CALLS, row)
            _put(connection, SUMMARIES, summary)

        await self._ask(save, writes=True)

    async def get(self, call_sid: str) -> CallRecord | None:
        if not _can_be_key(call_sid):
            return None
        wanted = sa.select(CALLS.c.record).where(CALLS.c.call_sid == call_sid)
        kept: str | None = await self._ask(lambda connection: connection.scalar(wanted))
        return None if kept is None else decode_record(kept.encode())

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        newest = sa.select(CALLS.c.call_sid, CALLS.c.record).order_by(
            CALLS.c.started_at.desc(), CALLS.c.call_sid.desc()
        )
        rows = await self._ask(lambda connection: connection.execute(newest.limit(limit)).all())
        found = [_readable(row.call_sid, row.record) for row in rows]
        return [record for record in found if record is not None]

    async def search(self, query: CallQuery) -> Sequence[CallSummary]:
        newest = sa.select(SUMMARIES).where(*_conditions(query))
        newest = newest.order_by(SUMMARIES.c.started_at.desc(), SUMMARIES.c.call_sid.desc()).limit(query.limit)
        return [_summary(row) for row in await self._ask(lambda connection: connection.execute(newest).all())]

    async def erase(self, call_sid: str) -> None:
        if not _can_be_key(call_sid):
            return

        def erase(connection: sa.Connection) -> None:
            for table in (CALLS, SUMMARIES):
                connection.execute(table.delete().where(table.c.call_sid == call_sid))

        await self._ask(erase, writes=True)

    async def mentioning(self, subject: Subject) -> Sequence[str]:
        """Read whole records: it takes its time."""
        is_hinted = sa.or_(sa.false(), *(CALLS.c.record.contains(hint, autoescape=True) for hint in subject.hints))
        hinted = sa.select(CALLS.c.call_sid, CALLS.c.record).where(is_hinted)
        return await self._ask(
            lambda connection: [row.call_sid for row in connection.execute(hinted) if subject.is_in(row.record)]
        )

    async def overwrite(self) -> Sequence[str]:
        """Leave no byte of what was erased in an SQLite file, nor in the log beside it; return where some stay.

        In PostgreSQL's files some do: it may write over them from now on.

        Raises: `OSError`: it is busy, and another try may succeed.
        """
        if (file := self.file) is None:
            # SQLite does without psycopg
            from store.postgres_pages import let_overwrite  # noqa: PLC0415

            return await self._in_thread(lambda: let_overwrite(self._engine.url.render_as_string(hide_password=False)))
        await self._in_thread(lambda: overwrite_erased(file))
        return ()

    async def _ask(self, ask: Callable[[sa.Connection], T], *, writes: bool = False) -> T:

        def ask_connected() -> T:
            with self._writing() if writes else self._engine.connect() as connection:
                return ask(connection)

        return await self._in_thread(ask_connected)

    async def _in_thread(self, ask: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(self._asked, ask, limiter=self._threads, abandon_on_cancel=True)

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            self._make_tables()
            return ask()
        except (DataError, IntegrityError) as exc:
            raise ValueError(f"{self.name}: {_words(exc)}") from exc
        except SQLAlchemyError as exc:
            self._made = False  # the file may have been taken away: look again next time
            if isinstance(exc, DBAPIError) and is_damaged(exc.orig):
                raise RecordsRefused(f"{self.name}: {_words(exc)}. Restore it, or name another.") from exc
            raise RecordsUnavailable(f"{self.name}: {_words(exc)}") from exc

    def _make_tables(self) -> None:
        with self._making:
            if self._made:
                return
            self._keep_private()
            with self._engine.connect() as connection:
                found = self._version(connection)
            if found is None:
                with self._writing() as connection:
                    found = self._create(connection)
            if found != VERSION:
                fix = "update this switchboard" if found > VERSION else "name another database, which is made at once"
                why = f"its tables are of version {found}, and this switchboard knows {VERSION} only: {fix}"
                raise RecordsRefused(f"{self.name}: {why}")
            self._take_no_samples()
            self._made = True

    def _take_no_samples(self) -> None:
        """Stop PostgreSQL from sampling personal columns, where we may change the tables."""
        if self._engine.dialect.name != "postgresql":
            return
        # SQLite does without psycopg
        from store.postgres_pages import unsampled  # noqa: PLC0415

        try:
            with self._writing() as connection:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})
                connection.exec_driver_sql(f"DO $step$ BEGIN {unsampled('calls', 'call_summaries')} END $step$")
        except ProgrammingError as exc:
            if getattr(exc.orig, "sqlstate", "") != _NOT_OURS:
                raise

    def _keep_private(self) -> None:
        """Let nobody but its owner read the file of an SQLite database, nor what lies beside it, which follows suit."""
        if (file := self.file) is None or file.startswith((":memory:", "file:")):
            return
        with suppress(OSError):  # SQLite says what is the matter
            keep_private(Path(file))
            for suffix in ("-wal", "-shm", "-journal"):
                narrow_file(Path(file + suffix))

    def _create(self, connection: sa.Connection) -> int:
        """Create missing tables, under a lock: all workers of a new server do so at the same time."""
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})
        found = self._version(connection)
        METADATA.create_all(connection)
        if found is None:
            connection.execute(SCHEMA.insert().values(version=VERSION))
        return found or VERSION

    @staticmethod
    def _version(connection: sa.Connection) -> int | None:
        if not sa.inspect(connection).has_table(SCHEMA.name):
            return None
        found: int | None = connection.scalar(sa.select(SCHEMA.c.version).order_by(SCHEMA.c.version.desc()))
        return found

    def _writing(self) -> AbstractContextManager[sa.Connection]:
        return self._engine.execution_options(writes=True).begin()
