"""The result of a probe: each case with its failures, pass^k with its bounds, time and cost.

pass^k is how likely k answers in a row are all right. Of n answers of which c were right, C(c, k) / C(n, k) estimates
it without bias (arXiv 2406.12045). The bounds are Wilson's, 95 %, over the cases: another set of cases like these would
have come out between them in 19 of 20.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

import attrs

from agents.arguments import ArgumentsRefused, json_of
from agents.roster import Roster
from protocol.fields import json_or
from testkit.probe.cases import Case
from testkit.probe.cassettes import Cassette, Cassettes, Run

Z: Final = 1.959964
_MILLION: Final = 1e6
_EXCERPT: Final = 120


@attrs.frozen
class Judged:
    """A case: how many runs there were, and what was wrong with those that failed."""

    case: Case
    runs: int
    wrong: tuple[str, ...]
    stale: str = ""
    """Why there is no answer to judge."""

    @property
    def passed(self) -> int:
        """How many runs were right."""
        return self.runs - len(self.wrong)


@attrs.frozen
class Price:
    """Of a million tokens, in and out."""

    tokens_in: float
    tokens_out: float


def judge(case: Case, run: Run, roster: Roster) -> str:
    """Say what is wrong with an answer; empty if nothing is."""
    said = f"it said {run.text[:_EXCERPT]!r}" if run.text else "it said nothing"
    written = f"{run.text} {' '.join(arguments for _, arguments in run.calls)}".casefold()
    for words in case.says_not:
        if words.casefold() in written:
            return f"it wrote {words!r}: {said}, and called {_names(run)}"
    made = [arguments for name, arguments in run.calls if name == case.function]
    if case.expect != "must":
        return f"it called {case.function} {made[0]}; {said}" if made else ""
    if not made:
        return f"it did not call {case.function}, but {_names(run)}; {said}"
    return _wrong_arguments(case, made[0], roster)


def _wrong_arguments(case: Case, made: str, roster: Roster) -> str:
    spec = roster.agents[case.agent].function(case.function)
    try:
        meant = json_of(spec.parse(made)) if spec is not None else {}
    except ArgumentsRefused as refused:
        return f"it called {case.function} with arguments that are refused: {refused}"
    read = json_or(made, None)
    given = read if isinstance(read, dict) else {}  # a handoff is done with that, too
    meant = meant if isinstance(meant, dict) else {}
    for name, value in case.arguments.items():
        if value not in (given.get(name), meant.get(name)):
            return f"it called {case.function} with {name}={given.get(name)!r} in the place of {value!r}"
    return ""


def _names(run: Run) -> str:
    return ", ".join(name for name, _ in run.calls) or "nothing"


def judge_all(cases: Sequence[Case], roster: Roster, model: str, cassettes: Cassettes, runs: int) -> list[Judged]:
    """Judge every case by its cassette; one that is not there, or was made for another prompt, is stale."""
    return [_judge_cassette(case, roster, model, cassettes.load(case.name, model), runs) for case in cases]


def _judge_cassette(case: Case, roster: Roster, model: str, kept: Cassette | None, runs: int) -> Judged:
    if kept is None:
        return Judged(case, 0, (), f"{model} has never been asked")
    if kept.key != case.key(roster, model):
        return Judged(case, 0, (), "the prompt, a function or the case has changed since it was asked")
    if len(kept.runs) < runs:
        return Judged(case, 0, (), f"it was asked {len(kept.runs)} times only, and {runs} are wanted")
    wrong = tuple(filter(None, (judge(case, run, roster) for run in kept.runs[:runs])))
    return Judged(case, runs, wrong)


def pass_hat(judged: Sequence[Judged], k: int) -> float:
    """Estimate pass^k: the mean over the cases."""
    estimates = [math.comb(each.passed, k) / math.comb(each.runs, k) for each in judged if each.runs >= k]
    return sum(estimates) / len(estimates) if estimates else math.nan


def bounds(share: float, number: int) -> tuple[float, float]:
    """Return Wilson's bounds of a share of so many."""
    if not number:
        return 0.0, 1.0
    middle = share + Z * Z / (2 * number)
    spread = Z * math.sqrt(share * (1 - share) / number + Z * Z / (4 * number * number))
    whole = 1 + Z * Z / number
    return max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)


def report(judged: Sequence[Judged], cassettes: Cassettes, model: str, runs: int, price: Price | None) -> Iterator[str]:
    """Yield the lines of a report."""
    for each in judged:
        if each.stale:
            yield f"NOT ASKED  {each.case.name}: {each.stale}"
        elif each.wrong:
            wanted = f"{each.case.expect} call {each.case.function}"
            yield f"FAILED     {each.case.name} ({each.passed} of {each.runs}): {wanted}"
            yield from (f"           - {why}" for why in dict.fromkeys(each.wrong))
    for edge in dict.fromkeys((each.case.agent, each.case.function) for each in judged):
        of_edge = [each for each in judged if (each.case.agent, each.case.function) == edge and not each.stale]
        if of_edge:
            yield _share(f"{edge[0]}: {edge[1]}", of_edge, runs)
    asked = [each for each in judged if not each.stale]
    yield _share("all", asked, runs)
    yield from _cost([each.case.name for each in asked], cassettes, model, runs, price)


def _share(what: str, judged: Sequence[Judged], k: int) -> str:
    one, all_of_k = pass_hat(judged, 1), pass_hat(judged, k)
    if math.isnan(all_of_k):
        return f"{what}: no answers"
    low, high = bounds(all_of_k, len(judged))
    return f"{what}: {len(judged)} cases, pass^1 {one:.0%}, pass^{k} {all_of_k:.0%} (95 %: {low:.0%} to {high:.0%})"


def _cost(names: Sequence[str], cassettes: Cassettes, model: str, runs: int, price: Price | None) -> Iterator[str]:
    kept = [cassette for name in names if (cassette := cassettes.load(name, model)) is not None]
    all_runs = [run for cassette in kept for run in cassette.runs[:runs]]
    if not all_runs:
        return
    tokens_in, tokens_out = sum(run.tokens_in for run in all_runs), sum(run.tokens_out for run in all_runs)
    seconds = sorted(run.seconds for run in all_runs)
    cost = (
        ""
        if price is None
        else f", {(tokens_in * price.tokens_in + tokens_out * price.tokens_out) / _MILLION:.4f} in all"
    )
    yield (
        f"{len(all_runs)} answers: {median(seconds):.2f} s in the middle, {seconds[-1]:.2f} s at most; "
        f"{tokens_in} tokens in, {tokens_out} out{cost}"
    )
