"""An honest ear for a microphone: it understands only what really came, by its spectrum.

`SpectralRecogniser` listens to one line, like `simulators.hearing.Recogniser`, and tells the same events. A word is
told when 80 % of its rows were passed, sounded like it, and had no hole of 2.5 ms; a stay in an utterance needs
evidence, and a path that jumps about is chance. While two utterances fit alike it waits. It understands synthesised
speech only.
"""

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np

from simulators.hearing import Heard, SpeechEnded, SpeechStarted, WordHeard
from simulators.speech import Utterance
from tests.simulators.spectra.features import (
    HOP,
    HOPS_PER_SECOND,
    WINDOW,
    Floats,
    energies,
    levels,
    samples_of,
    windows_in,
)
from tests.simulators.spectra.search import JUMP, Hop, Search
from tests.simulators.spectra.templates import KnownWord, Sound, Templates

_LIKE: Final = 0.45
"""Likeness (cosine) above which a hop speaks for a row."""
_SHARE, _LIKE_A_WORD = 0.8, 0.25
_PROOF: Final = 12.0
"""So much evidence on one utterance before any word of it is told: some 270 ms of clear speech …"""
_QUALITY: Final = 0.2
"""… and so much for each row that says something."""
_HOLE: Final = 22.0
"""2.5 ms that are so many dB softer than the row did not come."""
_LAG: Final = 8
_SHORTEST_PAUSE: Final = 0.5
"""Seconds: a pause within a sentence is shorter."""
_RENEWED: Final = 10
"""Hops after which the templates are made anew."""
_BEGINS: Final = 5
"""Hops of sound in a row are somebody speaking."""


@attrs.frozen
class Stay:
    """A stretch of a path within one utterance: hops, and their rows."""

    hops: Sequence[int]
    rows: Sequence[int]


def _stays(templates: Templates, path: Sequence[tuple[int, int]]) -> list[Stay]:
    cut: list[list[tuple[int, int]]] = []
    for hop, row in path:
        goes_on = cut and hop == cut[-1][-1][0] + 1
        if goes_on and templates.utterance[row] == templates.utterance[cut[-1][-1][1]]:
            cut[-1].append((hop, row))
        else:
            cut.append([(hop, row)])
    return [Stay([hop for hop, _ in each], [row for _, row in each]) for each in cut]


@attrs.define(eq=False)
class SpectralRecogniser:
    """Listens to one line on which these utterances may be said."""

    utterances: Sequence[Utterance]
    pause: float = attrs.field(default=_SHORTEST_PAUSE, kw_only=True)
    _templates: Templates = attrs.field(init=False)
    _search: Search = attrs.field(init=False)
    _sound: Sound | None = attrs.field(default=None, init=False)
    _renewed: tuple[int, float] = attrs.field(default=(0, 0.0), init=False)
    """When the templates were made, and for which peak."""
    _rest: Floats = attrs.field(factory=lambda: np.zeros(WINDOW - HOP), init=False)
    _hop: int = attrs.field(default=0, init=False)
    _noise: Floats | None = attrs.field(default=None, init=False)
    _peak: float = attrs.field(default=0.0, init=False)
    _loud: int = attrs.field(default=0, init=False)
    _quiet: int = attrs.field(default=0, init=False)
    _speaking: bool = attrs.field(default=False, init=False)
    _words: list[str] = attrs.field(factory=list, init=False)
    _events: list[Heard] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._templates = Templates.of(self.utterances)
        self._search = Search(self._templates, 0)

    def hear(self, audio: bytes) -> Sequence[Heard]:
        """Listen to the next audio, of any length, and return what was understood by its end."""
        self._rest = np.concatenate([self._rest, samples_of(audio)])
        count = windows_in(self._rest)
        if count:
            middle, quarters = levels(self._rest)
            for row, energy in enumerate(energies(self._rest)):
                self._hear_hop(energy, float(middle[row]), quarters[row])
            self._rest = self._rest[count * HOP :]
        events, self._events = self._events, []
        return events

    def _hear_hop(self, energy: Floats, level: float, quarters: Floats) -> None:
        self._hop += 1
        noise = self._learn_noise(energy)
        total = float(energy.sum())
        self._peak = max(total, self._peak * 0.999)
        is_quiet = total < 2.5 * float(noise.sum()) + 2e4 or total < self._peak * 1e-3
        sound = self._sound_now(noise)
        self._search.step(Hop(self._likeness(energy, sound, is_quiet=is_quiet), sound.weight, level, quarters))
        self._quiet = self._quiet + 1 if is_quiet else 0
        self._loud = 0 if is_quiet else self._loud + 1
        if self._loud == _BEGINS and not self._speaking:
            self._speaking = True
            self._events.append(SpeechStarted((self._hop - _BEGINS) / HOPS_PER_SECOND))
        if self._quiet >= max(self.pause, _SHORTEST_PAUSE) * HOPS_PER_SECOND:
            self._end()
        elif self._hop % 5 == 0:
            self._tell(final=False)

    def _learn_noise(self, energy: Floats) -> Floats:
        """Follow the noise: down quickly, up slowly."""
        known = energy if self._noise is None else self._noise
        is_calm = bool(np.all(energy < known * 6))
        down, up = 0.85 * known + 0.15 * energy, np.minimum(known * (1.03 if is_calm else 1.003), energy)
        self._noise = np.where(energy < known, down, up)
        return self._noise

    def _sound_now(self, noise: Floats) -> Sound:
        made_at, made_for = self._renewed
        if self._sound is None or self._hop - made_at >= _RENEWED or self._peak > 1.5 * made_for:
            # until somebody speaks: 13 dB above the noise
            self._sound = self._templates.as_heard(max(self._peak, 20 * float(noise.sum()), 1e4), noise)
            self._renewed = self._hop, self._peak
        return self._sound

    def _likeness(self, energy: Floats, sound: Sound, *, is_quiet: bool) -> Floats:
        weight = sound.weight
        if is_quiet:
            return 0.08 * (1 - weight) - 0.6 * weight * weight
        alike = sound.directions @ self._templates.direction(energy)
        return weight * (alike - _LIKE) - 0.15 * (1 - weight)

    def _end(self) -> None:
        self._tell(final=True)
        if self._speaking:
            self._events.append(SpeechEnded(self._hop / HOPS_PER_SECOND, " ".join(self._words)))
        self._speaking, self._quiet = False, 0
        self._words.clear()
        self._search = Search(self._templates, self._hop)

    def _tell(self, *, final: bool) -> None:
        stays = _stays(self._templates, self._search.path(final=final) or [])
        for stay in stays:
            if self._is_proved(stay):
                self._tell_words(stay, final=final)
            elif not final and stay is stays[-1]:
                return

    def _is_proved(self, stay: Stay) -> bool:
        hops, rows = self._search.hops, np.array(stay.rows)
        evidence = sum(float(hops[hop].like[row]) for hop, row in zip(stay.hops, stay.rows, strict=True))
        weight = sum(float(hops[hop].weight[row]) for hop, row in zip(stay.hops, stay.rows, strict=True))
        jumps = int(np.count_nonzero(np.diff(rows) != 1))
        return evidence - JUMP * jumps >= max(_PROOF, _QUALITY * weight)

    def _tell_words(self, stay: Stay, *, final: bool) -> None:
        search, rows = self._search, np.array(stay.rows)
        good, word_of = self._good(stay), self._templates.word[rows]
        for number in dict.fromkeys(int(each) for each in word_of if each >= 0):
            word, inside = self._templates.words[number], word_of == number
            hops = np.array(stay.hops)[inside]
            first, last = int(hops.min()), int(hops.max())
            if first <= search.told - 4 or first < search.again.get(number, -1):
                continue  # told already, or something else was in its place
            is_past = rows[-1] >= word.end and len(search.hops) - last >= _LAG
            if not final and not is_past:
                return
            if float(good[inside].sum()) / (word.end - word.begin) >= _SHARE - 0.5 / (word.end - word.begin):
                self._tell_word(number, word, last)

    def _tell_word(self, number: int, word: KnownWord, last: int) -> None:
        self._search.told = last
        self._search.again[number] = last + word.end - word.begin + 10
        self._words.append(word.text)
        self._events.append(WordHeard(self._hop / HOPS_PER_SECOND, word.text))

    def _good(self, stay: Stay) -> Floats:
        """Return for each hop of a stay how much of its row came, and sounded like it."""
        hops, rows = [self._search.hops[hop] for hop in stay.hops], np.array(stay.rows)
        like = np.array([hop.like[row] for hop, row in zip(hops, stay.rows, strict=True)])
        weight = np.array([hop.weight[row] for hop, row in zip(hops, stay.rows, strict=True)])
        level = np.array([hop.level for hop in hops]) - self._templates.level[rows]
        quarters = np.array([hop.quarters for hop in hops]) - self._templates.level[rows][:, None]
        gain = float(np.median(level[weight > 0.5])) if np.any(weight > 0.5) else 0.0
        is_soft = weight < 0.3
        came = np.where(is_soft, 1.0, (quarters > gain - _HOLE).mean(axis=1))
        good: Floats = came * ((like >= weight * (_LIKE_A_WORD - _LIKE) - 0.16 * (1 - weight)) | is_soft)
        return good
