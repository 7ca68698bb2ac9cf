"""Writes the note that the next agent gets: asks Groq for the Brief, ahead of time if it may.

`Summarizer` answers every `WriteBrief`, whatever Groq does: a failure is a value here, never an exception in the call,
and the local extract takes the Brief's place. In eager mode it asks ahead, so that a handoff finds a Brief ready: after
the caller's first turn to an agent that can hand over, and then when the caller has said enough that is new
(`Numbers.brief_words`), never twice within `Deadlines.brief_gap` seconds. A handoff adds what was said since, word
for word, and what plain patterns find in it.
"""

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self, TypeAlias

import attrs
import trio

from actors.call_state import CallState
from actors.errors import BriefUnavailable
from actors.facts import SummaryFailed, SummaryStarted, SummaryWritten
from actors.messages import PreparedBrief, WriteBrief
from actors.policy import SummaryMode
from agents.brief import Brief, BriefRefused, local_extract, parse_brief
from agents.quoting import CALLER
from agents.roster import Roster

AskBrief: TypeAlias = Callable[[list[dict[str, str]]], Awaitable[str]]
"""Asks a language model: chat messages in, its text out (a `BriefText`, where the cost is known).

*Raises* `BriefUnavailable`.
"""


@attrs.frozen
class BriefCost:
    """The cost of a Brief: requests to the API, and tokens as the API counts them; 0 where it does not say."""

    requests: int = 1
    tokens_in: int = 0
    tokens_out: int = 0


class BriefText(str):
    """The text of a language model and its cost: a plain text counts as one request without tokens."""

    __slots__ = ("cost",)
    cost: BriefCost

    def __new__(cls, text: str, cost: BriefCost) -> Self:
        told = super().__new__(cls, text)
        told.cost = cost
        return told


@attrs.frozen
class _WrittenBrief:
    """A Brief, and how much of the conversation it has seen."""

    brief: Brief
    seen: int


@attrs.define(eq=False)
class Summarizer:
    """The Summarizer of one call. `ask` is None where there is no language model: every Brief is an extract then."""

    state: CallState
    roster: Roster
    ask: AskBrief | None
    _wanted: str = attrs.field(default="", init=False)
    _due: trio.Event = attrs.field(factory=trio.Event, init=False)
    _asked: dict[str, float] = attrs.field(factory=dict, init=False)
    """The readers for whom the model was asked, and when it was last (trio time)."""
    _writing: dict[str, trio.Event] = attrs.field(factory=dict, init=False)
    """The readers whose Brief is being written, each with the end of it."""
    _written: dict[str, _WrittenBrief] = attrs.field(factory=dict, init=False)
    _failure: str = attrs.field(default="", init=False)
    _given_up: bool = attrs.field(default=False, init=False)
    """No model is left that may be asked: this call asks no more."""

    async def run(self) -> None:
        """Serve the mailbox until everyone who might write to it is gone."""
        async with trio.open_nursery() as nursery:
            with self.state.mail.summarizer as mailbox:
                async for message in mailbox:
                    if message.reply_to is None:
                        self._want(message.reader, nursery)
                    else:
                        nursery.start_soon(self._answer, message.reader, message.reply_to)
            nursery.cancel_scope.cancel(reason="mailbox closed")

    def _want(self, reader: str, nursery: trio.Nursery) -> None:
        if self.state.policy.summary_mode is SummaryMode.EAGER:
            if not self._wanted:
                nursery.start_soon(self._work_ahead)
            self._wanted = reader
            self._due.set()

    async def _work_ahead(self) -> None:
        """Write one Brief at a time, each when it may be asked for; a wish for another reader takes its place."""
        while True:
            await self._due.wait()
            while self._due.is_set():
                self._due = trio.Event()
                asked = self._asked.get(self._wanted, -math.inf)
                with trio.move_on_at(asked + self.state.policy.deadlines.brief_gap):
                    await self._due.wait()
            if self._is_worth_asking(self._wanted):
                await self._write(self._wanted)

    def _is_worth_asking(self, reader: str) -> bool:
        """Whether the caller has said enough that no Brief for this reader has seen."""
        written = self._written.get(reader)
        news = self.state.conversation.turns(written.seen if written is not None else 0)
        words = sum(len(turn.text.split()) for turn in news if turn.speaker == CALLER)
        is_able = self.ask is not None and not self._given_up and reader not in self._writing
        return is_able and words >= (self.state.policy.numbers.brief_words if written is not None else 1)

    async def _write(self, reader: str) -> None:
        """Ask for one Brief, within the deadline; keep it, or why there is none."""
        conversation, began = self.state.conversation, trio.current_time()
        seen, self._asked[reader] = conversation.length, began
        over = self._writing[reader] = trio.Event()
        agent = self.roster.agents[reader]
        messages = agent.brief_messages(conversation.turns(), conversation.facts)
        self.state.journal.note(SummaryStarted(reader))
        cost = BriefCost()
        try:
            with trio.move_on_after(self.state.policy.deadlines.summary) as patience:
                text = await self._ask(messages)
                cost = text.cost if isinstance(text, BriefText) else cost
                self._written[reader] = _WrittenBrief(parse_brief(text, agent.brief_entries), seen)
                self._failure = ""
            if patience.cancelled_caught:
                self._failure = f"no answer within {self.state.policy.deadlines.summary:g} s"
        except BriefUnavailable as failed:
            self._failure, self._given_up, cost = str(failed), failed.lasting, BriefCost(failed.requests)
        except BriefRefused as refused:
            self._failure = str(refused)
        finally:
            del self._writing[reader]
            over.set()
        took = round(trio.current_time() - began, 6)
        spent, failure = attrs.astuple(cost), self._failure
        self.state.journal.note(
            SummaryFailed(reader, took, failure, *spent) if failure else SummaryWritten(reader, took, *spent)
        )

    async def _ask(self, messages: list[dict[str, str]]) -> str:
        if self.ask is None:
            raise BriefUnavailable("no language model is configured", requests=0)
        return await self.ask(messages)

    async def _answer(self, reader: str, reply_to: trio.MemorySendChannel[PreparedBrief]) -> None:
        if reader not in self._written:
            if (over := self._writing.get(reader)) is not None:
                if not self._failure:  # a model that failed just now is not waited for again
                    await over.wait()
            elif self._is_worth_waiting(reader):
                await self._write(reader)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the handoff is over: late, or withdrawn
            reply_to.send_nowait(self._prepared_for(reader))

    def _is_worth_waiting(self, reader: str) -> bool:
        """Whether a handoff should wait for a Brief that nobody has begun to write: eager, one that is about to be."""
        if self.state.policy.summary_mode is SummaryMode.ON_HANDOFF:
            return not self._given_up
        return reader == self._wanted and reader not in self._asked and self._is_worth_asking(reader)

    def _prepared_for(self, reader: str) -> PreparedBrief:
        conversation = self.state.conversation
        written = self._written.get(reader)
        if written is None:
            extract = local_extract(conversation.turns(), conversation.facts)
            return PreparedBrief(extract, "extract", self._failure or "nothing was summarised yet")
        recent = conversation.turns(written.seen)
        brief = written.brief.with_gaps_filled(local_extract(recent, {})).with_facts(conversation.facts)
        return PreparedBrief(brief.with_recent(recent), "groq")


async def prepared_brief(state: CallState, reader: str) -> PreparedBrief:
    """Get a Brief for `reader` within its deadline: the Summarizer's, or our own extract."""
    conversation, why = state.conversation, "no answer within the deadline"
    send, receive = trio.open_memory_channel[PreparedBrief](1)
    with send, receive, trio.move_on_after(state.policy.deadlines.summary):
        state.mail.writer.want()
        try:
            await state.mail.to_summarizer.send(WriteBrief(reader, send))
            return await receive.receive()
        except trio.BrokenResourceError:
            why = "the Summarizer has crashed"
    return PreparedBrief(local_extract(conversation.turns(), conversation.facts), "extract", why)
