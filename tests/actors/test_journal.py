"""One order for everything that happens on a call, and one clock."""

import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.facts import CallEnded, CallerHungUp, DigitPressed, UserStartedSpeaking
from actors.journal import Entry, Journal, event_name, ignore
from tests.actors.notebook import Notebook


async def test_entries_are_numbered_and_stamped_with_the_time_of_the_call(autojump_clock: MockClock) -> None:
    await trio.sleep(100.0)
    notebook = Notebook()
    journal = Journal([notebook])

    journal.note(DigitPressed("1"))
    await trio.sleep(1.5)
    journal.note(CallerHungUp("stop"))

    assert notebook.entries == [Entry(0, 0.0, DigitPressed("1")), Entry(1, 1.5, CallerHungUp("stop"))]
    assert (journal.started, journal.now) == (100.0, 1.5)


async def test_every_reader_reads_every_entry_at_once_and_in_order(autojump_clock: MockClock) -> None:
    readings: list[tuple[str, int]] = []
    journal = Journal(
        [lambda entry: readings.append(("a", entry.seq)), lambda entry: readings.append(("b", entry.seq))]
    )

    journal.note(DigitPressed("1"))
    journal.note(DigitPressed("2"))

    assert readings == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


async def test_a_journal_nobody_reads_is_no_trouble(autojump_clock: MockClock) -> None:
    Journal([ignore]).note(DigitPressed("1"))
    Journal().note(DigitPressed("1"))


async def test_what_a_reader_raises_is_not_hidden(autojump_clock: MockClock) -> None:
    def fail(_: Entry) -> None:
        raise ValueError("no ink")

    with pytest.raises(ValueError, match="no ink"):
        Journal([fail]).note(DigitPressed("1"))


def test_an_entry_is_one_flat_json_object() -> None:
    entry = Entry(7, 1.23456789, CallEnded("completed", 1.2, {"caller_in": 60}))

    assert entry.as_json() == {
        "seq": 7,
        "at": 1.235,
        "event": "call_ended",
        "outcome": "completed",
        "duration": 1.2,
        "frames": {"caller_in": 60},
    }
    assert orjson.loads(entry.line) == entry.as_json()


def test_an_event_is_the_name_of_its_fact_in_snake_case() -> None:
    assert event_name(UserStartedSpeaking) == event_name(UserStartedSpeaking) == "user_started_speaking"
    assert Entry(0, 0.0, DigitPressed("1")).event == "digit_pressed"
