"""The caller's keypad: single keys become entries, and an entry becomes a sentence for the agent.

`Keypad` is one call's. The bridge presses; `collect` is a child of the call and takes an entry for finished when no key
has followed for a while. `#` finishes it at once. Keys are often secrets (a PIN, a card's number): the agents are told
which, since they ask for them, and journal and record only how many (`CallPolicy.keep_digits`).
"""

import math
from collections.abc import Sequence

import attrs
import trio

from actors.facts import DigitPressed, KeysPressed
from actors.journal import Journal
from actors.policy import CallPolicy
from actors.prompter import Prompter

KEYS = frozenset("0123456789*#ABCD")
LONGEST_ENTRY = 32


@attrs.define(eq=False)
class Keypad:
    """One call's."""

    journal: Journal
    policy: CallPolicy
    prompter: Prompter
    finished_at: float = -math.inf
    """When (trio time) the last entry was over."""
    _typed: str = attrs.field(default="", init=False)
    _pressed_at: float = attrs.field(default=0.0, init=False)
    _pressed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def press(self, key: str) -> None:
        """Take a key; what is none is passed over."""
        if key not in KEYS:
            return
        self.journal.note(DigitPressed(key if self.policy.keep_digits else ""))
        self._pressed_at = trio.current_time()
        if key != "#" or not self._typed:
            self._typed += key
        if key == "#" or len(self._typed) >= LONGEST_ENTRY:
            self._finish()
        self._pressed.set()
        self._pressed = trio.Event()

    @property
    def busy_until(self) -> float:
        """When (trio time) the caller is through with typing, unless another key follows."""
        return self._pressed_at + self.policy.digit_pause if self._typed else 0.0

    async def collect(self) -> None:
        """Finish each entry when no further key has come in time. Runs until it is cancelled."""
        while True:
            if not self._typed:
                await self._pressed.wait()
            elif trio.current_time() >= self.busy_until:
                self._finish()
            else:
                with trio.move_on_at(self.busy_until):
                    await self._pressed.wait()

    def _finish(self) -> None:
        entry, self._typed, self.finished_at = self._typed, "", trio.current_time()
        self.journal.note(KeysPressed(len(entry), taken=self.prompter.put_keys(entry)))


def told(entries: Sequence[str], human_digit: str = "") -> str:
    """Write for an agent what the caller has pressed."""
    if list(entries) == [human_digit]:
        return f"The caller pressed {human_digit} on the keypad: they want to speak to a person."
    return f"The caller pressed {', then '.join(' '.join(entry) for entry in entries)} on the keypad."


def masked(entries: Sequence[str]) -> str:
    """Write for whoever must not know which keys it were."""
    count = sum(map(len, entries))
    return f"(pressed {count} {'key' if count == 1 else 'keys'})"
