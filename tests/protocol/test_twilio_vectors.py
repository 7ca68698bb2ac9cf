"""Every recorded Media Streams frame, and what becomes of it."""

import json
import re

import pytest

from protocol.errors import RemoteProtocolError
from protocol.twilio import (
    DtmfReceived,
    FromTwilio,
    MarkReached,
    MediaArrived,
    MediaStreamDialogue,
    StreamConnected,
    StreamStarted,
    StreamState,
    StreamStopped,
    UnknownEvent,
    decode,
)
from simulators.twilio.codec import SendMedia, ToTwilio, decode_command, encode_event
from tests.protocol.recorded import Vector, twilio_vectors

VECTORS = {vector.name: vector for vector in twilio_vectors()}
SID = "MZ00112233445566778899aabbccddeeff"

UNDERSTOOD: dict[str, type[FromTwilio]] = {
    "v002": StreamConnected,
    **dict.fromkeys(["v004", "v007", "v011", "v012", "v016", "v017", "v018"], StreamStarted),
    **dict.fromkeys(["v022", "v023", "v025", "v027", "v028", "v033", "v040", "v042", "v059"], MediaArrived),
    **dict.fromkeys(["v043", "v044", "v045"], DtmfReceived),
    **dict.fromkeys(["v052", "v053", "v054", "v056"], MarkReached),
    "v058": StreamStopped,
    **dict.fromkeys(["v024", "v060", "v061", "v062", "v063"], UnknownEvent),
}

DROPPED: dict[str, str] = {
    "v015": "start: an object is wanted, it is null",
    "v032": "payload: a string is wanted, it is missing",
    "v034": "payload: not base64",
    "v039": "payload: more than 16000 bytes in one message",
    "v041": "media: an object is wanted, it is an array",
    "v055": "name: a string is wanted, it is missing",
    "v064": "not JSON",
    "v065": "a JSON object is wanted, not an array",
    "v067": "not JSON",
}

TAKEN: dict[str, type[ToTwilio]] = dict.fromkeys(["v068", "v070", "v074", "v076"], SendMedia)

REFUSED: dict[str, int] = {"v078": 31951, "v083": 31950}

OUT_OF_PLACE: dict[str, str] = {
    "v040": "MediaArrived for another stream",
    "v059": "MediaArrived while STOPPED",
}


def test_every_vector_has_a_verdict() -> None:
    assert VECTORS.keys() == UNDERSTOOD.keys() | DROPPED.keys() | TAKEN.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_a_frame_that_says_something_is_understood(name: str) -> None:
    assert type(decode(VECTORS[name].frame)) is UNDERSTOOD[name]


@pytest.mark.parametrize("name", DROPPED)
def test_a_frame_that_says_nothing_is_dropped_with_a_reason(name: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(VECTORS[name].frame)

    assert caught.value.reason.startswith(DROPPED[name])
    assert len(caught.value.excerpt) <= 200


@pytest.mark.parametrize("name", TAKEN)
def test_a_command_that_twilio_takes_is_taken(name: str) -> None:
    assert type(decode_command(VECTORS[name].frame)) is TAKEN[name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_command_that_twilio_refuses_is_refused_with_its_code(name: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_command(VECTORS[name].frame)

    assert caught.value.code == REFUSED[name]


def started() -> MediaStreamDialogue:
    dialogue = MediaStreamDialogue()
    dialogue.receive(VECTORS["v002"].frame)
    dialogue.receive(VECTORS["v004"].frame)
    return dialogue


@pytest.mark.parametrize("name", sorted(UNDERSTOOD.keys() - OUT_OF_PLACE.keys()))
def test_whatever_is_understood_leaves_a_stream_streaming_until_it_stops(name: str) -> None:
    dialogue = started()

    dialogue.receive(VECTORS[name].frame)

    assert dialogue.state is (StreamState.STOPPED if name == "v058" else StreamState.STREAMING)
    assert dialogue.stream_sid == SID


@pytest.mark.parametrize("name", OUT_OF_PLACE)
def test_a_frame_out_of_place_is_dropped(name: str) -> None:
    dialogue = started()
    if name == "v059":
        dialogue.receive(VECTORS["v058"].frame)
    state = dialogue.state

    with pytest.raises(RemoteProtocolError, match=OUT_OF_PLACE[name]):
        dialogue.receive(VECTORS[name].frame)

    assert dialogue.state is state


def test_a_second_start_does_not_rebind_the_call() -> None:
    dialogue = started()

    event = dialogue.receive(VECTORS["v018"].frame)

    assert isinstance(event, UnknownEvent)
    assert event.event == "start"


def test_a_start_names_its_stream_inside_or_outside() -> None:
    for name in ("v004", "v011", "v012"):
        start = decode(VECTORS[name].frame)

        assert isinstance(start, StreamStarted)
        assert start.stream_sid == SID


def test_only_the_captured_format_is_a_telephone() -> None:
    start = decode(VECTORS["v004"].frame)

    assert isinstance(start, StreamStarted)
    assert start.media_format.is_telephone
    assert start.parameters == {}


CAPTURED = [VECTORS[name] for name in ("v004", "v007", "v022", "v023", "v043", "v052", "v056")]


@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector.name)
def test_the_simulator_writes_what_was_captured(vector: Vector) -> None:
    media = vector.message.get("media")
    chunk = int(str(media["chunk"])) if isinstance(media, dict) else 0
    sequence = int(str(vector.message["sequenceNumber"]))

    account_sid, call_sid = (
        next(iter(re.findall(f'"{name}Sid": ?"(.*?)"', str(vector.frame))), "") for name in ("account", "call")
    )

    again = encode_event(
        decode(vector.frame), sequence=sequence, stream_sid=SID, chunk=chunk, account_sid=account_sid, call_sid=call_sid
    )

    assert decode(again) == decode(vector.frame)
    assert json.loads(again) == vector.message
