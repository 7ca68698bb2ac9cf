"""The voice of an installation without espeak-ng: each word is a hum of three tones.

`hum` gives what `simulators.espeak.speak` gives: samples, and where each word begins. A word is as long as its letters,
and its tones are drawn by its letters and the voice: the same word in the same voice is the same sound in every
process, and another word is another. It is for the simulated ear; a person understands nothing.
"""

from __future__ import annotations

import math
import random
import re
from array import array
from functools import lru_cache
from importlib.util import find_spec
from typing import Final

from simulators.espeak import SAMPLE_RATE, Speech, Voice

ONLY_HUMS: Final = find_spec("espeakng_loader") is None
"""Whether there is no espeak-ng, and voices are hums."""
NOTICE: Final = "espeak-ng is not installed: voices are hums; pip install 'switchboard-voice[demo]'"

_TONES: Final = ((100, 260, 0.5), (350, 850, 0.3), (1100, 2600, 0.2))
"""Of each tone: between which frequencies it lies, and its share."""
_LOUDEST: Final = 16_000
_RATE: Final = SAMPLE_RATE // 2
"""Samples a second that are reckoned; each is written twice, which the phone's filter makes smooth."""
_SWELL: Final = 0.015
"""Seconds in which a word swells and fades."""
_GAP: Final = 0.04
_GAPS: Final = {",": 0.15, ";": 0.2, ":": 0.2, ".": 0.35, "!": 0.35, "?": 0.35, "…": 0.35}
_LETTERS_A_WORD: Final = 7.5


def hum(text: str, voice: Voice) -> Speech:
    """Hum a text, word by word; a text without words is no sound."""
    samples, words = array("h"), list[tuple[int, float]]()
    for word in re.finditer(r"\S*\w\S*", text):
        words.append((word.start(), len(samples) / SAMPLE_RATE))
        samples.extend(_word("".join(filter(str.isalnum, word[0].lower())), voice))
        samples.extend(bytes(round(_GAPS.get(word[0][-1], _GAP) * SAMPLE_RATE)))
    return Speech(samples.tobytes(), tuple(words))


@lru_cache(maxsize=4096)
def _word(letters: str, voice: Voice) -> array[int]:
    rng = random.Random(f"{letters} {voice}")
    count = round((len(letters) + 1) * 60 / voice.words_per_minute / _LETTERS_A_WORD * _RATE)
    sound = [0.0] * count
    for low, high, share in _TONES:
        step, glide = 2 * math.pi * rng.uniform(low, high) / _RATE, rng.uniform(-0.2, 0.2) / count
        sound = [before + share * math.sin(step * n * (1 + glide * n)) for n, before in enumerate(sound)]
    swell = _SWELL * _RATE
    loud = [int(_LOUDEST * min(1.0, n / swell, (count - n) / swell) * value) for n, value in enumerate(sound)]
    return array("h", [sample for sample in loud for _ in range(2)])
