"""hypercorn's TCP connection, where a WebSocket is read by the task that wants its messages.

hypercorn (0.18) reads every connection in a task of its own: each frame passes its HTTP layer, wsproto's event objects
and a queue, and two tasks are woken for it. `PullServer` leaves the opening handshake to hypercorn, and offers the
application to accept by way of an ASGI extension. An application that does gets the stream itself: hypercorn's reader
steps aside, and for hypercorn the WebSocket is over.

    reader:       request ─▶ start application ─▶ (steps aside) …………………………▶ close the connection
    application:                  connect, accept ─▶ 101 ─▶ FrameStream ─▶ return

Four more things are not hypercorn's. A connection on which no application runs is closed after `keep_alive_timeout`,
or `VOUCHED_SECONDS`: that is a deadline of its reader, and no task which the end of a request could cancel. HTTP/2
without TLS is not spoken, and with it a request ends no connection, on which others' calls may be (`Http2`). And
`web.sockets.connections` says how many connections there may be.

`web.sockets.versions` puts it in place when our own command or hypercorn's starts the server, and leaves hypercorn's
connection where it is if hypercorn or trio is of another version.
"""

import math
import select
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import MethodType
from typing import cast

import h11
import hypercorn.protocol
import hypercorn.trio.run
import structlog
import trio
from h2.events import DataReceived, RequestReceived
from h2.events import Event as Http2Event
from h2.exceptions import ProtocolError
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import TrioSingleTask, WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    ConnectionState,
    Scope,
    TaskGroup,
    WebsocketAcceptEvent,
)

from actors.supervision import unharmed
from actors.ticks import Sleeper
from protocol.frames import FrameReader
from store.json_text import json_text
from web.sockets.asgi_events import CARRIER, HEADERS, LONGEST_PATH, MESSAGES, UPGRADE_FIX, why_no_upgrade
from web.sockets.connections import VOUCHER, Connections, limit_stalled_writes
from web.sockets.frame_stream import FrameStream, close_now, read_some, write_some
from web.sockets.tls import let_go, socket_below
from web.sockets.versions import MAX_MESSAGE_BYTES, SILENT_SECONDS

CLOSE_SECONDS = 2.0
"""For the goodbye of a TLS connection to leave."""
VOUCHED_SECONDS = 130.0
"""Idle, for a connection with a credential: proxies (nginx: 60 s; Traefik: 90; Caddy: 120) close theirs first."""

_AS_ASCII = frozenset({b":method", b":path", b"sec-websocket-extensions", b"sec-websocket-protocol"})
"""The fields of a request that hypercorn reads so."""

_log = structlog.stdlib.get_logger()


def is_readable(descriptor: int) -> bool:
    """Tell whether there is something to read from a socket, without waiting; -1 is a closed one."""
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class NoTimer(TrioSingleTask):
    """hypercorn's idle timer, which does nothing: the task that has answered would start it, and may be cancelled."""

    async def restart(self, task_group: TaskGroup, action: Callable[..., object]) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""


class WrongProtocol(Exception):
    """The peer speaks a protocol that we do not speak."""


class Http2(H2Protocol):
    """hypercorn's HTTP/2, without requests that end the connection: a proxy may have the calls of others on it."""

    async def _handle_events(self, events: list[Http2Event]) -> None:
        for event in events:
            if isinstance(event, DataReceived) and event.stream_id not in self.streams:  # answered before its body
                self.connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                await self._flush()
            else:
                with suppress(ProtocolError):  # the request is refused, and was taken back already
                    await super()._handle_events([event])

    async def _create_stream(self, request: RequestReceived) -> None:
        fields = [(bytes(name), bytes(value)) for name, value in request.headers]
        if b":path" in dict(fields) and all(value.isascii() for name, value in fields if name in _AS_ASCII):
            await super()._create_stream(request)
        else:  # a CONNECT to another host, or bytes that no method and no path has
            self.connection.send_headers(request.stream_id, [(b":status", b"400")], end_stream=True)


class PullServer(TCPServer):
    """One connection."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: ConnectionState,
        stream: "trio.SSLStream[trio.SocketStream]",
        *,
        connections: Connections | None = None,
    ) -> None:
        super().__init__(self._serve, config, context, state, stream)
        self.idle_task = NoTimer()
        self._application = app
        self._applications = 0
        self.vouched = False
        self._connections = connections or Connections()
        self._whole, self._reader = trio.CancelScope(), trio.CancelScope()
        self._reads = False
        self._has_given_stream = False
        self._bytes: FrameStream | None = None
        """The connection as it is read for hypercorn."""
        self._late = b""
        """What has come as the time for it was up."""
        self._frames: FrameStream | None = None
        """The same once the application reads it."""
        self._head: bytes | None = None
        """Of an answer whose body comes at once, and is sent with it; empty before there is one."""
        self._nap = Sleeper()

    async def run(self) -> None:
        """Serve the connection, if there is room for it."""
        self._connections.leave_with(self.context.terminated)
        with self._connections.hold(self, self._peer()) as is_room, self._whole:
            if is_room:
                limit_stalled_writes([self._socket])
                await unharmed(super().run, "connection_crashed")  # it would end the server, and every call with it
        self._reads = False
        if self._is_closed:  # to close it again, hypercorn's listener would take two turns of the scheduler
            self.stream.aclose = trio.lowlevel.cancel_shielded_checkpoint  # type: ignore[method-assign]
        let_go(self.stream)
        for name in ("app", "protocol"):  # they refer to us, and all would stay until the collector looks at everything
            self.__dict__.pop(name, None)

    @property
    def _socket(self) -> trio.socket.SocketType:
        return socket_below(self.stream)

    def _peer(self) -> str:
        """Return the peer's address; nothing for one that has none, or is gone already."""
        try:
            name: object = self._socket.getpeername()
        except OSError:
            return ""
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def waits(self) -> bool:
        """Whether only the peer can move this connection on: by a request, or by the rest of one.

        It cannot be so where bytes have come that were not read yet, as on a busy machine.
        """
        return self._expects_bytes() and not is_readable(self._socket.fileno())

    def _expects_bytes(self) -> bool:
        if not self._reads:
            return True
        protocol = self.protocol.protocol
        if isinstance(protocol, H11Protocol):
            return protocol.connection.their_state in {h11.IDLE, h11.SEND_BODY}
        return not self._applications

    def leave(self) -> None:
        """Close the connection."""
        self._whole.cancel(reason="another connection needs the place")

    def leave_with_server(self) -> None:
        """Close the connection if it is idle: hypercorn's own timer does so."""
        if not self._applications:
            self._reader.cancel(reason="the server closes")

    async def _serve(
        self,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        sync_spawn: Callable[..., object],
        call_soon: Callable[..., object],
    ) -> None:
        """Call the application, and offer it the stream by ASGI extensions."""
        if scope["type"] != "lifespan":
            scope["extensions"][VOUCHER] = {"vouch": self._vouch}
        if scope["type"] == "websocket" and scope["http_version"] == "1.1":
            scope["extensions"][CARRIER] = {"accept": self._accept}
        if scope["type"] == "http":
            send = partial(self._answer, send)
            if self._request is not None:  # else the peer is gone already, as `receive` will say
                scope["extensions"][MESSAGES] = {"deliver": partial(self._deliver, cast("MethodType", receive))}
        self._applications += 1
        self._reader.deadline = math.inf
        try:
            await self._application(scope, receive, send, sync_spawn, call_soon)
        finally:
            self._frames = None
            self._applications -= 1
            self._nap.wake()
            if not self._applications:
                self._reader.deadline = self._closing_time()

    async def _answer(self, send: ASGISendCallable, message: ASGISendEvent) -> None:
        """Send; an answer that comes before the body has been read tells the client that the connection closes then."""
        protocol = self.protocol.protocol
        if message["type"] == "http.response.start" and isinstance(protocol, H11Protocol):
            if protocol.connection.their_state is h11.SEND_BODY:
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            if any(name == b"content-length" for name, _ in message["headers"]):  # else it is a stream
                self._head = b""
        await send(message)

    @property
    def _request(self) -> HTTPStream | None:
        """The request that is being answered, of HTTP/1.1."""
        stream = self.protocol.protocol.stream if isinstance(self.protocol.protocol, H11Protocol) else None
        return stream if isinstance(stream, HTTPStream) else None

    def _deliver(self, receive: MethodType, take: Callable[[ASGIReceiveEvent], None]) -> None:
        """Have `take` take what has come for a request, and what comes, in the step that reads it."""
        queue: trio.MemoryReceiveChannel[ASGIReceiveEvent] = receive.__self__  # type: ignore[assignment]

        async def put(event: ASGIReceiveEvent) -> None:
            request = self._request
            is_answered = request is None or request.state is ASGIHTTPState.CLOSED
            if event["type"] != "http.disconnect" or not is_answered:
                take(event)

        if (request := self._request) is not None:
            request.app_put = put
        with suppress(trio.WouldBlock):
            while True:
                take(queue.receive_nowait())

    def _vouch(self) -> None:
        self.vouched = True

    def _closing_time(self) -> float:
        usual = self.config.keep_alive_timeout
        return trio.current_time() + (max(usual, VOUCHED_SECONDS) if self.vouched else usual)

    async def _accept(self, accepting: WebsocketAcceptEvent) -> FrameStream:
        """Accept, and take the stream from hypercorn; for hypercorn the WebSocket is over then."""
        self._connections.release(self)
        stream = cast("H11Protocol", self.protocol.protocol).stream
        self._has_given_stream = True
        self._reader.cancel(reason="the application reads")  # it reads nothing from here on
        if isinstance(stream, WSStream):  # and not None: the peer is gone already, as we shall read
            stream.handshake.extensions = None  # our frames are never compressed
            await stream.app_send(accepting)
            if not stream.closed:  # by a peer that leaves in this turn: then it has no connection
                stream.closed = True
                del stream.connection, stream.handshake
        self._frames = self._bytes or self._frame_stream()
        return self._frames

    def _frame_stream(self) -> FrameStream:
        limit = min(self.config.websocket_max_message_size, MAX_MESSAGE_BYTES)
        return FrameStream(self.stream, FrameReader(masked=True, limit=limit))

    async def _wait_application(self) -> None:
        """Wait until the application that reads the WebSocket is over; ping the peer when nothing is sent to it."""
        while self._applications:
            await self._nap.sleep_until(trio.current_time() + SILENT_SECONDS)
            if self._frames is not None:
                self._frames.ping_if_silent()

    async def _read_data(self) -> None:
        if isinstance(self.protocol.protocol, H11Protocol):
            # hypercorn goes over to HTTP/2 here, where no timer of its own runs; what we do not speak is ignored
            self.protocol.protocol._check_protocol = self._check_protocol  # type: ignore[method-assign,assignment]
        self._reads, self._reader.deadline = True, self._closing_time()
        try:
            while await self._reads_on():
                self._reader = trio.CancelScope(deadline=self._closing_time())
        except WrongProtocol:
            await self.protocol.handle(Closed())
        if self._has_given_stream:
            await self._wait_application()
        if self._has_given_stream or self._reader.cancelled_caught:
            await self.protocol.handle(Closed())  # it lets go of the request, which knows it

    async def _reads_on(self) -> bool:
        """Read until the connection is over, or idle for too long; True where something has come all the same.

        On a busy machine a request and the end of the time for it come in one turn of the scheduler.
        """
        with self._reader:
            return await self._read_http()
        return self._is_time_up and is_readable(self._socket.fileno())

    @property
    def _is_time_up(self) -> bool:
        return trio.current_time() >= self._reader.deadline

    async def _read_http(self) -> bool:
        """Hand over what comes, as hypercorn does, until there is no more; True where what came is late."""
        if isinstance(self.stream, trio.SocketStream) and self._bytes is None:
            self._bytes = self._frame_stream()
            self._bytes.unread(read_some(self.stream.socket))  # a request that has come with its connection
        received = b"-"
        while received and not self._is_closed:  # a request that is none was answered, and its socket closed
            received = self._late or await self._receive()
            if received and self._is_time_up:
                self._late = received
                return True
            self._late = b""
            await self.protocol.handle(RawData(received))
            if self._has_given_stream:
                return False
        await self.protocol.handle(Closed())
        return False

    async def _receive(self) -> bytes:
        """Return what has come; none if the peer is gone."""
        if self._bytes is not None:
            return bytes(await self._bytes.read())
        try:
            return bytes(await self.stream.receive_some(MAX_RECV))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return b""

    async def _check_protocol(self, request: h11.Request) -> None:
        if request.method == b"PRI":
            raise WrongProtocol("HTTP/2 without TLS")
        protocol = cast("H11Protocol", self.protocol.protocol)
        if why := why_no_upgrade(request, protocol.connection.trailing_data[0]):
            if times := self._connections.refused.times():
                path = request.target.decode("latin1")[:LONGEST_PATH]
                _log.warning("upgrade_refused", path=path, why=why, times=times, fix=UPGRADE_FIX)
            body, send = json_text({"error": why, "fix": UPGRADE_FIX}), protocol._send_h11_event
            about = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            await send(h11.Response(status_code=400, headers=[*{**about, **HEADERS}.items()]))
            await send(h11.Data(data=body))
            await send(h11.EndOfMessage())
            raise WrongProtocol(why)

    async def protocol_send(self, event: Event) -> None:
        """Send, without a turn of the scheduler as far as there is room and nobody else is sending."""
        if isinstance(event, RawData):
            if self._head == b"":
                self._head = event.data
                return
            data, self._head = (self._head or b"") + event.data, None
            event = RawData(data[self._send_nowait(data) :])
            if not event.data:
                return
        await super().protocol_send(event)

    def _send_nowait(self, data: bytes) -> int:
        """Send what there is room for; return how many bytes that was."""
        if not data or not isinstance(self.stream, trio.SocketStream) or self.send_lock.locked():
            return 0
        try:
            return write_some(self.stream.socket, data)
        except OSError:
            return 0  # hypercorn meets the same end, and takes it in

    @property
    def _is_closed(self) -> bool:
        return self._socket.fileno() < 0

    async def _close(self) -> None:
        """Close, even if the asking task is cancelled: a framework that answers before it has read all cancels it.

        hypercorn's own stops at its first checkpoint then, and leaves the connection open until the peer closes it. Nor
        does it wait for a task that is writing, whose error would end the server.
        """
        if self._is_closed:
            return  # both the answer and the reader close it
        if isinstance(self.stream, trio.SocketStream) and not self.send_lock.locked():
            close_now(self.stream.socket)
            return
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            async with self.send_lock:
                await super()._close()
        if not self._is_closed:
            await trio.aclose_forcefully(self.stream)


def put_in_place(connections: Connections) -> None:
    """Have every connection that hypercorn's trio worker accepts from now on served so, and be one of `connections`."""
    # the names that its worker and its connection look up
    served = partial(PullServer, connections=connections)
    hypercorn.trio.run.TCPServer = served  # type: ignore[assignment,attr-defined]
    hypercorn.protocol.H2Protocol = Http2  # type: ignore[attr-defined]
