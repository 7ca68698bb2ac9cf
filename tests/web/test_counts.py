"""What happened is counted once, under labels that nobody outside can multiply."""

import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.facts import Fact
from actors.journal import Entry
from store.records import FrameCounts, FunctionRecord, TurnRecord
from tests.web.fakes import record
from web.calls.counts import Counts
from web.calls.slots import Slots


def value(counts: Counts, series: str) -> float:
    found = [line.rpartition(" ")[2] for line in counts.render().decode().splitlines() if line.startswith(f"{series} ")]
    return float(found[0]) if found else 0.0


async def test_an_ended_call_is_counted(autojump_clock: MockClock) -> None:
    counts = Counts(Slots(5))
    called = FunctionRecord(4.5, "qualifier", "look_up", {}, "ok", ok=True)
    made_up = FunctionRecord(4.5, "qualifier", "launch_rockets", {}, "no", ok=False)
    answer = TurnRecord(1.0, "qualifier", "Hello.", latency=0.6, stt=0.2, llm=0.3, tts=0.1)
    frames = FrameCounts(unheard=2, dropped=3)

    counts.ended(record(functions=(called, made_up), transcript=(answer,), frames=frames, duration=7.5))

    assert value(counts, 'switchboard_calls_ended_total{direction="inbound",outcome="completed"}') == 1
    assert value(counts, 'switchboard_functions_total{function="look_up"}') == 1
    assert value(counts, 'switchboard_functions_total{function="refused"}') == 1
    assert value(counts, 'switchboard_frames_lost_total{kind="unheard"}') == 2
    assert value(counts, 'switchboard_frames_lost_total{kind="dropped"}') == 3
    assert value(counts, 'switchboard_turn_latency_seconds_bucket{le="0.5"}') == 0
    assert value(counts, 'switchboard_turn_latency_seconds_bucket{le="0.75"}') == 1
    for part, seconds in (("stt", 0.2), ("llm", 0.3), ("tts", 0.1)):
        assert value(counts, f'switchboard_turn_part_seconds_sum{{part="{part}"}}') == seconds
    assert "launch_rockets" not in counts.render().decode()


@pytest.mark.parametrize(
    ("fact", "series"),
    [
        (facts.HandoffGap("advisor", 0.75, "soft"), 'switchboard_handoff_gap_seconds_bucket{how="soft",le="1.0"}'),
        (facts.HandoffGap("advisor", 0.75), 'switchboard_handoff_gap_seconds_bucket{how="hard",le="1.0"}'),
        (facts.SessionRestarting("advisor", 0.1, "dropped"), "switchboard_agent_restarts_total"),
        (facts.SummaryWritten("advisor", 0.4), 'switchboard_briefs_total{outcome="written"}'),
        (facts.SummaryFailed("advisor", 3.0, "429"), 'switchboard_briefs_total{outcome="failed"}'),
        (facts.BriefReady("advisor", "extract", 3.0), 'switchboard_briefs_total{outcome="extract"}'),
        (facts.ActorCrashed("scribe", "KeyError"), 'switchboard_actor_crashes_total{actor="scribe"}'),
    ],
)
async def test_a_fact_is_counted(fact: Fact, series: str, autojump_clock: MockClock) -> None:
    counts = Counts(Slots(5))

    counts.observe(Entry(0, 1.0, fact))
    counts.observe(Entry(1, 1.0, facts.CallerHungUp("stop")))

    assert value(counts, series) == 1


async def test_lines_and_tasks_are_read_when_asked(autojump_clock: MockClock) -> None:
    slots = Slots(5)
    counts = Counts(slots)
    slots.reserve("coming", 10)
    before = value(counts, "switchboard_tasks")
    with slots.take("here"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            names = ("calls_live", "calls_expected", "calls_capacity", "draining")
            read = [value(counts, f"switchboard_{name}") for name in names]
            after = value(counts, "switchboard_tasks")
            nursery.cancel_scope.cancel()

    assert (read, after - before) == ([1, 1, 5, 0], 1)
    assert value(counts, "process_open_fds") > 3


async def test_each_application_counts_for_itself(autojump_clock: MockClock) -> None:
    first, second = Counts(Slots(1)), Counts(Slots(1))

    first.refused("full")

    assert [value(one, 'switchboard_refused_total{why="full"}') for one in (first, second)] == [1, 0]
