"""Telephone audio: µ-law at 8000 samples a second, one byte a sample, cut in frames of 20 ms.

Pure functions over bytes: expansion to 16-bit linear, silence, a cheap is-anybody-speaking test, and the WAV of the
recording. The law is ITU-T G.711 (https://www.itu.int/rec/T-REC-G.711); no function here keeps state.
"""

import struct

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


_LOW = bytes(_linear(code) & 0xFF for code in range(256))
_HIGH = bytes((_linear(code) >> 8) & 0xFF for code in range(256))
_QUIET = bytes(code for code in range(256) if abs(_linear(code)) <= VOICED_AMPLITUDE)


def silence(frames: int) -> bytes:
    return bytes([SILENCE]) * (frames * FRAME_BYTES)


def ulaw_to_linear(data: bytes) -> bytes:
    linear = bytearray(2 * len(data))
    linear[0::2] = data.translate(_LOW)
    linear[1::2] = data.translate(_HIGH)
    return bytes(linear)


def is_voiced(frame: bytes) -> bool:
    """Tell whether anything louder than line noise is in the frame: one pass in C, no arithmetic."""
    return len(frame.translate(None, _QUIET)) >= VOICED_SAMPLES


def write_wav_header(data_bytes: int) -> bytes:
    """Return the 44 bytes in front of `data_bytes` of stereo PCM16 at 8000 Hz."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + data_bytes, b"WAVE"),
        *(b"fmt ", 16, 1, 2, SAMPLE_RATE, SAMPLE_RATE * 4, 4, 16),
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
