"""The clock of tests with real sockets."""

import pytest
from trio.testing import MockClock

from tests.conftest import FAST_RATE


@pytest.fixture
def fast_clock() -> MockClock:
    """Run this test on a clock that is so many times faster than the wall's; it must ask for it itself."""
    return MockClock(rate=FAST_RATE)
