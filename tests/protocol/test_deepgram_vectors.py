"""Every recorded Voice Agent frame, and what becomes of it; and a real call, in order."""

import json
import re

import pytest

from protocol.deepgram import (
    AgentDialogue,
    DialogueState,
    LatencyReport,
    Settings,
    UnknownMessage,
    decode_server,
)
from protocol.deepgram.codec import OTHER_NAMES
from protocol.deepgram.messages import IGNORED
from protocol.errors import RemoteProtocolError
from simulators.deepgram.dialogue import encode_server
from simulators.deepgram.strict import decode_client
from tests.protocol.recorded import Vector, deepgram_vectors, live_trace
from tests.protocol.samples import SETTINGS
from tests.simulators.deepgram.client import frame_of

VECTORS = deepgram_vectors()
SERVER = [vector for vector in VECTORS if vector.direction == "server"]
CLIENT = [vector for vector in VECTORS if vector.direction == "client"]
EXPECTED_CODE = re.compile(r"(?:expect Error|Early Access;) (\w+)")
REFUSED = {vector.name: code[1] for vector in CLIENT if (code := EXPECTED_CODE.search(vector.note))}
NOT_OURS = {"FunctionCalling", "None"}

EXTRAS = {"session_id", "region", "nested"}


def wire_type(message: object) -> str:
    if isinstance(message, UnknownMessage):
        return message.type
    return OTHER_NAMES.get(type(message), type(message).__name__)


@pytest.mark.parametrize("vector", SERVER, ids=lambda vector: vector.name)
def test_every_server_vector_is_understood_or_passed_over(vector: Vector) -> None:
    message = decode_server(vector.frame)

    assert (vector.type in {*NOT_OURS, *IGNORED}) == isinstance(message, UnknownMessage)
    if vector.type in NOT_OURS:
        assert message == UnknownMessage(vector.type.removeprefix("None"), vector.message)
    else:
        assert wire_type(message) == vector.type


@pytest.mark.parametrize("vector", SERVER, ids=lambda vector: vector.name)
def test_the_simulator_can_say_every_server_vector(vector: Vector) -> None:
    message = decode_server(vector.frame)
    again = json.loads(encode_server(message))

    assert decode_server(json.dumps(again)) == message
    if vector.type == "FunctionCallRequest":  # no arguments at all have one spelling
        again = json.loads(json.dumps(again).replace('"arguments": "{}"', '"arguments": ""'))
    known = {key: value for key, value in vector.message.items() if key not in EXTRAS}
    assert known == {key: value for key, value in again.items() if key in known or key != "conversational_behavior"}


@pytest.mark.parametrize("vector", [v for v in CLIENT if v.name not in REFUSED], ids=lambda vector: vector.name)
def test_every_good_client_vector_is_taken_and_written_to_the_letter(vector: Vector) -> None:
    message = decode_client(vector.frame)

    assert wire_type(message) == vector.type
    assert json.loads(frame_of(message)) == vector.message


@pytest.mark.parametrize("vector", [v for v in CLIENT if v.name in REFUSED], ids=lambda vector: vector.name)
def test_every_bad_client_vector_is_refused_with_the_code_of_the_service(vector: Vector) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_client(vector.frame)

    assert str(caught.value.code).startswith(REFUSED[vector.name])
    assert len(caught.value.excerpt) <= 200


def test_there_are_bad_vectors_of_both_kinds() -> None:
    assert set(REFUSED.values()) == {"UNPARSABLE_CLIENT_MESSAGE", "UNPARSABLE", "INVALID_SETTINGS"}
    assert len(REFUSED) == 11


PLAUSIBLE: dict[str, dict[str, object]] = {
    "Welcome": {"request_id": "6f1c2a90"},
    "ConversationText": {"role": "user", "content": "hello"},
    "History": {"role": "user", "content": "hello"},
    "LatencyReport": {"stt_latency": 0.02},
}


def test_a_real_call_is_followed_from_first_to_last_event() -> None:
    dialogue = AgentDialogue()
    types = live_trace()
    heard = []

    for name in types:
        heard.append(dialogue.receive(json.dumps({"type": name, **PLAUSIBLE.get(name, {})})))
        if dialogue.state is DialogueState.CONFIGURING:
            dialogue.send(SETTINGS)

    assert [wire_type(message) for message in heard] == types
    assert dialogue.state is DialogueState.CONVERSING


def test_a_minimal_order_is_taken() -> None:
    settings = decode_client('{"type":"Settings","audio":{},"agent":{}}')

    assert isinstance(settings, Settings)


def test_latency_reports_hold_one_key_or_seven() -> None:
    reports = [decode_server(vector.frame) for vector in SERVER if vector.type == "LatencyReport"]

    assert LatencyReport(stt_latency=0.0) in reports
    assert LatencyReport() in reports
    assert LatencyReport(0.1, 0.3, 0.32, 0.4, 0.25, 0.15, 0.6) in reports
