"""ASGI WebSockets: the requested target, how one is accepted, and its events as messages.

`AsgiEvents` turns the server's events into messages and back; it keeps nothing, and waits for nobody but the server.
Where the server offers to carry messages without events, as `web.sockets.pull_server` does, `accept` takes the offer.
"""

from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

import attrs
import h11
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    WebsocketAcceptEvent,
    WebsocketCloseEvent,
    WebsocketReceiveEvent,
    WebsocketScope,
    WebsocketSendEvent,
    WWWScope,
)

from protocol.frames import NO_STATUS, Close
from web.sockets.open_socket import OpenSocket

POLICY_VIOLATION = 1008
CARRIER = "switchboard.carrier"
"""The ASGI extension of a server that carries messages without events: `{"accept": take an accept event to it}`."""
MESSAGES = "switchboard.messages"
"""That of a server that hands over a request's body as it comes: `{"deliver": take what takes each event}`."""
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Our answers are for machines: no browser may keep one, frame it, run it, or guess its type."""
LONGEST_PATH = 200
"""Characters of a path in the log."""
UPGRADE_FIX = "A client of RFC 6455 asks so: if one did, a proxy has changed its fields; have it pass them unchanged."
_AS_ASCII = frozenset({b"connection", b"sec-websocket-extensions", b"sec-websocket-protocol"})
"""The fields of an upgrade that hypercorn reads so."""


def why_no_upgrade(request: h11.Request, behind: bytes) -> str:
    """Say what is wrong with an upgrade that hypercorn refuses without a word; nothing where it is none, or well.

    `behind` is what has come behind its fields.
    """
    headers = list(request.headers) if request.method.upper() == b"GET" else []
    fields = dict(headers)
    asks = fields.get(b"upgrade", b"").lower() == b"websocket" and b"upgrade" in fields.get(b"connection", b"").lower()
    if not asks:
        return ""
    for name, value in headers:
        if name in _AS_ASCII and not value.isascii():
            return f"{name.decode()} is not ASCII"
    if request.http_version < b"1.1":
        return "HTTP/1.0 has no upgrades: a proxy has to speak HTTP/1.1 with us (nginx: proxy_http_version 1.1)"
    if b"sec-websocket-key" not in fields:
        return "sec-websocket-key is missing"
    if behind and fields.keys().isdisjoint({b"content-length", b"transfer-encoding"}):
        return "something has come behind it, and before the answer"
    return "" if fields.get(b"sec-websocket-version") == b"13" else "sec-websocket-version is not 13"


def target_of(scope: WWWScope) -> str:
    """Return the path and the query of a request as they came, undecoded: what Twilio signed of it."""
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).partition(b"?")[0]
    if not path.startswith(b"/"):  # with scheme and host in front of it, as to a proxy
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    query = scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin1")


def headers_of(scope: WWWScope) -> dict[str, str]:
    """Return the headers of a request by their names in lower case; of repeated ones, the last."""
    return {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}


def is_clear_http2(scope: WWWScope) -> bool:
    """Whether a request came over HTTP/2 without TLS, where a connection has no time limits."""
    return scope["http_version"] == "2" and scope["scheme"] in {"http", "ws"}


async def refuse_http2(scope: WWWScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer 505, and a WebSocket with the refusal of its server."""
    await receive()
    if scope["type"] == "websocket":
        await send(WebsocketCloseEvent(type="websocket.close", code=POLICY_VIOLATION, reason=None))
        return
    await send(HTTPResponseStartEvent(type="http.response.start", status=505, headers=[]))
    await send(HTTPResponseBodyEvent(type="http.response.body", body=b"", more_body=False))


async def accept(scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> OpenSocket:
    """Accept a WebSocket, and return it."""
    accepting = WebsocketAcceptEvent(type="websocket.accept", subprotocol=None, headers=[])
    offer = scope["extensions"].get(CARRIER)
    if offer is not None:
        accepted: OpenSocket = await offer["accept"](accepting)
        return accepted
    await receive()  # the server's `connect`
    await send(accepting)
    return AsgiEvents(receive, send)


@attrs.define(eq=False)
class AsgiEvents(OpenSocket):
    """Carries one WebSocket's messages by way of its server's events."""

    _receive: ASGIReceiveCallable
    _send: ASGISendCallable

    async def receive(self) -> str | bytes | Close:
        """Return the next message, or how the peer ended."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            return Close(event.get("code") or NO_STATUS, "")
        received = cast("WebsocketReceiveEvent", event)
        text = received.get("text")
        return text if text is not None else received.get("bytes") or b""

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._send(WebsocketSendEvent(type="websocket.send", bytes=None, text=message))
        else:
            await self._send(WebsocketSendEvent(type="websocket.send", bytes=message, text=None))

    async def close(self, code: int, reason: str) -> None:
        """Say that nothing more will come."""
        await self._send(WebsocketCloseEvent(type="websocket.close", code=code, reason=reason or None))
