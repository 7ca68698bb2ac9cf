"""Work of a thread that leaves the processor to the calls in between.

Python lets one thread run at a time, and a thread that computes hands over only after 5 ms. So what is wanted for all
calls at once is done for a few of them, and then the scheduler has the processor for a while.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 16
"""Calls; a millisecond or two of work."""
PAUSE_SECONDS = 0.01


def leisurely(things: Iterable[T], at_once: int = AT_ONCE, pause: float = PAUSE_SECONDS) -> Iterator[T]:
    """Yield the things one by one, and sleep a little after every few of them. Blocks: only for a thread."""
    for number, thing in enumerate(things):
        if number and number % at_once == 0:
            time.sleep(pause)
        yield thing
