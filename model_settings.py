"""Settings of models and voices: speech-to-text, LLMs, text-to-speech, and the LLM that writes the Brief.

Every name of a model is a preference: a setting takes several, the best first, and what the account does not offer is
passed over (`web/clients/offered.py` asks). Here are the readers of their texts, as in `setting_values`, and what is
wrong with settings only beside each other; nothing here asks anybody.
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs
import orjson

from protocol.deepgram import (
    LANGUAGE,
    LIMITS,
    MANAGED,
    MODEL_NAME,
    MOST_KEYTERMS,
    OWN_ENDPOINT,
    REASONING_MODES,
    VOICE_NAME,
    VOICE_WANTED,
    why_unheard,
)
from protocol.fields import split_url, why_no_headers
from setting_reader import Parse, Reading, optional_setting, setting, variable_of
from setting_values import agent_sources, http_url, key, number, one_of, whole, written_as, yes_or_no

USUAL_EOT_THRESHOLD = 0.7
USUAL_PROVIDER = "open_ai"

VOICE = "_VOICE_MODEL"
"""How the setting of an agent's voice ends; it begins with the agent's name in capitals."""
REFERENCE_VOICES = ("QUALIFIER_VOICE_MODEL", "ADVISOR_VOICE_MODEL", "CLOSER_VOICE_MODEL")
"""Names of the reference app: they are no mistake where there is no such agent."""

OFF: Final = "none"


@attrs.frozen
class ThinkEndpoint:
    """Where the models of THINK_PROVIDER are reached, if not at Deepgram's own provider."""

    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)


def names(value: str) -> tuple[str, ...]:
    """Read a list: what stands between commas, each once."""
    found = tuple(dict.fromkeys(name for part in value.split(",") if (name := part.strip())))
    if value and not found:
        raise ValueError("a list with something between its commas")
    return found


model = written_as(MODEL_NAME, "the name of one model")


def listed(form: re.Pattern[str], wanted: str, *, least: int = 0, may_be_none: bool = False) -> Parse[tuple[str, ...]]:
    """Read a list of what has this form; with `may_be_none`, the word "none" is an empty one."""

    def parse(value: str) -> tuple[str, ...]:
        found = () if may_be_none and value.lower() == OFF else names(value)
        if len(found) < least or not all(map(form.fullmatch, found)):
            raise ValueError(wanted)
        return found

    return parse


models = listed(MODEL_NAME, "the name of a model, or several with commas between them, the best first", least=1)
fallback_voices = listed(VOICE_NAME, f"{VOICE_WANTED}, or none", may_be_none=True)
languages = listed(LANGUAGE, "a language such as en or es-419, or several with commas between them")
provider = one_of(
    (*MANAGED, *OWN_ENDPOINT), f"one of {', '.join(MANAGED)}, or with THINK_ENDPOINT {' or '.join(OWN_ENDPOINT)}"
)


def fallback_models(value: str) -> tuple[tuple[str, str], ...]:
    """Read pairs of a provider and a model; `none` is none."""
    return () if value.lower() == OFF else tuple(map(_pair, names(value)))


def _pair(name: str) -> tuple[str, str]:
    parts = re.fullmatch(r"([a-z_]+)\s*[/: ]\s*(\S+)", name)
    if parts is None or parts[1] not in MANAGED:
        raise ValueError(
            f"PROVIDER/MODEL, or several with commas between them, or none; a provider is one of {', '.join(MANAGED)}"
        )
    return parts[1], parts[2]


def own_endpoint(value: str) -> ThinkEndpoint:
    """Read a URL, or a JSON object with a URL and headers."""
    try:
        found = _endpoint(orjson.loads(value) if value.startswith("{") else {"url": value})
    except ValueError:
        example = '{"url": "https://…", "headers": {"authorization": "Bearer …"}}'
        raise ValueError(f"an https:// URL, or JSON with a URL and headers: {example}") from None
    if why := why_no_headers(found.headers):
        raise ValueError(f"an endpoint: {why}")
    return found


def _endpoint(given: object) -> ThinkEndpoint:
    match given:
        case {"url": str(url), **rest} if rest.keys() <= {"headers"}:
            split_url(url, ("https",), "no URL")
            return ThinkEndpoint(url, _headers(rest.get("headers", {})))
        case _:
            raise ValueError("no URL")


def _headers(given: object) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(each, str) for pair in given.items() for each in pair):
        raise ValueError("headers")
    return given


def keyterms(value: str) -> tuple[str, ...]:
    found = names(value)
    if len(found) > MOST_KEYTERMS:
        raise ValueError(f"a list of at most {MOST_KEYTERMS} words")
    return found


def speed(value: str) -> float | None:
    """Read a speed in the steps that a Flux voice takes."""
    if not value:
        return None
    read = number(*LIMITS["speak_speed"])(value)
    if abs(read * 20 - round(read * 20)) > 1e-6:
        raise ValueError("a number from 0.5 to 1.5 in steps of 0.05")
    return round(read, 2)


def base_url(value: str) -> str:
    """Read the base of an OpenAI-compatible API, as its clients take it."""
    return http_url(value).removesuffix("/chat/completions").rstrip("/")


@attrs.frozen(kw_only=True)
class ModelSettings:
    """Models and voices in order of preference. Each `setting` is a variable of the same name, in capitals."""

    agents: tuple[str, ...] = setting(
        "the agents: a package (acme.agents), a folder (./acme) or a file, or several with commas between them;"
        " the package `agents` has those that come with the program",
        agent_sources,
        "agents",
        "acme.agents",
    )
    voices: Mapping[str, str]
    """By the name of the agent."""
    speak_fallback: tuple[str, ...] = setting(
        "voices for when an agent's own fails, the best first, from another vendor if possible: voices of"
        " Deepgram's, or cartesia/MODEL/VOICE; none for no other voice",
        fallback_voices,
        "cartesia/sonic-2/a167e0f3-df7e-4d52-a9c3-f949145efdab",
    )
    speak_speed: float | None = setting(
        "speed of the voices, as a multiple of their own: 0.7 to 1.5 for Aura, 0.5 to 1.5 for Flux, in steps of 0.05",
        speed,
        "",
        "1.1",
    )
    listen_model: str = setting("Deepgram's speech-to-text model", model, "flux-general-en")
    listen_language: tuple[str, ...] = setting(
        "language that callers speak: one for Nova, several as hints for flux-general-multi; flux-general-en"
        " hears English",
        languages,
        "",
        "es",
    )
    listen_keyterms: tuple[str, ...] = setting(
        "words to listen for, such as names of products, with commas between them", keyterms, "", "Roth IRA,Acme"
    )
    listen_eot_threshold: float | None = optional_setting(
        "how sure Flux must be that a turn has ended, 0.5 to 1; Deepgram's own is 0.7",
        number(*LIMITS["eot_threshold"]),
        "0.8",
    )
    listen_eager_eot_threshold: float | None = optional_setting(
        "how sure Flux must be that a turn may have ended for the model to begin thinking, 0.3 to 0.9; unset, it waits",
        number(*LIMITS["eager_eot_threshold"]),
        "0.5",
    )
    listen_eot_timeout_ms: int | None = optional_setting(
        "milliseconds of silence after which Flux ends a turn in any case, 500 to 10000; Deepgram's own is 5000",
        whole(500, 10_000),
        "3000",
    )
    think_provider: str = setting("LLM provider", provider, "open_ai")
    think_model: tuple[str, ...] = setting(
        "LLM of THINK_PROVIDER; several with commas between them are tried in order", models, "gpt-5.4-mini"
    )
    think_fallback: tuple[tuple[str, str], ...] = setting(
        "LLMs for when THINK_MODEL fails or is gone, as PROVIDER/MODEL, another vendor's first; none for no other",
        fallback_models,
        "anthropic/claude-haiku-4-5, open_ai/gpt-5.4-mini",
        "anthropic/claude-haiku-4-5",
    )
    think_endpoint: ThinkEndpoint | None = optional_setting(
        "address at which Deepgram reaches the LLM of THINK_PROVIDER: a URL, or JSON with url and headers. groq and"
        " aws_bedrock need it",
        own_endpoint,
        '{"url": "https://api.groq.com/openai/v1/chat/completions", '
        '"headers": {"authorization": "Bearer gsk_0123abcd"}}',
        secret=True,
    )
    think_temperature: float | None = optional_setting(
        "temperature of the LLM, 0 to 2 (anthropic: to 1)", number(*LIMITS["temperature"]), "0.4"
    )
    think_reasoning_mode: str | None = optional_setting(
        "how long an LLM that can reason does so before it answers: none, minimal, low, medium or high; unset, as"
        " little as it can",
        one_of(REASONING_MODES, f"one of {', '.join(REASONING_MODES)}"),
        "low",
    )
    mip_opt_out: bool = setting(
        "whether calls are kept out of Deepgram's Model Improvement Program: yes or no", yes_or_no, "no", "yes"
    )
    groq_api_key: str | None = optional_setting(
        "the key for Groq, which writes the Brief for the next agent; without it the Brief is made from the"
        " call's facts",
        key,
        "gsk_0123abcd",
        secret=True,
    )
    groq_llm: tuple[str, ...] = setting(
        "LLM of Groq's for the Brief; several with commas between them are tried in order",
        models,
        "openai/gpt-oss-120b, openai/gpt-oss-20b",
    )
    groq_base_url: str = setting("where Groq is reached; change it for the simulator", http_url, "https://api.groq.com")
    summary_url: str | None = optional_setting(
        "base URL of another OpenAI-compatible API that writes the Brief instead of Groq",
        base_url,
        "https://api.openai.com/v1",
    )
    summary_model: tuple[str, ...] | None = optional_setting(
        "LLM for the Brief, or several in order; GROQ_LLM where it is not set", models, "gpt-5.4-mini"
    )
    summary_api_key: str | None = optional_setting(
        "the key for SUMMARY_URL; GROQ_API_KEY where it is not set", key, "sk-0123abcd", secret=True
    )

    @property
    def summary_key(self) -> str | None:
        return self.summary_api_key or self.groq_api_key


AGENTS = variable_of(attrs.fields(ModelSettings).agents)


def voices_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the voices of agents by the agents' names; which agents there are, the roster knows."""
    named = {name.removesuffix(VOICE).lower(): voice.strip() for name, voice in environ.items() if name.endswith(VOICE)}
    return {name: voice for name, voice in named.items() if name and voice}


def misspelt_voices(voices: Collection[str], agents: Collection[str]) -> tuple[str, ...]:
    """Tell which voices are for an agent that there is not, a line for each; names of the reference app are none."""
    unknown = sorted({f"{name.upper()}{VOICE}" for name in voices if name not in agents} - {*REFERENCE_VOICES})
    return tuple(_no_agent(name, tuple(agents)) for name in unknown)


def _no_agent(setting: str, agents: Sequence[str]) -> str:
    near = difflib.get_close_matches(setting.removesuffix(VOICE).lower(), agents, 1)
    there = [f"{name.upper()}{VOICE}" for name in near or agents]
    meant = f"Did you mean {there[0]}?" if near else f"There are {', '.join(there)}."
    return f"{setting} is no setting: there is no such agent. {meant}"


def check_models(chosen: ModelSettings, read: Reading) -> None:
    """Refuse settings that contradict each other; a malformed one reads as None, and was refused."""
    _check_think(chosen, read)
    _check_listen(chosen, read)


def _check_think(chosen: ModelSettings, read: Reading) -> None:
    name = chosen.think_provider
    if name in OWN_ENDPOINT and not read.given("THINK_ENDPOINT"):
        read.refuse("THINK_ENDPOINT", f"THINK_ENDPOINT is missing, and THINK_PROVIDER={name} needs it.")
    if name and name != USUAL_PROVIDER and not read.given("THINK_MODEL"):
        read.refuse("THINK_MODEL", f"THINK_MODEL is missing: which model of {name}'s?")
    if name == "anthropic" and (chosen.think_temperature or 0.0) > 1.0:
        read.refuse("THINK_TEMPERATURE", "THINK_TEMPERATURE is more than 1, the most that anthropic takes.")


def _check_listen(chosen: ModelSettings, read: Reading) -> None:
    model = chosen.listen_model or ""
    is_flux = model.startswith("flux-")
    for name in ("LISTEN_EOT_THRESHOLD", "LISTEN_EAGER_EOT_THRESHOLD", "LISTEN_EOT_TIMEOUT_MS"):
        if read.given(name) and not is_flux:
            read.refuse(name, f"{name} is set, and LISTEN_MODEL={model} is no Flux model: only Flux has it.")
    eager = chosen.listen_eager_eot_threshold
    if eager is not None and eager > (chosen.listen_eot_threshold or USUAL_EOT_THRESHOLD):
        read.refuse("LISTEN_EAGER_EOT_THRESHOLD", "LISTEN_EAGER_EOT_THRESHOLD is above LISTEN_EOT_THRESHOLD.")
    spoken = chosen.listen_language or ()
    if why := why_unheard(model, spoken):
        read.refuse("LISTEN_LANGUAGE", f"LISTEN_LANGUAGE is {', '.join(spoken)}, and LISTEN_MODEL={why}.")
