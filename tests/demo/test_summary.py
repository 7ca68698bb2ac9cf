"""What is printed when the call is over."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from demo.summary import summary
from tests.demo.sample import sample_journal, sample_record


def printed(record: Mapping[str, object], entries: Sequence[Mapping[str, object]] = (), *files: Path) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(summary(record, entries, files))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(written: str, *starts: str) -> list[str]:
    return [" ".join(line.split()) for line in written.splitlines() if line.strip().startswith(starts)]


def test_headline_says_how_the_call_ended() -> None:
    written = printed(sample_record())

    assert "completed after 81.3 s of call: 1 turn, 1 restart, 0 caller frames unheard" in written
    assert "advisor: connection lost" in written


def test_agents_stand_in_their_order() -> None:
    names = [line.split()[0] for line in row(printed(sample_record()), "qualifier ", "advisor ", "closer ")]

    assert list(dict.fromkeys(names)) == ["qualifier", "advisor", "closer"]


def test_handoff_shows_its_gap_and_its_brief() -> None:
    written = printed(sample_record(), sample_journal())

    assert row(written, "qualifier →") == ["qualifier → advisor 37.4 s 520 ms groq 310 ms"]


def test_handoff_nobody_heard_says_so() -> None:
    written = printed(sample_record())

    assert row(written, "advisor →") == ["advisor → closer 59.4 s never extract"]


def test_functions_show_arguments_and_answer() -> None:
    written = printed(sample_record())

    assert "schedule_followup" in written
    assert 'preferred_timeframe="next' in written
    assert '{"status":"scheduled"}' in written


def test_a_transfer_says_what_came_of_it() -> None:
    record = sample_record()
    record["transfers"] = [
        {"agent": "closer", "asked_at": 40.0, "reason": "cross", "outcome": "busy", "talked": 0},
        {"agent": "closer", "asked_at": 60.0, "reason": "still cross", "outcome": "answered", "talked": 42.0},
    ]

    assert row(printed(record), "by closer") == [
        "by closer 40.0 s cross busy",
        "by closer 60.0 s still cross answered 42 s",
    ]


def test_files_are_named() -> None:
    assert "demo/call.wav" in printed(sample_record(), [], Path("demo/call.wav"))


def test_record_without_anything_is_summed_up() -> None:
    assert "no outcome after 0.0 s of call: 0 turns, 0 restarts, 0 caller frames unheard" in printed({})


def test_markup_in_what_was_said_stays_text() -> None:
    record = sample_record()
    record["functions"] = [{"name": "f", "arguments": {"a": "[red]x[/red]"}, "result": "[/]", "ok": True}]

    assert "[red]x[/red]" in printed(record)


def test_at_80_columns_no_word_of_a_function_is_cut() -> None:
    record = sample_record()
    record["functions"] = [
        {
            "at": 99.4,
            "agent": "closer",
            "name": "schedule_followup",
            "arguments": {"preferred_timeframe": "next Wednesday afternoon", "notes": "formal consultation"},
            "result": {"recorded": True, "preferred_timeframe": "next Wednesday afternoon"},
            "ok": True,
        }
    ]
    console = Console(file=io.StringIO(), width=80)
    console.print(summary(record, sample_journal()))
    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()

    assert max(map(len, written.splitlines())) <= 80
    for word in ("schedule_followup", "preferred_timeframe", "afternoon", "consultation"):
        assert word in written, word


def test_the_headline_and_the_table_agree_about_restarts() -> None:
    record = {"restarts": 3, "agents": [{"agent": "qualifier", "started": 0.0, "ended": 9.0, "restarts": 1}]}
    written = printed(record)

    assert "3 restarts" in written
    assert row(written, "qualifier", "an agent") == ["qualifier 0.0–9.0 s 1", "an agent that never had the floor 2"]
