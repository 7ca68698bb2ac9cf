"""A way to a PostgreSQL, by TCP, on which what goes wrong in a network goes wrong."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from tests.store.throw_away_postgres import Cluster


@attrs.define(eq=False)
class Way:
    """Passes bytes on in both directions."""

    cluster: Cluster
    port: int = 0
    loses_answers: bool = False
    """Whether it breaks when the server has answered, and passes nothing of that on."""
    opened: int = 0
    _silent: set[int] = attrs.field(factory=set, init=False)

    @property
    def url(self) -> str:
        return f"postgresql://switchboard@127.0.0.1:{self.port}/postgres"

    def forget(self) -> None:
        """Let nothing through any more on the connections that there are, as a firewall does; new ones are well."""
        self._silent.update(range(self.opened))

    async def carry(self, client: trio.SocketStream) -> None:
        number, self.opened = self.opened, self.opened + 1
        server = await trio.open_unix_socket(str(self.cluster.folder / ".s.PGSQL.5432"))
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, number, client, server, nursery)
            await self._pass_on(number, server, client, nursery)

    async def _pass_on(
        self, number: int, source: trio.SocketStream, target: trio.SocketStream, nursery: trio.Nursery
    ) -> None:
        answers = target.socket.family == trio.socket.AF_INET
        try:
            async for some in source:
                if answers and self.loses_answers:
                    break
                if number not in self._silent:
                    await target.send_all(some)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            """One side has gone."""
        nursery.cancel_scope.cancel(reason="the connection is over")


@asynccontextmanager
async def open_way(cluster: Cluster) -> AsyncIterator[Way]:
    way = Way(cluster)
    async with trio.open_nursery() as nursery:
        serving = partial(trio.serve_tcp, way.carry, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serving)
        way.port = listener.socket.getsockname()[1]
        yield way
        nursery.cancel_scope.cancel(reason="the way is closed")
