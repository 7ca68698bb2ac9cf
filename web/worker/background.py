"""Background tasks beside an `async with`: they are cancelled at its end, and end it only on purpose.

`in_background` owns the nursery. `keep_running` and `unharmed` let no bug of a task end the server: the one starts it
again, the other logs it and goes on without.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
import trio

from actors.supervision import Crashed, guard

REST_SECONDS = 1.0
"""From a crash to the next start."""

_log = structlog.stdlib.get_logger()


@asynccontextmanager
async def in_background(run: Callable[[], Awaitable[None]] | None) -> AsyncIterator[None]:
    """Run a task, if there is one, for as long as the `async with` lasts."""
    async with trio.open_nursery() as nursery:
        if run is not None:
            nursery.start_soon(run)
        yield
        nursery.cancel_scope.cancel(reason="the server has closed")


async def keep_running(run: Callable[[], Awaitable[None]], crashed: str) -> None:
    """Run a task until cancelled, and start it again when it crashes; `crashed` is the event in the log."""
    while True:
        await unharmed(run, crashed)
        await trio.sleep(REST_SECONDS)


async def unharmed(run: Callable[[], Awaitable[None]], crashed: str) -> None:
    """Run a task once, and log its crash: calls do without it."""
    ended = await guard(run)
    if isinstance(ended, Crashed):
        _log.error(crashed, error=ended.reason)
