"""The audio of the benchmark: 20 ms frames that say who sent them, which one they are, and when.

A frame is 160 bytes as on a telephone line: a tag of 24 and a filler loud enough to count as speech. The clock is
`time.monotonic`, which all processes of one machine share, so whoever receives a frame knows its age.
"""

import random
import struct
from binascii import b2a_base64
from collections.abc import Iterator
from typing import NamedTuple

FRAME_BYTES = 160
FRAME_SECONDS = 0.02
BYTES_PER_SECOND = 8000

_MAGIC = b"\x01SwB"
_TAG = struct.Struct("<4sIIId")
_FILLER = random.Random(2026).randbytes(FRAME_BYTES - _TAG.size)
_FRAME = struct.Struct(f"<4sIIId{len(_FILLER)}s")
_FILLER_BASE64 = b2a_base64(_FILLER, newline=False)  # the tag is 24 bytes, a multiple of three: base64 can be joined
_SILENCE = b"\xff" * FRAME_BYTES


class Tag(NamedTuple):
    """What a frame says of itself."""

    stream: int
    """The call, or the agent's session."""
    reply: int
    number: int
    """Counts the frames of the stream from 0."""
    sent: float


def frame(tag: Tag) -> bytes:
    """Write one frame."""
    return _TAG.pack(_MAGIC, *tag) + _FILLER


def frame_base64(tag: Tag) -> bytes:
    """Write one frame as Twilio carries it."""
    return b2a_base64(_TAG.pack(_MAGIC, *tag), newline=False) + _FILLER_BASE64


class Cutter:
    """Cuts one stream of audio back into frames, wherever its messages begin and end."""

    def __init__(self) -> None:
        self.silent = 0
        """Frames of silence, which the server has put in."""
        self.damaged = 0
        self._rest = b""

    def cut(self, audio: bytes) -> Iterator[Tag]:
        """Return the tags of the frames that are complete now."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        for magic, stream, reply, number, sent, filler in _FRAME.iter_unpack(audio[:whole]):
            if magic == _MAGIC and filler == _FILLER:
                yield Tag(stream, reply, number, sent)
            elif magic == _SILENCE[:4] and filler == _SILENCE[: len(filler)]:
                self.silent += 1
            else:
                self.damaged += 1
