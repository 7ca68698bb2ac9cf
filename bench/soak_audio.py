"""The caller's audio in a soak: frames that say which one they are, and are loud or as good as silent.

A caller speaks and pauses, so that there are turns to hear, and silence that need not be replayed. A quiet frame says
the same as a loud one, its digits written as the softest samples there are.
"""

from binascii import b2a_base64
from collections.abc import Iterator

from bench.frames import FRAME_BYTES, Cutter, Tag, frame, frame_base64

CYCLE, SPOKEN = 200, 70
"""Frames: 1.4 seconds of speech, then 2.6 of silence."""
_TAG_BYTES = 24
_DIGITS = b"0123456789abcdef"
_SOFT = bytes.maketrans(_DIGITS, bytes(0xF0 | value for value in range(16)))
_HARD = bytes.maketrans(bytes(0xF0 | value for value in range(16)), _DIGITS)
_SILENCE = b"\xff" * (FRAME_BYTES - 2 * _TAG_BYTES)
_BLANK = b"\xff" * 4


def is_spoken(call: int, number: int) -> bool:
    """Say whether the caller speaks in a frame."""
    return (number + 37 * call) % CYCLE < SPOKEN


def spoken_in(call: int, first: int, end: int) -> int:
    """Count the frames in which the caller speaks, from `first` up to `end`."""
    return sum(is_spoken(call, number) for number in range(first, end))


def quiet(tag: Tag) -> bytes:
    """Write one frame that is as good as silent."""
    return frame(tag)[:_TAG_BYTES].hex().encode().translate(_SOFT) + _SILENCE


def caller_base64(tag: Tag) -> bytes:
    """Write one frame of a caller as Twilio carries it."""
    if is_spoken(tag.stream, tag.number):
        return frame_base64(tag)
    return b2a_base64(quiet(tag), newline=False)


def cut(audio: bytes) -> Iterator[Tag]:
    """Return the tags in whole frames of a caller; those that are nobody's are left out."""
    for start in range(0, len(audio) - FRAME_BYTES + 1, FRAME_BYTES):
        piece = audio[start : start + FRAME_BYTES]
        if piece.endswith(_SILENCE) and not piece.startswith(_BLANK):
            loud = bytes.fromhex(piece[: 2 * _TAG_BYTES].translate(_HARD).decode())
            piece = loud + frame(Tag(0, 0, 0, 0.0))[_TAG_BYTES:]
        yield from Cutter().cut(piece)
