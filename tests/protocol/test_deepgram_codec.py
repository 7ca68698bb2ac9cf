import json
from typing import get_args

import pytest
from hypothesis import given

from protocol import deepgram
from protocol.deepgram import (
    AgentAudio,
    CallerAudio,
    ClientMessage,
    ConversationText,
    ErrorReported,
    FunctionCall,
    FunctionCallRequest,
    FunctionCallResponse,
    InjectionRefused,
    LatencyReport,
    ServerMessage,
    ServiceWarning,
    UnknownMessage,
    decode_server,
    encode_client,
    is_retryable,
)
from protocol.deepgram.codec import LONGEST_TEXT
from protocol.deepgram.messages import IGNORED
from protocol.errors import LocalProtocolError, RemoteProtocolError
from simulators.deepgram.dialogue import encode_server
from simulators.deepgram.strict import decode_client
from tests.protocol.recorded import deepgram_vectors
from tests.protocol.samples import REPORTS, REQUESTS, SMALLEST
from tests.protocol.strategies import QUICK, damaged

SERVER = [vector.message for vector in deepgram_vectors() if vector.direction == "server"]


def test_there_is_a_sample_of_every_message() -> None:
    assert set(REQUESTS) == set(get_args(ClientMessage))
    assert set(REPORTS) == set(get_args(ServerMessage))


def test_of_a_text_that_nobody_can_speak_only_the_beginning_is_read() -> None:
    read = decode_server(json.dumps({"type": "ConversationText", "role": "assistant", "content": "x " * 500_000}))

    assert read == ConversationText("assistant", "x " * (LONGEST_TEXT // 2))


@pytest.mark.parametrize("message", REPORTS.values(), ids=lambda message: type(message).__name__)
def test_what_the_simulator_writes_is_what_we_read(message: ServerMessage) -> None:
    assert decode_server(encode_server(message)) == message


@pytest.mark.parametrize("message", REQUESTS.values(), ids=lambda message: type(message).__name__)
def test_what_we_write_is_what_the_service_reads(message: ClientMessage) -> None:
    assert decode_client(encode_client(message)) == message


def test_audio_is_binary_and_everything_else_is_text() -> None:
    assert encode_client(CallerAudio(b"\xff")) == b"\xff"
    assert encode_server(AgentAudio(b"\xff")) == b"\xff"
    assert isinstance(encode_client(deepgram.KeepAlive()), str)


@pytest.mark.parametrize("message", [*REQUESTS.values(), *REPORTS.values(), SMALLEST], ids=lambda m: type(m).__name__)
def test_nothing_is_sent_as_null_but_what_is_anything(message: ClientMessage | ServerMessage) -> None:
    if isinstance(message, CallerAudio | AgentAudio):
        return
    frame = encode_client(message) if type(message) in REQUESTS else encode_server(message)  # type: ignore[arg-type]

    assert "null" not in str(frame)


def test_text_that_cannot_travel_is_our_bug() -> None:
    with pytest.raises(LocalProtocolError):
        encode_client(deepgram.InjectUserMessage("\ud800"))


def test_the_behavior_of_a_text_is_always_said() -> None:
    frame = json.loads(encode_server(ConversationText("user", "hello")))

    assert frame["conversational_behavior"] == "default"
    assert "languages" not in frame


def deep(levels: int) -> object:
    return {"a": deep(levels - 1)} if levels else 1


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ({}, "{}"),
        ({"arguments": None}, "{}"),
        ({"arguments": ""}, "{}"),
        ({"arguments": {"city": "Rīga", "n": [1]}}, '{"city":"Rīga","n":[1]}'),
        ({"arguments": '{"a": '}, '{"a": '),
        ({"arguments": [1]}, "[1]"),
        ({"arguments": 5}, "5"),
        ({"arguments": False}, "false"),
        ({"arguments": deep(300)}, '"too many levels"'),
        ({"arguments": "x" * (LONGEST_TEXT + 1)}, '"too long"'),
        ({"arguments": {f"key{number}": number for number in range(100_000)}}, '"too long"'),
    ],
)
def test_arguments_come_in_many_shapes_and_leave_as_text(arguments: dict[str, object], read: str) -> None:
    frame = json.dumps({"type": "FunctionCallRequest", "functions": [{"id": "1", "name": "f", **arguments}]})

    assert decode_server(frame) == FunctionCallRequest((FunctionCall("1", "f", read, True),))


def test_latencies_may_come_as_text_and_nonsense_is_no_latency() -> None:
    frame = '{"type":"LatencyReport","stt_latency":"0.25","tts_latency":"soon","total_latency":1,"ttt_latency":9}'

    assert decode_server(frame) == LatencyReport(stt_latency=0.25, total_latency=1.0)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"type": "Welcome", "session_id": "early"}, deepgram.Welcome("early")),
        ({"type": "ConversationText", "role": "user"}, ConversationText("user", "")),
        ({"type": "ConversationText", "role": "user", "content": None}, ConversationText("user", "")),
        ({"type": "Error"}, ErrorReported("", "")),
        ({"type": "Error", "message": "Why."}, ErrorReported("", "Why.")),
        ({"type": "Error", "code": "X", "description": None}, ErrorReported("X", "")),
        ({"type": "Warning", "code": "X"}, ServiceWarning("X", "")),
        ({"type": "Warning", "code": "X" * 10**6, "message": "Y" * 10**6}, ServiceWarning("X" * 500, "Y" * 500)),
        ({"type": "Welcome", "request_id": "X" * 10**6}, deepgram.Welcome("X" * 500)),
        ({"type": "InjectionRefused", "message": "X" * 10**6}, InjectionRefused("X" * 500)),
        ({"type": "InjectionRefused"}, InjectionRefused("")),
        ({"type": "EndOfTurn"}, deepgram.EndOfTurn("")),
        ({"type": 5}, UnknownMessage("", {"type": 5})),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_a_message_does_not_say_is_assumed(frame: dict[str, object], message: ServerMessage) -> None:
    assert decode_server(json.dumps(frame)) == message


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({"type": "ConversationText", "role": "user", "content": 5}, "content"),
        ({"type": "ConversationText", "role": 1, "content": ""}, "role"),
        ({"type": "FunctionCallRequest", "functions": {}}, "functions"),
        ({"type": "FunctionCallRequest", "functions": [{"id": "1", "name": "f"}, 5]}, "functions"),
        ({"type": "FunctionCallCancelled", "functions": {}}, "functions"),
    ],
    ids=str,
)
def test_a_known_type_of_the_wrong_shape_is_refused_by_the_name_of_the_field(
    frame: dict[str, object], field: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^{field}: "):
        decode_server(json.dumps(frame))


SHAPES: tuple[object, ...] = (None, 5, -1.5, True, "", "words", [], [7], [{}], {}, {"a": [None]})


@pytest.mark.parametrize("name", [*sorted(IGNORED), "LatencyReport", "Novelty"])
def test_what_is_ignored_is_not_validated(name: str) -> None:
    keys = ("role", "content", "function_calls", "id", "name", "count", "escalated", "tts_latency", "novelty")
    for shape in SHAPES:
        for key in keys:
            decode_server(json.dumps({"type": name, key: shape}))
        decode_server(json.dumps({"type": name, **dict.fromkeys(keys, shape)}))


@pytest.mark.parametrize(
    ("message", "ignored", "read"),
    [
        ({"type": "Warning"}, "code", ServiceWarning),
        ({"type": "Warning", "code": "X"}, "description", ServiceWarning),
        ({"type": "Error"}, "code", ErrorReported),
        ({"type": "Error", "code": "X"}, "description", ErrorReported),
        ({"type": "InjectionRefused"}, "message", InjectionRefused),
        ({"type": "Welcome"}, "request_id", deepgram.Welcome),
        ({"type": "EndOfTurn"}, "trigger", deepgram.EndOfTurn),
        ({"type": "AgentThinking"}, "content", deepgram.AgentThinking),
        ({"type": "ConversationText", "role": "user", "content": "Hi"}, "languages", ConversationText),
        ({"type": "ConversationText", "role": "user", "content": "Hi"}, "languages_hinted", ConversationText),
        ({"type": "ConversationText", "role": "user", "content": "Hi"}, "conversational_behavior", ConversationText),
        ({"type": "UserStartedSpeaking"}, "confidence", deepgram.UserStartedSpeaking),
        ({"type": "SettingsApplied"}, "settings", deepgram.SettingsApplied),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_that_is_only_noted_keeps_nothing_from_being_read(
    message: dict[str, object], ignored: str, read: type[ServerMessage]
) -> None:
    for shape in SHAPES:
        assert isinstance(decode_server(json.dumps({**message, ignored: shape})), read), shape


@pytest.mark.parametrize("key", ["id", "name", "arguments", "client_side", "thought_signature"])
@pytest.mark.parametrize("message", [FunctionCallRequest, deepgram.FunctionCallCancelled])
def test_no_part_of_a_function_call_keeps_the_others_from_being_read(message: type[ServerMessage], key: str) -> None:
    for shape in SHAPES:
        asked = {"type": message.__name__, "functions": [{"id": "1", "name": "f", key: shape}, {"id": "2"}]}

        read = decode_server(json.dumps(asked))
        assert isinstance(read, FunctionCallRequest | deepgram.FunctionCallCancelled)
        assert (type(read), [each.id for each in read.functions][1:]) == (message, ["2"]), shape


@pytest.mark.parametrize(
    ("said", "is_ours"), [(False, False), ("false", False), (None, True), ("yes", True), (1, True)]
)
def test_a_function_call_is_ours_unless_it_says_that_it_is_not(said: object, is_ours: bool) -> None:
    asked = {"type": "FunctionCallRequest", "functions": [{"id": "1", "name": "f", "client_side": said}]}

    assert decode_server(json.dumps(asked)) == FunctionCallRequest((FunctionCall("1", "f", "{}", is_ours),))


LONG = ["9" * 400, "-" + "9" * 400, "9" * 5000, "1e400"]


@pytest.mark.parametrize("number", LONG)
def test_a_number_beyond_all_measure_costs_no_session(number: str) -> None:
    called = f'{{"type":"FunctionCallRequest","functions":[{{"name":"f","arguments":{{"n":{number}}}}}]}}'

    assert decode_server(called) == FunctionCallRequest((FunctionCall("", "f", '{"n":null}', client_side=True),))
    assert decode_server(f'{{"type":"Brand","new":{number}}}') == UnknownMessage(
        "Brand", {"type": "Brand", "new": None}
    )
    assert decode_server(f'{{"type":"Brand","new":[NaN,{2**62},{2**64}]}}') == UnknownMessage(
        "Brand", {"type": "Brand", "new": [None, 2**62, float(2**64)]}
    )


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ('{"type":"LatencyReport","tts_latency":NaN}', LatencyReport()),
        ('{"type":"LatencyReport","tts_latency":-Infinity,"total_latency":0.5}', LatencyReport(total_latency=0.5)),
        *((f'{{"type":"LatencyReport","tts_latency":{long}}}', LatencyReport()) for long in LONG),
        *((f'{{"type":"UserStartedSpeaking","at":[{long}]}}', deepgram.UserStartedSpeaking()) for long in LONG),
        ('{"type":"UserStartedSpeaking","confidence":Infinity}', deepgram.UserStartedSpeaking()),
        (
            '{"type":"ConversationText","role":"assistant","content":"Fine \\ud83d"}',
            ConversationText("assistant", "Fine \ufffd"),
        ),
        (
            '{"type":"ConversationText","role":"assistant","content":"Fine \\ud83d\\ude00","x":NaN}',
            ConversationText("assistant", "Fine \U0001f600"),
        ),
    ],
)
def test_numbers_and_characters_that_json_does_not_have_cost_no_session(frame: str, message: ServerMessage) -> None:
    assert decode_server(frame) == message


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        *((frame, "not JSON") for frame in ("", "{", "not json", '{"type": NaN', '{"type":"Welcome"}}')),
        *((frame, "a JSON object is wanted") for frame in ("null", "5", '"text"', "[]", "NaN", "[NaN]")),
        *((frame, "too many levels of JSON") for frame in ("[" * 200_000, '{"a":' * 200_000)),
    ],
)
def test_what_is_no_object_is_refused_all_the_same(frame: str, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        decode_server(frame)


@QUICK
@given(frame=damaged(SERVER))
def test_nothing_the_service_may_send_raises_anything_but_remote_protocol_error(frame: str) -> None:
    try:
        message = decode_server(frame)
    except RemoteProtocolError as error:
        assert len(error.excerpt) <= 200  # noqa: PT017 -- the error is half of the promise
        return
    assert decode_server(encode_server(message)) == message


def test_a_retry_is_spent_on_the_trouble_of_others_and_on_the_unknown() -> None:
    assert all(is_retryable(code) for code in ("FAILED_TO_THINK", "INTERNAL_SERVER_ERROR", "CLIENT_MESSAGE_TIMEOUT"))
    assert not any(is_retryable(code) for code in deepgram.PERMANENT_ERRORS)
    assert is_retryable("INVENTED_IN_2027")


@pytest.mark.parametrize(("signature", "keys"), [(None, set()), ("abc123", {"thought_signature"})])
def test_a_thought_signature_is_answered_with_if_there_was_one(signature: str | None, keys: set[str]) -> None:
    asked = {"id": "fc_1", "name": "f", "arguments": "{}", "client_side": True}
    given = {} if signature is None else {"thought_signature": signature}
    request = decode_server(json.dumps({"type": "FunctionCallRequest", "functions": [asked | given]}))
    assert isinstance(request, FunctionCallRequest)
    (call,) = request.functions

    answer = encode_client(FunctionCallResponse(call.id, call.name, "{}", call.thought_signature))

    assert set(json.loads(answer)) == {"type", "id", "name", "content"} | keys
