"""Everything that may be said, as rows of features: which utterance a row is of, and which word.

`Templates` is made once for a line. `as_heard` makes them anew as they would sound now, at the level and in the noise
that there is.
"""

from collections.abc import Sequence

import attrs
import numpy as np

from simulators.speech import Utterance
from tests.simulators.spectra.features import HOP, WINDOW, Bools, Floats, Ints, energies, levels, samples_of, shape

_LEAD = WINDOW - HOP
_ENTER, _ENTER_AT_START = 6.0, 3.0
"""The price of beginning in the middle of an utterance, and at its start."""
_SOFTEST, _RANGE = -32.0, 14.0


@attrs.frozen
class KnownWord:
    """A word, and the rows that say it."""

    text: str
    begin: int
    end: int


@attrs.frozen
class Sound:
    """Templates as they would sound: their directions, and how much each row says (0 a pause, 1 a vowel)."""

    directions: Floats
    weight: Floats


@attrs.frozen(eq=False)
class Templates:
    """The rows of all utterances, one after the other."""

    energy: Floats
    level: Floats
    """dB of a row's middle."""
    under: Floats
    """dB under the loudest."""
    top: float
    mean: Floats
    utterance: Ints
    is_first: Bools
    enter: Floats
    word: Ints
    """The number of the word that a row is of; -1 for none."""
    words: tuple[KnownWord, ...]

    @classmethod
    def of(cls, utterances: Sequence[Utterance]) -> "Templates":
        """Make the templates of what may be said."""
        padded = [np.concatenate([np.zeros(_LEAD), samples_of(each.audio), np.zeros(HOP)]) for each in utterances]
        rows = [energies(samples) for samples in padded]
        first = np.concatenate([[0], np.cumsum([len(each) for each in rows])]).astype(np.int64)
        energy = np.concatenate(rows)
        total = energy.sum(1)
        top = float(np.percentile(total, 95))
        under = 10 * np.log10(total / top)
        is_first = np.zeros(len(energy), bool)
        is_first[first[:-1]] = True
        enter = np.full(len(energy), _ENTER)
        enter[first[:-1]] = enter[first[:-1] + 1] = _ENTER_AT_START
        words, word = _words(utterances, first)
        return cls(
            energy=energy,
            level=np.concatenate([levels(samples)[0] for samples in padded]),
            under=under,
            top=top,
            mean=shape(energy[under > -20]).mean(0),
            utterance=np.repeat(np.arange(len(utterances)), np.diff(first)),
            is_first=is_first,
            enter=enter,
            word=word,
            words=words,
        )

    def as_heard(self, peak: float, noise: Floats) -> Sound:
        """Return the templates as they would sound at this level, in this noise."""
        form = shape(self.energy * (peak / self.top) + noise) - self.mean
        hidden = 10 * np.log10(noise.sum() / peak) + 3  # noise hides what is softer
        weight = np.clip((self.under - max(_SOFTEST, hidden)) / _RANGE, 0, 1)
        return Sound(form / np.sqrt((form * form).sum(1, keepdims=True) + 1e-9), weight)

    def direction(self, energy: Floats) -> Floats:
        """Return what a template is compared with: one window's spectrum."""
        form = shape(energy) - self.mean
        direction: Floats = form / np.sqrt(form @ form + 1e-9)
        return direction


def _words(utterances: Sequence[Utterance], first: Ints) -> tuple[tuple[KnownWord, ...], Ints]:
    words: list[KnownWord] = []
    word = np.full(first[-1], -1, np.int64)
    middle = WINDOW // 2 - _LEAD  # a window's middle comes so many samples after its hop's start
    for number, utterance in enumerate(utterances):
        for each in utterance.words:
            begin, end = (int(first[number]) + round((at - middle) / HOP) for at in (each.start_byte, each.end_byte))
            end = min(max(end, begin + 1), int(first[number + 1]))
            word[begin:end] = len(words)
            words.append(KnownWord(each.text, begin, end))
    return tuple(words), word
