"""Arithmetic of the gate: how noisy a revision is beside itself, and whether this tree costs more by more than that.

And of the pair: how many calls two processes carry, as a multiple of one's. Pure: it needs none of the benchmark's own
group of packages.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import attrs

LEAST_NOISE: Final = 0.03
"""A tree differs from itself by this much on the quietest machine."""


@attrs.frozen
class Verdict:
    """What was found in one regime."""

    regime: str
    noise: float
    """How far the revision is from itself, as a share."""
    ratio: float
    """This tree's CPU as a multiple of the revision's."""

    @property
    def holds(self) -> bool:
        """Whether this tree costs no more, as far as can be seen."""
        return self.ratio <= 1.0 + self.noise

    def __str__(self) -> str:
        """Say it in a line."""
        said = "no worse" if self.holds else "WORSE"
        return f"{self.regime}: {self.ratio:.2f} of the CPU, noise {self.noise:.0%}: {said}"


def verdict(regime: str, ours: Sequence[float], theirs: Sequence[float], twin: Sequence[float]) -> Verdict:
    """Judge what this tree and a revision, twice, have used in the same windows of time."""
    windows = list(zip(ours, theirs, twin, strict=True))
    noise = max(abs(one / other - 1.0) for _, one, other in windows)
    ratio = median(mine / ((one + other) / 2) for mine, one, other in windows)
    return Verdict(regime, max(noise, LEAST_NOISE), ratio)


def of_pair(carried: Mapping[tuple[int, int], bool]) -> str:
    """Compare the most calls of one process with those of two: `carried` by processes, and by calls of each."""
    one, two = (
        max((calls * count for (count, calls), is_carried in carried.items() if count == of and is_carried), default=0)
        for of in (1, 2)
    )
    return f"one process carries {one} calls, two carry {two}" + (f": {two / one:.2f} times as many" if one else "")
