"""Arithmetic of the gate and of the pair: the gate's own noise, and ratios of servers that ran side by side."""

import pytest

from bench.verdict import LEAST_NOISE, of_pair, verdict


@pytest.mark.parametrize("twin", [(2.2, 2.0), (2.0, 1.8), (2.0, 2.2)])
def test_its_noise_is_how_far_a_revision_is_from_itself(twin: tuple[float, ...]) -> None:
    assert verdict("burst", (2.0, 2.0), twin, (2.0, 2.0)).noise == pytest.approx(0.1)


def test_no_machine_is_without_noise() -> None:
    assert verdict("burst", (2.0, 2.0), (2.0, 2.0), (2.0, 2.0)).noise == LEAST_NOISE


@pytest.mark.parametrize(("ours", "holds"), [(2.0, True), (2.15, True), (2.4, False), (1.0, True), (4.0, False)])
def test_what_is_worse_by_more_than_the_noise_fails(ours: float, *, holds: bool) -> None:
    assert verdict("burst", (ours, ours), (2.2, 2.0), (2.0, 2.0)).holds is holds


def test_a_machine_that_slows_down_is_no_worse_tree() -> None:
    found = verdict("no lead", (2.0, 4.0), (2.0, 4.0), (2.0, 4.0))

    assert found.ratio == pytest.approx(1.0)
    assert found.noise == LEAST_NOISE


@pytest.mark.parametrize(
    ("carried", "told"),
    [
        ({(1, 50): True, (1, 60): True, (2, 50): True, (2, 60): False}, "carries 60 calls, two carry 100: 1.67 times"),
        ({(1, 50): True, (1, 60): False, (2, 50): True, (2, 60): True}, "carries 50 calls, two carry 120: 2.40 times"),
        ({(1, 50): False, (2, 50): True}, "carries 0 calls, two carry 100"),
    ],
)
def test_a_pair_is_told_by_the_most_calls_that_were_carried(carried: dict[tuple[int, int], bool], told: str) -> None:
    assert of_pair(carried).removeprefix("one process ").startswith(told)
