"""Readers for settings of models and voices: lists of names, providers, an endpoint, a speed.

As in `setting_values`, each of these takes what somebody has written and returns what it means, or raises `ValueError`
with what was wanted, in words that go on after "which is not".
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import orjson

from protocol.deepgram import LANGUAGE, MANAGED, MODEL_NAME, MOST_KEYTERMS, OWN_ENDPOINT, VOICE_NAME, VOICE_WANTED
from protocol.fields import split_url, why_no_headers
from setting_values import http_url, number, written_as

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


def models(value: str) -> tuple[str, ...]:
    """Read names of models in the order of preference."""
    found = names(value)
    if not found or not all(map(MODEL_NAME.fullmatch, found)):
        raise ValueError("the name of a model, or several with commas between them, the best first")
    return found


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value.lower()

    return parse


def provider(value: str) -> str:
    if value not in (*MANAGED, *OWN_ENDPOINT):
        raise ValueError(f"one of {', '.join(MANAGED)}, or with THINK_ENDPOINT {' or '.join(OWN_ENDPOINT)}")
    return value


def fallback_models(value: str) -> tuple[tuple[str, str], ...]:
    """Read pairs of a provider and a model; `none` is none."""
    if value.lower() == OFF:
        return ()
    return tuple(_pair(name) for name in names(value))


def _pair(name: str) -> tuple[str, str]:
    parts = re.fullmatch(r"([a-z_]+)\s*[/: ]\s*(\S+)", name)
    if parts is None or parts[1] not in MANAGED:
        raise ValueError(
            f"PROVIDER/MODEL, or several with commas between them, or none; a provider is one of {', '.join(MANAGED)}"
        )
    return parts[1], parts[2]


def fallback_voices(value: str) -> tuple[str, ...]:
    """Read names of voices; `none` is none."""
    if value.lower() == OFF:
        return ()
    found = names(value)
    if not all(map(VOICE_NAME.fullmatch, found)):
        raise ValueError(f"{VOICE_WANTED}, or none")
    return found


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


def languages(value: str) -> tuple[str, ...]:
    found = names(value)
    if not all(map(LANGUAGE.fullmatch, found)):
        raise ValueError("a language such as en or es-419, or several with commas between them")
    return found


def speed(value: str) -> float | None:
    """Read a speed in the steps that a Flux voice takes."""
    if not value:
        return None
    read = number(0.5, 1.5)(value)
    if abs(read * 20 - round(read * 20)) > 1e-6:
        raise ValueError("a number from 0.5 to 1.5 in steps of 0.05")
    return round(read, 2)


def base_url(value: str) -> str:
    """Read the base of an OpenAI-compatible API, as its clients take it."""
    return http_url(value).removesuffix("/chat/completions").rstrip("/")
