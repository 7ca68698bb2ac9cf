from collections.abc import Awaitable, Callable
from inspect import signature

import trio_websocket

from protocol.wire import WebSocket

accepts: Callable[[trio_websocket.WebSocketConnection], WebSocket] = lambda socket: socket  # noqa: E731 -- for mypy


def test_a_trio_websocket_connection_is_a_websocket_as_it_is() -> None:
    for name in ("get_message", "send_message", "aclose"):
        ours: Callable[..., Awaitable[object]] = getattr(WebSocket, name)
        theirs = getattr(trio_websocket.WebSocketConnection, name)

        assert list(signature(ours).parameters) == list(signature(theirs).parameters)
