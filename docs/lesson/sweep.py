"""Run every version of the handoff under every fault, each fault at every step, and print what breaks.

    python -m docs.lesson.sweep               the table: which promise breaks, how often, and where first
    python -m docs.lesson.sweep flags -v      one version, and each first break in words
    python -m docs.lesson.sweep --seeds 5     the version with scopes under five orders of the scheduler

A run is one call: one way in which the service treats the second session, and one fault right before one step.
"""

import argparse
import importlib
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import attrs

from docs.lesson.promises import PROMISES, broken
from docs.lesson.runners import Fault, Run, Version, run_asyncio, run_trio
from docs.lesson.world import CONNECTS_SECOND

VERSIONS = ("first_try", "flags", "task_group", "task_group_guarded", "scopes")
FAULTS = ("", "cancel", "hang_up", "hang_up_twice", "break_reader", "withdraw")


@attrs.frozen
class Break:
    """Where a promise breaks first: how the service treats the second session, the fault, its step, and the sign."""

    second: str
    fault: str
    step: int
    how: str

    def __str__(self) -> str:
        return f"{self.second}, {self.fault or 'no fault'}" + (f" @{self.step}" if self.fault else "")


@attrs.define
class Result:
    """What a sweep over one version has found."""

    runs: int = 0
    counts: Counter[str] = attrs.field(factory=Counter)
    first: dict[str, Break] = attrs.field(factory=dict)

    def add(self, run: Run) -> None:
        self.runs += 1
        for promise, how in dict(broken(run)).items():
            self.counts[promise] += 1
            where = Break(run.world.second, run.fault.name, run.fault.at, how)
            self.first.setdefault(promise, where)


def sweep(version: Version, *, on_trio: bool, seed: int = 0) -> Result:
    """Play a version under every fault at every step."""
    run, result = (run_trio if on_trio else run_asyncio), Result()
    for second in CONNECTS_SECOND:
        for fault in FAULTS:
            step = 0
            while True:
                step += 1
                played = run(version, second, Fault(fault, step), seed)
                if fault and played.fault.steps < step:
                    break  # the call has fewer steps
                if not fault or played.fault.has_struck:
                    result.add(played)
                if not fault:
                    break
    return result


def sweep_named(name: str, seed: int = 0) -> Result:
    """Sweep a version of this folder."""
    module = importlib.import_module(f"docs.lesson.{name}")
    return sweep(module.call, on_trio=hasattr(module, "trio"), seed=seed)


def table(results: dict[str, Result]) -> str:
    """Write the results as a table, a column a version."""
    columns = [["promise", *PROMISES.values(), "runs"]]
    for name, result in results.items():
        broken = [
            f"{result.counts[each]}x: {result.first[each]}" if each in result.first else "ok" for each in PROMISES
        ]
        columns.append([name, *broken, str(result.runs)])
    widths = [max(map(len, column)) + 2 for column in columns]
    rows = zip(*columns, strict=True)
    return "\n".join("".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def main() -> None:
    """Read the command line, sweep in as many processes as there are processors, and print."""
    parser = argparse.ArgumentParser(prog="python -m docs.lesson.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"one of {', '.join(VERSIONS)}; all if unset")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="orders of trio's scheduler (default 1)")
    parser.add_argument("-v", "--verbose", action="store_true", help="say in words how each promise breaks first")
    asked = parser.parse_args()
    if unknown := set(asked.versions) - set(VERSIONS):
        parser.error(f"no version is called {', '.join(sorted(unknown))}; there are {', '.join(VERSIONS)}")
    names = asked.versions or list(VERSIONS)
    began = time.perf_counter()
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        order = sorted(names, key=VERSIONS.index, reverse=True)  # the longest first
        jobs = {name: pool.submit(sweep_named, name) for name in order}
        more = [pool.submit(sweep_named, "scopes", seed) for seed in range(1, asked.seeds) if "scopes" in names]
        sys.stderr.write(f"sweeping {', '.join(names)} …\n")
        results = {name: jobs[name].result() for name in names}
        others = [job.result() for job in more]
    sys.stdout.write(table(results) + "\n")
    for seed, result in enumerate(others, start=1):
        found = ", ".join(f"{promise} {count}x" for promise, count in result.counts.items()) or "nothing breaks"
        sys.stdout.write(f"scopes, seed {seed}: {result.runs} runs, {found}\n")
    if asked.verbose:
        for name, result in results.items():
            for promise, where in result.first.items():
                sys.stdout.write(f"{name}: {promise} breaks first at {where}: {where.how}\n")
    sys.stdout.write(f"{time.perf_counter() - began:.1f} s\n")


if __name__ == "__main__":
    main()
