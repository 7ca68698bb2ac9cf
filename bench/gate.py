"""Does this tree cost more than a revision? `uv run --group bench python -m bench.gate --against main`.

First it measures its own noise: the revision against itself, round by round, in each regime. Then this tree and the
revision take turns. It fails when the ratio of their CPU is above 1 by more than that noise. Under three minutes; close
what else is running, or the noise is all it finds.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.processes import Cores
from bench.run import Load, bench
from bench.servers import Server, server_of
from bench.verdict import Verdict, verdict

CALLS: Final = 25
SECONDS: Final = 3.0
ROUNDS: Final = 2


def _cpu_ms(server: Server, regime: str, scratch: Path) -> float:
    load = Load(CALLS, SECONDS, 8.0, handoffs=False, regime=regime)
    with tempfile.TemporaryDirectory(dir=scratch) as folder, bench(server, load, Cores.split(), Path(folder)) as it:
        return it.measure().cpu_ms


def _verdicts(against: str, scratch: Path) -> Iterator[Verdict]:
    ours, theirs = server_of("ours", scratch), server_of(f"rev:{against}", scratch)
    for regime in ("burst", "no lead"):
        mine, others = list[float](), [_cpu_ms(theirs, regime, scratch)]
        for _ in range(ROUNDS):
            mine.append(_cpu_ms(ours, regime, scratch))
            others.append(_cpu_ms(theirs, regime, scratch))
        yield verdict(regime, mine, others)


def main() -> int:
    """Measure, and judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate", description=__doc__)
    parser.add_argument("--against", default="main", help="a revision: main")
    against = parser.parse_args().against
    found = []
    with tempfile.TemporaryDirectory(prefix="switchboard-gate-") as folder:
        for one in _verdicts(against, Path(folder)):
            print(one, flush=True)
            found.append(one)
    return int(not all(one.holds for one in found))


if __name__ == "__main__":
    sys.exit(main())
