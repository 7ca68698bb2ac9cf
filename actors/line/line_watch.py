"""The signs of a caller's line besides words: voice on it, keys, and whether it is dead.

`VoiceActivity` goes by loudness alone: the bridge tells it of every frame. It draws the caller's speech in the
timeline, and is a second source for whether somebody speaks.

`LineWatch` finds a line that is dead and does not say so (promise 8). A media stream always carries the caller's
frames, takes what it is sent, and echoes each mark once it was played. A line that fails in one of these for so long
is given up: `died_of` says why. If the caller answers what no mark has told of, the line plays, and for the rest of the
call our clock says what was played where marks are missing. It touches neither the socket nor the call: the bridge
tells it what it sees, and ends the stream.

`Keypad` makes entries of single keys, and tells the turn each one. The bridge presses; `collect` is a child of the call
and takes an entry for finished when no key has followed for a while. `#` finishes it at once.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
import trio
from trio.lowlevel import ParkingLot

from actors.facts import DigitPressed, KeysPressed
from actors.journal import Journal
from actors.line.ledger import Ledger
from actors.policy import CallPolicy, wants_person
from actors.supervision import Standby
from actors.turn.events import Event, KeysEntered, Signal
from protocol.audio import FRAME_SECONDS

NO_MEDIA, READS_NOTHING, PLAYS_NOTHING = "no media", "reads nothing", "plays nothing"
DEATHS = frozenset({NO_MEDIA, READS_NOTHING, PLAYS_NOTHING})
_LOOKS = 4
"""How often, within the time a mark may be late, it is looked whether one has come back."""


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
    _plays_untold: bool = attrs.field(default=False, init=False)
    """A turn has come behind a mark that was due."""
    _next: float = attrs.field(factory=trio.current_time, init=False)
    """When the next look is due."""

    def look(self) -> float:
        """Note of what the line is dead, if it is; return when to look again, a moment that is past if it is."""
        now = trio.current_time()
        late = now - self._next  # what the line has sent while we were late ourselves is still unread
        self.heard += late
        self.sending_since += late
        self._mark_due += late
        self._look_for_mark(now)
        due = {NO_MEDIA: self.heard, READS_NOTHING: self.sending_since, PLAYS_NOTHING: self._mark_due}
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
        is_late = now >= self._mark_due + self.limit / _LOOKS
        self._plays_untold = self._plays_untold or (has_answered and is_late)
        if self._plays_untold and is_late:
            self._mark_due = math.inf
            self.ledger.give_up_marks()


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


KEYS = frozenset("0123456789*#ABCD")
LONGEST_ENTRY = 32


@attrs.define(eq=False)
class Keypad:
    """The keys of one call. `has_person`: a caller who presses the key for a person can be put through.

    Keys are often secrets (a PIN, a card's number): the agents are told which, since they ask for them, and journal and
    record only how many (`CallPolicy.keep_digits`). `put` tells `Turn`; `has_room` asks whether it will tell the agents
    one more entry.
    """

    journal: Journal
    policy: CallPolicy
    put: Callable[[Event], None]
    has_room: Callable[[str], bool]
    has_person: bool = False
    collector: Standby = attrs.field(factory=Standby, init=False)
    """What runs `collect`, from the first key on."""
    _typed: str = attrs.field(default="", init=False)
    _pressed_at: float = attrs.field(default=0.0, init=False)
    _pressed: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def press(self, key: str) -> None:
        """Take a key; anything else is passed over."""
        if key not in KEYS:
            return
        self.collector.want()
        self.journal.note(DigitPressed(key if self.policy.keep_digits else ""))
        self._pressed_at = trio.current_time()
        if key != "#" or not self._typed:
            self._typed += key
        self.put(Signal.KEY_PRESSED)
        if key == "#" or len(self._typed) >= LONGEST_ENTRY:
            self._finish()
        self._pressed.unpark_all()

    async def collect(self) -> None:
        """Finish each entry when no further key has come in time. Runs until it is cancelled."""
        while True:
            due = self._pressed_at + self.policy.deadlines.digit_pause
            if not self._typed:
                await self._pressed.park()
            elif trio.current_time() >= due:
                self._finish()
            else:
                with trio.move_on_at(due):
                    await self._pressed.park()

    def _finish(self) -> None:
        entry, self._typed = self._typed, ""
        is_taken = self.has_room(entry)
        self.journal.note(KeysPressed(len(entry), taken=is_taken))
        if is_taken:
            self.put(KeysEntered(entry, self.has_person and wants_person(entry, self.policy.human_digit)))


def masked(entries: Sequence[str]) -> str:
    """Write only how many keys were pressed."""
    count = sum(map(len, entries))
    return f"(pressed {count} {'key' if count == 1 else 'keys'})"
