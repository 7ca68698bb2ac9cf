import copy
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.deepgram import (
    AgentSettings,
    CallerAudio,
    FunctionCallResponse,
    InjectAgentMessage,
    Settings,
    UpdateThink,
)
from protocol.errors import RemoteProtocolError
from protocol.fields import JSON
from simulators.deepgram.strict import decode_client
from tests.examples import UNICODE
from tests.protocol.recorded import deepgram_vectors
from tests.protocol.samples import REQUESTS
from tests.protocol.strategies import QUICK, damaged
from tests.simulators.deepgram.client import frame_of

CLIENT = [vector.message for vector in deepgram_vectors() if vector.direction == "client"]
FULL = next(message for message in CLIENT if "flags" in message)
CODES = {"UNPARSABLE_CLIENT_MESSAGE", "INVALID_SETTINGS", "INVALID_AGENT_ID"}


def refusal(message: object) -> str:
    """Return the reason for which a message does not parse."""
    with pytest.raises(RemoteProtocolError) as caught:
        decode_client(message if isinstance(message, str) else json.dumps(message))
    assert caught.value.code == "UNPARSABLE_CLIENT_MESSAGE"
    return caught.value.reason


def places(value: JSON, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Find every object in a message whose keys are the service's (the contents of JSON Schema and headers are not)."""
    if isinstance(value, Mapping):
        inner = [place for key, item in value.items() if key not in OPEN for place in places(item, (*path, key))]
        return [path, *inner]
    if isinstance(value, list):
        return [place for number, item in enumerate(value) for place in places(item, (*path, number))]
    return []


OPEN = {"parameters", "headers"}


@pytest.mark.parametrize("path", places(FULL), ids=str)
def test_an_unknown_key_ends_the_session_wherever_it_is(path: tuple[str | int, ...]) -> None:
    message = copy.deepcopy(FULL)
    target: JSON = message
    for step in path:
        target = target[step]  # type: ignore[index]
    target["surprise"] = 1  # type: ignore[index]

    assert refusal(message).endswith("surprise: no such key here")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("not json", "not JSON"),
        ("[]", "a JSON object is wanted"),
        ({"hello": "world"}, "type: no such message"),
        ({"type": ["KeepAlive"]}, "type: no such message"),
        ({"type": "Close"}, "type: no such message"),
        ({"type": "CallerAudio", "data": "x"}, "type: no such message"),
        ({"type": "KeepAlive", "now": True}, "now: no such key here"),
        ({"type": "InjectUserMessage", "content": 5}, "content: a string is wanted, it is a number"),
        ({"type": "InjectAgentMessage"}, "message: is wanted, unless is_dynamic"),
        ({"type": "InjectAgentMessage", "message": ""}, "message: is wanted, unless is_dynamic"),
        ({"type": "InjectAgentMessage", "is_dynamic": True, "message": "x"}, "message: is wanted, unless is_dynamic"),
        ({"type": "InjectAgentMessage", "message": "x", "behavior": "shout"}, "behavior: default, queue or interrupt"),
        ({"type": "FunctionCallResponse", "name": "f", "id": "1"}, "content: is missing"),
        ({"type": "FunctionCallResponse", "name": "f", "id": "1", "content": {}}, "content: a string is wanted"),
        ({"type": "UpdateThink"}, "think: is missing"),
        ({"type": "UpdateThink", "think": "gpt"}, "think: an object is wanted"),
        ({"type": "UpdateThink", "think": {"provider": {"type": "hal"}}}, "think.provider.type: no such provider"),
        ({"type": "UpdateThink", "think": {"provider": {"type": "open_ai"}}}, "think.provider.model: is missing"),
        ({"type": "UpdateThink", "think": {"provider": {"model": "m"}}}, "think.provider.type: a string is wanted"),
        (
            {"type": "UpdateSpeak", "speak": {"provider": {"type": "eleven_labs", "model_id": "m", "speed": 1}}},
            "speak.provider.speed: no such key",
        ),
        (
            {
                "type": "UpdateSpeak",
                "speak": {"provider": {"type": "deepgram", "model": "aura-2-luna-en", "language": "en"}},
            },
            "speak.provider.language: no such key",
        ),
        (
            {"type": "UpdateListen", "listen": {"provider": {"type": "whisper"}}},
            "listen.provider.type: no such provider",
        ),
        (
            {
                "type": "UpdateListen",
                "listen": {
                    "provider": {"type": "deepgram", "version": "v2", "model": "flux-general-en", "language": "en"}
                },
            },
            "listen.provider.language: no such key",
        ),
        (
            {"type": "UpdateListen", "listen": {"provider": {"type": "deepgram", "version": "v2"}}},
            "listen.provider.model: is missing",
        ),
        ({"type": "Settings", "agent": {}}, "audio: is missing"),
        ({"type": "Settings", "audio": {}}, "agent: is missing"),
        ({"type": "Settings", "audio": {}, "agent": []}, "agent: an object is wanted"),
        (
            {"type": "Settings", "audio": {"input": {"encoding": "mulaw"}}, "agent": {}},
            "audio.input.sample_rate: is missing",
        ),
        (
            {"type": "Settings", "audio": {"input": {"encoding": "mulaw", "sample_rate": 8000.0}}, "agent": {}},
            "audio.input.sample_rate: an integer",
        ),
        ({"type": "Settings", "audio": {}, "agent": {}, "tags": "x"}, "tags: an array is wanted"),
        ({"type": "Settings", "audio": {}, "agent": {}, "tags": [1]}, "tags: a string is wanted"),
        ({"type": "Settings", "audio": {}, "agent": {}, "experimental": "yes"}, "experimental: a boolean"),
        (
            {"type": "Settings", "audio": {}, "agent": {"context": {"messages": [{"role": "user", "content": "x"}]}}},
            "agent.context.messages.type: History",
        ),
        (
            {
                "type": "Settings",
                "audio": {},
                "agent": {"context": {"messages": [{"type": "History", "role": "system", "content": "x"}]}},
            },
            "agent.context.messages.role: user or",
        ),
        (
            {
                "type": "Settings",
                "audio": {},
                "agent": {"context": {"messages": [{"type": "History", "function_calls": [{"id": "1"}]}]}},
            },
            "agent.context.messages.function_calls.name: is missing",
        ),
        (
            {
                "type": "Settings",
                "audio": {},
                "agent": {"think": {"provider": {"type": "open_ai", "model": "m", "temperature": True}}},
            },
            "agent.think.provider.temperature: a number",
        ),
        (
            {
                "type": "Settings",
                "audio": {},
                "agent": {
                    "think": {
                        "provider": {"type": "open_ai", "model": "m"},
                        "endpoint": {"url": "u", "headers": {"a": 1}},
                    }
                },
            },
            "agent.think.endpoint.headers.a: a string",
        ),
        (
            {
                "type": "Settings",
                "audio": {},
                "agent": {"think": {"provider": {"type": "open_ai", "model": "m"}, "context_length": "min"}},
            },
            'agent.think.context_length: "max" or',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_unparsable_and_says_where(message: object, reason: str) -> None:
    assert refusal(message).startswith(reason)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "InjectAgentMessage", "is_dynamic": True},
        {"type": "FunctionCallResponse", "name": "f", "content": "x", "thought_signature": "s", "id": None},
        {
            "type": "UpdateThink",
            "think": {"provider": {"type": "google"}, "endpoint": {"url": "https://x.test"}, "context_length": 9000},
        },
        {"type": "UpdateThink", "think": {"provider": {"type": "open_ai", "model": "m"}, "context_length": "max"}},
        {
            "type": "UpdateSpeak",
            "speak": {"provider": {"type": "cartesia", "model_id": "m", "voice": {"mode": "id", "id": "v"}}},
        },
        {
            "type": "UpdateSpeak",
            "speak": {
                "provider": {"type": "open_ai", "model": "tts-1", "voice": "alloy"},
                "endpoint": {"url": "https://x.test"},
            },
        },
        {"type": "UpdateListen", "listen": {"provider": {"type": "deepgram"}}},
    ],
    ids=lambda message: json.dumps(message)[9:60],
)
def test_what_fits_is_taken(message: dict[str, object]) -> None:
    read = decode_client(json.dumps(message))

    assert decode_client(frame_of(read)) == read


def test_a_binary_frame_is_audio_whatever_is_in_it() -> None:
    assert decode_client(b'{"type":"KeepAlive"}') == CallerAudio(b'{"type":"KeepAlive"}')


def test_an_answer_without_an_id_is_taken() -> None:
    assert decode_client('{"type":"FunctionCallResponse","name":"f","content":""}') == FunctionCallResponse("", "f", "")


def test_a_chain_of_one_is_an_object_and_a_longer_one_an_array() -> None:
    one = REQUESTS[UpdateThink]
    assert isinstance(one, UpdateThink)
    two = UpdateThink(one.think * 2)

    assert isinstance(json.loads(frame_of(one))["think"], dict)
    assert isinstance(json.loads(frame_of(two))["think"], list)
    assert decode_client(frame_of(two)) == two


def test_a_dynamic_injection_has_no_message() -> None:
    assert decode_client('{"type":"InjectAgentMessage","is_dynamic":true}') == InjectAgentMessage(is_dynamic=True)


def test_the_order_of_preference_is_kept() -> None:
    settings = decode_client(json.dumps(FULL))

    assert isinstance(settings, Settings)
    assert isinstance(settings.agent, AgentSettings)
    assert [think.provider.type for think in settings.agent.think] == ["open_ai", "anthropic"]
    assert [speak.provider.model for speak in settings.agent.speak] == ["flux-kit-en", "aura-2-luna-en"]


@QUICK
@given(frame=damaged(CLIENT) | st.text(UNICODE, max_size=10))
def test_nothing_a_client_may_send_raises_anything_but_a_code_of_the_service(frame: str) -> None:
    try:
        message = decode_client(frame)
    except RemoteProtocolError as error:
        assert error.code in CODES  # noqa: PT017 -- the error is half of the promise
        return
    assert decode_client(frame_of(message)) == message
