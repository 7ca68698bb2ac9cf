"""The messages of a Media Streams socket: events from Twilio.

Values only. The shapes are those of https://www.twilio.com/docs/voice/media-streams/websocket-messages, checked
against captures; `codec` puts them on the wire, `dialogue` says when they may be said.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import attrs

from protocol.fields import Fields

FINAL_STATUSES: Final = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
"""Statuses of a call after which no other follows: https://www.twilio.com/docs/voice/api/call-resource#call-status-values."""


@attrs.frozen
class MediaFormat:
    encoding: str = "audio/x-mulaw"
    sample_rate: int = 8000
    channels: int = 1

    @property
    def is_telephone(self) -> bool:
        """Whether this is what the whole program assumes: µ-law, 8000 Hz, mono."""
        return self == MediaFormat()


@attrs.frozen
class StreamConnected:
    """Twilio, first: the socket is open."""


@attrs.frozen
class StreamStarted:
    """Twilio, second: whose call this is, and the `<Parameter>`s of our own TwiML."""

    stream_sid: str
    call_sid: str
    media_format: MediaFormat = MediaFormat()
    parameters: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class MediaArrived:
    """Twilio, fifty times a second: the caller's µ-law. `timestamp_ms` counts from the start of the stream."""

    payload: bytes
    timestamp_ms: int | None = None


@attrs.frozen
class DtmfReceived:
    """Twilio, once a key; its number on the stream tells a key from a repetition of its message."""

    digit: str
    sequence: str = attrs.field(default="", eq=False)


@attrs.frozen
class MarkReached:
    """Twilio, when what preceded the mark has been played, or was dropped by `clear`: nothing tells them apart."""

    name: str


@attrs.frozen
class StreamStopped:
    """Twilio, last: the caller hung up, or the call was redirected."""


@attrs.frozen
class UnknownEvent:
    """Twilio, some day: an event this program does not know or has no use for. It never ends a call."""

    event: str
    raw: Fields


FromTwilio: TypeAlias = (
    StreamConnected | StreamStarted | MediaArrived | DtmfReceived | MarkReached | StreamStopped | UnknownEvent
)
