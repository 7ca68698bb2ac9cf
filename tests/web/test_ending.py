"""The end of a call is announced once, without its words or its numbers, whether or not its record could be kept."""

import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from store.calls import MemoryRecords
from store.records import AgentPeriod, CallRecord, FrameCounts, FunctionRecord, HandoffRecord, TurnRecord
from tests.web.fakes import CALL_SID, LEAD, record
from web.calls.counts import Counts
from web.calls.ending import Announced
from web.calls.live_calls import LiveCalls
from web.calls.slots import Slots

ENDED = record(
    agents=(AgentPeriod("qualifier", 0, 5), AgentPeriod("advisor", 5, 12)),
    handoffs=(HandoffRecord("qualifier", "advisor", 4.5, 0.75, "groq"),),
    functions=(FunctionRecord(4.5, "qualifier", "handoff_to_next_agent", {"reason": "secret words"}, "ok", ok=True),),
    transcript=(TurnRecord(1.0, "caller", "secret words"),),
    restarts=1,
    frames=FrameCounts(dropped=3),
)


class FullDisk(MemoryRecords):
    """A store that keeps nothing."""

    async def save(self, record: CallRecord) -> None:
        raise OSError("disk full")


async def test_the_end_of_a_call_is_one_line(autojump_clock: MockClock) -> None:
    announced = Announced(MemoryRecords(), LiveCalls(), Counts(Slots(5)))

    with capture_logs() as lines:
        await announced.save(ENDED)

    (line,) = lines
    assert (line["event"], line["call_sid"], line["outcome"]) == ("call_ended", CALL_SID, "completed")
    assert (line["agents"], line["restarts"], line["frames_dropped"]) == (["qualifier", "advisor"], 1, 3)
    assert (line["longest_handoff_gap"], line["turns"]) == (0.75, 1)


async def test_the_line_has_neither_words_nor_numbers(autojump_clock: MockClock) -> None:
    with capture_logs() as lines:
        await Announced(MemoryRecords(), LiveCalls(), Counts(Slots(5))).save(ENDED)

    assert "secret words" not in str(lines)
    assert LEAD not in str(lines)


async def test_what_is_announced_is_kept(autojump_clock: MockClock) -> None:
    records = MemoryRecords()
    await Announced(records, LiveCalls(), Counts(Slots(5))).save(ENDED)

    assert list(await records.list()) == [ENDED]


async def test_a_record_that_cannot_be_kept_is_announced_all_the_same(autojump_clock: MockClock) -> None:
    with capture_logs() as lines, pytest.raises(OSError, match="disk full"):
        await Announced(FullDisk(), LiveCalls(), Counts(Slots(5))).save(ENDED)

    assert [line["event"] for line in lines] == ["call_ended"]
