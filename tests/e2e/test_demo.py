"""The demo, as a newcomer runs it: a whole call over real sockets, and what it leaves in the folder."""

import io
import wave
from pathlib import Path
from xml.etree import ElementTree as ET

import orjson
import pytest
from rich.console import Console

from demo.options import DemoOptions
from demo.run import main
from protocol.audio import is_voiced
from simulators.scenario import load_scenario
from simulators.speech import linear_to_ulaw
from tests.conftest import FAST_RATE

pytestmark = pytest.mark.real_time


def demo(out: Path, scenario: str, *faults: str) -> tuple[int, str]:
    said = io.StringIO()
    status = main(DemoOptions(scenario, FAST_RATE, out, faults), Console(file=said, width=160))
    return status, said.getvalue()


def voiced_share(wav: Path, channel: int) -> float:
    with wave.open(str(wav)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        stereo = file.readframes(file.getnframes())
    side = b"".join(stereo[at + 2 * channel : at + 2 * channel + 2] for at in range(0, len(stereo), 4))
    track = linear_to_ulaw(side)
    frames = [track[at : at + 160] for at in range(0, len(track) - 159, 160)]
    return sum(map(is_voiced, frames)) / len(frames)


@pytest.fixture(scope="module")
def sale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sale")
    status, said = demo(out, "sale")
    assert status == 0, said
    return out


def test_the_demo_leaves_the_words_of_the_scenario(sale: Path) -> None:
    transcript = orjson.loads((sale / "transcript.json").read_bytes())
    lines = [line.says for line in load_scenario("sale").caller.lines if line.says]

    assert lines == [turn["text"] for turn in transcript if turn["speaker"] == "caller"]
    assert {"at", "speaker", "text", "heard"} == set(transcript[0])


def test_the_demo_leaves_a_record_of_agents_functions_and_handoffs(sale: Path) -> None:
    record = orjson.loads((sale / "record.json").read_bytes())
    functions = {function["name"]: function for function in record["functions"]}

    assert ["qualifier", "advisor", "closer"] == [period["agent"] for period in record["agents"]]
    assert functions["record_satisfaction"]["arguments"] == {"rating": 5}
    assert functions["schedule_followup"]["result"]["recorded"] is True
    assert functions["end_conversation"]["ok"]
    assert record["frames"]["unheard"] == 0
    assert all(handoff["gap"] is not None for handoff in record["handoffs"])


def test_a_call_that_a_person_takes_goes_as_its_scenario_says(tmp_path: Path) -> None:
    status, said = demo(tmp_path, "wants_human")

    assert status == 0, said
    assert orjson.loads((tmp_path / "record.json").read_bytes())["transfers"][0]["outcome"] == "answered"


def test_both_sides_of_the_recording_carry_speech(sale: Path) -> None:
    assert 0.05 < voiced_share(sale / "call.wav", 0) < 0.5
    assert 0.2 < voiced_share(sale / "call.wav", 1) < 0.9


def test_the_journal_and_the_picture_are_readable(sale: Path) -> None:
    entries = [orjson.loads(line) for line in (sale / "journal.jsonl").read_bytes().splitlines()]

    assert list(range(len(entries))) == [entry["seq"] for entry in entries]
    assert ("call_started", "call_ended") == (entries[0]["event"], entries[-1]["event"])
    assert ET.parse(sale / "timeline.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own
