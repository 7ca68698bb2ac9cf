"""Everybody's voice in a simulated call, as it sounds on a phone.

`synthesise` says a text in a named voice: µ-law at 8000 samples a second in whole frames, with the place of each
word. The same text and voice give the same bytes in every process. It plays nothing. Without espeak-ng voices are hums.
Errors are the synthesiser's `SpeechError`.
"""

from __future__ import annotations

import math
import re
import sys
import warnings
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

import attrs

from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES, SILENCE, ulaw_to_linear
from simulators.espeak import ONLY_HUMS, SAMPLE_RATE, Speech, SpeechError, Voice, hum, speak

with warnings.catch_warnings():
    # Deprecated in 3.11 and 3.12, gone in 3.13, where the distribution `audioop-lts` provides it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

__all__ = [
    "ONLY_HUMS", "QUIET", "VOICES", "SpeechError", "Utterance", "Word", "linear_to_ulaw", "synthesise", "voice_for",
]  # fmt: skip

VOICES: Final[Mapping[str, Voice]] = {
    "aura-2-mars-en": Voice("en-us+m3", 168, pitch=42, melody=55),
    "aura-2-thalia-en": Voice("en-us+f4", 165, pitch=50, melody=60),
    "aura-2-vesta-en": Voice("en-gb-x-rp+f2", 160, pitch=55, melody=65),
    "caller-1": Voice("en-us+m1", 160, pitch=55, melody=45),
    "caller-2": Voice("en-us+f3", 165, pitch=48, melody=50),
    "caller-3": Voice("en-gb-x-rp+m7", 155, pitch=45, melody=55),
    "caller-4": Voice("en-gb-x-rp+f1", 160, pitch=58, melody=50),
}
"""The voices by the names that settings and scenarios use."""

_ACCENTS: Final = ("en-us", "en-gb-x-rp")
_MEN: Final = tuple(Voice(f"{accent}+m{n}", 158 + 3 * n, pitch=40 + 3 * n) for accent in _ACCENTS for n in (2, 4, 6, 8))
_WOMEN: Final = tuple(
    Voice(f"{accent}+f{n}", 154 + 3 * n, pitch=46 + 3 * n) for accent in _ACCENTS for n in (1, 2, 3, 4)
)
_OTHERS: Final = (*_MEN, *_WOMEN)

LONGEST: Final = 4096
"""Characters that are said of one text, as of Twilio's `<Say>`; a second of speech takes some 400 kB to make."""
_LOUD: Final = 150
"""Softer than this in 16-bit units is silence between words: -47 dB of full scale."""


def _codes(amplitude: int) -> bytes:
    samples = ulaw_to_linear(bytes(range(256)))
    values = [int.from_bytes(samples[2 * code : 2 * code + 2], "little", signed=True) for code in range(256)]
    return bytes(code for code in range(256) if abs(values[code]) <= amplitude)


QUIET: Final = _codes(_LOUD)
"""The µ-law bytes that are silence."""

_HUM: Final = _codes(8)
_WITHOUT_HUM: Final = bytes(SILENCE if code in _HUM else code for code in range(256))


@attrs.frozen
class Word:
    """One word of an utterance, and the bytes that say it."""

    text: str
    start_byte: int
    end_byte: int


@attrs.frozen
class Utterance:
    """A text said in a voice: µ-law, whole frames."""

    text: str
    voice: str
    audio: bytes = attrs.field(repr=False)
    words: tuple[Word, ...] = attrs.field(repr=False)

    @property
    def seconds(self) -> float:
        return len(self.audio) / BYTES_PER_SECOND


def voice_for(name: str) -> Voice:
    """Return the synthesiser's voice for a name; an unknown name always gets the same one of sixteen others."""
    return VOICES.get(name) or _OTHERS[zlib.crc32(name.encode()) % len(_OTHERS)]


@lru_cache(maxsize=2048)
def synthesise(text: str, voice: str) -> Utterance:
    """Say a text in a voice, or return what was said before.

    *Raises* `SpeechError`.
    """
    return say(text, voice)


def say(text: str, voice: str) -> Utterance:
    """Say a text in a voice, anew; of a longer one only the first `LONGEST` characters.

    *Raises* `SpeechError`.
    """
    text = text[:LONGEST]
    speech = (hum if ONLY_HUMS else speak)(text, voice_for(voice))
    audio = _phone_audio(speech.samples)
    first, last = _voiced_span(audio)
    if first == last:
        return Utterance(text, voice, b"", ())
    start = max(0, first - _LEAD)
    kept = audio[start : last + _TAIL]
    padded = kept + bytes([SILENCE]) * (-len(kept) % FRAME_BYTES)
    return Utterance(text, voice, padded, _words(text, speech, padded, start))


_LEAD: Final = FRAME_BYTES
_TAIL: Final = 2 * FRAME_BYTES
_CUTOFF: Final = 3200.0
_HALF_TAPS: Final = 16
_RMS: Final = 4500
_PEAK: Final = 30000


def _low_pass(cutoff: float, half: int) -> tuple[float, ...]:
    """Return the middle and one side of a windowed-sinc filter (Hamming), scaled to pass 0 Hz unchanged."""
    ratio = cutoff / SAMPLE_RATE
    taps = [2 * ratio]
    for n in range(1, half + 1):
        window = 0.54 + 0.46 * math.cos(math.pi * n / half)
        taps.append(math.sin(2 * math.pi * ratio * n) / (math.pi * n) * window)
    whole = taps[0] + 2 * sum(taps[1:])
    return tuple(tap / whole for tap in taps)


_TAPS: Final = _low_pass(_CUTOFF, _HALF_TAPS)


def _phone_audio(samples: bytes) -> bytes:
    """Filter to the phone's band, resample to 8 kHz, bring to one loudness, and compress to µ-law."""
    if not samples:
        return b""
    filtered = _filtered(samples)
    narrow, _ = audioop.ratecv(filtered, 2, 1, SAMPLE_RATE, BYTES_PER_SECOND, None)
    loudest = max(1, audioop.max(narrow, 2))
    gain = min(_RMS / max(1, audioop.rms(narrow, 2)), _PEAK / loudest)
    return linear_to_ulaw(audioop.mul(narrow, 2, gain)).translate(_WITHOUT_HUM)


def _filtered(samples: bytes) -> bytes:
    """Convolve in 32 bits, half of full scale: the sum of two samples must not clip."""
    margin = bytes(4 * _HALF_TAPS)
    wide = margin + audioop.mul(audioop.lin2lin(samples, 2, 4), 4, 0.5) + margin
    size = len(wide) - 2 * len(margin)
    middle = len(margin)
    total = audioop.mul(wide[middle : middle + size], 4, _TAPS[0])
    for n in range(1, len(_TAPS)):
        before, after = middle - 4 * n, middle + 4 * n
        pair = audioop.add(wide[before : before + size], wide[after : after + size], 4)
        total = audioop.add(total, audioop.mul(pair, 4, _TAPS[n]), 4)
    return audioop.mul(audioop.lin2lin(total, 4, 2), 2, 2.0)


def _voiced_span(audio: bytes) -> tuple[int, int]:
    """Return the first byte that is not silence, and one past the last."""
    last = len(audio.rstrip(QUIET))
    return (len(audio) - len(audio.lstrip(QUIET)) if last else 0), last


def _words(text: str, speech: Speech, audio: bytes, trimmed: int) -> tuple[Word, ...]:
    tokens = [match.span() for match in re.finditer(r"\S*\w\S*(?:\s+[^\w\s]+(?=\s|$))*", text)]
    starts = _starts(tokens, speech)
    places = [max(0, round(start * BYTES_PER_SECOND) - trimmed) for start in starts] + [len(audio)]
    words: list[Word] = []
    before = ""
    for (first, past), (begin, limit) in zip(tokens, pairwise(places), strict=True):
        said = " ".join(text[first:past].split())
        sound = audio[begin:limit]
        if not sound.strip(QUIET):
            before = f"{before} {said}".lstrip()
            continue
        start, end = limit - len(sound.lstrip(QUIET)), begin + len(sound.rstrip(QUIET))
        words.append(Word(f"{before} {said}".lstrip(), start, end))
        before = ""
    return tuple(words)


def _starts(tokens: Sequence[tuple[int, int]], speech: Speech) -> list[float]:
    """Return when each token begins; espeak says some words ("of the") as one, whose time is shared by length."""
    known = [next((at for place, at in speech.words if first <= place < past), None) for first, past in tokens]
    length = len(speech.samples) / 2 / SAMPLE_RATE
    starts: list[float] = []
    group: list[int] = []
    for index, begin in [*enumerate(known), (len(known), length)]:
        if begin is not None and group:
            starts += _shared(group, tokens, known[group[0]] or 0.0, begin)
            group = []
        group.append(index)
    return starts


def _shared(group: Sequence[int], tokens: Sequence[tuple[int, int]], begin: float, end: float) -> list[float]:
    lengths = [tokens[index][1] - tokens[index][0] for index in group]
    return [begin + (end - begin) * sum(lengths[:n]) / sum(lengths) for n in range(len(group))]


if sys.byteorder == "big":  # pragma: no cover
    raise SpeechError("the synthesised samples are little-endian")


def linear_to_ulaw(data: bytes) -> bytes:
    """Compress 16-bit native samples to µ-law (https://www.itu.int/rec/T-REC-G.711); half one is an `audioop.error`.

    Only those who speak need it: the server passes audio on, and does without `audioop` (`protocol/audio.py`).
    """
    return audioop.lin2ulaw(data, 2)
