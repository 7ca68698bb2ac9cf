"""Whole calls over real sockets."""

from pathlib import Path

import pytest

from agents.sentences import ENGLISH
from simulators.pacing import PacedClock
from tests.e2e.line import open_line
from tests.e2e.test_drain import SILENT, wait_carried

pytestmark = pytest.mark.real_time


async def test_a_call_that_comes_in_is_carried_to_its_goodbye(tmp_path: Path, fast_clock: PacedClock) -> None:
    async with open_line(tmp_path) as line:
        call = line.call_in()
        await line.wait_over(call)

        record = await line.record_of(call)
    assert (record.direction, record.outcome) == ("inbound", "completed")
    assert [turn.text for turn in record.transcript if turn.speaker == "caller"] == ["No, thank you."]


async def test_the_recording_of_a_call_is_in_the_object_store_when_it_is_over(
    tmp_path: Path, fast_clock: PacedClock
) -> None:
    url, folder = f"file://{tmp_path}/far/away", tmp_path / "here"
    async with open_line(folder, RECORDINGS_URL=url) as line:
        call = line.call_in()
        await line.wait_over(call)
        heard = await line.operator.get(f"/calls/{call.sid}/recording")

    record = await line.record_of(call)
    assert (heard.status_code, record.recording) == (200, f"{url}/{call.sid}/call.wav")
    assert (tmp_path / "far/away" / call.sid / "call.wav").read_bytes() == heard.content
    assert {path.name for path in (folder / call.sid).iterdir()} == {"journal.jsonl", "record.json", "transcript.json"}


@pytest.mark.parametrize(("goodbye", "is_said"), [("no", False), ("yes", True)])
async def test_an_operator_ends_a_call_at_once_or_with_a_goodbye(
    goodbye: str, is_said: bool, tmp_path: Path, fast_clock: PacedClock
) -> None:
    async with open_line(tmp_path, SILENT) as line:
        call = line.call_in()
        await wait_carried(line, 1)
        answer = await line.operator.delete(f"/calls/{call.sid}?goodbye={goodbye}")
        await line.wait_over(call)
        counted = (await line.operator.get("/metrics")).text

        record = await line.record_of(call)
    heard = [turn.heard for turn in record.transcript if turn.speaker != "caller"]
    assert (answer.status_code, record.outcome) == (202, "ended_by_operator")
    assert (ENGLISH.closing in heard) == is_said
    assert 'switchboard_calls_ended_total{direction="inbound",outcome="ended_by_operator"} 1.0' in counted
