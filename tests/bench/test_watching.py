"""The arithmetic of what watching costs: against the neighbours in which nobody watches, with the noise told first."""

import pytest

from bench.watching_verdict import NOBODY, Phase, judge, noise_ms


def phases(*p99: float, lost: int = 0) -> list[Phase]:
    """Phases in turns: nobody watches in each second one; callers hear everything at 10 ms."""
    return [Phase(NOBODY if n % 2 == 0 else "ten", lost * (n % 2), (ms, 10.0)) for n, ms in enumerate(p99)]


@pytest.mark.parametrize(("p99", "noise"), [((8, 9, 8), 0), ((8, 9, 10, 9, 9), 2), ((8, 99, 4), 4)])
def test_the_noise_is_between_phases_without_watchers(p99: tuple[float, ...], noise: float) -> None:
    assert noise_ms(phases(*p99)) == pytest.approx(noise)


@pytest.mark.parametrize(
    ("p99", "added"), [((8, 9, 8), 1), ((8, 14, 12), 4), ((8, 9, 8, 30, 8, 10, 8), 2), ((9, 7, 9), 0)]
)
def test_what_is_added_is_the_median_against_both_neighbours_in_the_worse_direction(
    p99: tuple[float, ...], added: float
) -> None:
    (found,) = judge(phases(*p99))

    assert found.added_ms == pytest.approx(added)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (phases(8, 9, 8), "pass"),
        (phases(8, 14, 8), "FAIL: too much is added"),
        (phases(4, 30, 20), "cannot tell: noise"),
        (phases(4, 4, 20), "cannot tell: noise"),
        (phases(8, 9, 8, lost=1), "FAIL: frames were lost"),
        (phases(4, 30, 20, lost=1), "FAIL: frames were lost"),
    ],
)
def test_the_verdict_is_pass_or_fail_or_that_the_machine_is_too_noisy(found: list[Phase], verdict: str) -> None:
    assert [one.verdict for one in judge(found)] == [verdict]


def test_frames_that_are_lost_while_nobody_watches_are_no_watchers() -> None:
    quiet = [Phase(NOBODY, 3, (8.0, 8.0)), Phase("ten", 0, (8.0, 8.0)), Phase(NOBODY, 0, (8.0, 8.0))]

    assert judge(quiet)[0].verdict == "pass"
