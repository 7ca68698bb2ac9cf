"""The order of things on one Media Streams socket, seen from both ends.

`MediaStreamDialogue` is ours: it remembers the one stream this socket carries, and refuses what is not addressed to
it. `PhoneNetworkDialogue` is Twilio's half, for the simulator: it numbers the frames and refuses what Twilio refuses.
Both are one table of states, and a missing key in it is the error. Neither does I/O, and a refusal changes nothing:
the frame is dropped and the dialogue goes on.
"""

import enum
from typing import TypeAlias

import attrs

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.twilio.codec import (
    OFF_PROTOCOL,
    decode_addressed,
    decode_command,
    encode_event,
    media_tail,
    sliced_media,
)
from protocol.twilio.messages import (
    DtmfReceived,
    FromTwilio,
    MarkReached,
    MediaArrived,
    StreamConnected,
    StreamStarted,
    StreamStopped,
    ToTwilio,
    UnknownEvent,
)


class StreamState(enum.Enum):
    """How far one socket has come."""

    AWAITING_CONNECTED = enum.auto()
    AWAITING_START = enum.auto()
    STREAMING = enum.auto()
    STOPPED = enum.auto()


Transitions: TypeAlias = dict[StreamState, dict[type[FromTwilio], StreamState]]

TRANSITIONS: Transitions = {
    StreamState.AWAITING_CONNECTED: {
        StreamConnected: StreamState.AWAITING_START,
        StreamStarted: StreamState.STREAMING,
        StreamStopped: StreamState.STOPPED,
        UnknownEvent: StreamState.AWAITING_CONNECTED,
    },
    StreamState.AWAITING_START: {
        StreamConnected: StreamState.AWAITING_START,
        StreamStarted: StreamState.STREAMING,
        StreamStopped: StreamState.STOPPED,
        UnknownEvent: StreamState.AWAITING_START,
    },
    StreamState.STREAMING: {
        StreamConnected: StreamState.STREAMING,
        StreamStarted: StreamState.STREAMING,
        MediaArrived: StreamState.STREAMING,
        DtmfReceived: StreamState.STREAMING,
        MarkReached: StreamState.STREAMING,
        StreamStopped: StreamState.STOPPED,
        UnknownEvent: StreamState.STREAMING,
    },
    StreamState.STOPPED: {
        StreamStopped: StreamState.STOPPED,
        UnknownEvent: StreamState.STOPPED,
    },
}


def _tail_of(dialogue: "MediaStreamDialogue") -> str:
    return media_tail(dialogue.stream_sid)


@attrs.define
class MediaStreamDialogue:
    """Our end: give it every frame that arrives, in order."""

    state: StreamState = StreamState.AWAITING_CONNECTED
    stream_sid: str = ""
    _media_tail: str = attrs.field(default=attrs.Factory(_tail_of, takes_self=True), init=False, repr=False, eq=False)

    def audio_of(self, frame: str | bytes) -> bytes | None:
        """Return the audio of a media frame of the captured shape; None: `receive` reads every other frame."""
        return sliced_media(frame, self._media_tail) if self.state is StreamState.STREAMING else None

    def receive(self, frame: str | bytes) -> FromTwilio:
        """Read the next frame and move on.

        A second `start` for the same stream is handed back as `UnknownEvent`: it must neither end the call nor rebind
        it. Raises `RemoteProtocolError`, with nothing changed, for a frame that cannot be read, belongs to another
        stream, or comes before `start` or after `stop`.
        """
        event, addressed = decode_addressed(frame)
        following = TRANSITIONS[self.state].get(type(event))
        if following is None:
            raise RemoteProtocolError.about(frame, f"{type(event).__name__} while {self.state.name}")
        if isinstance(event, StreamStarted):
            addressed = event.stream_sid
        if addressed and self.stream_sid and addressed != self.stream_sid:
            raise RemoteProtocolError.about(frame, f"{type(event).__name__} for another stream")
        if isinstance(event, StreamStarted):
            event = self._bind(event)
        self.state = following
        return event

    def _bind(self, event: StreamStarted) -> StreamStarted | UnknownEvent:
        if self.stream_sid:
            return UnknownEvent("start", {"event": "start", "streamSid": event.stream_sid})
        self.stream_sid = event.stream_sid
        self._media_tail = media_tail(event.stream_sid)
        return event


@attrs.define
class PhoneNetworkDialogue:
    """Twilio's end: numbers what it sends, and takes commands for its own stream only."""

    account_sid: str = ""
    state: StreamState = StreamState.AWAITING_CONNECTED
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
