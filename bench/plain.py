"""The server on trio-websocket and hypercorn as they come: what our own frame layer is measured against.

`python -m bench.plain serve` tells the server that it does not know the version of hypercorn, so that it does without
its own way with its insides, and has a connection of trio-websocket's carry each agent's WebSocket.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import trio
from trio_websocket import connect_websocket_url

from protocol.wire import PacedWebSocket, Take, WebSocket
from web.clients import deepgram
from web.sockets import versions
from web.sockets.tls import TlsClient


@attrs.frozen
class PlainSocket:
    """A socket of trio-websocket as one of a call's own: it has its reader's pace, whatever is asked."""

    _socket: WebSocket

    async def get_message(self) -> str | bytes:
        return await self._socket.get_message()

    async def get_messages(self) -> list[str | bytes]:
        """Return one message: what has come with it waits in the channel of a task of the library's."""
        return [await self._socket.get_message()]

    async def send_message(self, message: str | bytes) -> None:
        await self._socket.send_message(message)

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        await self._socket.aclose(code, reason)

    def send_nowait(self, *_messages: str | bytes) -> bool:
        """Send nothing: the library always waits."""
        return False

    def gather(self, _seconds: float, /, *, exactly: bool = False) -> None:
        """Do nothing: the library reads when it likes."""

    def deliver(self, _take: Take | None, /) -> None:
        """Do nothing: the library wakes its reader."""


@asynccontextmanager
async def open_socket(url: str, headers: Mapping[str, str], tls_client: TlsClient) -> AsyncIterator[PacedWebSocket]:
    """Open one WebSocket for as long as the `async with` lasts."""
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with trio.open_nursery() as library:
        secure = tls_client.context if url.startswith("wss:") else None
        connection = await connect_websocket_url(library, url, secure, extra_headers=given)
        try:
            yield PlainSocket(connection)
        finally:
            with trio.move_on_after(deepgram.DISCONNECT_SECONDS):
                await connection.aclose()
        library.cancel_scope.cancel(reason="closed")


def main() -> None:
    """Run the command line."""
    versions.is_known = lambda: False
    deepgram.open_socket = open_socket
    from cli import main as run  # noqa: PLC0415 - what it imports takes the functions above

    run()


if __name__ == "__main__":
    main()
