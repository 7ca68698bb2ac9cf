"""One handoff, from the moment it is asked for to the moment it is decided.

`Handoff` owns the nursery in which, side by side, the next session connects, the Brief is fetched and the mailbox is
watched. Where a soft handoff is wanted it is tried first, without a next session: the service gets the next agent's
prompt and model (UpdateThink), then its voice (UpdateSpeak). It ends with the session that has the floor, of the next
agent or of the old one, or with none (`Lost`). However it ends, what it started is gone or belongs to the conversation;
a caller who hangs up cancels it like everything else. The commit is in `actors/floor.py`.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from random import Random
from typing import assert_never

import attrs
import trio

from actors.call_state import CallState
from actors.errors import AgentUnavailable
from actors.facts import BriefReady, HandoffFailed, HandoffWithdrawn, SessionCrashed, SoftHandoffGivenUp
from actors.floor import Floor, FloorChange
from actors.messages import AskHandoff, SessionOver, TakeFloor, WithdrawHandoff
from actors.session.agent_session import AgentSession
from actors.session.function_calls import error_text
from actors.session.opening import AgentOnCall, Openings
from actors.summarizer import prepared_brief
from actors.supervision import Crashed
from agents.brief import HANDOFF_NOTES, HANDOFF_REASON
from protocol.deepgram import ServerMessage, SpeakUpdated, ThinkUpdated, UpdateSpeak, UpdateThink

_FOR_SETTINGS = 1.0
"""Seconds that a session has to be ready in, once its Brief is there."""


@attrs.frozen
class Lost:
    """No agent has the floor, and the old one is to go on with another session.

    Its own has crashed before a new one was ready; or, without a `crash`, was half changed when the handoff was
    withdrawn. `is_answered`: the function that asked has been answered, for a session that goes on.
    """

    crash: Crashed | None
    is_answered: bool = False


@attrs.define(eq=False)
class Handoff:
    """One turn of the Supervisor's loop. `run` it once."""

    state: CallState
    floor: Floor
    openings: Openings
    rng: Random
    change: FloorChange
    _briefed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _why: str = attrs.field(default="", init=False)
    _crash: Crashed | None = attrs.field(default=None, init=False)
    _lost: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the old session is, and its functions with it."""
    _before: Mapping[str, str] = attrs.field(factory=dict, init=False)
    """The reason and the notes of the handoff before."""
    _live: AgentSession | None = attrs.field(default=None, init=False)
    """The session that was tried last; the one on which the handoff was asked for, once it is the next agent's."""
    _soft_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _step: str = attrs.field(default="", init=False)
    """Of a soft handoff."""

    async def run(self, sessions: trio.Nursery) -> AgentSession | Lost:
        async with trio.open_nursery() as turn:
            turn.start_soon(self._watch, turn.cancel_scope)
            turn.start_soon(self._get_brief)
            if not await self._try_softly():
                await self._try_successors(sessions)
            turn.cancel_scope.cancel(reason="handoff decided")
        return self._outcome()

    def _outcome(self) -> AgentSession | Lost:
        holder, to = self.change.holder, self.change.asked.wanted.to
        if self._live is not None and self._live.since < math.inf:
            if (crash := self._crash) is not None:  # nobody will restart it, but it is a fault of the call
                told = holder.agent.name, holder.number, crash.reason, crash.is_retryable
                self.state.journal.note(SessionCrashed(*told))
            return self._live
        self.state.conversation.record(self._before)  # nobody was handed anything
        if self._why:
            self.state.journal.note(HandoffFailed(holder.agent.name, to, self._why))
        unreached = self.state.policy.wording.unreachable.format(to=to)
        if holder.is_changing:
            return self._without_session(unreached)
        if self._crash is not None:
            return Lost(self._crash)
        if self._why:
            self.change.asked.refuse(unreached)
        return holder

    def _without_session(self, unreached: str) -> Lost:
        """Have the old agent go on with another session: its own was half changed, and may be lost as well."""
        if not self._why and self._crash is None:
            return Lost(None)
        answered = self.change.answered(error_text(unreached), ok=False) if self._why else None
        if answered is not None:  # in its history: a session that asks again is told this at once
            self.state.conversation.add_function(answered[0], {})
            self.state.journal.note(answered[1])
        lost = self._crash.reason if self._crash is not None else "the session was half changed"
        # whatever was wrong with an update, the old Settings were good: it may be retried
        return Lost(Crashed(AgentUnavailable(lost)), is_answered=answered is not None)

    # The session that is open becomes the next agent's, step by step; a step that is not done in time ends it

    async def _try_softly(self) -> bool:
        """Have the next agent take over on the session that is open, where that is wanted and can be.

        Before the first step the old voice loses the line, so nothing of the session is heard until it is the next
        agent's. One that was half changed is never heard again.
        """
        if self.change.asked.how != "soft" or self._crash is not None:
            return False
        why = "the session is lost"
        try:
            with self._soft_scope:
                await self._take_over()
                return True
        except _GivenUp as given_up:
            why = str(given_up)
        agent, to = self.change.holder.agent.name, self.change.asked.wanted.to
        self.state.journal.note(SoftHandoffGivenUp(agent, to, self._step, why, self.change.took))
        return False

    async def _take_over(self) -> None:
        self._check()
        await self._briefed.wait()
        takeover = self.openings.takeover(self.change.on_call)
        await self._change_by(UpdateThink(takeover.agent.think), ThinkUpdated)
        await self._change_by(UpdateSpeak(takeover.agent.speak), SpeakUpdated)
        await self._within("the service does not become quiet", self.change.holder.service.wait_quiet)
        self._check()
        if trio.current_effective_deadline() == -math.inf:
            await trio.sleep_forever()  # the handoff has been withdrawn in this very step
        self.change.on_call.begin(self.state.conversation.length)
        self.floor.change_agent(self.change, takeover)
        self._live = self.change.holder

    async def _change_by(self, update: UpdateThink | UpdateSpeak, acknowledged: type[ServerMessage]) -> None:
        """Send an update to a service that is quiet, and wait until it took. *Raises* `_GivenUp`."""
        session, self._step = self.change.holder, type(update).__name__

        async def send() -> None:
            await session.service.wait_quiet()
            self._check()
            session.is_changing = True
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

    # The next session

    async def _try_successors(self, sessions: trio.Nursery) -> None:
        policy, failures, asked = self.state.policy, 0, self.change.asked
        session, on_call = self.change.holder, self.change.on_call
        deadline = max(policy.deadlines.handoff_start, policy.deadlines.summary + _FOR_SETTINGS)
        while failures < policy.numbers.handoff_attempts:
            until = trio.current_time() + deadline - _FOR_SETTINGS
            wait_brief = partial(_wait_brief, self.state, self._briefed, self._lost, until, on_call)
            opening = self.openings.after_handoff(on_call, asked, wait_brief, lambda: session.cursor)
            self._live = live = self.floor.new_session(on_call, opening)
            try:
                await self.floor.start(sessions, live, "handoff", deadline, self.change)
            except AgentUnavailable as unavailable:
                self._why = unavailable.reason
                has_time = trio.current_time() < asked.at + policy.deadlines.busy_patience
                if unavailable.is_busy and has_time:
                    await trio.sleep(policy.deadlines.busy_retry)
                    continue
                failures += 1 if unavailable.retryable else policy.numbers.handoff_attempts
                if failures < policy.numbers.handoff_attempts:
                    await trio.sleep(self.rng.uniform(0, policy.restarts.first_delay))
            else:
                return

    # Meanwhile

    async def _get_brief(self) -> None:
        began, conversation, wanted = trio.current_time(), self.state.conversation, self.change.asked.wanted
        self._before = {name: conversation.facts.get(name, "") for name in (HANDOFF_REASON, HANDOFF_NOTES)}
        conversation.record({HANDOFF_REASON: wanted.reason, HANDOFF_NOTES: wanted.notes})
        prepared = await prepared_brief(self.state, wanted.to)
        took = round(trio.current_time() - began, 6)
        before = self.change.holder.on_call.brief
        brief = prepared.brief.completed(conversation.turns(), conversation.facts, before)
        self.change.on_call.take_brief(brief)
        self.state.journal.note(BriefReady(wanted.to, prepared.source, took, prepared.why, brief.filled()))
        self._briefed.set()

    async def _watch(self, turn: trio.CancelScope) -> None:
        mail, holder = self.state.mail, self.change.holder
        while True:
            message = await mail.supervisor.receive()
            if message.session != holder.number or self._live is holder:  # no concern of ours
                mail.early.append(message)
                continue
            match message:
                case WithdrawHandoff(number=number):
                    self._on_withdrawn(number, turn)
                case AskHandoff() | TakeFloor():
                    message.refuse(self.state.policy.wording.under_way)
                case SessionOver(crash=crash):
                    self._on_lost(crash or Crashed(AgentUnavailable("the session has run out")))
                case _:
                    assert_never(message)

    def _on_lost(self, crash: Crashed) -> None:
        self._crash = crash
        self._lost.set()
        self.state.turn.wake()
        self._soft_scope.cancel(reason="the session is lost")

    def _on_withdrawn(self, number: int, turn: trio.CancelScope) -> None:
        asked = self.change.asked
        if number == asked.number:  # not one that was refused before
            self.state.journal.note(HandoffWithdrawn(self.change.holder.agent.name, asked.wanted.to))
            self._why = ""
            turn.cancel(reason="handoff withdrawn")


async def _wait_brief(
    state: CallState, briefed: trio.Event, lost: trio.Event, until: float, on_call: AgentOnCall
) -> None:
    """Wait for the Brief, and until then for what the old agent does that cannot be taken back.

    It knows no `Handoff`, which knows the session that waits for it: they would outlive the call.
    """
    await briefed.wait()
    with trio.move_on_at(until):
        while state.turn.turn.session.does_lasting_work and not lost.is_set():
            await state.turn.wait_change()
    if on_call.brief is not None:
        on_call.take_brief(on_call.brief.with_facts(state.conversation.facts))


class _GivenUp(Exception):
    """The session cannot be the next agent's; the message says why."""
