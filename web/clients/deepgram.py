"""Client for Deepgram's Voice Agent API: opens one WebSocket for each agent, and says in our words why it could not.

`voice_agent_connector` returns the `connect` of `CallServices`. All connections share one TLS context, because
building one costs 25 ms of CPU and half a megabyte, and go on from one session. Third-party failures to connect become
`AgentUnavailable` here and nowhere else; once the socket is open, what its user raises passes through untouched and
alone.

trio-websocket opens every connection, on a stream that is dialled here: its `open_websocket` (0.12.2) waits for its
whole timeout when the peer hangs up in the middle of the upgrade or when the TLS handshake fails, and calls both a
timeout; five seconds are more than a caller should wait in silence. If the version is the one we know, a `FrameStream`
makes the handshake of TLS, and reads the stream once it is upgraded: trio-websocket's reader task, its queue and
wsproto's event objects are most of what a message would cost. With any other version, its own connection is used as it
comes, and each has a whole handshake (`web.sockets.versions`).
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import httpx
import trio
from trio_websocket import ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto import ConnectionType, WSConnection

from actors.errors import AgentUnavailable
from actors.supervision import root_cause
from protocol.frames import FrameReader
from protocol.wire import PacedWebSocket, PlainSocket, opening
from web.sockets.frame_stream import FrameStream
from web.sockets.tls import Tls, TlsClient, let_go
from web.sockets.versions import TRIO, TRIO_WEBSOCKET, is_known, tell_unknown

CONNECT_SECONDS = 5.0
DISCONNECT_SECONDS = 2.0
MAX_MESSAGE_BYTES = 16 * 2**20
TOO_MANY = 429
_PASSING = frozenset({408, 425, TOO_MANY})
"""Refusals that the same request may survive a moment later, as those of any server in trouble; others are lasting."""

_LONGEST_WHY = 300
"""Bytes of what a refusal says for itself: Deepgram's error as JSON, or a proxy's page."""
_SWITCHING, _END_OF_HEAD = b"HTTP/1.1 101", b"\r\n\r\n"
_TROUBLE = (HandshakeError, OSError, trio.BrokenResourceError)


class _Upgraded(Exception):
    """The library has read the answer that upgrades a connection, and is to read no further."""


class _Handshake(trio.abc.Stream):
    """A connection up to the end of a successful upgrade."""

    def __init__(self, inner: FrameStream) -> None:
        self._inner = inner
        self._head = b""
        self._is_over = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.write(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Do not wait: what is sent waits for room."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 - the interface is trio's
        if self._is_over:
            raise _Upgraded
        received = bytes(await self._inner.read())
        self._head += received
        head, end, rest = self._head.partition(_END_OF_HEAD)
        if end and head.startswith(_SWITCHING):
            self._is_over = True
            self._inner.unread(rest)
            return received[: len(received) - len(rest)]
        return received

    async def aclose(self) -> None:
        """Leave that to the stream's owner."""


def _unavailable(trouble: Exception) -> AgentUnavailable:
    if isinstance(trouble, ConnectionRejected):
        status = trouble.status_code
        passes = status in _PASSING or status >= 500
        body = (trouble.body or b"")[:_LONGEST_WHY].decode(errors="replace")
        why = " ".join(f"HTTP {status} {body}".split())
        return AgentUnavailable(why, retryable=passes, is_busy=status == TOO_MANY)
    if isinstance(trouble, trio.TooSlowError):
        return AgentUnavailable(f"no answer within {CONNECT_SECONDS:g} s")
    tried = trouble.__cause__  # trio has a group of every address it tried
    cause = root_cause(tried if isinstance(tried, Exception) else trouble)
    unmendable = isinstance(cause, ssl.SSLCertVerificationError)
    return AgentUnavailable(f"{type(cause).__name__}: {cause}", retryable=not unmendable)


def _raise_trouble(group: BaseExceptionGroup) -> None:
    """Raise what ended the library's nursery, in our words; nothing if it was only a cancellation.

    A function that kept it while it raises it would be kept by it, and with it the connection.
    """
    trouble = group.split(trio.Cancelled)[1]
    if isinstance(trouble, ExceptionGroup):
        raise _unavailable(root_cause(trouble)) from group


async def _dial(url: httpx.URL, deadline: float) -> trio.SocketStream:
    try:
        with trio.move_on_at(deadline):
            return await trio.open_tcp_stream(url.raw_host, url.port or (443 if url.scheme == "wss" else 80))
    except _TROUBLE as exc:
        raise _unavailable(exc) from exc
    raise _unavailable(trio.TooSlowError())


async def _secure(stream: FrameStream, host: str, client: TlsClient) -> Tls:
    tls = client.begin(host)
    try:
        await stream.secure(tls)
    except BaseException:
        client.note_refused(tls)
        raise
    return tls


async def _upgrade(
    tcp: trio.SocketStream,
    url: httpx.URL,
    headers: list[tuple[bytes, bytes]],
    client: TlsClient,
    deadline: float,
) -> FrameStream:
    """Upgrade a connection. The library's reader, which raises if the peer says no, runs in this task, and ends."""
    reader = FrameReader(masked=False, limit=MAX_MESSAGE_BYTES, joins_binary=True)  # binary is the agent's audio
    stream, tls = FrameStream(tcp, reader), None
    connection = WebSocketConnection(
        _Handshake(stream),
        WSConnection(ConnectionType.CLIENT),
        host=url.netloc.decode(),
        path=url.raw_path.decode(),
        client_extra_headers=headers,
    )
    try:
        with trio.move_on_at(deadline) as patience:
            if url.scheme == "wss":
                tls = await _secure(stream, url.raw_host.decode(), client)
            await connection._reader_task()
    except _Upgraded:
        if tls is not None:
            client.note(tls)
        return stream
    except Exception as exc:  # a fault of the library's is one of the connection
        raise _unavailable(exc) from exc
    if patience.cancelled_caught:
        raise _unavailable(trio.TooSlowError())
    raise _unavailable(HandshakeError("the peer hung up during the upgrade"))


def open_socket(
    url: httpx.URL | str, headers: list[tuple[bytes, bytes]], client: TlsClient
) -> AbstractAsyncContextManager[PacedWebSocket]:
    """Open one WebSocket for as long as the `async with` lasts.

    Raises: entering raises `AgentUnavailable`, within `CONNECT_SECONDS`.

    Closes: leaving says goodbye and waits `DISCONNECT_SECONDS` for the answer; a cancelled one hangs up.
    """
    opens = _open_fast if is_known(TRIO_WEBSOCKET) else _open_plain
    return opens(httpx.URL(url), headers, client)


@opening
async def _open_fast(
    url: httpx.URL, headers: list[tuple[bytes, bytes]], client: TlsClient
) -> AsyncIterator[PacedWebSocket]:
    deadline = trio.current_time() + CONNECT_SECONDS
    async with await _dial(url, deadline) as tcp:
        socket = await _upgrade(tcp, url, headers, client, deadline)
        yield socket
        with trio.move_on_after(DISCONNECT_SECONDS):
            await socket.aclose()


async def _stream_of(tcp: trio.SocketStream, url: httpx.URL, client: TlsClient) -> trio.abc.Stream:
    if url.scheme != "wss":
        return tcp
    tls = trio.SSLStream(tcp, client.context, server_hostname=url.raw_host.decode(), https_compatible=True)
    try:
        await tls.do_handshake()
    finally:
        if is_known(TRIO):
            let_go(tls)  # its handshake is over, or never
    return tls


@asynccontextmanager
async def _open_plain(
    url: httpx.URL, headers: list[tuple[bytes, bytes]], client: TlsClient
) -> AsyncIterator[PacedWebSocket]:
    deadline = trio.current_time() + CONNECT_SECONDS
    failed: Exception | None = None
    async with await _dial(url, deadline) as tcp:
        try:
            async with trio.open_nursery() as library:
                with trio.fail_at(deadline):
                    connection = await wrap_client_stream(
                        library,
                        await _stream_of(tcp, url, client),  # type: ignore[arg-type]  # any stream will do
                        url.netloc.decode(),
                        url.raw_path.decode(),
                        extra_headers=headers,
                        max_message_size=MAX_MESSAGE_BYTES,
                    )
                try:
                    yield PlainSocket(connection)
                except Exception as exc:
                    failed = exc
                    raise
                finally:
                    with trio.move_on_after(DISCONNECT_SECONDS):
                        await connection.aclose()
                library.cancel_scope.cancel(reason="closed")
        except BaseExceptionGroup as group:
            if failed is not None:
                raise failed from failed.__cause__  # alone, and not in the nursery's group
            _raise_trouble(group)
            raise


def voice_agent_connector(
    url: str, api_key: str, ssl_context: ssl.SSLContext
) -> Callable[[], AbstractAsyncContextManager[PacedWebSocket]]:
    """Return a function that opens one Voice Agent socket, as `open_socket` does."""
    tell_unknown(TRIO_WEBSOCKET)
    headers = [(b"Authorization", b"Token " + api_key.encode())]
    return partial(open_socket, httpx.URL(url), headers, TlsClient(ssl_context))
