"""Messages from other workers, by NOTIFY on a channel of this worker's.

Commands to calls are rows that NOTIFY announces: they are read at once, and each second all the same. A row goes once
it was passed on, not as it is read: an answer of the database that is lost would take the command with it. What is
posted is the notification itself, and is lost where nobody listens.
"""

from collections.abc import Callable
from contextlib import suppress

import attrs
import psycopg
import structlog
import trio

from store.calls import DatabaseUnavailable
from store.fleet import statements
from store.fleet.driver import Database, listen
from store.fleet.shared import Inbox, Later, Listener, WorkerMessage

LOOK_SECONDS = 1.0
_POSTED = "post "

_log = structlog.stdlib.get_logger()


async def hear_on(database: Database, name: Callable[[], str], listener: Listener, inbox: Inbox) -> None:
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
        commands = CommandRows(database, listener, nursery.start_soon)
        while True:
            with trio.move_on_after(LOOK_SECONDS):
                await announced.receive()
            try:
                await commands.hear(name())
            except DatabaseUnavailable:
                continue  # the beat finds out, and tells


@attrs.define(eq=False)
class CommandRows:
    """The commands for the calls of a worker, each passed on once; `start` is given what takes time about them."""

    database: Database
    listener: Listener
    start: Callable[[Later], object]
    _passed_on: set[int] = attrs.field(factory=set, init=False)
    """Rows that may be there still."""

    async def hear(self, worker: str) -> int:
        """Pass on what has come for a worker; return how many commands that were. Raises: `DatabaseUnavailable`."""
        rows = await self.database.ask(statements.HEAR, {"worker": worker})
        before = self._passed_on
        self._passed_on = {row for row, _, _ in rows}
        fresh = [WorkerMessage(call_sid, body) for row, call_sid, body in rows if row not in before]
        for message in fresh:
            later = self.listener(message)
            if later is not None:
                self.start(later)
        if rows:
            await self.database.ask(statements.HEARD, {"ids": list(self._passed_on)})
        return len(fresh)


async def _listen_on(database: Database, name: Callable[[], str], tell: Callable[[str], None]) -> None:
    """Listen again after each loss, and at once when the worker has a new name."""
    while True:
        if not database.is_away:
            try:
                await _listen_as(database, name, tell)
                continue
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
