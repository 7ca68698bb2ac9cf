"""Calls that have broken a promise once: what the search has found, played again."""

import pytest

from tests.faults.oracle import check
from tests.faults.short import throw
from tests.faults.test_property import cannot_keep


@pytest.mark.parametrize(
    ("faults", "seed"),
    [
        pytest.param(
            ("deepgram: drop after 3.2 s on connection 1", "deepgram: slow settings 3.9 s on connection 2"),
            0,
            id="the caller speaks across t0 of a handoff, and the first word was heard twice",
        ),
    ],
)
def test_what_was_broken_once_is_kept(faults: tuple[str, ...], seed: int) -> None:
    played = throw(faults, seed=seed, order=seed)

    assert [] == check(played, excused=cannot_keep(played))
