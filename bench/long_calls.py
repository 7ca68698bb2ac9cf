"""Do long calls stay as they are? `uv run --group bench python -m bench.long_calls [--calls 50] [--minutes 10]`.

Runs the server as it ships, watched from within its own process, and says what it promises of calls that last: how its
memory grows, the longest garbage collection, and the longest turn of the event loop, while the calls talk and when all
hang up in one moment; with the full collection that is made when the last call is over. Both are told twice: as the
clock on the wall saw them, and by the processor's time, which leaves out what other programs took, and which is what
the promise is held to. Exit status 1 if a promise is not kept.
"""

import argparse
import gc
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import cattrs
import trio

from bench.processes import Cores, resident_mb
from bench.run import SETTLING, TAIL, Load, Run, bench
from bench.servers import server_of
from bench.watched import Watched, growth_kb, longest
from web.worker.memory import LOOK_SECONDS, QUIET_SECONDS

COLLECTION_MS, TURN_MS, GROWTH_KB, CALL_MB = 5.0, 20.0, 2.0, 0.2  # promised: at most so much
_EVERY_SECONDS: Final = 5.0
SETTLED_SECONDS: Final = 120.0
"""After which growth counts: by then each call has its tape, its recording and its Brief."""


def _serve(out: Path) -> None:
    """Serve, and watch; SIGTERM ends it in order, and then it tells."""
    from cli import main as run  # noqa: PLC0415 - only in the server's process

    watched = Watched()
    gc.callbacks.append(watched.on_collection)
    trio.run = partial(trio.run, instruments=[watched])  # type: ignore[assignment]  # it is called by one keyword less
    sys.argv = ["cli.py", "serve"]
    try:
        run()
    finally:
        out.write_text(json.dumps(cattrs.unstructure(watched)))


@contextmanager
def _looking(pid: int) -> Iterator[list[tuple[float, float]]]:
    """Look at a process's memory from time to time; yield moments with MB."""
    seen, over = list[tuple[float, float]](), threading.Event()

    def look() -> None:
        while not over.wait(_EVERY_SECONDS):
            seen.append((time.monotonic(), resident_mb(pid)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _told(run: Run, seen: list[tuple[float, float]], watched: Watched, ends: float) -> bool:
    """Print what was found; say whether all of it is as promised."""
    begins = ends - run.seconds
    steady = [look for look in seen if min(begins + SETTLED_SECONDS, ends - 2 * _EVERY_SECONDS) <= look[0] <= ends]
    growth = growth_kb(steady) / run.calls
    size = (steady[-1][1] - run.idle_mb) / run.calls
    print(
        f"{run.calls} calls, {run.seconds / 60:g} minutes, {run.regime}: CPU of a call and second {run.cpu_ms:.2f} ms"
    )
    print(f"memory: {run.idle_mb:.1f} MB idle; a call at the end {size:.2f} MB; at most {CALL_MB:g} is promised")
    print(f"growth: {growth:.2f} kB a minute and call; at most {GROWTH_KB:g} is promised")
    holds = [growth <= GROWTH_KB, size <= CALL_MB]
    kinds = ("collection", watched.collections, COLLECTION_MS), ("turn of the event loop", watched.turns, TURN_MS)
    for when, since, until in (("while they talk", begins, ends), ("when all hang up", ends, float("inf"))):
        for what, took, promised in kinds:
            holds.append(longest(f"{what} {when}", [each for each in took if since <= each.at < until], promised))
    lost = run.to_caller.lost + run.to_agent.lost + run.dropped_calls
    print(f"audio at the caller later by {run.to_caller.net_ms[99]:.1f} ms at p99; lost {lost}")
    return all(holds) and not lost


def main() -> int:
    """Measure and tell, or serve for it."""
    if sys.argv[1:2] == ["--serve"]:
        _serve(Path(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(prog="python -m bench.long_calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--regime", choices=("burst", "no lead"), default="burst")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="switchboard-long-") as folder:
        out = Path(folder) / "watched.json"
        line = (sys.executable, "-m", "bench.long_calls", "--serve", str(out))
        server = attrs.evolve(server_of("ours", Path(folder)), line=line)
        load = Load(asked.calls, asked.minutes * 60, 8.0, handoffs=False, regime=asked.regime)
        with bench(server, load, Cores.split(), Path(folder)) as it, _looking(it.server_pid) as seen:
            run = it.measure()
            ends = time.monotonic() - TAIL - SETTLING
            time.sleep(QUIET_SECONDS + LOOK_SECONDS + SETTLING)
        watched = cattrs.structure(json.loads(out.read_text()), Watched)
    return int(not _told(run, seen, watched, ends))


if __name__ == "__main__":
    sys.exit(main())
