"""Thousands of random calls keep the promises, judged by a world that does not ask `Turn`."""

import pytest

from tests.actors.turn.world import World, play_world
from tests.actors.turn.worlds import KINDS
from tests.examples import FULL

CALLS = 2000 if FULL else 300
BLOCK = 100
CALLS_OF_A_KIND = 100 if FULL else 4


@pytest.mark.parametrize("block", range(CALLS // BLOCK))
def test_random_calls_keep_the_promises(block: int) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        play_world(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_random_calls_in_which_rare_things_are_frequent_keep_them_too(kind: type[World]) -> None:
    for seed in range(CALLS_OF_A_KIND):
        play_world(seed, 180.0, kind)
