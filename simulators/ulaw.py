"""µ-law made from 16-bit samples, as G.711 has it (https://www.itu.int/rec/T-REC-G.711).

Those who speak need it: callers and voice services. The server passes their audio on, and only ever expands it
(`protocol/audio.py`).
"""

import sys
from array import array


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


_COMPRESSED = _compression_table()


def linear_to_ulaw(data: bytes) -> bytes:
    """Compress 16-bit little-endian samples to µ-law; half a sample is a `ValueError`."""
    samples = array("H")
    samples.frombytes(data)
    if sys.byteorder == "big":  # pragma: no cover
        samples.byteswap()
    return bytes(map(_COMPRESSED.__getitem__, samples))
