"""A bad line, as the guide names them: the call goes on, and nobody waits in silence."""

import pytest
from trio.testing import MockClock

from agents.roster import default_roster
from testkit import play
from tests.examples import one_in
from tests.testkit.mistakes import GOOD, roster

LINES = (
    "loss 5 %",
    "noise 30 dB",
    "clipping 9 dB",
    "echo 30 dB",
    "echo 20 dB",
    "cough after 5 s",
    "two people after 5 s",
)


@pytest.mark.parametrize("fault", one_in(3, LINES))
async def test_a_call_on_a_bad_line_keeps_the_promises(autojump_clock: MockClock, fault: str) -> None:
    await play(roster(), GOOD, [f"line: {fault}"])


@pytest.mark.slow
@pytest.mark.parametrize("fault", LINES)
@pytest.mark.parametrize("scenario", ["barges_in", "busy_caller", "sale"])
async def test_a_shipped_call_on_a_bad_line_keeps_the_promises(
    autojump_clock: MockClock, scenario: str, fault: str
) -> None:
    await play(default_roster(), scenario, [f"line: {fault}"])


@pytest.mark.slow
@pytest.mark.parametrize("decibels", [20, 10])
async def test_a_line_that_echoes_ends_with_a_silent_caller(autojump_clock: MockClock, decibels: int) -> None:
    """Each reply is cut by its own echo, and the agent is told to go on with it: once, and not for ever."""
    call = await play(default_roster(), "goes_silent", [f"line: echo {decibels} dB"])

    assert call.the_record.duration < 120
