"""The one shape of socket this program talks through: whole messages, text or binary, and a close.

`trio_websocket.WebSocketConnection` satisfies `WebSocket` as it is; so do the simulators' in-memory pairs. Both raise
`trio_websocket.ConnectionClosed` when the connection is over.
"""

from typing import Protocol


class WebSocket(Protocol):
    """Send and receive whole messages until one side closes."""

    async def get_message(self) -> str | bytes:
        """Return the next message: `str` for a text frame, `bytes` for a binary one."""
        ...

    async def send_message(self, message: str | bytes) -> None:
        """Send one message in a frame of its own kind."""
        ...

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Say goodbye with a close code; harmless on a closed connection."""
        ...
