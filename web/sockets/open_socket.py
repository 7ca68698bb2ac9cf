"""An open WebSocket as the actors use it, for the caller's end of a call and the agents' end.

`OpenSocket` behaves as `trio_websocket.WebSocketConnection` does: whole messages, `ConnectionClosed` once it is over,
`aclose` as often as one likes. A subclass carries the messages, straight from the connection to the reader: no task and
no channel in between. It never raises anything else of its own; what the carrying raises passes through.
"""

from abc import ABC, abstractmethod

import attrs
import trio
from trio_websocket import CloseReason, ConnectionClosed

from protocol.frames import Close
from protocol.wire import UnpacedSocket

CLOSE_SECONDS = 2.0


@attrs.define(eq=False)
class OpenSocket(UnpacedSocket, ABC):
    """One WebSocket, with one reader at a time. A subclass has `receive`, `send` and `close`.

    Closes: `aclose` sends the close frame, then reads on until the peer's arrives or `CLOSE_SECONDS` have passed,
    so that nobody below is left waiting for somebody to take the next message. A read that is in
    progress does that part, and ends with `ConnectionClosed`.
    """

    _closed: CloseReason | None = attrs.field(default=None, init=False)
    _has_ended: bool = attrs.field(default=False, init=False)
    """Whether the peer's end was read."""
    _reading: bool = attrs.field(default=False, init=False)
    _read: trio.Event = attrs.field(factory=trio.Event, init=False)

    @abstractmethod
    async def receive(self) -> str | bytes | Close:
        """Return the next message, or how the peer ended: then again and again."""

    @abstractmethod
    async def send(self, message: str | bytes) -> None:
        """Send one message, closed or not."""

    @abstractmethod
    async def close(self, code: int, reason: str) -> None:
        """Say that nothing more will come."""

    async def get_message(self) -> str | bytes:
        """Return the next message.

        Raises: `ConnectionClosed` when the peer has closed, or we have.
        """
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        self._reading = True  # and no cancel scope: it would cost as much as all else that is done for a frame
        try:
            while not isinstance(received := await self.receive(), Close):
                if self._closed is None:
                    return received
            self._note_end(received)
        finally:
            self._reading = False
            if self._closed is not None:
                self._read.set()
        raise ConnectionClosed(self._closed)

    async def get_messages(self) -> list[str | bytes]:
        """Return the next message, and those that have come with it. Raises as `get_message` does."""
        return [await self.get_message()]

    async def send_message(self, message: str | bytes) -> None:
        """Send one message.

        Raises: `ConnectionClosed` once either side is known to have closed.
        """
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        await self.send(message)

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close, with a code for the peer; harmless on a closed connection."""
        if self._closed is not None:
            await trio.lowlevel.checkpoint()
            return
        self._closed = CloseReason(code, reason)
        self.deliver(None)
        with trio.move_on_after(CLOSE_SECONDS):
            await self.close(code, reason or "")
            if self._reading:
                await self._read.wait()
            while not self._has_ended:
                if isinstance(received := await self.receive(), Close):
                    self._note_end(received)

    def _note_end(self, received: Close) -> None:
        self._has_ended = True
        self._closed = self._closed or CloseReason(received.code, received.reason or None)
