"""What the bench counts as lost, twice or out of turn, and when its callers begin."""

from collections import Counter

import pytest

from bench.frames import FRAME_SECONDS, beginnings
from bench.tally import Arrival, Order


@pytest.mark.parametrize("calls", [25, 50, 100, 200])
def test_no_frames_come_in_step_and_nobody_begins_out_of_turn(calls: int) -> None:
    begins = beginnings(calls, 4.0)
    milliseconds = Counter(int(moment % FRAME_SECONDS * 1000) for moment in begins)

    assert [int(moment / 4.0 * calls) for moment in begins] == list(range(calls))
    assert max(milliseconds.values()) <= calls // 5


def test_a_frame_is_missing_until_it_comes_late() -> None:
    order = Order()

    assert [order.take(number) for number in (7, 8, 11, 9, 9)] == [
        *[Arrival.NEW] * 3,
        Arrival.LATE,
        Arrival.AGAIN,
    ]
    assert order.missing == {10}


def test_what_a_clear_has_cut_off_is_not_missing_and_what_is_lost_later_is() -> None:
    order = Order()
    order.take(0)
    order.cut()

    assert [order.take(number) for number in (5, 6, 9, 3)] == [*[Arrival.NEW] * 3, Arrival.AGAIN]
    assert order.missing == {7, 8}
