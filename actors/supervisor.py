"""Gives the floor to the first agent of a call, hands over to the next ones, and restarts sessions that crash.

`Supervisor` owns every session task of a call, in one nursery that lives as long as the conversation. Its loop is one
turn for each thing a session reports: a handoff asked for, a crash, its age. Crashes arrive as values
(`supervision.contain`), so nothing a session does ends the call by accident. It returns only when no agent can carry
on; a conversation that ends in any other way cancels it. It touches neither audio nor the phone line.
"""

from collections.abc import Callable
from random import Random
from typing import assert_never

import attrs
import trio

from actors.desk import Desk
from actors.errors import AgentUnavailable, NoRestartLeft
from actors.facts import RestartsExhausted, SessionCrashed, SessionRestarting
from actors.floor import Floor, Relief, Seat
from actors.handoff import Brought, Handoff, Kept, Lost
from actors.messages import AskHandoff, SessionLost, SessionRunOut, ToSupervisor, WithdrawHandoff
from actors.session.opening import Opening, Openings, Tenure
from actors.supervision import Crashed, RestartBudget, RestartTotal
from agents.brief import Brief
from agents.roster import Roster


@attrs.frozen
class NoAgentLeft:
    """No agent can carry on: the line must tell the caller so."""

    why: str


@attrs.define(eq=False)
class Supervisor:
    """The Supervisor of one call. `run` it once, inside the call nursery. `context` is known before the call."""

    desk: Desk
    roster: Roster
    floor: Floor
    openings: Openings
    rng: Random
    context: Brief | None = None
    _total: RestartTotal = attrs.field(
        default=attrs.Factory(lambda one: RestartTotal(one.desk.policy.restarts), takes_self=True), init=False
    )

    async def run(self) -> NoAgentLeft:
        """Seat one agent after the other, until none is left."""
        async with trio.open_nursery() as sessions:
            try:
                seat = await self._seat_first(sessions)
                while True:
                    message = await self.desk.mail.next_from(seat.number)
                    seat = await self._on_message(message, sessions, seat)
            except NoRestartLeft as exhausted:
                left = NoAgentLeft(str(exhausted))
            sessions.cancel_scope.cancel(reason="no agent is left")
        return left

    async def _on_message(self, message: ToSupervisor, sessions: trio.Nursery, holder: Seat) -> Seat:
        match message:
            case SessionRunOut():
                return await self._renew(sessions, holder)
            case SessionLost(crash=crash):
                return await self._recover(sessions, holder, crash)
            case AskHandoff():
                return await self._hand_off(sessions, Relief(holder, message))
            case WithdrawHandoff():  # of a handoff that was decided before
                return holder
            case _:
                assert_never(message)

    async def _hand_off(self, sessions: trio.Nursery, relief: Relief) -> Seat:
        successor = self.roster.agents.get(relief.asked.to)
        if successor is None:
            relief.asked.refuse(f"There is no agent {relief.asked.to!r}.")
            return relief.holder
        tenure = Tenure(successor, self._new_budget())
        outcome = await Handoff(self.desk, self.floor, self.openings, self.rng, relief, tenure).run(sessions)
        match outcome:
            case Brought(seat=seat):
                return seat
            case Kept():
                return relief.holder
            case Lost(crash=crash):
                return await self._recover(sessions, relief.holder, crash)
            case _:
                assert_never(outcome)

    # The first session, and every restart

    async def _seat_first(self, sessions: trio.Nursery) -> Seat:
        before, openings = self.openings.resumption, self.openings
        if before is not None and before.agent in self.roster.agents:
            agent = self.roster.agents[before.agent]
            tenure = Tenure(agent, self._new_budget(), before.brief, before.since, self.desk.conversation.length)
            return await self._seat_within_budget(
                sessions, tenure, "return", lambda: openings.after_return(tenure, before)
            )
        tenure = Tenure(self.roster.agents[self.roster.first], self._new_budget(), self.context)
        return await self._seat_within_budget(sessions, tenure, "first", lambda: openings.greeting(tenure))

    async def _recover(self, sessions: trio.Nursery, lost: Seat, crash: Crashed) -> Seat:
        """Go on without a session that has crashed: with another one, unless all has been said."""
        self.desk.journal.note(SessionCrashed(lost.agent, lost.number, crash.reason, crash.is_retryable))
        unproven, cursor = self.floor.unproven(lost), lost.session.cursor
        self.floor.leave(lost, "crashed")
        if self.desk.turn.turn.is_ending:
            await trio.sleep_forever()  # the call ends when the goodbye has been heard
        lost.tenure.budget.stand_still(unproven)  # one mute session after the other must not outlive its period
        await self._back_off(lost.tenure, crash)
        return await self._seat_within_budget(
            sessions,
            lost.tenure,
            "restart",
            lambda: self.openings.after_loss(lost.tenure, cursor, asks_again=crash.is_slip),
        )

    async def _renew(self, sessions: trio.Nursery, spent: Seat) -> Seat:
        self.floor.leave(spent, "renewed")
        cursor = spent.session.cursor
        return await self._seat_within_budget(
            sessions, spent.tenure, "renewal", lambda: self.openings.after_loss(spent.tenure, cursor)
        )

    async def _seat_within_budget(
        self, sessions: trio.Nursery, tenure: Tenure, why: str, opening: Callable[[], Opening]
    ) -> Seat:
        waits_until = trio.current_time() + self.desk.policy.busy_patience
        self.desk.turn.speaker = tenure.agent
        while True:
            seat = self.floor.new_seat(tenure, opening())
            try:
                await self.floor.start(sessions, seat, why, self.desk.policy.session_start)
            except AgentUnavailable as unavailable:
                tenure.budget.stand_still(trio.current_time() - seat.began)
                if unavailable.is_busy and trio.current_time() < waits_until:
                    await trio.sleep(self.desk.policy.busy_retry)
                else:
                    await self._back_off(tenure, Crashed(unavailable))
            else:
                return seat

    async def _back_off(self, tenure: Tenure, crash: Crashed) -> None:
        name = tenure.agent.name
        try:
            delay = tenure.budget.spend(crash)
        except NoRestartLeft:
            self.desk.journal.note(RestartsExhausted(name, crash.reason))
            raise
        self.desk.journal.note(SessionRestarting(name, round(delay, 6), crash.reason))
        await trio.sleep(delay)

    def _new_budget(self) -> RestartBudget:
        return RestartBudget(self.desk.policy.restarts, self.rng, self._total)
