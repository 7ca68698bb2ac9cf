"""The text frames Twilio writes on one Media Stream, numbered as Twilio numbers them.

`FrameWriter` owns the counters: `sequenceNumber` over everything after `connected`, `chunk` over media alone. The
constant parts of a media frame are written once, for there are fifty a second. It sends nothing.
Wire facts: captured streams; https://www.twilio.com/docs/voice/media-streams/websocket-messages.
"""

from binascii import b2a_base64
from collections.abc import Mapping

import attrs

from protocol.audio import FRAME_BYTES, SILENCE
from protocol.twilio import FromTwilio, StreamConnected, StreamStarted
from simulators.twilio.codec import encode_event

SILENT_FRAME = bytes([SILENCE]) * FRAME_BYTES
_SILENT_PAYLOAD = b2a_base64(SILENT_FRAME, newline=False).decode()
_HEAD = '{"event":"media","sequenceNumber":"'

FIRST_TIMESTAMP_MS = 160
"""Captured streams begin at 155 to 171 ms, never at 0."""

BAD_FRAMES = (
    '{"event":"media","media":{',
    "[]",
    '{"event":"media","sequenceNumber":"21","media":["inbound"]}',
    '{"event":"media","media":{"track":"inbound","chunk":"1","timestamp":"1","payload":"not base64 !!!"}}',
    '{"event":"mark","mark":{}}',
    "",
)
"""Text frames that no honest reader can use, in the order in which they are sent."""


@attrs.frozen
class StreamIdentity:
    """The ids and parameters that `start` names."""

    account_sid: str = "AC" + "0" * 32
    call_sid: str = "CA" + "0" * 32
    stream_sid: str = "MZ" + "0" * 32
    parameters: Mapping[str, str] = attrs.field(factory=dict)


def _payload(frames: tuple[bytes, ...]) -> str:
    if len(frames) == 1 and frames[0] is SILENT_FRAME:
        return _SILENT_PAYLOAD
    return b2a_base64(b"".join(frames), newline=False).decode()


@attrs.define(eq=False)
class FrameWriter:
    """The frames of one stream, in order."""

    identity: StreamIdentity
    sequence: int = 0
    chunk: int = 0
    _written: int = attrs.field(default=0, init=False)
    """Milliseconds of the caller."""
    _tail: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._tail = f'"}},"streamSid":"{self.identity.stream_sid}"}}'

    def media(self, *frames: bytes) -> str:
        """Write 20 ms of the caller, or several in one message."""
        self.sequence += 1
        self.chunk += 1
        timestamp = FIRST_TIMESTAMP_MS + self._written
        self._written += 20 * len(frames)
        return (
            f'{_HEAD}{self.sequence}","media":{{"track":"inbound","chunk":"{self.chunk}",'
            f'"timestamp":"{timestamp}","payload":"{_payload(frames)}{self._tail}'
        )

    def start(self) -> str:
        who = self.identity
        return self.event(StreamStarted(who.stream_sid, who.call_sid, parameters=who.parameters))

    def event(self, event: FromTwilio) -> str:
        if not isinstance(event, StreamConnected):
            self.sequence += 1
        who = self.identity
        return encode_event(
            event,
            sequence=self.sequence,
            stream_sid=who.stream_sid,
            account_sid=who.account_sid,
            call_sid=who.call_sid,
        )
