"""A handler that blocks is awaited in a thread, and left there when its time is over."""

import threading
from collections.abc import Iterator
from typing import Any, cast

import attrs
import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.session.function_calls import ABANDON_SECONDS, Failed, FunctionResult, run_function
from agents.context import THREADS
from agents.functions import Answer, CallContext, FunctionSpec, Outcome, blocking
from agents.spec import AgentSpec
from protocol.deepgram import FunctionCall


@attrs.frozen
class NoArguments:
    """Nothing to say."""


@pytest.fixture
def forever() -> Iterator[threading.Event]:
    """What a blocking handler waits for, until the test is over."""
    event = threading.Event()
    yield event
    event.set()


async def run(spec: FunctionSpec) -> FunctionResult:
    agent = AgentSpec("qualifier", "qualifies", "You qualify.", "Hello.", "aura-2-mars-en", (spec,))
    call = FunctionCall("fc1", spec.name, "{}", client_side=True)
    return await run_function(agent, call, CallContext("CA1", "qualifier"))


@blocking
def look_up(arguments: NoArguments, context: CallContext) -> Outcome:
    name = threading.current_thread().name
    return Answer({"thread": name, "call": str(structlog.contextvars.get_contextvars().get("call_sid"))})


async def test_it_runs_in_a_thread_that_knows_the_call() -> None:
    with structlog.contextvars.bound_contextvars(call_sid="CA1"):
        result = await run(FunctionSpec("look_up", "Looks up.", NoArguments, look_up))

    assert result == Answer({"thread": "handler look_up", "call": "CA1"})


def test_it_is_a_handler_like_any_other() -> None:
    assert FunctionSpec("look_up", "Looks up.", NoArguments, look_up).has_handler()
    assert (look_up.__name__, look_up.__module__) == ("look_up", __name__)


async def test_it_is_left_at_its_deadline_and_no_token_of_anybody_else_is_held(
    forever: threading.Event, autojump_clock: MockClock
) -> None:
    def hang(arguments: NoArguments, context: CallContext) -> Outcome:
        forever.wait(60)
        return Answer({})

    with structlog.testing.capture_logs() as logs:
        result = await run(FunctionSpec("hang", "Hangs.", NoArguments, blocking(hang), deadline=5.0))

    assert isinstance(result, Failed)
    assert (result.cause, trio.current_time(), logs) == ("deadline", 5.0, [])
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0


async def test_a_caller_who_hangs_up_is_not_held(forever: threading.Event, autojump_clock: MockClock) -> None:
    def hang(arguments: NoArguments, context: CallContext) -> Outcome:
        forever.wait(60)
        return Answer({})

    with trio.move_on_after(1.0) as scope:
        await run(FunctionSpec("hang", "Hangs.", NoArguments, blocking(hang), deadline=60.0))

    assert scope.cancelled_caught
    assert trio.current_time() == 1.0


async def test_one_that_hangs_for_everybody_fails_at_its_deadline_and_costs_no_other_function(
    forever: threading.Event, autojump_clock: MockClock
) -> None:
    began: list[int] = []

    def hang(arguments: NoArguments, context: CallContext) -> Outcome:
        began.append(1)
        forever.wait(60)
        return Answer({})

    spec = FunctionSpec("hang", "Hangs.", NoArguments, blocking(hang), deadline=5.0)
    results: list[FunctionResult] = []

    async def call() -> None:
        results.append(await run(spec))

    async with trio.open_nursery() as nursery:
        for _ in range(THREADS + 5):
            nursery.start_soon(call)

    assert [isinstance(result, Failed) for result in results] == [True] * (THREADS + 5)
    assert len(began) <= THREADS
    assert trio.current_time() == 5.0


async def test_a_thread_that_an_author_did_not_let_go_of_holds_no_call_either(
    forever: threading.Event, autojump_clock: MockClock
) -> None:
    async def hang(arguments: NoArguments, context: CallContext) -> Outcome:
        await trio.to_thread.run_sync(forever.wait, 60)
        return Answer({})

    with trio.move_on_after(1.0) as scope:
        await run(FunctionSpec("hang", "Hangs.", NoArguments, hang, deadline=60.0))

    assert scope.cancelled_caught
    assert trio.current_time() == 1.0 + ABANDON_SECONDS
    forever.set()


@pytest.mark.parametrize("error", [OSError("the database is away"), SystemExit(1)])
async def test_what_it_raises_fails_the_function_alone(error: BaseException) -> None:
    @blocking
    def fail(arguments: NoArguments, context: CallContext) -> Outcome:
        raise error

    assert isinstance(await run(FunctionSpec("fail", "Fails.", NoArguments, fail)), Failed)


def test_what_cannot_be_called_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match=r"blocking\(\) is for functions, and None is none"):
        blocking(cast("Any", None))


def test_what_is_async_already_needs_none() -> None:
    class Callable:
        async def __call__(self) -> None: ...

    for one in (look_up, Callable()):
        with pytest.raises(TypeError, match="is async, and needs none"):
            blocking(one)
