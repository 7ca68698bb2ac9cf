"""How the simulator reaches the server's media socket: a signed WebSocket upgrade, and Twilio's code when it fails.

`DialStream` is the shape of it, so that tests can put an in-memory socket there. `dial_stream` is the real one. A
refusal is `StreamError` with the code that Twilio's debugger would show.
Codes: https://www.twilio.com/docs/api/errors (31901, 31902, 31910, 31920).
"""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import trio
import trio_websocket

from protocol.wire import WebSocket

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
DialStream: TypeAlias = Callable[[str, Headers], AbstractAsyncContextManager[WebSocket]]

HANDSHAKE_SECONDS = 5.0


class StreamError(Exception):
    """The media socket could not be opened; `code` is Twilio's."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@asynccontextmanager
async def dial_stream(
    url: str, headers: Headers, *, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[WebSocket]:
    """Open the media socket as Twilio does: HTTP/1.1 upgrade, no subprotocol, no compression.

    *Raises* `StreamError`.
    """
    async with trio.open_nursery() as nursery:
        socket = await _connect(nursery, url, headers, ssl_context)
        yield socket
        with trio.move_on_after(HANDSHAKE_SECONDS):
            await socket.aclose()
        nursery.cancel_scope.cancel(reason="the media stream is over")


async def _connect(
    nursery: trio.Nursery, url: str, headers: Headers, ssl_context: ssl.SSLContext | None
) -> trio_websocket.WebSocketConnection:
    try:
        with trio.fail_after(HANDSHAKE_SECONDS):
            return await trio_websocket.connect_websocket_url(
                nursery, url, ssl_context, extra_headers=list(headers), message_queue_size=64
            )
    except trio_websocket.ConnectionRejected as error:
        raise StreamError(31920, f"the upgrade was answered with {error.status_code}") from error
    except (trio.TooSlowError, trio_websocket.HandshakeError) as error:
        raise StreamError(31901, "no answer to the connection request") from error
    except (ssl.SSLError, trio.BrokenResourceError) as error:
        raise StreamError(31910, "TLS failure") from error
    except OSError as error:
        raise StreamError(31902, "connection refused") from error
