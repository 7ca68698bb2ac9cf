import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import twilio
from protocol.errors import RemoteProtocolError
from protocol.twilio import (
    FromTwilio,
    MarkReached,
    MediaArrived,
    MediaFormat,
    StreamConnected,
    StreamStarted,
    StreamStopped,
    UnknownEvent,
    decode,
)
from protocol.twilio.codec import decode_addressed, media_tail, sliced_media
from simulators.twilio.codec import (
    OFF_PROTOCOL,
    UNDECODABLE,
    ClearBuffer,
    SendMark,
    SendMedia,
    decode_command,
    encode_event,
)
from tests.examples import UNICODE
from tests.protocol.recorded import twilio_vectors
from tests.protocol.strategies import QUICK, damaged

SID = "MZ00112233445566778899aabbccddeeff"
FROM_TWILIO = [
    vector.message for vector in twilio_vectors() if vector.direction == "from_twilio" and len(vector.frame) < 2000
]
TO_TWILIO = [vector.message for vector in twilio_vectors() if vector.direction == "to_twilio"]

sids = st.just(SID) | st.text(UNICODE, max_size=6)
audio = st.binary(max_size=200)


@QUICK
@given(sid=sids, payload=audio, name=st.text(UNICODE, max_size=20))
def test_what_we_write_is_what_twilio_reads(sid: str, payload: bytes, name: str) -> None:
    assert decode_command(twilio.encode_media(sid, payload)) == SendMedia(sid, payload)
    assert decode_command(twilio.encode_mark(sid, name)) == SendMark(sid, name)
    assert decode_command(twilio.encode_clear(sid)) == ClearBuffer(sid)


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON object"),
        ("{}", "event"),
        ('{"event":"say","streamSid":"MZ1"}', "event"),
        ('{"event":5,"streamSid":"MZ1"}', "event"),
        ('{"event":"clear"}', "streamSid"),
        ('{"event":"clear","streamSid":null}', "streamSid"),
        ('{"event":"clear","streamSid":"MZ1","why":"bargein"}', "why"),
        ('{"event":"mark","streamSid":"MZ1"}', "mark"),
        ('{"event":"mark","streamSid":"MZ1","mark":{"name":1}}', "name"),
        ('{"event":"mark","streamSid":"MZ1","mark":{"name":"a","n":1}}', "n"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"/w==","track":"inbound"}}', "track"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"/w="}}', "payload"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":7}}', "payload"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":""},"sequenceNumber":"1"}', "sequenceNumber"),
    ],
)
def test_a_command_off_protocol_is_31951_and_names_the_field(frame: str, field: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^{field}") as caught:
        decode_command(frame)

    assert caught.value.code == OFF_PROTOCOL
    assert caught.value.excerpt == frame


def test_a_binary_command_is_31950() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_command(b"\xff" * 160)

    assert caught.value.code == UNDECODABLE


EVENTS: list[FromTwilio] = [
    StreamConnected(),
    StreamStarted(SID, "CA1", MediaFormat(), {"token": 'Zoë "Q" <&> 日本'}),
    StreamStarted("MZ1", "CA1", media_format=MediaFormat("audio/l16", 16000, 2)),
    MediaArrived(b"\xff" * 160, 155),
    MediaArrived(b"", 0),
    twilio.DtmfReceived("#"),
    MarkReached("größe-Ω"),
    StreamStopped(),
    UnknownEvent("heartbeat", {"event": "heartbeat", "n": 1}),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_the_simulator_writes_is_what_we_read(event: FromTwilio) -> None:
    assert decode(encode_event(event, sequence=2, stream_sid=SID, chunk=1, account_sid="AC1")) == event


def test_counters_travel_as_strings_and_the_media_format_as_numbers() -> None:
    media = json.loads(encode_event(MediaArrived(b"\xff", 155), sequence=2, stream_sid=SID, chunk=1))
    start = json.loads(encode_event(EVENTS[1], sequence=1, stream_sid=SID))

    assert (media["sequenceNumber"], media["media"]["chunk"], media["media"]["timestamp"]) == ("2", "1", "155")
    assert start["start"]["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}


def test_connected_carries_no_counter() -> None:
    frame = encode_event(StreamConnected(), sequence=0, stream_sid=SID)

    assert json.loads(frame) == {"event": "connected", "protocol": "Call", "version": "1.0.0"}


@pytest.mark.parametrize("timestamp", ["later", None, 1e300, [], "nan"])
def test_a_timestamp_that_is_none_does_not_cost_the_audio(timestamp: object) -> None:
    frame = json.dumps({"event": "media", "media": {"payload": "/w==", "timestamp": timestamp}})

    assert decode(frame) == MediaArrived(b"\xff", None)


@pytest.mark.parametrize("stop", ["7", '{"callSid":7}', "null"])
def test_the_second_member_of_a_stop_may_be_anything(stop: str) -> None:
    assert decode(f'{{"event":"stop","stop":{stop}}}') == StreamStopped()


def test_nothing_of_a_connected_is_needed() -> None:
    assert decode('{"event":"connected","protocol":7,"version":[1]}') == StreamConnected()


@QUICK
@given(frame=damaged(FROM_TWILIO))
def test_nothing_twilio_may_send_raises_anything_but_remote_protocol_error(frame: str) -> None:
    try:
        event = decode(frame)
    except RemoteProtocolError:
        return
    encode_event(event, sequence=1, stream_sid=SID)


@QUICK
@given(frame=damaged(TO_TWILIO) | st.binary(max_size=20) | st.text(UNICODE, max_size=20))
def test_nothing_we_may_send_raises_anything_but_a_code_of_twilios(frame: str | bytes) -> None:
    try:
        decode_command(frame)
    except RemoteProtocolError as error:
        assert error.code in {31950, 31951}  # noqa: PT017 -- the error is half of the promise


HEAD = '{"event":"media","sequenceNumber":"3","media":{"track":"inbound","chunk":"2","timestamp":"175","payload":"'
TAIL = media_tail(SID)

pieces = st.sampled_from(
    [
        "/w==",
        "AAEC",
        "=",
        '"',
        "\\u0041",
        "\\/",
        " ",
        "\n",
        "é",
        "\x00",
        '","payload":"',
        '"},"media":{"payload":"',
        '"}',
        SID,
    ]
)
COUNTERS = ["3", "0003", "", "-1", "9" * 15, "9" * 16, "٣", "1e3"]
counters = st.sampled_from(COUNTERS)


@st.composite
def near_media(draw: st.DrawFn) -> str:
    """Write a media frame of the captured shape, or one a character or a key away from it."""
    number, chunk, timestamp = draw(counters), draw(counters), draw(counters)
    payload = "".join(draw(st.lists(pieces, max_size=3)))
    track = draw(st.sampled_from(["inbound", "inbound", "outbound"]))
    media = f'"media":{{"track":"{track}","chunk":"{chunk}","timestamp":"{timestamp}","payload":"{payload}"}}'
    envelope = [
        f'"event":"media","sequenceNumber":"{number}"',
        media,
        f'"streamSid":"{draw(st.sampled_from([SID, "MZ1"]))}"',
    ]
    shuffled = draw(st.permutations(envelope) | st.just(envelope))
    return "{" + draw(st.sampled_from([",", ",", ", "])).join(shuffled) + "}" + draw(st.sampled_from(["", "", " "]))


def agree(frame: str, sid: str) -> bytes | None:
    sliced = sliced_media(frame, media_tail(sid))
    if sliced is not None:
        media, addressed = decode_addressed(frame)
        assert isinstance(media, MediaArrived)
        assert (media.payload, addressed) == (sliced, sid)
    return sliced


@QUICK
@given(frame=near_media(), sid=sids)
def test_slicing_and_json_agree_on_everything_near_a_media_frame(frame: str, sid: str) -> None:
    agree(frame, SID)
    agree(frame, sid)


@pytest.mark.parametrize("timestamp", COUNTERS)
def test_slicing_and_json_agree_on_every_kind_of_number(timestamp: str) -> None:
    agree(HEAD.replace("175", timestamp) + "/w==" + TAIL, SID)


@QUICK
@given(payload=audio, sequence=st.integers(0, 10**14), timestamp=st.integers(0, 10**14), sid=sids)
def test_slicing_takes_every_frame_of_the_captured_shape(
    payload: bytes, sequence: int, timestamp: int, sid: str
) -> None:
    frame = encode_event(MediaArrived(payload, timestamp), sequence=sequence, stream_sid=sid, chunk=sequence)

    assert agree(frame, sid) == payload


@QUICK
@given(cut=st.integers(0, 400), piece=pieces, frame=st.just(HEAD + "/7mrpKCgpKq3" + TAIL))
def test_slicing_and_json_agree_on_a_frame_with_something_in_it(cut: int, piece: str, frame: str) -> None:
    agree(frame[:cut] + piece + frame[cut:], SID)
    agree(frame[:cut] + frame[cut + 1 :], SID)


@pytest.mark.parametrize(
    "frame",
    [
        HEAD + "/w==" + media_tail("MZ1"),
        HEAD + "not base64 !!!" + TAIL,
        HEAD + "A" * 40_000 + TAIL,
        HEAD[:-1] + TAIL,
        HEAD.replace("inbound", "outbound") + "/w==" + TAIL,
        HEAD + "/w==",
        (HEAD + "/w==" + TAIL).encode(),
    ],
    ids=["another stream", "no base64", "too long", "head and tail overlap", "outbound", "cut short", "binary"],
)
def test_slicing_leaves_the_rest_to_json(frame: str | bytes) -> None:
    assert sliced_media(frame, TAIL) is None


ODD = [None, 5, 1.5, True, "", "x", [], [1], [None], {}, {"a": 1}, math.nan, 10**400, "\ud83d"]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_what_nobody_acts_on_keeps_no_stream_from_its_start(odd: object) -> None:
    told = {"callSid": "CA1", "streamSid": SID, "accountSid": odd, "tracks": odd, "new": odd}
    start = {**told, "customParameters": {"token": "t", "other": odd}}
    frame = {"event": "start", "sequenceNumber": odd, "streamSid": SID, "start": start, "newer": odd}

    read = decode(json.dumps(frame))  # with what no other writer takes for JSON

    assert isinstance(read, StreamStarted)
    assert (read.call_sid, read.stream_sid, read.parameters["token"]) == ("CA1", SID, "t")


@pytest.mark.parametrize("field", ["mediaFormat", "customParameters"])
def test_a_part_of_a_start_that_is_null_is_not_there(field: str) -> None:
    start = {"callSid": "CA1", "streamSid": SID, field: None}

    assert decode(json.dumps({"event": "start", "start": start})) == StreamStarted(SID, "CA1")


@pytest.mark.parametrize("field", ["callSid", "mediaFormat", "customParameters"])
def test_what_a_start_is_needed_for_is_read_strictly(field: str) -> None:
    start = {"callSid": "CA1", "streamSid": SID, field: [5]}

    with pytest.raises(RemoteProtocolError, match=field):
        decode(json.dumps({"event": "start", "start": start}))
