"""What the official specs say about a message: every difference, with extra keys as differences.

An `Oracle` is a set of JSON schemas: the official SDK's models, or an official spec of `../shared/reference/specs`.
Every object that names its keys is closed, and of a `oneOf` any branch will do (a recogniser without a version is two
of them), or else the one that fits best is meant. A difference is a
value, so that the known ones can stand in a table (`differences.py`).
"""

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import jsonschema
import orjson
import pydantic
import yaml
from deepgram.agent.v1 import types as sdk
from groq.types import ModelListResponse
from groq.types.chat import ChatCompletion
from groq.types.chat.completion_create_params import CompletionCreateParams
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

Schema: TypeAlias = dict[str, Any]
Source: TypeAlias = Literal["sdk", "groq", "asyncapi", "openapi", "twilio"]

SPECS = Path(__file__).parents[3] / "shared" / "reference" / "specs"
CHANNEL = "/v1/agent/converse"


@attrs.frozen(order=True)
class Difference:
    """One thing about a message that an official spec does not know."""

    source: Source
    message: str
    """Its type, or the REST request or answer."""
    place: str
    """The path of the value, by its keys alone: an item of an array stands where the array does."""
    problem: str
    """`extra`, `missing`, `unknown message`, a value that is not listed, or the keyword that does not hold."""


@attrs.define(eq=False)
class Oracle:
    """Schemas by message; `root` holds what they refer to."""

    source: Source
    root: Schema
    schemas: Mapping[str, Schema]

    def differences(self, name: str, value: object) -> set[Difference]:
        """Compare one message with its schema."""
        if name not in self.schemas:
            return {Difference(self.source, name, "", "unknown message")}
        return {
            Difference(self.source, name, place, problem)
            for error in self._validators[name].iter_errors(value)
            for place, problem in _problems(error)
        }

    @cached_property
    def _validators(self) -> Mapping[str, Validator]:
        return {
            name: jsonschema.Draft202012Validator(_closed({**self.root, **schema}))
            for name, schema in self.schemas.items()
        }


def _closed(schema: object) -> Any:  # noqa: ANN401 -- a JSON schema is any JSON
    """Return a schema whose objects have no keys but those that they name; `nullable` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"anyOf" if key == "oneOf" else key: _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed["properties"] and "type" in closed:
        closed["additionalProperties"] = False
    if closed.pop("nullable", False):
        return {"anyOf": [closed, {"type": "null"}]}
    return closed


def _problems(error: ValidationError) -> Iterator[tuple[str, str]]:
    place = ".".join(step for step in error.absolute_path if isinstance(step, str))
    if error.context:
        branches: dict[object, list[tuple[str, str]]] = {}
        for each in error.context:
            branches.setdefault(each.schema_path[0], []).extend(_problems(each))
        yield from min(branches.values(), key=lambda problems: _weight(place, problems))
        return
    match error.validator:
        case "additionalProperties":
            for key in sorted(set(error.instance) - set(error.schema["properties"])):
                yield f"{place}.{key}".lstrip("."), "extra"
        case "required":
            for key in sorted(set(error.validator_value) - set(error.instance)):
                yield f"{place}.{key}".lstrip("."), "missing"
        case "enum" | "const":
            yield place, f"{error.instance} is not listed"
        case keyword:
            yield place, str(keyword)


def _weight(place: str, problems: list[tuple[str, str]]) -> tuple[bool, int, int]:
    """Rank a branch: by whether it is of the value's kind, by what the value says it is, and by the rest."""
    says = {f"{place}.{name}".lstrip(".") for name in ("type", "version", "role", "function_calls")}
    return (place, "type") in problems, sum(at in says for at, _ in problems), len(problems)


@cache
def sdk_oracle() -> tuple[Oracle, Oracle]:
    """Return what the pinned SDK knows of the messages of a client, and of the service."""
    client = {
        "Settings": sdk.AgentV1Settings,
        "KeepAlive": sdk.AgentV1KeepAlive,
        "InjectUserMessage": sdk.AgentV1InjectUserMessage,
        "InjectAgentMessage": sdk.AgentV1InjectAgentMessage,
        "FunctionCallResponse": sdk.AgentV1SendFunctionCallResponse,
        "UpdatePrompt": sdk.AgentV1UpdatePrompt,
        "UpdateThink": sdk.AgentV1UpdateThink,
        "UpdateSpeak": sdk.AgentV1UpdateSpeak,
        "UpdateListen": sdk.AgentV1UpdateListen,
        "ForceEndTurn": sdk.AgentV1ForceEndTurn,
    }
    server = {
        "Welcome": sdk.AgentV1Welcome,
        "SettingsApplied": sdk.AgentV1SettingsApplied,
        "ConversationText": sdk.AgentV1ConversationText,
        "UserStartedSpeaking": sdk.AgentV1UserStartedSpeaking,
        "AgentThinking": sdk.AgentV1AgentThinking,
        "FunctionCallRequest": sdk.AgentV1FunctionCallRequest,
        "FunctionCallResponse": sdk.AgentV1ReceiveFunctionCallResponse,
        "FunctionCallCancelled": sdk.AgentV1FunctionCallCancelled,
        "AgentStartedSpeaking": sdk.AgentV1AgentStartedSpeaking,
        "AgentAudioDone": sdk.AgentV1AgentAudioDone,
        "LatencyReport": sdk.AgentV1LatencyReport,
        "PromptUpdated": sdk.AgentV1PromptUpdated,
        "ThinkUpdated": sdk.AgentV1ThinkUpdated,
        "SpeakUpdated": sdk.AgentV1SpeakUpdated,
        "ListenUpdated": sdk.AgentV1ListenUpdated,
        "InjectionRefused": sdk.AgentV1InjectionRefused,
        "Error": sdk.AgentV1Error,
        "Warning": sdk.AgentV1Warning,
    }
    history = [sdk.AgentV1HistoryContent, sdk.AgentV1HistoryFunctionCalls]
    said = {name: _model(kind) for name, kind in server.items()}
    said["History"] = {"oneOf": [_model(kind) for kind in history]}
    asked = {name: _model(kind) for name, kind in client.items()}
    asked["InjectAgentMessage"] = {"oneOf": [asked["InjectAgentMessage"], _model(sdk.AgentV1InjectDynamicAgentMessage)]}
    return Oracle("sdk", {}, asked), Oracle("sdk", {}, said)


@cache
def groq_oracle() -> Oracle:
    """Return what Groq's SDK knows of the request for a completion, of its answer, and of the list of models."""
    asked = pydantic.TypeAdapter(CompletionCreateParams).json_schema()
    schemas = {"completion": asked, "answer": _model(ChatCompletion), "models": _model(ModelListResponse)}
    return Oracle("groq", {"$defs": asked.pop("$defs")}, schemas)


def _model(kind: Any) -> Schema:  # noqa: ANN401 -- a model of pydantic's, which is no dependency of ours
    """Return a model's schema as one document: nothing in it refers to anything outside."""
    schema: Schema = kind.model_json_schema(by_alias=True)
    inlined: Schema = _inlined(schema, schema.pop("$defs", {}))
    return inlined


def _inlined(schema: Any, defined: Mapping[str, Schema]) -> Any:  # noqa: ANN401 -- a JSON schema is any JSON
    if isinstance(schema, list):
        return [_inlined(each, defined) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(defined[schema["$ref"].rpartition("/")[2]], defined)
    return {key: _inlined(value, defined) for key, value in schema.items()}


@cache
def asyncapi_oracle() -> tuple[Oracle, Oracle]:
    """Return what the published AsyncAPI knows of the messages of a client, and of the service."""
    spec = read_spec("deepgram-asyncapi.yml")
    channel = spec["channels"][CHANNEL]
    root = {"components": {"schemas": spec["components"]["schemas"]}}

    def known(way: str) -> Oracle:
        messages = channel[way]["message"]["oneOf"]
        return Oracle(
            "asyncapi", root, dict(_named(message["$ref"], spec["components"]["messages"]) for message in messages)
        )

    return known("subscribe"), known("publish")


def _named(reference: str, messages: Schema) -> tuple[str, Schema]:
    payload: Schema = messages[reference.removeprefix("#/components/messages/").replace("~1", "/")]["payload"]
    name = payload["$ref"].rpartition("/")[2].removeprefix("AgentV1_AgentV1")
    return name.removeprefix("Send").removeprefix("Receive"), payload


def read_spec(name: str) -> Schema:
    """Return one of the official specs."""
    raw = (SPECS / name).read_bytes()
    spec: Schema = orjson.loads(raw) if name.endswith(".json") else yaml.load(raw, Loader=yaml.CSafeLoader)
    return spec
