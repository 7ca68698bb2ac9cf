import json
from collections.abc import Mapping
from typing import Any

from protocol.deepgram import (
    CompletedCall,
    Endpoint,
    FunctionDefinition,
    HistoryCalls,
    HistoryText,
    encode_client,
    listen_with,
    speak_with,
    think_with,
)
from protocol.fields import JSON
from simulators.deepgram.strict import decode_client
from tests.protocol.samples import settings

SCHEMA: Mapping[str, JSON] = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}


def ordered(**changes: object) -> Mapping[str, Any]:
    """Return the wire form of an order for the qualifier, with some of it changed."""
    usual = {
        "think": think_with("anthropic", "claude-haiku-4-5"),
        "functions": [
            FunctionDefinition("handoff", "Hand over.", SCHEMA, True),
            FunctionDefinition("end", "End.", SCHEMA),
        ],
        "greeting": "Hello, this is Alex.",
        "tags": ["agent:qualifier", "call:CA1"],
    }
    order = settings(**{**usual, **changes})  # type: ignore[arg-type]
    frame = encode_client(order)
    assert decode_client(frame) == order
    wire: Mapping[str, Any] = json.loads(frame)
    return wire


def test_an_order_for_a_telephone_call_is_this_and_nothing_more() -> None:
    assert ordered() == {
        "type": "Settings",
        "tags": ["agent:qualifier", "call:CA1"],
        "audio": {
            "input": {"encoding": "mulaw", "sample_rate": 8000},
            "output": {"encoding": "mulaw", "sample_rate": 8000, "container": "none"},
        },
        "agent": {
            "listen": {"provider": {"type": "deepgram", "version": "v2", "model": "flux-general-en"}},
            "think": {
                "provider": {"type": "anthropic", "model": "claude-haiku-4-5"},
                "prompt": "You are Alex.",
                "functions": [
                    {"name": "handoff", "description": "Hand over.", "parameters": SCHEMA, "defer_until_eot": True},
                    {"name": "end", "description": "End.", "parameters": SCHEMA},
                ],
            },
            "speak": {"provider": {"type": "deepgram", "model": "aura-2-mars-en"}},
            "greeting": "Hello, this is Alex.",
        },
    }


def test_a_resumed_agent_has_a_past_and_no_greeting() -> None:
    past = [HistoryText("user", "Hi."), HistoryCalls((CompletedCall("1", "f", True, "{}", "done"),))]

    agent = ordered(greeting=None, context=past)["agent"]

    assert "greeting" not in agent
    assert agent["context"]["messages"] == [
        {"type": "History", "role": "user", "content": "Hi."},
        {
            "type": "History",
            "function_calls": [{"id": "1", "name": "f", "client_side": True, "arguments": "{}", "response": "done"}],
        },
    ]


def test_a_model_of_ones_own_stands_beside_its_provider() -> None:
    elsewhere = Endpoint("https://x.test", {"authorization": "Bearer k"})
    think = ordered(think=think_with("groq", "openai/gpt-oss-20b", endpoint=elsewhere))

    assert think["agent"]["think"]["endpoint"] == {"url": "https://x.test", "headers": {"authorization": "Bearer k"}}
    assert "endpoint" not in think["agent"]["think"]["provider"]


def test_flux_is_asked_for_as_v2_and_the_elders_as_nothing() -> None:
    assert listen_with("flux-general-multi").provider.version == "v2"
    assert listen_with("nova-3").provider.version is None
    assert speak_with("flux-kit-en").provider.version == "v2"
    assert speak_with("aura-2-mars-en").provider.version is None


def test_functions_that_differ_in_their_parameters_only_are_each_ordered_as_they_are() -> None:
    topics: list[Mapping[str, JSON]] = [{**SCHEMA, "required": required} for required in (["reason"], [], ["reason"])]
    orders = [ordered(functions=[FunctionDefinition("find", "Find.", topic)]) for topic in topics]

    assert [order["agent"]["think"]["functions"][0]["parameters"] for order in orders] == topics


def test_an_agent_without_functions_or_past_does_not_mention_them() -> None:
    agent = ordered(functions=(), tags=())["agent"]

    assert "functions" not in agent["think"]
    assert "context" not in agent
