"""Values of the right shape that the service finds senseless."""

import json

import attrs
import pytest

from protocol.deepgram import (
    AgentSettings,
    Audio,
    AudioInput,
    AudioOutput,
    Endpoint,
    KeepAlive,
    Listen,
    ListenProvider,
    Settings,
    Speak,
    SpeakProvider,
    Think,
    ThinkProvider,
    UpdateSpeak,
    UpdateThink,
    speak_with,
)
from protocol.errors import RemoteProtocolError
from simulators.deepgram.messages import FromClient, UpdateListen
from simulators.deepgram.rules import problems
from simulators.deepgram.strict import decode_client
from tests.protocol.samples import REQUESTS, SETTINGS
from tests.simulators.deepgram.client import frame_of

AURA = (speak_with("aura-2-luna-en"),)
FLUX = ListenProvider("deepgram", "v2", "flux-general-en")
PLAIN = ThinkProvider("open_ai", "gpt-4o-mini")
ELSEWHERE = Endpoint("https://models.example.test/v1")


def sounding(output: AudioOutput, *, speak: tuple[Speak, ...] = ()) -> Settings:
    return Settings(Audio(output=output), AgentSettings(speak=speak))


def hearing(audio: AudioInput) -> Settings:
    return Settings(Audio(input=audio), AgentSettings())


def listening(**changes: object) -> UpdateListen:
    return UpdateListen(Listen(attrs.evolve(FLUX, **changes)))  # type: ignore[arg-type]


def thinking(provider: ThinkProvider, **more: object) -> UpdateThink:
    return UpdateThink((Think(provider, **more),))  # type: ignore[arg-type]


SENSELESS: list[tuple[FromClient, str]] = [
    (hearing(AudioInput("mp3", 8000)), "audio.input.encoding"),
    (hearing(AudioInput("mulaw", 4000)), "audio.input.sample_rate"),
    (sounding(AudioOutput("speex"), speak=AURA), "audio.output.encoding"),
    (sounding(AudioOutput("linear16", container="mkv"), speak=AURA), "audio.output.container"),
    (sounding(AudioOutput("mp3")), "audio.output.encoding: a Flux voice"),
    (sounding(AudioOutput("mulaw", 24000)), "audio.output.sample_rate"),
    (sounding(AudioOutput("linear16", 16000, container="wav")), "audio.output.container"),
    (sounding(AudioOutput("linear16", 16000, bitrate=48000)), "audio.output.bitrate"),
    (sounding(AudioOutput("mp3"), speak=(*AURA, speak_with("flux-kit-en"))), "audio.output.encoding"),
    (listening(model="nova-3"), "agent.listen.provider.version"),
    (UpdateListen(Listen(ListenProvider("deepgram", model="flux-general-en"))), "agent.listen.provider.version"),
    (listening(language_hints=("en",)), "agent.listen.provider.language_hints"),
    (listening(eot_threshold=0.4), "agent.listen.provider.eot_threshold"),
    (listening(eot_threshold=1.0, eager_eot_threshold=0.95), "agent.listen.provider.eager_eot_threshold"),
    (listening(eot_threshold=0.6, eager_eot_threshold=0.65), "agent.listen.provider.eager_eot_threshold: above"),
    (listening(eot_timeout_ms=100), "agent.listen.provider.eot_timeout_ms"),
    (thinking(ThinkProvider("groq", "llama")), "agent.think - model not available"),
    (thinking(ThinkProvider("google")), "agent.think.provider.model"),
    (thinking(ThinkProvider("anthropic", "claude-sonnet-5", temperature=1.5)), "agent.think.provider.temperature"),
    (thinking(PLAIN, endpoint=ELSEWHERE, context_length=1), "agent.think.context_length"),
    (UpdateSpeak((Speak(SpeakProvider("deepgram", "aura-2-luna-en", "v2")),)), "agent.speak.provider.version"),
    (UpdateSpeak((Speak(SpeakProvider("deepgram", "flux-kit-en")),)), "agent.speak.provider.version"),
    (
        UpdateSpeak((Speak(SpeakProvider("deepgram", "flux-kit-en", "v2", expressivity=3)),)),
        "agent.speak.provider.expres",
    ),
    (UpdateSpeak((Speak(SpeakProvider("eleven_labs", model_id="m")),)), "agent.speak: eleven_labs needs an endpoint"),
    (
        UpdateSpeak((Speak(SpeakProvider("open_ai", "tts-1", voice="alloy"), Endpoint("wss://x.test")),)),
        "agent.speak.endpoint.url",
    ),
    (
        Settings(Audio(), AgentSettings(think=(Think(ThinkProvider("deepgram", "think-fast")),)), mip_opt_out=True),
        "agent.think: think-fast",
    ),
    (attrs.evolve(SETTINGS, agent=AgentSettings(listen=Listen(attrs.evolve(FLUX, eot_timeout_ms=1)))), "agent.listen"),
]


@pytest.mark.parametrize(("message", "reason"), SENSELESS, ids=[reason for _, reason in SENSELESS])
def test_senseless_values_are_invalid_settings(message: FromClient, reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_client(frame_of(message))

    assert caught.value.code == "INVALID_SETTINGS"
    assert caught.value.reason.startswith(reason)
    assert len(list(problems(message))) == 1


SENSIBLE: list[FromClient] = [
    *REQUESTS.values(),
    KeepAlive(),
    hearing(AudioInput("opus", 48000)),
    sounding(AudioOutput("mp3", bitrate=48000), speak=AURA),
    sounding(AudioOutput("mulaw", 8000, container="none")),
    sounding(AudioOutput()),
    listening(eot_threshold=1.0, eager_eot_threshold=0.3, eot_timeout_ms=10_000),
    listening(model="flux-general-multi", language_hints=("en", "de")),
    thinking(ThinkProvider("groq", "llama"), endpoint=ELSEWHERE),
    thinking(ThinkProvider("google"), endpoint=ELSEWHERE, context_length=2),
    UpdateSpeak((Speak(SpeakProvider("eleven_labs", model_id="m"), Endpoint("wss://x.test")),)),
    Settings(Audio(), "0b2d5f1e-77aa-4c39-8f64-2f0a9e61c4d8"),
]


@pytest.mark.parametrize("message", SENSIBLE, ids=lambda message: type(message).__name__)
def test_sensible_values_are_taken(message: FromClient) -> None:
    assert list(problems(message)) == []
    assert decode_client(frame_of(message)) == message


def test_an_agent_by_a_name_that_is_no_id_is_refused_with_a_code_of_its_own() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_client(json.dumps({"type": "Settings", "audio": {}, "agent": "my-agent"}))

    assert caught.value.code == "INVALID_AGENT_ID"
