"""What whoever has the floor is asked to say, or is told, whoever that is by then.

`Prompter` is one call's. It keeps what is waiting to be said or told: keys that the caller has pressed (`Keys`), a
remark of the switchboard's, and the last sentence of a call that the switchboard ends (`Closing`). None of it is
addressed to a session: one that is lost, or hands over, leaves it to the next. It owns no task and says nothing;
`actors/cues.py` does.
"""

import attrs
import trio

MOST_KEYS = 64
"""Waiting at once: nobody types more than that in the time of a handoff."""


@attrs.frozen
class Closing:
    """The call is to end: this is the last thing said, and the call's outcome.

    `within` seconds the sentence must have begun; without a sentence the call ends at once. `go`: not before that, and
    nothing of the agent is heard until then.
    """

    outcome: str
    sentence: str
    within: float
    go: trio.Event | None = None


@attrs.define(eq=False)
class Prompter:
    """One call's."""

    closing: Closing | None = None
    remark: str = ""
    """Waits for a pause."""
    keys: list[str] = attrs.field(factory=list)
    """Waits for an agent: what was pressed, entry by entry."""
    _closing: trio.Event = attrs.field(factory=trio.Event, init=False)
    _begun: trio.Event = attrs.field(factory=trio.Event, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def close(self, closing: Closing) -> bool:
        """Have the call end; False if it is ending already."""
        if self.closing is not None:
            return False
        self.closing = closing
        self._closing.set()
        return True

    async def wait_closing(self) -> Closing:
        """Wait until the call is to end."""
        while self.closing is None:
            await self._closing.wait()
        return self.closing

    def begin(self) -> None:
        """Note that the caller hears the last sentence."""
        self._begun.set()

    @property
    def is_begun(self) -> bool:
        return self._begun.is_set()

    async def wait_begun(self) -> None:
        """Wait until the caller hears the last sentence."""
        await self._begun.wait()

    def put_remark(self, text: str) -> None:
        """Have a sentence said in the next pause."""
        self.remark = text
        self._wake()

    def take_remark(self) -> str:
        """Return what is to be said now; whoever takes it says it."""
        text, self.remark = self.remark, ""
        return text

    async def wait_remark(self) -> None:
        """Wait until there is something to be said in a pause."""
        while not self.remark:
            await self._changed.wait()

    def put_keys(self, entry: str) -> bool:
        """Have an agent told of keys; False if too many wait already."""
        if sum(map(len, self.keys)) + len(entry) > MOST_KEYS:
            return False
        self.keys.append(entry)
        self._wake()
        return True

    def take_keys(self) -> tuple[str, ...]:
        """Return what an agent has yet to be told of; whoever takes it tells it."""
        keys, self.keys = tuple(self.keys), []
        return keys

    async def wait_keys(self) -> None:
        """Wait until there are keys to be told of."""
        while not self.keys:
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
