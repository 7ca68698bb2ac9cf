"""The one place at the microphone: seats, and how a session comes to the floor and leaves it.

A `Seat` is one session with the scope that ends it; a `Tenure` is what all incarnations of one agent on this call have
in common. `Floor.start` brings a session up as a child of whoever asked, and moves it to the conversation's nursery in
the step in which it is ready (that is what `trio.Nursery.start` does): before it, a starter that gives up takes the
session with it; after it, the session has the floor and outlives its starter. It decides nothing; the Supervisor does.
"""

import math
from collections.abc import Callable
from typing import assert_never

import attrs
import trio

from actors.agent_session import AgentSession, Connect
from actors.desk import Desk
from actors.errors import AgentUnavailable
from actors.facts import FloorLeft, FloorTaken, SessionConnecting, SessionFailed
from actors.messages import ConversationEnded, Ended, SessionLost, SessionRunOut, Spent, ToSummarizer, ToSupervisor
from actors.opening import Opening
from actors.reply import Voice
from actors.supervision import Crashed, RestartBudget, contain
from agents.brief import Brief
from agents.spec import AgentSpec
from protocol.errors import RemoteProtocolError


@attrs.define(eq=False)
class Tenure:
    """One agent's time on the call, through all its incarnations."""

    agent: AgentSpec
    budget: RestartBudget
    brief: Brief | None = None
    since: int = 0
    """How much had been said when it took the floor: its own conversation begins there."""
    returned: int = 0
    """How much had been said when it took the caller back, on another stream; 0 if it has the call's first one."""


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
    def unproven(self) -> float:
        """How long it has been at work, or was on its way to it, without any proof that it is of use."""
        if self.session.has_acted:
            return 0.0
        return (trio.current_time() if self.session.is_awaited else self.since) - self.began

    @property
    def agent(self) -> str:
        return self.tenure.agent.name


@attrs.define(eq=False)
class Floor:
    """Seats sessions for one call."""

    desk: Desk
    connect: Connect
    supervisor: trio.MemorySendChannel[ToSupervisor]
    summarizer: trio.MemorySendChannel[ToSummarizer]
    _seats: int = attrs.field(default=0, init=False)

    def new_seat(self, tenure: Tenure, opening: Opening, *, promised_at: float | None = None) -> Seat:
        """Make a session that nobody runs yet. `promised_at`: t0 (trio time) of the handoff that it answers."""
        self._seats += 1
        voice = Voice(tenure.agent.name, promised_at)
        session = AgentSession(
            desk=self.desk,
            agent=tenure.agent,
            seat=self._seats,
            voice=voice,
            opening=opening,
            connect=self.connect,
            supervisor=self.supervisor,
            summarizer=self.summarizer,
        )
        return Seat(self._seats, tenure, session)

    async def start(
        self, sessions: trio.Nursery, seat: Seat, why: str, deadline: float, on_ready: Callable[[], None]
    ) -> None:
        """Bring a session up and onto the floor, within `deadline` seconds.

        `on_ready` runs in the same scheduler step in which the session takes the floor: whoever had it leaves it there.

        *Raises* `AgentUnavailable` when the session could not be made ready in time.
        """
        self.desk.journal.note(SessionConnecting(seat.agent, seat.number, why))
        seat.began = trio.current_time()
        try:
            with trio.fail_after(deadline):
                await sessions.start(self._occupy, seat, on_ready)
        except AgentUnavailable as error:
            raise self._failed(seat, error) from error
        except RemoteProtocolError as error:
            raise self._failed(seat, AgentUnavailable(str(error))) from error
        except trio.TooSlowError as error:
            raise self._failed(seat, AgentUnavailable(f"not ready within {deadline:g} s")) from error

    async def _occupy(self, seat: Seat, on_ready: Callable[[], None], *, task_status: trio.TaskStatus[None]) -> None:
        def ready() -> None:
            if trio.current_effective_deadline() == -math.inf:
                return  # the starter has given up: `started` would not move us, so the floor must not move either
            on_ready()
            self._take(seat)
            task_status.started()

        with seat.scope:
            outcome = await contain(seat.session.run, ready)
            match outcome:
                case Crashed():
                    await self.supervisor.send(SessionLost(seat.number, outcome))
                case Spent():
                    await self.supervisor.send(SessionRunOut(seat.number))
                case Ended():
                    await self.supervisor.send(ConversationEnded(seat.number, outcome))
                case _:
                    assert_never(outcome)

    def leave(self, seat: Seat, reason: str) -> None:
        """Take the floor from a seat and end its session; what it has said so far is played out."""
        self.desk.ledger.withhold(seat.session.voice)
        self.desk.journal.note(FloorLeft(seat.agent, seat.number, reason))
        seat.scope.cancel(reason=reason)

    def _take(self, seat: Seat) -> None:
        seat.since = trio.current_time()
        self.desk.ledger.grant(seat.session.voice)
        self.desk.journal.note(FloorTaken(seat.agent, seat.number, seat.session.cursor))

    def _failed(self, seat: Seat, error: AgentUnavailable) -> AgentUnavailable:
        self.desk.journal.note(SessionFailed(seat.agent, seat.number, error.reason, error.retryable))
        return AgentUnavailable(error.reason, retryable=error.retryable, is_busy=error.is_busy)
