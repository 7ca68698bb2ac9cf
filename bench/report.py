"""What the runs say: two tables, the ratios that matter, and whether the project keeps its promise about them.

Runs of one server with as many calls are summed up by their medians; ratios are taken between runs of the same round,
because the machine drifts by more than servers differ.
"""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

import attrs

from bench.run import Handed, Run, Way

PROMISES = {
    ("ours", "asyncio-wav", "burst"): 0.6,
    ("ours", "picows", "burst"): 2.0,
    ("ours", "asyncio-wav", "no lead"): 0.9,
    ("ours", "picows", "no lead"): 2.8,
    ("bare", "asyncio", "burst"): 0.5,
    ("bare", "picows", "burst"): 1.6,
}
"""The most CPU that a server may use, as a multiple of a yardstick's, in a regime, at `PROMISED_CALLS`."""
PROMISED_CALLS = (25, 50)
BUSY_LOAD = 0.7
WAITING = 0.05


@attrs.frozen
class Round:
    """One run, and in which round of interleaved runs it was."""

    number: int
    run: Run


@attrs.frozen
class Ratio:
    """The subject's CPU as a multiple of another server's."""

    subject: str
    against: str
    regime: str
    calls: int
    ratio: float
    lowest: float
    highest: float
    user_ratio: float
    """The same of the user share alone, which drifts less."""

    @property
    def promised(self) -> float | None:
        """The most it may be, if anything was promised."""
        known = PROMISES.get((self.subject, self.against, self.regime))
        return known if self.calls in PROMISED_CALLS else None

    @property
    def holds(self) -> bool:
        """Say whether nothing is promised, or it is kept."""
        return self.promised is None or self.ratio <= self.promised


def ratios(rounds: Sequence[Round], subject: str) -> list[Ratio]:
    """Compare the subject to every other server, round by round."""
    found = []
    for server, regime, calls in _groups(rounds):
        pairs = [
            (ours.run, theirs.run)
            for ours in rounds
            for theirs in rounds
            if ours.number == theirs.number
            and (ours.run.server, theirs.run.server) == (subject, server)
            and ours.run.calls == theirs.run.calls == calls
            and ours.run.regime == theirs.run.regime == regime
        ]
        if server != subject and pairs:
            each = [ours.cpu_ms / max(theirs.cpu_ms, 1e-9) for ours, theirs in pairs]
            user = median(ours.user_ms / max(theirs.user_ms, 1e-9) for ours, theirs in pairs)
            found.append(Ratio(subject, server, regime, calls, median(each), min(each), max(each), user))
    return sorted(found, key=lambda ratio: (ratio.regime, ratio.against, ratio.calls))


def _groups(rounds: Iterable[Round]) -> list[tuple[str, str, int]]:
    return list(dict.fromkeys((each.run.server, each.run.regime, each.run.calls) for each in rounds))


def _number(values: Iterable[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.{digits}f}" if known else "–"


def _at(curve: tuple[float, ...], percent: int) -> float | None:
    return curve[percent] if curve else None


def _curve(runs: Sequence[Run], curve: Callable[[Run], tuple[float, ...]], *percents: int) -> str:
    return "/".join(_number((_at(curve(run), percent) for run in runs), 1) for percent in percents)


def _faults(runs: Sequence[Run], way: Callable[[Run], Way]) -> str:
    ways = [way(run) for run in runs]
    return (
        f"{sum(each.lost for each in ways)}/{sum(each.duplicated for each in ways)}"
        f"/{sum(each.disordered for each in ways)}"
    )


def _handoff(runs: Sequence[Run]) -> tuple[str, str, str, str]:
    handed = [run.handed for run in runs if run.handed is not None and run.handed.asked]
    if not handed:
        return "–", "–", "–", "–"

    def each(frames: Callable[[Handed], int]) -> str:
        return f"{sum(map(frames, handed)) / sum(one.asked for one in handed):.1f}"

    gap = "/".join(_number((_at(one.gap_ms, percent) for one in handed), 0) for percent in (50, 99))
    done = f"{sum(one.done for one in handed)} of {sum(one.asked for one in handed)}"
    return (
        f"{gap} ({done})",
        each(lambda one: one.unheard_frames),
        each(lambda one: one.replayed_frames),
        _number((one.cpu_ms for one in handed), 1),
    )


COST = (
    *("server", "regime", "calls", "CPU ms", "user", "set-up CPU ms", "MB idle + call", "messages/s to caller"),
    *("handoff CPU ms", "load CPU ms", "load busy", "server waited", "others' cores"),
)
QUALITY = (
    *("server", "regime", "calls", "to caller: added p50/95/99 ms", "raw p50/99", "lost/dup/disorder", "gaps"),
    *("to agent: net p50/95/99 ms", "raw p50/99", "lost/dup/disorder"),
    *("handoff gap p50/99 ms", "unheard", "heard again"),
)


def _cost(runs: Sequence[Run]) -> tuple[str, ...]:
    return (
        runs[0].server,
        runs[0].regime,
        str(runs[0].calls),
        _number((run.cpu_ms for run in runs), 2),
        _number((run.user_ms for run in runs), 2),
        _number((run.setup_cpu_ms for run in runs), 1),
        f"{_number((run.idle_mb for run in runs), 0)} + {_number((run.mb_per_call for run in runs), 2)}",
        _number((run.messages_to_caller for run in runs), 1),
        _handoff(runs)[3],
        _number((run.load_ms for run in runs), 2),
        f"{median(run.load_busy for run in runs):.0%}",
        f"{median(run.server_waited for run in runs):.0%}",
        _number((run.others_busy for run in runs), 2),
    )


def _quality(runs: Sequence[Run]) -> tuple[str, ...]:
    gap, unheard, replayed, _ = _handoff(runs)
    return (
        runs[0].server,
        runs[0].regime,
        str(runs[0].calls),
        _curve(runs, lambda run: run.to_caller.net_ms, 50, 95, 99),
        _curve(runs, lambda run: run.to_caller.raw_ms, 50, 99),
        _faults(runs, lambda run: run.to_caller),
        str(sum(run.to_caller.gaps for run in runs)),
        _curve(runs, lambda run: run.to_agent.net_ms, 50, 95, 99),
        _curve(runs, lambda run: run.to_agent.raw_ms, 50, 99),
        _faults(runs, lambda run: run.to_agent),
        gap,
        unheard,
        replayed,
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    top = "| " + " | ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True)) + " |"
    return "\n".join([top, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines])


def _doubts(rounds: Sequence[Round]) -> list[str]:
    """Say what makes a run hard to believe."""
    said = []
    for each in rounds:
        run, where = each.run, f"{each.run.server}, {each.run.regime}, {each.run.calls} calls, round {each.number}"
        if run.load_busy > BUSY_LOAD:
            said.append(f"{where}: the generators used {run.load_busy:.0%} of their cores; latencies are theirs")
        if run.server_waited > WAITING:
            said.append(f"{where}: the server waited for its core {run.server_waited:.0%} of the time")
        if run.dropped_calls or run.damaged or run.crossed:
            said.append(
                f"{where}: {run.dropped_calls} calls dropped, {run.damaged} frames damaged, "
                f"{run.crossed} agents heard on a wrong call"
            )
    return said


def as_text(rounds: Sequence[Round], subject: str) -> str:
    """Write the whole report."""
    groups = [
        [each.run for each in rounds if (each.run.server, each.run.regime, each.run.calls) == group]
        for group in _groups(rounds)
    ]
    parts = [_table(COST, [_cost(runs) for runs in groups]), _table(QUALITY, [_quality(runs) for runs in groups])]
    lines = [_ratio_line(ratio) for one in dict.fromkeys((subject, "bare")) for ratio in ratios(rounds, one)]
    doubts = [f"! {doubt}" for doubt in _doubts(rounds)]
    return "\n\n".join([*parts, *(["\n".join(lines)] if lines else []), *(["\n".join(doubts)] if doubts else [])])


def _ratio_line(ratio: Ratio) -> str:
    promised = "" if ratio.promised is None else f", at most {ratio.promised}: {'kept' if ratio.holds else 'BROKEN'}"
    return (
        f"{ratio.subject} / {ratio.against}, {ratio.regime}, {ratio.calls} calls: {ratio.ratio:.2f} of the CPU "
        f"({ratio.lowest:.2f}–{ratio.highest:.2f}), {ratio.user_ratio:.2f} of the user share{promised}"
    )
