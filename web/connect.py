"""Dialling an agent: opens one Voice Agent WebSocket at Deepgram, and says in our words why it could not.

`voice_agent_connector` returns the `connect` of `CallServices`. All connections share one TLS context, because
building one costs 25 ms of CPU and half a megabyte. Third-party failures to connect become `AgentUnavailable` here
and nowhere else; once the socket is open, what its user raises passes through untouched.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio
from trio_websocket import (
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    open_websocket_url,
)

from actors.errors import AgentUnavailable
from protocol.wire import WebSocket

CONNECT_SECONDS = 5.0
DISCONNECT_SECONDS = 2.0
MAX_MESSAGE_BYTES = 16 * 2**20
MESSAGE_QUEUE = 256
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Refusals that the same request may survive a moment later; 400, 401, 402, 403, 404 will not change."""


def _unavailable(exc: HandshakeError | OSError | trio.BrokenResourceError) -> AgentUnavailable:
    cause = exc.__cause__ if isinstance(exc, HandshakeError) and exc.__cause__ is not None else exc
    if isinstance(exc, ConnectionRejected):
        return AgentUnavailable(f"HTTP {exc.status_code}", retryable=exc.status_code in PASSING_STATUSES)
    if isinstance(exc, ConnectionTimeout):
        return AgentUnavailable(f"no answer within {CONNECT_SECONDS:g} s")
    if isinstance(cause, trio.BrokenResourceError) and cause.__cause__ is not None:
        cause = cause.__cause__
    unmendable = isinstance(cause, ssl.SSLCertVerificationError)
    return AgentUnavailable(f"{type(cause).__name__}: {cause}", retryable=not unmendable)


def voice_agent_connector(
    url: str, api_key: str, ssl_context: ssl.SSLContext
) -> Callable[[], AbstractAsyncContextManager[WebSocket]]:
    """Return a function that opens one Voice Agent socket for as long as its `async with` lasts.

    Raises: entering raises `AgentUnavailable`.
    """
    context = ssl_context if url.startswith("wss:") else None
    headers = [(b"Authorization", b"Token " + api_key.encode())]

    @asynccontextmanager
    async def connect() -> AsyncIterator[WebSocket]:
        opened, failure = False, None
        try:
            async with open_websocket_url(
                url,
                context,
                extra_headers=headers,
                message_queue_size=MESSAGE_QUEUE,
                max_message_size=MAX_MESSAGE_BYTES,
                connect_timeout=CONNECT_SECONDS,
                disconnect_timeout=DISCONNECT_SECONDS,
            ) as socket:
                opened = True
                try:
                    yield socket
                except BaseException as exc:
                    failure = exc
                    raise
        except DisconnectionTimeout:
            if failure is not None:
                raise failure from None
        except (HandshakeError, OSError, trio.BrokenResourceError) as exc:
            if opened:
                raise
            raise _unavailable(exc) from exc

    return connect
