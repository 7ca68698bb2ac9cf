"""Stopping a program of one trio run: the first SIGINT or SIGTERM cancels it, the second ends the process at once.

Neither is a `KeyboardInterrupt`, which comes out wherever the program happens to be: hypercorn drops one that is raised
in a request or in a nursery of its own, and the rest of the program goes on. Nor is there one in a process that a
script runs in the background: shells have such a process ignore SIGINT.
"""

import signal
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType

import trio

SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def until_stopped(work: Callable[[], Awaitable[None]]) -> bool:
    """Run `work` until it is done or a signal cancels it; return whether one did. For the main thread only."""
    scope, token = trio.CancelScope(), trio.lowlevel.current_trio_token()

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)  # which waits for nobody, were the loop blocked
        token.run_sync_soon(partial(scope.cancel, reason="a signal"))

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        with scope:
            await work()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return scope.cancelled_caught
