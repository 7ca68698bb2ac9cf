"""The numbers in the pages are those that the picture, the policy and the simulators give."""

import re

import pytest
from trio.testing import MockClock

from actors import facts
from actors.line.ledger import Ledger
from actors.line.tape import KEPT_FRAMES
from actors.policy import CallPolicy, Deadlines
from actors.ticks import TICK_SECONDS
from demo.options import DEFAULT_SPEED
from protocol.audio import FRAME_SECONDS
from simulators.deepgram import DeepgramKnobs
from simulators.pacing import HELD_UP_SECONDS, LONGEST_WAIT_SECONDS
from testkit.harness import play
from tests.docs.computed import restart_sum, until_budget_is_spent
from tests.docs.pages import ROOT, page_text
from tests.mutants import MUTANTS


def test_the_handoffs_in_the_readme_are_those_of_its_picture() -> None:
    picture = (ROOT / "docs/timeline.svg").read_text(encoding="utf-8")
    shown = re.search(r"2 handoffs \((\d+ ms), (\d+ ms)\)", picture)

    assert shown is not None
    assert f"{shown[1]} and {shown[2]}" in page_text("README.md")


def test_the_budget_is_described_as_it_is() -> None:
    policy, page = CallPolicy(), page_text("docs/supervision.md")

    assert f"{policy.restarts.intensity} restarts within {policy.restarts.period:g} s" in page
    assert page.count(f"{policy.restarts.total} restarts within {policy.restarts.total_period:g} s") == 2
    assert f"{restart_sum(policy):g} s > {policy.restarts.period:g} s" in page
    assert restart_sum(policy) > policy.restarts.period
    assert until_budget_is_spent(policy, stands_still=False) is None


@pytest.mark.parametrize("session_start", [0.1, 4.0, 5.0, 60.0])
def test_a_budget_is_spent_after_the_sum_of_its_restarts_however_long_a_start_takes(session_start: float) -> None:
    policy = CallPolicy(deadlines=Deadlines(session_start=session_start))

    assert until_budget_is_spent(policy) == pytest.approx(restart_sum(policy))


def test_the_demo_is_described_as_it_is() -> None:
    assert f"At the default speed of {DEFAULT_SPEED:g} " in page_text("README.md")
    assert f"up to {DEFAULT_SPEED:g} times real time" in page_text("docs/simulators.md")
    assert LONGEST_WAIT_SECONDS == 2 * HELD_UP_SECONDS == FRAME_SECONDS  # "half a frame"


def test_as_many_promises_are_broken_as_the_page_says() -> None:
    promises = sorted({mutant.promise for mutant in MUTANTS})

    assert promises == list(range(1, 15))
    assert all(f"{promise}. " in page_text("docs/testing.md") for promise in promises)


def test_the_benchmarks_promises_are_quoted_as_they_are_made() -> None:
    report = (ROOT / "bench/report.py").read_text(encoding="utf-8")  # importing it needs the bench group
    made = re.findall(r'^    \("(ours|bare)", "(\S+)", "(burst|no lead)"\): (\S+),$', report, re.MULTILINE)
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    columns = ("asyncio", "asyncio-wav", "picows")

    assert len(made) == 6
    for server, yardstick, regime, most in made:
        subject = {"ours": "as it ships", "bare": "bare"}[server]
        row = next(line for line in page.splitlines() if line.startswith(f"| {subject}, {regime} |"))
        assert row.split("|")[2 + columns.index(yardstick)].strip() == most


def test_the_hold_is_described_as_it_is() -> None:
    assert f"the first waits {CallPolicy().deadlines.hold * 1000:g} ms" in page_text("docs/performance.md")


def test_the_strides_are_described_as_they_are() -> None:
    policy, page = CallPolicy(), page_text("docs/performance.md")

    assert f"{policy.numbers.chunk_frames * FRAME_SECONDS * 1000:g} ms apart" in page
    assert f"{policy.deadlines.stride * 1000:g} ms at most" in page
    assert f"one clock of {TICK_SECONDS * 1000:g} ms" in page
    stride_for, stride = policy.deadlines.stride_for, policy.deadlines.stride
    assert f"{2 * stride * 1000:g} ms at most while" in page
    assert stride_for(0.17, 0.0) < stride_for(0.19, 0.0) == stride == stride_for(9.0, 0.0)
    assert stride_for(0.33, 9.0) < stride_for(0.34, 9.0) == pytest.approx(2 * stride) == stride_for(9.0, 9.0)
    assert f"the tape keeps {KEPT_FRAMES * FRAME_SECONDS:g} s at most" in page.lower()


def test_the_lead_and_the_tape_are_described_as_they_are() -> None:
    page = page_text("docs/design.md")

    assert f"{Ledger.__init__.__defaults__[0]:g} s" in page  # type: ignore[index] # attrs' own
    assert f"{KEPT_FRAMES * FRAME_SECONDS:g} s" in page


@pytest.mark.slow
async def test_the_handoff_costs_in_virtual_time_what_the_pages_say(autojump_clock: MockClock) -> None:
    knobs = DeepgramKnobs()
    cost = knobs.welcome + knobs.settings_applied + knobs.greeting

    call = await play("sale")

    gaps = [fact.gap for fact in call.facts(facts.HandoffGap) if isinstance(fact, facts.HandoffGap)]
    assert gaps == pytest.approx([cost, cost], abs=0.0005)
    assert f"{cost * 1000:.0f} ms" in page_text("docs/handoff.md")


@pytest.mark.slow
async def test_a_crash_costs_what_the_page_says(autojump_clock: MockClock) -> None:
    call = await play("sale", ["deepgram: drop after 8 s"])

    lost, back = call.times(facts.SessionCrashed)[0], call.times(facts.FloorTaken)[1]
    assert f"{back - lost:.2f} s" in page_text("docs/supervision.md")
