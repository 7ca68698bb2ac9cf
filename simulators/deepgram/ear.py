"""The session's ear: the caller's audio becomes turns.

`Ear` feeds the honest recogniser and decides when a turn begins, may be over, and is over. All of that is counted in
audio received, never by a clock: a client that stops sending silence never ends its turn, as in life. With a
speculative pause a turn is first suspected and then confirmed, unless the user goes on.
"""

from collections.abc import Callable
from typing import TypeAlias

import attrs

from protocol.audio import BYTES_PER_SECOND
from simulators.deepgram.formats import AudioFormat
from simulators.deepgram.knobs import DeepgramKnobs, Seconds
from simulators.hearing import Hearing, SpeechEnded, SpeechStarted, WordHeard


@attrs.frozen
class UserBegan:
    """The user began to speak, or went on after a suspected end."""


@attrs.frozen
class TurnSuspected:
    """The user seems to be done; `text` is all of the turn so far."""

    text: str


@attrs.frozen
class TurnEnded:
    """The user's turn is over; `text` is empty when nothing was understood."""

    text: str


EarEvent: TypeAlias = UserBegan | TurnSuspected | TurnEnded
MakeHearing: TypeAlias = Callable[[Seconds], Hearing]
"""Makes what listens to one session: to speech that is over after so long a pause."""


@attrs.define(eq=False)
class Ear:
    """One session's hearing."""

    _recogniser: Hearing
    _format: AudioFormat
    _confirmation: Seconds | None
    """Seconds of further silence after a suspected end; None: the end is certain at once."""
    speaking: bool = attrs.field(default=False, init=False)
    _heard: int = attrs.field(default=0, init=False)
    _partial: bytes = attrs.field(default=b"", init=False)
    _said: list[str] = attrs.field(factory=list, init=False)
    """Of this turn, before the speech that is going on now."""
    _words: list[str] = attrs.field(factory=list, init=False)
    """Of the speech that is going on now."""
    _forced: bool = attrs.field(default=False, init=False)
    _confirm_at: Seconds | None = attrs.field(default=None, init=False)

    def hear(self, audio: bytes) -> list[EarEvent]:
        if not self._format.is_telephone:
            audio = self._translate(audio)
        self._heard += len(audio)
        events: list[EarEvent] = []
        for heard in self._recogniser.hear(audio):
            match heard:
                case SpeechStarted(at=at):
                    events += self._on_started(at)
                case WordHeard(word=word):
                    self._words.append(word)
                case SpeechEnded(text=text):
                    events += self._on_ended(text)
        if self._confirm_at is not None and self._heard >= self._confirm_at * BYTES_PER_SECOND:
            events.append(self._confirm())
        return events

    def force_end(self) -> list[EarEvent]:
        """End the turn that is going on, if any; what is said from here on belongs to the next one."""
        if not self.speaking and self._confirm_at is None:
            return []
        self._forced = self.speaking
        self._said += self._words
        self._words.clear()
        return [self._confirm()]

    @property
    def seconds(self) -> Seconds:
        return self._heard / BYTES_PER_SECOND

    def _on_started(self, at: Seconds) -> list[EarEvent]:
        events: list[EarEvent] = []
        if self._confirm_at is not None and at >= self._confirm_at:
            events.append(self._confirm())
        self._confirm_at = None
        self.speaking = True
        return [*events, UserBegan()]

    def _on_ended(self, text: str) -> list[EarEvent]:
        self.speaking = False
        rest = " ".join(self._words) if self._forced else text
        self._forced = False
        self._words.clear()
        if rest:
            self._said.append(rest)
        if self._confirmation is None or not self._said:
            return [self._confirm()]
        self._confirm_at = self.seconds + self._confirmation
        return [TurnSuspected(" ".join(self._said))]

    def _confirm(self) -> TurnEnded:
        ended = TurnEnded(" ".join(self._said))
        self._said.clear()
        self._confirm_at = None
        return ended

    def _translate(self, audio: bytes) -> bytes:
        """Bring to telephone audio whole samples of it, keeping the remainder for next time."""
        whole = self._format.bytes_per_second // BYTES_PER_SECOND
        audio = self._partial + audio
        usable = len(audio) - len(audio) % whole
        self._partial = audio[usable:]
        return self._format.to_telephone(audio[:usable])


def make_ear(make_hearing: MakeHearing, audio_format: AudioFormat, knobs: DeepgramKnobs) -> Ear:
    """Listen to audio in this format, with the knobs' pauses."""
    eager = knobs.speculative_pause
    pause = knobs.end_of_turn if eager is None else min(eager, knobs.end_of_turn)
    confirmation = None if eager is None else max(0.0, knobs.end_of_turn - pause)
    return Ear(make_hearing(pause), audio_format, confirmation)
