"""One function call of a model, from its text to its outcome.

`run_function` finds the function, reads the arguments, runs the handler within its deadline, checks what it returned,
and turns whatever goes wrong into words for the model: a call never ends because a function failed. What an outcome
means for the call (a handoff, the end) is the session's to carry out.

A handler runs in a task of its own, which `run_function` waits for. At the deadline, and when the caller of
`run_function` is cancelled, the task is cancelled too; a handler that does not listen (a shield, a thread that cannot
be left) is abandoned `ABANDON_SECONDS` later, and the log says so. No call waits longer for it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from types import FrameType
from typing import Final, TypeAlias

import attrs
import structlog
import trio

from actors.record.conversation import Conversation, comparable
from actors.session.function_results import UnfitOutcome, checked, words_of_failure
from actors.supervision import Crashed, describe, guard, text_of
from agents.functions import (
    MAYBE_DONE,
    Answer,
    ArgumentsRefused,
    CallContext,
    EndCall,
    FunctionFailed,
    FunctionSpec,
    HandOff,
    Outcome,
    TransferToHuman,
)
from agents.spec import AgentSpec
from protocol.deepgram import CompletedCall, FunctionCall
from store.json_text import json_text

ABANDON_SECONDS = 1.0
"""How long a handler may go on after it was cancelled, for its own cleaning up."""

HANDLER_TASK = "handler of "
"""How the names of handlers' tasks begin."""

LONGEST_REASON = 500
"""Characters of a handler's own sentence to the model."""
_LONGEST_NAME = 100

log = structlog.stdlib.get_logger()


@attrs.frozen
class Failed:
    """The function was refused or did not work; `error` tells the model, and `cause` the journal.

    `is_done` says that the handler has done its work all the same, and must not do it again.
    """

    error: str
    cause: str = ""
    is_done: bool = False

    def text(self) -> str:
        return error_text(self.error)


FunctionResult: TypeAlias = Answer | HandOff | EndCall | TransferToHuman | Failed


@attrs.define(eq=False)
class Running:
    """A function call that the model waits for, under our own number: its `id` may be empty, or be used again."""

    number: int
    request: int
    """Which `FunctionCallRequest` of the session it came with."""
    call: FunctionCall
    is_one_too_many: bool = False
    """The model has called too many functions without speaking: it is told so, instead of having this one done."""
    began: float = attrs.field(factory=trio.current_time, init=False)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    refusal: str | None = attrs.field(default=None, init=False)
    """The answer that `Turn` gave the model instead of doing what it asked for."""
    is_posted: bool = attrs.field(default=False, init=False)
    """The model has had its answer."""
    is_withdrawn: bool = attrs.field(default=False, init=False)
    has_ended_call: bool = attrs.field(default=False, init=False)
    """It has ended the conversation, and its goodbye is heard, or was."""
    outcome: Answer | Failed | None = attrs.field(default=None, init=False)
    decided: trio.Event = attrs.field(factory=trio.Event, init=False)
    """The turn knows what it asks for, or it has asked for nothing."""
    decides: bool = attrs.field(default=False, init=False)
    """It asks for a decision, whatever its function has declared."""
    done: trio.Event = attrs.field(factory=trio.Event, init=False)
    """It has ended, or asks for a decision and has no work left."""
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def id(self) -> str:
        """Its name for the turn."""
        return str(self.number)

    def does_already(self, other: "Running", *, acts: bool) -> bool:
        """Say whether this call, which came before, is doing exactly what the other one asks for.

        In one request that is said only of what `acts`: of two handoffs, or two ends, the turn refuses the second.
        """
        is_before = self.number < other.number if acts else self.request < other.request
        mine, theirs = self.call, other.call
        return is_before and comparable(mine.name, mine.arguments) == comparable(theirs.name, theirs.arguments)


def error_text(error: str) -> str:
    """Write an error as the content of a `FunctionCallResponse`, which has no flag for one (reference, section 9)."""
    return answer_text({"error": error})


def answer_text(content: Mapping[str, str | bool]) -> str:
    return json_text(dict(content)).decode().rstrip("\n")


def completed(call: FunctionCall, response: str) -> CompletedCall:
    """Write a function call with its answer, for the model's history."""
    return CompletedCall(call.id, call.name, True, call.arguments, response, call.thought_signature)


SPEAK_NOW: Final = (
    "You have called too many functions without speaking, and this one was not run. Do not call another function: "
    "say to the customer what you know, in one or two sentences, or say what you cannot do for them."
)
DONE_ONCE: Final = (
    " (This was done once, and not again now. If the customer may want it once more, tell them what was done and ask "
    "them; call it again when they have answered.)"
)
"""Behind the answer of what cannot be taken back: a caller may say "another one" before they hear of the first."""
_UNHEARD: Final = (
    "Nothing was done: the customer has not said anything yet. Ask them your question and wait for their answer; "
    "call {name} only after they have answered."
)
_UNHEARD_SINCE: Final = (
    "Nothing was done: the call was handed on, and the customer has not said anything since. Talk to them first and "
    "wait for their answer; call {name} only if it is clear from what they say then."
)


def lacks_consent(name: str, result: FunctionResult, conversation: Conversation) -> Failed | None:
    """Refuse to end the call, or to hand it on, before the caller has said anything; None if nothing is against it.

    The call is not handed on again before they have spoken to the agent that has it now. An answering machine need
    not say anything to be hung up on.
    """
    if not isinstance(result, HandOff | EndCall | TransferToHuman):
        return None
    if not conversation.caller_turns:
        excepted = isinstance(result, EndCall) and conversation.is_with_machine
        return None if excepted else Failed(_UNHEARD.format(name=name), "the caller has not spoken")
    if isinstance(result, EndCall) or conversation.is_heard_since_handoff:
        return None
    return Failed(_UNHEARD_SINCE.format(name=name), "the caller has not spoken since the call was handed on")


def spoken_again(name: str) -> Failed:
    """Refuse a decision that the caller has spoken behind, before anything came of it."""
    return Failed(
        f"Nothing was done: the customer has spoken again. Answer them, and call {name} again only if it is still "
        "what they want.",
        "the caller has spoken again",
    )


async def run_function(
    agent: AgentSpec,
    call: FunctionCall,
    context: CallContext,
    on_forgiven: Callable[[Sequence[str]], None] = lambda _: None,
) -> FunctionResult:
    """Run one call of one of the agent's functions. Never raises but when it is cancelled.

    `on_forgiven` is told what was odd about arguments that were taken all the same.
    """
    spec = agent.function(call.name)
    if spec is None:
        known = ", ".join(function.name for function in agent.functions)
        return Failed(f"There is no function {call.name[:_LONGEST_NAME]!r}. You have: {known}.")

    async def read() -> tuple[object, tuple[str, ...]]:
        return spec.read(call.arguments)

    ended = await guard(read)
    if isinstance(ended, Crashed):
        if isinstance(ended.error, ArgumentsRefused):
            return Failed(str(ended.error))
        return _did_not_work(spec, ended.reason)  # a validator of the argument class
    arguments, forgiven = ended
    if forgiven:
        on_forgiven(forgiven)
    return await run_handler(spec, arguments, context)


def _did_not_work(spec: FunctionSpec, cause: str) -> Failed:
    return Failed(f"{spec.name} did not work. Apologise briefly and go on.", cause)


def broken_off(name: str) -> Failed:
    """Answer a call that repeats one whose session was lost while the handler was at work."""
    return Failed(
        f"{name} was broken off by a fault on the line. {MAYBE_DONE}",
        "the session was lost while the handler was at work; it is not run twice",
    )


async def run_handler(spec: FunctionSpec, arguments: object, context: CallContext) -> FunctionResult:
    """Run a handler within its deadline, whatever it does. Never raises but when it is cancelled."""
    work = _Work(spec, arguments, context)
    trio.lowlevel.spawn_system_task(work.run, name=f"{HANDLER_TASK}{spec.name}", context=copy_context())
    try:
        with trio.move_on_after(spec.deadline):
            await work.over.wait()
    finally:
        work.scope.cancel(reason="deadline, or nobody waits for it any more")
        with trio.move_on_after(ABANDON_SECONDS, shield=True):
            await work.over.wait()
        if not work.over.is_set():
            log.error("handler_abandoned", function=spec.name, why="it goes on although it was cancelled")
    what_next = MAYBE_DONE if spec.acts and spec.defer_until_eot else "Go on without it."
    return work.result or Failed(f"{spec.name} took longer than {spec.deadline:g} seconds. {what_next}", "deadline")


@attrs.define(eq=False)
class _Work:
    """A handler at work, in a task that can be abandoned. `over` says that the task is gone."""

    spec: FunctionSpec
    arguments: object
    context: CallContext
    result: FunctionResult | None = attrs.field(default=None, init=False)
    over: trio.Event = attrs.field(factory=trio.Event, init=False)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _has_returned: bool = attrs.field(default=False, init=False)

    async def run(self) -> None:
        """Run the handler. Raises nothing: in a task of this kind, that would end the server."""
        try:
            with self.scope:
                ended = await guard(self._handle, may_quit=False)
                self.result = await self._failed(ended) if isinstance(ended, Crashed) else ended
        finally:
            self.over.set()

    async def _handle(self) -> Outcome:
        returned = await self.spec.handler(self.arguments, self.context)
        self._has_returned = True
        return checked(returned)

    async def _failed(self, crashed: Crashed) -> Failed:
        """Say what went wrong: in the handler, in its own words for that, or after it had done what it does."""
        told = await guard(partial(self._own_words, crashed.error))
        if isinstance(told, Failed):
            return told
        error = (told or crashed).error
        name, cause = self.spec.name, text_of(error) if isinstance(error, UnfitOutcome) else describe(error)
        if not self._has_returned:
            return _did_not_work(self.spec, cause)
        what = f"{name} was done, but what it returned cannot be told"
        return Failed(f"{what}. Do not call it again for this; apologise briefly and go on.", cause, is_done=True)

    async def _own_words(self, error: Exception) -> Failed | None:
        """Return the handler's own message to the model. *Raises* `UnfitOutcome` if it is not text."""
        if isinstance(error, FunctionFailed):
            says, cause = words_of_failure(error)
            return Failed(says[:LONGEST_REASON], cause)
        if isinstance(error, ArgumentsRefused) and not self._has_returned:  # the handler's own check of them
            return Failed(text_of(error)[:LONGEST_REASON])
        return None


def handler_in(frame: FrameType | None) -> str:
    """Return the name of the function whose handler is at work in a stack; empty if none is."""
    while frame is not None:
        if frame.f_code is _Work._handle.__code__:
            work: _Work = frame.f_locals["self"]
            return work.spec.name
        frame = frame.f_back
    return ""
