"""Serving one exchange until it is told to stop, and then until its last caller has left.

`serve` owns the order of a shutdown. On SIGTERM or SIGINT no new call is let in (`/readyz` turns false, callers are
asked to call again) while the webhooks of running calls are still answered. Calls that are not over when
`DRAIN_TIMEOUT` has passed hear a closing sentence; when the last call is over, or that has taken too long, the server
closes and what is left is cancelled, records and all. A second signal skips both waits.
"""

import signal
from collections.abc import AsyncIterator, Callable
from functools import partial

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve

from actors.call import CallServices
from actors.journal import Entry, ignore
from actors.messages import CloseCall
from settings import Settings
from web.app import create_app
from web.pull_server import install
from web.services import open_services
from web.slots import Slots
from web.sockets import LimitedConfig

GRACE_SECONDS = 5.0
"""For calls that are cancelled at the end of the drain to save their records and say goodbye to Twilio."""
MAX_MESSAGE_BYTES = 64 * 1024
"""Twilio's frames are about 400 bytes."""

_log = structlog.stdlib.get_logger()


def server_config(settings: Settings) -> LimitedConfig:
    """Return hypercorn's configuration: no access log, small WebSocket messages, limited writes."""
    config = LimitedConfig()
    config.bind = [f"{settings.lead_server_host}:{settings.lead_server_port}"]
    config.websocket_max_message_size = MAX_MESSAGE_BYTES
    config.graceful_timeout = GRACE_SECONDS
    config.accesslog = None
    config.loglevel = "WARNING"
    return config


async def wait_drained(
    signals: AsyncIterator[int], slots: Slots, seconds: float, close_calls: Callable[[], float]
) -> None:
    """Wait for a signal and then for the last call to end, for so long at most or until a second signal.

    After so long, `close_calls` has those that are left say goodbye, and returns how long that may take.
    """
    await anext(signals)
    slots.drain()
    _log.info("drain_started", calls=slots.taken, seconds=seconds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hurry, signals, nursery.cancel_scope)
        with trio.move_on_after(seconds):
            await slots.wait_empty()
        if slots.taken:
            _log.info("drain_closing", calls=slots.taken)
            with trio.move_on_after(close_calls()):
                await slots.wait_empty()
        nursery.cancel_scope.cancel(reason="the drain is over")
    _log.info("drain_ended", calls=slots.taken)


def close_calls(services: CallServices) -> float:
    """Ask every running call to close; return how long that may take."""
    services.intercom.tell_all(CloseCall("drained"))
    return services.policy.longest_closing


async def _hurry(signals: AsyncIterator[int], waiting: trio.CancelScope) -> None:
    await anext(signals)
    waiting.cancel(reason="a second signal")


async def serve(
    settings: Settings,
    *,
    observe: Callable[[Entry], None] = ignore,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until SIGTERM or SIGINT; `started` gives the addresses listened on."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        await serve_until(signals, settings, server_config(settings), observe=observe, task_status=task_status)


async def serve_until(
    signals: AsyncIterator[int],
    settings: Settings,
    config: Config,
    *,
    observe: Callable[[Entry], None] = ignore,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until the first of `signals`, and then until the drain is over; the second one cuts it short."""
    install()
    slots = Slots(settings.max_calls)
    async with open_services(settings, observe=observe) as opened:
        app = create_app(settings, opened.services, opened.line, holes=opened.holes, slots=slots)
        last_words = partial(close_calls, opened.services)
        closing_time = partial(wait_drained, signals, slots, settings.drain_timeout, last_words)
        await hypercorn_serve(app, config, shutdown_trigger=closing_time, task_status=task_status, mode="asgi")
