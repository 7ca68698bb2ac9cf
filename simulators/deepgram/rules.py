"""The service's rules for settings of the right shape: INVALID_SETTINGS, one reason at a time.

Each rule is a generator of reasons over one part of the tree; settings that break one are refused. What depends on the
account (its models, its early access) is not here. Sources: https://developers.deepgram.com/docs/configure-voice-agent,
voice-agent-tts-models, voice-agent-llm-models.
"""

from collections.abc import Iterable, Iterator, Mapping

from protocol.deepgram.messages import UpdateSpeak, UpdateThink
from protocol.deepgram.settings import (
    HIGHEST_TEMPERATURE,
    LIMITS,
    OWN_ENDPOINT,
    TEMPERATURE_LIMITS,
    AgentSettings,
    AudioInput,
    AudioOutput,
    ListenProvider,
    Settings,
    Speak,
    SpeakProvider,
    Think,
)
from simulators.deepgram.messages import FromClient, UpdateListen

INPUT_ENCODINGS = frozenset(
    "linear16 linear32 flac alaw mulaw amr-nb amr-wb opus ogg-opus speex g729".split()  # noqa: SIM905 -- one line
)
OUTPUT_ENCODINGS = frozenset({"linear16", "mulaw", "alaw", "mp3", "opus", "flac", "aac"})
CONTAINERS = frozenset({"none", "wav", "ogg"})
FLUX_VOICE_RATES: Mapping[str, frozenset[int]] = {
    "linear16": frozenset({8000, 16000, 24000, 32000, 44100, 48000}),
    "mulaw": frozenset({8000, 16000}),
    "alaw": frozenset({8000, 16000}),
}
VOICE_NEEDS_ENDPOINT = frozenset({"open_ai", "eleven_labs", "aws_polly"})
DEFAULT_VOICE = SpeakProvider("deepgram", "flux-kit-en", "v2")
"""The voice of the service when `agent.speak` is omitted."""


def problems(message: FromClient) -> Iterator[str]:
    """Find everything wrong with the values of one message."""
    match message:
        case Settings():
            yield from _settings(message)
        case UpdateThink(think=chain):
            yield from _thinks(chain)
        case UpdateSpeak(speak=chain):
            yield from _speaks(chain)
        case UpdateListen(listen=listen):
            yield from _listen(listen.provider)
        case _:
            pass


def _settings(settings: Settings) -> Iterator[str]:
    yield from _input(settings.audio.input)
    yield from _output(settings.audio.output)
    if isinstance(settings.agent, AgentSettings):
        yield from _agent(settings.agent)
        yield from _voices_fit(settings.agent, settings.audio.output or AudioOutput())
        models = {think.provider.model for think in settings.agent.think if think.provider.type == "deepgram"}
        if settings.mip_opt_out and "think-fast" in models:
            yield "agent.think: think-fast cannot be had with mip_opt_out"


def _agent(agent: AgentSettings) -> Iterator[str]:
    if agent.listen is not None:
        yield from _listen(agent.listen.provider)
    yield from _thinks(agent.think)
    yield from _speaks(agent.speak)


def _input(audio: AudioInput | None) -> Iterator[str]:
    if audio is None:
        return
    if audio.encoding not in INPUT_ENCODINGS:
        yield "audio.input.encoding: unknown"
    if not 8000 <= audio.sample_rate <= 48000:
        yield "audio.input.sample_rate: 8000 to 48000"


def _output(audio: AudioOutput | None) -> Iterator[str]:
    if audio is None:
        return
    if audio.encoding is not None and audio.encoding not in OUTPUT_ENCODINGS:
        yield "audio.output.encoding: unknown"
    if audio.container is not None and audio.container not in CONTAINERS:
        yield "audio.output.container: unknown"


def _voices_fit(agent: AgentSettings, output: AudioOutput) -> Iterator[str]:
    """Flux voices, the default one included, come in few formats."""
    voices = [speak.provider for speak in agent.speak] or [DEFAULT_VOICE]
    if not any(_is_flux(voice) for voice in voices):
        return
    rates = FLUX_VOICE_RATES.get(output.encoding or "linear16")
    if rates is None:
        yield "audio.output.encoding: a Flux voice has linear16, mulaw or alaw"
    elif output.sample_rate is not None and output.sample_rate not in rates:
        yield "audio.output.sample_rate: not for a Flux voice in this encoding"
    if output.container not in {None, "none"}:
        yield "audio.output.container: none, with a Flux voice"
    if output.bitrate is not None:
        yield "audio.output.bitrate: not with a Flux voice"


def _listen(provider: ListenProvider) -> Iterator[str]:
    flux = (provider.model or "").startswith("flux-")
    if provider.model is not None and flux != (provider.version == "v2"):
        yield "agent.listen.provider.version: v2 is for Flux models, v1 for the others"
    if provider.language_hints and provider.model != "flux-general-multi":
        yield "agent.listen.provider.language_hints: only with flux-general-multi"
    yield from _end_of_turn(provider)


def _end_of_turn(provider: ListenProvider) -> Iterator[str]:
    for name in ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms"):
        given, (least, most) = getattr(provider, name), LIMITS[name]
        if given is not None and not least <= given <= most:
            yield f"agent.listen.provider.{name}: {least:g} to {most:g}"
    confident = 0.7 if provider.eot_threshold is None else provider.eot_threshold
    if provider.eager_eot_threshold is not None and provider.eager_eot_threshold > confident:
        yield "agent.listen.provider.eager_eot_threshold: above eot_threshold"


def _thinks(chain: Iterable[Think]) -> Iterator[str]:
    for think in chain:
        provider = think.provider
        if provider.type in OWN_ENDPOINT and think.endpoint is None:
            yield f"agent.think - model not available: {provider.type} needs an endpoint"
        if provider.model is None and think.endpoint is None:
            yield "agent.think.provider.model: is missing"
        limit = TEMPERATURE_LIMITS.get(provider.type, HIGHEST_TEMPERATURE)
        if provider.temperature is not None and not 0.0 <= provider.temperature <= limit:
            yield f"agent.think.provider.temperature: 0 to {limit}"
        if isinstance(think.context_length, int) and think.context_length < 2:
            yield "agent.think.context_length: 2 or more"


def _speaks(chain: Iterable[Speak]) -> Iterator[str]:
    for speak in chain:
        provider = speak.provider
        if provider.type in VOICE_NEEDS_ENDPOINT and speak.endpoint is None:
            yield f"agent.speak: {provider.type} needs an endpoint"
        if speak.endpoint is not None and not speak.endpoint.url.startswith(_schemes(provider)):
            yield "agent.speak.endpoint.url: unsupported scheme"
        if provider.type == "deepgram" and _is_flux(provider) != (provider.version == "v2"):
            yield "agent.speak.provider.version: v2 is for Flux voices, v1 for Aura"
        if provider.expressivity is not None and not -2 <= provider.expressivity <= 2:
            yield "agent.speak.provider.expressivity: -2 to 2"


def _schemes(provider: SpeakProvider) -> tuple[str, ...]:
    return ("https://", "wss://") if provider.type == "eleven_labs" else ("https://",)


def _is_flux(provider: SpeakProvider) -> bool:
    return provider.type == "deepgram" and (provider.model or "").startswith("flux-")
