"""The caller's audio in a soak: frames that say which one they are, and are loud or as good as silent.

A caller speaks and pauses, so that there are turns to hear, and silence that need not be replayed.
"""

from binascii import b2a_base64
from collections.abc import Iterator

from bench.frames import Cutter, Habit, Tag, frame_base64, quiet

HABIT = Habit(cycle=200, spoken=70)
"""1.4 seconds of speech, then 2.6 of silence."""


def is_spoken(call: int, number: int) -> bool:
    """Say whether the caller speaks in a frame."""
    return HABIT.speaks_in(call, number)


def spoken_in(call: int, first: int, end: int) -> int:
    """Count the frames in which the caller speaks, from `first` up to `end`."""
    return sum(is_spoken(call, number) for number in range(first, end))


def caller_base64(tag: Tag) -> bytes:
    """Write one frame of a caller as Twilio carries it."""
    if is_spoken(tag.stream, tag.number):
        return frame_base64(tag)
    return b2a_base64(quiet(tag), newline=False)


def cut(audio: bytes) -> Iterator[Tag]:
    """Return the tags in whole frames of a caller; those that are nobody's are left out."""
    yield from Cutter().cut(audio)
