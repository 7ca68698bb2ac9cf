"""A user's own call under every fault, and left at any step."""

import pytest
from trio.testing import MockClock

from testkit import PlannedCall, Struck, every_fault, every_step
from tests.testkit.mistakes import GOOD, roster

CALL = PlannedCall(roster(), GOOD)


@pytest.mark.slow
@every_fault(CALL)
async def test_every_fault(autojump_clock: MockClock, struck: Struck) -> None:
    await struck.play()


@pytest.mark.slow
@every_step(CALL, sample=40)
async def test_every_step(autojump_clock: MockClock, struck: Struck) -> None:
    call = await struck.play()

    assert call.outcome in {"caller_hung_up", "completed"}


@every_fault(CALL, sample=2)
async def test_a_sample_of_faults(autojump_clock: MockClock, struck: Struck) -> None:
    assert "(2 of 51, seed 0)" in str(struck)
    await struck.play()


@every_step(CALL, sample=2)
async def test_a_sample_of_steps(autojump_clock: MockClock, struck: Struck) -> None:
    await struck.play()
