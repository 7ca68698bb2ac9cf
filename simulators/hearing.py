"""An honest ear: it understands only what really arrived.

`Recogniser` listens to phone audio and finds it again, byte for byte, in the utterances that may be said. A word is
heard when 80 % of its bytes came; a word whose frames were lost on the way is missing from the text. Time is counted
in audio received, never by a clock, so a backlog is heard like live speech, however it is cut. It knows nothing of
turns, sockets or meaning, and raises nothing: audio that nobody can have said is noise.

The law of the file: while audio goes on as one utterance does, it is followed, its pauses included; where it does not,
it is searched for anew by anchors, 16 bytes of sound at every 32nd byte of each utterance. Utterances that are alike so
far are followed together, and their words are told when one is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

import attrs

from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES, SILENCE, is_voiced
from simulators.reading import Place, Reading, WordHeard, common_end, common_start
from simulators.speech import QUIET, Utterance

__all__ = ["Heard", "Hearing", "Recogniser", "SpeechEnded", "SpeechStarted", "WordHeard"]

NOISE_BYTES: Final = 800
"""100 ms of audio as loud as a voice that nobody in the scenario says count as somebody speaking; a hiss does not."""

_KEY: Final = 16
_STRIDE: Final = 32
_DISTINCT: Final = 8
"""An anchor has so many different bytes: a soft "s" has them, silence and hum have not."""
_SHARE: Final = 0.05
_PROOF: Final = 40
"""So many bytes must be the same for audio to be found."""
_MEMORY: Final = 4000
"""So many bytes in which nothing was found are kept: a word may begin softly."""

_Anchors: TypeAlias = Mapping[bytes, Sequence[Place]]


@attrs.frozen
class SpeechStarted:
    """Somebody began to speak, `at` seconds of audio."""

    at: float


@attrs.frozen
class SpeechEnded:
    """Nobody has spoken for the pause, `at` seconds of audio; `text` is what was understood, "" for noise."""

    at: float
    text: str


Heard: TypeAlias = SpeechStarted | WordHeard | SpeechEnded


class Hearing(Protocol):
    """Listens to one line."""

    def hear(self, audio: bytes) -> Sequence[Heard]:
        """Listen to the next audio, of any length, and return what was understood by its end."""
        ...


@lru_cache(maxsize=64)
def _anchors(utterances: tuple[Utterance, ...]) -> _Anchors:
    anchors: defaultdict[bytes, list[Place]] = defaultdict(list)
    for utterance in utterances:
        for place in range(0, len(utterance.audio) - _KEY + 1, _STRIDE):
            key = utterance.audio[place : place + _KEY]
            if len(set(key)) >= _DISTINCT:
                anchors[key].append((utterance, place))
    return dict(anchors)


def _is_loud(audio: bytes) -> bool:
    return len(audio.translate(None, QUIET)) > _SHARE * len(audio)


def _is_sound(audio: bytes) -> bool:
    return len(audio) - audio.count(SILENCE) > _SHARE * len(audio)


@attrs.define
class Recogniser:
    """Listens to one line on which these utterances may be said; there may become more of them while it listens.

    `pause` seconds of audio without speech end it; a pause within an utterance does not, as long as it goes on.
    """

    utterances: Sequence[Utterance]
    pause: float = attrs.field(default=0.5, kw_only=True)
    _known: int = attrs.field(default=0, init=False)
    """How many utterances there are anchors of."""
    _anchors: _Anchors = attrs.field(init=False, repr=False)
    _readings: list[Reading] = attrs.field(factory=list, init=False, repr=False)
    """What the audio is, while it goes on; the likeliest first."""
    _last: Reading | None = attrs.field(default=None, init=False, repr=False)
    """What it was when it was lost."""
    _lost: bytes = attrs.field(default=b"", init=False, repr=False)
    """The latest audio in which nothing was found."""
    _received: int = attrs.field(default=0, init=False)
    _spoken: int = attrs.field(default=0, init=False)
    """Where the latest speech ended, in bytes received."""
    _noise: int = attrs.field(default=0, init=False)
    _speaking: bool = attrs.field(default=False, init=False)
    _words: list[str] = attrs.field(factory=list, init=False)
    _events: list[Heard] = attrs.field(factory=list, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._learn()

    def _learn(self) -> None:
        self._known = len(self.utterances)
        self._anchors = _anchors(tuple(dict.fromkeys(self.utterances)))

    def hear(self, audio: bytes) -> tuple[Heard, ...]:
        """Listen to the next audio, of any length, and return what was understood by its end."""
        if not self._speaking and audio.count(SILENCE) == len(audio):
            self._received += len(audio)
            self._lost = b""
            self._noise = max(0, self._noise - len(audio))
            return ()
        if len(self.utterances) != self._known:
            self._learn()
        for begin in range(0, len(audio), FRAME_BYTES):
            self._hear_piece(audio[begin : begin + FRAME_BYTES])
        events, self._events = tuple(self._events), []
        return events

    def _hear_piece(self, piece: bytes) -> None:
        self._received += len(piece)
        rest = self._follow(piece) if self._readings else piece
        if rest:
            self._search(rest)
        if self._speaking and not self._readings:
            self._end_speech_after_pause()

    def _follow(self, audio: bytes) -> bytes:
        """Go on in what the latest audio is; return the end of it, where it is something else."""
        going_on = [reading for reading in self._readings if reading.goes_on_with(audio)]
        if going_on:
            self._readings, size = going_on, len(audio)
        else:
            same = [reading.same_as(audio) for reading in self._readings]
            size = max(same)
            self._last = self._readings[same.index(size)]
            self._readings = [self._last]
        past = self._received - (len(audio) - size)
        for reading in self._readings:
            reading.advance(size, past)
        if _is_loud(audio[:size]):
            self._spoken = past
        if len(self._readings) == 1:
            self._tell(self._readings[0])
        if not going_on:
            self._readings = []
        return audio[size:]

    def _search(self, rest: bytes) -> None:
        audio, start = self._lost + rest, max(0, len(self._lost) - _KEY - _STRIDE - _PROOF)
        sound = _is_sound(rest)
        while sound and (found := self._find(audio, start)) is not None:
            begin, places = found
            audio, start = self._lock(audio[begin:], places), 0
        self._lost = audio[-_MEMORY:]
        if not self._readings:
            self._count_noise(rest)

    def _find(self, audio: bytes, start: int) -> tuple[int, list[Place]] | None:
        """Return where known audio begins, and what it may be."""
        for offset in range(start, len(audio) - _KEY + 1):
            places = self._anchors.get(audio[offset : offset + _KEY])
            if places is None:
                continue
            before = [common_end(audio[:offset], sound.audio[:at][-offset:] if offset else b"") for sound, at in places]
            after = [common_start(audio[offset:], sound.audio[at : at + len(audio) - offset]) for sound, at in places]
            if max(after) + max(before) < _PROOF:
                continue
            fit = [
                (sound, at - back)
                for (sound, at), back, on in zip(places, before, after, strict=True)
                if on == max(after) and back == max(before)
            ]
            if fit:
                return offset - max(before), fit
        return None

    def _lock(self, audio: bytes, places: Sequence[Place]) -> bytes:
        """Follow what was found; return the end of it, where it is something else."""
        self._readings = self._begin_readings(places)
        self._noise = 0
        if not self._speaking:
            start = self._received - len(audio.lstrip(QUIET))
            self._start_speech(start)
        return self._follow(audio)

    def _begin_readings(self, places: Sequence[Place]) -> list[Reading]:
        """Begin a reading for each place, first the one that goes on with what was lost."""
        last = self._last
        if last is None:
            return [Reading(utterance, place) for utterance, place in places]
        ahead = [place for utterance, place in places if utterance is last.utterance and place >= last.place]
        again = [place for utterance, place in places if utterance is last.utterance and place < last.place]
        others = [Reading(utterance, place) for utterance, place in places if utterance is not last.utterance]
        if not ahead and not again:
            self._break_off(last)
        return [last.moved_to(place) for place in sorted(ahead) + again] + others

    def _break_off(self, reading: Reading) -> None:
        reading.break_off(self._spoken)
        self._tell(reading)

    def _tell(self, reading: Reading) -> None:
        words = reading.take_words()
        self._events += words
        self._words += (heard.word for heard in words)

    def _count_noise(self, audio: bytes) -> None:
        if not is_voiced(audio):
            self._noise = max(0, self._noise - len(audio))
            return
        self._noise += len(audio)
        if self._noise >= NOISE_BYTES:
            self._start_speech(self._received - self._noise)
        if self._speaking:
            self._spoken = self._received

    def _start_speech(self, start: int) -> None:
        if not self._speaking:
            self._speaking = True
            self._events.append(SpeechStarted(max(0, start) / BYTES_PER_SECOND))

    def _end_speech_after_pause(self) -> None:
        end = self._spoken + round(self.pause * BYTES_PER_SECOND)
        if self._received < end:
            return
        if self._last is not None:
            self._break_off(self._last)
        self._events.append(SpeechEnded(end / BYTES_PER_SECOND, " ".join(self._words)))
        self._speaking, self._words = False, []
