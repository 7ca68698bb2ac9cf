"""One function call of a model, from its text to its outcome.

`run_function` finds the function, reads the arguments, runs the handler within its deadline, and turns whatever goes
wrong into words for the model: a call never ends because a function failed. What an outcome means for the call (a
handoff, the end) is the session's to carry out.
"""

from collections.abc import Mapping
from typing import TypeAlias

import attrs
import orjson
import trio

from actors.supervision import Crashed, guard
from agents.functions import (
    Answer,
    ArgumentsRefused,
    CallContext,
    EndCall,
    FunctionSpec,
    HandOff,
    Outcome,
    TransferToHuman,
)
from agents.spec import AgentSpec
from protocol.deepgram import FunctionCall


@attrs.frozen
class Failed:
    """The function was refused or did not work; `error` tells the model, and `cause` the journal."""

    error: str
    cause: str = ""

    def text(self) -> str:
        return error_text(self.error)


FunctionResult: TypeAlias = Answer | HandOff | EndCall | TransferToHuman | Failed


def error_text(error: str) -> str:
    """Write an error as the content of a `FunctionCallResponse`, which has no flag for one (reference, section 9)."""
    return json_text({"error": error})


def json_text(content: Mapping[str, str | bool]) -> str:
    """Write the content of an answer."""
    return orjson.dumps(dict(content)).decode()


async def run_function(agent: AgentSpec, call: FunctionCall, context: CallContext) -> FunctionResult:
    """Run one call of one of the agent's functions. Never raises but when it is cancelled."""
    spec = agent.function(call.name)
    if spec is None:
        known = ", ".join(function.name for function in agent.functions)
        return Failed(f"There is no function {call.name!r}. You have: {known}.")
    try:
        arguments = spec.parse(call.arguments)
    except ArgumentsRefused as refused:
        return Failed(str(refused))
    return await _run_handler(spec, arguments, context)


async def _run_handler(spec: FunctionSpec, arguments: object, context: CallContext) -> FunctionResult:
    async def handle() -> Outcome:
        return await spec.handler(arguments, context)

    with trio.move_on_after(spec.deadline):
        result = await guard(handle)
        if isinstance(result, Crashed):
            return _broken(spec, result.reason)
        if not isinstance(result, Outcome):  # whoever wrote the handler may not have had it checked
            kinds = "no Answer, HandOff, EndCall or TransferToHuman"
            return _broken(spec, f"the handler returned {type(result).__name__}, which is {kinds}")
        return result
    return Failed(f"{spec.name} took longer than {spec.deadline:g} seconds. Go on without it.", "deadline")


def _broken(spec: FunctionSpec, cause: str) -> Failed:
    return Failed(f"{spec.name} did not work. Apologise briefly and go on.", cause)
