"""A way to PostgreSQL that can go silent, be slow or be cut, or names sessions as a pooler does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio
from trio.abc import ReceiveStream, SendStream

_SESSION = b"K\x00\x00\x00\x0c"
"""The head of the message with which a server names the process of a session."""


@attrs.define(eq=False)
class Way:
    """Passes bytes between an address of this machine and the unix socket of a server."""

    socket: str
    names_sessions: bool = False
    """Give sessions names of its own, as PgBouncer does."""
    delay: float = 0.0
    """Seconds before each part of an answer."""
    port: int = attrs.field(default=0, init=False)
    opened: int = attrs.field(default=0, init=False)
    """Connections so far …"""
    silent: int = attrs.field(default=0, init=False)
    """… and how many of them pass nothing on any more."""

    @property
    def url(self) -> str:
        return f"postgresql://switchboard@127.0.0.1:{self.port}/postgres"

    def go_silent(self) -> None:
        """Pass on nothing more of what is open now, and close none of it; what is opened from now on works."""
        self.silent = self.opened

    async def serve(self, client: trio.SocketStream) -> None:
        self.opened += 1
        number = self.opened
        server = await trio.open_unix_socket(self.socket)
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, client, server, number, 0.0)
            await self._pass_on(server, client, number, self.delay)
            nursery.cancel_scope.cancel(reason="the server has closed it")

    async def _pass_on(self, source: ReceiveStream, to: SendStream, number: int, delay: float) -> None:
        async for part in source:
            if number <= self.silent:
                await trio.sleep_forever()
            await trio.sleep(delay)
            head = part.find(_SESSION) + len(_SESSION) if self.names_sessions and _SESSION in part else len(part)
            await to.send_all(part[:head] + bytes(~byte & 0x7F for byte in part[head : head + 1]) + part[head + 1 :])


@asynccontextmanager
async def way_to(folder: Path, *, names_sessions: bool = False, delay: float = 0.0) -> AsyncIterator[Way]:
    """Open a way to the server whose socket is in `folder`, for as long as the `async with` lasts."""
    way = Way(f"{folder}/.s.PGSQL.5432", names_sessions, delay)
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, way.serve, 0, host="127.0.0.1"))
        way.port = listener.socket.getsockname()[1]
        yield way
        nursery.cancel_scope.cancel(reason="nobody takes this way any more")
