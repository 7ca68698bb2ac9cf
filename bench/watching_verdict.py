"""What watching may cost the calls that are watched, and whether it costs more: no process, no socket, only figures.

A run goes through phases: nobody watches, some do, nobody, others do, nobody … Each phase with watchers is compared
with its two neighbours, in which nobody watches: the same server, the same calls, the same minute of the machine. How
far neighbours without watchers are from each other is the machine's noise.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import mean, median

import attrs

ADDED_P99_MS = 5.0
NOBODY = "nobody"


@attrs.frozen
class Phase:
    """A stretch of a run in which the same watchers watch."""

    kind: str
    lost: int
    """Frames of all calls, in both directions."""
    p99_ms: tuple[float, float]
    """Of the audio's latency, to the agents and to the callers."""


@attrs.frozen
class Found:
    """What was found of one kind of watchers; `added_ms` is the worse of both directions."""

    kind: str
    lost: int
    added_ms: float
    noise_ms: float

    @property
    def verdict(self) -> str:
        """Say pass, fail, or that the machine is too noisy to tell."""
        if self.lost:
            return "FAIL: frames were lost"
        if self.noise_ms >= ADDED_P99_MS:
            return "cannot tell: noise"
        return "pass" if self.added_ms < ADDED_P99_MS else "FAIL: too much is added"


def noise_ms(phases: Sequence[Phase]) -> float:
    """Return by how much the 99th percentile differs between neighbouring phases in which nobody watches."""
    quiet = [phase.p99_ms for phase in phases if phase.kind == NOBODY]
    return max(abs(one - other) for before, after in pairwise(quiet) for one, other in zip(before, after, strict=True))


def judge(phases: Sequence[Phase]) -> list[Found]:
    """Compare every kind of watchers with nobody, who is in each second phase, and in the first and the last one."""
    noise = noise_ms(phases)
    kinds = dict.fromkeys(phase.kind for phase in phases if phase.kind != NOBODY)
    return [_found(kind, phases, noise) for kind in kinds]


def _found(kind: str, phases: Sequence[Phase], noise: float) -> Found:
    added = [
        [now - mean(around) for now, *around in zip(phase.p99_ms, before.p99_ms, after.p99_ms, strict=True)]
        for before, phase, after in zip(phases, phases[1:], phases[2:], strict=False)
        if phase.kind == kind
    ]
    lost = sum(phase.lost for phase in phases if phase.kind == kind)
    return Found(kind, lost, max(median(way) for way in zip(*added, strict=True)), noise)
