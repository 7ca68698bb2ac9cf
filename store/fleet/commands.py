"""Messages from other workers, by NOTIFY on a channel of this worker's.

Commands to calls are rows that NOTIFY announces: they are read at once, and each second all the same. What is posted is
the notification itself, and is lost where nobody listens.
"""

from collections.abc import Callable
from contextlib import suppress

import psycopg
import structlog
import trio

from store.fleet import statements
from store.fleet.driver import Database, listen
from store.fleet.shared import FleetUnavailable, Inbox, Later, Listener, WorkerMessage, ignore_post

LOOK_SECONDS = 1.0
_POSTED = "post "

_log = structlog.stdlib.get_logger()


async def hear_on(database: Database, name: Callable[[], str], listener: Listener, inbox: Inbox = ignore_post) -> None:
    """Pass on what comes for this worker, until cancelled."""
    news, announced = trio.open_memory_channel[None](1)

    def tell(text: str) -> None:
        if text.startswith(_POSTED):
            inbox(text.removeprefix(_POSTED))
            return
        with suppress(trio.WouldBlock):  # the table is read soon, and all of it then
            news.send_nowait(None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen_on, database, name, tell)
        while True:
            with trio.move_on_after(LOOK_SECONDS):
                await announced.receive()
            try:
                await hear(database, name(), listener, nursery.start_soon)
            except FleetUnavailable:
                continue  # the beat finds out, and tells


def _not_now(_later: Later) -> None:
    """Leave what takes time undone."""


async def hear(database: Database, worker: str, listener: Listener, start: Callable[[Later], object] = _not_now) -> int:
    """Take the commands for a worker's calls and pass them on; return how many there were.

    `start` is given what takes time about them. Raises: `FleetUnavailable`.
    """
    heard = await database.ask(statements.HEAR, {"worker": worker})
    for call_sid, body in heard:
        later = listener(WorkerMessage(call_sid, body))
        if later is not None:
            start(later)
    return len(heard)


async def _listen_on(database: Database, name: Callable[[], str], tell: Callable[[str], None]) -> None:
    """Listen again after each loss, and when the worker has a new name."""
    while True:
        if not database.is_away:
            try:
                await _listen_as(database, name, tell)
            except* (psycopg.Error, OSError, trio.TooSlowError) as lost:
                _log.info("listening_lost", why=[type(exc).__name__ for exc in lost.exceptions])
        await trio.sleep(LOOK_SECONDS)


async def _listen_as(database: Database, name: Callable[[], str], tell: Callable[[str], None]) -> None:
    worker = name()
    async with trio.open_nursery() as nursery:

        async def until_renamed() -> None:
            while name() == worker:  # noqa: ASYNC110 - it changes rarely, and nobody waits for it
                await trio.sleep(LOOK_SECONDS)
            nursery.cancel_scope.cancel(reason="this worker has a new name")

        nursery.start_soon(until_renamed)
        try:
            await listen(database.conninfo, f"worker {worker}", tell)
        finally:
            nursery.cancel_scope.cancel(reason="the listening is over")
