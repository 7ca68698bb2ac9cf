"""The memory of a server process: what a call must not wait for, and what must not grow.

Both are for the start of a process, and never undone.
"""

import ctypes
import gc
import sys

_M_ARENA_MAX = -8
"""glibc's `malloc.h`, https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html"""


def spare_what_stays() -> None:
    """Have the collector look no more at what is there by now: say so when everything is imported.

    A full collection looks at every object, more than a hundred thousand of them in the modules alone, and for as long
    as that takes (50 to 110 ms, measured) no caller hears anything.
    """
    gc.collect()
    gc.freeze()


def share_one_heap() -> bool:
    """Let threads allocate where everybody does; False where the C library knows no such thing.

    glibc gives threads heaps of their own, up to eight for each core, and each keeps what its worst moment needed. Our
    threads write records and files, a hundred of them when a hundred calls end, and never two at once for long.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, 1) == 1
