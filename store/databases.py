"""The two databases that keep records, orders and small texts, as one interface: a statement in, its rows out.

Statements are written once, with `:name` for arguments and `{now}`, `{skip}`, `{texts}`, `{rows}`, `{bytes}`, `{label}`
(text that is compared byte by byte), `{find}` (where a text begins in another), `{key_of_number}` (a hash, where a log
has the keys of refused rows), `{first}`, `{then}` (two in one) and `{if_first}` (whether the first returned a row) for
what the two databases say differently. Each is one transaction, and short: one that changes many rows does so `MOST` at
a time (`ask_for_all`). On PostgreSQL (`store.fleet.driver`) the time is the server's, asked for once in a statement, so
that an index is searched by it; on SQLite it is `now`, and PostgreSQL's `to_timestamp` and `decode` are there too.
"""

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

import attrs
import structlog
import trio

from store.calls import DatabaseRefused, DatabaseUnavailable
from store.private import keep_private, make_folders, narrow_file
from store.schema import PROGRAM, SQLITE_STEPS

Arguments = Mapping[str, object]
Rows = Sequence[Sequence[Any]]

IN_MEMORY = ":memory:"
MOST = 1000
"""Rows that one statement changes."""
BUSY_SECONDS = 2.0
"""How long a statement waits for another process that writes to a file."""
TOLD_SECONDS = 3600.0
"""How often the log repeats that a database is of no use."""
ANSWER_SECONDS = 2.0
"""For one question while a caller waits: a webhook asks several, and Twilio gives up on it after 15 s."""

_log = structlog.stdlib.get_logger()


class Conflict(Exception):
    """A statement met a constraint: somebody else was faster, or the database never takes such a row."""


class SqlDatabase(Protocol):
    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        """Run one statement, as one transaction, and return its rows.

        Raises: `OSError` when another try may succeed; `Conflict`.

        Cancellation: the statement may have been carried out.
        """
        ...


@contextmanager
def answering(seconds: float | None = None) -> Iterator[None]:
    """Give the `with` block so long, or `ANSWER_SECONDS`, for its questions. Raises: `DatabaseUnavailable`."""
    seconds = ANSWER_SECONDS if seconds is None else seconds
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError:
        raise DatabaseUnavailable(f"no answer within {seconds:g} s") from None


async def ask_for_all(database: SqlDatabase, sql: str, arguments: Arguments) -> int:
    """Repeat a statement that changes at most `MOST` rows, and returns them, until there are none; return how many.

    Raises: `OSError`: what was changed stays so.
    """
    count = 0
    while rows := await database.ask(sql, arguments):
        count += len(rows)
    return count


@lru_cache(maxsize=200)
def for_sqlite(sql: str) -> str:
    return sql.format(
        now=":now",
        skip="",
        texts="SELECT value FROM json_each(:texts)",
        rows="json_each(:rows)",
        bytes="blob",
        label="text",
        find="instr",
        key_of_number="number",
        first="",
        then=";",
        if_first="TRUE",  # it has the lock of the only one who writes
    )


@lru_cache(maxsize=200)
def for_postgres(sql: str) -> str:
    plain = sql.format(
        now="(SELECT extract(epoch FROM clock_timestamp())::double precision)",
        skip="FOR UPDATE SKIP LOCKED",
        texts="SELECT value FROM json_array_elements_text(CAST(:texts AS json))",
        rows="json_array_elements(CAST(:rows AS json)) AS listed (value)",
        bytes="bytea",
        label='text COLLATE "C"',
        find="strpos",
        key_of_number="hashtextextended(number, 0)",
        first="WITH first AS (",
        then=")",
        if_first="EXISTS (SELECT FROM first)",
    )
    return re.sub(r"(?<!:):([a-z_][a-z_0-9]*)", r"%(\1)s", plain)


def moving_wall() -> Callable[[], float]:
    """Return a clock that begins as the wall's and moves with trio's: under a virtual clock it is virtual too."""
    began: list[float] = []

    def now() -> float:
        if not began:
            began.append(time.time() - trio.current_time())
        return began[0] + trio.current_time()

    return now


@attrs.define(eq=False)
class SqliteDatabase:
    """Records, orders and small texts in a file of SQLite, or in this process's memory.

    A file that is taken away, or replaced, while it is open is opened anew: other processes see the new one only.

    Closes: `close` closes the connection; the next statement opens it again.
    """

    steps: ClassVar[Mapping[int, Sequence[str]]] = SQLITE_STEPS
    remedy: ClassVar[str] = "Restore it, or name another: DATABASE_URL."
    """What helps where the file is damaged."""
    file: str = IN_MEMORY
    is_durable: bool = True
    """What was answered is on the disk, whatever becomes of the power; if not, within seconds, and no answer waits."""
    now: Callable[[], float] = attrs.field(
        default=attrs.Factory(lambda self: moving_wall() if self.file == IN_MEMORY else time.time, takes_self=True)
    )
    _connection: sqlite3.Connection | None = attrs.field(default=None, init=False)
    _opened: tuple[int, int] | None = attrs.field(default=None, init=False)
    """The file that the connection has open, whatever its name leads to now."""
    _log_opened: tuple[int, int] | None = attrs.field(default=None, init=False)
    """The write-ahead log beside it."""
    _abandoned: list[sqlite3.Connection] = attrs.field(factory=list, init=False)
    """Of files that were taken away: SQLite would remove the log of the new file if it closed the old one."""
    _refused: set[str] = attrs.field(factory=set, init=False)
    """Statements for which the file was of no use when they were asked last: a broken page is met by some only."""
    _told_at: float = attrs.field(default=0.0, init=False)
    _one: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(2), init=False)

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        """Run one statement, as one transaction, and return its rows; in a thread, unless it is in memory.

        Raises: `DatabaseUnavailable`; `Conflict`.
        """
        given = {"now": self.now(), **arguments}
        if self.file == IN_MEMORY:
            await trio.lowlevel.checkpoint()
            return self._ask(for_sqlite(sql), given)
        return await trio.to_thread.run_sync(
            self._ask, for_sqlite(sql), given, limiter=self._threads, abandon_on_cancel=True
        )

    async def overwrite(self) -> None:
        """Leave no byte of deleted rows in the file, nor in the log beside it.

        Meanwhile others read, and wait for two seconds to write, as for another process.

        Raises: `DatabaseUnavailable`, where others read or write for longer than that.
        """
        if self.file == IN_MEMORY:
            await trio.lowlevel.checkpoint()
            return
        await trio.to_thread.run_sync(_overwrite, self.file, limiter=self._threads, abandon_on_cancel=True)

    def _ask(self, sql: str, given: Arguments) -> Rows:
        with self._one:
            try:
                self._leave_lost_file()
                rows = _carry_out(self._connection or self._open(), sql, given)
            except (sqlite3.IntegrityError, sqlite3.DataError) as exc:
                raise Conflict(str(exc)) from exc
            except DatabaseRefused as exc:
                raise self._refuse(exc, sql) from exc
            except (sqlite3.Error, OSError) as exc:
                if type(exc) is sqlite3.DatabaseError:  # it is no database, or a broken one: that does not pass
                    raise self._refuse(DatabaseRefused(f"{exc}. {self.remedy}"), sql) from exc
                if self.file != IN_MEMORY:  # what is in memory would be gone
                    self._close()
                raise DatabaseUnavailable(f"{self.file}: {exc}") from exc
            else:
                self._refused.discard(sql)
                return rows

    def _refuse(self, why: DatabaseRefused, sql: str) -> DatabaseRefused:
        """Return why this file is of no use; the log has it once an hour."""
        self._close()
        if not self._refused or time.monotonic() > self._told_at + TOLD_SECONDS:  # it may be another damage
            _log.error("database_refused", file=self.file, why=str(why))
            self._told_at = time.monotonic()
        self._refused.add(sql)
        return DatabaseRefused(f"{self.file}: {why}")

    def _leave_lost_file(self) -> None:
        if self._connection is None or self.file == IN_MEMORY:
            return
        found = _identity(self.file)
        if found == self._opened and _identity(f"{self.file}-wal") != self._log_opened:
            _log.error("database_log_lost", file=self.file, why="its -wal was taken away or replaced while in use")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what is in it comes into the file
            self._close()
        elif found != self._opened:
            _log.error("database_lost", file=self.file, why="it was taken away or replaced while it was in use")
            self._abandoned.append(self._connection)
            self._connection = None
            make_folders(Path(self.file).parent)

    def _open(self) -> sqlite3.Connection:
        connection = self._connection = (
            sqlite3.connect(IN_MEMORY, isolation_level=None, check_same_thread=False)
            if self.file == IN_MEMORY
            else _open_file(self.file, self.is_durable)
        )
        connection.create_function("to_timestamp", 1, float, deterministic=True)
        connection.create_function("decode", 2, lambda text, _: bytes.fromhex(text), deterministic=True)
        _make_tables(connection, self.steps)
        self._opened, self._log_opened = _identity(self.file), _identity(f"{self.file}-wal")
        return connection

    def close(self) -> None:
        with self._one:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open_file(file: str, is_durable: bool = True) -> sqlite3.Connection:
    """Open a file, for any thread; a transaction begins with BEGIN. Raises: `sqlite3.Error`.

    It is its owner's to read, has a write-ahead log, and what is erased in it is overwritten with zeros. A folder in
    which nothing can be made, or a file that cannot be written to, is SQLite's to tell of.
    """
    with suppress(OSError):
        keep_private(Path(file))
    connection = sqlite3.connect(
        file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=200
    )
    try:
        _ask_for_log(connection)
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute(f"PRAGMA synchronous={'FULL' if is_durable else 'NORMAL'}")
        with suppress(OSError):
            for suffix in ("-wal", "-shm"):
                narrow_file(Path(file + suffix))
    except BaseException:
        connection.close()
        raise
    return connection


def _overwrite(file: str) -> None:
    try:
        with closing(_open_file(file)) as connection:
            connection.execute("VACUUM")
            (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as exc:
        raise DatabaseUnavailable(f"what was erased cannot be overwritten yet: {exc}") from exc
    if is_busy:
        raise DatabaseUnavailable("what was erased cannot be overwritten yet: the write-ahead log is being read")


def _ask_for_log(connection: sqlite3.Connection) -> None:
    """Have a write-ahead log: a new file has to be turned over to it, and SQLite does not wait for that lock."""
    last_try = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > last_try:
                raise
            time.sleep(0.01)
        else:
            return


def _identity(file: str) -> tuple[int, int] | None:
    """Return which file a name leads to; None where it leads to none, as in memory. A `Path` would intern its parts."""
    try:
        found = os.stat(file)  # noqa: PTH116 - see above
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _carry_out(connection: sqlite3.Connection, sql: str, given: Arguments) -> Rows:
    """Run one statement, or a first and a last one as one transaction; return the rows of the last."""
    *first, last = sql.split(";")
    with connection:
        for statement in ("BEGIN IMMEDIATE", *first) if first else ():
            connection.execute(statement, given)
        return connection.execute(last, given).fetchall()


def _make_tables(connection: sqlite3.Connection, steps: Mapping[int, Sequence[str]]) -> None:
    """Create missing tables, one step at a time, under SQLite's own lock; where none is missing, no lock is wanted."""
    if _made(connection) >= max(steps):
        _refuse_foreign(connection, steps)
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        made = _refuse_foreign(connection, steps)
        connection.execute("CREATE TABLE IF NOT EXISTS orders_schema (number integer PRIMARY KEY)")
        for number in sorted(step for step in steps if step > made):
            for statement in steps[number]:
                connection.execute(for_sqlite(statement))
            connection.execute("INSERT INTO orders_schema VALUES (?)", (number,))


def _made(connection: sqlite3.Connection) -> int:
    """Return the number of the last step that was made."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'orders_schema'").fetchone() is None:
        return 0
    ((made,),) = connection.execute("SELECT coalesce(max(number), 0) FROM orders_schema")
    return int(made)


def _refuse_foreign(connection: sqlite3.Connection, steps: Mapping[int, Sequence[str]]) -> int:
    """Return the number of the last step that was made."""
    ((oldest,),) = connection.execute("PRAGMA user_version")
    if oldest > PROGRAM:
        raise DatabaseRefused("its tables were made by a newer switchboard. Update this one.")
    tables = "SELECT 1 FROM sqlite_schema WHERE name IN ('orders', 'calls', 'tokens')"
    if (made := _made(connection)) < min(steps) and connection.execute(tables).fetchone():
        raise DatabaseRefused("it has tables of another program, or of a draft. Name another: DATABASE_URL.")
    return made
