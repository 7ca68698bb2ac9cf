"""Client for Deepgram's Voice Agent API: opens one WebSocket for each agent, and says in our words why it could not.

`voice_agent_connector` returns the `connect` of `CallServices`. All connections share one TLS context, because
building one costs 25 ms of CPU and half a megabyte. Third-party failures to connect become `AgentUnavailable` here
and nowhere else; once the socket is open, what its user raises passes through untouched and alone.

`protocol/upgrade.py` has the opening handshake, on a stream that is dialled here, and a `FrameStream` reads what
follows it: there is no reader task, no queue, and no event object for each message.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import attrs
import trio

from actors.errors import AgentUnavailable
from actors.supervision import root_cause
from protocol.errors import ProtocolError
from protocol.frames import FrameReader
from protocol.upgrade import ClientUpgrade, UpgradeRefused
from protocol.wire import PacedWebSocket
from web.sockets.frame_stream import FrameStream
from web.sockets.open_socket import OpenSocket
from web.sockets.tls import Tls

CONNECT_SECONDS = 5.0
DISCONNECT_SECONDS = 2.0
MAX_MESSAGE_BYTES = 16 * 2**20
TOO_MANY = 429
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Refusals that the same request may survive a moment later; 400, 401, 402, 403, 404 will not change."""

_TROUBLE = (ProtocolError, OSError, trio.BrokenResourceError, trio.TooSlowError)


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
    if isinstance(trouble, UpgradeRefused):
        status = trouble.status
        return AgentUnavailable(f"HTTP {status}", retryable=status in PASSING_STATUSES, is_busy=status == TOO_MANY)
    if isinstance(trouble, trio.TooSlowError):
        return AgentUnavailable(f"no answer within {CONNECT_SECONDS:g} s")
    tried = trouble.__cause__  # trio has a group of every address it tried
    cause = root_cause(tried if isinstance(tried, Exception) else trouble)
    unmendable = isinstance(cause, ssl.SSLCertVerificationError)
    return AgentUnavailable(f"{type(cause).__name__}: {cause}", retryable=not unmendable)


async def _next_bytes(tcp: trio.SocketStream, tls: Tls | None) -> bytes:
    """Return what the service says next, b"" for the end."""
    while (come := bytes(await tcp.receive_some())) and tls is not None:
        if (opened := tls.opened(come)) or tls.is_over:
            return opened
    return come


async def _upgraded(
    tcp: trio.SocketStream, address: _Address, headers: list[tuple[bytes, bytes]], context: ssl.SSLContext
) -> FrameStream:
    """Make both handshakes, that of TLS and that of the WebSocket."""
    tls = await Tls.connect(tcp, context, address.host) if address.secure else None
    upgrade = ClientUpgrade(address.header, address.resource, headers)
    asked = upgrade.request()
    await tcp.send_all(asked if tls is None else tls.sealed(asked))
    while (rest := upgrade.receive(await _next_bytes(tcp, tls))) is None:
        pass  # the answer comes in pieces
    reader = FrameReader(masked=False, limit=MAX_MESSAGE_BYTES, joins_binary=True)  # binary is the agent's audio
    return FrameStream(tcp, reader, rest, tls)


@asynccontextmanager
async def _connected(
    address: _Address, headers: list[tuple[bytes, bytes]], context: ssl.SSLContext
) -> AsyncIterator[OpenSocket]:
    """Dial and upgrade, within `CONNECT_SECONDS`; whatever happens, the connection is closed in the end."""
    deadline = trio.current_time() + CONNECT_SECONDS
    tcp: trio.SocketStream | None = None
    try:
        try:
            with trio.fail_at(deadline):
                tcp = await trio.open_tcp_stream(address.host, address.port)
                frames = await _upgraded(tcp, address, headers, context)
        except _TROUBLE as exc:
            raise _unavailable(exc) from exc
        yield OpenSocket(frames)
    finally:
        if tcp is not None:
            await trio.aclose_forcefully(tcp)


@asynccontextmanager
async def open_socket(
    url: str, headers: list[tuple[bytes, bytes]], ssl_context: ssl.SSLContext
) -> AsyncIterator[PacedWebSocket]:
    """Open one WebSocket for as long as the `async with` lasts.

    Raises: entering raises `AgentUnavailable`, within `CONNECT_SECONDS`.

    Closes: leaving says goodbye and waits `DISCONNECT_SECONDS` for the answer; a cancelled one hangs up.
    """
    async with _connected(_Address.of(url), headers, ssl_context) as socket:
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
