"""Runs one version in the world once, under virtual time, and strikes with one fault right before one of its steps.

For asyncio, steps are counted by a task factory, and time passes in a selector: both are public interfaces. For trio,
an instrument counts steps, and `MockClock` is the time. What is left over is counted at the instant the call returns.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import attrs
import trio
import trio.lowlevel
from trio.testing import MockClock

from docs.lesson.world import World

LONGEST = 1.0
"""Virtual seconds: a call that has not ended by then never will."""
Version = Callable[[World], Awaitable[None]]


@attrs.define
class Fault:
    """Counts the steps of the call's tasks and strikes once, right before step `at`. `name` is "" for no fault."""

    name: str
    at: int
    steps: int = 0
    has_struck: bool = False
    is_over: bool = False
    """The call has ended: what its tasks do when they are swept up is no step of it."""
    strike: Callable[[], bool] = lambda: False

    def step(self) -> None:
        if self.is_over:
            return
        self.steps += 1
        if self.name and self.steps == self.at:
            self.has_struck = self.strike()

    def aim(self, world: World, cancel: Callable[[], object]) -> None:
        """Say what the fault does to this world; `cancel` cancels the call from outside."""

        def strike() -> bool:
            if self.name == "cancel":
                cancel()
                struck = True
            else:
                struck = bool(getattr(world, self.name)())
            if struck:
                world.struck_at = world.now()
            return struck

        self.strike = strike


@attrs.frozen
class Run:
    """One call in its world, when it is over. `left` is how many of its tasks still run."""

    world: World
    fault: Fault
    left: int


# asyncio


class Counted(Coroutine[Any, Any, Any]):
    """A coroutine that says so before each of its steps."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], step: Callable[[], None]) -> None:
        self.coroutine, self.step = coroutine, step

    def send(self, value: Any) -> Any:
        self.step()
        return self.coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        self.step()
        return self.coroutine.throw(*error)

    def close(self) -> None:
        self.coroutine.close()

    def __await__(self) -> Any:
        return self


class VirtualTime(selectors.SelectSelector):
    """Waits for nothing: what would be waited for is added to the time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is virtual."""

    def __init__(self) -> None:
        self.virtual = VirtualTime()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.now


def run_asyncio(version: Version, second: str, fault: Fault, _seed: int = 0) -> Run:
    """Run a version on asyncio."""
    loop = VirtualLoop()
    world = World(asyncio, loop.time, second)
    left: list[asyncio.Task[Any]] = []

    async def main() -> None:
        outside = asyncio.create_task(world.run())
        await asyncio.sleep(0)
        loop.set_task_factory(lambda loop, work, **more: asyncio.Task(Counted(work, fault.step), loop=loop, **more))
        task: asyncio.Task[None] = loop.create_task(version(world))  # type: ignore[arg-type]
        fault.aim(world, task.cancel)
        await asyncio.wait([task], timeout=LONGEST)
        world.ended_at, fault.is_over = loop.time(), True
        loop.set_task_factory(None)
        left.extend(asyncio.all_tasks() - {asyncio.current_task(), outside, task})
        world.left_open = [session.number for session in world.sessions if session.is_open]
        if not task.done():
            left.append(task)
        elif not task.cancelled() and (error := task.exception()):
            world.error(error)
        for each in (*left, outside):
            each.cancel()
        await asyncio.wait([*left, outside], timeout=1)

    loop.set_exception_handler(lambda _loop, _context: None)  # what is lost is found by the checks
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return Run(world, fault, len(left))


# trio


class Steps(trio.abc.Instrument):
    """Counts the steps of the task named "the call" and of its descendants."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        ancestor: trio.lowlevel.Task | None = task
        while ancestor is not None and ancestor.name != "the call":
            ancestor = ancestor.parent_nursery.parent_task if ancestor.parent_nursery else None
        if ancestor is not None:
            self.fault.step()


def run_trio(version: Version, second: str, fault: Fault, seed: int = 0) -> Run:
    """Run a version on trio; `seed` decides how trio shuffles the tasks that are ready."""
    world = World(trio, trio.current_time, second)
    scope, over = trio.CancelScope(), trio.Event()
    fault.aim(world, scope.cancel)
    left: list[int] = []

    async def the_call() -> None:
        with scope:
            try:
                await version(world)
            except* Exception as error:
                world.error(error)
        over.set()

    async def main() -> None:
        async with trio.open_nursery() as outside:
            outside.start_soon(world.run)
            await trio.lowlevel.checkpoint()
            outside.start_soon(the_call, name="the call")
            with trio.move_on_after(LONGEST):
                await over.wait()
            world.ended_at, fault.is_over = trio.current_time(), True
            world.left_open = [session.number for session in world.sessions if session.is_open]
            left.append(sum(map(_tasks_in, outside.child_tasks)) - 1)  # the world itself goes on
            outside.cancel_scope.cancel()

    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[attr-defined]  # private, and the only way
    trio._core._run._r.seed(fault.at + seed)  # type: ignore[attr-defined]
    trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[Steps(fault)])
    return Run(world, fault, left[0])


def _tasks_in(task: trio.lowlevel.Task) -> int:
    """Count a task and its descendants; the one that only carries the call, and has ended it, is none."""
    if task.name == "the call" and not task.child_nurseries:
        return 0
    return 1 + sum(_tasks_in(child) for nursery in task.child_nurseries for child in nursery.child_tasks)
