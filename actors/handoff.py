"""One handoff, from the moment it is asked for to the moment it is decided.

`Handoff` owns the nursery in which, side by side, the next session connects, the Brief is fetched and the mailbox is
watched. It ends in one of three ways: the next agent has the floor (`Brought`), the old one keeps it (`Kept`), or the
old one was lost meanwhile and no other came (`Lost`). However it ends, what it started is gone or belongs to the
conversation; a caller who hangs up cancels it like everything else. The commit is in `actors/floor.py`.
"""

from random import Random
from typing import TypeAlias, assert_never

import attrs
import trio

from actors.call_state import CallState
from actors.errors import AgentUnavailable
from actors.facts import BriefReady, HandoffFailed, HandoffWithdrawn, SessionCrashed
from actors.floor import Floor, FloorChange, LiveSession
from actors.messages import AskHandoff, SessionLost, SessionRunOut, WithdrawHandoff
from actors.session.opening import AgentOnCall, Openings
from actors.summarizer import prepared_brief
from actors.supervision import Crashed


@attrs.frozen
class Brought:
    """The next agent has the floor."""

    live: LiveSession


@attrs.frozen
class Kept:
    """The old agent has the floor, and has been told why."""


@attrs.frozen
class Lost:
    """No agent has the floor: the old session crashed before a new one was ready."""

    crash: Crashed


HandoffOutcome: TypeAlias = Brought | Kept | Lost


@attrs.define(eq=False)
class Handoff:
    """One turn of the Supervisor's loop: `change` asks for the agent of `on_call`. `run` it once."""

    state: CallState
    floor: Floor
    openings: Openings
    rng: Random
    change: FloorChange
    on_call: AgentOnCall
    _briefed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _why: str = attrs.field(default="", init=False)
    _crash: Crashed | None = attrs.field(default=None, init=False)
    _live: LiveSession | None = attrs.field(default=None, init=False)
    """The session that was tried last."""

    async def run(self, sessions: trio.Nursery) -> HandoffOutcome:
        """Bring the next agent to the floor, or leave it where it is."""
        async with trio.open_nursery() as turn:
            turn.start_soon(self._watch, turn.cancel_scope)
            turn.start_soon(self._get_brief)
            await self._try_successors(sessions)
            turn.cancel_scope.cancel(reason="handoff decided")
        holder, asked = self.change.holder, self.change.asked
        if self._live is not None and self._live.has_taken_floor:
            if self._crash is not None:  # nobody will restart it, but it is a fault of the call
                crash = self._crash
                self.state.journal.note(SessionCrashed(holder.agent, holder.number, crash.reason, crash.is_retryable))
            return Brought(self._live)
        if self._why:
            self.state.journal.note(HandoffFailed(holder.agent, asked.to, self._why))
        if self._crash is not None:
            return Lost(self._crash)
        if self._why:
            asked.refuse(f"The {asked.to} cannot be reached. Tell the customer, and go on yourself.")
        return Kept()

    # The next session

    async def _try_successors(self, sessions: trio.Nursery) -> None:
        policy, failures, asked, session = self.state.policy, 0, self.change.asked, self.change.holder.session
        while failures < policy.numbers.handoff_attempts:
            opening = self.openings.after_handoff(self.on_call, self._briefed, lambda: session.cursor, asked.at)
            self._live = live = self.floor.new_session(self.on_call, opening)
            try:
                await self.floor.start(sessions, live, "handoff", self._deadline, self.change)
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

    @property
    def _deadline(self) -> float:
        """For one attempt: never less than the Brief may take, and a second for the Settings behind it."""
        policy = self.state.policy
        return max(policy.deadlines.handoff_start, policy.deadlines.summary + 1.0)

    # Meanwhile

    async def _get_brief(self) -> None:
        """Have a Brief ready when the next session is welcomed."""
        began, reader = trio.current_time(), self.change.asked.to
        prepared = await prepared_brief(self.state, self.state.mail.to_summarizer, reader)
        took = round(trio.current_time() - began, 6)
        conversation, before = self.state.conversation, self.change.holder.on_call.brief
        self.on_call.brief = brief = prepared.brief.completed(conversation.turns(), conversation.facts, before)
        self.state.journal.note(BriefReady(reader, prepared.source, took, prepared.why, brief.filled()))
        self._briefed.set()

    async def _watch(self, turn: trio.CancelScope) -> None:
        mail, holder = self.state.mail, self.change.holder
        while True:
            message = await mail.supervisor.receive()
            if message.session != holder.number:
                mail.early.append(message)
                continue
            match message:
                case WithdrawHandoff(number=number):
                    self._on_withdrawn(number, turn)
                case AskHandoff():
                    message.refuse("A handoff is under way already.")
                case SessionLost(crash=crash):
                    self._crash = crash
                case SessionRunOut():
                    self._crash = Crashed(AgentUnavailable("the session has run out"))
                case _:
                    assert_never(message)

    def _on_withdrawn(self, number: int, turn: trio.CancelScope) -> None:
        asked = self.change.asked
        if number == asked.number:  # not one that was refused before
            self.state.journal.note(HandoffWithdrawn(self.change.holder.agent, asked.to))
            self._why = ""
            turn.cancel(reason="handoff withdrawn")
