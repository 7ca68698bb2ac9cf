from collections.abc import Callable

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol import twilio
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.twilio import (
    TRANSITIONS,
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
)
from simulators.twilio.codec import (
    OFF_PROTOCOL,
    ClearBuffer,
    SendMark,
    SendMedia,
    ToTwilio,
    decode_command,
    encode_event,
)
from tests.examples import UNICODE
from tests.protocol.strategies import STATEFUL

SID = "MZ00112233445566778899aabbccddeeff"
EVENTS: dict[type[FromTwilio], FromTwilio] = {
    StreamConnected: StreamConnected(),
    StreamStarted: StreamStarted(SID, "CA1"),
    MediaArrived: MediaArrived(b"\xff" * 160, 155),
    DtmfReceived: DtmfReceived("5"),
    MarkReached: MarkReached("greeting"),
    StreamStopped: StreamStopped(),
    UnknownEvent: UnknownEvent("novelty", {"event": "novelty"}),
}


def frame_of(kind: type[FromTwilio]) -> str:
    return encode_event(EVENTS[kind], sequence=1, stream_sid=SID, chunk=1)


def test_a_call_from_first_frame_to_last() -> None:
    dialogue = MediaStreamDialogue()
    states = []

    for kind in (StreamConnected, StreamStarted, MediaArrived, MarkReached, DtmfReceived, StreamStopped):
        assert dialogue.receive(frame_of(kind)) == EVENTS[kind]
        states.append(dialogue.state)

    assert states == [StreamState.AWAITING_START, *[StreamState.STREAMING] * 4, StreamState.STOPPED]


@pytest.mark.parametrize("state", StreamState)
@pytest.mark.parametrize("kind", EVENTS)
def test_the_table_is_the_law(state: StreamState, kind: type[FromTwilio]) -> None:
    dialogue = MediaStreamDialogue(state)
    following = TRANSITIONS[state].get(kind)

    if following is None:
        with pytest.raises(RemoteProtocolError, match=f"{kind.__name__} while {state.name}"):
            dialogue.receive(frame_of(kind))
    else:
        dialogue.receive(frame_of(kind))

    assert dialogue.state is (following or state)


def test_a_start_for_another_stream_is_refused_and_the_call_goes_on() -> None:
    dialogue = MediaStreamDialogue(StreamState.STREAMING, SID)

    with pytest.raises(RemoteProtocolError, match="StreamStarted for another stream"):
        dialogue.receive(encode_event(StreamStarted("MZ2", "CA2"), sequence=1, stream_sid="MZ2"))

    assert (dialogue.state, dialogue.stream_sid) == (StreamState.STREAMING, SID)
    assert dialogue.receive(frame_of(MediaArrived)) == EVENTS[MediaArrived]


def test_a_frame_without_an_address_is_for_the_only_stream_there_is() -> None:
    dialogue = MediaStreamDialogue(StreamState.STREAMING, SID)

    assert dialogue.receive('{"event":"dtmf","dtmf":{"digit":"5"}}') == DtmfReceived("5")


def test_a_key_whose_message_comes_twice_counts_once() -> None:
    dialogue = MediaStreamDialogue(StreamState.STREAMING, SID)
    first, second = (encode_event(DtmfReceived("5"), sequence=number, stream_sid=SID) for number in (3, 4))
    unnumbered = '{"event":"dtmf","dtmf":{"digit":"5"}}'

    for frame in (first, second, unnumbered, unnumbered):
        assert dialogue.receive(frame) == DtmfReceived("5")
        if frame is not unnumbered:
            with pytest.raises(RemoteProtocolError, match="has come before"):
                dialogue.receive(frame)


@attrs.define
class PhoneNetworkDialogue:
    """Twilio's end: numbers what it sends, and takes commands for its own stream only."""

    account_sid: str = ""
    state: StreamState = StreamState.AWAITING_START
    stream_sid: str = ""
    sequence: int = 0
    chunk: int = 0

    def send(self, event: FromTwilio) -> str:
        """Write the next event with the next numbers; `LocalProtocolError` if Twilio would not say it now."""
        following = TRANSITIONS[self.state].get(type(event))
        if following is None:
            raise LocalProtocolError(f"{type(event).__name__} while {self.state.name}")
        if isinstance(event, StreamStarted):
            self.stream_sid = event.stream_sid
        self.sequence += not isinstance(event, StreamConnected)
        self.chunk += isinstance(event, MediaArrived)
        self.state = following
        return encode_event(
            event,
            sequence=self.sequence,
            stream_sid=self.stream_sid,
            chunk=self.chunk,
            account_sid=self.account_sid,
        )

    def receive(self, frame: str | bytes) -> ToTwilio:
        """Read the next command; `RemoteProtocolError` with code 31950 or 31951, as Twilio's debugger would say."""
        command = decode_command(frame)
        if not self.stream_sid or command.stream_sid != self.stream_sid:
            raise RemoteProtocolError.about(frame, "streamSid: not this stream", code=OFF_PROTOCOL)
        return command


class BothEnds(RuleBasedStateMachine):
    """Twilio and we, with frames in flight both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.ours = MediaStreamDialogue()
        self.theirs = PhoneNetworkDialogue("AC1")
        self.to_us: list[tuple[str, FromTwilio]] = []
        self.to_them: list[tuple[str, ToTwilio]] = []
        self.started = False

    @rule(kind=st.sampled_from(list(EVENTS)), payload=st.binary(max_size=4))
    def twilio_speaks(self, kind: type[FromTwilio], payload: bytes) -> None:
        event = MediaArrived(payload, 20) if kind is MediaArrived else EVENTS[kind]
        if kind in TRANSITIONS[self.theirs.state]:
            self.to_us.append((self.theirs.send(event), event))
        else:
            with pytest.raises(LocalProtocolError):
                self.theirs.send(event)

    @precondition(lambda self: self.to_us)
    @rule()
    def we_listen(self) -> None:
        frame, said = self.to_us.pop(0)
        heard = self.ours.receive(frame)

        if isinstance(said, StreamStarted) and self.started:
            assert isinstance(heard, UnknownEvent)
        else:
            assert heard == said
        self.started |= isinstance(said, StreamStarted)

    @precondition(lambda self: self.started)
    @rule(payload=st.binary(max_size=4), name=st.text(UNICODE, max_size=4))
    def we_speak(self, payload: bytes, name: str) -> None:
        sid = self.ours.stream_sid
        self.to_them += [
            (twilio.encode_media(sid, payload), SendMedia(sid, payload)),
            (twilio.encode_mark(sid, name), SendMark(sid, name)),
            (twilio.encode_clear(sid), ClearBuffer(sid)),
        ]

    @precondition(lambda self: self.to_them)
    @rule()
    def twilio_listens(self) -> None:
        frame, said = self.to_them.pop(0)

        assert self.theirs.receive(frame) == said

    @rule(garbage=st.sampled_from(["", "{", "[]", '{"event":"media"}', '{"event":"start","start":{}}', b"\x00"]))
    def the_wire_is_noisy(self, garbage: str | bytes) -> None:
        before = (self.ours.state, self.ours.stream_sid)

        receivers: list[Callable[[str | bytes], object]] = [self.ours.receive, self.theirs.receive]
        for receive in receivers:
            with pytest.raises(RemoteProtocolError):
                receive(garbage)
        assert (self.ours.state, self.ours.stream_sid) == before

    @invariant()
    def we_are_never_ahead_of_twilio(self) -> None:
        assert self.ours.state.value <= self.theirs.state.value


TestBothEnds = BothEnds.TestCase
TestBothEnds.settings = STATEFUL
