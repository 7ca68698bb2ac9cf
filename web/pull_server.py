"""hypercorn's TCP connection, where a WebSocket is read by the task that wants its messages.

hypercorn (0.18) reads every connection in a task of its own: each frame passes its HTTP layer, wsproto's event objects
and a queue, and two tasks are woken for it. `PullServer` leaves the opening handshake to hypercorn. Then its reader
steps aside, and what the application knows as `receive` and `send` are those of a `FrameStream`. All else is as before,
HTTP/2 too, whose streams share a connection. Pings of hypercorn's own (`websocket_ping_interval`) are not sent.

    reader:       request ─▶ start application ─▶ (steps aside) ……………………………………▶ close the connection
    application:                connect, accept ─▶ 101 ─▶ receive, send: FrameStream ─▶ return

`install` puts it in place, whoever starts the server: our own command, or hypercorn's.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import attrs
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
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    ConnectionState,
    Scope,
    WebsocketDisconnectEvent,
    WebsocketReceiveEvent,
)

from protocol.frames import FrameReader
from web.asgi_events import GATHER
from web.frame_stream import FrameStream

_INTERNAL_ERROR = 1011


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
        """Be the application to hypercorn, and hypercorn to the application."""
        if scope["type"] != "websocket" or scope["http_version"] != "1.1":
            await self._application(scope, receive, send, sync_spawn, call_soon)
            return
        pulled = _Pulled(receive, send, self._take_over)
        scope["extensions"][GATHER] = {"gather": pulled.gather}
        try:
            await self._application(scope, pulled.receive, pulled.send, sync_spawn, call_soon)
            await pulled.end()
        finally:
            self._application_over.set()

    async def _take_over(self, accept: Callable[[], Awaitable[None]]) -> FrameStream:
        """Accept, and take the stream from hypercorn, for which all is over then."""
        stream = cast("H11Protocol", self.protocol.protocol).stream
        self._reader.cancel(reason="the application reads")
        await self._reader_aside.wait()
        if isinstance(stream, WSStream):  # and not None: the peer is gone already, as we shall read
            stream.handshake.extensions = None  # our frames are never compressed
            await accept()
            stream.closed = True
        return FrameStream(self.stream, FrameReader(masked=True, limit=self.config.websocket_max_message_size))

    async def _read_data(self) -> None:
        try:
            with self._reader:
                await super()._read_data()
        finally:
            self._reader_aside.set()
        if self._reader.cancelled_caught:
            await self._application_over.wait()


@attrs.define(eq=False)
class _Pulled:
    """What one application receives and sends: of hypercorn until it accepts, of the stream from then on."""

    _receive: ASGIReceiveCallable
    _send: ASGISendCallable
    _take_over: Callable[[Callable[[], Awaitable[None]]], Awaitable[FrameStream]]
    _frames: FrameStream | None = attrs.field(default=None, init=False)

    async def receive(self) -> ASGIReceiveEvent:
        if self._frames is None:
            return await self._receive()
        received = await self._frames.receive()
        if isinstance(received, str):
            return WebsocketReceiveEvent(type="websocket.receive", text=received, bytes=None)
        if isinstance(received, bytes):
            return WebsocketReceiveEvent(type="websocket.receive", text=None, bytes=received)
        return WebsocketDisconnectEvent(type="websocket.disconnect", code=received.code)

    async def send(self, event: ASGISendEvent) -> None:
        if self._frames is None:
            if event["type"] == "websocket.accept":
                self._frames = await self._take_over(partial(self._send, event))
            else:
                await self._send(event)
        elif event["type"] == "websocket.send":
            text = event.get("text")
            await self._frames.send(text if text is not None else event.get("bytes") or b"")
        elif event["type"] == "websocket.close":
            await self._frames.close(event.get("code") or 1000, event.get("reason") or "")

    def gather(self, seconds: float) -> None:
        if self._frames is not None:
            self._frames.gather(seconds)

    async def end(self) -> None:
        """Close what the application has left open."""
        if self._frames is not None:
            await self._frames.close(_INTERNAL_ERROR, "")


def install() -> None:
    """Have every connection that hypercorn's trio worker accepts from now on served so."""
    hypercorn.trio.run.TCPServer = PullServer  # type: ignore[assignment,attr-defined]
