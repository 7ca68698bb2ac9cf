"""The order of things on one Media Streams socket, seen from our end.

`MediaStreamDialogue` remembers the one stream this socket carries, and refuses what is not addressed to it. It is one
table of states, and a missing key in it is the error. It does no I/O, and a refusal changes nothing: the frame is
dropped and the dialogue goes on.
"""

import enum
from typing import TypeAlias

import attrs

from protocol.errors import RemoteProtocolError
from protocol.twilio import messages
from protocol.twilio.codec import decode_addressed, media_tail


class StreamState(enum.Enum):
    __hash__ = object.__hash__  # `Enum` has one in Python, and every mark looks its state up

    AWAITING_START = enum.auto()
    STREAMING = enum.auto()
    STOPPED = enum.auto()


Transitions: TypeAlias = dict[StreamState, dict[type[messages.FromTwilio], StreamState]]

TRANSITIONS: Transitions = {
    StreamState.AWAITING_START: {
        messages.StreamConnected: StreamState.AWAITING_START,
        messages.StreamStarted: StreamState.STREAMING,
        messages.StreamStopped: StreamState.STOPPED,
        messages.UnknownEvent: StreamState.AWAITING_START,
    },
    StreamState.STREAMING: {
        messages.StreamConnected: StreamState.STREAMING,
        messages.StreamStarted: StreamState.STREAMING,
        messages.MediaArrived: StreamState.STREAMING,
        messages.DtmfReceived: StreamState.STREAMING,
        messages.MarkReached: StreamState.STREAMING,
        messages.StreamStopped: StreamState.STOPPED,
        messages.UnknownEvent: StreamState.STREAMING,
    },
    StreamState.STOPPED: {
        messages.StreamStopped: StreamState.STOPPED,
        messages.UnknownEvent: StreamState.STOPPED,
    },
}


@attrs.define
class MediaStreamDialogue:
    """Our end: give it every frame that arrives, in order."""

    state: StreamState = StreamState.AWAITING_START
    stream_sid: str = ""
    _last_key: str = attrs.field(default="", init=False)
    """The number of the last key's message."""
    tail: str = attrs.field(
        default=attrs.Factory(lambda self: media_tail(self.stream_sid), takes_self=True),
        init=False,
        repr=False,
        eq=False,
    )
    """How a media frame of the stream ends: `sliced_media` may read those that come while it streams."""

    def receive(self, frame: str | bytes) -> messages.FromTwilio:
        """Read the next frame and move on.

        A second `start` for the same stream is handed back as `UnknownEvent`: it must neither end the call nor rebind
        it. Raises `RemoteProtocolError`, with nothing changed, for a frame that cannot be read, belongs to another
        stream, comes before `start` or after `stop`, or is a key's that has come before.
        """
        event, addressed = decode_addressed(frame)
        following = TRANSITIONS[self.state].get(type(event))
        if following is None:
            raise RemoteProtocolError.about(frame, f"{type(event).__name__} while {self.state.name}")
        if isinstance(event, messages.StreamStarted):
            addressed = event.stream_sid
        if addressed and self.stream_sid and addressed != self.stream_sid:
            raise RemoteProtocolError.about(frame, f"{type(event).__name__} for another stream")
        if isinstance(event, messages.StreamStarted):
            event = self._bind(event)
        elif isinstance(event, messages.DtmfReceived):
            if event.sequence and event.sequence == self._last_key:
                raise RemoteProtocolError.about(frame, "DtmfReceived that has come before")
            self._last_key = event.sequence
        self.state = following
        return event

    def _bind(self, event: messages.StreamStarted) -> messages.StreamStarted | messages.UnknownEvent:
        if self.stream_sid:
            return messages.UnknownEvent("start", {"event": "start", "streamSid": event.stream_sid})
        self.stream_sid = event.stream_sid
        self.tail = media_tail(event.stream_sid)
        return event
