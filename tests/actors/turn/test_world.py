"""Thousands of random calls keep the promises, judged by a world that does not ask `Turn`."""

import pytest

from tests.actors.turn.world import play_world
from tests.examples import FULL

CALLS = 2000 if FULL else 300
BLOCK = 100


@pytest.mark.parametrize("block", range(CALLS // BLOCK))
def test_random_calls_keep_the_promises(block: int) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        play_world(seed)
