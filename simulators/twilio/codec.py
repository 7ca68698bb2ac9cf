"""Media Streams frames as Twilio reads and writes them.

`decode_command` reads what a server sends and forgives nothing, because Twilio does not (31950, 31951); `encode_event`
writes what Twilio sends. The shapes are those of https://www.twilio.com/docs/voice/media-streams/websocket-messages.
"""

import binascii
from typing import TypeAlias, assert_never

import attrs

from protocol import fields
from protocol.errors import RemoteProtocolError
from protocol.fields import JSON, Fields
from protocol.twilio import (
    DtmfReceived,
    FromTwilio,
    MarkReached,
    MediaArrived,
    StreamConnected,
    StreamStarted,
    StreamStopped,
    UnknownEvent,
)
from protocol.twilio.codec import read_payload

UNDECODABLE = 31950  # https://www.twilio.com/docs/api/errors/31950: a binary frame
OFF_PROTOCOL = 31951  # https://www.twilio.com/docs/api/errors/31951: bad JSON, unknown event, missing or extra field


@attrs.frozen
class SendMedia:
    """A server, for each piece of speech: add µ-law audio to the playback buffer."""

    stream_sid: str
    payload: bytes


@attrs.frozen
class SendMark:
    """A server, behind a piece of speech: echo this name when you get there."""

    stream_sid: str
    name: str


@attrs.frozen
class ClearBuffer:
    """A server, when the caller interrupts: clear the playback buffer and echo every mark in it."""

    stream_sid: str


ToTwilio: TypeAlias = SendMedia | SendMark | ClearBuffer


def decode_command(frame: str | bytes) -> ToTwilio:
    """Read one frame as Twilio reads it: exactly these keys and no other.

    Raises: `RemoteProtocolError` with `code` 31950 or 31951.
    """
    if isinstance(frame, bytes):
        raise RemoteProtocolError.about(frame, "a binary frame", code=UNDECODABLE)
    try:
        return _read_command(fields.load_object(frame))
    except RemoteProtocolError as error:
        raise RemoteProtocolError(error.reason, frame, code=OFF_PROTOCOL) from error


def _read_command(command: Fields) -> ToTwilio:
    event = command.get("event")
    if event == "media":
        _exactly(command, "event", "streamSid", "media")
        media = _exactly(fields.child(command, "media"), "payload")
        return SendMedia(fields.text(command, "streamSid"), read_payload(media))
    if event == "mark":
        _exactly(command, "event", "streamSid", "mark")
        mark = _exactly(fields.child(command, "mark"), "name")
        return SendMark(fields.text(command, "streamSid"), fields.text(mark, "name"))
    if event == "clear":
        _exactly(command, "event", "streamSid")
        return ClearBuffer(fields.text(command, "streamSid"))
    raise RemoteProtocolError("event: media, mark or clear is wanted")


def _exactly(found: Fields, *keys: str) -> Fields:
    if extra := found.keys() - set(keys):
        raise RemoteProtocolError(f"{min(extra)}: no such field")
    return found


def encode_event(
    event: FromTwilio, *, sequence: int, stream_sid: str, chunk: int = 0, account_sid: str = "", call_sid: str = ""
) -> str:
    """Write one frame as Twilio does: counters are strings, the media format's numbers are numbers.

    `sequence` counts every frame after `connected` from 1, `chunk` the media frames from 1.
    """
    body: dict[str, JSON]
    head: dict[str, JSON] = {"sequenceNumber": str(sequence), "streamSid": stream_sid}
    match event:
        case StreamConnected():
            body = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        case StreamStarted():
            start = _start(event, account_sid)
            body = {"event": "start", "sequenceNumber": str(sequence), "start": start, "streamSid": stream_sid}
        case MediaArrived(payload=payload, timestamp_ms=timestamp):
            encoded = binascii.b2a_base64(payload, newline=False).decode()
            media: JSON = {
                "track": "inbound", "chunk": str(chunk), "timestamp": str(timestamp or 0), "payload": encoded
            }  # fmt: skip
            body = {"event": "media", "sequenceNumber": str(sequence), "media": media, "streamSid": stream_sid}
        case DtmfReceived(digit=digit):
            body = {"event": "dtmf", **head, "dtmf": {"track": "inbound_track", "digit": digit}}
        case MarkReached(name=name):
            body = {"event": "mark", **head, "mark": {"name": name}}
        case StreamStopped():
            body = {"event": "stop", **head, "stop": {"accountSid": account_sid, "callSid": call_sid}}
        case UnknownEvent(raw=raw):
            body = dict(raw)
        case _:
            assert_never(event)
    return fields.dump(body)


def _start(event: StreamStarted, account_sid: str) -> JSON:
    coding = event.media_format
    return {
        "accountSid": account_sid,
        "streamSid": event.stream_sid,
        "callSid": event.call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {
            "encoding": coding.encoding,
            "sampleRate": coding.sample_rate,
            "channels": coding.channels,
        },
        "customParameters": dict(event.parameters),
    }
