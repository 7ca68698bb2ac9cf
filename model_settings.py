"""Settings of models and voices: speech-to-text, LLMs, text-to-speech, and the LLM that writes the Brief.

Every name of a model is a preference: a setting takes several, the best first, and what the account does not offer is
passed over (`web/clients/offered.py` asks). Here are the readers of their texts, as in `setting_values`, and what is
wrong with settings only beside each other; nothing here asks anybody.
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import attrs

from agents.checks import problems_of_options
from agents.spec import AgentOptions, ThinkModel
from agents.spec_types import wrong_types
from protocol.deepgram import LIMITS, MANAGED, MODEL_NAME, OWN_ENDPOINT, REASONING_MODES, Endpoint, why_no_endpoint
from protocol.fields import json_or
from setting_reader import Reading, optional, optional_setting, setting, variable_of
from setting_values import agent_sources, http_url, key, number, one_of, whole, written_as, yes_or_no

USUAL_PROVIDER = "open_ai"

VOICE = "_VOICE_MODEL"
"""How the setting of an agent's voice ends; it begins with the agent's name in capitals."""
REFERENCE_VOICES = ("QUALIFIER_VOICE_MODEL", "ADVISOR_VOICE_MODEL", "CLOSER_VOICE_MODEL")
"""Names of the reference app: they are no mistake where there is no such agent."""

OFF: Final = "none"


def names(value: str) -> tuple[str, ...]:
    """Read a list: what stands between commas, each once."""
    found = tuple(dict.fromkeys(name for part in value.split(",") if (name := part.strip())))
    if value and not found:
        raise ValueError("a list with something between its commas")
    return found


model = written_as(MODEL_NAME, "the name of one model")


def models(value: str) -> tuple[str, ...]:
    found = names(value)
    if not found or not all(map(MODEL_NAME.fullmatch, found)):
        raise ValueError("the name of a model, or several with commas between them, the best first")
    return found


def names_or_none(value: str) -> tuple[str, ...]:
    """Read a list; the word "none" is an empty one."""
    return () if value.lower() == OFF else names(value)


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


def own_endpoint(value: str) -> Endpoint:
    """Read a URL, or a JSON object with a URL and headers."""
    given: Any = json_or(value, {}) if value.startswith("{") else {"url": value}
    try:
        endpoint = Endpoint(**given)
    except TypeError:  # without a URL, or with more
        endpoint = None
    if endpoint is None or any(wrong_types(endpoint)):
        example = '{"url": "https://…", "headers": {"authorization": "Bearer …"}}'
        raise ValueError(f"an https:// URL, or JSON with a URL and headers: {example}")
    if why := why_no_endpoint(endpoint):
        raise ValueError(f"an endpoint: {why}")
    return endpoint


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
        names_or_none,
        "cartesia/sonic-2/a167e0f3-df7e-4d52-a9c3-f949145efdab",
    )
    speak_speed: float | None = setting(
        "speed of the voices, as a multiple of their own: 0.7 to 1.5 for Aura, 0.5 to 1.5 for Flux, in steps of 0.05",
        optional(number(*LIMITS["speak_speed"])),
        "",
        "1.1",
    )
    listen_model: str = setting("Deepgram's speech-to-text model", model, "flux-general-en")
    listen_language: tuple[str, ...] = setting(
        "language that callers speak: one for Nova, several as hints for flux-general-multi; flux-general-en"
        " hears English",
        names,
        "",
        "es",
    )
    listen_keyterms: tuple[str, ...] = setting(
        "words to listen for, such as names of products, with commas between them", names, "", "Roth IRA,Acme"
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
    think_endpoint: Endpoint | None = optional_setting(
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
    def options(self) -> AgentOptions:
        """The options of an agent that leaves them all open."""
        chosen = {option: getattr(self, name.lower()) for option, name in _SETTING_OF.items()}
        return AgentOptions(**{**chosen, "think": self._think})

    @property
    def _think(self) -> tuple[ThinkModel, ...]:
        """The models of THINK_PROVIDER, then the fallbacks: those of other vendors first."""
        ours = [ThinkModel(self.think_provider, name, self.think_endpoint) for name in self.think_model or ()]
        fallbacks = sorted(self.think_fallback or (), key=lambda pair: pair[0] == self.think_provider)
        others = [ThinkModel(provider, name) for provider, name in fallbacks]
        return (*ours, *(each for each in others if str(each) not in map(str, ours)))

    @property
    def summary_key(self) -> str | None:
        return self.summary_api_key or self.groq_api_key


AGENTS = variable_of(attrs.fields(ModelSettings).agents)
_SETTING_OF: Final = {
    option: name.upper()
    for option in attrs.fields_dict(AgentOptions)
    for name in attrs.fields_dict(ModelSettings)
    if name in {option, f"listen_{option}", f"think_{option}"}
} | {"think": "THINK_MODEL"}
"""By the option of an agent of which it is the default."""


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
    """Refuse settings that contradict each other, or what the service takes; a malformed one was refused."""
    name, unsure = chosen.think_provider, read.malformed & {"THINK_PROVIDER", "THINK_MODEL", "THINK_FALLBACK"}
    if name in OWN_ENDPOINT and chosen.think_endpoint is None:
        read.refuse("THINK_ENDPOINT", f"THINK_ENDPOINT is missing, and THINK_PROVIDER={name} needs it.")
        unsure.add("THINK_ENDPOINT")
    if name and name != USUAL_PROVIDER and not read.given("THINK_MODEL"):
        read.refuse("THINK_MODEL", f"THINK_MODEL is missing: which model of {name}'s?")
        unsure.add("THINK_MODEL")
    if name == "anthropic" and (chosen.think_temperature or 0.0) > 1.0:
        read.refuse("THINK_TEMPERATURE", "THINK_TEMPERATURE is more than 1, the most that anthropic takes.")
    found = list(problems_of_options(chosen.options, voice=""))
    for option, problem in dict(reversed(found)).items():  # the first of each
        setting_name = _SETTING_OF[option.removeprefix("options.")]
        if setting_name == "THINK_MODEL":
            if unsure:
                continue
            of_ours = problems_of_options(attrs.evolve(chosen, think_fallback=()).options, voice="")
            setting_name = "THINK_MODEL" if option in dict(of_ours) else "THINK_FALLBACK"
        colon = "" if problem.startswith(("is ", "are ")) else ":"
        read.refuse(setting_name, f"{setting_name}{colon} {problem}.")
