"""What whoever has the floor is asked to say, whoever that is by then.

`Prompter` is one call's. It keeps the last sentence of a call that the switchboard ends (`Closing`). That is not
addressed to a session: one that is lost, or hands over, leaves it to the next. It owns no task and says nothing;
`actors/cues.py` does.
"""

import attrs
import trio


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
    _closing: trio.Event = attrs.field(factory=trio.Event, init=False)
    _begun: trio.Event = attrs.field(factory=trio.Event, init=False)

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
