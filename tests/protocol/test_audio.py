import io
import math
import struct
import wave

import pytest

from protocol import audio
from simulators.speech import linear_to_ulaw

EVERY_CODE = bytes(range(256))


def expanded(code: int) -> int:
    """G.711's decoder, by its formula."""
    inverted = code ^ 0xFF
    sign, exponent, mantissa = inverted & 0x80, (inverted >> 4) & 7, inverted & 15
    magnitude = (((2 * mantissa + 33) << exponent) - 33) * 4
    return -magnitude if sign else magnitude


def tone(amplitude: int, frames: int = 1) -> bytes:
    count = frames * audio.FRAME_BYTES
    samples = [round(amplitude * math.sin(2 * math.pi * 440 * n / audio.SAMPLE_RATE)) for n in range(count)]
    return linear_to_ulaw(struct.pack(f"<{count}h", *samples))


def test_expansion_is_g711() -> None:
    linear = struct.unpack("<256h", audio.ulaw_to_linear(EVERY_CODE))

    assert list(linear) == [expanded(code) for code in range(256)]


def test_silence_is_whole_frames_of_zero_amplitude() -> None:
    assert audio.silence(3) == b"\xff" * 480
    assert audio.ulaw_to_linear(audio.silence(1)) == bytes(320)


@pytest.mark.parametrize("amplitude", [2000, 8000, 30000])
def test_speech_is_voiced_at_any_loudness_of_a_telephone(amplitude: int) -> None:
    assert audio.is_voiced(tone(amplitude))


@pytest.mark.parametrize("frame", [audio.silence(1), b"\x7f" * 160, tone(300), b"", b"\xff" * 156 + b"\x80" * 4])
def test_silence_and_line_noise_and_one_click_are_not_voiced(frame: bytes) -> None:
    assert not audio.is_voiced(frame)


def test_a_wav_has_the_caller_left_and_the_agents_right() -> None:
    left, right = tone(8000), tone(2000, frames=2)
    stereo = audio.interleave(left, right)

    with wave.open(io.BytesIO(audio.write_wav_header(len(stereo)) + stereo)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        samples = struct.unpack("<640h", file.readframes(file.getnframes()))

    assert struct.pack("<320h", *samples[0::2]) == audio.ulaw_to_linear(left + audio.silence(1))
    assert struct.pack("<320h", *samples[1::2]) == audio.ulaw_to_linear(right)
