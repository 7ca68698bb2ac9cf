"""An accepted ASGI WebSocket, seen as `protocol.wire.WebSocket`: what the bridge of a call reads and writes.

`AsgiSocket` behaves as `trio_websocket.WebSocketConnection` does: whole messages, `ConnectionClosed` once it is over,
`aclose` as often as one likes. Messages go straight from the server's queue to the reader: no task and no channel in
between. It never raises anything else of its own; what the server's `send` raises passes through.
"""

from typing import cast
from urllib.parse import quote

import attrs
import trio
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    WebsocketCloseEvent,
    WebsocketReceiveEvent,
    WebsocketSendEvent,
    WWWScope,
)
from trio_websocket import CloseReason, ConnectionClosed

CLOSE_SECONDS = 2.0


def target_of(scope: WWWScope) -> str:
    """Return the path and the query of a request as they came, undecoded: what Twilio signed of it."""
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).partition(b"?")[0]
    query = scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin1")


@attrs.define
class AsgiSocket:
    """One accepted WebSocket, with one reader at a time.

    Closes: `aclose` sends the close frame, then reads on until the peer's arrives or `CLOSE_SECONDS` have passed,
    so that the server's reader is never left waiting for somebody to take its next message. A read that is in
    progress does that part, and ends with `ConnectionClosed`.
    """

    _receive: ASGIReceiveCallable
    _send: ASGISendCallable
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
            message = await self._next()
            while self._closed is not None and not self._gone:
                message = await self._next()
        finally:
            self._reading = False
            if self._closed is not None:
                self._read.set()
        if message is None or self._closed is not None:
            raise ConnectionClosed(self._closed)
        return message

    async def send_message(self, message: str | bytes) -> None:
        """Send one message.

        Raises: `ConnectionClosed` once either side is known to have closed.

        Cancellation: hypercorn shields the write itself; see `web.sockets` for what ends a write to a stalled peer.
        """
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        if isinstance(message, str):
            await self._send(WebsocketSendEvent(type="websocket.send", bytes=None, text=message))
        else:
            await self._send(WebsocketSendEvent(type="websocket.send", bytes=message, text=None))

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close, with a code for the peer; harmless on a closed connection."""
        if self._closed is not None:
            await trio.lowlevel.checkpoint()
            return
        self._closed = CloseReason(code, reason)
        await self._send(WebsocketCloseEvent(type="websocket.close", code=code, reason=reason))
        with trio.move_on_after(CLOSE_SECONDS):
            if self._reading:
                await self._read.wait()
            while not self._gone:
                await self._next()

    async def _next(self) -> str | bytes | None:
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            self._gone = True
            self._closed = self._closed or CloseReason(event.get("code") or 1005, None)
            return None
        received = cast("WebsocketReceiveEvent", event)
        text = received.get("text")
        return text if text is not None else received.get("bytes") or b""
