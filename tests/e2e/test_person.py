"""A transfer over real sockets: Twilio's webhooks, the whisper, the key, and a second stream of the same call."""

import io
from pathlib import Path

import orjson
from rich.console import Console

from demo.options import DemoOptions
from demo.run import main

SCENARIO = Path(__file__).with_name("person.toml")


def test_a_person_who_declines_sends_the_caller_back_to_the_agent(tmp_path: Path) -> None:
    said = io.StringIO()
    status = main(DemoOptions(str(SCENARIO), 16.0, tmp_path, ()), Console(file=said, width=160))
    record = orjson.loads((tmp_path / "record.json").read_bytes())
    entries = [orjson.loads(line)["event"] for line in (tmp_path / "journal.jsonl").read_bytes().splitlines()]

    assert status == 0, said.getvalue()
    assert [turn["text"] for turn in record["transcript"] if turn["speaker"] == "caller"] == [
        "A person, please.",
        "All right, goodbye.",
    ]
    assert [transfer["outcome"] for transfer in record["transfers"]] == ["no-answer"]
    assert [stint["agent"] for stint in record["agents"]] == ["qualifier", "qualifier"]
    assert entries.index("call_parked") < entries.index("call_resumed") < entries.index("call_ended")
    assert "pressed 2" in said.getvalue()
