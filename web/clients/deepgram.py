"""Client for Deepgram's Voice Agent API: opens one WebSocket for each agent, and says in our words why it could not.

`voice_agent_connector` returns the `connect` of `CallServices`. All connections share one TLS context, because
building one costs 25 ms of CPU and half a megabyte, and go on from one session. Third-party failures to connect become
`AgentUnavailable` here and nowhere else; once the socket is open, what its user raises passes through untouched and
alone.

A `FrameStream` makes the handshake of TLS, and websockets' Sans-I/O client the upgrade: it says what to send, and what
an answer means, and reads nothing by itself. The same `FrameStream` reads the frames then: it needs no task, no queue
and no event objects, which would be most of what a message costs.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

import trio
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

from actors.errors import AgentUnavailable
from actors.supervision import root_cause
from protocol.frames import FrameReader
from protocol.wire import PacedWebSocket, opening
from web.sockets.frame_stream import FrameStream
from web.sockets.open_socket import OpenSocket
from web.sockets.tls import Tls, TlsClient

CONNECT_SECONDS = 5.0
DISCONNECT_SECONDS = 2.0
MAX_MESSAGE_BYTES = 16 * 2**20
TOO_MANY = 429
_PASSING = frozenset({408, 425, TOO_MANY})
"""Refusals that the same request may survive a moment later, as those of any server in trouble; others are lasting."""

_LONGEST_WHY = 300
"""Bytes of what a refusal says for itself: Deepgram's error as JSON, or a proxy's page."""
_END_OF_HEAD = b"\r\n\r\n"


def _unavailable(trouble: Exception) -> AgentUnavailable:
    if isinstance(trouble, InvalidStatus):
        status = trouble.response.status_code
        passes = status in _PASSING or status >= 500
        body = trouble.response.body[:_LONGEST_WHY].decode(errors="replace")
        why = " ".join(f"HTTP {status} {body}".split())
        return AgentUnavailable(why, retryable=passes, is_busy=status == TOO_MANY)
    if isinstance(trouble, trio.TooSlowError):
        return AgentUnavailable(f"no answer within {CONNECT_SECONDS:g} s")
    tried = trouble.__cause__  # trio has a group of every address it tried
    cause = root_cause(tried if isinstance(tried, Exception) else trouble)
    unmendable = isinstance(cause, ssl.SSLCertVerificationError)
    return AgentUnavailable(f"{type(cause).__name__}: {cause}", retryable=not unmendable)


async def _dial(at: WebSocketURI, deadline: float) -> trio.SocketStream:
    try:
        with trio.move_on_at(deadline):
            return await trio.open_tcp_stream(at.host, at.port)
    except OSError as exc:
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


async def _shake_hands(stream: FrameStream, client: ClientProtocol, headers: Mapping[str, str]) -> Exception | None:
    """Upgrade a connection; return why it is refused, if it is. What comes behind the answer is read as frames."""
    request = client.connect()
    request.headers.update(headers)
    client.send_request(request)
    await stream.write(b"".join(client.data_to_send()))
    received = b""
    while _END_OF_HEAD not in received:
        if not (more := await stream.read()):
            raise ConnectionResetError("the peer hung up during the upgrade")
        received += more
    head, end, rest = received.partition(_END_OF_HEAD)
    client.receive_data(head + end)
    if client.state is State.OPEN:
        stream.unread(rest)
        return None
    client.receive_data(rest)
    while client.handshake_exc is None:  # the body says why
        if more := await stream.read():
            client.receive_data(more)
        else:
            client.receive_eof()
    return client.handshake_exc


async def _upgrade(
    tcp: trio.SocketStream, at: WebSocketURI, headers: Mapping[str, str], tls_client: TlsClient, deadline: float
) -> OpenSocket:
    reader = FrameReader(masked=False, limit=MAX_MESSAGE_BYTES, joins_binary=True)  # binary is the agent's audio
    stream, client, tls = FrameStream(tcp, reader), ClientProtocol(at), None
    refused: Exception | None = trio.TooSlowError()
    try:
        with trio.move_on_at(deadline):
            if at.secure:
                tls = await _secure(stream, at.host, tls_client)
            refused = await _shake_hands(stream, client, headers)
    except Exception as exc:  # a fault of the library's is one of the connection
        raise _unavailable(exc) from exc
    finally:
        client.parser.close()  # it refers to the client, which refers to it
    if refused is not None:
        raise _unavailable(refused) from refused
    if tls is not None:
        tls_client.note(tls)
    return OpenSocket(stream)


@opening
async def open_socket(url: str, headers: Mapping[str, str], tls_client: TlsClient) -> AsyncIterator[PacedWebSocket]:
    """Open one WebSocket for as long as the `async with` lasts.

    Raises: entering raises `AgentUnavailable`, within `CONNECT_SECONDS`.

    Closes: leaving says goodbye and waits `DISCONNECT_SECONDS` for the answer; a cancelled one hangs up.
    """
    at, deadline = parse_uri(url), trio.current_time() + CONNECT_SECONDS
    async with await _dial(at, deadline) as tcp:
        socket = await _upgrade(tcp, at, headers, tls_client, deadline)
        yield socket
        with trio.move_on_after(DISCONNECT_SECONDS):
            await socket.aclose()


def voice_agent_connector(
    url: str, api_key: str, ssl_context: ssl.SSLContext
) -> Callable[[], AbstractAsyncContextManager[PacedWebSocket]]:
    """Return a function that opens one Voice Agent socket, as `open_socket` does."""
    return partial(open_socket, url, {"Authorization": f"Token {api_key}"}, TlsClient(ssl_context))
