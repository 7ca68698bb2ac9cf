"""Where the processor goes: `uv run --group bench python -m bench.profile [--calls 25] [--regime "no lead"]`.

Runs the server as it ships with cProfile around it, under the load of the benchmark, and prints the time that each
function takes by itself, by module and by function. A profiled server is two to three times as slow, and the more so
the smaller its functions are: read shares, not milliseconds.
"""

import argparse
import cProfile
import pstats
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import attrs

from bench.processes import Cores
from bench.run import Load, bench
from bench.servers import ROOT, server_of

_MOST = 25
_STARTING = 7.0
"""Seconds after which the server has started, and most calls are set up."""


def _serve(out: Path) -> None:
    """Serve under the profiler; SIGTERM ends it in order, and then it tells."""
    from cli import main as run  # noqa: PLC0415 - only in the server's process

    profiler = cProfile.Profile()
    sys.argv = ["cli.py", "serve"]
    signal.signal(signal.SIGALRM, lambda *_: profiler.enable())
    signal.setitimer(signal.ITIMER_REAL, _STARTING)
    try:
        run()
    finally:
        profiler.disable()
        profiler.dump_stats(out)


def _where(file: str) -> str:
    path = Path(file)
    if file == "~":
        return "C functions"
    if path.is_relative_to(ROOT) and ".venv" not in path.parts:
        return str(path.relative_to(ROOT))
    return path.parts[path.parts.index("site-packages") + 1] if "site-packages" in path.parts else path.name


def told(stats: pstats.Stats) -> str:
    """Write both tables."""
    own: dict[tuple[str, int, str], float] = {key: row[2] for key, row in stats.stats.items()}  # type: ignore[attr-defined]
    own = {key: seconds for key, seconds in own.items() if "poll' of 'select.epoll'" not in key[2]}  # mostly sleep
    total = sum(own.values())
    modules, functions = defaultdict[str, float](float), defaultdict[str, float](float)
    for (file, _, name), seconds in own.items():
        modules[_where(file)] += seconds / total
        functions[f"{_where(file)}: {name}"] += seconds / total
    tables = (("by module", modules), ("by function", functions))
    return "\n\n".join(
        "\n".join([title, *(f"{share:6.1%}  {what}" for what, share in _largest(table))]) for title, table in tables
    )


def _largest(table: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(table.items(), key=lambda row: -row[1])[:_MOST]


def main() -> None:
    """Measure and tell, or serve for it."""
    if sys.argv[1:2] == ["--serve"]:
        _serve(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("--calls", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--regime", choices=("burst", "no lead"), default="burst")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="switchboard-profile-") as folder:
        out = Path(folder) / "profile"
        line = (sys.executable, "-m", "bench.profile", "--serve", str(out))
        server = attrs.evolve(server_of("ours", Path(folder)), line=line)
        load = Load(asked.calls, asked.seconds, 8.0, handoffs=False, regime=asked.regime)
        with bench(server, load, Cores.split(), Path(folder)) as it:
            it.measure()
        print(told(pstats.Stats(str(out))))


if __name__ == "__main__":
    main()
