"""Memory of the server process: when the collector looks at everything, and what is returned to the system.

A full garbage collection looks at every object, and no caller hears anything meanwhile: 50 to 110 ms with the modules
alone, which are left out (`freeze_gc`), and half a millisecond for each call that runs. Nearly all memory is free
without one. What is left of a call that is over, 0.3 MB in circles, is collected when no call runs, or when
`ENDED_CALLS` have left theirs. The C library keeps what Python has freed until the end of its heap is free;
`malloc_trim` returns every free page, takes a tenth of a millisecond, and keeps a call as large in its tenth minute as
in its first.
"""

import ctypes
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from web.calls.slots import Slots
from web.worker.background import in_background

TRIM_SECONDS = 10.0
ENDED_CALLS = 100
_THRESHOLDS = (700, 5, 10_000)
"""Of the collector: what has been there for a while is looked at in pieces of 3,500 objects, which take 2 ms, and all
of it by itself once in some hours of a busy server."""


def freeze_gc() -> None:
    """Leave out of garbage collection what exists now. Call it when the application is built."""
    gc.collect()
    gc.freeze()


def find_trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`; None on other systems."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


@asynccontextmanager
async def keeping_memory_free(slots: Slots, trim: Callable[[int], int] | None) -> AsyncIterator[None]:
    """Collect when it disturbs least, and return free memory now and then, for as long as the `async with` lasts."""
    thresholds = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        async with in_background(partial(_keep_free, slots, trim)):
            yield
    finally:
        gc.set_threshold(*thresholds)


async def _keep_free(slots: Slots, trim: Callable[[int], int] | None) -> None:
    collected = 0
    while True:
        await trio.sleep(TRIM_SECONDS)
        left = slots.ended - collected
        if left >= ENDED_CALLS or (left and not slots.taken):
            gc.collect()
            collected = slots.ended
        if trim is not None:
            trim(0)
