import io
import math
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import audio
from tests.protocol.strategies import QUICK

EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = range(-32768, 32768)


def expanded(code: int) -> int:
    """G.711's decoder, by its formula."""
    inverted = code ^ 0xFF
    sign, exponent, mantissa = inverted & 0x80, (inverted >> 4) & 7, inverted & 15
    magnitude = (((2 * mantissa + 33) << exponent) - 33) * 4
    return -magnitude if sign else magnitude


def compressed(sample: int) -> int:
    """G.711's encoder, by search: the last code whose decision value the 14-bit magnitude has reached."""
    magnitude = min((-(sample >> 2) if sample < 0 else sample >> 2) + 33, 8191)
    exponent = magnitude.bit_length() - 6
    mantissa = (magnitude >> (exponent + 1)) & 15
    return ((0x80 if sample < 0 else 0) | (exponent << 4) | mantissa) ^ 0xFF


def tone(amplitude: int, frames: int = 1) -> bytes:
    count = frames * audio.FRAME_BYTES
    samples = [round(amplitude * math.sin(2 * math.pi * 440 * n / audio.SAMPLE_RATE)) for n in range(count)]
    return audio.linear_to_ulaw(struct.pack(f"<{count}h", *samples))


def test_expansion_is_g711() -> None:
    linear = struct.unpack("<256h", audio.ulaw_to_linear(EVERY_CODE))

    assert list(linear) == [expanded(code) for code in range(256)]


def test_compression_is_g711_for_every_sample_there_is() -> None:
    every = audio.linear_to_ulaw(struct.pack("<65536h", *EVERY_SAMPLE))

    assert list(every) == [compressed(sample) for sample in EVERY_SAMPLE]


@QUICK
@given(data=st.binary(max_size=400))
def test_a_round_trip_changes_nothing_but_the_sign_of_zero(data: bytes) -> None:
    assert audio.linear_to_ulaw(audio.ulaw_to_linear(data)) == data.replace(b"\x7f", b"\xff")


def test_half_a_sample_cannot_be_compressed() -> None:
    with pytest.raises(ValueError, match="multiple"):
        audio.linear_to_ulaw(b"\x00\x00\x00")


def test_silence_is_whole_frames_of_zero_amplitude() -> None:
    assert audio.silence(3) == b"\xff" * 480
    assert audio.ulaw_to_linear(audio.silence(1)) == bytes(320)


def test_units_agree() -> None:
    assert audio.seconds(audio.FRAME_BYTES) == audio.FRAME_SECONDS
    assert audio.seconds(audio.BYTES_PER_SECOND) == 1.0


@pytest.mark.parametrize("amplitude", [2000, 8000, 30000])
def test_speech_is_voiced_at_any_loudness_of_a_telephone(amplitude: int) -> None:
    assert audio.is_voiced(tone(amplitude))


@pytest.mark.parametrize("frame", [audio.silence(1), b"\x7f" * 160, tone(300), b"", b"\xff" * 156 + b"\x80" * 4])
def test_silence_and_line_noise_and_one_click_are_not_voiced(frame: bytes) -> None:
    assert not audio.is_voiced(frame)


def test_a_wav_file_has_the_caller_left_and_the_agents_right() -> None:
    left, right = tone(8000), tone(2000, frames=2)

    with wave.open(io.BytesIO(audio.stereo_wav(left, right))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        samples = struct.unpack("<640h", file.readframes(file.getnframes()))

    assert struct.pack("<320h", *samples[0::2]) == audio.ulaw_to_linear(left + audio.silence(1))
    assert struct.pack("<320h", *samples[1::2]) == audio.ulaw_to_linear(right)


def test_a_wav_header_can_be_written_before_its_samples() -> None:
    assert audio.stereo_wav(b"", b"") == audio.write_wav_header(0)
    assert len(audio.write_wav_header(0, channels=1)) == 44
