"""Runs the functions that the model of one session calls, while the conversation goes on.

`FunctionRunner` runs each function call as a child of its session and posts the answer. To hand the call on, to put the
caller through and to end the call are functions too: whether that may be now is the turn's to say, which answers the
model in words where it may not. What a function is, and how it runs, is in `actors/session/function_calls.py`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import attrs
import trio

from actors.call_state import CallState
from actors.errors import AgentUnavailable
from actors.facts import (
    ArgumentsForgiven,
    FunctionAnswered,
    FunctionCalled,
    FunctionWithdrawn,
    GoodbyeStarted,
)
from actors.facts.handoff import HandoffKind
from actors.line.switch import Wish
from actors.messages import AskHandoff, WithdrawHandoff
from actors.session.function_calls import (
    DONE_ONCE,
    SPEAK_NOW,
    Failed,
    FunctionResult,
    Running,
    broken_off,
    completed,
    error_text,
    lacks_consent,
    run_function,
    spoken_again,
)
from actors.turn import events
from actors.turn.machine import Turn
from actors.turn.state import CallerState
from actors.turn_driver import SessionOnFloor
from agents.functions import Answer, CallContext, EndCall, HandOff, TransferToHuman
from agents.spec import AgentSpec
from protocol.deepgram import CancelledCall, ClientMessage, FunctionCall, FunctionCallResponse

_ENDED = '{"ended": true}'


class SpeakingSession(SessionOnFloor, Protocol):
    """The session as its functions see it."""

    has_acted: bool

    @property
    def before(self) -> str: ...

    def put(self, event: events.Event) -> None: ...

    def post(self, message: ClientMessage) -> None: ...


@attrs.define(eq=False)
class FunctionRunner:
    """The functions of one session. `children` is the session's nursery."""

    state: CallState
    agent: AgentSpec
    session: SpeakingSession
    children: trio.Nursery
    _running: dict[str, Running] = attrs.field(factory=dict, init=False)
    _requests: int = attrs.field(default=0, init=False)
    _told_to_speak: int | None = attrs.field(default=None, init=False)
    """In which turn of the caller the model was told to speak, if it was."""

    # What the service asks for, and takes back

    def start(self, calls: Sequence[FunctionCall]) -> None:
        """Start what the model asks for, each call as a child of its own.

        *Raises* `AgentUnavailable` when the model calls one function after the other, and does not speak.
        """
        if not self.state.turn.turn.runs_functions:
            return
        self._requests += 1
        running = {one.call for one in self._running.values() if one.call.id}  # some come in two messages
        asked = [self._note_asked(call) for call in calls if call.client_side and call not in running]
        if asked:
            lasting = tuple(one.id for one in asked if self._is_lasting(one))
            self.session.put(events.FunctionsAsked(tuple(one.id for one in asked), lasting))
        for one in asked:
            self.children.start_soon(self._carry_out, one)

    def _is_lasting(self, asked: Running) -> bool:
        """Whether what it does cannot be taken back."""
        spec = self.agent.function(asked.call.name)
        return spec is not None and spec.acts and spec.defer_until_eot

    def _note_asked(self, call: FunctionCall) -> Running:
        conversation = self.state.conversation
        number, is_one_too_many = conversation.count_function(), self._is_one_too_many(call)
        asked = Running(number, self._requests, call, is_one_too_many)
        told = self.agent.name, call.id, call.name, call.arguments, number, call.thought_signature or ""
        self.state.journal.note(FunctionCalled(*told))
        if is_one_too_many and self._told_to_speak == conversation.caller_turns:
            raise AgentUnavailable(
                f"the model called {conversation.functions_in_turn} functions in one turn and did not speak",
                is_slip=True,
            )
        self._running[asked.id] = asked
        return asked

    def _is_one_too_many(self, call: FunctionCall) -> bool:
        """Whether the model has called too many functions since the caller's last turn; it may always end the call."""
        conversation, spec = self.state.conversation, self.agent.function(call.name)
        may_end = spec is not None and spec.ends_call and conversation.caller_turns
        return conversation.functions_in_turn > self.state.policy.numbers.functions_per_turn and not may_end

    def withdraw(self, calls: Sequence[CancelledCall]) -> None:
        for call in calls:
            for asked in list(self._running.values()):
                if asked.call.id == call.id and call.name in ("", asked.call.name):
                    self._withdraw(asked)

    def _withdraw(self, asked: Running) -> None:
        asked.is_withdrawn = True
        asked.scope.cancel(reason="cancelled by the service")
        self.session.put(events.FunctionCancelled(asked.id))
        if asked.has_ended_call:
            self._close(asked, None)
            self._note_withdrawal(asked)

    # What the turn says about it

    def answer(self, call_id: str, text: str) -> None:
        """Take words that the model is to be answered with, instead of what its function asked for."""
        asked = self._running.get(call_id)
        if asked is None:
            return
        if asked.has_ended_call and self.state.turn.turn.ended_by == asked.id:  # it has not said a word yet
            self._post_answer(asked, text)
            return
        asked.refusal = text
        asked.scope.cancel(reason="the turn has answered it")
        if asked.has_ended_call:  # the conversation goes on
            self._finish(asked, None, text)

    def _conclude(self, asked: Running, end: EndCall) -> None:
        """Note that the conversation is over, as a function has asked for."""
        if asked.id in self._running:
            self._close(asked, Answer(_ENDED))
            self._note_answer(asked, end, _ENDED)

    # A soft handoff: the model goes on as another agent

    def is_alone(self, number: int) -> bool:
        """Say whether the model waits for this call, and for no other; 0: for none, since an operator has asked."""
        waiting = [(one.number, one.is_withdrawn) for one in self._running.values()]
        return waiting == ([(number, False)] if number else [])

    def hand_over(self, number: int, answer: str) -> None:
        """Answer the function that has handed the call on: it was the last one of this agent's."""
        asked = self._running.get(str(number))
        if asked is None:
            return  # an operator has asked
        self._close(asked, Answer(answer))
        self._post_answer(asked, answer)
        asked.scope.cancel(reason="handed off")

    # One call

    async def _carry_out(self, asked: Running) -> None:
        """Run one function call to its end. What the service cancels is finding the answer, and never a sending."""
        answer: str | None = None
        result: FunctionResult | None = None
        with asked.scope:
            await trio.lowlevel.checkpoint()  # it may be withdrawn in the moment in which it is asked for
            result = Failed(SPEAK_NOW) if asked.is_one_too_many else await self._result_of(asked)
            if isinstance(result, HandOff | TransferToHuman | EndCall):
                asked.decides = True
                asked.done.set()
                result = await self._wait_for_others(asked) or result
            answer = await self._answer_to(asked, result)
        if asked.ended.is_set() or asked.has_ended_call:
            return  # it was handed over; or the turn ends it, with the call or with words
        if answer is None and not asked.is_withdrawn:
            answer = asked.refusal
        if answer is None or (asked.is_withdrawn and not isinstance(result, Answer | Failed)):
            if asked.id in self._running:
                self._close(asked, None)
                self._note_withdrawal(asked)
            if isinstance(result, HandOff):
                await self.state.mail.to_supervisor.send(WithdrawHandoff(self.session.number, asked.number))
            return
        if asked.is_one_too_many:
            self._told_to_speak = self.state.conversation.caller_turns
        self._finish(asked, result, answer)

    async def _wait_for_others(self, asked: Running) -> Failed | None:
        """Let what the session is at work on be done first: a decision ends the session, and all work with it.

        That is what the model has asked for in the same request, and what cannot be taken back. Of decisions, those
        that it has asked for first are decided first. If the caller has spoken meanwhile, the decision is refused:
        they have not heard of it.
        """
        conversation, running = self.state.conversation, self._running
        known = conversation.turns_to_answer + (self.state.turn.turn.caller is CallerState.HEARD)
        for other in list(running.values()):
            spec, is_together = self.agent.function(other.call.name), other.request == asked.request
            if spec is None or other is asked:
                continue
            if any(one.decides and one.does_already(other, acts=spec.acts) for one in running.values()):
                continue  # it waits for that decision, and has no work left either
            if spec.acts and (is_together or self._is_lasting(other)):
                await other.done.wait()
            if other.number < asked.number and (other.decides or not spec.acts):
                await other.decided.wait()
        return spoken_again(asked.call.name) if conversation.turns_to_answer > known else None

    async def _answer_to(self, asked: Running, result: FunctionResult) -> str | None:
        match result:
            case HandOff():
                return await self._hand_off(asked, result)
            case TransferToHuman():
                return await self._put_through(asked, result)
            case EndCall():
                return self._end_conversation(asked, result)
            case Answer() | Failed():
                return result.text()

    async def _result_of(self, asked: Running) -> FunctionResult:
        call, conversation, spec = asked.call, self.state.conversation, self.agent.function(asked.call.name)
        acts = spec is not None and spec.acts
        while twin := next((one for one in self._running.values() if one.does_already(asked, acts=acts)), None):
            await twin.ended.wait()  # the model asks for what is being done: it is done once, and answered twice
            if twin.outcome is not None:
                return self._done_once(asked, twin.outcome)
        if (earlier := conversation.earlier_answer(call.name, call.arguments, acts=acts)) is not None:
            return self._done_once(asked, Answer(earlier))
        if acts and conversation.is_broken_off(call.name, call.arguments, self.session.number):
            return broken_off(call.name)
        result = await self._run(asked)
        return await self._refused(call, result) or result

    def _done_once(self, asked: Running, outcome: Answer | Failed) -> Answer | Failed:
        if isinstance(outcome, Failed) or not self._is_lasting(asked):
            return outcome
        return Answer(f"{outcome.text().removesuffix(DONE_ONCE)}{DONE_ONCE}")

    async def _run(self, asked: Running) -> FunctionResult:
        call, conversation = asked.call, self.state.conversation

        def note_forgiven(problems: Sequence[str]) -> None:
            forgiven = ArgumentsForgiven(self.agent.name, call.id, call.name, asked.number, tuple(problems))
            self.state.journal.note(forgiven)

        spec = self.agent.function(call.name)
        if spec is not None and spec.acts:
            conversation.begin_function(call.name, call.arguments, self.session.number)
        result = await run_function(self.agent, call, self._context_of(asked), note_forgiven)
        conversation.end_function(call.name, call.arguments)
        return result

    def _context_of(self, asked: Running) -> CallContext:
        def say(sentence: str) -> None:
            if not asked.ended.is_set():
                self.state.turn.put(events.RemarkMade(sentence, for_wait=True))

        facts, before = dict(self.state.conversation.facts), self.session.before
        return attrs.evolve(self.state.context, agent=self.agent.name, before=before, facts=facts, say=say)

    async def _refused(self, call: FunctionCall, result: FunctionResult) -> Failed | None:
        """Refuse what the caller has not agreed to: once what they say, or have just said, has been transcribed.

        (A function call may come before the transcript of the caller's words: Deepgram reference, 6.3.)
        """
        conversation, turn = self.state.conversation, self.state.turn
        with trio.move_on_after(self.state.policy.deadlines.latest_transcript):
            while lacks_consent(call.name, result, conversation) is not None and _is_to_be_understood(turn.turn):
                await turn.wait_change()
        return lacks_consent(call.name, result, conversation)

    def _finish(self, asked: Running, result: FunctionResult | None, answer: str) -> None:
        self._close(asked, result if isinstance(result, Failed) else Answer(answer))
        self._note_answer(asked, result, answer)
        self._post_answer(asked, answer)
        self.session.has_acted = True
        if asked.refusal is None:  # else the turn has answered it itself
            self.session.put(events.FunctionDone(asked.id))

    def _decide(self, asked: Running, event: events.HandoffWanted | events.TransferWanted | events.EndWanted) -> None:
        self.session.put(event)
        asked.decided.set()

    def _close(self, asked: Running, outcome: Answer | Failed | None) -> None:
        asked.decided.set()
        self._running.pop(asked.id, None)
        asked.outcome = outcome
        asked.done.set()
        asked.ended.set()

    def _post_answer(self, asked: Running, answer: str) -> None:
        if not asked.is_posted:
            asked.is_posted, call = True, asked.call
            self.session.post(FunctionCallResponse(call.id, call.name, answer, call.thought_signature))

    def _note_answer(self, asked: Running, result: FunctionResult | None, answer: str) -> None:
        call, content, ok = asked.call, answer, isinstance(result, Answer | EndCall) and asked.refusal is None
        facts = result.facts if isinstance(result, Answer | EndCall) and ok else {}
        is_done = ok or (isinstance(result, Failed) and result.is_done)
        self.state.conversation.add_function(completed(call, answer), facts, repeatable=not is_done)
        if isinstance(result, Failed) and result.cause:
            content = f"{answer} ({result.cause})"
        took = round(trio.current_time() - asked.began, 6)
        self.state.journal.note(
            FunctionAnswered(self.agent.name, call.id, call.name, content, ok, took, facts, asked.number)
        )

    def _note_withdrawal(self, asked: Running) -> None:
        call = asked.call
        self.state.conversation.end_function(call.name, call.arguments)  # asked for again, it is another call
        self.state.journal.note(FunctionWithdrawn(self.agent.name, call.id, call.name, asked.number))

    # Handing the call on, putting the caller through, and ending the call

    async def _hand_off(self, asked: Running, handoff: HandOff) -> str:
        """Fall silent and ask for the next agent. The only answer is a refusal: a handoff cancels this task."""
        self._decide(asked, events.HandoffWanted(asked.id))
        if asked.refusal is not None:
            return asked.refusal
        how: HandoffKind = "back" if handoff.back else "soft" if self.agent.hands_softly_to(handoff.to) else "hard"
        wish = AskHandoff(self.session.number, handoff, how, asked.call, asked.number)
        await self.state.ask_handoff(self.session, wish)
        why = await wish.wait_refused()
        self.session.put(events.FunctionCancelled(asked.id))
        return error_text(why)

    async def _put_through(self, asked: Running, wanted: TransferToHuman) -> str:
        """Have the caller told that they are put through, and the line asked. The only answer says why it failed."""
        if self.state.switch.transfers is None:
            return error_text(self.state.policy.wording.nobody)
        self._decide(asked, events.TransferWanted(asked.id))
        if asked.refusal is not None:
            return asked.refusal
        wish = self.state.switch.want(Wish(self.agent, wanted, asked.call, asked.number))
        return error_text(await wish.wait_refused())

    def _end_conversation(self, asked: Running, end: EndCall) -> str | None:
        """Have the caller hear the goodbye, which may be on its way still, or not yet asked for."""
        self._decide(asked, events.EndWanted(asked.id, end.reason))
        if self.state.turn.turn.ended_by != asked.id:
            return asked.refusal
        self.state.journal.note(GoodbyeStarted(self.agent.name, end.reason))
        asked.has_ended_call, self.state.turn.on_concluded = True, partial(self._conclude, asked, end)
        if asked.refusal is not None:  # it has not said a word yet
            self._post_answer(asked, asked.refusal)
            asked.refusal = None
        return None


def _is_to_be_understood(turn: Turn) -> bool:
    """Whether the service hears the caller, or the line has just carried words of theirs, and no transcript has come.

    Of words that it has carried long ago none comes: they were a noise.
    """
    since = max(turn.at.understood, trio.current_time() - turn.deadlines.latest_transcript)
    return turn.caller is CallerState.HEARD or turn.is_loud or turn.at.spoken > since
