"""A user's own call under every fault, and left at any step."""

import pytest
from trio.testing import MockClock

from testkit import PlannedCall, PromiseBroken, Struck, every_fault, every_step
from tests.testkit.mistakes import GOOD, NO_CONSENT, roster

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


@pytest.mark.parametrize(
    "struck",
    [
        Struck(PlannedCall(roster(), NO_CONSENT), "drop", 0.9),
        Struck(PlannedCall(roster(), NO_CONSENT), "groq: 500"),
        Struck(PlannedCall(roster(), NO_CONSENT), "the caller hangs up", 0.9, "hangs up"),
    ],
    ids=str,
)
async def test_a_rule_that_a_roster_does_not_keep_is_left_out_of_its_sweeps(
    autojump_clock: MockClock, struck: Struck
) -> None:
    """In another language than English many cannot be judged."""
    with pytest.raises(PromiseBroken, match="consent"):
        await struck.play()

    await struck.play(excused={"consent": "every caller is handed on"})
