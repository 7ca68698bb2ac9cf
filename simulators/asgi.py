"""HTTP for the simulated services: a request read whole, a response sent whole, and a way to serve an app.

No framework: the simulators must run under hypercorn on a real port and under `httpx.ASGITransport` in memory, and
nothing else. A websocket scope is refused; lifespan is acknowledged.
"""

import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qsl

import attrs
import hypercorn.config
import hypercorn.trio
import orjson
import trio
from hypercorn.typing import Framework

from protocol.fields import JSON
from simulators.tls import Certificate

HOST = "127.0.0.1"
STALL_SECONDS = 5.0
"""For a client to read some of what it was sent."""
NEVER_SECONDS = 3600.0
"""For timeouts: under a clock that runs fast, a connection is idle for long within a moment."""

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


@attrs.frozen
class Request:
    """One HTTP request, body included."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    body: bytes
    receive: Receive

    def form(self) -> tuple[tuple[str, str], ...]:
        """Return the pairs of a form-encoded body, repeats and blanks included."""
        return tuple(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    async def wait_gone(self) -> None:
        """Return when the client has gone away."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


@attrs.frozen
class Response:
    """One HTTP response; `content_type` is JSON unless said otherwise."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    byte_seconds: float = 0.0
    """How long each byte of the body takes; nothing, and it goes out in one piece."""


def json_response(status: int, content: JSON, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return Response(status, orjson.dumps(content), headers)


Answer: TypeAlias = Callable[[Request], Awaitable[Response]]


async def answer_scope(scope: Message, receive: Receive, send: Send, answer: Answer) -> None:
    match scope["type"]:
        case "http":
            request = await _read_request(scope, receive)
            response = await answer(request)
            await _send_response(send, response, request.wait_gone)
        case "lifespan":
            await _live(receive, send)
        case _:
            await send({"type": "websocket.close", "code": 1002})


async def _read_request(scope: Message, receive: Receive) -> Request:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
        receive=receive,
    )


async def _send_response(send: Send, response: Response, wait_gone: Callable[[], Awaitable[None]]) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers),
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.byte_seconds:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drip, send, response)
            await wait_gone()
            nursery.cancel_scope.cancel(reason="the client is gone")
        return
    await send({"type": "http.response.body", "body": response.body, "more_body": False})


async def _drip(send: Send, response: Response) -> None:
    for byte in response.body:
        await trio.sleep(response.byte_seconds)
        await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class _LimitedConfig(hypercorn.config.Config):
    """A configuration with which a client that reads nothing is given up, on Linux; hypercorn shields its writes."""

    def create_sockets(self) -> hypercorn.config.Sockets:
        """Create the sockets to listen on, whose limit those they accept inherit (tcp(7))."""
        sockets = super().create_sockets()
        option: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
        for listener in (*sockets.secure_sockets, *sockets.insecure_sockets):
            if option is not None:
                listener.setsockopt(socket.IPPROTO_TCP, option, int(STALL_SECONDS * 1000))
        return sockets


async def serve_app(
    app: App,
    *,
    port: int = 0,
    certificate: Certificate | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an app on a real port of this machine until cancelled; reports the port when it listens.

    With a `certificate` it speaks TLS.
    """
    config = _LimitedConfig()
    if certificate is not None:
        config.certfile, config.keyfile = str(certificate.chain), str(certificate.key)
    config.bind = [f"{HOST}:{port}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 1.0
    config.keep_alive_timeout = config.shutdown_timeout = config.startup_timeout = NEVER_SECONDS
    forever = trio.sleep_forever  # or hypercorn would look after the signals
    serve = partial(hypercorn.trio.serve, cast("Framework", app), config, shutdown_trigger=forever, mode="asgi")
    async with trio.open_nursery() as nursery:
        binds: list[str] = await nursery.start(serve)
        task_status.started(int(binds[0].rpartition(":")[2]))
