"""Writes the note that the next agent gets: asks Groq for the Brief, ahead of time if it may.

`Summarizer` answers every `WriteBrief`, whatever Groq does: a failure is a value here, never an exception in the call,
and the local extract takes the Brief's place. In eager mode it refreshes the Brief after each turn of the caller, one
request at a time, so that a handoff finds it ready and adds only what has been said since, word for word.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias, assert_never

import attrs
import trio

from actors.desk import Desk
from actors.errors import BriefUnavailable
from actors.facts import SummaryFailed, SummaryStarted, SummaryWritten
from actors.messages import PreparedBrief, RefreshBrief, ToSummarizer, WriteBrief
from actors.policy import SummaryMode
from agents.brief import Brief, BriefRefused, local_extract
from agents.roster import Roster

AskBrief: TypeAlias = Callable[[list[dict[str, str]]], Awaitable[str]]
"""Asks a language model: chat messages in, its text out. *Raises* `BriefUnavailable`."""


@attrs.frozen
class _Written:
    """A Brief, and how much of the conversation it has seen."""

    brief: Brief
    seen: int


@attrs.define(eq=False)
class Summarizer:
    """One call's summarizer. `ask` is None where there is no language model: every Brief is an extract then."""

    desk: Desk
    roster: Roster
    ask: AskBrief | None
    mailbox: trio.MemoryReceiveChannel[ToSummarizer]
    _wanted: str = attrs.field(default="", init=False)
    _due: trio.Event = attrs.field(factory=trio.Event, init=False)
    _settled: trio.Event = attrs.field(init=False)
    _written: dict[str, _Written] = attrs.field(factory=dict, init=False)
    _failure: str = attrs.field(default="", init=False)
    _given_up: bool = attrs.field(default=False, init=False)
    """No model is left that may be asked: this call asks no more."""

    def __attrs_post_init__(self) -> None:
        self._settled = trio.Event()
        self._settled.set()

    async def run(self) -> None:
        """Serve the mailbox until everyone who might write to it is gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._work_ahead)
            with self.mailbox:
                async for message in self.mailbox:
                    match message:
                        case RefreshBrief(reader=reader):
                            self._want(reader)
                        case WriteBrief():
                            nursery.start_soon(self._answer, message)
                        case _:
                            assert_never(message)
            nursery.cancel_scope.cancel(reason="mailbox closed")

    def _want(self, reader: str) -> None:
        if self.desk.policy.summary_mode is SummaryMode.EAGER and self.ask is not None and not self._given_up:
            self._wanted = reader
            self._settled = trio.Event() if self._settled.is_set() else self._settled
            self._due.set()

    async def _work_ahead(self) -> None:
        while True:
            await self._due.wait()
            self._due = trio.Event()
            await self._write(self._wanted)
            if not self._due.is_set():
                self._settled.set()

    async def _write(self, reader: str) -> None:
        """Ask for one Brief, within the deadline; keep it, or why there is none."""
        conversation, began = self.desk.conversation, trio.current_time()
        seen = conversation.length
        messages = self.roster.agents[reader].brief_messages(conversation.turns(), conversation.facts)
        self.desk.journal.note(SummaryStarted(reader))
        try:
            with trio.fail_after(self.desk.policy.summary_deadline):
                brief = self.roster.agents[reader].read_brief(await self._ask(messages))
        except (BriefUnavailable, BriefRefused) as failed:
            self._failure = str(failed)
            self._given_up = isinstance(failed, BriefUnavailable) and failed.lasting
        except trio.TooSlowError:
            self._failure = f"no answer within {self.desk.policy.summary_deadline:g} s"
        else:
            self._failure = ""
            self._written[reader] = _Written(brief, seen)
        took = round(trio.current_time() - began, 6)
        failure = self._failure
        self.desk.journal.note(SummaryFailed(reader, took, failure) if failure else SummaryWritten(reader, took))

    async def _ask(self, messages: list[dict[str, str]]) -> str:
        if self.ask is None:
            raise BriefUnavailable("no language model is configured")
        return await self.ask(messages)

    async def _answer(self, asked: WriteBrief) -> None:
        if asked.reader not in self._written:
            if not self._settled.is_set() and not self._failure:  # a model that failed just now is not waited for again
                await self._settled.wait()
            elif self.desk.policy.summary_mode is SummaryMode.ON_HANDOFF and not self._given_up:
                await self._write(asked.reader)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the handoff is over: late, or withdrawn
            asked.reply_to.send_nowait(self._prepared_for(asked.reader))

    def _prepared_for(self, reader: str) -> PreparedBrief:
        conversation = self.desk.conversation
        written = self._written.get(reader)
        if written is None:
            extract = local_extract(conversation.turns(), conversation.facts)
            return PreparedBrief(extract, "extract", self._failure or "nothing was summarised yet")
        recent = conversation.turns(written.seen)
        return PreparedBrief(written.brief.with_facts(conversation.facts).with_recent(recent), "groq")


async def prepared_brief(desk: Desk, summarizer: trio.MemorySendChannel[ToSummarizer], reader: str) -> PreparedBrief:
    """Get a Brief for `reader` within its deadline: the Summarizer's, or our own extract."""
    conversation, why = desk.conversation, "no answer within the deadline"
    send, receive = trio.open_memory_channel[PreparedBrief](1)
    with send, receive, trio.move_on_after(desk.policy.summary_deadline):
        try:
            await summarizer.send(WriteBrief(reader, send))
            return await receive.receive()
        except trio.BrokenResourceError:
            why = "the Summarizer has crashed"
    return PreparedBrief(local_extract(conversation.turns(), conversation.facts), "extract", why)
