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

from actors.call_state import CallState
from actors.errors import AgentUnavailable, NoRestartLeft
from actors.facts import RestartsExhausted, SessionCrashed, SessionRestarting
from actors.floor import Floor, FloorChange
from actors.handoff import Handoff, Lost
from actors.messages import AskHandoff, SessionOver, TakeFloor, ToSupervisor, WithdrawHandoff
from actors.record.resumption import Resumption
from actors.session.agent_session import AgentSession
from actors.session.opening import AgentOnCall, Opening, Openings
from actors.supervision import Crashed, RestartBudget
from agents.brief import Brief
from agents.roster import Roster


@attrs.define(eq=False)
class Supervisor:
    """The Supervisor of one call. `run` it once, inside the call nursery. `context` is known before the call."""

    state: CallState
    roster: Roster
    floor: Floor
    openings: Openings
    rng: Random
    context: Brief | None = None
    _restarts: list[float] = attrs.field(factory=list[float], init=False)
    """When agents of this call were restarted."""

    async def run(self) -> None:
        """Start one agent after the other, until none can carry on: the journal says why."""
        async with trio.open_nursery() as sessions:
            try:
                live = await self._start_first(sessions)
                while True:
                    message = await self.state.mail.next_from(live.number, self.state.policy.wording.session_lost)
                    live = await self._on_message(message, sessions, live)
            except NoRestartLeft:
                sessions.cancel_scope.cancel(reason="no agent is left")

    async def _on_message(self, message: ToSupervisor, sessions: trio.Nursery, holder: AgentSession) -> AgentSession:
        match message:
            case SessionOver(crash=Crashed() as crash):
                return await self._recover(sessions, holder, crash)
            case SessionOver():
                return await self._renew(sessions, holder)
            case AskHandoff():
                return await self._hand_off(sessions, holder, message)
            case TakeFloor():
                return await self._let_person_talk(sessions, holder, message)
            case WithdrawHandoff():  # of a handoff that was decided before
                return holder
            case _:
                assert_never(message)

    async def _hand_off(self, sessions: trio.Nursery, holder: AgentSession, asked: AskHandoff) -> AgentSession:
        on_call, to, wording = self._successor(holder.on_call, asked), asked.wanted.to, self.state.policy.wording
        if on_call is None or to == holder.agent.name:
            asked.refuse(wording.has_call if on_call else wording.no_agent.format(to=to))
            return holder
        change = FloorChange(holder, asked, on_call)
        outcome = await Handoff(self.state, self.floor, self.openings, self.rng, change).run(sessions)
        if not isinstance(outcome, Lost):
            return outcome
        if outcome.crash is None:
            return await self._renew(sessions, holder, "half changed")
        if not outcome.is_answered:
            asked.refuse(wording.session_lost)
        return await self._recover(sessions, holder, outcome.crash)

    def _successor(self, holder: AgentOnCall, asked: AskHandoff) -> AgentOnCall | None:
        to = asked.wanted.to
        if asked.how == "back":
            before = holder.before
            return before.taken_back(holder) if before is not None and before.agent.name == to else None
        agent = self.roster.agents.get(to)
        return AgentOnCall(agent, self._new_budget(), before=holder) if agent is not None else None

    async def _let_person_talk(self, sessions: trio.Nursery, holder: AgentSession, taken: TakeFloor) -> AgentSession:
        """Give the floor to an operator; when they give it back, the agent goes on, with what was said before."""
        self.floor.leave(holder, "taken over")
        cursor = await taken.converse()
        on_call = holder.on_call
        return await self._start_within_budget(
            sessions, on_call, "return", lambda: self.openings.after_person(on_call, cursor)
        )

    # The first session, and every restart

    async def _start_first(self, sessions: trio.Nursery) -> AgentSession:
        before, openings = self.openings.resumption, self.openings
        if before is not None and before.agent in self.roster.agents:
            agent = self.roster.agents[before.agent]
            length, waiting = self.state.conversation.length, self._recalled(before)
            on_call = AgentOnCall(agent, self._new_budget(), before.brief, before.since, length, waiting)
            return await self._start_within_budget(
                sessions, on_call, "return", lambda: openings.after_return(on_call, before)
            )
        on_call = AgentOnCall(self.roster.begins, self._new_budget(), self.context)
        return await self._start_within_budget(sessions, on_call, "first", lambda: openings.greeting(on_call))

    def _recalled(self, before: Resumption) -> AgentOnCall | None:
        """Return the agent that the call can be handed back to, on its second stream."""
        waiting: AgentOnCall | None = None
        for name, since in before.handed_on_by:
            if (agent := self.roster.agents.get(name)) is not None:
                waiting = AgentOnCall(agent, self._new_budget(), since=since, before=waiting)
        return waiting

    async def _recover(self, sessions: trio.Nursery, lost: AgentSession, crash: Crashed) -> AgentSession:
        """Go on without a session that has crashed: with another one, unless all has been said."""
        self.state.journal.note(SessionCrashed(lost.agent.name, lost.number, crash.reason, crash.is_retryable))
        unproven, cursor = self.floor.unproven(lost), lost.cursor
        self.floor.leave(lost, "crashed")
        while self.state.turn.turn.is_ending:
            await self.state.turn.wait_change()  # the goodbye is heard, and ends the call, or the caller goes on
        lost.on_call.budget.stand_still(unproven)  # one mute session after the other must not outlive its period
        await self._back_off(lost.on_call, crash)
        return await self._start_within_budget(
            sessions,
            lost.on_call,
            "restart",
            lambda: self.openings.after_loss(lost.on_call, cursor, asks_again=crash.is_slip),
        )

    async def _renew(self, sessions: trio.Nursery, spent: AgentSession, why: str = "renewed") -> AgentSession:
        self.floor.leave(spent, why)
        cursor = spent.cursor
        return await self._start_within_budget(
            sessions, spent.on_call, "renewal", lambda: self.openings.after_loss(spent.on_call, cursor)
        )

    async def _start_within_budget(
        self, sessions: trio.Nursery, on_call: AgentOnCall, why: str, opening: Callable[[], Opening]
    ) -> AgentSession:
        waits_until = trio.current_time() + self.state.policy.deadlines.busy_patience
        self.state.turn.speaker = on_call.agent
        while True:
            live = self.floor.new_session(on_call, opening())
            try:
                await self.floor.start(sessions, live, why, self.state.policy.deadlines.session_start)
            except AgentUnavailable as unavailable:
                on_call.budget.stand_still(trio.current_time() - live.began)
                if unavailable.is_busy and trio.current_time() < waits_until:
                    await trio.sleep(self.state.policy.deadlines.busy_retry)
                else:
                    await self._back_off(on_call, Crashed(unavailable))
            else:
                return live

    async def _back_off(self, on_call: AgentOnCall, crash: Crashed) -> None:
        name = on_call.agent.name
        try:
            delay = on_call.budget.spend(crash)
        except NoRestartLeft:
            self.state.journal.note(RestartsExhausted(name, crash.reason))
            raise
        self.state.journal.note(SessionRestarting(name, round(delay, 6), crash.reason))
        await trio.sleep(delay)

    def _new_budget(self) -> RestartBudget:
        return RestartBudget(self.state.policy.restarts, self.rng, self._restarts)
