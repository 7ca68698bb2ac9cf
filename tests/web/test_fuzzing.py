"""A moment of nonsense at each door; `tests.web.fuzzing` does it for as long as one likes."""

from collections.abc import Callable
from random import Random

import pytest
from trio.testing import MockClock

from tests.web.fuzzing import fuzz_frames, fuzz_http


def after(rounds: int) -> Callable[[], bool]:
    left = iter(range(rounds))
    return lambda: next(left, None) is None


async def test_no_http_request_gets_more_than_an_answer(autojump_clock: MockClock) -> None:
    tally = await fuzz_http(Random(7), after(150))

    assert tally.failures == []
    assert {"200", "204", "400", "401", "403", "404", "405"} <= tally.answers.keys()


@pytest.mark.slow
async def test_no_frame_on_a_stream_harms_more_than_its_call(autojump_clock: MockClock) -> None:
    tally = await fuzz_frames(Random(7), after(60))

    assert tally.failures == []
    assert tally.answers["calls"] > 40
