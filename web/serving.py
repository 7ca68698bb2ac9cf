"""Serve the application until the process is told to stop, and then until the last call is over.

`serve_calls` owns the server's sockets and its signals: SIGTERM or SIGINT begins the drain (`web.worker.draining`), a
second one hurries it. When the drain is over the server closes, and what is left is cancelled, records and all.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import attrs
import httpx
import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio import serve as hypercorn_serve
from quart_trio import QuartTrio

from actors.journal import Entry, ignore
from settings import Settings
from web.app import create_app
from web.calls.slots import Slots
from web.console.phone import CallerVoice
from web.services import open_services
from web.sockets.connections import Connections, descriptors_allowed, limit_stalled_writes
from web.sockets.versions import HYPERCORN, MAX_MESSAGE_BYTES, SILENT_SECONDS, install, is_known
from web.worker.draining import close_calls, leave_handlers, receive_stops, wait_drained
from web.worker.memory import find_trim, freeze_gc, keeping_memory_free, share_one_heap

GRACE_SECONDS = 5.0
"""For what still goes on at the end of the drain, before it is cancelled; there is none after a second signal."""


class LimitedConfig(Config):
    """hypercorn's configuration; its listening sockets limit stalled writes, also where there is no `PullServer`."""

    def create_sockets(self) -> Sockets:
        """Create the sockets to listen on.

        Raises: `OSError`, with the address and the settings that name it.
        """
        try:
            sockets = super().create_sockets()
        except OSError as exc:
            where = ", ".join(self.bind)
            raise OSError(f"{where}: {exc.strerror or exc}. Check LEAD_SERVER_HOST and LEAD_SERVER_PORT.") from exc
        limit_stalled_writes([*sockets.secure_sockets, *sockets.insecure_sockets])
        return sockets


def server_config(settings: Settings) -> LimitedConfig:
    """Return hypercorn's configuration: no access log, small WebSocket messages, limited writes, HTTP/1.1."""
    config = LimitedConfig()
    config.alpn_protocols = ["http/1.1"]
    config.bind = [f"{settings.lead_server_host}:{settings.lead_server_port}"]
    config.websocket_max_message_size = MAX_MESSAGE_BYTES
    config.websocket_ping_interval = None if is_known(HYPERCORN) else SILENT_SECONDS  # `PullServer` has its own
    config.graceful_timeout = GRACE_SECONDS
    config.ssl_handshake_timeout = config.keep_alive_timeout
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")  # which `web.worker.logs` writes as our own lines
    config.loglevel = "WARNING"
    return config


@attrs.frozen
class Started:
    """An application that can be served, and what its drain needs."""

    app: QuartTrio
    slots: Slots
    close_calls: Callable[[], float]


@asynccontextmanager
async def started(
    settings: Settings,
    *,
    observe: Callable[[Entry], None] = ignore,
    voice: CallerVoice | None = None,
    functions: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Started]:
    """Open the services and build the application on them, for as long as the `async with` lasts.

    Raises: `RosterError`; `OSError` for a folder that cannot be written to, and for a driver that is not installed.
    """
    share_one_heap()
    async with open_services(settings, observe=observe, functions=functions) as opened:
        connections = Connections.beside(settings.calls_per_worker, descriptors_allowed())
        install(connections)
        app = create_app(settings, opened, voice=voice)
        async with keeping_memory_free(opened.slots, find_trim()):
            yield Started(app, opened.slots, partial(close_calls, opened.services))


async def serve_calls(
    settings: Settings, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until a signal stops it; `started` gives the addresses listened on."""
    with receive_stops() as signals:
        await serve_until(signals, settings, server_config(settings), task_status=task_status)
    leave_handlers()


async def serve_until(
    signals: AsyncIterator[int],
    settings: Settings,
    config: Config,
    *,
    observe: Callable[[Entry], None] = ignore,
    voice: CallerVoice | None = None,
    functions: httpx.AsyncBaseTransport | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until the first of `signals`, and then until the drain is over; the second one cuts it short."""
    async with started(settings, observe=observe, voice=voice, functions=functions) as ready:

        async def drained() -> None:
            if await wait_drained(signals, ready.slots, settings.drain_timeout, ready.close_calls):
                config.graceful_timeout = 0.0

        freeze_gc()
        await hypercorn_serve(ready.app, config, shutdown_trigger=drained, task_status=task_status, mode="asgi")
