"""One call's switch to a person: whether there is one, and whether the call is just being put through.

`Switch` stands on the desk. It asks the line, within its deadline, and remembers that it did: a stream that ends then
is not a hang-up (Twilio sends the same `stop` for both: its reference, section 1.7). It speaks to nobody.
"""

from typing import Protocol

import attrs
import trio

from actors.facts import FunctionAnswered
from actors.supervision import Crashed, guard
from agents.brief import Brief
from protocol.deepgram import FunctionCall

_DONE = '{"put_through": true}'


@attrs.frozen
class TransferOrder:
    """What a person is brought to the line for: why, what they should know, and their `number` if not the usual one."""

    reason: str
    notes: str
    number: str
    brief: Brief


class Transfers(Protocol):
    """The line's way to a person. May raise; the caller stays with the agent then."""

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        """Have the network connect the caller to a person; it stops the media stream."""


@attrs.frozen
class Underway:
    """Who asked for a transfer, by which function call (if any), and when (trio time)."""

    agent: str
    call: FunctionCall | None
    since: float
    number: int = 0
    """Our own number of that function call."""


@attrs.define(eq=False)
class Switch:
    """One call's. Without `transfers` there is no person."""

    call_sid: str = ""
    transfers: Transfers | None = None
    underway: Underway | None = None
    """A transfer that the line was asked for, and has not refused."""

    async def throw(self, transfers: Transfers, order: TransferOrder, underway: Underway, within: float) -> str:
        """Ask the line; return why the call was not put through. When it is, the stream ends within that time."""
        self.underway = underway
        why = f"the stream goes on after {within:g} s"
        with trio.move_on_after(within):
            answered = await guard(lambda: transfers.put_through(self.call_sid, order))
            if not isinstance(answered, Crashed):
                await trio.sleep_forever()
            why = answered.reason
        self.underway = None
        return why

    def answered(self) -> FunctionAnswered | None:
        """Return how the function was answered that put the call through: in the journal, since its session is gone."""
        if self.underway is None or self.underway.call is None:
            return None
        call, took = self.underway.call, round(trio.current_time() - self.underway.since, 6)
        number = self.underway.number
        return FunctionAnswered(self.underway.agent, call.id, call.name, _DONE, ok=True, took=took, number=number)
