"""Memory of the server process: freeze the collector's view at the start, and return free memory to the system.

A full garbage collection looks at every object, more than a hundred thousand in the modules alone, and no caller hears
anything while that takes (50 to 110 ms, measured). The C library keeps what Python has freed until the end of its heap
is free; `malloc_trim` returns every free page, takes a tenth of a millisecond, and keeps a call as large in its tenth
minute as in its first.
"""

import ctypes
import gc
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import trio

from web.worker.background import in_background

TRIM_SECONDS = 10.0


def freeze_gc() -> None:
    """Leave out of garbage collection what exists now. Call it when the application is built."""
    gc.collect()
    gc.freeze()


def find_trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`; None on other systems."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def trim_memory(trim: Callable[[int], int] | None) -> AbstractAsyncContextManager[None]:
    """Return free memory to the system now and then, for as long as the `async with` lasts."""
    return in_background(trim and partial(_keep_trimming, trim))


async def _keep_trimming(trim: Callable[[int], int]) -> None:
    while True:
        await trio.sleep(TRIM_SECONDS)
        trim(0)
