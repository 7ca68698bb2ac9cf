"""The end of a server process that a handler would keep: one that ignores its cancellation, or waits for a thread.

Such a handler has been abandoned by its call (`actors/function_calls.py`), and keeps nothing but trio's own end. When
everything else is closed, the process does not wait for it.
"""

import os
import sys
import threading
import time

import structlog
import trio

from actors.function_calls import HANDLER_TASK

LEAVE_SECONDS = 2.0
"""For the rest of the process to end by itself."""

_log = structlog.stdlib.get_logger()


def handlers_at_work() -> list[str]:
    """Return the names of the tasks of handlers that are at work."""
    root = trio.lowlevel.current_root_task()
    nurseries = [] if root is None else root.child_nurseries
    return sorted(
        task.name for nursery in nurseries for task in nursery.child_tasks if task.name.startswith(HANDLER_TASK)
    )


def leave_handlers() -> None:
    """End the process soon, though there are handlers at work; do nothing if there are none. Call it last."""
    if not (left := handlers_at_work()):
        return
    _log.error("handlers_left", tasks=left, why="they go on although they were cancelled; the process ends")
    threading.Thread(target=_end, name="end of the process", daemon=True).start()


def _end() -> None:
    time.sleep(LEAVE_SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
