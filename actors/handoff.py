"""One handoff, from the moment it is asked for to the moment it is decided.

`Handoff` owns the nursery in which, side by side, the next session connects, the Brief is fetched and the mailbox is
watched. It ends in one of four ways: the next agent has the floor (`Brought`), the old one keeps it (`Kept`), the old
one was lost meanwhile and no other came (`Lost`), or has ended the conversation after all (`Over`). However it ends,
what it started is gone or belongs to the conversation; a caller who hangs up cancels it like everything else.
"""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import TypeAlias, assert_never

import attrs
import trio

from actors.desk import Desk
from actors.errors import AgentUnavailable
from actors.facts import BriefReady, FunctionAnswered, HandoffCommitted, HandoffFailed, SessionCrashed
from actors.facts import HandoffWithdrawn as WasWithdrawn
from actors.floor import Floor, Seat, Tenure
from actors.function_calls import json_text
from actors.messages import (
    BriefAsked,
    ConversationEnded,
    Ended,
    HandoffAsked,
    HandoffRefused,
    HandoffWithdrawn,
    PreparedBrief,
    SessionLost,
    SessionRunOut,
    ToSummarizer,
    ToSupervisor,
)
from actors.opening import Opening
from actors.settings_form import SettingsForm
from actors.supervision import Crashed
from agents.brief import local_extract
from protocol.deepgram import Settings


@attrs.frozen
class Brought:
    """The next agent has the floor."""

    seat: Seat


@attrs.frozen
class Kept:
    """The old agent has the floor, and has been told why."""


@attrs.frozen
class Lost:
    """No agent has the floor: the old session crashed before a new one was ready."""

    crash: Crashed


@attrs.frozen
class Over:
    """The old agent ended the conversation meanwhile."""

    ended: Ended


HandoffOutcome: TypeAlias = Brought | Kept | Lost | Over


def answer(reply_to: trio.MemorySendChannel[HandoffRefused], why: str) -> None:
    """Refuse a handoff; a session that is gone meanwhile is not told."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the session closes both ends of its channel
        reply_to.send_nowait(HandoffRefused(why))


@attrs.define(eq=False)
class Handoff:
    """One turn of the Supervisor's loop. `run` it once.

    `early` takes messages of the next session that arrive while this one still reads the mailbox.
    """

    desk: Desk
    floor: Floor
    form: SettingsForm
    mailbox: trio.MemoryReceiveChannel[ToSupervisor]
    summarizer: trio.MemorySendChannel[ToSummarizer]
    rng: Random
    holder: Seat
    asked: HandoffAsked
    tenure: Tenure
    early: list[ToSupervisor]
    _briefed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _why: str = attrs.field(default="", init=False)
    _lost: Lost | Over | None = attrs.field(default=None, init=False)
    _brought: Seat | None = attrs.field(default=None, init=False)

    async def run(self, sessions: trio.Nursery) -> HandoffOutcome:
        """Bring the next agent to the floor, or leave it where it is."""
        async with trio.open_nursery() as turn:
            turn.start_soon(self._watch, turn.cancel_scope)
            turn.start_soon(self._get_brief)
            await self._try_successors(sessions)
            turn.cancel_scope.cancel(reason="handoff decided")
        if self._brought is not None:
            if isinstance(self._lost, Lost):  # nobody will restart it, but it is a fault of the call
                crash, holder = self._lost.crash, self.holder
                self.desk.journal.note(SessionCrashed(holder.agent, holder.number, crash.reason, crash.is_retryable))
            return Brought(self._brought)
        if self._why:
            self.desk.journal.note(HandoffFailed(self.holder.agent, self.asked.to, self._why))
        if self._lost is not None:
            return self._lost
        if self._why:
            why = f"The {self.asked.to} cannot be reached. Tell the customer, and go on yourself."
            answer(self.asked.reply_to, why)
        return Kept()

    # The next session

    async def _try_successors(self, sessions: trio.Nursery) -> None:
        policy, failures = self.desk.policy, 0
        while failures < policy.handoff_attempts:
            seat = self.floor.new_seat(self.tenure, self._opening(), promised_at=self.asked.at)
            try:
                await self.floor.start(sessions, seat, "handoff", self._deadline, self._relieve_holder(seat))
            except AgentUnavailable as unavailable:
                self._why = unavailable.reason
                has_time = trio.current_time() < self.asked.at + policy.busy_patience
                if unavailable.is_busy and has_time:
                    await trio.sleep(policy.busy_retry)
                    continue
                failures += 1 if unavailable.retryable else policy.handoff_attempts
                if failures < policy.handoff_attempts:
                    await trio.sleep(self.rng.uniform(0, policy.restarts.first_delay))
            else:
                return

    @property
    def _deadline(self) -> float:
        """For one attempt: never less than the Brief may take, and a second for the Settings behind it."""
        policy = self.desk.policy
        return max(policy.handoff_start, policy.summary_deadline + 1.0)

    def _opening(self) -> Opening:
        async def settings() -> Settings:
            await self._briefed.wait()
            self.tenure.since = self.desk.conversation.length
            return self.form.fresh(self.tenure.agent, self.tenure.brief)

        return Opening(settings, start=lambda: self.desk.tape.resume_point(self.holder.session.cursor))

    def _relieve_holder(self, seat: Seat) -> Callable[[], None]:
        def relieve() -> None:
            took = round(trio.current_time() - self.asked.at, 6)
            result = json_text({"handed_off_to": seat.agent})
            note = self.desk.journal.note
            asked, holder = self.asked, self.holder.agent
            note(FunctionAnswered(holder, asked.call_id, asked.name, result, ok=True, took=took, number=asked.number))
            note(HandoffCommitted(self.holder.agent, seat.agent, took))
            self.floor.leave(self.holder, "handed off")
            self.desk.conversation.hand_on()
            self._brought = seat

        return relieve

    # Meanwhile

    async def _get_brief(self) -> None:
        """Have a Brief ready when the next session is welcomed: the Summarizer's, or our own after its deadline."""
        began = trio.current_time()
        send, receive = trio.open_memory_channel[PreparedBrief](1)
        conversation = self.desk.conversation
        prepared, why = None, "no answer within the deadline"
        with send, receive, trio.move_on_after(self.desk.policy.summary_deadline):
            try:
                await self.summarizer.send(BriefAsked(self.asked.to, send))
                prepared = await receive.receive()
            except trio.BrokenResourceError:
                why = "the Summarizer has crashed"
        if prepared is None:
            prepared = PreparedBrief(local_extract(conversation.turns(), conversation.facts), "extract", why)
        took = round(trio.current_time() - began, 6)
        turns, facts, before = conversation.turns(), conversation.facts, self.holder.tenure.brief
        self.tenure.brief = brief = prepared.brief.completed(turns, facts, before)
        known = brief.filled()
        self.desk.journal.note(BriefReady(self.asked.to, prepared.source, took, prepared.why, known))
        self._briefed.set()

    async def _watch(self, turn: trio.CancelScope) -> None:
        while True:
            message = await self.mailbox.receive()
            if message.seat != self.holder.number:
                self.early.append(message)
                continue
            match message:
                case HandoffWithdrawn(number=number):
                    self._on_withdrawn(number, turn)
                case HandoffAsked(reply_to=reply_to):
                    answer(reply_to, "A handoff is under way already.")
                case SessionLost(crash=crash):
                    self._lost = Lost(crash)
                case SessionRunOut():
                    self._lost = Lost(Crashed(AgentUnavailable("the session has run out")))
                case ConversationEnded(ended=ended):
                    self._lost = Over(ended)
                    turn.cancel(reason="conversation ended")
                case _:
                    assert_never(message)

    def _on_withdrawn(self, number: int, turn: trio.CancelScope) -> None:
        if number == self.asked.number:  # not one that was refused before
            self.desk.journal.note(WasWithdrawn(self.holder.agent, self.asked.to))
            self._why = ""
            turn.cancel(reason="handoff withdrawn")
