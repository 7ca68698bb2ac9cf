"""The gate's arithmetic: how noisy a revision is beside itself, and whether this tree costs more by more than that.

Pure: it needs none of the benchmark's own group of packages.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

import attrs

LEAST_NOISE: Final = 0.03
"""Two runs differ by this much on the quietest machine."""


@attrs.frozen
class Verdict:
    """What was found in one regime."""

    regime: str
    noise: float
    """How far the revision's own runs are from each other, as a share."""
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


def verdict(regime: str, ours: Sequence[float], theirs: Sequence[float]) -> Verdict:
    """Judge runs that took turns: `theirs` has one run before the first of `ours`, and one behind each of them."""
    noise = max(abs(later / earlier - 1.0) for earlier, later in pairwise(theirs))
    pairs = zip(ours, pairwise(theirs), strict=True)
    ratio = median(one / ((before + after) / 2) for one, (before, after) in pairs)
    return Verdict(regime, max(noise, LEAST_NOISE), ratio)
