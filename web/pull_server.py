"""hypercorn's TCP connection, where a WebSocket is read by the task that wants its messages.

hypercorn (0.18) reads every connection in a task of its own: each frame passes its HTTP layer, wsproto's event objects
and a queue, and two tasks are woken for it. `PullServer` leaves the opening handshake to hypercorn, and offers the
application to accept by way of an ASGI extension. Whoever does gets the stream itself: hypercorn's reader steps aside,
and for hypercorn the WebSocket is over. All else is as before, HTTP/2 too, whose streams share a connection.

    reader:       request ─▶ start application ─▶ (steps aside) …………………………▶ close the connection
    application:                  connect, accept ─▶ 101 ─▶ FrameStream ─▶ return

`install` puts it in place, whoever starts the server: our own command, or hypercorn's.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

import hypercorn.trio.run
import trio
from hypercorn.config import Config
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveCallable,
    ASGISendCallable,
    ConnectionState,
    Scope,
    WebsocketAcceptEvent,
)

from protocol.frames import FrameReader
from web.asgi_events import CARRIER
from web.frame_stream import FrameStream

MAX_MESSAGE_BYTES = 64 * 1024
"""Twilio's frames are about 400 bytes. hypercorn's own limit, unless it is told another, is 16 MB."""
CLOSE_SECONDS = 2.0
"""For the goodbye of a TLS connection to leave."""


class PullServer(TCPServer):
    """One connection."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: ConnectionState,
        stream: "trio.SSLStream[trio.SocketStream]",
    ) -> None:
        super().__init__(self._serve, config, context, state, stream)
        self._application = app
        self._reader = trio.CancelScope()
        self._reader_aside = trio.Event()
        self._application_over = trio.Event()

    async def _serve(
        self,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        sync_spawn: Callable[..., object],
        call_soon: Callable[..., object],
    ) -> None:
        """Be the application to hypercorn: the application, with an offer to those that know what to do with it."""
        if scope["type"] == "websocket" and scope["http_version"] == "1.1":
            scope["extensions"][CARRIER] = {"accept": partial(self._accept, send)}
        try:
            await self._application(scope, receive, send, sync_spawn, call_soon)
        finally:
            self._application_over.set()

    async def _accept(self, send: ASGISendCallable, accepting: WebsocketAcceptEvent) -> FrameStream:
        """Accept, and take the stream from hypercorn, for which all is over then."""
        stream = cast("H11Protocol", self.protocol.protocol).stream
        self._reader.cancel(reason="the application reads")
        await self._reader_aside.wait()
        if isinstance(stream, WSStream):  # and not None: the peer is gone already, as we shall read
            stream.handshake.extensions = None  # our frames are never compressed
            await send(accepting)
            stream.closed = True
        limit = min(self.config.websocket_max_message_size, MAX_MESSAGE_BYTES)
        return FrameStream(self.stream, FrameReader(masked=True, limit=limit))

    async def _read_data(self) -> None:
        try:
            with self._reader:
                await super()._read_data()
        finally:
            self._reader_aside.set()
        if self._reader.cancelled_caught:
            await self._application_over.wait()

    async def _close(self) -> None:
        """Close, though whoever asks is cancelled: a framework is, that has answered before it has read all.

        hypercorn's own stops at its first checkpoint then, and leaves the connection open until the peer closes it.
        """
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await super()._close()
        await trio.aclose_forcefully(self.stream)


def install() -> None:
    """Have every connection that hypercorn's trio worker accepts from now on served so."""
    # the name that its worker looks up, which it imported and does not export
    hypercorn.trio.run.TCPServer = PullServer  # type: ignore[assignment,attr-defined]
