"""The end of a server's day, over real sockets: nobody new, and nobody cut off."""

from pathlib import Path

import attrs
import pytest
import trio

from actors.facts import CallStarted
from agents.sentences import ENGLISH
from simulators.pacing import PacedClock
from simulators.scenario import Scenario
from simulators.twilio.log import StreamOpened, VerbExecuted
from tests.e2e.line import SHORT, Line, open_line

pytestmark = pytest.mark.real_time

_SAYS_NOTHING = attrs.evolve(SHORT.caller.lines[0], pause=300.0, barge_in=None)
SILENT = attrs.evolve(SHORT, caller=attrs.evolve(SHORT.caller, patience=300.0, lines=(_SAYS_NOTHING,)))
"""A caller who stays, and says nothing for minutes."""


async def wait_carried(line: Line, calls: int) -> None:
    """Wait until the actors have so many calls: one that has only been answered cannot be told anything yet."""
    with trio.fail_after(60):
        while len(line.facts(CallStarted)) < calls:  # noqa: ASYNC110 - the server is not asked for it
            await trio.sleep(0.1)


async def test_ten_calls_that_are_live_when_the_server_is_told_to_stop_all_finish(
    tmp_path: Path, fast_clock: PacedClock
) -> None:
    async with open_line(tmp_path, MAX_CALLS="11", DRAIN_TIMEOUT="60") as line:
        calls = [line.call_in(f"+1555123{number:04}") for number in range(10)]
        await wait_carried(line, 10)
        line.sigterm()
        ready = await line.operator.get("/readyz")
        refused = await line.order()
        late = line.call_in("+15551239999")
        for call in (*calls, late):
            await call.wait_over()
    records = [await line.record_of(call) for call in calls]

    assert [record.outcome for record in records] == 10 * ["completed"]
    assert (ready.status_code, ready.json()["draining"], refused.status_code) == (503, True, 503)
    assert [verb.detail for verb in late.log.of(VerbExecuted) if verb.verb == "Say"] == [ENGLISH.not_now]
    assert late.log.of(StreamOpened) == ()


async def seconds_of_ending(folder: Path, scenario: Scenario, signals: int, patience: str) -> tuple[float, str]:
    """Let one call be live when the server is told to stop, so many times; return how long it took, and the outcome."""
    async with open_line(folder, scenario, DRAIN_TIMEOUT=patience) as line:
        call = line.call_in()
        await wait_carried(line, 1)
        began = trio.current_time()
        for _ in range(signals):
            line.sigterm()
        await call.wait_over()
        took = trio.current_time() - began
    return took, (await line.record_of(call)).outcome


async def test_a_call_that_does_not_end_is_said_goodbye_to_at_the_end_of_the_drain(
    tmp_path: Path, fast_clock: PacedClock
) -> None:
    took, outcome = await seconds_of_ending(tmp_path, SILENT, 1, "5")

    assert (outcome, 5 < took < 20) == ("drained", True)


async def test_a_second_signal_ends_what_is_left_at_once_with_its_record(
    tmp_path: Path, fast_clock: PacedClock
) -> None:
    took, outcome = await seconds_of_ending(tmp_path, SILENT, 2, "300")

    assert (outcome, took < 20) == ("cut", True)


async def test_a_call_is_counted_from_its_ring_to_its_end(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path) as line:
        await line.call_out()
        text = (await line.operator.get("/metrics")).text

    assert 'switchboard_calls_ended_total{direction="outbound",outcome="completed"} 1.0' in text
    assert 'switchboard_http_requests_total{method="POST",route="/twilio/voice",status="200"} 1.0' in text
    assert "switchboard_turn_latency_seconds_count 1.0" in text
    assert "process_open_fds" in text
