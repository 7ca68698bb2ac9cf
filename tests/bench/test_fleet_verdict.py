"""What the verdict on a run with killed workers lets pass, and that it lets nothing else pass."""

import pytest

from bench.fleet_verdict import WHY_CUT, End, Kept, OrderEnd, Said, Story, judge_calls, judge_order

COMPLETED, CUT, UNNOTED = Kept("completed", 4.0, ""), Kept("cut", 2.0, WHY_CUT), Kept("cut", 0.0, "")
ENDS = {End.NOTHING: [], End.COMPLETED: [COMPLETED], End.CUT: [CUT], End.CUT_UNNOTED: [UNNOTED]}
ANY_CUT = {End.CUT, End.CUT_UNNOTED}


def story(*said: str, asked: str = "w1", was_streamed: bool = True) -> Story:
    """A call whose webhook went to w2, and whose stream went to w1."""
    steps = [Said(float(at), "w2" if what == "yes" else "w1", what) for at, what in enumerate(said)]
    return Story("CA1", asked, was_streamed, tuple(steps))


@pytest.mark.parametrize(
    ("told", "killed", "killed_at", "allowed"),
    [
        (story("yes", "in", "saving", "out"), "", 0, {End.COMPLETED}),
        (story("yes", "in", "saving", "out"), "w1", 9, {End.COMPLETED}),
        (story("yes", "in", "saving"), "w1", 9, {End.COMPLETED, End.CUT}),
        (story("yes", "in", "saving"), "w1", 2, {End.COMPLETED, *ANY_CUT}),
        (story("yes", "in", "saving"), "w2", 9, set()),
        (story("yes", "in"), "w1", 9, {End.CUT}),
        (story("yes", "in"), "w1", 2, ANY_CUT),
        (story("yes", "in"), "w2", 9, set()),
        (story("yes", "full"), "w1", 9, {End.NOTHING}),
        (story("no", was_streamed=False), "", 0, {End.NOTHING}),
        (story("yes"), "w1", 9, {End.NOTHING, *ANY_CUT}),
        (story("yes"), "w2", 9, set()),
        (story(was_streamed=False), "w1", 9, {End.NOTHING}),
        (story(was_streamed=False), "w2", 9, set()),
        (story("yes", asked="w2", was_streamed=False), "w2", 9, set()),
    ],
)
def test_a_call_has_the_record_that_its_announcements_allow_and_no_other(
    told: Story, killed: str, killed_at: float, allowed: set[End]
) -> None:
    passed = {
        end for end, kept in ENDS.items() if not judge_calls([told], {"CA1": kept}, {"CA1": 4.0}, killed, killed_at)
    }

    assert passed == allowed


@pytest.mark.parametrize(
    "kept",
    [
        [COMPLETED, COMPLETED],
        [COMPLETED, CUT],
        [Kept("completed", 2.0, "")],
        [Kept("completed", 4.0, WHY_CUT)],
        [Kept("cut", 4.0, WHY_CUT)],
        [Kept("cut", 2.0, "")],
        [Kept("crashed", 4.0, "")],
    ],
    ids=str,
)
@pytest.mark.parametrize("said", [("yes", "in", "saving", "out"), ("yes", "in", "saving"), ("yes", "in")], ids=str)
def test_two_records_or_a_strange_one_never_pass(said: tuple[str, ...], kept: list[Kept]) -> None:
    assert judge_calls([story(*said)], {"CA1": kept}, {"CA1": 4.0}, "w1", 2)


def test_a_record_of_nobody_and_a_step_that_is_announced_twice_do_not_pass() -> None:
    assert judge_calls([], {"CA9": [CUT]}, {}, "w1", 9)
    assert judge_calls([story("yes", "in", "in", "saving", "out")], {"CA1": [COMPLETED]}, {"CA1": 4.0}, "", 0)


@pytest.mark.parametrize(
    ("end", "made", "tries", "passes"),
    [
        (OrderEnd("over", "busy", "CA1"), ["CA1"], ["answers"], True),
        (OrderEnd("over", "busy", "CA1"), ["CA1", "CA2"], ["late", "answers"], False),
        (OrderEnd("over", "busy", "CA1"), ["CA2"], ["answers"], False),
        (OrderEnd("over", "busy", "CA1"), [], ["never"], False),
        (OrderEnd("over", "failed", ""), [], ["never", "refused"], True),
        (OrderEnd("over", "failed", ""), [], ["never"], False),
        (OrderEnd("over", "failed", ""), ["CA1"], ["late", "refused"], False),
        (OrderEnd("asking", "", ""), [], ["never"], False),
        (OrderEnd("over", "canceled", ""), [], [], False),
        (None, [], [], False),
    ],
)
def test_an_order_has_one_call_or_was_refused(
    end: OrderEnd | None, made: list[str], tries: list[str], passes: bool
) -> None:
    assert (judge_order("OR1", end, made, tries) == "") is passes
