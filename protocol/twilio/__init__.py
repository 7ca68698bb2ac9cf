"""Twilio Media Streams: the caller's audio, keys and marks, on one WebSocket per call."""

from protocol.twilio.codec import (
    decode,
    encode_clear,
    encode_mark,
    encode_media,
)
from protocol.twilio.dialogue import TRANSITIONS, MediaStreamDialogue, StreamState
from protocol.twilio.messages import (
    FINAL_STATUSES,
    DtmfReceived,
    FromTwilio,
    MarkReached,
    MediaArrived,
    MediaFormat,
    StreamConnected,
    StreamStarted,
    StreamStopped,
    UnknownEvent,
)
