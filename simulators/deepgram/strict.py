"""The service's ear: client frames read as strictly as the service reads them.

The classes are the grammar. A key that a class does not have, inside an object the service knows, ends a session
(`client_side` in a function, `timeout` in `think`, `endpoint` inside `provider` all did), and so do a wrong type, a
float for an integer and an unknown message: `RemoteProtocolError` with code UNPARSABLE_CLIENT_MESSAGE and the path of
the offender. Values of the right shape that make no sense together
are the business of `rules`.
"""

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from types import NoneType
from typing import Literal, TypeAlias, TypeVar, cast, get_args

import attrs

from protocol import fields
from protocol.deepgram import messages, settings
from protocol.deepgram.messages import (
    CallerAudio,
    FunctionCallResponse,
    InjectAgentMessage,
)
from protocol.deepgram.settings import CompletedCall, History, HistoryCalls, HistoryText
from protocol.errors import RemoteProtocolError
from protocol.fields import JSON, Fields
from simulators.deepgram import rules
from simulators.deepgram.messages import FromClient

T = TypeVar("T")
ReadValue: TypeAlias = Callable[[JSON], object]

UNPARSABLE: Literal["UNPARSABLE_CLIENT_MESSAGE"] = "UNPARSABLE_CLIENT_MESSAGE"

_PROVIDER_KEYS: Mapping[type, Mapping[str, tuple[str, str]]] = {
    settings.ListenProvider: {
        "v1": ("", "version model language smart_format keyterms"),
        "v2": ("version model", "keyterms language_hints eot_threshold eager_eot_threshold eot_timeout_ms"),
    },
    settings.ThinkProvider: {
        "open_ai": ("model", "version temperature reasoning_mode"),
        "anthropic": ("model", "version temperature"),
        "google": ("", "model version temperature"),
        "groq": ("model", "version temperature reasoning_mode"),
        "nvidia": ("model", "version temperature"),
        "aws_bedrock": ("model", "temperature credentials"),
        "deepgram": ("model", "version temperature reasoning_mode voice_prompt_opt_out"),
    },
    settings.SpeakProvider: {
        "deepgram": ("model", "version speed"),
        "deepgram v2": ("model version", "speed expressivity"),
        "eleven_labs": ("model_id", "version language language_code"),
        "cartesia": ("model_id voice", "version language volume speed"),
        "open_ai": ("model voice", "version"),
        "aws_polly": ("voice", "language language_code engine credentials"),
    },
}
"""Which keys each kind of provider must and may have, besides `type` (reference: developers.deepgram.com/docs/
voice-agent-llm-models, -tts-models, -listen)."""


def decode_client(frame: str | bytes, *, any_flux_version: bool = False) -> FromClient:
    """Read one frame from a client; with `any_flux_version`, a Flux recogniser is v2 whatever version is said.

    Raises: `RemoteProtocolError` whose `code` is the `Error` the service would answer with.
    """
    if isinstance(frame, bytes):
        return CallerAudio(frame)
    try:
        given = fields.load_object(frame)
        message = _message(_with_flux_version(given) if any_flux_version else given)
        _check(message)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(error.reason, frame, code=error.code or UNPARSABLE) from error
    return message


def _check(message: FromClient) -> None:
    """Refuse values that make no sense together.

    Raises: `RemoteProtocolError` with code INVALID_SETTINGS, or INVALID_AGENT_ID.
    """
    if isinstance(message, settings.Settings) and isinstance(message.agent, str) and not _is_uuid(message.agent):
        raise RemoteProtocolError("agent: not the id of a configuration", message.agent, code="INVALID_AGENT_ID")
    for reason in rules.problems(message):
        raise RemoteProtocolError(reason, code="INVALID_SETTINGS")


def _with_flux_version(given: JSON) -> dict[str, JSON]:
    """Read a Flux recogniser that is asked for as Nova was, without its version and with `smart_format`, as v2."""
    named = dict(_object(given))
    for key in ("agent", "listen", "provider"):
        if isinstance(named.get(key), dict):
            named[key] = _with_flux_version(named[key])
    if str(named.get("model", "")).startswith("flux-general"):
        named["version"] = "v2"
        named.pop("smart_format", None)
    return named


def _message(given: Fields) -> FromClient:
    name = given.get("type")
    kind = _MESSAGES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise RemoteProtocolError("type: no such message")
    body = {key: value for key, value in given.items() if key != "type"}
    if kind is FunctionCallResponse and body.get("id") is None:
        body["id"] = ""  # optional in the service's schema, whatever its manual says
    message = _read(kind, body)
    if isinstance(message, InjectAgentMessage) and bool(message.message) == message.is_dynamic:
        raise RemoteProtocolError("message: is wanted, unless is_dynamic")
    return message


def _read(kind: type[T], value: JSON) -> T:
    """Read an object into the class that describes it; null counts as missing where a field may be missing."""
    given = _object(value)
    known = attrs.fields_dict(cast("type[attrs.AttrsInstance]", kind))
    _refuse_unknown(given, known)
    read: dict[str, object] = {}
    for name, field in known.items():
        if given.get(name) is not None:
            read[name] = _at(name, _reader(field.type), given[name])
        elif field.default is attrs.NOTHING:
            raise RemoteProtocolError(f"{name}: is missing")
    return kind(**read)


def _at(place: str, reader: ReadValue, value: JSON) -> object:
    try:
        return reader(value)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"{place}{'.' if ':' in error.reason else ': '}{error.reason}") from error


def _refuse_unknown(given: Fields, known: Mapping[str, object] | tuple[str, ...]) -> None:
    if unknown := given.keys() - set(known):
        raise RemoteProtocolError(f"{min(unknown)}: no such key here")


def _provider(kind: type[T], value: JSON) -> T:
    """Read a provider, whose keys depend on which one it is."""
    given = _object(value)
    variant = _variant(kind, given)
    if variant not in _PROVIDER_KEYS[kind]:
        raise RemoteProtocolError("type: no such provider")
    required, optional = (keys.split() for keys in _PROVIDER_KEYS[kind][variant])
    _refuse_unknown(given, ("type", *required, *optional))
    if missing := [name for name in ("type", *required) if given.get(name) is None]:
        raise RemoteProtocolError(f"{missing[0]}: is missing")
    return _read(kind, given)


def _variant(kind: type, given: Fields) -> str:
    company, version = fields.text(given, "type"), fields.text_or(given, "version", "v1")
    if kind is settings.ListenProvider:
        return version if company == "deepgram" else ""
    return f"{company} v2" if kind is settings.SpeakProvider and version == "v2" and company == "deepgram" else company


def _agent(value: JSON) -> settings.AgentSettings | str:
    return value if isinstance(value, str) else _read(settings.AgentSettings, value)


def read_past(value: JSON) -> History:
    """Read one `History` of a context, as strictly as everything else."""
    given = _object(value)
    if given.get("type") != "History":
        raise RemoteProtocolError("type: History is wanted")
    if "function_calls" in given:
        read = partial(_read, CompletedCall)
        _refuse_unknown(given, ("type", "function_calls"))
        calls = [_at("function_calls", read, each) for each in fields.children(given, "function_calls")]
        return HistoryCalls(tuple(cast("list[CompletedCall]", calls)))
    _refuse_unknown(given, ("type", "role", "content"))
    if given.get("role") not in {"user", "assistant"}:
        raise RemoteProtocolError("role: user or assistant is wanted")
    return HistoryText(fields.text(given, "role"), fields.text(given, "content"))


def _chain(kind: type, value: JSON) -> object:
    """Read an object, or an array of them in the order of preference."""
    return _each(partial(_read, kind), value) if isinstance(value, list) else (_read(kind, value),)


def _each(reader: ReadValue, value: JSON) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise _wanted("an array", value)
    return tuple(reader(item) for item in value)


def _object(value: JSON) -> Fields:
    if not isinstance(value, dict):
        raise _wanted("an object", value)
    return cast("Fields", value)


def _exactly(kind: type, name: str, value: JSON) -> object:
    """Take a value of this very type: a boolean is no integer, and neither is 24000.0."""
    if type(value) is not kind:
        raise _wanted(name, value)
    return value


def _number(value: JSON) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wanted("a number", value)
    return value


def _headers(value: JSON) -> object:
    return {name: _at(name, _text, item) for name, item in _object(value).items()}


def _behavior(value: JSON) -> object:
    if value not in get_args(messages.InjectionBehavior):
        raise RemoteProtocolError("default, queue or interrupt is wanted")
    return value


def _wanted(name: str, value: JSON) -> RemoteProtocolError:
    return RemoteProtocolError(f"{name} is wanted, it is {fields.kind(value)}")


_text = partial(_exactly, str, "a string")
_whole = partial(_exactly, int, "an integer")
_flag = partial(_exactly, bool, "a boolean")

_MESSAGES: Mapping[str, type[FromClient]] = {
    kind.__name__: kind for kind in get_args(FromClient) if kind is not CallerAudio
}

_READERS: Mapping[object, ReadValue] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _flag,
    JSON: lambda value: value,
    str | int | None: lambda value: value if value == "max" else _exactly(int, '"max" or an integer', value),
    Mapping[str, str]: _headers,
    Mapping[str, JSON]: _object,
    messages.InjectionBehavior: _behavior,
    settings.AgentSettings | str: _agent,
    tuple[str, ...]: partial(_each, _text),
    tuple[History, ...]: partial(_each, read_past),
    tuple[settings.FunctionDefinition, ...]: partial(_each, partial(_read, settings.FunctionDefinition)),
    tuple[settings.Think, ...]: partial(_chain, settings.Think),
    tuple[settings.Speak, ...]: partial(_chain, settings.Speak),
    **{kind: partial(_provider, kind) for kind in _PROVIDER_KEYS},
    **{
        kind: partial(_read, kind)
        for kind in (
            settings.Audio,
            settings.AudioInput,
            settings.AudioOutput,
            settings.Context,
            settings.Endpoint,
            settings.Flags,
            settings.FunctionEndpoint,
            settings.Listen,
        )
    },
}
"""How to read a field, by its annotation; `X | None` is read as X."""


def _reader(annotation: object) -> ReadValue:
    if annotation in _READERS:
        return _READERS[annotation]
    (plain,) = (kind for kind in get_args(annotation) if kind is not NoneType)
    return _READERS[plain]


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
