"""A soft handoff: the session that is open becomes the next agent's, step by step.

`SoftHandoff` gives the service the next agent's prompt and model (UpdateThink) and then its voice (UpdateSpeak), each
within a deadline; the floor changes hands when both are acknowledged. Before the first step the old voice loses the
line, so nothing of the session is heard until it is the next agent's. What cannot be done so is told, never raised:
then the next agent gets a session of its own, and one that was half changed is never heard again.
"""

import math
from collections.abc import Awaitable, Callable

import attrs
import trio

from actors.call_state import CallState
from actors.facts import SoftHandoffGivenUp
from actors.floor import Floor, FloorChange
from actors.session.opening import AgentOnCall, Openings
from protocol.deepgram import ServerMessage, SpeakUpdated, ThinkUpdated, UpdateSpeak, UpdateThink


@attrs.define(eq=False)
class SoftHandoff:
    """One attempt: `change` asks for the agent of `on_call`. `run` it once."""

    state: CallState
    floor: Floor
    openings: Openings
    change: FloorChange
    on_call: AgentOnCall
    has_begun: bool = attrs.field(default=False, init=False)
    """Whether the session may be another one than the old agent's."""
    _step: str = attrs.field(default="", init=False)

    async def run(self, briefed: trio.Event) -> bool:
        """Return whether the session is the next agent's and has the floor; if not, it is brought in another way."""
        try:
            await self._take_over(briefed)
        except _GivenUp as given_up:
            self.note_given_up(str(given_up))
            return False
        return True

    def note_given_up(self, why: str) -> None:
        agent, to = self.change.holder.agent.name, self.change.asked.wanted.to
        self.state.journal.note(SoftHandoffGivenUp(agent, to, self._step, why, self.change.took))

    async def _take_over(self, briefed: trio.Event) -> None:
        self._check()
        await briefed.wait()
        takeover = self.openings.takeover(self.on_call)
        await self._change_by(takeover.think, ThinkUpdated)
        await self._change_by(takeover.speak, SpeakUpdated)
        await self._within("the service does not become quiet", self.change.holder.service.wait_quiet)
        self._check()
        if trio.current_effective_deadline() == -math.inf:
            await trio.sleep_forever()  # the handoff has been withdrawn in this very step
        self.on_call.begin(self.state.conversation.length)
        self.floor.change_agent(self.change, self.on_call, takeover)

    async def _change_by(self, update: UpdateThink | UpdateSpeak, acknowledged: type[ServerMessage]) -> None:
        """Send an update to a service that is quiet, and wait until it took. *Raises* `_GivenUp`."""
        session, self._step = self.change.holder, type(update).__name__

        async def send() -> None:
            await session.service.wait_quiet()
            self._check()
            self.has_begun = session.is_changing = True
            self.state.ledger.withhold(session.voice)  # what the old voice has said so far is played out, and no more
            session.post(update)
            await session.service.wait_acknowledged(acknowledged)

        await self._within("it is not acknowledged", send)

    async def _within(self, why: str, step: Callable[[], Awaitable[None]]) -> None:
        longest = self.state.policy.deadlines.soft_step
        with trio.move_on_after(longest) as patience:
            await step()
        if patience.cancelled_caught:
            raise _GivenUp(f"{why} within {longest:g} s")

    def _check(self) -> None:
        if why := self.change.holder.why_not_another(self.change.asked.number):
            raise _GivenUp(why)


class _GivenUp(Exception):
    """The session cannot be the next agent's; the message says why."""
