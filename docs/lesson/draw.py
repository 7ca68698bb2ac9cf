"""Draw the tasks of the version with scopes, at the moments that matter, from what really runs.

    python -m docs.lesson.draw     writes docs/lesson/pictures/*.svg

An instrument looks at trio's own tree of tasks and nurseries after each step. Nothing is drawn by hand: a picture is
one look at a run. `handoff.svg` shows the looks of one handoff one after the other.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import attrs
import trio
import trio.lowlevel
from trio.testing import MockClock

from docs.lesson import scopes
from docs.lesson.runners import Fault
from docs.lesson.world import World

FOLDER = Path(__file__).parent / "pictures"
ROW, INDENT, WIDTH, LEFT, TOP = 34, 30, 560, 16, 58
_NAMES = {
    "the call": "the call",
    "read_caller": "reads what the caller says",
    "feed": "sends the caller's frames",
    "hand_off": "hands over, by the deadline",
}


@attrs.frozen
class Seen:
    """One task as it was at a look: its depth in the tree, and whether a scope around it has been cancelled."""

    name: str
    depth: int
    is_cancelled: bool
    is_new: bool


@attrs.frozen
class Look:
    """The tree at one moment. `at` is in seconds of the call."""

    title: str
    at: float
    tasks: tuple[Seen, ...]


@attrs.define(eq=False)
class Watcher(trio.abc.Instrument):
    """Looks at the call's tasks after each step, once for each condition that has become true."""

    world: World
    fault: Fault
    moments: list[tuple[str, Callable[[World], bool]]]
    looks: list[Look] = attrs.field(factory=list)
    _sessions: dict[int, str] = attrs.field(factory=dict)
    _known: set[int] = attrs.field(factory=set)
    _call: trio.lowlevel.Task | None = None

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        if task.name == "the call":
            self._call = task
        elif task.name.endswith("run_session"):
            self._sessions[id(task)] = "first" if not self._sessions else "second"

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._call is not None and any(each is task for each, _ in self._walk(self._call, 0)):
            self.fault.step()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._call is None or not self.moments or not self.moments[0][1](self.world):
            return
        title, _ = self.moments.pop(0)
        tree = list(self._walk(self._call, 0))
        seen = tuple(self._seen(each, depth) for each, depth in tree)
        self._known |= {id(each) for each, _ in tree}
        self.looks.append(Look(title, trio.current_time(), seen))

    def _walk(self, task: trio.lowlevel.Task, depth: int) -> Iterator[tuple[trio.lowlevel.Task, int]]:
        yield task, depth
        for nursery in task.child_nurseries:
            for child in sorted(nursery.child_tasks, key=lambda each: each.name + self._sessions.get(id(each), "")):
                yield from self._walk(child, depth + 1)

    def _seen(self, task: trio.lowlevel.Task, depth: int) -> Seen:
        short = task.name.rpartition(".")[2]
        name = f"the {self._sessions[id(task)]} agent's session" if short == "run_session" else _NAMES.get(short, short)
        cancelled: bool = task._cancel_status.effectively_cancelled  # type: ignore[attr-defined]  # trio's own word
        return Seen(name, depth, cancelled, id(task) not in self._known)


def watch(second: str, fault: Fault, moments: Sequence[tuple[str, Callable[[World], bool]]]) -> list[Look]:
    """Run the version with scopes once; return a look at each of the moments, in their order."""
    world = World(trio, trio.current_time, second)
    watcher = Watcher(world, fault, list(moments))

    async def the_call(scope: trio.CancelScope) -> None:
        with scope:
            await scopes.call(world)

    async def main() -> None:
        async with trio.open_nursery() as outside:
            outside.start_soon(world.run)
            await trio.lowlevel.checkpoint()
            scope = trio.CancelScope()
            fault.aim(world, scope.cancel)
            async with trio.open_nursery() as inside:  # noqa: ASYNC112 - only a child can have a name
                inside.start_soon(the_call, scope, name="the call")
            outside.cancel_scope.cancel()

    # trio has no public name for it: tasks that wait for the same moment run in an order that is the same each time
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[attr-defined]
    trio._core._run._r.seed(0)  # type: ignore[attr-defined]
    trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[watcher])
    return watcher.looks


HANDOFF: Sequence[tuple[str, Callable[[World], bool]]] = (
    ("Before: the first agent has the floor", lambda world: world.said == 2),
    ("t0: the agent asks for another one", lambda world: world.asked_at is not None),
    ("Preparing: the next session connects", lambda world: world.connecting > 0),
    ("Commit: the floor moves in one step", lambda world: len(world.sessions) == 2 and not world.connecting),
    ("After: the old session is closing", lambda world: any(session == 2 for _, session in world.heard)),
    ("Later: one session, one reader", lambda world: len(world.sessions) == 2 and not world.sessions[0].is_open),
)


def _struck() -> Sequence[tuple[str, Callable[[World], bool]]]:
    """Return two moments: when the second session connects, and when the fault has been noticed, three steps later."""
    steps: list[int] = []

    def noticed(world: World) -> bool:
        steps.extend([1] if world.struck_at is not None else [])
        return len(steps) > 3

    return (("Before", lambda world: world.connecting > 0), ("After", noticed))


def pictures() -> dict[str, str]:
    """Return every picture by the name of its file."""
    handoff = watch("comes", Fault("", 0), HANDOFF)
    hang_up = watch("comes", Fault("hang_up", _step_while_connecting()), _struck())
    crash = watch("comes", Fault("break_reader", _step_while_connecting()), _struck())
    drawn = {f"handoff-{number}.svg": still(look) for number, look in enumerate(handoff, start=1)}
    drawn["hang-up.svg"] = still(attrs.evolve(hang_up[-1], title="The caller hangs up while the next session connects"))
    drawn["crash.svg"] = still(attrs.evolve(crash[-1], title="The old session breaks while the next one connects"))
    drawn["handoff.svg"] = moving(handoff)
    return drawn


def _step_while_connecting() -> int:
    """Return a step at which the second session connects: the worst instant for a fault."""
    counted = Fault("", 0)
    found: list[int] = []

    def connecting(world: World) -> bool:
        if world.connecting and not found:
            found.append(counted.steps + 3)
        return False

    watch("comes", counted, [("", connecting)])
    return found[0]


_STYLE = """<style>
text{font:13px system-ui,sans-serif;fill:#1f2430}.title{font-weight:600;font-size:15px}
.soft{fill:#667085;font-size:12px}
.box{fill:#eef4ff;stroke:#3b5bdb;stroke-width:1.4}.new{fill:#e6f7ee;stroke:#12805c}.off{fill:#fdecec;stroke:#c92a2a;
stroke-dasharray:5 3}.edge{stroke:#98a2b3;stroke-width:1.4;fill:none}.paper{fill:#fff}
</style>"""


def still(look: Look) -> str:
    """Draw one look."""
    return _document(_rows(look), len(look.tasks), look.title)


def moving(looks: Sequence[Look]) -> str:
    """Draw looks one after the other, three seconds each, over and over."""
    seconds, count = 3, len(looks)
    groups = []
    for index, look in enumerate(looks):
        shown = ";".join("1" if index == step else "0" for step in range(count))
        animate = (
            f'<animate attributeName="opacity" calcMode="discrete" dur="{seconds * count}s" repeatCount="indefinite"'
            f' values="{shown}"/>'
        )
        first = "1" if index == 0 else "0"
        groups.append(f'<g opacity="{first}">{animate}{_rows(look)}</g>')
    return _document("".join(groups), max(len(look.tasks) for look in looks), "One handoff, step by step")


def _document(content: str, rows: int, title: str) -> str:
    height = TOP + rows * ROW + 34
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img"><title>{escape(title)}</title>{_STYLE}<rect class="paper" width="100%" height="100%"/>{content}'
        f'<text class="soft" x="{LEFT}" y="{height - 10}">green: new since the last picture; red, dashed: inside a'
        " cancelled scope</text></svg>\n"
    )


def _rows(look: Look) -> str:
    parts = [
        f'<text class="title" x="{LEFT}" y="24">{escape(look.title)}</text>',
        f'<text class="soft" x="{LEFT}" y="42">{look.at * 1000:.0f} ms into the call</text>',
    ]
    rows_of_depth: dict[int, int] = {}
    for row, task in enumerate(look.tasks):
        x, y = LEFT + task.depth * INDENT, TOP + row * ROW
        if task.depth:
            parent = TOP + rows_of_depth[task.depth - 1] * ROW + 26
            parts.append(f'<path class="edge" d="M{x - INDENT + 12} {parent} V{y + 13} H{x}"/>')
        kind = "box off" if task.is_cancelled else "box new" if task.is_new else "box"
        parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH - 180 - x}" height="26" rx="6"/>')
        parts.append(f'<text x="{x + 10}" y="{y + 17.5}">{escape(task.name)}</text>')
        rows_of_depth[task.depth] = row
    return "".join(parts)


def main() -> None:
    """Write every picture."""
    FOLDER.mkdir(exist_ok=True)
    for name, drawn in pictures().items():
        (FOLDER / name).write_text(drawn)


if __name__ == "__main__":
    main()
