"""Small texts that one request leaves for the next, on whichever worker: stream tokens, and news of a call.

`DatabaseTokens` keeps them in PostgreSQL under a digest of their name, each with an expiry by the database's clock;
taking one is a `DELETE … RETURNING`, which only one taker wins. While the database is away, a worker keeps what it
leaves in its own memory and finds it there: a call whose stream comes to the worker of its webhook is let in all the
same. What another worker has left cannot be looked up then: `FleetUnavailable`, an `OSError`.
"""

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import attrs
import trio

from store.erasing import Subject
from store.fleet.driver import Database, Rows
from store.fleet.shared import FleetUnavailable
from store.memory import MemoryTexts

SWEEP_SECONDS = 60.0
"""Between two removals of what has expired."""

_PUT = """INSERT INTO tokens (name, content, expires)
    VALUES (%(name)s, %(content)s, clock_timestamp() + %(seconds)s * interval '1 second')
    ON CONFLICT (name) DO UPDATE SET content = excluded.content, expires = excluded.expires"""
_CLAIM = f"{_PUT} WHERE tokens.expires <= clock_timestamp() RETURNING 1"
_PEEK = "SELECT name, content FROM tokens WHERE name = ANY(%(names)s) AND expires > clock_timestamp()"
_TAKE = "DELETE FROM tokens WHERE name = %(name)s AND expires > clock_timestamp() RETURNING content"
_ALL = "SELECT name, content FROM tokens"
_ERASE = "DELETE FROM tokens WHERE name = ANY(%(names)s) OR expires < clock_timestamp()"
_SWEEP = "DELETE FROM tokens WHERE expires < clock_timestamp()"


def _key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


@attrs.define(eq=False)
class DatabaseTokens:
    """Tokens of all workers. All but `put` raise `FleetUnavailable`."""

    database: Database
    _own: MemoryTexts = attrs.field(factory=MemoryTexts, init=False)
    _swept: float = attrs.field(default=-math.inf, init=False)

    async def put(self, name: str, content: bytes, seconds: float) -> None:
        """Keep `content` under `name` for so long; here, while the database is away."""
        try:
            await self._ask(_PUT, name, content=content, seconds=seconds)
        except FleetUnavailable:
            self._own.put(name, content, seconds)
        else:
            self._own.take(name)
            await self._sweep()

    async def claim(self, name: str, content: bytes, seconds: float) -> bytes | None:
        """Keep `content` under `name` if nothing lies there, which only one of several achieves; else return that."""
        own = self._own.peek(name)
        if own is not None:
            return own
        while True:
            if await self._ask(_CLAIM, name, content=content, seconds=seconds):
                return None
            if (found := await self.peek(name)) is not None:
                return found
            await trio.lowlevel.checkpoint()  # it has expired, or was taken, in between

    async def peek(self, name: str) -> bytes | None:
        """Return what lies under `name` and leave it there."""
        return (await self.peek_all([name])).get(name)

    async def peek_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return what lies under each of `names`, for all of them with one question."""
        own = {name: content for name in names if (content := self._own.peek(name)) is not None}
        others = {_key(name): name for name in names if name not in own}
        rows = await self.database.ask(_PEEK, {"names": [*others]}) if others else []
        return {**own, **{others[bytes(name)]: bytes(content) for name, content in rows}}

    async def take(self, name: str) -> bytes | None:
        """Return what lies under `name`, to one taker only."""
        own = self._own.take(name)
        if own is not None:
            return own
        rows = await self._ask(_TAKE, name)
        return bytes(rows[0][0]) if rows else None

    async def exchange(self, name: str, into: str, seconds: float) -> bytes | None:
        """Take what lies under `name`; if something does, leave an empty text under `into` for so long."""
        found = await self.take(name)
        if found is not None:
            await self.put(into, b"", seconds)
        return found

    async def erase(self, subject: Subject) -> int:
        """Forget what mentions somebody, and what has expired; return how many texts mentioned them."""
        kept = await self.database.ask(_ALL)
        names = [name for name, content in kept if subject.is_in(bytes(content).decode(errors="replace"))]
        await self.database.ask(_ERASE, {"names": names})
        return len(names) + self._own.erase(subject)

    async def _ask(self, sql: str, name: str, **more: object) -> Rows:
        named: Mapping[str, object] = {"name": _key(name), **more}
        return await self.database.ask(sql, named)

    async def _sweep(self) -> None:
        if time.monotonic() < self._swept + SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        with suppress(FleetUnavailable):
            await self.database.ask(_SWEEP)
