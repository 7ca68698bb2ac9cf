"""The floor: which session speaks for the agents, and how a session takes and leaves it.

`Floor.start` brings a session up as a child of its starter, and moves it to the conversation's nursery in the step in
which it is ready (that is what `trio.Nursery.start` does): before it, a starter that gives up takes the session with
it; after it, the session has the floor and outlives its starter. The commit of a handoff is `Floor._take`, that of a
soft one `Floor.change_agent`. It decides nothing; the Supervisor does.
"""

import math

import attrs
import trio

from actors.call_state import CallState
from actors.errors import AgentUnavailable
from actors.facts import FloorLeft, FloorTaken, FunctionAnswered, HandoffCommitted, SessionConnecting, SessionFailed
from actors.facts.handoff import HandoffKind
from actors.messages import AskHandoff, SessionOver
from actors.session.agent_session import AgentSession, Connect
from actors.session.function_calls import answer_text, completed
from actors.session.opening import AgentOnCall, Opening, Takeover
from actors.supervision import contain
from actors.turn.events import FloorGiven
from actors.turn.state import Debt
from protocol.deepgram import CompletedCall


@attrs.frozen
class FloorChange:
    """The session that leaves the floor in a handoff, its request, and the agent that is to come."""

    holder: AgentSession
    asked: AskHandoff
    on_call: AgentOnCall

    @property
    def took(self) -> float:
        """Seconds since it was asked for."""
        return round(trio.current_time() - self.asked.at, 6)

    def answered(self, result: str, *, ok: bool) -> tuple[CompletedCall, FunctionAnswered] | None:
        """Return its function with this answer, for the old agent's history and the journal; None of an operator's."""
        if (call := self.asked.call) is None:
            return None
        told = self.holder.agent.name, call.id, call.name, result, ok, self.took
        return completed(call, result), FunctionAnswered(*told, number=self.asked.number)


@attrs.define(eq=False)
class Floor:
    state: CallState
    connect: Connect
    _count: int = attrs.field(default=0, init=False)

    def new_session(self, on_call: AgentOnCall, opening: Opening) -> AgentSession:
        """Make a session that nobody runs yet."""
        self._count += 1
        return AgentSession(self.state, on_call, self._count, opening, self.connect)

    async def start(
        self, sessions: trio.Nursery, live: AgentSession, why: str, deadline: float, change: FloorChange | None = None
    ) -> None:
        """Bring a session up and onto the floor, within `deadline` seconds; `change` says who leaves it in that step.

        *Raises* `AgentUnavailable` when the session could not be made ready in time.
        """
        self.state.journal.note(SessionConnecting(live.agent.name, live.number, why))
        live.began = trio.current_time()
        try:
            with trio.move_on_after(deadline) as patience:
                await sessions.start(self._run, live, change, name=f"session {live.number}: {live.agent.name}")
        except AgentUnavailable as error:
            raise self._failed(live, error) from error
        if patience.cancelled_caught:
            raise self._failed(live, AgentUnavailable(f"not ready within {deadline:g} s"))

    async def _run(self, live: AgentSession, change: FloorChange | None, *, task_status: trio.TaskStatus[None]) -> None:
        def ready() -> None:
            if trio.current_effective_deadline() == -math.inf:
                return  # the starter has given up: `started` would not move us, so the floor must not move either
            self._take(live, change)
            task_status.started()

        with live.scope:
            # no crash is kept here: since Python 3.12 its traceback leads to this frame
            await self.state.mail.to_supervisor.send(SessionOver(live.number, await contain(live.run, ready)))

    def _take(self, live: AgentSession, change: FloorChange | None) -> None:
        """Move the floor, all in one scheduler step: the caller is heard by one session, and hears one voice."""
        if change is not None:
            self._commit(change, live.opening.how)
            self.leave(change.holder, "handed off")
        self._give(live, FloorGiven(live.opening.owes, live.opening.ask or "", sentences=live.agent.sentences))

    def change_agent(self, change: FloorChange, takeover: Takeover) -> None:
        """Move the floor to another agent on the same session, all in one scheduler step as well."""
        live = change.holder
        self._commit(change, "soft")
        self._part(live, "handed off softly")
        live.become(change.on_call, takeover, change.asked)
        self._give(live, FloorGiven(owes=True, greeting=takeover.agent.greeting or "", sentences=live.agent.sentences))

    def _commit(self, change: FloorChange, how: HandoffKind) -> None:
        name = change.on_call.agent.name
        if (answered := change.answered(answer_text({"handed_off_to": name}), ok=True)) is not None:
            change.holder.on_call.pass_on(answered[0])
            self.state.journal.note(answered[1])
        self.state.journal.note(HandoffCommitted(change.holder.agent.name, name, change.took, how))
        change.asked.decided.set()
        self.state.conversation.hand_on()

    def _give(self, live: AgentSession, given: FloorGiven) -> None:
        state = self.state
        live.since = trio.current_time()
        state.ledger.grant(live.voice)
        state.journal.note(FloorTaken(live.agent.name, live.number, live.cursor))
        state.turn.give_floor(live, given)

    def leave(self, live: AgentSession, reason: str) -> None:
        """Take the floor from a session and end it; what it has said so far is played out."""
        self._part(live, reason)
        live.scope.cancel(reason=reason)

    def _part(self, live: AgentSession, reason: str) -> None:
        self.state.ledger.withhold(live.voice)
        self.state.journal.note(FloorLeft(live.agent.name, live.number, reason))
        self.state.turn.vacate_floor()

    def unproven(self, live: AgentSession) -> float:
        """Return how long a session has been at work, or on its way to it, without any proof that it is of use."""
        if live.has_acted:
            return 0.0
        is_awaited = self.state.turn.turn.debt is Debt.OWED
        return (trio.current_time() if is_awaited else live.since) - live.began

    def _failed(self, live: AgentSession, error: AgentUnavailable) -> AgentUnavailable:
        self.state.journal.note(SessionFailed(live.agent.name, live.number, error.reason, error.retryable))
        return AgentUnavailable(error.reason, retryable=error.retryable, is_busy=error.is_busy)
