"""Exercises: change one line, say which promise will break, then look.

    python -m docs.lesson.exercises          list them
    python -m docs.lesson.exercises 3        play the third: its change, and what the sweep finds
    python -m docs.lesson.exercises all      all of them

Each changes one version in memory, never on disk. `breaks` is what the sweep finds; a test holds the page to it.
"""

import difflib
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import attrs

from docs.lesson.sweep import Result, sweep

HERE = Path(__file__).parent


@attrs.frozen
class Exercise:
    """One change: `old` becomes `new` in the file of `version`, and the promises of `breaks` no longer hold."""

    title: str
    old: str
    new: str
    breaks: frozenset[str]
    version: str = "scopes"


def _breaks(*promises: str) -> frozenset[str]:
    return frozenset(promises)


EXERCISES = (
    Exercise(
        "The old agent's scope is not cancelled",
        "            self.floor.cancel()  # from here to started() no other task runs\n",
        "",
        _breaks("heard", "silence", "voice"),
    ),
    Exercise(
        "The old agent goes on listening while the next one connects",
        "            await self.settled.wait()\n            await session.send",
        "            await session.send",
        _breaks("heard"),
    ),
    Exercise(
        "A deadline four times as long",
        "trio.fail_after(DEADLINE)",
        "trio.fail_after(4 * DEADLINE)",
        _breaks("record", "silence", "time"),
    ),
    Exercise(
        "A crash ends the call, though a successor is on the way",
        "        await self.settled.wait()  # a successor may be on the way: it cancels this scope\n",
        "",
        _breaks("silence"),
    ),
    Exercise(
        "A withdrawal has a scope of its own, and not the handoff's",
        "        with self.handoff:\n",
        "        with trio.CancelScope():\n",
        _breaks("voice"),
    ),
    Exercise(
        "The handoff is settled inside its scope",
        "        self.settled.set()\n\n\ndef root",
        "            self.settled.set()\n\n\ndef root",
        _breaks("heard", "record", "silence"),
    ),
    Exercise(
        "Nobody looks whether the starter has given up",
        "            await trio.lowlevel.checkpoint_if_cancelled()  # the starter has given up: the floor stays\n",
        "",
        _breaks("heard", "record", "silence"),
    ),
    Exercise(
        "A task group without its second guard",
        "            if ready.done():  # guard 2: the starter has given up, so the floor must not move\n"
        "                return\n",
        "",
        _breaks("heard", "record", "silence"),
        version="task_group_guarded",
    ),
)


def play(exercise: Exercise) -> Result:
    """Sweep the changed version.

    *Raises* `ValueError` where the file has no longer the line that is changed.
    """
    source = (HERE / f"{exercise.version}.py").read_text()
    if source.count(exercise.old) != 1:
        raise ValueError(f"{exercise.version}.py has not this line, or has it twice: {exercise.old!r}")
    module = types.ModuleType("changed")
    code = compile(source.replace(exercise.old, exercise.new), f"{exercise.version}.py, changed", "exec")
    exec(code, module.__dict__)  # noqa: S102 - our own file, with one line changed
    return sweep(module.call, on_trio=hasattr(module, "trio"))


def told(exercise: Exercise, result: Result) -> Iterator[str]:
    """Say what was changed, and what the sweep has found."""
    yield f"{exercise.title} ({exercise.version}.py)"
    changed = difflib.ndiff(exercise.old.splitlines(), exercise.new.splitlines())
    yield from (f"  {line}" for line in changed if line[0] in "+-" and line[1:].strip())
    for promise, count in sorted(result.counts.items()):
        where = result.first[promise]
        yield f"  {promise} breaks in {count} of {result.runs} runs, first at {where}: {where.how}"
    if not result.counts:
        yield f"  nothing breaks in {result.runs} runs"


def main() -> None:
    """List the exercises, or play those that are asked for."""
    asked = sys.argv[1:]
    numbers = range(1, len(EXERCISES) + 1) if asked == ["all"] else [int(text) for text in asked if text.isdigit()]
    if (asked and not numbers) or any(not 1 <= number <= len(EXERCISES) for number in numbers):
        sys.exit(f"give a number from 1 to {len(EXERCISES)}, or all")
    for number in numbers:
        exercise = EXERCISES[number - 1]
        sys.stdout.write(f"{number}. " + "\n".join(told(exercise, play(exercise))) + "\n")
    if not asked:
        sys.stdout.write("".join(f"{number}. {each.title}\n" for number, each in enumerate(EXERCISES, start=1)))


if __name__ == "__main__":
    main()
