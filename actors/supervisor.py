"""Who has the floor: seats the first agent of a call, hands over to the next ones, restarts what crashes, ends it.

`Supervisor` owns every session task of a call, in one nursery that lives as long as the conversation. Its loop is one
turn for each thing a session reports: a handoff asked for, a crash, the end. Crashes arrive as values
(`supervision.contain`), so nothing a session does ends the call by accident. It returns how the conversation ended,
and touches neither audio nor the phone line.
"""

from collections.abc import Callable
from random import Random
from typing import TypeAlias, assert_never

import attrs
import trio

from actors.desk import Desk
from actors.errors import AgentUnavailable, RestartsExhausted
from actors.facts import RestartsExhausted as NoRestartLeft
from actors.facts import SessionCrashed, SessionRestarting
from actors.floor import Floor, Seat, Tenure
from actors.goodbye import play_out
from actors.handoff import Brought, Handoff, Kept, Lost, Over, answer
from actors.messages import (
    ConversationEnded,
    Ended,
    HandoffAsked,
    HandoffWithdrawn,
    SessionLost,
    SessionRunOut,
    ToSummarizer,
    ToSupervisor,
)
from actors.opening import Opening
from actors.resumption import Resumption
from actors.settings_form import SettingsForm
from actors.silence import mind_vacancy
from actors.supervision import Crashed, RestartBudget, RestartTotal
from agents.brief import Brief
from agents.roster import Roster
from protocol.deepgram import Settings


@attrs.frozen
class Finished:
    """An agent has ended the conversation, for this reason, and with this outcome of the call."""

    reason: str
    outcome: str = "completed"


@attrs.frozen
class NoAgentLeft:
    """No agent can carry on: the caller must be told so, and by somebody else."""

    why: str


ConversationOutcome: TypeAlias = Finished | NoAgentLeft


@attrs.define(eq=False)
class Supervisor:
    """One call's supervisor. `run` it once, inside the call nursery."""

    desk: Desk
    roster: Roster
    floor: Floor
    form: SettingsForm
    mailbox: trio.MemoryReceiveChannel[ToSupervisor]
    summarizer: trio.MemorySendChannel[ToSummarizer]
    rng: Random
    context: Brief | None = None
    resumption: Resumption | None = None
    _total: RestartTotal = attrs.field(
        default=attrs.Factory(lambda one: RestartTotal(one.desk.policy.restarts), takes_self=True), init=False
    )
    _early: list[ToSupervisor] = attrs.field(factory=list, init=False)
    _voice: str = attrs.field(default="", init=False)
    _owed: bool = attrs.field(default=True, init=False)
    """Whether the caller waits for an agent, when the floor is vacant."""

    async def run(self) -> ConversationOutcome:
        """Seat one agent after the other, until one ends the conversation or none is left."""
        async with trio.open_nursery() as sessions:
            sessions.start_soon(mind_vacancy, self.desk, lambda: self._voice, lambda: self._owed)
            try:
                ended = await self._converse(sessions)
                outcome: ConversationOutcome = Finished(ended.reason, ended.outcome)
            except RestartsExhausted as exhausted:
                outcome = NoAgentLeft(str(exhausted))
            sessions.cancel_scope.cancel(reason="conversation over")
        return outcome

    async def _converse(self, sessions: trio.Nursery) -> Ended:
        outcome: Seat | Ended = await self._seat_first(sessions)
        while isinstance(outcome, Seat):
            outcome = await self._on_message(await self._next_message(outcome), sessions, outcome)
        return outcome

    async def _on_message(self, message: ToSupervisor, sessions: trio.Nursery, holder: Seat) -> Seat | Ended:
        match message:
            case ConversationEnded(ended=ended):
                return ended
            case SessionRunOut():
                return await self._renew(sessions, holder)
            case SessionLost(crash=crash):
                return await self._recover(sessions, holder, crash, owed=holder.session.is_awaited)
            case HandoffAsked():
                return await self._hand_off(sessions, holder, message)
            case HandoffWithdrawn():  # of a handoff that was decided before
                return holder
            case _:
                assert_never(message)

    async def _next_message(self, holder: Seat) -> ToSupervisor:
        """Wait for what the session on the floor reports; the others are out of the conversation."""
        while True:
            message = self._early.pop(0) if self._early else await self.mailbox.receive()
            if message.seat == holder.number:
                return message

    async def _hand_off(self, sessions: trio.Nursery, holder: Seat, asked: HandoffAsked) -> Seat | Ended:
        successor = self.roster.agents.get(asked.to)
        if successor is None:
            answer(asked.reply_to, f"There is no agent {asked.to!r}.")
            return holder
        handoff = Handoff(
            desk=self.desk,
            floor=self.floor,
            form=self.form,
            mailbox=self.mailbox,
            summarizer=self.summarizer,
            rng=self.rng,
            holder=holder,
            asked=asked,
            tenure=Tenure(successor, self._new_budget()),
            early=self._early,
        )
        outcome = await handoff.run(sessions)
        match outcome:
            case Brought(seat=seat):
                return seat
            case Kept():
                return holder
            case Lost(crash=crash):
                return await self._recover(sessions, holder, crash, owed=True)
            case Over(ended=ended):
                return ended
            case _:
                assert_never(outcome)

    # The first session, and every restart

    async def _seat_first(self, sessions: trio.Nursery) -> Seat:
        before = self.resumption
        if before is not None and before.agent in self.roster.agents:
            agent = self.roster.agents[before.agent]
            tenure = Tenure(agent, self._new_budget(), before.brief, before.since, self.desk.conversation.length)
            return await self._seat_within_budget(sessions, tenure, "return", lambda: self._return(tenure, before))
        tenure = Tenure(self.roster.agents[self.roster.first], self._new_budget(), self.context)
        return await self._seat_within_budget(sessions, tenure, "first", lambda: self._greeting(tenure, 0))

    async def _recover(self, sessions: trio.Nursery, lost: Seat, crash: Crashed, *, owed: bool) -> Seat | Ended:
        """Go on without a session that has crashed: with another one, unless all has been said."""
        self.desk.journal.note(SessionCrashed(lost.agent, lost.number, crash.reason, crash.is_retryable))
        self._owed = owed
        self.floor.leave(lost, "crashed")
        if (ended := lost.session.last_word) is not None:
            await play_out(self.desk, lost.session.voice)
            return ended
        lost.tenure.budget.stand_still(lost.unproven)  # one mute session after the other must not outlive its period
        await self._back_off(lost.tenure, crash)

        def opening() -> Opening:
            return self._resumption(lost, asks_again=crash.is_slip)

        return await self._seat_within_budget(sessions, lost.tenure, "restart", opening)

    async def _renew(self, sessions: trio.Nursery, spent: Seat) -> Seat:
        self._owed = False
        self.floor.leave(spent, "renewed")
        return await self._seat_within_budget(sessions, spent.tenure, "renewal", lambda: self._resumption(spent))

    async def _seat_within_budget(
        self, sessions: trio.Nursery, tenure: Tenure, why: str, opening: Callable[[], Opening]
    ) -> Seat:
        self._voice, waits_until = tenure.agent.voice, trio.current_time() + self.desk.policy.busy_patience
        while True:
            seat = self.floor.new_seat(tenure, opening())
            try:
                await self.floor.start(sessions, seat, why, self.desk.policy.session_start, _nobody_leaves)
            except AgentUnavailable as unavailable:
                tenure.budget.stand_still(trio.current_time() - seat.began)
                if unavailable.is_busy and trio.current_time() < waits_until:
                    await trio.sleep(self.desk.policy.busy_retry)
                else:
                    await self._back_off(tenure, Crashed(unavailable))
            else:
                self._owed = True
                return seat

    async def _back_off(self, tenure: Tenure, crash: Crashed) -> None:
        name = tenure.agent.name
        try:
            delay = tenure.budget.spend(crash)
        except RestartsExhausted:
            self.desk.journal.note(NoRestartLeft(name, crash.reason))
            raise
        self.desk.journal.note(SessionRestarting(name, round(delay, 6), crash.reason))
        await trio.sleep(delay)

    def _greeting(self, tenure: Tenure, start: int) -> Opening:
        async def settings() -> Settings:
            await trio.lowlevel.checkpoint()
            return self.form.fresh(tenure.agent, tenure.brief)

        return Opening(settings, lambda: self.desk.tape.resume_point(start))

    def _resumption(self, lost: Seat, *, asks_again: bool = False) -> Opening:
        """Go on where the lost session broke off; if it had not got beyond its greeting, greet again.

        `asks_again`: the caller's last turn is put to the model again, whatever it said before it went wrong.
        """
        tenure, conversation, cursor = lost.tenure, self.desk.conversation, lost.session.cursor
        if self.resumption is not None and tenure.returned and not conversation.is_opened(tenure.returned):
            return self._return(tenure, self.resumption, cursor)
        if not conversation.is_opened(tenure.since):
            return self._greeting(tenure, cursor)

        async def settings() -> Settings:
            await trio.lowlevel.checkpoint()
            history = conversation.history(tenure.since, asks_again=asks_again)
            return self.form.resumed(tenure.agent, tenure.brief, history)

        def start() -> int:
            return self.desk.tape.resume_point(cursor)

        asked = conversation.last_turn(tenure.since) if asks_again else conversation.unanswered(tenure.since)
        return Opening(settings, start, asked, greets=False, owes=lost.session.is_unheeding)

    def _return(self, tenure: Tenure, before: Resumption, start: int = 0) -> Opening:
        """Take the caller back, on another stream: with what was said, and a word about what has happened."""
        conversation, policy = self.desk.conversation, self.desk.policy
        unanswered = None if before.unreached else conversation.unanswered(tenure.since)
        word = policy.unreached if before.unreached else "" if unanswered else policy.reconnected

        async def settings() -> Settings:
            await trio.lowlevel.checkpoint()
            return self.form.resumed(tenure.agent, tenure.brief, conversation.history(tenure.since), word)

        return Opening(settings, lambda: self.desk.tape.resume_point(start), unanswered, greets=bool(word))

    def _new_budget(self) -> RestartBudget:
        return RestartBudget(self.desk.policy.restarts, self.rng, self._total)


def _nobody_leaves() -> None:
    """The floor is empty: nobody has to leave it."""
