import struct

from hypothesis import given
from hypothesis import strategies as st

from protocol.audio import ulaw_to_linear
from simulators.speech import linear_to_ulaw
from tests.protocol.strategies import QUICK

EVERY_SAMPLE = range(-32768, 32768)


def compressed(sample: int) -> int:
    """G.711's encoder, by search: the last code whose decision value the 14-bit magnitude has reached."""
    magnitude = min((-(sample >> 2) if sample < 0 else sample >> 2) + 33, 8191)
    exponent = magnitude.bit_length() - 6
    mantissa = (magnitude >> (exponent + 1)) & 15
    return ((0x80 if sample < 0 else 0) | (exponent << 4) | mantissa) ^ 0xFF


def test_compression_is_g711_for_every_sample_there_is() -> None:
    every = linear_to_ulaw(struct.pack("<65536h", *EVERY_SAMPLE))

    assert list(every) == [compressed(sample) for sample in EVERY_SAMPLE]


@QUICK
@given(data=st.binary(max_size=400))
def test_a_round_trip_changes_nothing_but_the_sign_of_zero(data: bytes) -> None:
    assert linear_to_ulaw(ulaw_to_linear(data)) == data.replace(b"\x7f", b"\xff")
