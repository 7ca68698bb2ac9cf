"""Media Streams frames to values and back: our half (Twilio's is in `simulators/twilio/codec.py`).

`decode` reads what Twilio sends and forgives what it can. Anything unreadable is a `RemoteProtocolError`, which drops
one frame. Once the stream is known, the bridge has media frames of the captured shape sliced instead of read as JSON:
a property test holds the two routes equal.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from protocol import fields
from protocol.errors import RemoteProtocolError
from protocol.fields import Fields
from protocol.twilio import messages

MAX_MEDIA_BYTES = 16_000
"""Two seconds in one message. Captures hold 160 bytes; nothing honest comes near this."""

_MAX_MEDIA_CHARACTERS = 4 * -(-MAX_MEDIA_BYTES // 3)
_MEDIA_HEAD = re.compile(
    r'\{"event":"media","sequenceNumber":"[0-9]{1,15}",'
    r'"media":\{"track":"inbound","chunk":"[0-9]{1,15}","timestamp":"[0-9]{1,15}","payload":"'
)


def decode(frame: str | bytes) -> messages.FromTwilio:
    return decode_addressed(frame)[0]


def decode_addressed(frame: str | bytes) -> tuple[messages.FromTwilio, str]:
    """Read one frame from Twilio, and the streamSid on its envelope ("" when it has none)."""
    message = fields.load_object_leniently(frame)
    event = message.get("event")
    if not isinstance(event, str):
        return messages.UnknownEvent("", message), ""
    read = _READERS.get(event)
    if read is None:
        return messages.UnknownEvent(event, message), ""
    return read(message), fields.text_or(message, "streamSid", "")


def media_tail(stream_sid: str) -> str:
    """Return how a media frame of this stream ends, for `sliced_media`."""
    return f'"}},"streamSid":{fields.dump(stream_sid)}}}'


def sliced_media(frame: str | bytes, tail: str) -> bytes | None:
    """Return the audio of a media frame of the captured shape; None sends every other frame the long way round.

    Head and tail are matched in full, and strict base64 lets no quote or backslash through: what is accepted here is
    JSON, with these keys, once each, and `decode` would make the same of it.
    """
    if isinstance(frame, bytes) or not frame.endswith(tail):
        return None
    head = _MEDIA_HEAD.match(frame)
    if head is None:
        return None
    start, end = head.end(), len(frame) - len(tail)
    if not start <= end <= start + _MAX_MEDIA_CHARACTERS:
        return None
    try:
        return binascii.a2b_base64(frame[start:end], strict_mode=True)
    except ValueError:
        return None


def _read_start(message: Fields) -> messages.StreamStarted:
    """Read `start`: what we act on is checked, and of the rest only what can be read is there."""
    start = fields.child(message, "start")
    coding = {} if start.get("mediaFormat") is None else fields.child(start, "mediaFormat")
    parameters = {} if start.get("customParameters") is None else fields.child(start, "customParameters")
    return messages.StreamStarted(
        stream_sid=fields.optional_text(start, "streamSid") or fields.text(message, "streamSid"),
        call_sid=fields.text(start, "callSid"),
        media_format=messages.MediaFormat(
            fields.text_or(coding, "encoding", "audio/x-mulaw"),
            fields.whole_number(coding, "sampleRate", 8000),
            fields.whole_number(coding, "channels", 1),
        ),
        parameters={name: value for name, value in parameters.items() if isinstance(value, str)},
    )


def _read_media(message: Fields) -> messages.MediaArrived | messages.UnknownEvent:
    media = fields.child(message, "media")
    if fields.text_or(media, "track", "inbound") != "inbound":
        return messages.UnknownEvent("media", message)
    timestamp = fields.measurement(media, "timestamp")
    exact = None if timestamp is None or abs(timestamp) > fields.EXACT else int(timestamp)
    return messages.MediaArrived(read_payload(media), exact)


def read_payload(media: Fields) -> bytes:
    encoded = fields.text(media, "payload")
    if len(encoded) > _MAX_MEDIA_CHARACTERS:
        raise RemoteProtocolError(f"payload: more than {MAX_MEDIA_BYTES} bytes in one message", encoded)
    try:
        return binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError as error:
        raise RemoteProtocolError("payload: not base64", encoded) from error


_READERS: Mapping[str, Callable[[Fields], messages.FromTwilio]] = {
    "connected": lambda _: messages.StreamConnected(),
    "start": _read_start,
    "media": _read_media,
    "dtmf": lambda message: messages.DtmfReceived(
        fields.text(fields.child(message, "dtmf"), "digit"), fields.words_or_nothing(message, "sequenceNumber")
    ),
    "mark": lambda message: messages.MarkReached(fields.text(fields.child(message, "mark"), "name")),
    "stop": lambda _: messages.StreamStopped(),
}


@lru_cache(maxsize=1024)
def _media_prefix(stream_sid: str) -> str:
    return f'{{"event":"media","streamSid":{fields.dump(stream_sid)},"media":{{"payload":"'


def encode_media(stream_sid: str, audio: bytes) -> str:
    """Write speech to be played: raw µ-law, any length, no container header."""
    return f'{_media_prefix(stream_sid)}{binascii.b2a_base64(audio, newline=False).decode()}"}}}}'


def encode_mark(stream_sid: str, name: str) -> str:
    """Write a mark; Twilio echoes it once all earlier audio has been played."""
    return fields.dump({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}})


def encode_clear(stream_sid: str) -> str:
    """Write the order to drop everything not yet played."""
    return fields.dump({"event": "clear", "streamSid": stream_sid})
