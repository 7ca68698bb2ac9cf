"""Client for Deepgram's Voice Agent API: opens one WebSocket for each agent, and says in our words why it could not.

`voice_agent_connector` returns the `connect` of `CallServices`. All connections share one TLS context, because
building one costs 25 ms of CPU and half a megabyte. Third-party failures to connect become `AgentUnavailable` here
and nowhere else; once the socket is open, what its user raises passes through untouched and alone.

A stream is dialled here. wsproto writes the upgrade's request and reads its answer, without a task of its own, and a
`FrameStream` reads what follows: a connection of trio-websocket (0.12.2) waits for its whole timeout when the peer
hangs up in the middle of the upgrade, and costs three times as much CPU to open.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import attrs
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import RejectConnection, Request
from wsproto.utilities import RemoteProtocolError

from actors.errors import AgentUnavailable
from actors.supervision import root_cause
from protocol.frames import FrameReader
from protocol.wire import PacedWebSocket
from web.sockets.frame_stream import FrameStream
from web.sockets.open_socket import OpenSocket

CONNECT_SECONDS = 5.0
DISCONNECT_SECONDS = 2.0
MAX_MESSAGE_BYTES = 16 * 2**20
TOO_MANY = 429
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Refusals that the same request may survive a moment later; 400, 401, 402, 403, 404 will not change."""

LONGEST_HEAD = 2**16
_END_OF_HEAD = b"\r\n\r\n"
_TROUBLE = (RemoteProtocolError, OSError, trio.BrokenResourceError, trio.TooSlowError)


@attrs.frozen
class _Address:
    """Where a Voice Agent URL leads."""

    host: str
    port: int
    resource: str
    secure: bool

    @classmethod
    def of(cls, url: str) -> "_Address":
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname or "", parts.port or (443 if secure else 80), resource, secure)

    @property
    def header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in {80, 443} else f"{host}:{self.port}"


def _unavailable(trouble: Exception) -> AgentUnavailable:
    if isinstance(trouble, trio.TooSlowError):
        return AgentUnavailable(f"no answer within {CONNECT_SECONDS:g} s")
    tried = trouble.__cause__  # trio has a group of every address it tried
    cause = root_cause(tried if isinstance(tried, Exception) else trouble)
    unmendable = isinstance(cause, ssl.SSLCertVerificationError)
    return AgentUnavailable(f"{type(cause).__name__}: {cause}", retryable=not unmendable)


async def _dial(address: _Address, context: ssl.SSLContext) -> trio.abc.Stream:
    tcp = await trio.open_tcp_stream(address.host, address.port)
    if not address.secure:
        return tcp
    tls = trio.SSLStream(tcp, context, server_hostname=address.host, https_compatible=True)
    try:
        await tls.do_handshake()
    except BaseException:  # a cancellation, too, must not leave the socket open; it goes on
        await trio.aclose_forcefully(tcp)
        raise
    return tls


async def _upgrade(stream: trio.abc.Stream, address: _Address, headers: Sequence[tuple[bytes, bytes]]) -> FrameStream:
    """Ask the peer to upgrade a stream. *Raises* `AgentUnavailable` if it says no, and `_TROUBLE`."""
    handshake = WSConnection(ConnectionType.CLIENT)
    request = Request(address.header, address.resource, extra_headers=list(headers))
    await stream.send_all(handshake.send(request))
    head, rest = await _read_head(stream)
    handshake.receive_data(head)
    answer = next(handshake.events())  # there is one, now that the head is whole
    if isinstance(answer, RejectConnection):
        status = answer.status_code
        raise AgentUnavailable(f"HTTP {status}", retryable=status in PASSING_STATUSES, is_busy=status == TOO_MANY)
    reader = FrameReader(masked=False, limit=MAX_MESSAGE_BYTES, joins_binary=True)  # binary is the agent's audio
    return FrameStream(stream, reader, rest)


async def _read_head(stream: trio.abc.Stream) -> tuple[bytes, bytes]:
    """Read the answer to a request up to its empty line; return it, and the bytes behind it."""
    read = b""
    while _END_OF_HEAD not in read:
        received = bytes(await stream.receive_some())
        if not received:
            raise ConnectionResetError("the peer hung up during the upgrade")
        read += received
        if len(read) > LONGEST_HEAD:
            raise ConnectionError("the peer's answer to the upgrade has no end")
    head, end, rest = read.partition(_END_OF_HEAD)
    return head + end, rest


@asynccontextmanager
async def open_socket(
    url: str, headers: Sequence[tuple[bytes, bytes]], ssl_context: ssl.SSLContext
) -> AsyncIterator[OpenSocket]:
    """Open one WebSocket for as long as the `async with` lasts.

    Raises: entering raises `AgentUnavailable`, within `CONNECT_SECONDS`.

    Closes: leaving says goodbye and waits `DISCONNECT_SECONDS` for the answer; a cancelled one hangs up.
    """
    address = _Address.of(url)
    async with AsyncExitStack() as stack:
        try:
            with trio.fail_after(CONNECT_SECONDS):
                stream = await _dial(address, ssl_context)
                stack.push_async_callback(trio.aclose_forcefully, stream)
                socket = OpenSocket(await _upgrade(stream, address, headers))
        except _TROUBLE as exc:
            raise _unavailable(exc) from exc
        try:
            yield socket
        finally:
            with trio.move_on_after(DISCONNECT_SECONDS):
                await socket.aclose()


def voice_agent_connector(
    url: str, api_key: str, ssl_context: ssl.SSLContext
) -> Callable[[], AbstractAsyncContextManager[PacedWebSocket]]:
    """Return a function that opens one Voice Agent socket, as `open_socket` does."""
    return partial(open_socket, url, [(b"Authorization", b"Token " + api_key.encode())], ssl_context)
