"""What the model of one session wants done, carried out while the conversation goes on.

`FunctionRunner` runs each function call as a child of its session and posts the answer. To hand the call on, to put the
caller through and to end the call are functions too: it asks the Supervisor for a successor, has the caller hear the
sentence before it asks the line, and says that the conversation is over when the goodbye has been heard. What a
function is, and how it runs, is in `actors/function_calls.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import attrs
import trio

from actors.cues import CLOSING
from actors.desk import Desk
from actors.facts import (
    FunctionAnswered,
    FunctionCalled,
    FunctionWithdrawn,
    GoodbyeHeard,
    GoodbyeStarted,
    HandoffAsked,
)
from actors.function_calls import Failed, FunctionResult, broken_off, error_text, run_function
from actors.goodbye import ASK_GOODBYE, hear_out
from actors.messages import Ended, HandoffRefused, HandoffWithdrawn, Spent, ToSummarizer, ToSupervisor
from actors.messages import HandoffAsked as AskHandoff
from actors.patience import Patience
from actors.reply import Voice
from actors.tape import TapeReader
from actors.transfer import put_through
from agents.functions import Answer, CallContext, EndCall, HandOff, TransferToHuman
from agents.spec import AgentSpec
from protocol.deepgram import CancelledCall, CompletedCall, FunctionCall, FunctionCallResponse


@attrs.define(eq=False)
class FunctionRunner:
    """One session's.

    `running` are the calls that the model waits for, by their id, and `goodbyes` what no barge-in may cut: both are
    shared with the session, and nobody else adds to the first. `post` sends without being waited for, `owe_words` opens
    the agents' turn, and `over` takes the end of the conversation.
    """

    desk: Desk
    agent: AgentSpec
    seat: int
    voice: Voice
    reader: TapeReader
    patience: Patience
    running: dict[str, trio.CancelScope]
    goodbyes: set[str]
    owe_words: Callable[[], None]
    post: Callable[[FunctionCallResponse], None]
    children: trio.Nursery
    over: trio.MemorySendChannel[Ended | Spent]
    supervisor: trio.MemorySendChannel[ToSupervisor]
    summarizer: trio.MemorySendChannel[ToSummarizer]
    goodbye: EndCall | None = attrs.field(default=None, init=False)
    """How the model has ended the conversation, unless it has taken that back."""
    _handoffs: set[str] = attrs.field(factory=set, init=False)

    def start(self, calls: Sequence[FunctionCall]) -> None:
        """Start what the model asks for, each call as a child of its own; what is under way already is left alone."""
        for call in calls:
            if call.client_side and call.id not in self.running and CLOSING not in self.goodbyes:
                self.running[call.id] = trio.CancelScope()
                self.desk.journal.note(FunctionCalled(self.agent.name, call.id, call.name, call.arguments))
                self.patience.begin()
                self.children.start_soon(self._carry_out, call)

    def withdraw(self, calls: Sequence[CancelledCall]) -> None:
        """Cancel what the service does not want any more."""
        for call in calls:
            if call.id in self.goodbyes:  # the caller has spoken again: what is left of the goodbye answers nothing now
                self.goodbyes.discard(call.id)
                self.desk.ledger.flush()
            if (scope := self.running.get(call.id)) is not None:
                scope.cancel(reason="cancelled by the service")

    async def _carry_out(self, call: FunctionCall) -> None:
        """Run one function call to its end. What the service cancels is finding the answer, and never a sending."""
        began = trio.current_time()
        answer: str | None = None
        result: FunctionResult | None = None
        with self.running[call.id] as scope:
            result = await self._result_of(call)
            answer = await self._answer_to(call, result)
        del self.running[call.id]
        if scope.cancelled_caught:
            await self._note_withdrawal(call, result)
            return
        took = round(trio.current_time() - began, 6)
        self._note_answer(call, result, answer, took)
        if answer is not None:
            self.post(FunctionCallResponse(call.id, call.name, answer, call.thought_signature))
            self.patience.done += 1
            if self.patience.is_closed:
                self.owe_words()
        elif isinstance(result, EndCall):
            await self.over.send(Ended(result.reason))

    async def _answer_to(self, call: FunctionCall, result: FunctionResult) -> str | None:
        match result:
            case HandOff():
                return error_text((await self._ask_handoff(call, result)).why)
            case TransferToHuman():
                return error_text(await self._put_through(call, result))
            case EndCall():
                await self._say_goodbye(call, result)
                return None
            case Answer() | Failed():
                return result.text()

    async def _result_of(self, call: FunctionCall) -> FunctionResult:
        conversation = self.desk.conversation
        if (earlier := conversation.earlier_answer(call.name, call.arguments)) is not None:
            return Answer(earlier)
        if conversation.is_broken_off(call.name, call.arguments, self.seat):
            return broken_off(call.name)
        spec = self.agent.function(call.name)
        if spec is not None and spec.acts:
            conversation.begin_function(call.name, call.arguments, self.seat)
        result = await run_function(
            self.agent, call, CallContext(self.desk.call_sid, self.agent.name, dict(conversation.facts))
        )
        conversation.end_function(call.name, call.arguments)
        return result

    def _note_answer(self, call: FunctionCall, result: FunctionResult | None, answer: str | None, took: float) -> None:
        ok = isinstance(result, Answer | EndCall)
        content = answer if answer is not None else '{"ended": true}'
        facts = result.facts if isinstance(result, Answer | EndCall) else {}
        done = CompletedCall(call.id, call.name, True, call.arguments, content, call.thought_signature)
        is_done = ok or (isinstance(result, Failed) and result.is_done)
        self.desk.conversation.add_function(done, facts, repeatable=not is_done)
        if isinstance(result, Failed) and result.cause:
            content = f"{content} ({result.cause})"
        self.desk.journal.note(FunctionAnswered(self.agent.name, call.id, call.name, content, ok, took, facts))

    async def _note_withdrawal(self, call: FunctionCall, result: FunctionResult | None) -> None:
        self.desk.conversation.end_function(call.name, call.arguments)  # asked for again, it is another call
        self.desk.journal.note(FunctionWithdrawn(self.agent.name, call.id, call.name))
        if isinstance(result, EndCall):
            self.goodbye = None
        if isinstance(result, HandOff):
            self._take_back_floor(call)
            await self.supervisor.send(HandoffWithdrawn(self.seat, call.id))

    # Handing the call on, and ending it

    async def _ask_handoff(self, call: FunctionCall, handoff: HandOff) -> HandoffRefused:
        """Fall silent and ask for a successor. Being refused is the only answer; a handoff that succeeds cancels us."""
        now, offset = trio.current_time(), self.reader.hold()
        self._handoffs.add(call.id)
        self.patience.end()
        self.desk.ledger.withhold(self.voice)
        self.desk.conversation.facts.update(handoff.facts)
        self.desk.journal.note(HandoffAsked(self.agent.name, handoff.to, handoff.reason, handoff.notes, offset))
        answer, answered = trio.open_memory_channel[HandoffRefused](1)
        with answer, answered:
            await self.supervisor.send(
                AskHandoff(
                    seat=self.seat,
                    call_id=call.id,
                    name=call.name,
                    to=handoff.to,
                    reason=handoff.reason,
                    notes=handoff.notes,
                    at=now,
                    offset=offset,
                    reply_to=answer,
                )
            )
            refused = await answered.receive()
        self._take_back_floor(call)
        return refused

    def _take_back_floor(self, call: FunctionCall) -> None:
        self._handoffs.discard(call.id)
        if not self._handoffs:  # a second one that is refused does not undo the first
            self.desk.ledger.grant(self.voice)
            self.reader.resume()

    async def _say_goodbye(self, call: FunctionCall, end: EndCall) -> None:
        """Wait until the caller has heard the goodbye, which may be on its way still, or not yet asked for."""
        self.desk.journal.note(GoodbyeStarted(self.agent.name, end.reason))
        self.goodbye = end
        with self._uncut(call):
            if self.voice.reply is None:
                self.post(FunctionCallResponse(call.id, call.name, ASK_GOODBYE, call.thought_signature))
            complete = await hear_out(self.desk, self.voice, self.agent.voice)
            self.desk.journal.note(GoodbyeHeard(self.agent.name, complete))

    async def _put_through(self, call: FunctionCall, wanted: TransferToHuman) -> str:
        """Have the caller hear that they are put through, and ask the line. To be told why not is the only answer."""

        async def hear() -> None:
            with self._uncut(call):
                await hear_out(self.desk, self.voice, self.agent.voice)

        return await put_through(self.desk, self.agent, wanted, hear, self.summarizer, call=call)

    @contextmanager
    def _uncut(self, call: FunctionCall) -> Iterator[None]:
        """Let no barge-in cut what is said with this call."""
        self.patience.end()
        self.goodbyes.add(call.id)
        try:
            yield
        finally:
            self.goodbyes.discard(call.id)
