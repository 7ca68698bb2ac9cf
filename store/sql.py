"""Call records in a database: SQLite in one file beside the program, or PostgreSQL, by the URL.

`SqlRecords` owns three tables: `calls`, a row a call with the whole record as JSON text, `call_summaries` with what one
lists and searches by (a narrow table: a list reads nothing else), and `switchboard_schema`, the version of that
arrangement. Tables are made when they are first needed, so a database may be absent when the program starts. Every use
is one connection and one transaction in a thread of its own few: calls end seconds apart, and nothing goes stale in a
pool. What the database says is translated here, without the statement or its values (they hold what was spoken):
`RecordsUnavailable`, or `ValueError` for a record that it will never take.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import structlog
import trio

from store.calls import RecordsRefused, RecordsUnavailable
from store.engines import Engine, SqliteEngine, engine_of
from store.erasing import Subject
from store.leisure import leisurely
from store.orders.databases import Execute
from store.records import CallRecord, RecordError, decode_record, encode_record
from store.search import CallQuery, CallSummary, summary_of
from store.sqlite import is_damaged, overwrite_erased

T = TypeVar("T")

VERSION = 2
THREADS = 4
"""Threads that a database which hangs can keep; the rest of the program does not notice."""
_LONGEST_SID = 255
_LONGEST_LABEL = 64
_LOCK = f"SELECT pg_advisory_xact_lock({0x53574348})"
"""An arbitrary number: PostgreSQL's name for the lock under which one worker makes the tables."""

_NOT_OURS = "42501"
"""PostgreSQL's code where a table belongs to another role: `switchboard migrate` is run by it."""

_log = structlog.stdlib.get_logger()

_SUMMARY = tuple(field.name for field in attrs.fields(CallSummary))
TABLES = (
    """
CREATE TABLE IF NOT EXISTS calls (
    call_sid {label} PRIMARY KEY,
    started_at {label} NOT NULL,
    outcome {label} NOT NULL,
    direction {label} NOT NULL,
    duration double precision NOT NULL,
    record text NOT NULL
)""",
    "CREATE INDEX IF NOT EXISTS ix_calls_started_at ON calls (started_at)",
    "CREATE INDEX IF NOT EXISTS ix_calls_outcome ON calls (outcome)",
    "CREATE INDEX IF NOT EXISTS ix_calls_direction ON calls (direction)",
    "CREATE INDEX IF NOT EXISTS ix_calls_duration ON calls (duration)",
    """
CREATE TABLE IF NOT EXISTS call_summaries (
    call_sid {label} PRIMARY KEY,
    started_at {label} NOT NULL,
    direction {label} NOT NULL,
    caller {label} NOT NULL,
    line {label} NOT NULL,
    outcome {label} NOT NULL,
    duration double precision NOT NULL,
    agents text NOT NULL,
    restarts integer NOT NULL,
    transfers integer NOT NULL,
    faults integer NOT NULL,
    words text NOT NULL
)""",
    "CREATE INDEX IF NOT EXISTS call_summaries_newest ON call_summaries (started_at, call_sid)",
    "CREATE INDEX IF NOT EXISTS call_summaries_outcome ON call_summaries (outcome, started_at, call_sid)",
    "CREATE INDEX IF NOT EXISTS call_summaries_direction ON call_summaries (direction, started_at, call_sid)",
    "CREATE TABLE IF NOT EXISTS switchboard_schema (version integer PRIMARY KEY)",
)


def _put(table: str, columns: Sequence[str]) -> str:
    values = ", ".join(f":{name}" for name in columns)
    replaced = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "call_sid")
    named = ", ".join(columns)
    return f"""INSERT INTO {table} ({named}) VALUES ({values}) ON CONFLICT (call_sid) DO UPDATE SET {replaced}
        WHERE excluded.duration > 0 OR {table}.duration = 0"""  # noqa: S608


_PUT = _put("calls", ("call_sid", "started_at", "outcome", "direction", "duration", "record"))
_PUT_SUMMARY = _put("call_summaries", _SUMMARY)
_GET = "SELECT record FROM calls WHERE call_sid = :call_sid"
_NEWEST = "ORDER BY started_at DESC, call_sid DESC LIMIT :limit"
_LIST = f"SELECT call_sid, record FROM calls {_NEWEST}"  # noqa: S608 - constants
_READ_AT_ONCE = 1000
"""Whole records that one statement reads through: a server has five seconds for it."""
_NEXT = f"""SELECT max(call_sid) FROM
    (SELECT call_sid FROM calls WHERE call_sid > :after ORDER BY call_sid LIMIT {_READ_AT_ONCE}) AS part"""  # noqa: S608
_SOME = f"""SELECT call_sid, record || '' AS record FROM calls
    WHERE call_sid > :after AND call_sid <= :last LIMIT {2 * _READ_AT_ONCE}"""  # noqa: S608
"""PostgreSQL would unpack a record anew for each text that is looked for in it, if it were not made of two parts. The
limit keeps it so, and has room for calls that are kept in between."""
_VERSION = "SELECT max(version) FROM switchboard_schema"
_ASKED: Mapping[str, str] = {
    "outcome": "outcome = :outcome",
    "direction": "direction = :direction",
    "since": "started_at >= :since",
    "until": "started_at < :until",
    "troubled": "restarts + faults > 0",
    "transferred": "transfers > 0",
    "before": "(started_at, call_sid) < (:before_at, :before_sid)",
}
"""What each field of a query asks for; `store.search.matches` says the same."""


def _search(query: CallQuery) -> tuple[str, Mapping[str, object]]:
    at, sid = query.before or ("", "")
    # compared, not LIKE alone: PostgreSQL thinks that this finds few, and would read and sort all calls for each page
    words = {f"word{number}": _containing(word) for number, word in enumerate(query.words)}
    asked = [sql for field, sql in _ASKED.items() if getattr(query, field)]
    asked += [f"(words LIKE :{name} ESCAPE '/') > FALSE" for name in words]
    where = f"WHERE {' AND '.join(asked)}" if asked else ""
    sql = f"SELECT {', '.join(_SUMMARY)} FROM call_summaries {where} {_NEWEST}"  # noqa: S608 - constants
    return sql, {**attrs.asdict(query), **words, "before_at": at, "before_sid": sid}


def _containing(text: str) -> str:
    escaped = re.sub(r"([/%_])", r"/\1", text)
    return f"%{escaped}%"


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


def _summary(row: Sequence[Any]) -> CallSummary:
    plain = dict(zip(_SUMMARY, row, strict=True))
    return CallSummary(**{**plain, "agents": tuple(filter(None, plain["agents"].split("\n")))})


def _readable(call_sid: str, kept: str) -> CallRecord | None:
    try:
        return decode_record(kept.encode())
    except RecordError as exc:
        _log.warning("record_unreadable", call_sid=call_sid, why=str(exc))
        return None


@attrs.define(eq=False)
class SqlRecords:
    """Call records in the database of a URL: `sqlite:///FILE` or `postgresql://…`. Nothing is opened until used.

    The methods are those of `CallRecords`; where they raise `OSError`, it is `RecordsUnavailable`.

    Raises: `ValueError` for a URL of anything else.

    Closes: nothing stays open between two uses.
    """

    url: str = attrs.field(repr=False)
    _engine: Engine = attrs.field(default=attrs.Factory(lambda self: engine_of(self.url), takes_self=True), init=False)
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS), init=False)
    _making: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _made: bool = attrs.field(default=False, init=False)

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self._engine.name

    @property
    def file(self) -> str | None:
        """The file of an SQLite database."""
        return self._engine.file if isinstance(self._engine, SqliteEngine) else None

    async def save(self, record: CallRecord) -> None:
        row, summary = _row(record), _summary_row(record)

        def save(execute: Execute) -> None:
            execute(_PUT, row)
            execute(_PUT_SUMMARY, summary)

        await self._ask(save, writes=True)

    async def get(self, call_sid: str) -> CallRecord | None:
        if not _can_be_key(call_sid):
            return None
        kept = await self._ask(lambda execute: execute(_GET, {"call_sid": call_sid}).fetchone())
        return None if kept is None else decode_record(kept[0].encode())

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        def read(execute: Execute) -> list[CallRecord | None]:
            return [_readable(*row) for row in leisurely(execute(_LIST, {"limit": limit}).fetchall())]

        return [record for record in await self._ask(read) if record is not None]

    async def search(self, query: CallQuery) -> Sequence[CallSummary]:
        return [_summary(row) for row in await self._ask(lambda execute: execute(*_search(query)).fetchall())]

    async def erase(self, call_sid: str) -> None:
        if not _can_be_key(call_sid):
            return

        def erase(execute: Execute) -> None:
            for table in ("calls", "call_summaries"):
                execute(f"DELETE FROM {table} WHERE call_sid = :call_sid", {"call_sid": call_sid})  # noqa: S608

        await self._ask(erase, writes=True)

    async def mentioning(self, subject: Subject) -> Sequence[str]:
        """Read whole records: it takes its time."""
        hints = {f"hint{number}": hint for number, hint in enumerate(subject.hints)}
        hinted = " OR ".join(f"{{find}}(record, :{name}) > 0" for name in hints) or "1 = 0"
        sql = f"SELECT call_sid, record FROM ({_SOME}) AS part WHERE {hinted}"  # noqa: S608 - constants

        def find(execute: Execute) -> list[str]:
            after, found = "", list[str]()
            while (last := execute(_NEXT, {"after": after}).fetchone()[0]) is not None:
                rows = execute(sql, {**hints, "after": after, "last": last}).fetchall()
                found += [sid for sid, record in rows if subject.is_in(record)]
                after = last
            return found

        return await self._ask(find)

    async def overwrite(self) -> Sequence[str]:
        """Leave no byte of what was erased in an SQLite file, nor in the log beside it; return where some stay.

        In PostgreSQL's files some do: it may write over them from now on.

        Raises: `OSError`: it is busy, and another try may succeed.
        """
        if (file := self.file) is None:
            # SQLite does without psycopg
            from store.postgres_pages import let_overwrite  # noqa: PLC0415

            return await self._in_thread(lambda: let_overwrite(self.url))
        await self._in_thread(lambda: overwrite_erased(file))
        return ()

    async def _ask(self, ask: Callable[[Execute], T], *, writes: bool = False) -> T:

        def ask_connected() -> T:
            with self._engine.connected(writes=writes) as execute:
                return ask(execute)

        return await self._in_thread(ask_connected)

    async def _in_thread(self, ask: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(self._asked, ask, limiter=self._threads, abandon_on_cancel=True)

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            self._make_tables()
            return ask()
        except self._engine.misfit as exc:
            raise ValueError(self._told(exc)) from exc
        except self._engine.error as exc:
            said = self._told(exc)
            self._made = False  # the file may have been taken away: look again next time
            if is_damaged(exc):
                raise RecordsRefused(f"{said}. Restore it, or name another.") from exc
            raise RecordsUnavailable(said) from exc

    def _told(self, error: Exception) -> str:
        return f"{self.name}: {' '.join(str(error).split())}"

    def _make_tables(self) -> None:
        with self._making:
            if self._made:
                return
            with self._engine.connected() as execute:
                found = self._version(execute)
            if found is None:
                with self._engine.connected(writes=True) as execute:
                    found = self._create(execute)
            if found != VERSION:
                fix = "update this switchboard" if found > VERSION else "name another database, which is made at once"
                why = f"its tables are of version {found}, and this switchboard knows {VERSION} only: {fix}"
                raise RecordsRefused(f"{self.name}: {why}")
            self._take_no_samples()
            self._made = True

    def _take_no_samples(self) -> None:
        """Stop PostgreSQL from sampling personal columns, where we may change the tables."""
        if self.file is not None:
            return
        # SQLite does without psycopg
        from store.postgres_pages import unsampled  # noqa: PLC0415

        try:
            with self._engine.connected(writes=True) as execute:
                execute(_LOCK, {})
                execute(f"DO $step$ BEGIN {unsampled('calls', 'call_summaries')} END $step$", {})
        except self._engine.error as exc:
            if getattr(exc, "sqlstate", "") != _NOT_OURS:
                raise

    def _create(self, execute: Execute) -> int:
        """Create missing tables, under a lock: all workers of a new server do so at the same time."""
        if self.file is None:
            execute(_LOCK, {})
        found = self._version(execute)
        for statement in TABLES:
            execute(statement, {})
        if found is None:
            execute("INSERT INTO switchboard_schema VALUES (:version)", {"version": VERSION})
        return found or VERSION

    @staticmethod
    def _version(execute: Execute) -> int | None:
        if execute("SELECT {table}", {"table": "switchboard_schema"}).fetchone()[0] is None:
            return None
        found: int | None = execute(_VERSION, {}).fetchone()[0]
        return found
