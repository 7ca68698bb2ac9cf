"""By how much more than one do two processes carry? `uv run --group bench python -m bench.pair [--postgres]`.

Each server is held to a share of its core by the kernel (a control group: root, on Linux), for two servers with all of
two cores leave the load generators none. With more and more calls, one server serves, and then two that share what
they share as they ship: the folder of recordings and its SQLite, or with `--postgres` a PostgreSQL. A server carries so
many calls if nothing is lost, and audio is played later by at most 100 ms (99th percentile). Four minutes.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Final

import attrs

from bench.processes import Cores
from bench.run import Bench, Load, Run, bench
from bench.servers import Server, Services, server_of
from bench.verdict import of_pair
from tests.store.throw_away_postgres import throw_away_postgres

LATE_MS: Final = 100.0
"""Of the 99th percentile: a server that gets its share in slices of a millisecond is late by some of them anyway."""
SECONDS: Final = 8.0
PERIOD_US: Final = 5_000
"""In which a server gets its share: the kernel's own tenth of a second would be heard."""
STILL_MS, TRIES = 50.0, 2
"""Of the load generators' own lateness: then the machine stood still, and the run is made again, once."""
_GROUPS: Final = Path("/sys/fs/cgroup")


@attrs.frozen
class Sharing(Server):
    """A server that shares what it keeps with others: a folder, and a database."""

    shared: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def environ(self, services: Services) -> Mapping[str, str]:
        """Write its environment."""
        return {**super().environ(services), **self.shared}


def carries(run: Run) -> bool:
    """Say whether a server has carried its calls."""
    lost = run.to_caller.lost + run.to_agent.lost + run.dropped_calls
    return not lost and run.to_caller.net_ms[99] <= LATE_MS


@contextmanager
def _held(pid: int, number: int, share: float) -> Iterator[None]:
    """Hold a process to a share of a core. Raises: `OSError` where the kernel or its owner does not let us."""
    quota, is_old = round(PERIOD_US * share), (_GROUPS / "cpu").is_dir()
    group = (_GROUPS / "cpu" if is_old else _GROUPS) / f"switchboard-bench-{os.getpid()}-{number}"
    group.mkdir()
    try:
        if is_old:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (_GROUPS / "cgroup.subtree_control").write_text("+cpu")
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(left)
        group.rmdir()


def _measure(server: Server, count: int, calls: int, share: float, scratch: Path) -> list[Run]:
    """Have so many servers serve at the same time, each on a core of its own, if there are as many."""
    cores = sorted(os.sched_getaffinity(0))
    load = Load(calls, SECONDS, 8.0, handoffs=False)
    with ExitStack() as stack:
        benches = list[Bench]()
        for number in range(count):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch)))
            own = Cores(frozenset((cores[-1 - number % len(cores)],)), frozenset(cores))
            benches.append(stack.enter_context(bench(server, load, own, folder)))
            stack.enter_context(_held(benches[-1].server_pid, number, share))
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(Bench.measure, benches))


def _disturbed(runs: Sequence[Run]) -> bool:
    return any(run.tick_late_ms > STILL_MS for run in runs)


def _line(count: int, run: Run) -> str:
    way = run.to_caller
    return (
        f"{count} process{'es' if count > 1 else ''}, {run.calls} calls each: CPU of a call {run.cpu_ms:.2f} ms, "
        f"{run.server_busy:.0%} of a core; added p50/p99 {way.net_ms[50]:.1f}/{way.net_ms[99]:.1f} ms; "
        f"lost {way.lost}+{run.to_agent.lost}, gaps {way.gaps}, calls dropped {run.dropped_calls}; "
        f"load generators late by {run.tick_late_ms:.1f} ms: {'carried' if carries(run) else 'NOT carried'}"
    )


def main() -> int:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(prog="python -m bench.pair", description=__doc__)
    parser.add_argument("--share", type=float, default=0.2, help="of a core, for each server: 0.2")
    parser.add_argument("--calls", default="50,60,70,80", help="of each server: 50,60,70,80")
    parser.add_argument("--postgres", action="store_true", help="have them share a PostgreSQL")
    asked = parser.parse_args()
    runs = dict[tuple[int, int], list[Run]]()
    with (
        throw_away_postgres() if asked.postgres else nullcontext() as cluster,
        tempfile.TemporaryDirectory(prefix="switchboard-pair-") as folder,
    ):
        url = cluster.url if cluster is not None else f"sqlite:///{folder}/switchboard.db"
        shared = {"DATABASE_URL": url, "RECORDINGS_DIR": f"{folder}/recordings"}
        server = Sharing(**attrs.asdict(server_of("ours", Path(folder)), recurse=False), shared=shared)
        for calls in map(int, asked.calls.split(",")):
            for count in (1, 2):
                for _ in range(TRIES):
                    runs[count, calls] = _measure(server, count, calls, asked.share, Path(folder))
                    if not _disturbed(runs[count, calls]):
                        break
                for run in runs[count, calls]:
                    print(_line(count, run), flush=True)
    print(of_pair({key: all(map(carries, told)) for key, told in runs.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
