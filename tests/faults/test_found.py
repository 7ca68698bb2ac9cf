"""Calls that have broken a promise once: what the search has found, played again."""

import pytest

from testkit.oracle import check
from tests.faults.short import throw


@pytest.mark.parametrize(
    ("faults", "seed", "stop_at"),
    [
        pytest.param(
            ("deepgram: drop after 3.2 s on connection 1", "deepgram: slow settings 3.9 s on connection 2"),
            0,
            None,
            id="the caller speaks across t0 of a handoff, and the first word was heard twice",
        ),
        pytest.param(
            ("deepgram: drop after 3.5 s on connection 1", "deepgram: slow settings 3.9 s on connection 2"),
            0,
            None,
            id="a session is lost while the caller speaks: nobody waited for their words until they were transcribed",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("groq: slow 2 s", "deepgram: slow settings 4.8 s every"),
            228,
            22.8,
            id="the caller speaks in a handoff and hangs up before anybody listens: the oracle was wrong",
        ),
    ],
)
def test_what_was_broken_once_is_kept(faults: tuple[str, ...], seed: int, stop_at: float | None) -> None:
    played = throw(faults, seed=seed, order=seed, stop_at=stop_at, prompt=False)

    assert [] == check(played)


@pytest.mark.slow
@pytest.mark.parametrize("late", [3.3, 3.9])
@pytest.mark.parametrize("at", [half / 2 for half in range(13)])
def test_a_session_that_comes_late_after_one_that_was_lost_leaves_nobody_in_silence(at: float, late: float) -> None:
    faults = [f"deepgram: drop after {at} s on connection 1", f"deepgram: slow settings {late} s on connection 2"]

    assert [] == check(throw(faults, prompt=False))
