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

from actors.cues import CLOSING, Signs
from actors.desk import Desk
from actors.errors import AgentUnavailable
from actors.facts import (
    ArgumentsForgiven,
    FunctionAnswered,
    FunctionCalled,
    FunctionWithdrawn,
    GoodbyeHeard,
    GoodbyeStarted,
    HandoffAsked,
)
from actors.function_calls import (
    SPEAK_NOW,
    Failed,
    FunctionResult,
    broken_off,
    error_text,
    lacks_consent,
    run_function,
)
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

_LATEST_TRANSCRIPT = 5.0
"""For the transcript of what the caller is saying: a function call may come before it (Deepgram reference, 6.3)."""


@attrs.define(eq=False)
class Running:
    """A function call that the model waits for, under our own number: its `id` may be empty, or be used again."""

    number: int
    request: int
    """Which `FunctionCallRequest` of the session it came with."""
    call: FunctionCall
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    answer: str | None = None
    ended: trio.Event = attrs.field(factory=trio.Event)

    @property
    def goodbye(self) -> str:
        """Its name among the goodbyes."""
        return f"function {self.number}"

    def is_asked_again(self, call: FunctionCall, request: int) -> bool:
        """Say whether a later request asks for exactly what this call is doing."""
        return self.request < request and (self.call.name, self.call.arguments) == (call.name, call.arguments)


@attrs.define(eq=False)
class FunctionRunner:
    """One session's.

    `running` are the calls that the model waits for, by our number of them, and `goodbyes` what no barge-in may cut:
    both are shared with the session, and nobody else adds to the first. `signs` say whether the service hears the
    caller. `post` sends without being waited for, `owe_words` opens the agents' turn, and `over` takes the end of the
    conversation.
    """

    desk: Desk
    agent: AgentSpec
    seat: int
    voice: Voice
    reader: TapeReader
    patience: Patience
    running: dict[int, Running]
    goodbyes: set[str]
    signs: Signs
    owe_words: Callable[[], None]
    post: Callable[[FunctionCallResponse], None]
    children: trio.Nursery
    over: trio.MemorySendChannel[Ended | Spent]
    supervisor: trio.MemorySendChannel[ToSupervisor]
    summarizer: trio.MemorySendChannel[ToSummarizer]
    goodbye: EndCall | None = attrs.field(default=None, init=False)
    """How the model has ended the conversation, unless it has taken that back."""
    _handoffs: set[int] = attrs.field(factory=set, init=False)
    _requests: int = attrs.field(default=0, init=False)
    _told_to_speak: int | None = attrs.field(default=None, init=False)
    """In which turn of the caller the model was told to speak, if it was."""

    def start(self, calls: Sequence[FunctionCall]) -> None:
        """Start what the model asks for, each call as a child of its own.

        *Raises* `AgentUnavailable` when the model calls one function after the other, and does not speak.
        """
        self._requests += 1
        for call in calls:
            if call.client_side and CLOSING not in self.goodbyes and not self._is_resent(call):
                self._start(call)

    def _is_resent(self, call: FunctionCall) -> bool:
        """Say whether this is a call that is under way already, in a message that has come twice."""
        asked = self.running.values()
        return call.id != "" and any(one.call == call and one.request < self._requests for one in asked)

    def _start(self, call: FunctionCall) -> None:
        conversation = self.desk.conversation
        asked = Running(conversation.count_function(), self._requests, call)
        self.desk.journal.note(FunctionCalled(self.agent.name, call.id, call.name, call.arguments, asked.number))
        is_one_too_many = self._is_one_too_many(call)
        if is_one_too_many and self._told_to_speak == conversation.caller_turns:
            raise AgentUnavailable(
                f"the model called {conversation.functions_in_turn} functions in one turn and did not speak",
                is_slip=True,
            )
        self.running[asked.number] = asked
        self.patience.begin()
        self.children.start_soon(self._carry_out, asked, is_one_too_many)

    def _is_one_too_many(self, call: FunctionCall) -> bool:
        """Whether the model has called too many functions since the caller's last turn; it may always end the call."""
        conversation, spec = self.desk.conversation, self.agent.function(call.name)
        may_end = spec is not None and spec.ends_call and conversation.is_caller_heard
        return conversation.functions_in_turn > self.desk.policy.functions_per_turn and not may_end

    def withdraw(self, calls: Sequence[CancelledCall]) -> None:
        """Cancel what the service does not want any more."""
        for call in calls:
            for asked in list(self.running.values()):
                if asked.call.id == call.id and call.name in ("", asked.call.name):
                    self._withdraw(asked)

    def _withdraw(self, asked: Running) -> None:
        if asked.goodbye in self.goodbyes:  # the caller has spoken again: what is left of it answers nothing now
            self.goodbyes.discard(asked.goodbye)
            self.desk.ledger.flush()
        asked.scope.cancel(reason="cancelled by the service")

    async def _carry_out(self, asked: Running, is_one_too_many: bool) -> None:
        """Run one function call to its end. What the service cancels is finding the answer, and never a sending."""
        began, call = trio.current_time(), asked.call
        answer: str | None = None
        result: FunctionResult | None = None
        with asked.scope:
            result = Failed(SPEAK_NOW) if is_one_too_many else await self._result_of(asked)
            answer = await self._answer_to(asked, result)
        del self.running[asked.number]
        asked.answer = answer
        asked.ended.set()
        if asked.scope.cancelled_caught:
            await self._note_withdrawal(asked, result)
            return
        took = round(trio.current_time() - began, 6)
        self._note_answer(asked, result, answer, took)
        if is_one_too_many:
            self._told_to_speak = self.desk.conversation.caller_turns
        if answer is not None:
            self.post(FunctionCallResponse(call.id, call.name, answer, call.thought_signature))
            self.patience.done += 1
            if self.patience.is_closed:
                self.owe_words()
        elif isinstance(result, EndCall):
            await self.over.send(Ended(result.reason))

    async def _answer_to(self, asked: Running, result: FunctionResult) -> str | None:
        match result:
            case HandOff():
                return error_text((await self._ask_handoff(asked, result)).why)
            case TransferToHuman():
                return error_text(await self._put_through(asked, result))
            case EndCall():
                await self._say_goodbye(asked, result)
                return None
            case Answer() | Failed():
                return result.text()

    async def _result_of(self, asked: Running) -> FunctionResult:
        call, conversation = asked.call, self.desk.conversation
        twins = (one for one in self.running.values() if one.is_asked_again(call, asked.request))
        twin = next(twins, None)
        if twin is not None:  # the model asks for what is being done: it is done once, and answered twice
            await twin.ended.wait()
            if twin.answer is not None:
                return Answer(twin.answer)
        if (earlier := conversation.earlier_answer(call.name, call.arguments)) is not None:
            return Answer(earlier)
        if conversation.is_broken_off(call.name, call.arguments, self.seat):
            return broken_off(call.name)
        spec = self.agent.function(call.name)
        if spec is not None and spec.acts:
            conversation.begin_function(call.name, call.arguments, self.seat)

        def note_forgiven(problems: Sequence[str]) -> None:
            forgiven = ArgumentsForgiven(self.agent.name, call.id, call.name, asked.number, tuple(problems))
            self.desk.journal.note(forgiven)

        context = CallContext(self.desk.call_sid, self.agent.name, dict(conversation.facts))
        result = await run_function(self.agent, call, context, note_forgiven)
        conversation.end_function(call.name, call.arguments)
        return await self._refused(call, result) or result

    async def _refused(self, call: FunctionCall, result: FunctionResult) -> Failed | None:
        """Refuse what the caller has not agreed to: once what they are saying just now has been transcribed."""
        refused = lacks_consent(call.name, result, self.desk.conversation)
        if refused is not None and self.signs.speech_began is not None:
            with trio.move_on_after(_LATEST_TRANSCRIPT):
                await self.signs.wait_understood()
            refused = lacks_consent(call.name, result, self.desk.conversation)
        return refused

    def _note_answer(self, asked: Running, result: FunctionResult | None, answer: str | None, took: float) -> None:
        call, ok = asked.call, isinstance(result, Answer | EndCall)
        content = answer if answer is not None else '{"ended": true}'
        facts = result.facts if isinstance(result, Answer | EndCall) else {}
        done = CompletedCall(call.id, call.name, True, call.arguments, content, call.thought_signature)
        is_done = ok or (isinstance(result, Failed) and result.is_done)
        self.desk.conversation.add_function(done, facts, repeatable=not is_done)
        if isinstance(result, Failed) and result.cause:
            content = f"{content} ({result.cause})"
        answered = FunctionAnswered(self.agent.name, call.id, call.name, content, ok, took, facts, asked.number)
        self.desk.journal.note(answered)

    async def _note_withdrawal(self, asked: Running, result: FunctionResult | None) -> None:
        call = asked.call
        self.desk.conversation.end_function(call.name, call.arguments)  # asked for again, it is another call
        self.desk.journal.note(FunctionWithdrawn(self.agent.name, call.id, call.name, asked.number))
        if isinstance(result, EndCall):
            self.goodbye = None
        if isinstance(result, HandOff):
            self._take_back_floor(asked)
            await self.supervisor.send(HandoffWithdrawn(self.seat, call.id, asked.number))

    # Handing the call on, and ending it

    async def _ask_handoff(self, asked: Running, handoff: HandOff) -> HandoffRefused:
        """Fall silent and ask for a successor. Being refused is the only answer; a handoff that succeeds cancels us."""
        now, offset, call = trio.current_time(), self.reader.hold(), asked.call
        self._handoffs.add(asked.number)
        self.patience.end()
        self.desk.ledger.withhold(self.voice)
        self.desk.conversation.record({"handoff_reason": "", "handoff_notes": "", **handoff.facts})
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
                    number=asked.number,
                )
            )
            refused = await answered.receive()
        self._take_back_floor(asked)
        return refused

    def _take_back_floor(self, asked: Running) -> None:
        self._handoffs.discard(asked.number)
        if not self._handoffs:  # a second one that is refused does not undo the first
            self.desk.ledger.grant(self.voice)
            self.reader.resume()

    async def _say_goodbye(self, asked: Running, end: EndCall) -> None:
        """Wait until the caller has heard the goodbye, which may be on its way still, or not yet asked for."""
        self.desk.journal.note(GoodbyeStarted(self.agent.name, end.reason))
        self.goodbye, call = end, asked.call
        with self._uncut(asked):
            if self.voice.reply is None:
                self.post(FunctionCallResponse(call.id, call.name, ASK_GOODBYE, call.thought_signature))
            complete = await hear_out(self.desk, self.voice, self.agent.voice)
            self.desk.journal.note(GoodbyeHeard(self.agent.name, complete))

    async def _put_through(self, asked: Running, wanted: TransferToHuman) -> str:
        """Have the caller hear that they are put through, and ask the line. To be told why not is the only answer."""

        async def hear() -> None:
            with self._uncut(asked):
                await hear_out(self.desk, self.voice, self.agent.voice)

        call, number = asked.call, asked.number
        return await put_through(self.desk, self.agent, wanted, hear, self.summarizer, call=call, number=number)

    @contextmanager
    def _uncut(self, asked: Running) -> Iterator[None]:
        """Let no barge-in cut what is said with this call."""
        self.patience.end()
        self.goodbyes.add(asked.goodbye)
        try:
            yield
        finally:
            self.goodbyes.discard(asked.goodbye)
