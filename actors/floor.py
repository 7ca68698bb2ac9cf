"""The floor: which session speaks for the agents, and how it comes to it and leaves it.

A `Seat` is one session with the scope that ends it. `Floor.start` brings a session up as a child of its starter, and
moves it to the conversation's nursery in the step in which it is ready (that is what `trio.Nursery.start` does): before
it, a starter that gives up takes the session with it; after it, the session has the floor and outlives its starter.
The commit of a handoff is `Floor._take`. It decides nothing; the Supervisor does.
"""

import math
from typing import assert_never

import attrs
import trio

from actors.desk import Desk
from actors.errors import AgentUnavailable
from actors.facts import FloorLeft, FloorTaken, FunctionAnswered, HandoffCommitted, SessionConnecting, SessionFailed
from actors.messages import AskHandoff, SessionLost, SessionRunOut, Spent
from actors.session.agent_session import AgentSession, Connect
from actors.session.function_calls import json_text
from actors.session.opening import Opening, Tenure
from actors.supervision import Crashed, contain
from actors.turn.events import FloorGiven, FloorVacated
from actors.turn.values import Debt
from protocol.errors import RemoteProtocolError


@attrs.define(eq=False)
class Seat:
    """One session, and what it takes to end it."""

    number: int
    tenure: Tenure
    session: AgentSession
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    began: float = math.inf
    """When it was begun to be connected."""
    since: float = math.inf
    """When it took the floor."""

    @property
    def has_taken_floor(self) -> bool:
        """Whether it has, or has had, the floor."""
        return self.since < math.inf

    @property
    def agent(self) -> str:
        return self.tenure.agent.name


@attrs.frozen
class Relief:
    """The session that leaves the floor in a handoff, and its request."""

    holder: Seat
    asked: AskHandoff

    def answered(self, seat: Seat, took: float) -> FunctionAnswered:
        """Return how its function is answered: in the journal alone, since its session is gone."""
        asked, result = self.asked, json_text({"handed_off_to": seat.agent})
        return FunctionAnswered(self.holder.agent, asked.call_id, asked.name, result, True, took, number=asked.number)


@attrs.define(eq=False)
class Floor:
    """Seats sessions for one call."""

    desk: Desk
    connect: Connect
    _seats: int = attrs.field(default=0, init=False)

    def new_seat(self, tenure: Tenure, opening: Opening) -> Seat:
        """Make a session that nobody runs yet."""
        self._seats += 1
        session = AgentSession(self.desk, tenure.agent, self._seats, opening, self.connect)
        return Seat(self._seats, tenure, session)

    async def start(
        self, sessions: trio.Nursery, seat: Seat, why: str, deadline: float, relief: Relief | None = None
    ) -> None:
        """Bring a session up and onto the floor, within `deadline` seconds; `relief` says who leaves it in that step.

        *Raises* `AgentUnavailable` when the session could not be made ready in time.
        """
        self.desk.journal.note(SessionConnecting(seat.agent, seat.number, why))
        seat.began = trio.current_time()
        try:
            with trio.fail_after(deadline):
                await sessions.start(self._occupy, seat, relief, name=f"session {seat.number}: {seat.agent}")
        except AgentUnavailable as error:
            raise self._failed(seat, error) from error
        except RemoteProtocolError as error:
            raise self._failed(seat, AgentUnavailable(str(error))) from error
        except trio.TooSlowError as error:
            raise self._failed(seat, AgentUnavailable(f"not ready within {deadline:g} s")) from error

    async def _occupy(self, seat: Seat, relief: Relief | None, *, task_status: trio.TaskStatus[None]) -> None:
        def ready() -> None:
            if trio.current_effective_deadline() == -math.inf:
                return  # the starter has given up: `started` would not move us, so the floor must not move either
            self._take(seat, relief)
            task_status.started()

        with seat.scope:
            outcome = await contain(seat.session.run, ready)
            match outcome:
                case Crashed():
                    await self.desk.mail.to_supervisor.send(SessionLost(seat.number, outcome))
                case Spent():
                    await self.desk.mail.to_supervisor.send(SessionRunOut(seat.number))
                case _:
                    assert_never(outcome)

    def _take(self, seat: Seat, relief: Relief | None) -> None:
        """Move the floor, all in one scheduler step: the caller is heard by one session, and hears one voice."""
        desk = self.desk
        if relief is not None:
            took = round(trio.current_time() - relief.asked.at, 6)
            desk.journal.note(relief.answered(seat, took))
            desk.journal.note(HandoffCommitted(relief.holder.agent, seat.agent, took))
            desk.conversation.hand_on()
            self.leave(relief.holder, "handed off")
        seat.since = trio.current_time()
        desk.ledger.grant(seat.session.voice)
        desk.turn.session, desk.turn.speaker = seat.session, seat.tenure.agent
        desk.journal.note(FloorTaken(seat.agent, seat.number, seat.session.cursor))
        opening = seat.session.opening
        desk.turn.put(FloorGiven(opening.owes, opening.ask or ""))

    def leave(self, seat: Seat, reason: str) -> None:
        """Take the floor from a seat and end its session; what it has said so far is played out."""
        self.desk.ledger.withhold(seat.session.voice)
        self.desk.journal.note(FloorLeft(seat.agent, seat.number, reason))
        self.desk.turn.session = None
        self.desk.turn.put(FloorVacated())
        seat.scope.cancel(reason=reason)

    def unproven(self, seat: Seat) -> float:
        """Return how long a session has been at work, or on its way to it, without any proof that it is of use."""
        if seat.session.has_acted:
            return 0.0
        is_awaited = self.desk.turn.turn.debt is Debt.OWED
        return (trio.current_time() if is_awaited else seat.since) - seat.began

    def _failed(self, seat: Seat, error: AgentUnavailable) -> AgentUnavailable:
        self.desk.journal.note(SessionFailed(seat.agent, seat.number, error.reason, error.retryable))
        return AgentUnavailable(error.reason, retryable=error.retryable, is_busy=error.is_busy)
