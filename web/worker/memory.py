"""The memory of a server process: what stays is looked at once, at the start, and what is free is given back.

A full collection of garbage looks at every object, more than a hundred thousand of them in the modules alone, and for
as long as that takes (50 to 110 ms, measured) no caller hears anything. The C library on the other hand keeps what
Python has freed until the very end of its heap is free; told to, it returns every free page of it, which takes a tenth
of a millisecond and keeps a call as large in its tenth minute as in its first.
"""

import ctypes
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

GIVE_BACK_SECONDS = 10.0


def spare_what_stays() -> None:
    """Have the collector look no more at what is there by now: say so when everything is imported."""
    gc.collect()
    gc.freeze()


def find_trim() -> Callable[[int], int] | None:
    """Return the C library's way to give free memory back; None where there is none: only glibc has it."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


@asynccontextmanager
async def giving_back(trim: Callable[[int], int] | None) -> AsyncIterator[None]:
    """Give free memory back to the system now and then, for as long as the `async with` lasts."""
    async with trio.open_nursery() as nursery:
        if trim is not None:
            nursery.start_soon(_keep_giving_back, trim)
        yield
        nursery.cancel_scope.cancel(reason="the server has closed")


async def _keep_giving_back(trim: Callable[[int], int]) -> None:
    while True:
        await trio.sleep(GIVE_BACK_SECONDS)
        trim(0)
