"""Each change of the tables and the rules is noticed, or has a written reason (`survivors.py`)."""

import pytest

from tests.actors.turn.mutate import KINDS, main


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind.__name__ for kind in KINDS])
def test_each_mutant_is_noticed(kind: str) -> None:
    assert main([kind]) == 0
