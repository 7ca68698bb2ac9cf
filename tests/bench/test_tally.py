"""What the bench counts as lost, twice or out of turn."""

from bench.tally import Arrival, Order


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
