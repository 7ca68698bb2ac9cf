"""Small texts that one request leaves for the next, on whichever worker: stream tokens, and news of a call.

`TokenStore` keeps them in a table, under a digest of their name, each with an expiry by the database's clock: in the
PostgreSQL that workers share, in a file of SQLite of their own, or in this process's memory. Taking one is a
`DELETE … RETURNING`, which only one taker wins. What the database does not take, a worker keeps in a store in its own
memory: a call whose stream comes to the worker of its webhook is let in all the same. That holds as well where the
database has taken it and is lost, locked or full before the stream comes (`put`, `has_copy`).
To look at a text, or to drop it, is for news of a call, which goes on without: what cannot be looked up is not there,
and the log has that once. Where "not there" and "not known" are two answers (a stream's token), it is taken.
"""

import errno
import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, cast

import attrs
import orjson
import structlog
import trio

from store.databases import Rows, SqlDatabase, SqliteDatabase
from store.erasing import Subject
from store.schema import TOKENS

ANSWER_SECONDS = 2.0
"""For the database to do one thing: Twilio waits 15 s for an answer, and a caller with it."""
SWEEP_SECONDS = 60.0
"""Between two removals of what has expired …"""
KEPT_SECONDS = 60.0
"""… so long ago: by then the worker that has put it has seen to what was not taken, if it lives."""

_THESE = "name IN (SELECT decode(value, 'hex') FROM ({texts}) AS asked)"
_PUT = f"""INSERT INTO tokens (name, content, expires)
    SELECT CAST(:name AS {{bytes}}), CAST(:content AS {{bytes}}), to_timestamp({{now}} + :seconds)
        WHERE NOT EXISTS (SELECT 1 FROM tokens WHERE {_THESE} AND expires > to_timestamp({{now}}))
    ON CONFLICT (name) DO UPDATE SET content = excluded.content, expires = excluded.expires RETURNING name"""  # noqa: S608 - constants
_PEEK = f"SELECT name, content FROM tokens WHERE {_THESE} AND expires > to_timestamp({{now}})"  # noqa: S608 - constants
_TAKE = "DELETE FROM tokens WHERE name = :name AND expires > to_timestamp({now}) RETURNING content"
_EXCHANGE = """{first}INSERT INTO tokens (name, content, expires)
    SELECT CAST(:into AS {bytes}), CAST(:empty AS {bytes}), to_timestamp({now} + :seconds)
        FROM tokens WHERE name = :name AND expires > to_timestamp({now}) {skip}
    ON CONFLICT (name) DO UPDATE SET expires = excluded.expires RETURNING name
    {then}DELETE FROM tokens WHERE name = :name AND {if_first} AND expires > to_timestamp({now})
    RETURNING content"""
"""Both or neither. Of several that exchange one name at once, one gets it, and the others leave nothing."""
_ALL = "SELECT name, content FROM tokens"
_FORGET = f"DELETE FROM tokens WHERE {_THESE} AND expires <= to_timestamp({{now}} - :kept)"  # noqa: S608 - constants
_ERASE = f"DELETE FROM tokens WHERE {_THESE}"  # noqa: S608 - constants
_EXPIRED = "SELECT name, content FROM tokens WHERE expires <= to_timestamp({now} - :kept)"

_log = structlog.stdlib.get_logger()


def _key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _listed(keys: Sequence[bytes]) -> str:
    return orjson.dumps([key.hex() for key in keys]).decode()


@attrs.define(eq=False)
class SqliteTokens(SqliteDatabase):
    """Small texts in a file of their own: a call does not wait while the records are written anew (`overwrite`)."""

    steps: ClassVar[Mapping[int, Sequence[str]]] = {1: TOKENS}
    is_durable: bool = False
    remedy = "Remove it: it is made anew, and holds what calls need for some minutes."


@attrs.define(eq=False)
class TokenStore:
    """Keeps a text under a name until it is taken or too old.

    `take`, `exchange` and `erase` raise `OSError` where the texts of all workers cannot be asked.
    """

    database: SqlDatabase = attrs.field(factory=SqliteDatabase)
    _own: "TokenStore | None" = attrs.field(default=None, init=False)
    """What the database did not take, in this worker's memory."""
    _copies: dict[str, tuple[bytes, float]] = attrs.field(factory=dict, init=False)
    """What the database has as well, and until when (trio's clock), for a taker while it is away."""
    _given: set[bytes] = attrs.field(factory=set, init=False)
    """Keys of copies that were taken: the database is asked to remove theirs before anything is taken from it."""
    _failing: bool = attrs.field(default=False, init=False)
    _is_away: bool = attrs.field(default=False, init=False)
    """Whether the database did not answer when it was asked last."""
    _last: float = attrs.field(default=-math.inf, init=False)
    """When the last of what was put here has expired."""

    async def put(
        self, name: str, content: bytes, seconds: float, unless: Sequence[str] = (), *, has_copy: bool = False
    ) -> bool:
        """Keep `content` under `name` for so long; here, where the database does not take it.

        False: nothing was put, since there is a text under one of `unless`.

        `has_copy`: a name that is never put again; this worker gives it to a taker while the database is away.
        """
        expires = self._note_expiry(seconds)
        if self._own is not None and await self._own.peek_all(unless):
            return False
        others = _listed([_key(other) for other in unless])
        try:
            rows = await self._ask(_PUT, name=_key(name), content=content, seconds=float(seconds), texts=others)
        except OSError as exc:
            if not self._failing:
                _log.error("texts_not_shared", why=str(exc))
            self._failing = True
            self._own = self._own or TokenStore()
            return await self._own.put(name, content, seconds)
        self._failing = False
        if self._own is not None:
            await self._own.take(name)
        if rows and has_copy:
            self._copies[name] = content, expires
        return bool(rows)

    async def peek(self, name: str, if_unknown: bytes | None = None) -> bytes | None:
        """Return what lies under `name` and leave it there; `if_unknown` where that cannot be looked up."""
        found = await self._look([name])
        return if_unknown if found is None else found.get(name)

    async def peek_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return what lies under each of `names`, for all of them with one question."""
        if not names:
            await trio.lowlevel.checkpoint()
            return {}
        return await self._look(names) or {}

    async def _look(self, names: Sequence[str]) -> Mapping[str, bytes] | None:
        """Return what lies there; where the database cannot be asked, what this worker keeps alone, or None."""
        own = await self._own.peek_all(names) if self._own is not None else {}
        others = {_key(name): name for name in names if name not in own}
        try:
            rows = await self._ask(_PEEK, texts=_listed([*others])) if others else ()
        except OSError as exc:
            self._note_away(exc)
            return own or None
        return {**own, **{others[key]: content for key, content in rows}}

    async def take(self, name: str) -> bytes | None:
        """Return what lies under `name`, to one taker only."""
        if (own := await self._take_own(name)) is not None:
            return own
        try:
            return await self._take_shared(_TAKE, name)
        except OSError as exc:
            if (copy := self._take_copy(name, exc)) is None:
                raise
            return copy

    def _take_copy(self, name: str, away: OSError) -> bytes | None:
        """Take what this worker has kept for when the database is away, if it is not too old."""
        content, expires = self._copies.pop(name, (b"", -math.inf))
        if expires <= trio.current_time():
            return None
        self._note_away(away)
        self._given.add(_key(name))
        return content

    async def _take_shared(self, sql: str, name: str, **arguments: object) -> bytes | None:
        """Take from the database, and drop the copy; nothing, where somebody has taken that while it was asked."""
        had_copy = name in self._copies
        rows = await self._ask(sql, name=_key(name), **arguments)
        is_taken = self._copies.pop(name, None) is None and had_copy
        return cast("bytes", rows[0][0]) if rows and not is_taken else None

    async def _take_own(self, name: str) -> bytes | None:
        """Take what this worker keeps alone, and from the database as well: its answer may have been late, or lost."""
        own = await self._own.take(name) if self._own is not None else None
        if own is not None:
            self._given.add(_key(name))
            with suppress(OSError):
                await self._ask(_TAKE, name=_key(name))
        return own

    async def drop(self, name: str) -> bytes | None:
        """Take what lies under `name`, as far as that is possible now."""
        try:
            return await self.take(name)
        except OSError as exc:
            self._note_away(exc)
            return None

    async def exchange(self, name: str, into: str, seconds: float) -> bytes | None:
        """Take what lies under `name`; if something does, leave an empty text under `into` for so long.

        Cancellation: did both or neither, where the database takes both.
        """
        self._note_expiry(seconds)
        if (own := await self._take_own(name)) is not None:
            await self.put(into, b"", seconds)
            return own
        try:
            return await self._take_shared(_EXCHANGE, name, into=_key(into), empty=b"", seconds=float(seconds))
        except OSError as exc:
            if (copy := self._take_copy(name, exc)) is not None:  # a caller waits: nothing more is asked
                self._own = self._own or TokenStore()
                await self._own.put(into, b"", seconds)
                return copy
            if (found := await self.take(name)) is not None:  # a full disk may still give; then `into` is kept here
                await self.put(into, b"", seconds)
            return found

    async def erase(self, subject: Subject) -> int:
        """Forget what mentions somebody; return how many texts that were."""
        self._copies = {name: kept for name, kept in self._copies.items() if not _mentions(kept[0], subject)}
        own = await self._own.erase(subject) if self._own is not None else 0
        kept = await self._ask(_ALL)
        keys = [key for key, content in kept if _mentions(content, subject)]
        await self._ask(_ERASE, texts=_listed(keys))
        if isinstance(self.database, SqliteTokens):  # what was taken may have left something, too
            await self.database.overwrite()
        return own + len(keys)

    async def sweep_on(self, unused: Callable[[bytes], Awaitable[object]]) -> None:
        """Remove what has expired, until cancelled, and give `unused` each text of it that nobody has taken.

        A text may be given to it twice. First comes what an earlier process left. Where there is a file, a worker
        without calls asks nothing any more once all that it has put is gone. The first sweep opens the file, too, so
        that no call waits for that.
        """
        swept = -math.inf
        self._note_expiry(SWEEP_SECONDS)  # what an earlier process has put last
        while True:
            if swept <= self._last + KEPT_SECONDS or not isinstance(self.database, SqliteDatabase):
                swept = trio.current_time()
                await self._sweep(unused)
            await trio.sleep(SWEEP_SECONDS)

    def _note_expiry(self, seconds: float) -> float:
        expires = trio.current_time() + seconds
        self._last = max(self._last, expires)
        return expires

    def _note_away(self, exc: OSError) -> None:
        if not self._is_away:
            _log.warning("texts_away", why=str(exc))
        self._is_away = True

    async def _ask(self, sql: str, **arguments: object) -> Rows:
        with trio.move_on_after(ANSWER_SECONDS):
            if self._given and sql != _PEEK:  # a full disk can be read, and nobody looks at a token
                given = [*self._given]
                await self.database.ask(_ERASE, {"texts": _listed(given)})
                self._given.difference_update(given)
            rows = await self.database.ask(sql, arguments)
            self._is_away = False
            return rows
        raise OSError(errno.ETIMEDOUT, "the database did not answer in time")

    async def _sweep(self, unused: Callable[[bytes], Awaitable[object]]) -> None:
        """Tell of what has expired, and then remove it: a worker that is cut off in between leaves it to the next."""
        now = trio.current_time()
        self._copies = {name: kept for name, kept in self._copies.items() if kept[1] > now}
        if self._own is not None:
            await self._own._sweep(_nothing)  # this worker has seen to it
        with suppress(OSError):
            if not (rows := await self._ask(_EXPIRED, kept=KEPT_SECONDS)):
                return
            for _, content in rows:
                await unused(content)
            await self._ask(_FORGET, texts=_listed([key for key, _ in rows]), kept=KEPT_SECONDS)
            if isinstance(self.database, SqliteDatabase):  # leave nothing of them in the log beside the file
                await self._ask("PRAGMA wal_checkpoint(TRUNCATE)")


def _mentions(content: bytes, subject: Subject) -> bool:
    return subject.is_in(content.decode(errors="replace"))


async def _nothing(_text: bytes) -> None:
    await trio.lowlevel.checkpoint()
