"""The clock of tests with real sockets."""

import pytest

from simulators.pacing import PacedClock
from tests.conftest import FAST_RATE


@pytest.fixture
def fast_clock() -> PacedClock:
    """Run this test on a clock that is so many times faster than the wall's; it must ask for it itself."""
    return PacedClock(FAST_RATE)
