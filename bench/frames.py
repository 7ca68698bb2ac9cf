"""The audio of the benchmark: 20 ms frames that say who sent them, which one they are, and when.

A frame is 160 bytes as on a telephone line: a tag of 24 and a filler loud enough to count as speech. A quiet frame
says the same, its digits written as the softest samples there are. The clock is `time.monotonic`, which all processes
of one machine share, so its receiver knows its age.
"""

import os
import random
import struct
from binascii import b2a_base64
from collections.abc import Iterator
from typing import NamedTuple

import attrs

FRAME_BYTES = 160
FRAME_SECONDS = 0.02
BYTES_PER_SECOND = 8000
PAUSE_FRAMES = 15
"""Of silence behind a turn, until it is transcribed."""

_MAGIC = b"\x01SwB"
_TAG = struct.Struct("<4sIIId")
_FILLER = random.Random(2026).randbytes(FRAME_BYTES - _TAG.size)
_FRAME = struct.Struct(f"<4sIIId{len(_FILLER)}s")
_FILLER_BASE64 = b2a_base64(_FILLER, newline=False)  # the tag is 24 bytes, a multiple of three: base64 can be joined
_SILENCE = b"\xff" * FRAME_BYTES
_DIGITS = b"0123456789abcdef"
_SOFT = bytes.maketrans(_DIGITS, bytes(0xF0 | value for value in range(16)))
_HARD = bytes.maketrans(bytes(0xF0 | value for value in range(16)), _DIGITS)
_SOFT_MAGIC = _MAGIC.hex().encode().translate(_SOFT)[:4]


def call_sid(number: int) -> str:
    """Name a call; no other process names one so. A server that has a record of a call does not connect it again."""
    return f"CA{os.getpid():08x}{number:024x}"


def call_number(sid: str) -> int:
    """Return the number that is in the name of a call."""
    return int(sid[-24:], 16)


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


def quiet(tag: Tag) -> bytes:
    """Write one frame that is as good as silent."""
    return (_TAG.pack(_MAGIC, *tag).hex().encode().translate(_SOFT)).ljust(FRAME_BYTES, _SILENCE[:1])


def _quiet_tag(piece: bytes) -> Tag:
    return Tag(*_TAG.unpack(bytes.fromhex(piece[: 2 * _TAG.size].translate(_HARD).decode()))[1:])


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
        for index, (magic, stream, reply, number, sent, filler) in enumerate(_FRAME.iter_unpack(audio[:whole])):
            if magic == _MAGIC and filler == _FILLER:
                yield Tag(stream, reply, number, sent)
            elif magic == _SILENCE[:4] and filler == _SILENCE[: len(filler)]:
                self.silent += 1
            elif magic == _SOFT_MAGIC and filler.endswith(_SILENCE[2 * _TAG.size :]):
                yield _quiet_tag(audio[index * FRAME_BYTES : (index + 1) * FRAME_BYTES])
            else:
                self.damaged += 1


def beginnings(count: int, seconds: float) -> list[float]:
    """Return when each of so many begins, evenly within so many seconds, and no two of them in step.

    In each share of the seconds one begins at any moment, drawn from a seed: whatever goes on in shorter periods, as
    frames of 20 ms and chunks of 80 do, is then spread over them as it is among callers who know nothing of each other.
    """
    draw = random.Random(count).random
    return [(number + draw()) / count * seconds for number in range(count)]


_STAGGER = 37


@attrs.frozen
class Habit:
    """When a caller speaks: for a part of each cycle, and each caller at another time. All in frames."""

    cycle: int
    spoken: int

    @classmethod
    def of(cls, turn_every: float) -> "Habit | None":
        """Return that of a caller who speaks and listens by turns; None if they speak all the time."""
        cycle = round(turn_every / FRAME_SECONDS)
        return cls(cycle, cycle // 2) if cycle else None

    def speaks_in(self, call: int, number: int) -> bool:
        """Say whether the caller speaks in a frame."""
        return (number + _STAGGER * call) % self.cycle < self.spoken

    def has_paused(self, call: int, number: int) -> bool:
        """Say whether this is the frame in which a listener knows that the caller has come to an end."""
        return (number + _STAGGER * call) % self.cycle == self.spoken + PAUSE_FRAMES
