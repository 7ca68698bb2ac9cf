"""Each change of the tables and the rules is noticed, or has a written reason (`survivors.py`)."""

import pytest

from tests.actors.turn.mutate import KINDS, check, main


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind.__name__ for kind in KINDS])
def test_each_mutant_is_noticed(kind: str) -> None:
    assert main([kind]) == 0


def test_a_kind_that_there_is_not_is_refused() -> None:
    assert check(["alone", KINDS[0].__name__]) == ["alone", KINDS[0].__name__]
    with pytest.raises(SystemExit, match="rules is no kind of change"):
        check(["rules"])
