"""Audio formats of a session, converted from and to the µ-law 8 kHz of the scenario.

Pure functions over bytes. Only encodings that need no codec are supported: µ-law, and 16-bit linear at a multiple of
8 kHz (samples are dropped or repeated, so what was made from telephone audio comes back as exactly that).
"""

import attrs

from protocol.audio import BYTES_PER_SECOND, ulaw_to_linear
from simulators.speech import linear_to_ulaw

_SAMPLE_BYTES = {"mulaw": 1, "linear16": 2}


@attrs.frozen
class AudioFormat:
    """An encoding and its sample rate, as `Settings.audio` names them."""

    encoding: str
    sample_rate: int

    @property
    def supported(self) -> bool:
        """Whether this simulator can hear and speak it."""
        return self.encoding in _SAMPLE_BYTES and self.sample_rate % BYTES_PER_SECOND == 0 and self.sample_rate > 0

    @property
    def is_telephone(self) -> bool:
        """Whether the bytes are the scenario's own."""
        return self.encoding == "mulaw" and self.sample_rate == BYTES_PER_SECOND

    @property
    def bytes_per_second(self) -> int:
        return self.sample_rate * _SAMPLE_BYTES.get(self.encoding, 1)

    def from_telephone(self, ulaw: bytes) -> bytes:
        if self.is_telephone:
            return ulaw
        samples = _repeat(ulaw, self.sample_rate // BYTES_PER_SECOND)
        return samples if self.encoding == "mulaw" else ulaw_to_linear(samples)

    def to_telephone(self, audio: bytes) -> bytes:
        """Render this format's whole samples in µ-law 8 kHz."""
        if self.is_telephone:
            return audio
        step = self.sample_rate // BYTES_PER_SECOND
        if self.encoding == "mulaw":
            return audio[::step]
        kept = bytearray(2 * len(range(0, len(audio) // 2, step)))
        kept[0::2] = audio[0 :: 2 * step]
        kept[1::2] = audio[1 :: 2 * step]
        return linear_to_ulaw(bytes(kept))


def _repeat(samples: bytes, times: int) -> bytes:
    if times == 1:
        return samples
    repeated = bytearray(len(samples) * times)
    for offset in range(times):
        repeated[offset::times] = samples
    return bytes(repeated)
