"""Every message we can send, and every one that a simulator sends, is what the official SDK and specs know."""

from typing import cast, get_args

import httpx
import orjson
import pytest
from trio.testing import MockClock

from agents.brief import brief_prompt
from agents.quoting import SpokenTurn
from protocol.deepgram import (
    AgentAudio,
    CallerAudio,
    ClientMessage,
    UnknownMessage,
)
from protocol.deepgram.codec import OTHER_NAMES
from simulators.deepgram.messages import FromService
from simulators.groq import GroqSimulator
from tests.interop.differences import KNOWN
from tests.interop.messages import Sent, client_messages, service_messages
from tests.interop.oracle import SPECS, Difference, Oracle, Source, asyncapi_oracle, groq_oracle, sdk_oracle
from web.clients.briefs import request_for

NEVER_SAID = {AgentAudio, UnknownMessage}
"""What the simulated service never says as text."""

with_specs = pytest.mark.skipif(not SPECS.is_dir(), reason="the official specs are not beside the repository")


def names_of(union: object, without: set[type]) -> set[str]:
    return {OTHER_NAMES.get(kind, kind.__name__) for kind in set(get_args(union)) - without}


def found_by(oracle: Oracle, messages: list[Sent]) -> set[Difference]:
    return {difference for name, message in messages for difference in oracle.differences(name, message)}


def known_of(source: Source) -> set[Difference]:
    return {difference for difference in KNOWN if difference.source == source}


@pytest.mark.slow
async def test_what_is_compared_is_all_there_is(autojump_clock: MockClock) -> None:
    assert {name for name, _ in client_messages()} == names_of(ClientMessage, {CallerAudio})
    assert {name for name, _ in await service_messages()} == names_of(FromService, NEVER_SAID)


async def test_the_sdk_knows_every_message(autojump_clock: MockClock) -> None:
    client, service = sdk_oracle()

    found = found_by(client, list(client_messages())) | found_by(service, await service_messages())

    assert found == known_of("sdk")


@with_specs
async def test_the_asyncapi_knows_every_message(autojump_clock: MockClock) -> None:
    client, service = asyncapi_oracle()

    found = found_by(client, list(client_messages())) | found_by(service, await service_messages())

    assert found == known_of("asyncapi")


async def test_groqs_sdk_knows_every_request_and_answer(autojump_clock: MockClock) -> None:
    oracle, found = groq_oracle(), set[Difference]()
    transport = httpx.ASGITransport(GroqSimulator())
    bearer = {"authorization": "Bearer gsk_any"}
    messages = brief_prompt("advisor", [SpokenTurn("customer", "I am John.")], {})
    async with httpx.AsyncClient(transport=transport, base_url="http://groq.invalid/openai/v1", headers=bearer) as http:
        for model in ("openai/gpt-oss-120b", "openai/gpt-oss-20b", "llama-3.3-70b-versatile", "gpt-5-mini"):
            body = request_for(model, messages)
            found |= oracle.differences("completion", orjson.loads(orjson.dumps(body)))
            if model.startswith("openai/gpt-oss"):
                answer = await http.post("/chat/completions", json=body)
                found |= oracle.differences("answer", answer.json())
        found |= oracle.differences("models", (await http.get("/models")).json())

    assert found == known_of("groq")


SETTINGS = next(message for name, message in client_messages() if name == "Settings")


def with_keys(message: object, place: str, value: object) -> dict[str, object]:
    """Return a message with another value at a place; an item is named by its number."""
    changed = orjson.loads(orjson.dumps(message))
    *path, key = place.split(".")
    at = changed
    for step in path:
        at = at[int(step)] if step.isdigit() else at[step]
    at[key] = value
    return cast("dict[str, object]", changed)


@pytest.mark.parametrize(
    ("name", "message", "place", "problem"),
    [
        ("Settings", with_keys(SETTINGS, "agent.think.0.functions.0.client_side", True),
         "agent.think.functions.client_side", "extra"),
        ("Settings", with_keys(SETTINGS, "agent.think.0.timeout", 5), "agent.think.timeout", "extra"),
        ("Settings", with_keys(SETTINGS, "agent.listen.provider.smart_format", True),
         "agent.listen.provider.smart_format", "extra"),
        ("Settings", with_keys(SETTINGS, "settings", {}), "settings", "extra"),
        ("Settings", with_keys(SETTINGS, "audio.input.sample_rate", "8000"), "audio.input.sample_rate", "type"),
        ("InjectUserMessage", {"type": "InjectUserMessage", "message": "Hi."}, "content", "missing"),
        ("InjectUserMessage", {"type": "InjectUserMessage", "content": "Hi.", "id": 1}, "id", "extra"),
        ("FunctionCallResponse", {"type": "FunctionCallResponse", "id": "1", "name": "f", "content": {}},
         "content", "type"),
        ("CloseStream", {"type": "CloseStream"}, "", "unknown message"),
    ],
)  # fmt: skip
def test_what_a_session_has_died_of_is_a_difference(
    name: str, message: dict[str, object], place: str, problem: str
) -> None:
    client, _ = sdk_oracle()

    assert Difference("sdk", name, place, problem) in client.differences(name, message)
