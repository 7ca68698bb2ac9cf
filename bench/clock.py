"""The clock of the generators. uvloop's own is a millisecond coarse, and stands still during a turn of the loop."""

import asyncio  # noqa: TID251 - see bench.control
import time
from collections.abc import Callable

now = time.monotonic

_ROUND_UP = 0.0005


def call_at(moment: float, do: Callable[..., object], *arguments: object) -> asyncio.TimerHandle:
    """Call something at a moment of `now`, or up to a millisecond later, never earlier."""
    return asyncio.get_running_loop().call_later(max(0.0, moment - now()) + _ROUND_UP, do, *arguments)
