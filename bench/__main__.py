"""What a call costs, here and now: `uv run --group bench python -m bench`.

Runs the server of this tree and two yardsticks, one after the other and round after round, and writes a table, a JSON
file and a picture. Close what else is running: the table says how much that was.
"""

import argparse
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import cattrs
import orjson

from bench import servers
from bench.processes import Cores
from bench.report import Round, as_text, ratios
from bench.run import Load, bench
from bench.servers import ROOT, Server, server_of

LIBRARIES = ("trio", "hypercorn", "quart-trio", "trio-websocket", "wsproto", "websockets", "picows", "uvloop")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=servers.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calls", type=_numbers, default=(25, 50), help="how many at once: 25,50")
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring, for each run: 20")
    parser.add_argument("--rounds", type=int, default=1, help="of interleaved runs: 1; ratios want three")
    parser.add_argument("--subject", default="ours", help="the server that is compared: ours")
    parser.add_argument(
        "--against", type=_names, default=servers.OTHERS, help=f"with these: {','.join(servers.OTHERS)}"
    )
    parser.add_argument("--regimes", type=_names, default=("burst", "no lead"), help="of the audio: burst,no lead")
    parser.add_argument(
        "--turn-every",
        type=float,
        default=8.0,
        help="seconds between a caller's turns, half of them speech: 8; 0: they speak all the time",
    )
    parser.add_argument("--no-handoffs", action="store_true", help="leave the handoffs out")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder for JSON and picture")
    parser.add_argument("--check", action="store_true", help="fail if a promised ratio is not kept")
    return parser.parse_args()


def _runs(wanted: Sequence[Server], arguments: argparse.Namespace, scratch: Path) -> Iterator[Round]:
    """Run everything, each round in another order."""
    cores = Cores.split()
    loads = [
        Load(calls, arguments.seconds, arguments.turn_every, not arguments.no_handoffs, regime)
        for calls in arguments.calls
        for regime in arguments.regimes
    ]
    for number in range(arguments.rounds):
        turned = number % len(wanted)
        for load in loads:
            for server in (*wanted[turned:], *wanted[:turned]):
                print(f"round {number + 1}: {server.name}, {load.regime}, {load.calls} calls …", file=sys.stderr)
                with tempfile.TemporaryDirectory(dir=scratch) as folder, bench(server, load, cores, Path(folder)) as it:
                    yield Round(number + 1, it.measure())


def _machine() -> dict[str, object]:
    model = [
        line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "name" in line
    ]
    cores = Cores.split()
    return {
        "processor": model[0] if model else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cores": {"server": sorted(cores.server), "load": sorted(cores.load)},
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def main() -> int:
    """Measure, tell, and keep."""
    arguments = _arguments()
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="switchboard-bench-") as folder:
        names = dict.fromkeys((arguments.subject, *arguments.against))
        wanted = [server_of(name, Path(folder)) for name in names]
        for each in _runs(wanted, arguments, Path(folder)):
            rounds.append(each)
            _keep(rounds, arguments)
    print(as_text(rounds, arguments.subject))
    promised = [ratio for one in (arguments.subject, "bare") for ratio in ratios(rounds, one)]
    return int(arguments.check and not all(ratio.holds for ratio in promised))


def _keep(rounds: Sequence[Round], arguments: argparse.Namespace) -> None:
    told = {
        "machine": _machine(),
        "arguments": {name: str(value) for name, value in vars(arguments).items()},
        "ratios": cattrs.unstructure(ratios(rounds, arguments.subject)),
        "runs": cattrs.unstructure(rounds),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "bench.json").write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    try:
        from bench.plot import draw  # noqa: PLC0415 - a table needs no matplotlib
    except ImportError:
        print("no picture: matplotlib is missing", file=sys.stderr)
    else:
        draw(rounds, arguments.out / "bench.png")


if __name__ == "__main__":
    sys.exit(main())
