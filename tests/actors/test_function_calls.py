"""A call never ends because a function failed: whatever goes wrong becomes words for the model."""

from typing import NoReturn

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.function_calls import Failed, error_text, json_text, run_function
from agents.functions import Answer, CallContext, EndCall, FunctionSpec, HandOff, Outcome, handoff_to_next_agent
from agents.spec import AgentSpec
from protocol.deepgram import FunctionCall

CONTEXT = CallContext("CA1", "qualifier", {"name": "John"})


@attrs.frozen
class Seconds:
    """For how long a lookup goes on."""

    seconds: int


async def look_up(arguments: Seconds, context: CallContext) -> Outcome:
    await trio.sleep(arguments.seconds)
    return Answer({"found": True}, facts={"asked_by": context.facts["name"]})


async def break_down(arguments: Seconds, context: CallContext) -> NoReturn:
    await trio.lowlevel.checkpoint()
    raise ConnectionError("line to the archive is down")


async def forget(arguments: Seconds, context: CallContext) -> Outcome:
    await trio.lowlevel.checkpoint()
    return {"found": True}  # type: ignore[return-value]  # what an author may write by mistake


async def say_goodbye(arguments: Seconds, context: CallContext) -> Outcome:
    await trio.lowlevel.checkpoint()
    return EndCall("task_complete")


AGENT = AgentSpec(
    "qualifier",
    "qualifies",
    "You qualify.",
    "Hello.",
    "aura-2-mars-en",
    (
        FunctionSpec("look_up", "Looks up.", Seconds, look_up, deadline=5.0),
        FunctionSpec("break_down", "Breaks down.", Seconds, break_down),
        FunctionSpec("forget", "Returns what is no outcome.", Seconds, forget),
        FunctionSpec("say_goodbye", "Ends.", Seconds, say_goodbye, ends_call=True),
        handoff_to_next_agent("advisor"),
    ),
)


def call(name: str, arguments: str = '{"seconds": 1}') -> FunctionCall:
    return FunctionCall("fc1", name, arguments, client_side=True)


async def test_a_function_gives_what_its_handler_returns(autojump_clock: MockClock) -> None:
    result = await run_function(AGENT, call("look_up"), CONTEXT)

    assert result == Answer({"found": True}, facts={"asked_by": "John"})
    assert trio.current_time() == 1.0


async def test_a_handoff_and_the_end_are_left_to_the_session(autojump_clock: MockClock) -> None:
    wanted = call("handoff_to_next_agent", '{"reason": "agreed"}')

    assert await run_function(AGENT, wanted, CONTEXT) == HandOff("advisor", "agreed")
    assert await run_function(AGENT, call("say_goodbye"), CONTEXT) == EndCall("task_complete")


async def test_a_function_that_does_not_exist_is_answered_with_those_that_do(autojump_clock: MockClock) -> None:
    result = await run_function(AGENT, call("order_pizza"), CONTEXT)

    assert isinstance(result, Failed)
    assert "'order_pizza'" in result.error
    assert "look_up, break_down, forget, say_goodbye, handoff_to_next_agent" in result.error


@pytest.mark.parametrize("arguments", ["", "five", "[]", "{}", '{"seconds": "many"}', '{"seconds": 1, "minutes": 2}'])
async def test_arguments_that_do_not_fit_are_refused_in_words(autojump_clock: MockClock, arguments: str) -> None:
    result = await run_function(AGENT, call("look_up", arguments), CONTEXT)

    assert isinstance(result, Failed)
    assert result.error
    assert orjson.loads(result.text())["error"]
    assert trio.current_time() == 0.0


async def test_a_function_that_breaks_tells_the_model_nothing_but_the_journal_why(autojump_clock: MockClock) -> None:
    result = await run_function(AGENT, call("break_down"), CONTEXT)

    assert isinstance(result, Failed)
    assert "archive" not in result.text()
    assert result.cause == "ConnectionError: line to the archive is down"


async def test_a_function_that_returns_no_outcome_is_answered_as_one_that_breaks(autojump_clock: MockClock) -> None:
    result = await run_function(AGENT, call("forget"), CONTEXT)

    assert isinstance(result, Failed)
    assert result.cause == "the handler returned dict, which is no Answer, HandOff, EndCall or TransferToHuman"


async def test_a_function_has_until_its_deadline_and_no_longer(autojump_clock: MockClock) -> None:
    result = await run_function(AGENT, call("look_up", '{"seconds": 60}'), CONTEXT)

    assert isinstance(result, Failed)
    assert result.cause == "deadline"
    assert "5 seconds" in result.error
    assert trio.current_time() == 5.0


async def test_a_function_call_that_is_cancelled_gives_no_answer(autojump_clock: MockClock) -> None:
    with trio.move_on_after(2.0) as scope:
        await run_function(AGENT, call("look_up", '{"seconds": 3}'), CONTEXT)

    assert scope.cancelled_caught
    assert trio.current_time() == 2.0


def test_answers_and_errors_are_written_as_json_text() -> None:
    assert json_text({"ok": True, "next": "Grüße"}) == '{"ok":true,"next":"Grüße"}'
    assert orjson.loads(error_text('say "no"')) == {"error": 'say "no"'}
