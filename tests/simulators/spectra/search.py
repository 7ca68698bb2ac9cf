"""A Viterbi search over the rows of all templates: what the audio most likely is, of all that may be said.

In one hop time goes on by one row, or jumps ahead at a price (frames were lost on the way), or enters an utterance, or
leaves to nobody. `Search` keeps one speech, from its first sound to the pause after it; what is long past is settled
and forgotten, so its cost does not grow.
"""

from typing import Final

import attrs
import numpy as np

from tests.simulators.spectra.features import Floats, Ints
from tests.simulators.spectra.templates import Templates

_NEVER: Final = -1e9
_APART: Final = 1e6
"""Keeps a running maximum within each utterance."""
JUMP, _LEAVE = 1.6, 1.0
_MARGIN: Final = 3.0
"""So much better than any other an utterance must be before anything of it is told."""
MEMORY: Final = 300
"""Hops."""
NOBODY: Final = -1


@attrs.frozen
class Hop:
    """One hop of the sound: how like each row it is, what each row weighs, and its level (dB)."""

    like: Floats
    weight: Floats
    level: float
    quarters: Floats


@attrs.define(eq=False)
class Search:
    """One speech."""

    templates: Templates
    begins: int
    """The hop of the line at which it begins."""
    hops: list[Hop] = attrs.field(factory=list, init=False)
    told: int = attrs.field(default=-1, init=False)
    """The last hop of a word that was told."""
    again: dict[int, int] = attrs.field(factory=dict, init=False)
    """Before which hop a word that was told does not begin again."""
    _scores: Floats = attrs.field(init=False)
    _nobody: float = attrs.field(default=0.0, init=False)
    _back: list[Ints] = attrs.field(factory=list, init=False)
    _left: list[int] = attrs.field(factory=list, init=False)
    _index: Ints = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        count = len(self.templates.energy)
        self._scores, self._index = np.full(count, _NEVER), np.arange(count)

    def step(self, hop: Hop) -> None:
        """Take in what was heard in one hop."""
        before, back = self._earlier()
        start = self._nobody - self.templates.enter
        enters = start > before
        before, back = np.where(enters, start, before), np.where(enters, NOBODY, back)
        self._leave()
        self._scores = before + hop.like
        self._back.append(back)
        self.hops.append(hop)
        best = max(self._nobody, float(self._scores.max()))
        self._nobody -= best
        self._scores -= best
        if len(self.hops) >= 2 * MEMORY:
            self._forget()

    def _earlier(self) -> tuple[Floats, Ints]:
        """Return the best that each row may come from: the row before it, or one further back at a price."""
        scores, first, offset = self._scores, self.templates.is_first, self.templates.utterance * _APART
        before = np.concatenate([[_NEVER], scores[:-1]])
        running = scores + offset
        best = np.maximum.accumulate(running)
        best_at = np.maximum.accumulate(np.where(running >= best, self._index, 0))
        ahead = np.concatenate([[_NEVER], (best - offset)[:-1]]) - JUMP
        before[first] = ahead[first] = _NEVER
        jumps = ahead > before
        back = np.where(jumps, np.concatenate([[0], best_at[:-1]]), self._index - 1)
        return np.where(jumps, ahead, before), back

    def _leave(self) -> None:
        top = int(np.argmax(self._scores))
        leaves = float(self._scores[top]) - _LEAVE
        self._left.append(top if leaves > self._nobody else NOBODY)
        self._nobody = max(self._nobody, leaves)

    def _forget(self) -> None:
        for kept in (self._back, self._left, self.hops):
            del kept[:MEMORY]
        self.begins += MEMORY
        self.told -= MEMORY
        self.again = {word: hop - MEMORY for word, hop in self.again.items()}

    def path(self, *, final: bool) -> list[tuple[int, int]] | None:
        """Return the likeliest way, as (hop, row); None while another utterance may still be the one."""
        if not self.hops:
            return []
        row = int(np.argmax(self._scores))
        if self._nobody >= self._scores[row] - 1e-9:
            row = NOBODY
        elif not final and self._has_rival(row):
            return None
        way: list[tuple[int, int]] = []
        for hop in range(len(self.hops) - 1, -1, -1):
            if row == NOBODY:
                row = self._left[hop]
            else:
                way.append((hop, row))
                row = int(self._back[hop][row])
        return way[::-1]

    def _has_rival(self, row: int) -> bool:
        others = self._scores[self.templates.utterance != self.templates.utterance[row]]
        return len(others) > 0 and float(others.max()) > float(self._scores[row]) - _MARGIN
