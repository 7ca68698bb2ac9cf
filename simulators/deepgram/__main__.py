"""`python -m simulators.deepgram`: the simulated Voice Agent service on a port, until Ctrl-C.

It prints where it listens and then one line for each thing that happens. A scenario or fault that cannot be read is
said in one sentence, with exit status 2.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

import attrs
import trio

from protocol.deepgram import CallerAudio
from simulators.deepgram.knobs import DeepgramKnobs
from simulators.deepgram.log import ExchangeLog, LogEntry, Received, Sent
from simulators.deepgram.server import ServedAt, serve_deepgram
from simulators.faults import FaultError, FaultPlan, parse_faults
from simulators.scenario import Scenario, ScenarioError, load_scenario
from simulators.stopping import until_stopped

EXCERPT = 160


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator by hand and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        scenario = load_scenario(options.scenario)
        extra = parse_faults(f"deepgram: {line}" for line in options.fault)
    except (ScenarioError, FaultError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    plan = FaultPlan((*scenario.faults, *extra))
    knobs = DeepgramKnobs(speed=options.speed, slice_ms=options.slice_ms, retired=frozenset(options.retire))
    if trio.run(until_stopped, partial(serve, scenario, plan, knobs, options)):
        sys.stderr.write("stopped\n")
    return 0


async def serve(
    scenario: Scenario,
    plan: FaultPlan,
    knobs: DeepgramKnobs,
    options: argparse.Namespace,
    *,
    task_status: trio.TaskStatus[ServedAt] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen where the options say, and print what happens, until cancelled."""
    where = {"host": options.host, "port": options.port, "api_key": options.api_key}
    listen = partial(serve_deepgram, scenario, knobs=knobs, faults=plan, log=ExchangeLog(observe=_print), **where)
    async with trio.open_nursery() as nursery:
        at: ServedAt = await nursery.start(listen)
        sys.stdout.write(f"scenario {scenario.name!r} at {at.url}\n")
        sys.stdout.flush()
        task_status.started(at)


def _print(entry: LogEntry) -> None:
    sys.stdout.write(describe(entry) + "\n")
    sys.stdout.flush()


def describe(entry: LogEntry) -> str:
    """Put one entry of the log in one line."""
    stamp = f"{entry.at:10.3f} #{entry.connection}"
    if isinstance(entry, Sent | Received) and not isinstance(entry.message, CallerAudio):
        arrow = "->" if isinstance(entry, Sent) else "<-"
        return f"{stamp} {arrow} {entry.message}"[:EXCERPT]
    fields = attrs.asdict(entry, filter=lambda field, _: field.name not in {"at", "connection"})
    return f"{stamp} {type(entry).__name__} {fields}"[:EXCERPT]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators.deepgram", description=__doc__)
    parser.add_argument("--scenario", default="sale", help="a shipped scenario's name, or a .toml file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8092, help="0 takes a free one")
    parser.add_argument("--api-key", help="the only key that is let in; without it any is")
    parser.add_argument("--fault", action="append", default=[], help="such as 'drop after 8 s'; may be repeated")
    parser.add_argument("--retire", action="append", default=[], metavar="MODEL", help="an LLM that is gone")
    parser.add_argument("--speed", type=float, default=2.0, help="agent audio: so many times real time")
    parser.add_argument("--slice-ms", type=int, default=20, help="agent audio: length of one message")
    return parser


if __name__ == "__main__":
    sys.exit(main())
