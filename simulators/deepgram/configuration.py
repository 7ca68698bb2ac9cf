"""A client's `Settings`, as far as the simulator uses them.

`configure` reads the Settings tree once, with the service's defaults filled in; `UpdateThink` and `UpdateSpeak` are
read by the same rules. Pure: refusing bad settings is the protocol's business and done before.
"""

from collections.abc import Mapping, Sequence

import attrs

from protocol.deepgram import HistoryCalls, HistoryText, Settings
from protocol.deepgram.settings import AgentSettings, Audio, Listen, Speak, Think
from simulators.deepgram.calls import Declared
from simulators.deepgram.formats import AudioFormat

DEFAULT_VOICE = "flux-kit-en"
"""The voice of a session without `agent.speak` (https://developers.deepgram.com/docs/voice-agent-tts-models)."""

MANAGED_PROMPT_LIMIT = 25_000
"""Characters; longer prompts of managed models are cut (https://developers.deepgram.com/docs/voice-agent-update-prompt)."""

DEFAULT_FORMAT = AudioFormat("linear16", 24000)
TELEPHONE_SAMPLE_RATE = 8000


@attrs.frozen
class Mind:
    """The `agent.think` of a session; replaced as a whole by `UpdateThink`."""

    prompt: str = ""
    functions: Mapping[str, Declared] = attrs.field(factory=dict)
    entries: int = 1
    prompt_too_long: bool = False


@attrs.frozen
class Voice:
    """The `agent.speak` of a session."""

    name: str = DEFAULT_VOICE
    entries: int = 1


@attrs.frozen
class Configuration:
    """One session's settings."""

    tags: tuple[str, ...] = ()
    greeting: str | None = None
    context: tuple[HistoryText | HistoryCalls, ...] = ()
    mind: Mind = Mind()
    voice: Voice = Voice()
    listens: bool = True
    """False: a text-only session, which never times out for want of audio."""
    flux: bool = False
    reports_history: bool = True
    experimental: bool = False
    input: AudioFormat = DEFAULT_FORMAT
    output: AudioFormat = DEFAULT_FORMAT


def configure(settings: Settings) -> Configuration:
    heard = settings.audio.input
    common = Configuration(
        tags=settings.tags,
        reports_history=settings.flags is None or settings.flags.history,
        experimental=settings.experimental,
        input=DEFAULT_FORMAT if heard is None else AudioFormat(heard.encoding, heard.sample_rate),
        output=_output(settings.audio),
    )
    if not isinstance(settings.agent, AgentSettings):  # the id of a stored configuration, which nobody here can look up
        return common
    agent = settings.agent
    return attrs.evolve(
        common,
        greeting=agent.greeting,
        context=agent.context.messages if agent.context else (),
        mind=mind_of(agent.think),
        voice=voice_of(agent.speak),
        listens=agent.listen is not None,
        flux=agent.listen is not None and is_flux(agent.listen),
    )


def mind_of(think: Sequence[Think]) -> Mind:
    """Read a think object or fallback chain; the first entry's prompt and functions count."""
    if not think:
        return Mind()
    functions = {
        function.name: Declared(function.endpoint is None, function.defer_until_eot) for function in think[0].functions
    }
    prompt = think[0].prompt or ""
    too_long = think[0].endpoint is None and len(prompt) > MANAGED_PROMPT_LIMIT
    return Mind(prompt, functions, len(think), too_long)


def voice_of(speak: Sequence[Speak]) -> Voice:
    """Read a speak object or fallback chain; the first entry speaks."""
    if not speak:
        return Voice()
    provider = speak[0].provider
    spoken_name = provider.voice if isinstance(provider.voice, str) else None
    return Voice(spoken_name or provider.model or provider.model_id or provider.type, len(speak))


def is_flux(listen: Listen) -> bool:
    """Tell whether the recogniser is Flux, which finds the ends of turns itself."""
    return listen.provider.version == "v2" or (listen.provider.model or "").startswith("flux-")


def _output(audio: Audio) -> AudioFormat:
    encoding = (audio.output.encoding if audio.output else None) or DEFAULT_FORMAT.encoding
    usual = DEFAULT_FORMAT.sample_rate if encoding == DEFAULT_FORMAT.encoding else TELEPHONE_SAMPLE_RATE
    return AudioFormat(encoding, (audio.output.sample_rate if audio.output else None) or usual)
