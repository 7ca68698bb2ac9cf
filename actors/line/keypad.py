"""The caller's keypad: single keys become entries, and each entry is told to the turn.

`Keypad` is one call's. The bridge presses; `collect` is a child of the call and takes an entry for finished when no key
has followed for a while. `#` finishes it at once. Keys are often secrets (a PIN, a card's number): the agents are told
which, since they ask for them, and journal and record only how many (`CallPolicy.keep_digits`).
"""

from collections.abc import Callable, Sequence

import attrs
import trio
from trio.lowlevel import ParkingLot

from actors.facts import DigitPressed, KeysPressed
from actors.journal import Journal
from actors.policy import CallPolicy, wants_person
from actors.supervision import Standby
from actors.turn.events import Event, KeysEntered, Signal

KEYS = frozenset("0123456789*#ABCD")
LONGEST_ENTRY = 32


@attrs.define(eq=False)
class Keypad:
    """The keys of one call. `has_person`: a caller who presses the key for a person can be put through.

    `put` tells `Turn`; `has_room` asks whether it will tell the agents one more entry.
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
