"""The runs as a picture: what a call costs, and what the caller notices of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report import Round
from bench.run import Run

mpl.use("Agg")


def draw(rounds: Sequence[Round], path: Path) -> None:
    """Draw CPU, memory and both latencies, a colour for each server."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    cpu, memory, to_caller, to_agent = figure.subplots(2, 2).flat
    _lines(cpu, rounds, "CPU: ms per second of one call", lambda run: run.cpu_ms)
    _lines(memory, rounds, "Resident memory: MB", lambda run: run.idle_mb + run.mb_per_call * run.calls)
    most = max(each.run.calls for each in rounds)
    _curves(to_caller, rounds, f"Added to what the caller hears, {most} calls", lambda run: run.to_caller.net_ms)
    _curves(to_agent, rounds, f"From caller to agent, chunking aside, {most} calls", lambda run: run.to_agent.net_ms)
    figure.savefig(path, dpi=110)


def _servers(rounds: Sequence[Round]) -> list[str]:
    return list(dict.fromkeys(_name(each.run) for each in rounds))


def _name(run: Run) -> str:
    return f"{run.server}, {run.regime}"


def _lines(axes: Axes, rounds: Sequence[Round], title: str, of: Callable[[Run], float]) -> None:
    for server in _servers(rounds):
        calls = sorted({each.run.calls for each in rounds if _name(each.run) == server})
        values = [
            median(of(each.run) for each in rounds if (_name(each.run), each.run.calls) == (server, number))
            for number in calls
        ]
        axes.plot(calls, values, marker="o", label=server)
    axes.set(title=title, xlabel="calls", ylim=(0, None), xticks=sorted({each.run.calls for each in rounds}))
    axes.legend()
    axes.grid(alpha=0.3)


def _curves(axes: Axes, rounds: Sequence[Round], title: str, of: Callable[[Run], tuple[float, ...]]) -> None:
    most = max(each.run.calls for each in rounds)
    for server in _servers(rounds):
        curves = [of(each.run) for each in rounds if _name(each.run) == server and each.run.calls == most]
        curves = [curve for curve in curves if curve]
        if curves:
            values = [max(0.01, median(curve[percent] for curve in curves)) for percent in range(101)]
            axes.plot(values, range(101), label=server)
    axes.set(title=title, xlabel="ms", ylabel="% of frames", xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend()
    axes.grid(alpha=0.3)
