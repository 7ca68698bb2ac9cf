"""Voice Agent frames to values and back: our half, which forgives.

`decode_server` reads what the service sends: an unknown type is `UnknownMessage`, an unknown field is ignored, an
optional one may be missing or null. Only what a client acts on is validated: a message that it ignores is
`UnknownMessage`, too, and a field that it only notes is empty. What cannot be read at all is a
`RemoteProtocolError`. Writing is one rule for every message: the wire has the names of the fields, and a field left at
its default is not sent.
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, TypeAlias, get_args

import attrs

from protocol import fields
from protocol.deepgram import messages
from protocol.deepgram.settings import (
    Audio,
    FunctionDefinition,
    History,
    HistoryCalls,
    HistoryText,
    Listen,
    Speak,
    ThinkProvider,
)
from protocol.errors import LocalProtocolError
from protocol.fields import JSON, Fields

Frame: TypeAlias = str | bytes

LONGEST_REMARK = 500
"""Characters of an error, a warning or an id of the service's."""
LONGEST_TEXT = 20_000
"""Characters of what was said, or of arguments, a quarter of an hour of them: a megabyte keeps all calls waiting."""

TOO_LONG, TOO_DEEP = '"too long"', '"too many levels"'
"""In the place of arguments that are not read: the model is told why, and no function takes it for words."""

OTHER_NAMES: Mapping[type, str] = {
    HistoryText: "History",
    HistoryCalls: "History",
    messages.ErrorReported: "Error",
    messages.ServiceWarning: "Warning",
}
"""The wire types that are not the name of their class."""

MESSAGE_TYPES: frozenset[type] = frozenset({
    *get_args(messages.ClientMessage), *get_args(messages.ServerMessage), *get_args(History)
})  # fmt: skip


_OF_MANY_CALLS = frozenset({Audio, Listen, ThinkProvider, FunctionDefinition, Speak})
"""The parts of the Settings that are alike in most calls: they are spelled once."""
_MOST_KEPT = 512


def decode_server(frame: Frame) -> messages.ServerMessage:
    if isinstance(frame, bytes):
        return messages.AgentAudio(frame)
    message = fields.load_object_leniently(frame)
    name = message.get("type")
    if not isinstance(name, str):
        return messages.UnknownMessage("", message)
    read = _READERS.get(name)
    return messages.UnknownMessage(name, message) if read is None else read(message)


def encode_client(message: messages.ClientMessage) -> Frame:
    return message.data if isinstance(message, messages.CallerAudio) else fields.dump(as_json(message))


def as_json(value: attrs.AttrsInstance) -> dict[str, JSON]:
    """Spell a value as the wire does: its type, if it is a message, then every field that says something."""
    kind = type(value)
    spelled: dict[str, JSON] = {"type": OTHER_NAMES.get(kind, kind.__name__)} if kind in MESSAGE_TYPES else {}
    for name, silent, one_or_many in _fields_of(kind) or ():
        item = getattr(value, name)
        if item != silent:
            spelled[name] = _spell(item[0] if one_or_many and len(item) == 1 else item)
    return spelled


@cache
def _fields_of(kind: type) -> tuple[tuple[str, object, bool], ...] | None:
    """Return the fields of a class: the name, the value that says nothing, and whether a chain of one is one.

    None for what is no value of ours: it is JSON as it is.
    """
    if not attrs.has(kind):
        return None
    return tuple((field.name, _silent(field), bool(field.metadata.get("one_or_many"))) for field in attrs.fields(kind))


def _silent(field: "attrs.Attribute[object]") -> object:
    """Return the value at which a field is not sent: its default; one that has none is always sent."""
    is_plain = field.default in {attrs.NOTHING, None} or isinstance(field.default, bool | int | float | str | tuple)
    return field.default if is_plain else {}


def _spell(value: Any) -> JSON:  # noqa: ANN401 - a value of ours, several, or JSON
    kind: type = type(value)
    if kind is tuple:
        return [_spell(item) for item in value]
    if kind in _OF_MANY_CALLS:
        return _spell_once(value)
    return as_json(value) if _fields_of(kind) is not None else value


@lru_cache(_MOST_KEPT)
def _spell_once(value: attrs.AttrsInstance) -> JSON:
    """Spell a value for all messages that have it: none of them changes it."""
    return as_json(value)


def _arguments(call: Fields) -> str:
    """Return what the model wrote, whatever it is: usually text, elsewhere an object, and nothing is no arguments."""
    value = call.get("arguments")
    try:
        text = value if isinstance(value, str) else "" if value is None else fields.dump(value)
    except LocalProtocolError:
        return TOO_DEEP
    return TOO_LONG if len(text) > LONGEST_TEXT else text or "{}"


def _read_conversation_text(message: Fields) -> messages.ConversationText:
    return messages.ConversationText(
        fields.text(message, "role"),
        fields.text_or(message, "content", "")[:LONGEST_TEXT],
        fields.words_or_nothing(message, "conversational_behavior") or "default",
        fields.texts_among(message, "languages"),
        fields.texts_among(message, "languages_hinted"),
    )


def _read_call(call: Fields) -> messages.FunctionCall:
    return messages.FunctionCall(
        fields.words_or_nothing(call, "id"),
        fields.words_or_nothing(call, "name"),
        _arguments(call),
        call.get("client_side") not in (False, "false"),
        fields.words_or_nothing(call, "thought_signature") or None,
    )


def _read_function_call_cancelled(message: Fields) -> messages.FunctionCallCancelled:
    calls = fields.children(message, "functions")
    named = ([fields.words_or_nothing(call, key) for key in ("id", "name")] for call in calls)
    return messages.FunctionCallCancelled(tuple(messages.CancelledCall(*each) for each in named))


def _code_and_description(message: Fields) -> tuple[str, str]:
    """Read both and insist on neither: an error without a description is an error all the same."""
    described = _remark(message, "description") or _remark(message, "message")
    return _remark(message, "code"), described


def _remark(message: Fields, key: str) -> str:
    """Return the beginning of words that are only noted: a megabyte of them is none the clearer."""
    return fields.words_or_nothing(message, key)[:LONGEST_REMARK]


_READERS: Mapping[str, Callable[[Fields], messages.ServerMessage]] = {
    "Welcome": lambda message: messages.Welcome(_remark(message, "request_id") or _remark(message, "session_id")),
    "ConversationText": _read_conversation_text,
    "EndOfTurn": lambda message: messages.EndOfTurn(fields.words_or_nothing(message, "trigger")),
    "AgentThinking": lambda message: messages.AgentThinking(fields.words_or_nothing(message, "content")),
    "FunctionCallRequest": lambda message: messages.FunctionCallRequest(  # all: the model waits for each
        tuple(map(_read_call, fields.children(message, "functions")))
    ),
    "FunctionCallCancelled": _read_function_call_cancelled,
    "InjectionRefused": lambda message: messages.InjectionRefused(_remark(message, "message")),
    "Error": lambda message: messages.ErrorReported(*_code_and_description(message)),
    "Warning": lambda message: messages.ServiceWarning(*_code_and_description(message)),
    "LatencyReport": lambda message: messages.LatencyReport(
        *(fields.measurement(message, name) for name in attrs.fields_dict(messages.LatencyReport))
    ),
    "SettingsApplied": lambda _: messages.SettingsApplied(),
    "UserStartedSpeaking": lambda _: messages.UserStartedSpeaking(),
    "AgentAudioDone": lambda _: messages.AgentAudioDone(),
    "ThinkUpdated": lambda _: messages.ThinkUpdated(),
    "SpeakUpdated": lambda _: messages.SpeakUpdated(),
}
