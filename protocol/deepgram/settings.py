"""The order form of a Voice Agent session: what to listen with, think with and speak with.

The classes are the `Settings` tree of https://developers.deepgram.com/docs/configure-voice-agent, key for key; a field
left at its default is not sent, because the service refuses keys it does not know and has been seen to mind nulls.
`actors/session/opening.py` fills it in for a telephone call.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import attrs

from protocol.audio import SAMPLE_RATE
from protocol.fields import JSON, split_url, why_no_headers

ONE_OR_MANY = {"one_or_many": True}
"""Marks a fallback chain: a chain of one travels as an object, a longer one as an array."""


@attrs.frozen
class HistoryText:
    """One thing said: by "user" or "assistant" today, by anyone tomorrow.

    The service reports history as it happens, and takes the very same JSON back in `agent.context.messages` when a new
    session is to know what went before (https://developers.deepgram.com/docs/voice-agent-history).
    """

    role: str
    content: str


@attrs.frozen
class CompletedCall:
    """One function call with its answer; `arguments` and `response` are text, usually JSON."""

    id: str
    name: str
    client_side: bool
    arguments: str
    response: str
    thought_signature: str | None = None


@attrs.frozen
class HistoryCalls:
    """Function calls that were answered."""

    function_calls: tuple[CompletedCall, ...]


History: TypeAlias = HistoryText | HistoryCalls


@attrs.frozen
class AudioInput:
    """How the audio we send is coded."""

    encoding: str
    sample_rate: int


@attrs.frozen
class AudioOutput:
    """How the audio we get is to be coded."""

    encoding: str | None = None
    sample_rate: int | None = None
    bitrate: int | None = None
    container: str | None = None


@attrs.frozen
class Audio:
    """Both directions; a missing one means the service's default."""

    input: AudioInput | None = None
    output: AudioOutput | None = None


@attrs.frozen
class Endpoint:
    """Somebody else's model or voice that Deepgram is to use. It stands beside `provider`, never inside."""

    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False, hash=False)


@attrs.frozen
class FunctionEndpoint:
    """Somebody else's server that Deepgram is to ask for a function's answer."""

    url: str
    method: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class ListenProvider:
    """A recogniser: v1 is Nova, v2 is Flux, and each has keys the other refuses."""

    type: str
    version: str | None = None
    model: str | None = None
    language: str | None = None
    smart_format: bool | None = None
    keyterms: tuple[str, ...] = ()
    language_hints: tuple[str, ...] = ()
    eot_threshold: float | None = None
    eager_eot_threshold: float | None = None
    eot_timeout_ms: int | None = None


@attrs.frozen
class Listen:
    provider: ListenProvider


@attrs.frozen
class FunctionDefinition:
    """A function the model may call. No `endpoint` means that we run it; there is no `client_side` key."""

    name: str
    description: str = ""
    parameters: Mapping[str, JSON] = attrs.field(factory=dict, hash=False)
    defer_until_eot: bool = False
    endpoint: FunctionEndpoint | None = None
    initial_agent_filler: bool | None = None
    agent_filler_max_count: int | None = None
    agent_filler_interval_ms: int | None = None


@attrs.frozen
class ThinkProvider:
    """A language model. `model` may be missing only where the endpoint's URL names it (google)."""

    type: str
    model: str | None = None
    version: str | None = None
    temperature: float | None = None
    reasoning_mode: str | None = None
    credentials: Mapping[str, JSON] | None = attrs.field(default=None, hash=False)
    voice_prompt_opt_out: bool | None = None


@attrs.frozen
class Think:
    """One model with its prompt and functions; replaced as a whole by `UpdateThink`."""

    provider: ThinkProvider
    prompt: str | None = None
    functions: tuple[FunctionDefinition, ...] = ()
    endpoint: Endpoint | None = None
    context_length: str | int | None = None


@attrs.frozen
class SpeakProvider:
    """A voice. Which keys exist depends on `type`."""

    type: str
    model: str | None = None
    version: str | None = None
    speed: float | None = None
    expressivity: int | None = None
    model_id: str | None = None
    voice: JSON = attrs.field(default=None, hash=False)
    language: str | None = None
    language_code: str | None = None
    volume: float | None = None
    engine: str | None = None
    credentials: Mapping[str, JSON] | None = attrs.field(default=None, hash=False)


@attrs.frozen
class Speak:
    provider: SpeakProvider
    endpoint: Endpoint | None = None


@attrs.frozen
class Context:
    """The conversation before this session."""

    messages: tuple[History, ...] = ()


@attrs.frozen
class AgentSettings:
    """The agent itself. Without `listen` the session is text only; without `speak` the voice is Flux."""

    language: str | None = None
    context: Context | None = None
    listen: Listen | None = None
    think: tuple[Think, ...] = attrs.field(default=(), metadata=ONE_OR_MANY)
    speak: tuple[Speak, ...] = attrs.field(default=(), metadata=ONE_OR_MANY)
    greeting: str | None = None


@attrs.frozen
class Flags:
    """`history`: whether the service reports `History`."""

    history: bool = True


@attrs.frozen
class Settings:
    """We, once, after `Welcome`. `agent` may be the id of a stored configuration instead."""

    audio: Audio
    agent: AgentSettings | str
    tags: tuple[str, ...] = ()
    experimental: bool = False
    mip_opt_out: bool = False
    flags: Flags | None = None


TELEPHONE = Audio(AudioInput("mulaw", SAMPLE_RATE), AudioOutput("mulaw", SAMPLE_RATE, container="none"))
"""Twilio's audio format, so that nothing is transcoded on the way."""


MANAGED = ("open_ai", "anthropic", "google", "nvidia", "deepgram")
"""Providers whose models Deepgram runs for us."""
OWN_ENDPOINT = ("groq", "aws_bedrock")
"""Providers that Deepgram reaches only at an address that we give it."""
REASONING_MODES = ("none", "minimal", "low", "medium", "high")
MOST_KEYTERMS = 100
MODEL_NAME = re.compile(r"[!-+\--~]+")
"""Without spaces, and without the commas that stand between several."""
VOICE_NAME = re.compile(r"(aura|flux)-[a-z0-9-]+|cartesia/[^/\s]+/[^/\s]+")
VOICE_WANTED = "a voice of Deepgram's, such as aura-2-luna-en, or cartesia/MODEL/VOICE"
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*|multi")
FLUENT_FLUX = "flux-general-multi"
"""The one model of Flux's that takes languages."""
TAKES_REASONING = frozenset({"open_ai", "groq", "deepgram"})
LIMITS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "speak_speed": (0.5, 1.5),
    "eot_threshold": (0.5, 1),
    "eager_eot_threshold": (0.3, 0.9),
    "eot_timeout_ms": (500, 10_000),
}
"""The least and the most of a number that the service takes, by the name of the option of an agent."""
USUAL_EOT_THRESHOLD = 0.7
"""How sure of the end of a turn Flux must be where nobody says."""
AURA_SLOWEST = 0.7
"""The least speed of an Aura voice, as a multiple of its own."""
TEMPERATURE_LIMITS: Mapping[str, float] = {"anthropic": 1.0}
HIGHEST_TEMPERATURE = LIMITS["temperature"][1]
CARTESIA = "cartesia/"


def why_no_endpoint(endpoint: Endpoint) -> str:
    """Say why Deepgram cannot be sent to an address; empty where it can. Nothing of it is repeated: it has keys."""
    try:
        split_url(endpoint.url, ("https",), "the URL is not an https:// URL")
    except ValueError as wanted:
        return str(wanted)
    why = why_no_headers(endpoint.headers)
    return f"headers: {why}" if why else ""


def listen_with(
    model: str,
    *,
    language: Sequence[str] = (),
    keyterms: Sequence[str] = (),
    eot_threshold: float | None = None,
    eager_eot_threshold: float | None = None,
    eot_timeout_ms: int | None = None,
) -> Listen:
    """Order Deepgram's recogniser; Flux needs to be asked for as v2. A key that the model does not have is left out.

    Nova has a language; Flux finds the ends of turns, and its model of many languages takes them as hints.
    """
    if _version(model) is None:
        spoken = language[0] if language else None
        return Listen(ListenProvider("deepgram", model=model, language=spoken, keyterms=tuple(keyterms)))
    provider = ListenProvider(
        "deepgram",
        version=_version(model),
        model=model,
        keyterms=tuple(keyterms),
        language_hints=tuple(language) if model == FLUENT_FLUX else (),
        eot_threshold=eot_threshold,
        eager_eot_threshold=eager_eot_threshold,
        eot_timeout_ms=eot_timeout_ms,
    )
    return Listen(provider)


def why_unheard(model: str, languages: Sequence[str]) -> str:
    """Say what of these languages a recogniser would not listen for, and the fix; empty where it hears them all."""
    if model == "flux-general-en" and any(name.lower().partition("-")[0] != "en" for name in languages):
        return f"{model} hears English only: choose {FLUENT_FLUX}"
    if _version(model) is None and len(languages) > 1:
        return f"{model} takes one language, or multi"
    return ""


def think_with(
    provider: str,
    model: str,
    *,
    endpoint: Endpoint | None = None,
    temperature: float | None = None,
    reasoning_mode: str | None = None,
    prompt: str | None = None,
    functions: Sequence[FunctionDefinition] = (),
) -> Think:
    """Order a language model with what its provider takes; without a mode it reasons as little as it can."""
    limit = TEMPERATURE_LIMITS.get(provider, HIGHEST_TEMPERATURE)
    chosen = ThinkProvider(
        provider,
        None if provider == "google" and endpoint is not None else model,  # the URL names it
        temperature=None if temperature is None else min(temperature, limit),
        reasoning_mode=_reasoning(provider, model, reasoning_mode),
    )
    return Think(chosen, prompt, tuple(functions), endpoint)


@lru_cache
def _reasoning(provider: str, model: str, wanted: str | None) -> str | None:
    """Return the mode to ask for: as wanted, or the one that keeps a caller waiting least; None where there is none."""
    bare = model.rpartition("/")[2]
    if provider not in TAKES_REASONING or bare.endswith("-chat-latest") or bare.startswith(("gpt-3", "gpt-4")):
        return None
    if wanted is not None or provider == "deepgram":
        return wanted
    if bare.startswith("gpt-oss"):
        return "low"
    if re.fullmatch(r"gpt-5\.[0-9]+(-mini|-nano)?", bare):
        return "none"
    return "minimal" if re.fullmatch(r"gpt-5(-mini|-nano)?", bare) else None


@lru_cache
def speak_with(voice: str, speed: float | None = None) -> Speak:
    """Order a voice: one of Deepgram's, of which version and family change together, or cartesia/MODEL/VOICE."""
    if voice.startswith(CARTESIA):
        _, model, name = voice.split("/", 2)
        return Speak(SpeakProvider("cartesia", model_id=model, voice={"mode": "id", "id": name}))
    return Speak(SpeakProvider("deepgram", version=_version(voice), model=voice, speed=speed))


def _version(model: str) -> str | None:
    return "v2" if model.startswith("flux-") else None
