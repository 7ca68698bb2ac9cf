"""Background tasks of the application, from the server's start to its end: one nursery around its lifespan.

`BackgroundTasks` is ASGI middleware. The tasks live as long as the application's lifespan: cancelling one cancels the
other, and what a task raises leaves through it. Other scopes pass untouched.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import attrs
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

Application: TypeAlias = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]


@attrs.frozen
class BackgroundTasks:
    """Runs tasks for as long as an application lives."""

    application: Application
    runs: Sequence[Callable[[], Awaitable[None]]]

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one ASGI connection, or the application's own life."""
        if scope["type"] != "lifespan":
            await self.application(scope, receive, send)
            return
        async with trio.open_nursery() as nursery:
            for run in self.runs:
                nursery.start_soon(run)
            await self.application(scope, receive, send)
            nursery.cancel_scope.cancel(reason="the server has closed")
