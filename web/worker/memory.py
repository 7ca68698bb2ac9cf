"""Memory of the server process: when the collector looks at everything, and what is returned to the system.

A full garbage collection looks at every object, and no caller hears anything meanwhile: 50 to 110 ms for the modules
alone, which are left out (`freeze_gc`), and half a millisecond for each call that runs. What a call held is free
without one. So it is done when no call has run for a while, or when the process has grown by `MOST_GROWTH`: an agent's
own handlers may leave what only a collection frees. The C library keeps what Python has freed until the end of its heap
is free; `malloc_trim` returns every free page, takes a tenth of a millisecond, and keeps a call as large in its tenth
minute as in its first.
"""

import ctypes
import gc
import linecache
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from actors.supervision import in_background
from web.calls.slots import Slots

LOOK_SECONDS = 10.0
QUIET_SECONDS = 100.0
"""Without a call, until all is collected: one that may come back (`LOST_SECONDS`) is held until then."""
MOST_GROWTH = 64_000_000
"""Bytes; a hundred calls more, as they are recorded, take a third of it."""
_THRESHOLDS = (1000, 1_000_000, 1_000_000)
"""The collector looks when there are 1,000 more objects than before, at the new ones only, and so once at each.

What a call holds for a moment comes and goes, 150 objects each: these are looked at as well.
"""
_M_ARENA_MAX = -8
"""Of glibc's `mallopt` (malloc.h)."""
_STATM = Path("/proc/self/statm")


def freeze_gc() -> None:
    """Leave out of garbage collection what exists now. Call it when the application is built."""
    gc.collect()
    gc.freeze()


def share_one_heap() -> None:
    """Have all threads allocate from one heap, as far as the C library can. Call it before there are any.

    glibc gives each thread one of its own, and none of them gets smaller: files and databases are written in a dozen.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def find_trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`; None on other systems."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def resident_bytes() -> int:
    """Return how large this process is, as Linux says."""
    return int(_STATM.read_text().split()[1]) * resource.getpagesize()


@asynccontextmanager
async def keeping_memory_free(
    slots: Slots, trim: Callable[[int], int] | None, resident: Callable[[], int] = resident_bytes
) -> AsyncIterator[None]:
    """Collect when it disturbs least, and return free memory now and then, for as long as the `async with` lasts.

    On other systems than Linux the collector goes by its own rules.
    """
    if sys.platform != "linux":
        yield
        return
    thresholds = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        async with in_background(partial(_keep_free, slots, trim, resident)):
            yield
    finally:
        gc.set_threshold(*thresholds)


async def _keep_free(slots: Slots, trim: Callable[[int], int] | None, resident: Callable[[], int]) -> None:
    held, quiet = resident(), 0.0
    while True:
        linecache.clearcache()  # source: of the methods that attrs has written, 2 MB, and of what a traceback has named
        if trim is not None:
            trim(0)
        await trio.sleep(LOOK_SECONDS)
        quiet = 0.0 if slots.taken else quiet + LOOK_SECONDS
        has_new = gc.get_count()[1] > 0
        if has_new and (quiet >= QUIET_SECONDS or resident() > held + MOST_GROWTH):
            gc.collect()
            held = resident()
