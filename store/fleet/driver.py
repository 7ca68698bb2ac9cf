"""PostgreSQL from trio: psycopg's asynchronous connection, with its three places that need asyncio replaced.

`TrioConnection` replaces `lock`, `wait` and the connecting of `psycopg.AsyncConnection`; cursors and adaptation are
psycopg's own. These places are not documented (https://github.com/psycopg/psycopg/issues/29), so the dependency is
pinned and this file is all that knows of them. `Database` is a few connections in autocommit: one statement is one
transaction and one round trip, which PgBouncer's transaction mode allows as well. A statement that is cancelled, or
takes longer than `PATIENCE`, closes its connection; it may have been carried out all the same.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self, TypeVar, cast

import attrs
import psycopg
import structlog
import trio
from psycopg import AsyncConnection, errors, waiting
from psycopg._conninfo_utils import get_param, split_attempts
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.rows import TupleRow
from trio.lowlevel import ParkingLot, wait_readable, wait_writable

from protocol.errors import one_line
from store.calls import DatabaseUnavailable
from store.databases import TOLD_SECONDS, Arguments, Conflict, Rows, for_postgres

T = TypeVar("T")

CONNECTIONS = 3
"""Of one worker, beside the one that listens."""
PATIENCE = 1.0
"""Seconds for one statement, with its connection; a server that is there gives a statement up a little earlier."""
_ITS_PART = 0.8
QUIET_SECONDS = 10.0
"""After so long without a word, a connection that listens is asked whether it is still one: a way can go silently."""
AWAY_TOLD_SECONDS = 60.0
"""At most once in so long the log has that a database is away: one that is slow comes and goes with each statement."""
_TRIES = 3
_USELESS = (
    errors.ReadOnlySqlTransaction,
    errors.InsufficientPrivilege,
    errors.InvalidSchemaName,
    errors.UndefinedTable,
    errors.UndefinedColumn,
)
"""Answers of a replica, or of a database that is not ours: it counts as away."""
_RIGHTS = (
    "Have the role that owns the tables run `switchboard migrate` (with its own DATABASE_URL),"
    " and GRANT SELECT, INSERT, UPDATE, DELETE on them to this one"
)
_PRIMARY = (
    "It only lets itself be read, as a replica does: DATABASE_URL is to name the primary; of several hosts,"
    " target_session_attrs=read-write finds it"
)
_FIXES = {errors.InsufficientPrivilege: _RIGHTS, errors.ReadOnlySqlTransaction: _PRIMARY}
_NOT_NOW = (errors.QueryCanceled, psycopg.ProgrammingError, psycopg.InternalError, psycopg.NotSupportedError)
"""It is there, and this was too much, or is locked, broken, or refused by a trigger of the operator's."""

CONNECT_SECONDS = 3
"""For a connection for which no call waits: seven round trips, with TLS and a password."""
_STRAY = re.compile(r" |%(?![0-9A-Fa-f]{2})")
"""A space, or a percent sign that begins no code: libpq refuses both, and quotes the password that has them."""
_PATIENCE = {
    "connect_timeout": str(CONNECT_SECONDS),
    "tcp_user_timeout": "5000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "application_name": "switchboard",
    "client_encoding": "UTF8",
}
"""A way that has gone silently is noticed ten seconds later, and not, as the kernel would, after two hours."""

_log = structlog.stdlib.get_logger()


def told(error: BaseException) -> str:
    """Write an exception on one line, without PostgreSQL's details: they quote the row, and words of a call with it."""
    if isinstance(error, trio.TooSlowError):
        return "no answer in time"
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return f"{type(error).__name__}: {primary}" if primary else one_line(error)


def _libpq_url(url: str) -> str:
    rest = _STRAY.sub(lambda stray: f"%{ord(stray[0]):02X}", url.partition(":")[2])
    return f"postgresql:{rest}"


def conninfo_of(url: str) -> str:
    """Return what libpq takes for a `DATABASE_URL`, whatever driver the URL names. Raises: `OSError`."""
    plain = _libpq_url(url)
    try:
        given = conninfo_to_dict(plain)
    except psycopg.ProgrammingError as exc:
        raise OSError(f"{' '.join(str(exc).split())}: PostgreSQL has no such. Check DATABASE_URL.") from exc
    return make_conninfo(plain, **{name: value for name, value in _PATIENCE.items() if not given.get(name)})


async def _wait_both(descriptor: int) -> waiting.Ready:
    """Wait for either: libpq may have to read before it can go on writing."""
    ready = 0

    async def note(wait: Callable[[int], Awaitable[None]], what: int) -> None:
        nonlocal ready
        await wait(descriptor)
        ready |= what
        nursery.cancel_scope.cancel(reason="ready")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note, wait_readable, waiting.READY_R)
        nursery.start_soon(note, wait_writable, waiting.READY_W)
    return waiting.Ready(ready)


async def _wait(descriptor: int, want: waiting.Wait) -> waiting.Ready:
    if want == waiting.WAIT_R:
        await wait_readable(descriptor)
        return waiting.READY_R
    if want == waiting.WAIT_W:
        await wait_writable(descriptor)
        return waiting.READY_W
    return await _wait_both(descriptor)


class TrioConnection(AsyncConnection[TupleRow]):
    """A connection whose waits are trio's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - psycopg's
        super().__init__(*args, **kwargs)
        self.lock = cast("Any", trio.Lock())

    async def wait(
        self,
        gen: Generator[waiting.Wait, waiting.Ready, T],
        interval: float = 0.0,  # noqa: ARG002 - psycopg's signature; our deadlines are scopes
        timeout: float | None = None,  # noqa: ARG002
    ) -> T:
        """Run one of psycopg's generators."""
        try:
            want = next(gen)
            while True:
                want = gen.send(await _wait(self.pgconn.socket, want))
        except StopIteration as end:
            return cast("T", end.value)
        except trio.Cancelled:
            self.pgconn.finish()  # the answer is on its way still: this connection is of no more use
            raise

    @classmethod
    async def open(cls, conninfo: str, patience: float) -> Self:
        """Connect to the first of the hosts, and of their addresses, that takes us; each has half of the time left.

        A statement may take `patience` seconds there.

        Raises: `psycopg.OperationalError`, `OSError`.
        """
        *ways, last = await _ways(conninfo)
        for way in ways:
            time_left = trio.current_effective_deadline() - trio.current_time()
            with suppress(psycopg.OperationalError), trio.move_on_after(time_left / 2):
                return await cls._open(way, patience)
        return await cls._open(last, patience)

    @classmethod
    async def _open(cls, way: str, patience: float) -> Self:
        """Connect so that the server gives a statement up when we do: else it would wait on, and be waited for."""
        given = get_param(conninfo_to_dict(way), "options") or ""  # of PGOPTIONS, where the URL has none
        impatient = make_conninfo(way, options=f"-c statement_timeout={patience * _ITS_PART * 1000:.0f} {given}")
        try:
            return await cls._connected(impatient)
        except psycopg.OperationalError as exc:
            if "options" not in str(exc):
                raise
            return await cls._connected(way)  # PgBouncer takes none

    @classmethod
    async def _connected(cls, conninfo: str) -> Self:
        connecting = cls._connect_gen(conninfo)
        try:
            descriptor, want = next(connecting)
            while True:
                descriptor, want = connecting.send(await _wait(descriptor, want))
        except StopIteration as end:
            connection = cast("Self", end.value)
        connection._autocommit = True
        connection.prepare_threshold = None  # PgBouncer hands each statement to another session
        return connection

    @property
    def is_usable(self) -> bool:
        """Whether the server has left it open while it was idle. Reads what has come, and sends nothing."""
        with suppress(psycopg.OperationalError):
            self.pgconn.consume_input()
        return self.pgconn.status == ConnStatus.OK


async def _ways(conninfo: str) -> Sequence[str]:
    """Return each way to each host, its address looked up: libpq would block on that. Raises: `OSError`."""
    ways, unknown = list[str](), list[OSError]()
    for given in split_attempts(conninfo_to_dict(conninfo)):
        host, port = str(given.get("host") or ""), str(given.get("port") or 5432)
        if not host or host.startswith("/") or given.get("hostaddr"):
            ways.append(make_conninfo("", **given))
            continue
        try:
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
        except OSError as exc:
            unknown.append(exc)
        else:
            ways += [make_conninfo("", **given, hostaddr=one[4][0]) for one in found]
    if not ways:
        raise unknown[0]
    return ways


@attrs.define(eq=False)
class Database:
    """A few connections to one database, opened when they are needed.

    Closes: `close` closes what is idle; a statement that runs closes its own.
    """

    conninfo: str = attrs.field(converter=conninfo_of, on_setattr=attrs.setters.NO_OP, alias="url", repr=False)
    patience: float = attrs.field(factory=lambda: PATIENCE)
    """Seconds for one statement."""
    is_away: bool = attrs.field(default=False, init=False)
    """Whether the last statement had no answer; until `ask(even_away=True)` has one, others fail at once."""
    is_ready: bool = attrs.field(default=False, init=False)
    """Whether there are tables, as far as is known: until then, only `ask(even_away=True)` asks."""
    _refusal: DatabaseUnavailable | None = attrs.field(default=None, init=False)
    refused_for: str = attrs.field(default="", init=False)
    """Of which kind the last refusal was that the log has; empty once the database is of use again."""
    _told_at: float = attrs.field(default=0.0, init=False)
    _is_told_away: bool = attrs.field(default=False, init=False)
    _may_tell_away: float = attrs.field(default=0.0, init=False)
    _idle: list[TrioConnection] = attrs.field(factory=list, init=False)
    _used: int = attrs.field(default=0, init=False)
    """Connections that are in use, or being opened."""
    _given_back: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    _few: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(CONNECTIONS), init=False)

    async def ask(self, sql: str, arguments: Arguments | None = None, *, even_away: bool = False) -> Rows:
        """Run one statement and return its rows; `even_away`: no call waits for it, and it may take time to connect.

        Raises: `DatabaseUnavailable`; `psycopg.IntegrityError` where the statement meets a constraint;
        `psycopg.DataError`.
        """
        if not even_away and (self.is_away or not self.is_ready):
            raise self._absence
        try:
            with trio.fail_after(self.patience + (CONNECT_SECONDS if even_away and not self._idle else 0)):
                rows = await self._ask(sql, arguments)
        except _USELESS as exc:
            self.close()  # another connection may lead to another server
            why = f"{told(exc)}. {_FIXES[type(exc)]}" if type(exc) in _FIXES else told(exc)
            raise self.refuse(DatabaseUnavailable(why), type(exc).__name__) from exc
        except errors.DiskFull as exc:  # it is there, and other statements may find room
            raise self.refuse(DatabaseUnavailable(f"{told(exc)}. Make room on its disk"), "DiskFull") from None
        except _NOT_NOW as exc:
            raise DatabaseUnavailable(told(exc)) from None
        except (trio.TooSlowError, psycopg.OperationalError, psycopg.InterfaceError, OSError) as exc:
            self.close()  # what is idle leads the same way
            if not self._is_told_away and trio.current_time() >= self._may_tell_away:
                _log.warning("database_away", why=told(exc))
                self._is_told_away, self._may_tell_away = True, trio.current_time() + AWAY_TOLD_SECONDS
            self.is_away = True
            raise DatabaseUnavailable(told(exc)) from exc
        if self._is_told_away:
            _log.info("database_back")
        self.is_away = self._is_told_away = False
        return rows

    async def _ask(self, sql: str, arguments: Arguments | None) -> Rows:
        """Run a statement; again only where the server says that it did not carry it out."""
        for _ in range(_TRIES - 1):
            with suppress(errors.DeadlockDetected, errors.SerializationFailure):
                try:
                    return await self._ask_once(sql, arguments)
                except errors.AdminShutdown:
                    self.close()  # the others were ended with it
        return await self._ask_once(sql, arguments)

    async def _ask_once(self, sql: str, arguments: Arguments | None) -> Rows:
        async with self._few, self._connection() as connection:
            cursor = await connection.execute(sql.encode(), arguments)
            return await cursor.fetchall() if cursor.description else ()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[TrioConnection]:
        connection = await self._idle_or_new()
        try:
            yield connection
        finally:
            if connection.closed or connection.pgconn.transaction_status != TransactionStatus.IDLE:
                connection.pgconn.finish()
            else:
                self._idle.append(connection)
            self._give_back()

    async def _idle_or_new(self) -> TrioConnection:
        """Return a connection; where the server has no room for one more, the next of ours that is given back."""
        if self._idle and not self._idle[-1].is_usable:
            self.close()  # the others have gone with it
        if not self._idle:
            self._used += 1
            try:
                return await TrioConnection.open(self.conninfo, self.patience)
            except psycopg.OperationalError as exc:
                refused = exc
                self._give_back()
            except BaseException:
                self._give_back()
                raise
            while self._used and not self._idle:
                await self._given_back.park()
            if not self._idle:
                raise refused
        self._used += 1
        return self._idle.pop()

    async def fill(self) -> None:
        """Open the connections that are missing, so that no call waits for one. Raises nothing."""
        while len(self._idle) + self._used < CONNECTIONS:
            self._used += 1
            try:
                with trio.fail_after(CONNECT_SECONDS):
                    self._idle.append(await TrioConnection.open(self.conninfo, self.patience))
            except (trio.TooSlowError, psycopg.OperationalError, OSError):
                return  # those that are open have to do
            finally:
                self._give_back()

    def _give_back(self) -> None:
        self._used -= 1
        self._given_back.unpark_all()

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle:
            connection.pgconn.finish()
        self._idle.clear()

    @property
    def _absence(self) -> DatabaseUnavailable:
        """Why nothing can be asked before the database is back, or has tables."""
        if self.is_away:
            return DatabaseUnavailable("the database is away")
        refusal = self._refusal or DatabaseUnavailable("the database has no tables of ours yet")
        return type(refusal)(str(refusal))

    def refuse(self, why: DatabaseUnavailable, kind: str = "") -> DatabaseUnavailable:
        """Return why this program does not work with the database; the log has it once an hour, whatever was asked."""
        kind, now = kind or str(why), trio.current_time()
        if kind != self.refused_for or now > self._told_at + TOLD_SECONDS:  # a disk that fills again is told again
            _log.warning("database_refused", why=str(why))
            self.refused_for, self._told_at = kind, now
        self._refusal = type(why)(str(why))  # which no traceback hangs on
        return why


async def listen(conninfo: str, channel: str, tell: Callable[[str], None]) -> None:
    """Tell what is notified on a channel, and "" once it is listened to, until cancelled.

    Raises: `psycopg.OperationalError`, `OSError` when the server has gone.
    """
    with trio.fail_after(CONNECT_SECONDS):
        connection = await TrioConnection.open(conninfo, PATIENCE)
    try:
        connection.add_notify_handler(lambda notified: tell(notified.payload))  # of those that come with an answer
        await _carried_out(connection, f'LISTEN "{channel}"')
        tell("")
        while True:
            while (notified := connection.pgconn.notifies()) is not None:
                tell(notified.extra.decode())
            with trio.move_on_after(QUIET_SECONDS) as quiet:
                await wait_readable(connection.pgconn.socket)
            if quiet.cancelled_caught:
                await _carried_out(connection, "SELECT 1")
            connection.pgconn.consume_input()
    finally:
        connection.pgconn.finish()


async def _carried_out(connection: TrioConnection, sql: str) -> None:
    with trio.fail_after(PATIENCE):
        await connection.execute(sql.encode())


@attrs.frozen
class PostgresDatabase:
    """What workers keep in the PostgreSQL that they share (`store.databases`); the fleet makes the tables."""

    database: Database

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        """Run one statement, as one transaction, and return its rows. Raises: `DatabaseUnavailable`; `Conflict`."""
        try:
            return await self.database.ask(for_postgres(sql), arguments)
        except (psycopg.IntegrityError, psycopg.DataError) as exc:
            raise Conflict(told(exc)) from None
