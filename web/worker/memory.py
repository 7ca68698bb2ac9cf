"""Memory of the server process: freeze the collector's view at the start, and return free memory to the system.

A full garbage collection looks at every object, more than a hundred thousand in the modules alone, and no caller hears
anything while that takes (50 to 110 ms, measured). The C library keeps what Python has freed until the end of its heap
is free; `malloc_trim` returns every free page, takes a tenth of a millisecond, and keeps a call as large in its tenth
minute as in its first.
"""

import ctypes
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

TRIM_SECONDS = 10.0


def freeze_gc() -> None:
    """Leave out of garbage collection what exists now. Call it when everything is imported."""
    gc.collect()
    gc.freeze()


def find_trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`; None on other systems."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


@asynccontextmanager
async def trim_memory(trim: Callable[[int], int] | None) -> AsyncIterator[None]:
    """Return free memory to the system now and then, for as long as the `async with` lasts."""
    async with trio.open_nursery() as nursery:
        if trim is not None:
            nursery.start_soon(_keep_trimming, trim)
        yield
        nursery.cancel_scope.cancel(reason="the server has closed")


async def _keep_trimming(trim: Callable[[int], int]) -> None:
    while True:
        await trio.sleep(TRIM_SECONDS)
        trim(0)
