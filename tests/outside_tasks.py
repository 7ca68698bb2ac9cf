"""In every test, bridge and session take messages as they often do in a server: outside of any task.

Over real sockets the clock of all calls reads what gathers (`pump` in `protocol/wire.py`); over sockets in memory a
task does. So the task is hidden there: a call in memory fails, too, if what it does with a message asks for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest
from trio._core._run import GLOBAL_RUN_CONTEXT

from protocol.wire import PacedWebSocket, Take, pump


@contextmanager
def no_task() -> Iterator[None]:
    """Hide the current task, as while an instrument runs."""
    if (task := getattr(GLOBAL_RUN_CONTEXT, "task", None)) is None:
        yield  # an instrument does run
        return
    del GLOBAL_RUN_CONTEXT.task
    try:
        yield
    finally:
        GLOBAL_RUN_CONTEXT.task = task


async def pump_outside_tasks(socket: PacedWebSocket, take: Take) -> NoReturn:
    """Do what `pump` does, and let `take` know of no task."""

    def taken(frames: list[str | bytes]) -> None:
        with no_task():
            take(frames)

    await pump(socket, taken)


def take_outside_tasks() -> None:
    """Have bridges and sessions pump so from now on."""
    for reader in ("actors.session.wire", "actors.twilio_bridge"):
        pytest.MonkeyPatch().setattr(f"{reader}.pump", pump_outside_tasks)
