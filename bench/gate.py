"""Does this tree cost more than a revision? `uv run --group bench python -m bench.gate --against main`.

This tree and the revision, twice, serve as many calls at the same time on the same core. How much the revision differs
from itself is the gate's noise; it fails when the ratio of this tree's CPU to the revision's is above 1 by more than
that. Two minutes; close what else is running.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.processes import Cores
from bench.run import Load, bench, beside
from bench.servers import Server, server_of
from bench.verdict import Verdict, verdict

CALLS: Final = 25
WINDOWS: Final = 4
SECONDS: Final = 6.0


def _verdict(regime: str, servers: Sequence[Server], scratch: Path) -> Verdict:
    load = Load(CALLS, WINDOWS * SECONDS, 8.0, handoffs=False, regime=regime)
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch))) for _ in servers]
        pairs = zip(servers, folders, strict=True)
        benches = [stack.enter_context(bench(server, load, Cores.split(), folder)) for server, folder in pairs]
        return verdict(regime, *zip(*beside(benches, WINDOWS, SECONDS), strict=True))


def main() -> int:
    """Measure, and judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate", description=__doc__)
    parser.add_argument("--against", default="main", help="a revision: main")
    against = parser.parse_args().against
    found = list[Verdict]()
    with tempfile.TemporaryDirectory(prefix="switchboard-gate-") as folder:
        revision = server_of(f"rev:{against}", Path(folder))
        for regime in ("burst", "no lead"):
            found.append(_verdict(regime, (server_of("ours", Path(folder)), revision, revision), Path(folder)))
            print(found[-1], flush=True)
    return int(not all(one.holds for one in found))


if __name__ == "__main__":
    sys.exit(main())
