"""The way of a call to a person: whether there is one, and whether the call is just being put through.

`Switch` is part of the call's shared state. A function or a key wants a person; `Turn` allows it once the caller has
heard so, and the call's own task (`actors/endings/transfer.py`) asks the line. A stream that ends while the line was
asked is not a hang-up (Twilio sends the same `stop` for both: its reference, section 1.7). It speaks to nobody.
"""

from typing import Protocol

import attrs
import trio
from trio.lowlevel import ParkingLot

from actors.facts import FunctionAnswered
from actors.supervision import Crashed, Request, Standby, guard
from agents.brief import Brief
from agents.functions import TransferToHuman
from agents.sentences import ENGLISH, Sentences
from agents.spec import AgentSpec
from protocol.deepgram import FunctionCall

_DONE = '{"put_through": true}'


@attrs.frozen
class TransferOrder:
    """A request for a person: why, what they should know, and their `number` if not the usual one."""

    reason: str
    notes: str
    number: str
    brief: Brief
    comes_back: bool = False
    """The caller comes back when that person hangs up: an operator has taken the call over."""
    sentences: Sentences = attrs.field(default=ENGLISH, repr=False)
    """Of the agent that puts the caller through."""


class Transfers(Protocol):
    """The line's way to a person. May raise; the caller stays with the agent then."""

    async def put_through(self, call_sid: str, order: TransferOrder) -> None:
        """Have the network connect the caller to a person; it stops the media stream."""


@attrs.define(eq=False)
class Wish(Request):
    """A person is wanted: by a function of this agent's or, without a `call`, by a key or an operator.

    Refused where nobody could be reached; where somebody was, the call is over.

    `number` is our own of the call, and `command_id` is the operator's, whose way to that person is another one.
    """

    agent: AgentSpec
    wanted: TransferToHuman
    call: FunctionCall | None = None
    number: int = 0
    command_id: str = attrs.field(default="", kw_only=True)
    comes_back: bool = attrs.field(default=False, kw_only=True)
    is_told: bool = attrs.field(default=False, init=False)
    """Whether the caller is told that they are put through."""
    cause: str = attrs.field(default="", init=False)
    """Why the line did not do it, in its own words."""
    since: float = attrs.field(factory=trio.current_time, init=False)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    allowed: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def id(self) -> str:
        """The name under which `Turn` knows it: "" for a key."""
        return "" if self.call is None else str(self.number)


@attrs.define(eq=False)
class Switch:
    """The transfers of one call. Without `transfers` there is no person; `by_operator` is an operator's way to one."""

    call_sid: str = ""
    transfers: Transfers | None = None
    human_digit: str = ""
    by_operator: Transfers | None = None
    ordered: Wish | None = attrs.field(default=None, init=False)
    """An operator's, from the command on."""
    underway: Wish | None = None
    """A transfer that the line was asked for, and has not refused."""
    carrier: Standby = attrs.field(factory=Standby, init=False)
    """What carries wishes out, from the first one on."""
    _wish: Wish | None = attrs.field(default=None, init=False)
    _wished: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def want(self, wish: Wish) -> Wish:
        """Want a person; what was wanted before, and not allowed yet, is not wanted any more."""
        if self._wish is not None:
            self._wish.scope.cancel(reason="another transfer is wanted")
            self._wish.refuse("another transfer is wanted")
        self._wish, wish.is_told = wish, True
        self.carrier.want()
        self._wished.unpark_all()
        return wish

    def want_announced(self, agent: AgentSpec) -> None:
        """Want the person that the caller is being told of: an operator has ordered it, or a key was pressed."""
        if (wish := self.ordered) is None:
            wish = Wish(agent, TransferToHuman(f"The caller pressed {self.human_digit} for a person"))
        elif wish.is_told:  # and is told again: it is another one
            wish = attrs.evolve(wish)
        wish.agent = agent
        self.want(wish)

    def allow(self, wish_id: str) -> None:
        """Have the line asked: the caller has heard that they are put through."""
        if self._wish is not None and self._wish.id == wish_id:
            self._wish.allowed.set()

    async def next_wish(self) -> Wish:
        """Wait until a person is wanted."""
        while self._wish is None or self._wish.scope.cancel_called:
            await self._wished.park()
        return self._wish

    def drop(self, wish: Wish) -> None:
        """Note that nothing more is done for this wish."""
        if self._wish is wish:
            self._wish = None

    def give_up(self, why: str) -> None:
        """Have no person any more: what is wanted now is refused, and what is wanted later too."""
        self.transfers = self.by_operator = self.underway = None
        if self._wish is not None:
            self._wish.refuse(why)

    async def throw(self, transfers: Transfers, order: TransferOrder, wish: Wish, within: float) -> str:
        """Ask the line; return why the call was not put through. When it is, the stream ends within that time."""
        self.underway = wish
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
        wish, call = self.underway, self.underway.call
        took = round(trio.current_time() - wish.since, 6)
        return FunctionAnswered(wish.agent.name, call.id, call.name, _DONE, ok=True, took=took, number=wish.number)
