"""An accepted ASGI WebSocket as a carrier of messages, and what was asked for when it was opened.

`AsgiEvents` turns the server's events into messages and back; it keeps nothing, and waits for nobody but the server.
"""

from collections.abc import Callable
from typing import cast
from urllib.parse import quote

import attrs
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    WebsocketCloseEvent,
    WebsocketReceiveEvent,
    WebsocketScope,
    WebsocketSendEvent,
    WWWScope,
)

from protocol.frames import NO_STATUS, Close

GATHER = "switchboard.gather"
"""The ASGI extension with which a server offers to read in strides: `{"gather": a function of seconds}`."""


def target_of(scope: WWWScope) -> str:
    """Return the path and the query of a request as they came, undecoded: what Twilio signed of it."""
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).partition(b"?")[0]
    query = scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin1")


def _at_once(_seconds: float) -> None:
    """Gather nothing: the server reads when it likes."""


@attrs.frozen
class AsgiEvents:
    """Carries one WebSocket's messages by way of its server."""

    _receive: ASGIReceiveCallable
    _send: ASGISendCallable
    gather: Callable[[float], None] = _at_once

    @classmethod
    def of(cls, scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> "AsgiEvents":
        """Carry by way of a server that may offer `GATHER`."""
        return cls(receive, send, scope["extensions"].get(GATHER, {}).get("gather", _at_once))

    async def receive(self) -> str | bytes | Close:
        """Return the next message, or how the peer ended."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            return Close(event.get("code") or NO_STATUS, "")
        received = cast("WebsocketReceiveEvent", event)
        text = received.get("text")
        return text if text is not None else received.get("bytes") or b""

    async def send(self, message: str | bytes) -> None:
        """Send one message."""
        if isinstance(message, str):
            await self._send(WebsocketSendEvent(type="websocket.send", bytes=None, text=message))
        else:
            await self._send(WebsocketSendEvent(type="websocket.send", bytes=message, text=None))

    async def close(self, code: int, reason: str) -> None:
        """Say that nothing more will come."""
        await self._send(WebsocketCloseEvent(type="websocket.close", code=code, reason=reason or None))
