"""What blocks the event loop is reported with its line while it does; on the real clock, a third of a second each."""

import threading
import time
from collections.abc import Iterator, MutableMapping
from typing import Any

import attrs
import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.session.function_calls import run_function
from agents.functions import Answer, CallContext, FunctionSpec, Outcome
from agents.spec import AgentSpec
from protocol.deepgram import FunctionCall
from web.calls.counts import Counts
from web.calls.slots import Slots
from web.worker.watchdog import BLOCKED_SECONDS, Watchdog

Lines = list[MutableMapping[str, Any]]
BLOCKS = 0.6

pytestmark = pytest.mark.real_time


@attrs.frozen
class NoArguments:
    """Nothing to say."""


async def block(arguments: NoArguments, context: CallContext) -> Outcome:
    time.sleep(BLOCKS)  # noqa: ASYNC251 - the fault that is looked for
    return Answer({})


def blocks_of(lines: Lines) -> Lines:
    return [line for line in lines if line["event"] == "event_loop_blocked"]


async def test_a_handler_that_blocks_is_named_with_its_line_while_it_does() -> None:
    counted: list[float] = []
    spec = FunctionSpec("look_up", "Looks up.", NoArguments, block)
    agent = AgentSpec("qualifier", "qualifies", "You qualify.", "Hello.", "aura-2-mars-en", (spec,))
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Watchdog(counted.append).run)
            await trio.sleep(0.01)
            await run_function(agent, FunctionCall("fc1", "look_up", "{}", client_side=True), CallContext("CA1", "q"))
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel(reason="end of the test")

    (line,) = blocks_of(logs)
    assert line["handler"] == "look_up"
    assert "test_watchdog.py" in line["at"]
    assert line["at"].endswith("# noqa: ASYNC251 - the fault that is looked for")
    assert "in _handle: " in line["stack"]
    assert BLOCKED_SECONDS <= line["seconds"] < BLOCKS  # before it was over
    (took,) = counted
    assert took >= BLOCKS


async def test_one_that_goes_on_is_reported_once_a_second_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.worker.watchdog.REPORT_SECONDS", 0.3)
    counted: list[float] = []
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Watchdog(counted.append).run)
            await trio.sleep(0.01)
            time.sleep(0.75)  # noqa: ASYNC251
            await trio.lowlevel.checkpoint()
            time.sleep(0.3)  # noqa: ASYNC251
            await trio.sleep(0.01)
            nursery.cancel_scope.cancel(reason="end of the test")

    assert len(counted) == 2
    assert 2 <= len(blocks_of(logs)) <= 4
    assert all("handler" not in line for line in blocks_of(logs))


@pytest.fixture
def steady_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock for the watchdog that stands still while this process does: a busy machine blocks no event loop."""
    now, over = [0.0], threading.Event()

    def tick() -> None:
        then = time.perf_counter()
        while not over.wait(0.005):
            before, then = then, time.perf_counter()
            now[0] += min(then - before, 0.01)

    monkeypatch.setattr("web.worker.watchdog.perf_counter", lambda: now[0])
    thread = threading.Thread(target=tick)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.usefixtures("steady_clock")
async def test_many_short_steps_and_long_waits_are_no_block() -> None:
    counted: list[float] = []
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Watchdog(counted.append).run)
            for _ in range(10):
                time.sleep(0.01)  # noqa: ASYNC251
                await trio.lowlevel.checkpoint()
            await trio.sleep(0.6)
            nursery.cancel_scope.cancel(reason="end of the test")

    assert (counted, blocks_of(logs)) == ([], [])


async def test_nothing_is_left_of_it() -> None:
    before = set(threading.enumerate())
    with trio.move_on_after(0.05):
        await Watchdog(lambda _: None).run()

    assert not [thread for thread in threading.enumerate() if thread not in before]


async def test_a_clock_that_is_not_the_walls_is_not_watched(autojump_clock: MockClock) -> None:
    before = threading.active_count()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Watchdog(lambda _: None).run)
        await trio.sleep(1)

        assert threading.active_count() == before
        nursery.cancel_scope.cancel(reason="end of the test")


async def test_it_is_in_the_metrics() -> None:
    counts = Counts(Slots(1))
    counts.blocked(0.4)

    assert b"switchboard_event_loop_blocked_seconds_count 1.0" in counts.render()


async def test_it_outlives_a_log_that_nobody_can_write_to() -> None:
    counted: list[float] = []

    def broken(_logger: object, _name: str, _line: object) -> str:
        raise BrokenPipeError

    structlog.configure(processors=[broken])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Watchdog(counted.append).run)
        for _ in range(2):
            await trio.sleep(0.01)
            time.sleep(BLOCKED_SECONDS + 0.05)  # noqa: ASYNC251
        await trio.sleep(0.01)
        nursery.cancel_scope.cancel(reason="end of the test")

    assert len(counted) == 2
