"""The tree of a call's tasks, and what each waits for: as trio knows it, with no bookkeeping of ours.

`tree_of` walks the nurseries below a task. What a task waits for is read off the frames in which it is suspended: the
innermost function that is not trio's, and what of trio's it has called.
"""

from collections.abc import Iterator
from types import FrameType

import attrs
import trio

CHILDREN = "its children"
NOTHING = "its turn to run"
_ITERATION = frozenset({"ReceiveChannel.__anext__", "NurseryManager.__aexit__"})
"""Frames of trio's that say less than the next one."""


@attrs.frozen
class TaskNode:
    """One task: how deep below the call, its name, what it waits for, and where in our code (module:line)."""

    depth: int
    name: str
    waits_for: str
    at: str


def tree_of(root: trio.lowlevel.Task) -> Iterator[TaskNode]:
    """Go through the tasks of a call, top down; those of one nursery by name."""
    return (TaskNode(depth, name, *_waits_for(task)) for depth, name, task in _walk("call", root, 0))


def names_of(root: trio.lowlevel.Task) -> Iterator[tuple[int, str]]:
    return ((depth, name) for depth, name, _ in _walk("call", root, 0))


def _walk(name: str, task: trio.lowlevel.Task, depth: int) -> Iterator[tuple[int, str, trio.lowlevel.Task]]:
    yield depth, name, task
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda one: one.name):
            yield from _walk(short_name(child.name), child, depth + 1)


def _waits_for(task: trio.lowlevel.Task) -> tuple[str, str]:
    ours: tuple[FrameType, int | None] | None = None
    inside = list[str]()
    for frame, line in task.iter_await_frames():
        if frame.f_globals.get("__name__", "").partition(".")[0] == "trio":
            inside.append(frame.f_code.co_qualname)
        else:
            ours, inside = (frame, line), []
    place = f"{ours[0].f_globals.get('__name__', '')}:{ours[1]}" if ours is not None else ""
    if "Nursery._nested_child_finished" in inside:
        return CHILDREN, place
    called = next((name for name in inside if name not in _ITERATION), NOTHING)
    where = f" in {ours[0].f_code.co_qualname}" if ours is not None and called != NOTHING else ""
    return f"{called}{where}", place


def short_name(name: str) -> str:
    """Return a task's name without its module: `AgentSession.run`."""
    if " " in name:
        return name
    parts = [part for part in name.replace(".<locals>", "").split(".") if part]
    return ".".join(part.lstrip("_") for part in parts[-2:]) if len(parts) > 1 else name
