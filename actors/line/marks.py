"""The marks on one line: which are out, and what an echo of one proves.

Plain bookkeeping for the Ledger; a position is a number of bytes sent to the line. An echo proves playback only if no
`clear` came between, which has all of them echoed (Twilio reference, section 1.6), and if the line can have played so
much by then: some networks echo a mark as soon as they have it.
"""

import math

import attrs

from protocol.audio import BYTES_PER_SECOND

_TOO_SOON = 0.1
"""Seconds: an echo may be so much earlier than the end of the audio before it, and be honest."""
_MOST_OUT = 100
"""Marks that may still come back on a line from which none is expected."""


@attrs.define
class Marks:
    """Times are trio's."""

    marked: int = attrs.field(default=0, init=False)
    """The position of the last mark."""
    told: float = attrs.field(default=0, init=False)
    """Up to here the line says that it has played; where that is too soon to be true, our clock says when it has.

    Infinite: no mark comes back, and our clock says it of everything.
    """
    has_told: bool = attrs.field(default=False, init=False)
    """Whether an echo has ever told what was played: one that follows a `clear` does not."""
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
        if self.told == math.inf and len(self._out) > _MOST_OUT:
            del self._out[next(iter(self._out))]
        return name

    def expect_none(self) -> None:
        """Note that the line plays, and echoes no mark."""
        self.told = math.inf

    def take(self, name: str, now: float) -> int | None:
        """Take an echo; return what it proves to be played. Unknown marks, and those that were flushed, prove nothing.

        Nor does one that is too soon: it is `told` all the same. Marks come back in order: an earlier one that has not
        is not waited for any more.
        """
        mark = self._out.pop(name, None)
        if mark is None or mark[0] <= self.told < math.inf:
            return None
        position, soonest = mark
        self.told, self.has_told = position, True
        self._out = {later: one for later, one in self._out.items() if one[0] > position}
        return position if now >= soonest - _TOO_SOON else None

    def flush(self, sent: int, now: float) -> None:
        """Note that the line was cleared, or is given up."""
        self._out.clear()
        self.soonest_end = min(self.soonest_end, now)
        self.marked, self.told = sent, max(self.told, sent)
