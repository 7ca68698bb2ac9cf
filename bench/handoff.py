"""The handoff by itself: `uv run --group bench python -m bench.handoff [--calls 25] [--spread 20]`.

Hands every call on twice, each time at a moment of its own, with the agent silent when it asks (the function call that
follows a yes); then all calls at once; then all at once with the agent speaking. Prints what the caller noticed, and
fails if a promise about the silent ones is not kept.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from bench.processes import Cores
from bench.promise import Handover, broken
from bench.run import Handed, Load, Run, bench
from bench.servers import server_of

SECONDS = 2.0
"""Of talking, before the handoffs."""


def _measure(calls: int, spread: float, *, aloud: bool) -> Run:
    with tempfile.TemporaryDirectory(prefix="switchboard-handoff-") as folder:
        load = Load(calls, SECONDS, asks_aloud=aloud, spread=spread)
        with bench(server_of("ours", Path(folder)), load, Cores.split(), Path(folder)) as it:
            return it.measure()


def _handover(handed: Handed) -> Handover:
    lost = handed.asked - handed.done
    gap = handed.gap_ms[95] if handed.gap_ms else float("inf")
    return Handover(handed.asked, lost, gap, handed.unheard_frames, handed.overlap_ms)


def _line(name: str, run: Run, handed: Handed) -> str:
    curves = (handed.gap_ms, handed.own_ms, handed.played_ms)
    gap, own, played = ("/".join(f"{curve[at]:.0f}" for at in (50, 95, 100)) for curve in curves)
    return (
        f"{name}: {handed.done} of {handed.asked} handoffs; gap p50/p95/max {gap} ms to arrive, {own} ms without the "
        f"service's own part, {played} ms to be heard; unheard frames {handed.unheard_frames}; overlap "
        f"{handed.overlap_ms:g} ms; CPU {handed.cpu_ms:.1f} ms each; server waited for its core {run.server_waited:.0%}"
    )


def main() -> int:
    """Measure all three, and judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.handoff", description=__doc__)
    parser.add_argument("--calls", type=int, default=25, help="at once: 25")
    parser.add_argument("--spread", type=float, default=20.0, help="seconds over which the first ones come: 20")
    asked = parser.parse_args()
    calls, told = asked.calls, list[str]()
    for name, spread, aloud in (
        (f"spread over {asked.spread:g} s", asked.spread, False),
        ("all at once", 0.0, False),
        ("all at once, agent speaking", 0.0, True),
    ):
        run = _measure(calls, spread, aloud=aloud)
        assert run.handed is not None
        if not run.handed.done:
            print(f"{name}: no handoff of {run.handed.asked} was carried out")
            return 1
        print(_line(f"{calls} calls, {name}", run, run.handed), flush=True)
        told += broken(_handover(run.handed), speaking=aloud)
    print("\n".join(f"BROKEN: {why}" for why in told) or "kept: gap p95 at most 100 ms, nothing unheard, no overlap")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
