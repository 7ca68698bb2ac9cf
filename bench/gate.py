"""Does this tree cost more than a revision? `uv run --group bench python -m bench.gate --against main`.

First it measures its own noise: the revision against itself, round by round, in each regime. Then this tree and the
revision take turns. It fails when the ratio of their CPU is above 1 by more than that noise. Under three minutes; close
what else is running, or the noise is all it finds.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import attrs

from bench.processes import Cores
from bench.run import Load, bench
from bench.servers import Server, server_of

CALLS: Final = 25
SECONDS: Final = 3.0
ROUNDS: Final = 2
LEAST_NOISE: Final = 0.03
"""So much two runs differ on the quietest machine."""


@attrs.frozen
class Verdict:
    """What was found in one regime."""

    regime: str
    noise: float
    """How far the revision's own runs are from each other, as a share."""
    ratio: float
    """This tree's CPU as a multiple of the revision's."""

    @property
    def holds(self) -> bool:
        """Whether this tree costs no more, as far as can be seen."""
        return self.ratio <= 1.0 + self.noise

    def __str__(self) -> str:
        """Say it in a line."""
        said = "no worse" if self.holds else "WORSE"
        return f"{self.regime}: {self.ratio:.2f} of the CPU, noise {self.noise:.0%}: {said}"


def verdict(regime: str, ours: Sequence[float], theirs: Sequence[float]) -> Verdict:
    """Judge runs that took turns: `theirs` has one run before the first of `ours`, and one behind each of them."""
    noise = max(abs(later / earlier - 1.0) for earlier, later in pairwise(theirs))
    pairs = zip(ours, pairwise(theirs), strict=True)
    ratio = median(one / ((before + after) / 2) for one, (before, after) in pairs)
    return Verdict(regime, max(noise, LEAST_NOISE), ratio)


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
