"""Break tables, rules and code one by one; does a test notice? `python -m tests.actors.turn.mutate [KIND …]`.

Removing a row, a rule, a guard, one condition of a rule, what an event does to a field in any state, or a branch of the
code must be noticed by a script. So must turning "nothing changes" into what the same event does in another state, or
`survivors.py` says why it need not be.
With `alone` it counts what the random calls notice without the scripts.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module

import attrs

from actors.turn.events import Kind
from actors.turn.rules import RULES, RULES_IN, Rule
from actors.turn.state import NOTES
from actors.turn.tables import TABLES, Cell, Row, Table
from tests.actors.turn.branches import branches
from tests.actors.turn.picture import name_of
from tests.actors.turn.survivors import SURVIVORS
from tests.actors.turn.world import play_world

SCRIPTS = tuple(
    f"test_{name}"
    for name in [
        "branches",
        "sequences",
        "field",
        "rows",
        "rules",
        "unended",
        "unmoved",
        "lost",
        "decided",
        "crossed",
        "answered",
        "kept",
        "dropped",
        "left",
        "finer",
        "needed",
        "heard",
    ]
)
show = partial(print, flush=True)
CALLS = 150
"""Random calls for each mutant that the scripts have not noticed, and for each where they are counted alone."""


@attrs.frozen
class Mutant:
    """One change of the tables or the rules; `undo` takes it back."""

    kind: str
    name: str
    do: Callable[[], None]
    undo: Callable[[], None]


def scripts() -> Iterator[Callable[[], None]]:
    """Yield each test without random calls, once for each set of its arguments."""
    for name in SCRIPTS:
        for test_name, test in vars(import_module(f"tests.actors.turn.{name}")).items():
            if not test_name.startswith("test_"):
                continue
            marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
            if not marks:
                yield test
            for value in marks[0].args[1] if marks else ():
                values = value if isinstance(value, tuple) else (value,)
                yield partial(test, *values)


TESTS = tuple(scripts())


def is_noticed_by_scripts() -> bool:
    """Whether a script fails, in whatever way."""
    for test in TESTS:
        try:
            test()
        except Exception:  # noqa: BLE001
            return True
    return False


def is_noticed_by_calls(calls: int = CALLS) -> bool:
    """Whether a random call breaks a promise, or breaks."""
    for seed in range(calls):
        try:
            play_world(seed)
        except Exception:  # noqa: BLE001
            return True
    return False


# The mutants


def changing_rows(table: Table) -> Iterator[tuple[str, Kind, Row, list[tuple[object, int]]]]:
    """Yield each row that changes something, with the states that share it."""
    for event, line in table.lines.items():
        places: dict[int, list[tuple[object, int]]] = {}
        rows: dict[int, Row] = {}
        for state, cell in line.items():
            for index, row in enumerate(cell):
                if row.to is not None or row.actions:
                    rows[id(row)] = row
                    places.setdefault(id(row), []).append((state, index))
        for key, row in rows.items():
            states = "/".join(getattr(state, "name", "") for state, _ in places[key])
            yield f"{table.part}: {name_of(event)} in {states}", event, row, places[key]


def replaced(table: Table, event: Kind, places: list[tuple[object, int]], row: Row) -> tuple[Callable[[], None], ...]:
    """Return how to put another row in these places, and how to take it back."""
    line = table.lines[event]
    before: dict[object, Cell] = {state: line[state] for state, _ in places}  # type: ignore[index]

    def do() -> None:
        for state, index in places:
            cell = before[state]
            line[state] = (*cell[:index], row, *cell[index + 1 :])  # type: ignore[index]

    def undo() -> None:
        line.update(before)  # type: ignore[arg-type]

    return do, undo


def rows_removed() -> Iterator[Mutant]:
    for table in TABLES:
        for name, event, row, places in changing_rows(table):
            yield Mutant("row", name, *replaced(table, event, places, Row(when=row.when)))


def guards_removed() -> Iterator[Mutant]:
    for table in TABLES:
        for name, event, row, places in changing_rows(table):
            if row.when != "always":
                yield Mutant("guard", name, *replaced(table, event, places, attrs.evolve(row, when="always")))


def changes_added() -> Iterator[Mutant]:
    """Yield "nothing changes", turned into the first change of the same event in another state."""
    for table in TABLES:
        for event, line in table.lines.items():
            first, cell = next((state, line[state]) for state in table.states if state in line)
            for state in [state for state in table.states if state not in line]:
                name = f"{table.part}: {name_of(event)} in {state.name} as in {first.name}"
                do, undo = partial(line.__setitem__, state, cell), partial(line.__delitem__, state)
                yield Mutant("change added", name, do, undo)


def _with_rule(kind: str, name: str, rule: Rule, changed: Rule | None) -> Mutant:
    before = dict(RULES_IN)

    def do() -> None:
        for phase, rules in before.items():
            RULES_IN[phase] = tuple(new for old in rules if (new := changed if old is rule else old) is not None)

    return Mutant(kind, name, do, lambda: RULES_IN.update(before))


def rules_removed() -> Iterator[Mutant]:
    for rule in RULES:
        yield _with_rule("rule", rule.name, rule, None)


def conditions_removed() -> Iterator[Mutant]:
    for rule in RULES:
        for condition in rule.conditions:
            left = tuple(other for other in rule.conditions if other != condition)
            name = f"{rule.name}: {condition}"
            yield _with_rule("condition", name, rule, attrs.evolve(rule, conditions=left))


def phases_removed() -> Iterator[Mutant]:
    for rule in RULES:
        for phase in rule.phases if len(rule.phases) > 1 else ():
            before = RULES_IN[phase]
            after = tuple(other for other in before if other is not rule)
            do, undo = partial(RULES_IN.__setitem__, phase, after), partial(RULES_IN.__setitem__, phase, before)
            yield Mutant("phase of a rule", f"{rule.name}: {phase.name}", do, undo)


def notes_removed() -> Iterator[Mutant]:
    """Yield each field that an event moves in any state, left as it is."""
    for event, before in NOTES.items():
        for note in before:
            after = [other for other in before if other is not note]
            do, undo = partial(NOTES.__setitem__, event, after), partial(NOTES.__setitem__, event, before)
            yield Mutant("note", f"{name_of(event)}: {note[1]}", do, undo)


def _branches_removed(*modules: str) -> Iterator[Mutant]:
    for name, do, undo in branches(modules):
        yield Mutant("branch", name, do, undo)


def branches_of_actions_removed() -> Iterator[Mutant]:
    return _branches_removed("actions")


def branches_of_the_machine_removed() -> Iterator[Mutant]:
    return _branches_removed("machine")


def other_branches_removed() -> Iterator[Mutant]:
    return _branches_removed("parts", "rules", "state", "tables")


KINDS = (
    rows_removed, rules_removed, guards_removed, conditions_removed, phases_removed, changes_added, notes_removed,
    branches_of_actions_removed, branches_of_the_machine_removed, other_branches_removed,
)  # fmt: skip
COUNTED_ALONE = (rows_removed, rules_removed, guards_removed)


def try_mutants(kind: Callable[[], Iterator[Mutant]]) -> list[str]:
    """Try each mutant of a kind; return those that nothing has noticed."""
    tally: Counter[str] = Counter()
    survivors: list[str] = []
    for mutant in kind():
        mutant.do()
        noticed = "scripts" if is_noticed_by_scripts() else "calls" if is_noticed_by_calls() else "nothing"
        mutant.undo()
        tally[noticed] += 1
        if noticed == "nothing":
            survivors.append(f"{mutant.kind}: {mutant.name}")
    show(f"{kind.__name__}: {tally.total()}, noticed by", dict(tally))
    return survivors


def count_alone(kind: Callable[[], Iterator[Mutant]]) -> None:
    """Count what the random calls notice without the scripts."""
    mutants, count = list(kind()), 0
    for mutant in mutants:
        mutant.do()
        count += is_noticed_by_calls()
        mutant.undo()
    show(f"{kind.__name__}: the random calls alone notice {count} of {len(mutants)}")


def main(chosen: list[str]) -> int:
    """Show what was noticed, and by what; fail for what was not and has no reason."""
    if is_noticed_by_scripts() or is_noticed_by_calls():
        show("the tests fail without a change")
        return 1
    survivors: list[str] = []
    for kind in KINDS:
        if not chosen or kind.__name__ in chosen:
            survivors += try_mutants(kind)
    if "alone" in chosen:
        for kind in COUNTED_ALONE:
            count_alone(kind)
    unexplained = [name for name in survivors if not any(fnmatchcase(name, pattern) for pattern in SURVIVORS)]
    for name in unexplained:
        show("survives:", name)
    stale = [pattern for pattern in SURVIVORS if not any(fnmatchcase(name, pattern) for name in survivors)]
    for pattern in stale if not chosen else ():
        show("has a reason and is noticed:", pattern)
    return 1 if unexplained or (stale and not chosen) else 0


def check(chosen: list[str]) -> list[str]:
    """Return the kinds that were chosen. Raises: `SystemExit` for one that there is not."""
    names = [*(kind.__name__ for kind in KINDS), "alone"]
    if unknown := [name for name in chosen if name not in names]:
        raise SystemExit(f"{unknown[0]} is no kind of change: write some of {', '.join(names)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main(check(sys.argv[1:])))
