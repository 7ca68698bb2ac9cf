"""An open WebSocket as the actors use it, for the caller's end of a call and the agents' end.

`OpenSocket` behaves as `trio_websocket.WebSocketConnection` does: whole messages, `ConnectionClosed` once it is over,
`aclose` as often as one likes. Messages go straight from their carrier to the reader: no task and no channel in
between. It never raises anything else of its own; what the carrier raises passes through.
"""

from typing import Protocol

import attrs
import trio
from trio_websocket import CloseReason, ConnectionClosed

from protocol.frames import Close
from protocol.wire import Take

CLOSE_SECONDS = 2.0


class Carrier(Protocol):
    """The connection below: it carries whole messages."""

    async def receive(self) -> str | bytes | Close:
        """Return the next message, or how the peer ended: then again and again."""
        ...

    def at_hand(self) -> list[str | bytes]:
        """Return the messages that have come already, without waiting for any."""
        ...

    def send_nowait(self, *messages: str | bytes) -> bool:
        """Send messages in one go; False, and nothing is sent, if that would mean to wait."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send one message."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say that nothing more will come."""
        ...

    def gather(self, seconds: float, /, *, exactly: bool = False) -> None:
        """Let what comes within so many seconds come together, if that saves work."""
        ...

    def deliver(self, take: Take | None, /) -> None:
        """Have `take` take what comes while a task waits for it, if that saves work."""
        ...

    def ping(self) -> None:
        """Ask whether the peer is there, unless that would mean to wait."""
        ...

    @property
    def unanswered_since(self) -> float:
        """Since when (trio time) a ping waits for its answer; infinity: none does."""
        ...


@attrs.define(eq=False)
class OpenSocket:
    """One WebSocket, with one reader at a time.

    Closes: `aclose` sends the close frame, then reads on until the peer's arrives or `CLOSE_SECONDS` have passed,
    so that the carrier is never left waiting for somebody to take its next message. A read that is in
    progress does that part, and ends with `ConnectionClosed`.
    """

    _carrier: Carrier
    _closed: CloseReason | None = attrs.field(default=None, init=False)
    _gone: bool = attrs.field(default=False, init=False)
    _reading: bool = attrs.field(default=False, init=False)
    _read: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def get_message(self) -> str | bytes:
        """Return the next message.

        Raises: `ConnectionClosed` when the peer has closed, or we have.
        """
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        self._reading = True  # and no cancel scope: it would cost as much as all else that is done for a frame
        try:
            while not isinstance(received := await self._carrier.receive(), Close):
                if self._closed is None:
                    return received
            self._note_end(received)
        finally:
            self._reading = False
            if self._closed is not None:
                self._read.set()
        raise ConnectionClosed(self._closed)

    async def get_messages(self) -> list[str | bytes]:
        """Return the next message, and those that have come with it.

        Raises: `ConnectionClosed` when the peer has closed, or we have.
        """
        return [await self.get_message(), *self._carrier.at_hand()]

    def send_nowait(self, *messages: str | bytes) -> bool:
        """Send messages in one go; False, and nothing is sent, if that would mean to wait.

        Raises: `ConnectionClosed` once either side is known to have closed.
        """
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        return self._carrier.send_nowait(*messages)

    async def send_message(self, message: str | bytes) -> None:
        """Send one message.

        Raises: `ConnectionClosed` once either side is known to have closed.
        """
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        await self._carrier.send(message)

    def gather(self, seconds: float, /, *, exactly: bool = False) -> None:
        """Let what comes within so many seconds come together, if that saves work."""
        self._carrier.gather(seconds, exactly=exactly)

    def deliver(self, take: Take | None, /) -> None:
        """Have `take` take what comes while a task waits for it, if that saves work."""
        self._carrier.deliver(take if self._closed is None else None)

    def ping(self) -> None:
        """Ask whether the peer is there, unless that would mean to wait."""
        if self._closed is None:
            self._carrier.ping()

    @property
    def unanswered_since(self) -> float:
        """Since when (trio time) a ping waits for its answer; infinity: none does."""
        return self._carrier.unanswered_since

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close, with a code for the peer; harmless on a closed connection."""
        if self._closed is not None:
            await trio.lowlevel.checkpoint()
            return
        self._closed = CloseReason(code, reason)
        self._carrier.deliver(None)
        with trio.move_on_after(CLOSE_SECONDS):
            await self._carrier.close(code, reason or "")
            if self._reading:
                await self._read.wait()
            while not self._gone:
                if isinstance(received := await self._carrier.receive(), Close):
                    self._note_end(received)

    def _note_end(self, received: Close) -> None:
        self._gone = True
        self._closed = self._closed or CloseReason(received.code, received.reason or None)
