"""Both stores of call records keep the same promises."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs
import orjson
import pytest

from store.calls import CallRecords
from store.files import FileRecords
from store.memory import MemoryRecords
from store.records import (
    AgentStint,
    CallRecord,
    FrameCounts,
    FunctionRecord,
    HandoffRecord,
    RecordError,
    TurnRecord,
    decode_record,
    encode_record,
    record_as_json,
    record_from_json,
)

Opener: TypeAlias = Callable[[Path], CallRecords]

FULL = CallRecord(
    call_sid="CA" + "1" * 32,
    stream_sid="MZ" + "2" * 32,
    direction="outbound",
    caller="+15557650000",
    line="+15551230000",
    started_at="2026-11-22T09:00:00.000+00:00",
    duration=61.25,
    outcome="completed",
    agents=(AgentStint("qualifier", 0.0, 30.5, 1), AgentStint("advisor", 30.5, 61.0)),
    handoffs=(HandoffRecord("qualifier", "advisor", 30.0, 0.75, "groq"), HandoffRecord("advisor", "closer", 60.0)),
    functions=(
        FunctionRecord(29.9, "qualifier", "handoff_to_next_agent", {"reason": "yes"}, {"status": "done"}, ok=True),
        FunctionRecord(40.0, "advisor", "look_up", {"nested": {"list": [1, None, "é"]}}, "busy", ok=False),
    ),
    transcript=(TurnRecord(1.0, "qualifier", "Hello there.", "Hello"), TurnRecord(2.0, "caller", "Hi.")),
    restarts=1,
    frames=FrameCounts(3000, 2990, 5, 1000, 990, 10),
    faults=("session_crashed: dropped",),
)


def at(minute: int) -> CallRecord:
    return attrs.evolve(FULL, call_sid=f"CA{minute:032}", started_at=f"2026-11-22T09:{minute:02}:00.000+00:00")


@pytest.fixture(params=[lambda _: MemoryRecords(), FileRecords], ids=["memory", "files"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> CallRecords:
    opener: Opener = request.param
    return opener(tmp_path / "calls")


async def test_a_record_comes_back_as_it_was_saved(records: CallRecords) -> None:
    await records.save(FULL)

    assert await records.get(FULL.call_sid) == FULL


async def test_an_unknown_call_is_no_error(records: CallRecords) -> None:
    assert await records.get("CA" + "9" * 32) is None


@pytest.mark.parametrize("name", ["../secrets", "", ".", "a/b", "CA1\x00"])
async def test_a_name_that_is_no_calls_finds_nothing(records: CallRecords, name: str) -> None:
    assert await records.get(name) is None


async def test_saving_a_call_again_replaces_it(records: CallRecords) -> None:
    await records.save(FULL)
    await records.save(attrs.evolve(FULL, outcome="crashed"))

    assert [record.outcome for record in await records.list()] == ["crashed"]


async def test_an_empty_store_lists_nothing(records: CallRecords) -> None:
    assert list(await records.list()) == []


async def test_the_newest_calls_are_listed_first(records: CallRecords) -> None:
    for minute in (1, 2, 3):
        await records.save(at(minute))

    assert list(await records.list(limit=2)) == [at(3), at(2)]


async def test_memory_forgets_the_oldest_beyond_its_capacity() -> None:
    records = MemoryRecords(capacity=2)
    for minute in (1, 2, 3):
        await records.save(at(minute))

    assert [await records.get(at(minute).call_sid) is not None for minute in (1, 2, 3)] == [False, True, True]


async def test_a_file_is_readable_with_nothing_but_an_editor(tmp_path: Path) -> None:
    await FileRecords(tmp_path).save(FULL)

    written = orjson.loads((tmp_path / FULL.call_sid / "record.json").read_bytes())
    assert written["transcript"][0] == {"at": 1.0, "speaker": "qualifier", "text": "Hello there.", "heard": "Hello"}


async def test_saving_leaves_no_temporary_file(tmp_path: Path) -> None:
    await FileRecords(tmp_path).save(FULL)

    assert [path.name for path in (tmp_path / FULL.call_sid).iterdir()] == ["record.json"]


async def test_a_disk_that_fails_leaves_the_previous_record_and_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / FULL.call_sid / "record.json").mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        await FileRecords(tmp_path).save(FULL)

    assert [path.name for path in (tmp_path / FULL.call_sid).iterdir()] == ["record.json"]


async def test_a_call_that_cannot_name_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot name a folder"):
        await FileRecords(tmp_path).save(attrs.evolve(FULL, call_sid="../x"))


async def test_an_unreadable_record_is_passed_over_in_a_list_and_an_error_by_itself(tmp_path: Path) -> None:
    records = FileRecords(tmp_path)
    await records.save(at(1))
    (tmp_path / "CAbroken").mkdir()
    (tmp_path / "CAbroken" / "record.json").write_text("{")

    assert list(await records.list()) == [at(1)]
    with pytest.raises(RecordError):
        await records.get("CAbroken")


def test_a_record_of_a_newer_version_reads_back_without_what_we_do_not_know() -> None:
    newer = {**record_as_json(FULL), "mood": "cheerful"}

    assert record_from_json(newer) == FULL


@pytest.mark.parametrize(
    "change",
    [{"duration": "long"}, {"call_sid": None, "agents": 3}, {"functions": [{"at": 1}]}, {"frames": 3}],
    ids=str,
)
def test_what_is_no_record_is_one_error(change: dict[str, object]) -> None:
    plain = {**record_as_json(FULL), **change}
    if "call_sid" in change:
        del plain["call_sid"]

    with pytest.raises(RecordError):
        record_from_json(plain)


def test_what_is_no_object_is_one_error() -> None:
    with pytest.raises(RecordError):
        record_from_json([1])


def test_text_and_value_are_each_others_inverse() -> None:
    assert decode_record(encode_record(FULL)) == FULL
