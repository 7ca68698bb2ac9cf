"""Drain: stop accepting, let calls end, close the rest, exit.

`wait_drained` owns the order: at the first signal no new call is let in (`/readyz` turns false, callers are asked to
call again) while the webhooks of running calls are still answered. Calls that are not over when `seconds` have passed
hear a closing sentence; when the last call is over, or that has taken too long, it returns. A second signal skips both
waits. `draining` makes plain hypercorn wait for that: left alone, it closes its listening sockets at once, with the
webhooks of running calls outside, and cancels the calls when its graceful timeout is over.

    hypercorn is told to stop ─┐
    SIGTERM, SIGHUP, Ctrl-C ───┴─▶ drain ─▶ (calls end) ─▶ closing sentence ─▶ hypercorn stops
    Ctrl-C again ────────────────▶ hypercorn stops

A terminal that is closed sends SIGHUP, and a shell in it often another one, which hurries nobody.

hypercorn's master sends SIGTERM to every other worker as soon as the first one has ended, and once more when it ends
itself. So a worker that drains takes no notice of it: only a second Ctrl-C hurries.

A handler that ignores its cancellation, or waits for a thread, has been abandoned by its call
(`actors/session/function_calls.py`) and would keep the process. `leave_handlers` ends the process without it, last of
all.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress

import attrs
import hypercorn.trio.run
import structlog
import trio
from hypercorn.utils import ShutdownError

from actors.call_services import CallServices
from actors.messages import CloseCall
from actors.session.function_calls import HANDLER_TASK
from web.calls.slots import Slots

LEAVE_SECONDS = 2.0
"""For the rest of the process to end by itself."""

_log = structlog.stdlib.get_logger()


async def wait_drained(
    signals: AsyncIterator[int], slots: Slots, seconds: float, close_calls: Callable[[], float]
) -> bool:
    """Wait for a signal and then for the last call to end, for so long at most or until a second signal.

    After so long, `close_calls` has those that are left say goodbye, and returns how long that may take. Returns
    whether a second signal came.
    """
    is_hurried = True
    await anext(signals)
    slots.drain()
    _log.info("drain_started", calls=slots.taken, seconds=seconds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hurry, signals, nursery.cancel_scope)
        with trio.move_on_after(seconds):
            await slots.wait_empty()
        if slots.taken:
            _log.info("drain_closing", calls=slots.taken)
            with trio.move_on_after(close_calls()):
                await slots.wait_empty()
        is_hurried = False
        nursery.cancel_scope.cancel(reason="the drain is over")
    _log.info("drain_ended", calls=slots.taken)
    return is_hurried


def close_calls(services: CallServices) -> float:
    """Ask every running call to close; return how long that may take."""
    services.intercom.tell_all(CloseCall("drained"))
    return services.policy.deadlines.longest_closing


async def _hurry(signals: AsyncIterator[int], waiting: trio.CancelScope) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            waiting.cancel(reason="a second signal")
            return


@attrs.define(eq=False)
class Closing:
    """The drain of one worker of plain hypercorn: begun by hypercorn or by a signal."""

    drained: trio.Event = attrs.field(factory=trio.Event, init=False)
    _send: trio.MemorySendChannel[int] = attrs.field(init=False)
    signals: trio.MemoryReceiveChannel[int] = attrs.field(init=False)
    _begun: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._send, self.signals = trio.open_memory_channel[int](2)

    def begin(self) -> None:
        if not self._begun:
            self.told(signal.SIGTERM)

    def told(self, number: int) -> None:
        """Take a signal; more than two change nothing."""
        self._begun = True
        if self._send.statistics().current_buffer_used < 2:
            self._send.send_nowait(number)

    async def listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        if threading.current_thread() is not threading.main_thread():  # signals come to no other
            task_status.started()
            return
        with receive_stops() as received:
            task_status.started()
            async for number in received:
                if number in {signal.SIGTERM, signal.SIGHUP}:
                    self.begin()
                else:
                    self.told(number)

    async def raise_shutdown(self, trigger: Callable[[], Awaitable[object]]) -> None:
        """Stop hypercorn's worker once it is drained; `trigger` is hypercorn's own wish to stop."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._begin_when, trigger)
            await self.drained.wait()
            nursery.cancel_scope.cancel(reason="drained")
        raise ShutdownError

    async def _begin_when(self, trigger: Callable[[], Awaitable[object]]) -> None:
        await trigger()
        self.begin()


def receive_stops() -> AbstractContextManager[AsyncIterator[int]]:
    """Receive the signals that stop a server; that its terminal is gone is none where it is ignored (nohup)."""
    hang_ups = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, *hang_ups)


@asynccontextmanager
async def draining(slots: Slots, seconds: float, close_calls: Callable[[], float]) -> AsyncIterator[None]:
    """Have hypercorn's trio worker stop only when it is drained, for as long as the `async with` lasts.

    What is left then, as after a second Ctrl-C, has hypercorn's own graceful timeout.
    """
    closing = Closing()
    # the name that hypercorn's worker looks up, which it imported and does not export
    theirs = hypercorn.trio.run.raise_shutdown  # type: ignore[attr-defined]

    async def drain() -> None:
        await wait_drained(closing.signals, slots, seconds, close_calls)
        closing.drained.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(closing.listen)
        nursery.start_soon(drain)
        hypercorn.trio.run.raise_shutdown = closing.raise_shutdown  # type: ignore[assignment,attr-defined]
        try:
            yield
        finally:
            hypercorn.trio.run.raise_shutdown = theirs  # type: ignore[attr-defined]
        nursery.cancel_scope.cancel(reason="the server has stopped")


def handlers_at_work() -> list[str]:
    root = trio.lowlevel.current_root_task()
    nurseries = [] if root is None else root.child_nurseries
    return sorted(
        task.name for nursery in nurseries for task in nursery.child_tasks if task.name.startswith(HANDLER_TASK)
    )


def leave_handlers() -> None:
    """End the process soon if handlers still run; do nothing if none does. Call it last."""
    if not (left := handlers_at_work()):
        return
    _log.error("handlers_left", tasks=left, why="they go on although they were cancelled; the process ends")
    threading.Thread(target=_end, name="end of the process", daemon=True).start()


def _end() -> None:
    time.sleep(LEAVE_SECONDS)
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)
