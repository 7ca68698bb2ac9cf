"""Background tasks beside an `async with`: they are cancelled at its end, and end it only on purpose.

`in_background` owns the nursery. `keep_running` lets no bug of a task end the server: it starts the task again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from actors.supervision import unharmed

REST_SECONDS = 1.0
"""From a crash to the next start."""


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
