"""The bench's verdict on handoffs."""

import attrs
import pytest

from bench.promise import Handover, broken

KEPT = Handover(asked=50, lost=0, gap_p95_ms=100.0, unheard_frames=0, overlap_ms=0.0)


def test_a_promise_that_is_kept_leaves_nothing_to_say() -> None:
    assert [] == broken(KEPT)


@pytest.mark.parametrize(
    "found",
    [
        attrs.evolve(KEPT, asked=0),
        attrs.evolve(KEPT, lost=1),
        attrs.evolve(KEPT, gap_p95_ms=100.5),
        attrs.evolve(KEPT, unheard_frames=1),
        attrs.evolve(KEPT, overlap_ms=20.0),
    ],
)
def test_each_part_of_the_promise_is_looked_at(found: Handover) -> None:
    assert 1 == len(broken(found))


def test_an_agent_who_speaks_when_it_asks_is_let_finish_and_nothing_else_is_forgiven() -> None:
    assert [] == broken(attrs.evolve(KEPT, gap_p95_ms=900.0), speaking=True)
    assert 1 == len(broken(attrs.evolve(KEPT, unheard_frames=1), speaking=True))
