"""The deadlines of a call, and what they add up to for the caller."""

import attrs
import pytest

from actors.policy import CallPolicy, Deadlines, SummaryMode
from protocol.audio import FRAME_SECONDS

POLICY = CallPolicy()
NOBODY_WAITS = {
    *("longest_call", "length_notice", "longest_turn", "machine_greeting", "think_patience"),
    *("amended", "restarted", "remark_begun"),  # an operator waits, while the call goes on
}
"""None of these is a silence that a caller meets."""
DEADLINES = [
    field.name
    for field in attrs.fields(Deadlines)
    if isinstance(getattr(POLICY.deadlines, field.name), float) and field.name not in NOBODY_WAITS
]


@pytest.mark.parametrize("name", DEADLINES)
def test_every_deadline_is_some_time_and_less_than_a_callers_patience(name: str) -> None:
    assert 0 < getattr(POLICY.deadlines, name) <= 10


def test_the_service_hears_from_us_twice_before_it_gives_up() -> None:
    """Deepgram closes a session after about ten seconds without a message (its reference, section 7)."""
    assert 2 * POLICY.deadlines.keep_alive < 10


def test_the_brief_is_there_or_given_up_before_the_next_agent_is() -> None:
    assert POLICY.deadlines.summary < POLICY.deadlines.handoff_start


def test_a_backlog_is_caught_up_with() -> None:
    assert POLICY.numbers.replay_rate > 1
    assert POLICY.numbers.chunk_frames * FRAME_SECONDS == pytest.approx(0.08)


def test_summary_modes_are_named_as_the_setting_names_them() -> None:
    assert [SummaryMode(name) for name in ("eager", "on_handoff")] == list(SummaryMode)


def test_a_policy_is_one_value() -> None:
    assert CallPolicy(deadlines=Deadlines(hang_up=1.0)) != CallPolicy() == POLICY
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        POLICY.deadlines.hang_up = 1.0  # type: ignore[misc]
