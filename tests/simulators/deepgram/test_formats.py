import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from protocol.deepgram import AgentAudioDone, EndOfTurn, ErrorReported
from protocol.deepgram.settings import Audio, AudioInput, AudioOutput, speak_with
from simulators.deepgram.configuration import configure
from simulators.deepgram.formats import AudioFormat
from simulators.speech import synthesise
from tests.simulators.deepgram.client import GREETING, VOICE, calling, line, settings_for

FORMATS = [
    AudioFormat("mulaw", 8000),
    AudioFormat("mulaw", 16000),
    AudioFormat("linear16", 8000),
    AudioFormat("linear16", 24000),
    AudioFormat("linear16", 48000),
]
FIRST_LINE = "Sure, I have a few minutes."


@pytest.mark.slow
@pytest.mark.parametrize("audio_format", FORMATS)
@given(ulaw=st.binary(max_size=400))
def test_telephone_audio_survives_every_format_but_for_negative_zero(audio_format: AudioFormat, ulaw: bytes) -> None:
    expected = ulaw if audio_format.encoding == "mulaw" else ulaw.replace(b"\x7f", b"\xff")

    assert audio_format.to_telephone(audio_format.from_telephone(ulaw)) == expected


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_second_is_a_second_in_every_format(audio_format: AudioFormat) -> None:
    assert len(audio_format.from_telephone(bytes(8000))) == audio_format.bytes_per_second


@pytest.mark.parametrize("audio_format", [AudioFormat("opus", 48000), AudioFormat("linear16", 44100)])
def test_what_needs_a_codec_or_a_filter_is_not_supported(audio_format: AudioFormat) -> None:
    assert not audio_format.supported


def test_the_services_defaults_are_filled_in() -> None:
    nothing = attrs.evolve(settings_for(), audio=Audio())
    only_encoding = attrs.evolve(settings_for(), audio=Audio(None, AudioOutput("mulaw")))

    assert configure(nothing).input == configure(nothing).output == AudioFormat("linear16", 24000)
    assert configure(only_encoding).output == AudioFormat("mulaw", 8000)


def test_a_stored_agent_gets_the_services_defaults() -> None:
    stored = configure(attrs.evolve(settings_for(), agent="0b2d5f1e-77aa-4c39-8f64-2f0a9e61c4d8"))

    assert (stored.greeting, stored.voice.name, stored.listens) == (None, "flux-kit-en", True)


async def test_a_session_in_linear_audio_hears_and_speaks_it(autojump_clock: MockClock) -> None:
    linear = AudioFormat("linear16", 24000)
    audio = Audio(AudioInput("linear16", 24000), AudioOutput("linear16", 24000, container="none"))
    async with calling(attrs.evolve(settings_for(), audio=audio), streams=False) as client:
        await client.wait_for(AgentAudioDone)
        greeting = b"".join(data for _, data in client.audio)
        said = linear.from_telephone(line(FIRST_LINE).audio + bytes([0xFF]) * 4000)
        for start in range(0, len(said), 1001):  # messages need not hold whole samples
            await client.socket.send_message(said[start : start + 1001])
        await client.wait_for(EndOfTurn)

        assert {len(data) for _, data in client.audio} == {960}
        assert greeting == linear.from_telephone(synthesise(GREETING, VOICE).audio)
        assert client.texts("user") == [FIRST_LINE]


async def test_audio_that_cannot_be_heard_is_an_error(autojump_clock: MockClock) -> None:
    audio = Audio(AudioInput("opus", 48000), AudioOutput("mulaw", 8000))
    async with calling(attrs.evolve(settings_for(), audio=audio), streams=False) as client:
        await client.socket.send_message(bytes(160))
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == ["USER_AUDIO_FORMAT"]


async def test_audio_that_cannot_be_spoken_is_an_error(autojump_clock: MockClock) -> None:
    settings = settings_for()
    assert not isinstance(settings.agent, str)
    aura = attrs.evolve(settings.agent, speak=(speak_with("aura-2-thalia-en"),))
    audio = Audio(AudioInput("mulaw", 8000), AudioOutput("mp3"))
    async with calling(attrs.evolve(settings, audio=audio, agent=aura), streams=False) as client:
        await client.closed.wait()

        assert [error.code for error in client.all(ErrorReported)] == ["FAILED_TO_SPEAK"]
        assert trio.current_time() < 1
