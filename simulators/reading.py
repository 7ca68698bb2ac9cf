"""Where we are in one utterance, and which of its words have come.

`Reading` counts the bytes of each word as they arrive, through gaps and repetitions. It decides nothing about which
utterance it is: `simulators.hearing` does.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from protocol.audio import BYTES_PER_SECOND
from simulators.speech import Utterance, Word

HEARD_SHARE: Final = 0.8
"""This much of a word's bytes must arrive."""

Place: TypeAlias = tuple[Utterance, int]
"""A byte of an utterance."""


@attrs.frozen
class WordHeard:
    """A word was understood, `at` seconds of audio."""

    at: float
    word: str


@attrs.define(eq=False)
class Reading:
    """One way to understand the audio: it is this utterance, and goes on at `place`."""

    utterance: Utterance
    place: int
    _index: int = attrs.field(default=0, init=False)
    """The word that is coming in."""
    _got: int = attrs.field(default=0, init=False)
    """How many of its bytes came."""
    _upto: int = attrs.field(default=0, init=False)
    """Bytes before this one are not counted again."""
    _told: list[WordHeard] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        later = (index for index, word in enumerate(self.utterance.words) if word.end_byte > self.place)
        self._index = next(later, len(self.utterance.words))

    def moved_to(self, place: int) -> Reading:
        """Return a reading that goes on elsewhere in the utterance and remembers the word that is coming in.

        Ahead of it, bytes were lost; back within it, they are repeated; before it, it is said again.
        """
        moved = Reading(self.utterance, place)
        word = self._word
        if word is not None and place >= word.start_byte:
            moved._index, moved._got, moved._upto = self._index, self._got, self._upto
        return moved

    def goes_on_with(self, audio: bytes) -> bool:
        """Tell whether the utterance goes on like this."""
        return self.utterance.audio.startswith(audio, self.place)

    def same_as(self, audio: bytes) -> int:
        """Return for how many bytes the utterance goes on like this."""
        return common_start(audio, self.utterance.audio[self.place : self.place + len(audio)])

    def advance(self, size: int, past: int) -> None:
        """Take in the next `size` bytes; `past` is where they end in the audio received."""
        end = self.place + size
        while (word := self._word) is not None:
            came = min(end, word.end_byte)
            self._got += max(0, came - max(word.start_byte, self.place, self._upto))
            self._upto = max(self._upto, came)
            if end < word.end_byte:
                break
            self._close(word, past - (end - word.end_byte))
            self._index, self._got = self._index + 1, 0
        self.place = end

    def break_off(self, past: int) -> None:
        """Tell the word that is coming in, if enough of it came: the rest may never come."""
        word = self._word
        if word is not None and self._close(word, past):
            self._index, self._got = self._index + 1, 0

    def take_words(self) -> list[WordHeard]:
        words, self._told = self._told, []
        return words

    def _close(self, word: Word, past: int) -> bool:
        heard = self._got >= HEARD_SHARE * (word.end_byte - word.start_byte)
        if heard:
            self._told.append(WordHeard(past / BYTES_PER_SECOND, word.text))
        return heard

    @property
    def _word(self) -> Word | None:
        words = self.utterance.words
        return words[self._index] if self._index < len(words) else None


def common_start(one: bytes, other: bytes) -> int:
    """Return how many bytes at the start are the same: halving, so that long runs cost little."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def common_end(one: bytes, other: bytes) -> int:
    return common_start(one[::-1], other[::-1])
