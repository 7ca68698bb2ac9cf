"""A network between page and server that stalls, breaks and comes back: a TCP proxy."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import attrs
import trio

SMALL = 4096
"""Of the buffers on the way, so that a stall is felt within seconds, as it is on the air."""
SEGMENT = 536
"""Bytes of a segment: the loopback's 64 kB would have the kernel take in two minutes of speech."""


@attrs.define
class Network:
    """The way from one page to one server."""

    origin: str
    _flows: trio.Event = attrs.field(factory=trio.Event)
    _flows_back: trio.Event = attrs.field(factory=trio.Event)
    _ends: list[trio.SocketStream] = attrs.field(factory=list)

    def stall(self) -> None:
        """Carry nothing from the page any more."""
        self._flows = trio.Event()

    def freeze(self) -> None:
        """Carry nothing either way, and break nothing."""
        self._flows, self._flows_back = trio.Event(), trio.Event()

    def resume(self) -> None:
        """Carry on."""
        self._flows.set()
        self._flows_back.set()

    async def cut(self) -> None:
        """Break every connection."""
        ends, self._ends = self._ends, []
        for end in ends:
            await trio.aclose_forcefully(end)

    async def carry(self, page: trio.SocketStream, host: str, port: int) -> None:
        """Be one connection."""
        server = await trio.open_tcp_stream(host, port)
        self._ends += [page, server]
        async with page, server, trio.open_nursery() as nursery:
            for source, target in ((page, server), (server, page)):
                nursery.start_soon(self._pump, source, target, source is page)

    async def _pump(self, source: trio.SocketStream, target: trio.SocketStream, is_of_page: bool) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while part := await source.receive_some(SMALL):
                await (self._flows if is_of_page else self._flows_back).wait()
                await target.send_all(part)
            await target.send_eof()


@asynccontextmanager
async def network_to(origin: str) -> AsyncIterator[Network]:
    """Put a network before a server."""
    host, _, port = origin.removeprefix("http://").partition(":")
    with trio.socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        await door.bind(("127.0.0.1", 0))
        door.listen()
        there = Network(f"http://127.0.0.1:{door.getsockname()[1]}")
        there.resume()
        async with trio.open_nursery() as nursery:

            async def accept() -> None:
                while True:
                    stream, _ = await door.accept()
                    nursery.start_soon(there.carry, trio.SocketStream(stream), host, int(port))

            nursery.start_soon(accept)
            yield there
            nursery.cancel_scope.cancel()
