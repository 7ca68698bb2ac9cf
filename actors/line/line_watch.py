"""The signs of a caller's line besides words: voice on it, and whether it is dead.

`VoiceActivity` goes by loudness alone: the bridge tells it of every frame. It draws the caller's speech in the
timeline, and is a second source for whether somebody speaks.

`LineWatch` finds a line that is dead and does not say so (promise 8). A media stream always carries the caller's
frames, takes what it is sent, and echoes each mark once it was played. A line that fails in one of these for so long
is given up by `wait_dead`. If the caller answers what no mark has told of, the line plays: one whose marks have never
told of anything is believed to for the rest of the call, another for `_TALKED_ON` times as long behind each turn. It
touches neither the socket nor the call: the bridge tells it what it sees, and ends the stream.
"""

import math
from typing import Protocol

import attrs
import trio

from actors.line.ledger import Ledger
from actors.ticks import Sleeper
from protocol.audio import FRAME_SECONDS

NO_MEDIA, READS_NOTHING, PLAYS_NOTHING = "no media", "reads nothing", "plays nothing"
DEATHS = frozenset({NO_MEDIA, READS_NOTHING, PLAYS_NOTHING})
_LOOKS = 4
"""How often, within the time a mark may be late, it is looked whether one has come back."""
_TALKED_ON = 6
"""For a caller who talks on: they hear us, for others hang up; and their line has only ceased to tell so."""


class Talk(Protocol):
    """The conversation, as the line knows it."""

    caller_turns: int


@attrs.define(eq=False)
class LineWatch:
    """Watches one line. Times are trio's."""

    ledger: Ledger
    talk: Talk
    limit: float
    """Seconds."""
    heard: float = attrs.field(factory=trio.current_time)
    """When the last frame of the caller's came."""
    sending_since: float = math.inf
    """Since when something waits to be taken; infinite while nothing does."""
    died_of: str = attrs.field(default="", init=False)
    _mark: str | None = attrs.field(default=None, init=False)
    _mark_due: float = attrs.field(default=math.inf, init=False)
    _turns: int = attrs.field(default=0, init=False)
    """How many there were when it was looked last."""
    _believed_until: float = attrs.field(default=-math.inf, init=False)
    """The line plays, and does not tell: a turn has come behind a mark that was due."""
    _next: float = attrs.field(default=math.inf, init=False)
    """When the next look is due."""
    _nap: Sleeper = attrs.field(factory=Sleeper, init=False)

    async def wait_dead(self) -> str:
        """Wait until the line is dead; return of what. The clock of all calls looks, and no task is woken for it."""
        self._next = trio.current_time()
        await self._nap.sleep_until(self._look(), look=self._look)
        return self.died_of

    def _look(self) -> float:
        """Note of what the line is dead, if it is; return when to look again, a moment that is past if it is."""
        now = trio.current_time()
        late = now - self._next  # what the line has sent while we were late ourselves is still unread
        self.heard += late
        self.sending_since += late
        self._mark_due += late
        self._look_for_mark(now)
        untold = max(self._mark_due, self._believed_until - self.limit)
        due = {NO_MEDIA: self.heard, READS_NOTHING: self.sending_since, PLAYS_NOTHING: untold}
        why = min(due, key=lambda sign: due[sign])
        dies = due[why] + self.limit
        self.died_of = why if now >= dies else ""
        self._next = min(dies, now + self.limit / _LOOKS)
        return -math.inf if self.died_of else self._next

    def _look_for_mark(self, now: float) -> None:
        mark = self.ledger.marks.oldest
        if mark != self._mark:
            self._mark, self._mark_due = mark, math.inf if mark is None else now + self.ledger.buffered
        has_answered, self._turns = self.talk.caller_turns > self._turns, self.talk.caller_turns
        if has_answered and (now >= self._mark_due + self.limit / _LOOKS or now < self._believed_until):
            self._believed_until = now + _TALKED_ON * self.limit if self.ledger.marks.has_told else math.inf
        if now < self._believed_until and now >= self._mark_due + self.limit:
            self.ledger.expect_no_marks()


BREATH = 0.4
"""Seconds: a shorter pause does not end an interval of speech."""


@attrs.define(eq=False)
class VoiceActivity:
    """The voice activity of one caller. Times are on the clock that `hear` is given."""

    began: float | None = None
    last: float = 0.0

    def hear(self, *, voiced: bool, now: float) -> tuple[float, float] | None:
        """Take the next frame; return an interval of speech when it is over."""
        if voiced:
            self.began = now if self.began is None else self.began
            self.last = now + FRAME_SECONDS
        elif self.began is not None and now - self.last >= BREATH:
            return self.end()
        return None

    def end(self) -> tuple[float, float] | None:
        """Return the interval that is under way, if any, and begin anew."""
        began, self.began = self.began, None
        if began is None:
            return None
        return round(began, 3), round(self.last, 3)
