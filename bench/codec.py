"""What one media frame costs to read and to write, by each route: `python bench/codec.py`."""

import base64
import binascii
import timeit
from collections.abc import Callable

import orjson

from protocol import twilio
from protocol.twilio import codec
from simulators.twilio.codec import encode_event

SID = "MZ00112233445566778899aabbccddeeff"
AUDIO = bytes(range(160))
FRAME = encode_event(twilio.MediaArrived(AUDIO, 1593), sequence=74, stream_sid=SID, chunk=73)
OTHER = encode_event(twilio.MarkReached("u7:c3"), sequence=75, stream_sid=SID)
PAYLOAD = base64.b64encode(AUDIO).decode()
TAIL = codec.media_tail(SID)
ROUNDS = 20_000


def microseconds(call: Callable[[], object]) -> float:
    """Return the best of five runs, a call."""
    return min(timeit.repeat(call, number=ROUNDS, repeat=5)) / ROUNDS * 1e6


def orjson_media() -> bytes:
    """Encode the plain way."""
    payload = base64.b64encode(AUDIO).decode()
    return orjson.dumps({"event": "media", "streamSid": SID, "media": {"payload": payload}})


def formatted_media() -> str:
    """Encode without a cache for what comes before the payload."""
    payload = binascii.b2a_base64(AUDIO, newline=False).decode()
    return f'{{"event":"media","streamSid":"{SID}","media":{{"payload":"{payload}"}}}}'


def streaming() -> twilio.MediaStreamDialogue:
    """Return a dialogue that knows its stream."""
    dialogue = twilio.MediaStreamDialogue()
    dialogue.receive(encode_event(twilio.StreamStarted(SID, "CA1"), sequence=1, stream_sid=SID))
    return dialogue


DIALOGUE = streaming()

ROUTES: dict[str, Callable[[], object]] = {
    "orjson.loads alone": lambda: orjson.loads(FRAME),
    "base64 alone": lambda: binascii.a2b_base64(PAYLOAD, strict_mode=True),
    "a MediaArrived alone": lambda: twilio.MediaArrived(AUDIO, 1593),
    "decode media, orjson route": lambda: codec.decode_addressed(FRAME),
    "decode media, slice route": lambda: codec.sliced_media(FRAME, TAIL),
    "dialogue.receive media, orjson route": lambda: DIALOGUE.receive(FRAME),
    "dialogue.receive mark": lambda: DIALOGUE.receive(OTHER),
    "encode media, orjson": orjson_media,
    "encode media, format + binascii": formatted_media,
    "encode media, as shipped": lambda: twilio.encode_media(SID, AUDIO),
}

if __name__ == "__main__":
    for name, route in ROUTES.items():
        print(f"{name:36} {microseconds(route):6.2f} µs")
