"""One utterance of an agent on its way to the caller: its words, its audio, and how much of both was heard.

Plain bookkeeping for the Ledger, in bytes of mu-law audio (8,000 a second): of replies, of what a cut has set aside,
and of the marks on the line. It owns no task and no clock.
"""

from typing import TypeAlias

import attrs

from actors.facts.handoff import HandoffKind
from protocol.audio import BYTES_PER_SECOND

_BYTES_PER_CHARACTER = BYTES_PER_SECOND / 15
"""Speech runs at some fifteen characters a second: used only for a sentence whose audio never arrived in full."""
_TOO_SOON = 0.1
"""Seconds: an echo may be so much earlier than the end of the audio before it, and be honest."""


@attrs.define(eq=False)
class Voice:
    """A session's right to speak, when the Ledger has granted it the floor. One for each incarnation."""

    agent: str
    gap_from: float | None = None
    """When the caller was promised this voice (t0 of a handoff, trio time); None when nobody waits for it."""
    reply: "Reply | None" = None
    how: HandoffKind = "hard"
    """The kind of that handoff."""


@attrs.define(eq=False)
class Reply:
    """The words and audio of an agent between two turns of the caller."""

    agent: str
    generation: int
    at: float
    """Seconds of the call when it began."""
    received: int = 0
    played: int = 0
    is_started: bool = attrs.field(default=False, init=False)
    """Its audio was queued for the caller."""
    whole: bool = False
    """The service has sent all of its audio."""
    closed: bool = attrs.field(default=False, init=False)
    """No more audio will be taken for it."""
    cut: bool = attrs.field(default=False, init=False)
    """The rest of it was dropped."""
    is_over: bool = attrs.field(default=False, init=False)
    """It was played to its end, or cut for good: nothing more becomes of it."""
    spoken: list[tuple[float, float]] = attrs.field(factory=list, init=False)
    """When the caller heard it (trio time); more than one interval if the audio arrived too slowly."""
    _sentences: list[tuple[str, int]] = attrs.field(factory=list, init=False)
    _received_at_text: int = attrs.field(default=0, init=False)

    @property
    def text(self) -> str:
        return " ".join(text for text, _ in self._sentences)

    @property
    def complete(self) -> bool:
        return self.whole and not self.cut and 0 < self.received <= self.played

    def add_text(self, text: str, at: int | None = None) -> None:
        """Note a sentence. Its audio begins about where the audio stood when its text came, `at`; by default now.

        (The first audio of a sentence comes just before its text: Deepgram reference, section 6.2.)
        """
        self._received_at_text = self.received
        self._sentences.append((text, (self.received if at is None else at) if self._sentences else 0))

    def repeats(self, text: str) -> bool:
        """Say whether this is its last sentence again: no audio has come since, or all has."""
        is_last = bool(self._sentences) and self._sentences[-1][0] == text
        return is_last and (self.whole or self.received == self._received_at_text)

    def takes_late(self, text: str) -> bool:
        """Say whether a sentence that comes behind all of its audio is its own."""
        return self.whole and not self.is_over and (not self._sentences or self.repeats(text))

    def end(self) -> list[tuple[float, float]]:
        """End it; return when it was heard, which is not kept."""
        self.closed = True
        self.is_over = True
        spoken, self.spoken = self.spoken, []
        return spoken

    def add_spoken(self, start: float, stop: float) -> None:
        if self.spoken and start - self.spoken[-1][1] < 0.05:
            self.spoken[-1] = (self.spoken[-1][0], stop)
        else:
            self.spoken.append((start, stop))

    def cut_spoken(self, at: float) -> None:
        self.spoken = [(start, min(stop, at)) for start, stop in self.spoken if start < at]

    def heard_text(self, played: int | None = None) -> str:
        """Return the words whose audio was played, to the nearest whole word, for `played` bytes of it."""
        played = self.played if played is None else played
        if not played:
            return ""
        if self.whole and played >= self.received:
            return self.text
        parts = [self._heard_of(index, played) for index in range(len(self._sentences))]
        return " ".join(part for part in parts if part)

    def _heard_of(self, index: int, played: int) -> str:
        text, start = self._sentences[index]
        if index + 1 < len(self._sentences):
            stop = self._sentences[index + 1][1]
        elif self.whole:
            stop = self.received
        else:
            stop = max(self.received, round(start + len(text) * _BYTES_PER_CHARACTER))
        if played >= stop:
            return text
        share = (played - start) / max(1, stop - start)
        heard, length = list[str](), 0
        for word in text.split():
            length += bool(heard) + len(word)
            if length > share * len(text):
                break
            heard.append(word)
        return " ".join(heard)


@attrs.define
class Piece:
    """Audio of a reply that was sent to the line: it is played from `start` to `stop` (trio time), by our clock."""

    reply: Reply
    audio: bytes
    start: float
    stop: float

    def played(self, now: float) -> int:
        """Return how many of its bytes the caller has heard by now, by our clock."""
        share = (now - self.start) / max(self.stop - self.start, 1e-9)
        return round(min(1.0, max(0.0, share)) * len(self.audio))

    def unplayed(self, now: float) -> bytes:
        return self.audio[self.played(now) :]


@attrs.define(eq=False)
class AsideAudio:
    """The unheard rest of replies that were cut, in the order in which it is to be played if nobody really spoke."""

    size: int = 0
    sent: int = 0
    """How many of these bytes were sent to the line before they were cut."""
    pieces: list[tuple[Reply, bytes]] = attrs.field(factory=list, init=False)
    texts: list[tuple[Reply, str, int]] = attrs.field(factory=list, init=False)
    """The sentences that came behind a cut, each with how much of its reply's audio had come before it."""
    _held: dict[int, Reply] = attrs.field(factory=dict, init=False)

    @property
    def replies(self) -> list[Reply]:
        """The replies that may be resumed, also those of which all audio so far was heard."""
        return list(self._held.values())

    def hold(self, reply: Reply) -> None:
        """Take a reply that was cut, or that arrives behind one."""
        self._held[reply.generation] = reply

    def put(self, reply: Reply, audio: bytes, *, was_sent: bool) -> bool:
        """Keep audio of a reply that is held; False if it is not."""
        if reply.generation not in self._held:
            return False
        if audio:
            self.pieces.append((reply, audio))
            self.size += len(audio)
            self.sent += len(audio) if was_sent else 0
        return True

    def put_text(self, reply: Reply, text: str) -> None:
        """Keep a sentence that arrives behind the cut: it is said only if the reply is resumed."""
        self.hold(reply)
        self.texts.append((reply, text, reply.received))


@attrs.define
class Marks:
    """The marks on one line: which are out, and what an echo of one proves. Times are trio's.

    A position is a number of bytes sent to the line. An echo proves playback only if no `clear` came between, which has
    all of them echoed (Twilio reference, section 1.6), and if the line can have played so much by then: some networks
    echo a mark as soon as they have it.
    """

    marked: int = attrs.field(default=0, init=False)
    """The position of the last mark."""
    told: int = attrs.field(default=0, init=False)
    """Up to here the line says that it has played; where that is too soon to be true, our clock says when it has."""
    _out: dict[str, tuple[int, float]] = attrs.field(factory=dict, init=False)
    """By name: its position, and when all before it can have been played at the soonest."""
    soonest_end: float = attrs.field(default=0.0, init=False)
    """When all that was sent can have been played, if it was begun as soon as it was there."""

    @property
    def oldest(self) -> str | None:
        """The first of the marks that are out and have not come back."""
        return next(iter(self._out), None)

    def note_sent(self, size: int, now: float) -> None:
        self.soonest_end = (now if now > self.soonest_end else self.soonest_end) + size / BYTES_PER_SECOND

    def new(self, sent: int) -> str:
        """Return the name of a mark behind all that was sent."""
        self.marked = sent
        name = f"m{sent // 8}" if sent % 8 == 0 else f"m{sent // 8}.{sent % 8}"
        self._out[name] = sent, self.soonest_end
        return name

    def take(self, name: str, now: float) -> int | None:
        """Take an echo; return what it proves to be played. Unknown marks, and those that were flushed, prove nothing.

        Nor does one that is too soon: it is `told` all the same. Marks come back in order: an earlier one that has not
        is not waited for any more.
        """
        mark = self._out.pop(name, None)
        if mark is None or mark[0] <= self.told:
            return None
        position, soonest = mark
        self.told = position
        self._out = {later: one for later, one in self._out.items() if one[0] > position}
        return position if now >= soonest - _TOO_SOON else None

    def give_up(self) -> None:
        """Expect none of the marks that are out: as if they had come back too soon."""
        self._out.clear()
        self.told = self.marked

    def flush(self, sent: int, now: float) -> None:
        """Note that the line was cleared, or is given up."""
        self._out.clear()
        self.soonest_end = min(self.soonest_end, now)
        self.marked, self.told = sent, max(self.told, sent)


@attrs.frozen
class SendAudio:
    """Work for the bridge: audio, and the name of the mark to send behind it, if any."""

    audio: bytes
    mark: str | None


@attrs.frozen
class SendMarkAlone:
    """Work for the bridge: a mark behind audio that was sent without one."""

    mark: str


@attrs.frozen
class SendClear:
    """Work for the bridge: drop what is buffered at Twilio."""


Work: TypeAlias = SendAudio | SendMarkAlone | SendClear
