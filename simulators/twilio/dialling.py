"""Dialling of the server's media socket: a signed WebSocket upgrade, and Twilio's code when it fails.

`DialStream` is the shape of it, so that tests can put an in-memory socket there. `dial_stream` is the real one. A
refusal is `StreamError` with the code that Twilio's debugger would show.
Codes: https://www.twilio.com/docs/api/errors (31901, 31902, 31910, 31920, 31923).
"""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TypeAlias, cast
from urllib.parse import urlsplit

import trio
import trio_websocket

from protocol.wire import WebSocket
from simulators.sockets import PeerSocket, Reader, separate_reader

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
DialStream: TypeAlias = Callable[[str, Headers], AbstractAsyncContextManager[WebSocket]]

Stream: TypeAlias = "trio.SocketStream | trio.SSLStream[trio.SocketStream]"

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

    *Closes* it on leaving. *Raises* `StreamError`.
    """
    stream = await _open_stream(url, ssl_context)
    refusal: StreamError | None = None  # raised where no nursery wraps it in a group
    try:
        async with separate_reader() as reader:
            opened = await _upgrade(reader, stream, url, headers)
            if opened is None:
                refusal = _refusal(reader)
            else:
                socket = PeerSocket(opened, reader)
                yield socket
                with trio.move_on_after(HANDSHAKE_SECONDS):
                    await socket.aclose()
    finally:
        await trio.aclose_forcefully(stream)
    if refusal is not None:
        raise refusal


async def _open_stream(url: str, ssl_context: ssl.SSLContext | None) -> Stream:
    if not url.isascii():
        raise StreamError(31923, "malformed URL: not ASCII")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
        with trio.fail_after(HANDSHAKE_SECONDS):
            stream = await trio.open_tcp_stream(host, port)
            return stream if parts.scheme == "ws" else await _secure(stream, host, ssl_context)
    except ValueError as error:  # and UnicodeError, for a name that is none
        raise StreamError(31923, f"malformed URL: {error}") from error
    except trio.TooSlowError as error:
        raise StreamError(31901, "no answer to the connection request") from error
    except OSError as error:
        raise StreamError(31902, "connection refused") from error


async def _secure(stream: trio.SocketStream, host: str, ssl_context: ssl.SSLContext | None) -> Stream:
    secured = trio.SSLStream(
        stream, ssl_context or ssl.create_default_context(), server_hostname=host, https_compatible=True
    )
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise StreamError(31910, "TLS failure") from error
    return secured


async def _upgrade(
    reader: Reader, stream: Stream, url: str, headers: Headers
) -> trio_websocket.WebSocketConnection | None:
    parts = urlsplit(url)
    resource = parts._replace(scheme="", netloc="").geturl() or "/"
    wrap = partial(
        trio_websocket.wrap_client_stream,
        reader.nursery,
        cast("trio.SocketStream", stream),  # any stream will do
        parts.netloc,
        resource,
        extra_headers=list(headers),
        message_queue_size=64,
    )
    with trio.move_on_after(HANDSHAKE_SECONDS):
        return await reader.wait_for(wrap)
    return None


def _refusal(reader: Reader) -> StreamError:
    statuses = [error.status_code for error in reader.errors if isinstance(error, trio_websocket.ConnectionRejected)]
    if statuses:
        return StreamError(31920, f"the upgrade was answered with {statuses}")
    return StreamError(31901, "no answer to the upgrade")
