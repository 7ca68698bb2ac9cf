"""Dialling an agent: opens one Voice Agent WebSocket at Deepgram, and says in our words why it could not.

`voice_agent_connector` returns the `connect` of `CallServices`. All connections share one TLS context, because
building one costs 25 ms of CPU and half a megabyte. Third-party failures to connect become `AgentUnavailable` here
and nowhere else; once the socket is open, what its user raises passes through untouched and alone.

The stream is opened here and not by trio-websocket: its `open_websocket` (0.12.2) waits for its whole timeout when
the peer hangs up in the middle of the upgrade or when the TLS handshake fails, and calls both a timeout. Five seconds
are more than a caller should wait in silence.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import attrs
import trio
from trio_websocket import ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream

from actors.errors import AgentUnavailable
from protocol.wire import WebSocket

CONNECT_SECONDS = 5.0
DISCONNECT_SECONDS = 2.0
MAX_MESSAGE_BYTES = 16 * 2**20
MESSAGE_QUEUE = 256
TOO_MANY = 429
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Refusals that the same request may survive a moment later; 400, 401, 402, 403, 404 will not change."""

_TROUBLE = (HandshakeError, OSError, trio.BrokenResourceError, trio.TooSlowError)


class _Wire(trio.abc.Stream):
    """A stream that lets others know when the peer has hung up."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self.hung_up = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        received: bytes | bytearray = b""
        try:
            received = await self._inner.receive_some(max_bytes)
        finally:
            if not received:
                self.hung_up.set()
        return received

    async def aclose(self) -> None:
        await self._inner.aclose()


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
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in {80, 443} else f"{host}:{self.port}"


def _unavailable(trouble: BaseException) -> AgentUnavailable:
    if isinstance(trouble, ConnectionRejected):
        status = trouble.status_code
        return AgentUnavailable(f"HTTP {status}", retryable=status in PASSING_STATUSES, is_busy=status == TOO_MANY)
    if isinstance(trouble, trio.TooSlowError):
        return AgentUnavailable(f"no answer within {CONNECT_SECONDS:g} s")
    cause = trouble.__cause__ or trouble
    unmendable = isinstance(cause, ssl.SSLCertVerificationError)
    return AgentUnavailable(f"{type(cause).__name__}: {cause}", retryable=not unmendable)


def _leaf(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


async def _dial(address: _Address, context: ssl.SSLContext) -> trio.abc.Stream:
    tcp = await trio.open_tcp_stream(address.host, address.port)
    if not address.secure:
        return tcp
    tls = trio.SSLStream(tcp, context, server_hostname=address.host, https_compatible=True)
    try:
        await tls.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(tcp)
        raise
    return tls


@asynccontextmanager
async def _dialled(address: _Address, context: ssl.SSLContext, deadline: float) -> AsyncIterator[_Wire]:
    try:
        with trio.fail_at(deadline):
            wire = _Wire(await _dial(address, context))
    except _TROUBLE as exc:
        raise _unavailable(exc) from exc
    try:
        yield wire
    finally:
        await trio.aclose_forcefully(wire)


async def _say_when_gone(wire: _Wire) -> None:
    await wire.hung_up.wait()
    raise HandshakeError("the peer hung up during the upgrade")


async def _upgrade(
    connection: trio.Nursery, wire: _Wire, address: _Address, headers: list[tuple[bytes, bytes]]
) -> WebSocketConnection:
    """Upgrade a stream; the library's reader runs in `connection`, and raises there if the peer says no."""
    async with trio.open_nursery() as upgrading:
        upgrading.start_soon(_say_when_gone, wire)
        socket = await wrap_client_stream(
            connection,
            wire,  # type: ignore[arg-type]  # any stream will do: the library looks at sockets for its repr only
            address.header,
            address.resource,
            extra_headers=headers,
            message_queue_size=MESSAGE_QUEUE,
            max_message_size=MAX_MESSAGE_BYTES,
            receive_buffer_size=None,
        )
        upgrading.cancel_scope.cancel(reason="upgraded")
    return socket


@asynccontextmanager
async def _upgraded(
    wire: _Wire, address: _Address, headers: list[tuple[bytes, bytes]], deadline: float
) -> AsyncIterator[WebSocketConnection]:
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as connection:
            with trio.fail_at(deadline):
                socket = await _upgrade(connection, wire, address, headers)
            try:
                yield socket
            except BaseException as exc:
                failure = exc
                raise
            finally:
                with trio.move_on_after(DISCONNECT_SECONDS):
                    await socket.aclose()
                connection.cancel_scope.cancel(reason="the session's socket is closed")
    except BaseExceptionGroup as group:
        trouble = group.split(lambda exc: exc is failure or isinstance(exc, trio.Cancelled))[1]
        if trouble is not None and (failure is None or isinstance(failure, trio.Cancelled)):
            raise _unavailable(_leaf(trouble)) from group
        if failure is None:
            raise
        raise failure from failure.__cause__  # as it went in, not in a group


@asynccontextmanager
async def open_socket(
    url: str, headers: list[tuple[bytes, bytes]], ssl_context: ssl.SSLContext
) -> AsyncIterator[WebSocketConnection]:
    """Open one WebSocket for as long as the `async with` lasts.

    Raises: entering raises `AgentUnavailable`, within `CONNECT_SECONDS`.

    Closes: leaving says goodbye and waits `DISCONNECT_SECONDS` for the answer; a cancelled one hangs up.
    """
    address, deadline = _Address.of(url), trio.current_time() + CONNECT_SECONDS
    async with _dialled(address, ssl_context, deadline) as wire, _upgraded(wire, address, headers, deadline) as socket:
        yield socket


def voice_agent_connector(
    url: str, api_key: str, ssl_context: ssl.SSLContext
) -> Callable[[], AbstractAsyncContextManager[WebSocket]]:
    """Return a function that opens one Voice Agent socket, as `open_socket` does."""
    return partial(open_socket, url, [(b"Authorization", b"Token " + api_key.encode())], ssl_context)
