"""Call records in a database: SQLite in one file beside the program, or PostgreSQL, by the URL.

`SqlRecords` reads and writes two tables: `calls`, a row a call with the whole record as JSON text, and `call_summaries`
with what one lists and searches by (a narrow table: a list reads nothing else). They are made when they are first
needed, so a database may be absent when the program starts. What the database says is translated here, without the
statement or its values (they hold what was spoken): `DatabaseUnavailable`, or `ValueError` for a record that it will
never take.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote

import attrs
import structlog
import trio

from store.databases import Conflict, Rows, SqlDatabase, SqliteDatabase
from store.erasing import Subject
from store.leisure import leisurely
from store.records import CallRecord, RecordError, decode_record, encode_record
from store.search import CallQuery, CallSummary, summary_of

_LONGEST_SID = 255
_LONGEST_LABEL = 64
_URL = re.compile(r"(\w+)(?:\+\w+)?://(.*)", re.DOTALL)
"""Whatever driver a URL names: others need another event loop."""

_log = structlog.stdlib.get_logger()

_SUMMARY = tuple(field.name for field in attrs.fields(CallSummary))


def _put(table: str, columns: Sequence[str]) -> str:
    values = ", ".join(f":{name}" for name in columns)
    replaced = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "call_sid")
    named = ", ".join(columns)
    return f"""INSERT INTO {table} ({named}) VALUES ({values}) ON CONFLICT (call_sid) DO UPDATE SET {replaced}
        WHERE excluded.duration > 0 OR {table}.duration = 0"""  # noqa: S608


_CALL = _put("calls", ("call_sid", "started_at", "outcome", "direction", "duration", "record"))
_PUT = f"{{first}}{_CALL}{{then}}{_put('call_summaries', _SUMMARY)}"
_GET = "SELECT record FROM calls WHERE call_sid = :call_sid"
_NEWEST = "ORDER BY started_at DESC, call_sid DESC LIMIT :limit"
_LIST = f"SELECT call_sid, record FROM calls {_NEWEST}"  # noqa: S608 - constants
_READ_AT_ONCE = 1000
"""Whole records that one statement reads through: a server has four seconds for it."""
_NEXT = f"""SELECT max(call_sid) FROM
    (SELECT call_sid FROM calls WHERE call_sid > :after ORDER BY call_sid LIMIT {_READ_AT_ONCE}) AS part"""  # noqa: S608
_SOME = f"""SELECT call_sid, record || '' AS record FROM calls
    WHERE call_sid > :after AND call_sid <= :last LIMIT {2 * _READ_AT_ONCE}"""  # noqa: S608
"""PostgreSQL would unpack a record anew for each text that is looked for in it, if it were not made of two parts. The
limit keeps it so, and has room for calls that are kept in between."""
_MOST_TEXTS = 50
"""Records that are taken out of the database at once: some megabytes."""
_ERASE = """{first}DELETE FROM calls WHERE call_sid = :call_sid
    {then}DELETE FROM call_summaries WHERE call_sid = :call_sid"""
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
    row = attrs.asdict(summary_of(record))
    row = {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in row.items()}
    labels = {name: row[name][:_LONGEST_LABEL] for name in ("started_at", "direction", "caller", "line", "outcome")}
    agents = "\n".join(agent.replace("\0", "") for agent in row["agents"])
    return {**row, **labels, "agents": agents, "record": encode_record(record).decode()}


def _summary(row: Sequence[Any]) -> CallSummary:
    plain = dict(zip(_SUMMARY, row, strict=True))
    return CallSummary(**{**plain, "agents": tuple(filter(None, plain["agents"].split("\n")))})


def _readable(call_sid: str, kept: str) -> CallRecord | None:
    try:
        return decode_record(kept.encode())
    except RecordError as exc:
        _log.warning("record_unreadable", call_sid=call_sid, why=str(exc))
        return None


def database_of(url: str) -> SqlDatabase:
    """Return the database of a URL. Raises: `ValueError` for a URL of anything else; `OSError`."""
    parsed = _URL.fullmatch(url)
    if parsed is None:
        raise ValueError("not a URL of a database: sqlite:///FILE or postgresql://USER@HOST/NAME")
    kind, rest = parsed.groups()
    if kind in {"postgresql", "postgres"}:
        # SQLite does without psycopg
        from store.fleet.migrations import PostgresRecords  # noqa: PLC0415

        return PostgresRecords.of(url)
    if kind != "sqlite":
        raise ValueError(f"{kind} is not a database this store knows: sqlite or postgresql")
    if not rest.startswith("/") or rest == "/" or "?" in rest:
        raise ValueError("an SQLite database needs a file: sqlite:///FILE")
    return SqliteDatabase(unquote(rest[1:]))


@attrs.define(eq=False)
class SqlRecords:
    """Call records in the database of a URL: `sqlite:///FILE` or `postgresql://…`. Nothing is opened until used.

    The methods are those of `CallRecords`; where they raise `OSError`, it is `DatabaseUnavailable`.

    Raises: `ValueError` for a URL of anything else; `OSError` for one that has what PostgreSQL does not know.
    """

    url: str = attrs.field(repr=False)
    database: SqlDatabase = attrs.field(
        default=attrs.Factory(lambda self: database_of(self.url), takes_self=True), init=False
    )
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(2), init=False)

    @property
    def file(self) -> str | None:
        """The file of an SQLite database."""
        return self.database.file if isinstance(self.database, SqliteDatabase) else None

    async def save(self, record: CallRecord) -> None:
        try:
            await self._ask(_PUT, **_row(record))
        except Conflict as exc:
            raise ValueError(str(exc)) from exc

    async def get(self, call_sid: str) -> CallRecord | None:
        if not _can_be_key(call_sid):
            return None
        rows = await self._ask(_GET, call_sid=call_sid)
        return decode_record(rows[0][0].encode()) if rows else None

    async def list(self, limit: int = 50) -> Sequence[CallRecord]:
        rows = await self._ask(_LIST, limit=limit)

        def read() -> list[CallRecord | None]:
            return [_readable(*row) for row in leisurely(rows)]

        found = await trio.to_thread.run_sync(read, limiter=self._threads, abandon_on_cancel=True)
        return [record for record in found if record is not None]

    async def search(self, query: CallQuery) -> Sequence[CallSummary]:
        sql, arguments = _search(query)
        return [_summary(row) for row in await self._ask(sql, **arguments)]

    async def erase(self, call_sid: str) -> None:
        if _can_be_key(call_sid):
            await self._ask(_ERASE, call_sid=call_sid)

    async def mentioning(self, subject: Subject) -> Sequence[str]:
        """Read whole records: it takes its time."""
        hints = {f"hint{number}": hint for number, hint in enumerate(subject.hints)}
        hinted = " OR ".join(f"{{find}}(record, :{name}) > 0" for name in hints) or "1 = 0"
        sql = f"SELECT call_sid, record FROM ({_SOME}) AS part WHERE {hinted} ORDER BY call_sid LIMIT {_MOST_TEXTS}"  # noqa: S608 - constants

        def among(rows: Rows) -> Sequence[str]:
            return [sid for sid, record in leisurely(rows) if subject.is_in(record)]

        after, found = "", list[str]()
        while (last := (await self._ask(_NEXT, after=after))[0][0]) is not None:
            rows = await self._ask(sql, **hints, after=after, last=last)
            found += await trio.to_thread.run_sync(among, rows, limiter=self._threads, abandon_on_cancel=True)
            after = rows[-1][0] if len(rows) == _MOST_TEXTS else last
        return found

    async def overwrite(self) -> Sequence[str]:
        """Leave no byte of what was erased in an SQLite file, nor in the log beside it; return where some stay.

        In PostgreSQL's files some do: it may write over them from now on.

        Raises: `OSError`: it is busy, and another try may succeed.
        """
        if isinstance(self.database, SqliteDatabase):
            await self.database.overwrite()
            return ()
        # SQLite does without psycopg
        from store.fleet.pages import let_overwrite  # noqa: PLC0415

        return await trio.to_thread.run_sync(
            partial(let_overwrite, self.url), limiter=self._threads, abandon_on_cancel=True
        )

    async def _ask(self, sql: str, **arguments: object) -> Rows:
        return await self.database.ask(sql, arguments)
