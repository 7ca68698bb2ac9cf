"""Whole calls over real sockets."""

from pathlib import Path

from trio.testing import MockClock

from tests.e2e.line import open_line


async def test_a_call_that_comes_in_is_carried_to_its_goodbye(tmp_path: Path, fast_clock: MockClock) -> None:
    async with open_line(tmp_path) as line:
        call = line.call_in()
        await line.wait_over(call)

        record = await line.record_of(call)
    assert (record.direction, record.outcome) == ("inbound", "completed")
    assert [turn.text for turn in record.transcript if turn.speaker == "caller"] == ["No, thank you."]
