"""A bad telephone line: what happens to the caller's sound on its way.

`BadLine` changes each 20 ms frame of the caller's: it is lost, hisses, is clipped, has a cough, an echo of the agents
or somebody else's voice in it. All of it is arithmetic on the sound itself, seeded; whether a word is understood then
is the ear's to say (`simulators/hearing.py`).
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from functools import cache
from typing import Final

import attrs

from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES, FRAME_SECONDS, SILENCE, ulaw_to_linear
from simulators.faults import Faults
from simulators.speech import linear_to_ulaw, synthesise

VOICE_RMS: Final = 4500
"""The loudness of a voice, in 16-bit units (`simulators/speech.py`)."""
ECHO_SECONDS: Final = 0.2
COUGH_SECONDS: Final = 0.3
SOMEBODY_ELSE: Final = "caller-4"
SAYS: Final = "I told you that the red one is in the kitchen, behind the door."
MASKED: Final = 10 ** (-12 / 10)
"""A voice masks what is 12 dB softer in the same 20 ms: the ear finds sound byte by byte, which no real one does."""
_SILENT: Final = bytes([SILENCE]) * FRAME_BYTES
_LIMIT: Final = 32_000


@attrs.define(eq=False)
class BadLine:
    """One stream's line; `heard` returns the agents' sound that was on it at some second (from `start` on)."""

    faults: Faults
    heard: Callable[[float], bytes]
    _rng: random.Random = attrs.field(factory=lambda: random.Random(0), init=False)

    def carry(self, frame: bytes, at: float) -> bytes:
        """Return what arrives of a frame that is said `at` seconds."""
        faults = self.faults
        if faults.has("loss") and self._rng.random() < faults.of("loss")[-1].number / 100:
            return _SILENT
        added = [_share(self.heard(at - ECHO_SECONDS), faults.of("echo")[-1].number)] if faults.has("echo") else []
        added += [part for one in faults.of("cough") if (part := _part(_cough(), at - (one.after or 0.0)))]
        added += [part for one in faults.of("two people") if (part := _part(_somebody_else(), at - (one.after or 0.0)))]
        if faults.has("noise"):
            added.append(self._hiss(faults.of("noise")[-1].number))
        if not added and not faults.has("clipping"):
            return frame
        limit = _loudness(-faults.of("clipping")[-1].number) if faults.has("clipping") else _LIMIT
        loudest = MASKED * _power(_samples(frame))
        return _mixed(frame, [part for part in added if _power(part) > loudest], limit)

    def _hiss(self, below: float) -> array[int]:
        spread = int(_loudness(below) * 1.73)  # of an even spread, so that its root mean square is that loud
        return array("h", [self._rng.randint(-spread, spread) for _ in range(FRAME_BYTES)])


def _loudness(below: float) -> int:
    return max(1, min(_LIMIT, round(VOICE_RMS * 10 ** (-below / 20))))


def _power(samples: array[int]) -> float:
    return sum(sample * sample for sample in samples) / FRAME_BYTES


def _mixed(frame: bytes, added: list[array[int]], limit: int) -> bytes:
    samples = _samples(frame)
    for part in added:
        for place, sample in enumerate(part):
            samples[place] = max(-_LIMIT, min(_LIMIT, samples[place] + sample))
    clipped = array("h", [max(-limit, min(limit, sample)) for sample in samples])
    changed = linear_to_ulaw(clipped.tobytes())
    # what is as it was keeps its byte: silence has two of them
    return bytes(
        old if was == now else new for old, new, was, now in zip(frame, changed, _samples(frame), clipped, strict=True)
    )


def _samples(frame: bytes) -> array[int]:
    samples = array("h")
    samples.frombytes(ulaw_to_linear(frame))
    return samples


def _share(frame: bytes, below: float) -> array[int]:
    factor = 10 ** (-below / 20)
    return array("h", [int(sample * factor) for sample in _samples(frame)])


def _part(sound: array[int], since: float) -> array[int]:
    begin = round(since * BYTES_PER_SECOND)
    return sound[begin : begin + FRAME_BYTES] if since > -FRAME_SECONDS / 2 and begin >= 0 else array("h")


@cache
def _cough() -> array[int]:
    rng, length = random.Random(1), round(COUGH_SECONDS * BYTES_PER_SECOND)
    return array("h", [int(rng.randint(-12_000, 12_000) * (1 - place / length)) for place in range(length)])


@cache
def _somebody_else() -> array[int]:
    return _samples(synthesise(SAYS, SOMEBODY_ELSE).audio)
