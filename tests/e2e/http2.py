"""A client for one WebSocket over HTTP/2 with TLS (RFC 8441): a stream that was opened by an extended CONNECT."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import attrs
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from trio_websocket import CloseReason, ConnectionClosed

from protocol.frames import ABNORMAL, Close, FrameReader, Ping, Received, close_frame, message_frame, pong_frame
from protocol.wire import WebSocket
from simulators.twilio.dialling import Headers

MOST_AT_ONCE = 2**16


@attrs.define(eq=False)
class Http2Socket:
    """One WebSocket on a connection of its own. One task reads; the close does not wait for the peer's."""

    _tls: "trio.SSLStream[trio.SocketStream]"
    _h2: H2Connection = attrs.field(factory=lambda: H2Connection(H2Configuration(client_side=True)), init=False)
    _frames: FrameReader = attrs.field(factory=lambda: FrameReader(masked=False, limit=2**20), init=False)
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _stream: int = attrs.field(default=1, init=False)
    _closed: CloseReason | None = attrs.field(default=None, init=False)
    _allowed: bool = attrs.field(default=False, init=False)
    status: str = attrs.field(default="", init=False)

    async def connect(self, url: str, headers: Headers) -> None:
        """Send the extended CONNECT once the server allows it, and wait for its answer."""
        self._h2.initiate_connection()
        await self._flush()
        while not self._allowed:
            await self._read()
        parts = urlsplit(url)
        await self._send_head(
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":path", parts.path),
                (":authority", parts.netloc),
                ("sec-websocket-version", "13"),
                *((name.decode().lower(), value.decode()) for name, value in headers),
            ]
        )
        while not self.status:
            await self._read()

    async def get_message(self) -> str | bytes:
        """Return the next message. *Raises* `ConnectionClosed`."""
        received = await self._next_frame()
        while isinstance(received, Ping):
            await self._send(pong_frame(received.payload, masked=True))
            received = await self._next_frame()
        if isinstance(received, str | bytes):
            return received
        assert isinstance(received, Close)
        self._closed = CloseReason(received.code, received.reason)
        raise ConnectionClosed(self._closed)

    async def _next_frame(self) -> Received:
        while not self._frames.arrived:
            if self._closed is not None:
                raise ConnectionClosed(self._closed)
            await self._read()
        return self._frames.arrived.pop(0)

    async def send_message(self, message: str | bytes) -> None:
        """Send one message. *Raises* `ConnectionClosed`."""
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        await self._send(message_frame(message, masked=True))

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Send a close frame."""
        if self._closed is None:
            self._closed = CloseReason(code, reason)
            with suppress(ConnectionClosed):
                await self._send(close_frame(code, reason or "", masked=True))

    async def _send_head(self, headers: list[tuple[str, str]]) -> None:
        self._h2.send_headers(self._stream, headers)
        await self._flush()

    async def _send(self, data: bytes) -> None:
        self._h2.send_data(self._stream, data)
        await self._flush()

    async def _flush(self) -> None:
        async with self._sending:
            if data := self._h2.data_to_send():
                try:
                    await self._tls.send_all(data)
                except trio.BrokenResourceError:  # the server has closed it
                    self._closed = self._closed or CloseReason(ABNORMAL, None)
                    raise ConnectionClosed(self._closed) from None

    async def _read(self) -> None:
        data = await self._tls.receive_some(MOST_AT_ONCE)
        if not data:
            self._closed = self._closed or CloseReason(ABNORMAL, None)
        for event in self._h2.receive_data(bytes(data)):
            match event:
                case RemoteSettingsChanged():
                    self._allowed = self._h2.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL) == 1
                case ResponseReceived(headers=headers):
                    self.status = dict(headers or [])[b":status"].decode()
                case DataReceived(data=piece, flow_controlled_length=length):
                    self._h2.acknowledge_received_data(length or 0, self._stream)
                    self._frames.receive(piece or b"")
                case StreamEnded() | StreamReset():
                    self._closed = self._closed or CloseReason(ABNORMAL, None)
                case _:
                    pass  # nothing that a WebSocket is made of
        await self._flush()


@asynccontextmanager
async def dial_http2(url: str, headers: Headers, *, ssl_context: ssl.SSLContext) -> AsyncIterator[WebSocket]:
    """Open the media socket over HTTP/2, as a proxy in front of the server may."""
    parts = urlsplit(url)
    ssl_context.set_alpn_protocols(["h2"])
    tcp = await trio.open_tcp_stream(parts.hostname or "", parts.port or 443)
    tls = trio.SSLStream(tcp, ssl_context, server_hostname=parts.hostname, https_compatible=True)
    try:
        socket = Http2Socket(tls)
        await tls.do_handshake()
        await socket.connect(url, headers)
        assert socket.status == "200", socket.status
        yield socket
        await socket.aclose()
    finally:
        await trio.aclose_forcefully(tls)
