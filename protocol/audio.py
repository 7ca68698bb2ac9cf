"""Telephone audio: µ-law at 8000 samples a second, one byte a sample, cut in frames of 20 ms.

Pure functions over bytes: companding to and from 16-bit linear, silence, a cheap is-anybody-speaking test, and WAV
files for the recording. The law is ITU-T G.711 (https://www.itu.int/rec/T-REC-G.711); no function here keeps state.
"""

import struct
import sys
from array import array

SAMPLE_RATE = 8000
BYTES_PER_SECOND = 8000
FRAME_BYTES = 160
FRAME_SECONDS = 0.02
SILENCE = 0xFF

VOICED_AMPLITUDE = 1000
"""A sample louder than this is not line noise: about -30 dB of full scale, in 16-bit linear units."""

VOICED_SAMPLES = 8
"""This many loud samples make a frame voiced: 5 % of it, so that one click does not."""


def _linear(code: int) -> int:
    """Expand one µ-law byte to 16-bit linear (G.711 table 2, scaled from 14 bits)."""
    inverted = ~code & 0xFF
    exponent, mantissa = (inverted >> 4) & 7, inverted & 15
    magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return -magnitude if inverted & 0x80 else magnitude


def _compression_table() -> bytes:
    """Lay out the µ-law byte of every unsigned 16-bit pattern, as runs: four patterns to one 14-bit step."""
    magnitudes = bytearray()
    for code in range(0x80):
        first = ((16 + (code & 15)) << ((code >> 4) + 1)) - 33
        last = ((17 + (code & 15)) << ((code >> 4) + 1)) - 33
        magnitudes += bytes([code]) * (last - max(first, 0))
    magnitudes += bytes([0x7F]) * (8193 - len(magnitudes))
    positive = b"".join(bytes([code ^ 0xFF]) * 4 for code in magnitudes[:8192])
    negative = b"".join(bytes([code ^ 0x7F]) * 4 for code in reversed(magnitudes[1:]))
    return positive + negative


_LOW = bytes(_linear(code) & 0xFF for code in range(256))
_HIGH = bytes((_linear(code) >> 8) & 0xFF for code in range(256))
_QUIET = bytes(code for code in range(256) if abs(_linear(code)) <= VOICED_AMPLITUDE)
_COMPRESSED = _compression_table()


def seconds(nbytes: int) -> float:
    """Return how long this many bytes of µ-law play."""
    return nbytes / BYTES_PER_SECOND


def silence(frames: int) -> bytes:
    """Return whole frames of digital silence."""
    return bytes([SILENCE]) * (frames * FRAME_BYTES)


def ulaw_to_linear(data: bytes) -> bytes:
    """Expand µ-law to 16-bit little-endian samples."""
    linear = bytearray(2 * len(data))
    linear[0::2] = data.translate(_LOW)
    linear[1::2] = data.translate(_HIGH)
    return bytes(linear)


def linear_to_ulaw(data: bytes) -> bytes:
    """Compress 16-bit little-endian samples to µ-law; half a sample is a `ValueError`."""
    samples = array("H")
    samples.frombytes(data)
    if sys.byteorder == "big":  # pragma: no cover
        samples.byteswap()
    return bytes(map(_COMPRESSED.__getitem__, samples))


def is_voiced(frame: bytes) -> bool:
    """Tell whether anything louder than line noise is in the frame: one pass in C, no arithmetic."""
    return len(frame.translate(None, _QUIET)) >= VOICED_SAMPLES


def write_wav_header(data_bytes: int, *, channels: int = 2) -> bytes:
    """Return the 44 bytes in front of `data_bytes` of 16-bit PCM at 8000 Hz."""
    block = 2 * channels
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + data_bytes, b"WAVE"),
        *(b"fmt ", 16, 1, channels, SAMPLE_RATE, SAMPLE_RATE * block, block, 16),
        *(b"data", data_bytes),
    )


def interleave(left_ulaw: bytes, right_ulaw: bytes) -> bytes:
    """Expand two µ-law tracks to one of stereo PCM16; the shorter is continued in silence."""
    samples = max(len(left_ulaw), len(right_ulaw))
    stereo = bytearray(4 * samples)
    for side, track in enumerate((left_ulaw, right_ulaw)):
        padded = track.ljust(samples, bytes([SILENCE]))
        stereo[2 * side :: 4] = padded.translate(_LOW)
        stereo[2 * side + 1 :: 4] = padded.translate(_HIGH)
    return bytes(stereo)


def stereo_wav(left_ulaw: bytes, right_ulaw: bytes) -> bytes:
    """Return a whole WAV file: PCM16, 8000 Hz, left and right as given."""
    pcm = interleave(left_ulaw, right_ulaw)
    return write_wav_header(len(pcm)) + pcm
