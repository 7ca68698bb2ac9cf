"""Data older than RETENTION_DAYS is gone, each kind in its time; younger data is not."""

import math
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.supervision import keep_running
from keeping_settings import Retention
from store.calls import MemoryRecords
from store.databases import SqliteDatabase
from store.outbox import DAY, Outbox
from store.records import CallRecord, FunctionRecord, TurnRecord
from store.search import CallQuery, CallSummary
from store.spill import SpillingRecords
from tests.web.fakes import exchange, record, settings
from web.calls.call_files import CallFiles
from web.worker.retention import EVERY_SECONDS, FAILED, Removal, without_words

DAYS = (0.5, 3.0, 20.0)
"""The ages of three calls."""
SIDS = [f"CA{index:032}" for index in range(len(DAYS))]


def aged(call_sid: str, days: float) -> CallRecord:
    started = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    turns, functions = (
        (TurnRecord(1.0, "caller", "I am John."),),
        (FunctionRecord(1, "a", "f", {"n": 1}, "x", ok=True),),
    )
    return record(call_sid, started_at=started, transcript=turns, functions=functions, facts={"name": "John"})


def write_files(folder: Path, behind: float = 0.0) -> None:
    for call_sid, days in zip(SIDS, DAYS, strict=True):
        (folder / call_sid).mkdir(parents=True)
        for name in ("call.wav", "journal.jsonl", "transcript.json", "record.json"):
            (folder / call_sid / name).write_text("{}")
            moment = time.time() - (days + behind) * DAY
            os.utime(folder / call_sid / name, (moment, moment))


def names(folder: Path) -> dict[str, list[str]]:
    return {call.name: sorted(path.name for path in call.iterdir()) for call in sorted(folder.iterdir())}


class YearAhead(datetime):
    """The clock of a worker that is wrong; the database's is right."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(days=365)


async def test_each_kind_goes_in_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, kept = MemoryRecords(), [aged(call_sid, days) for call_sid, days in zip(SIDS, DAYS, strict=True)]
    for one in kept:
        await records.save(one)
    write_files(tmp_path)
    monkeypatch.setattr("web.worker.retention.datetime", YearAhead)
    await Removal(Retention(audio=1, transcripts=2, records=10), records, CallFiles(tmp_path)).look()

    assert [await records.get(call_sid) for call_sid in SIDS] == [kept[0], without_words(kept[1]), None]
    assert names(tmp_path) == {SIDS[0]: ["call.wav", "journal.jsonl", "record.json", "transcript.json"]}


async def test_what_could_not_be_read_or_kept_goes_with_the_words(tmp_path: Path) -> None:
    spilling = SpillingRecords(MemoryRecords(), tmp_path / "calls.db.waiting")
    folders = (spilling.folder.path, spilling.folder.running)
    for folder in folders:
        folder.mkdir()
        for days in (1.5, 2.5):
            for name in (f"1-{days}.refused", f"1-{days}.json"):
                (folder / name).write_text("{}")
                moment = time.time() - days * DAY
                os.utime(folder / name, (moment, moment))
    await Removal(Retention(audio=1, transcripts=2, records=10), spilling, CallFiles(None)).look()

    left = ["1-1.5.json", "1-1.5.refused", "1-2.5.json"]
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [left, left]


class YearBehind:
    """The same, whose files seem to be a year old when they are written."""

    @staticmethod
    def time() -> float:
        return time.time() - 365 * DAY


async def test_files_of_a_worker_whose_clock_is_behind_go_in_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, behind=365)
    monkeypatch.setattr("web.worker.retention.time", YearBehind)
    await Removal(Retention(audio=1), MemoryRecords(), CallFiles(tmp_path)).look()

    assert [len(left) for left in names(tmp_path).values()] == [4, 3, 3]


async def test_audio_alone_goes_and_words_stay(tmp_path: Path) -> None:
    write_files(tmp_path)
    await Removal(Retention(audio=1), MemoryRecords(), CallFiles(tmp_path)).look()

    assert [len(left) for left in names(tmp_path).values()] == [4, 3, 3]


async def test_many_pages_of_old_calls_go_and_no_word_is_removed_twice() -> None:
    records = MemoryRecords(capacity=2000)
    for index in range(1100):
        await records.save(aged(f"CA{index:032}", 5 + index / 1000))
    removal = Removal(Retention(transcripts=2), records, CallFiles(None))

    assert [await removal._remove_words(), await removal._remove_words()] == [1100, 0]


async def test_a_database_that_is_away_is_asked_again_in_an_hour(autojump_clock: MockClock) -> None:
    asked = list[float]()

    @attrs.define
    class Away(MemoryRecords):
        async def search(self, query: CallQuery) -> Sequence[CallSummary]:
            asked.append(trio.current_time())
            raise OSError("away")

    with trio.move_on_after(2.5 * EVERY_SECONDS), capture_logs() as logs:
        await keep_running(Removal(Retention(records=1), Away(), CallFiles(None)).look, FAILED, EVERY_SECONDS)

    assert [at - asked[0] for at in asked] == [0, EVERY_SECONDS, 2 * EVERY_SECONDS]
    assert [(line["event"], line["of"]) for line in logs] == [("retention_failed", "records")] * 3


async def test_what_cannot_be_removed_holds_up_nothing_else(tmp_path: Path) -> None:
    class Away(MemoryRecords):
        async def search(self, query: CallQuery) -> Sequence[CallSummary]:
            raise OSError("away")

    write_files(tmp_path)
    with capture_logs() as logs:
        await Removal(Retention(1, 1, 1), Away(), CallFiles(tmp_path)).look()

    assert [*names(tmp_path)] == SIDS[:1]
    assert [line["of"] for line in logs if line["event"] == "retention_failed"] == ["records", "transcripts"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("off", Retention()),
        ("30", Retention(30, 30, 30)),
        ("audio=7 transcripts=30 records=365", Retention(7, 30, 365)),
        ("audio=7,records=off", Retention(audio=7)),
    ],
)
def test_days_are_one_number_or_one_for_each_kind(given: str, read: Retention) -> None:
    assert settings(RETENTION_DAYS=given).retention_days == read


async def test_a_server_with_retention_removes_and_one_without_does_not(tmp_path: Path) -> None:
    for given, left in (("off", 1), ("1", 0)):
        there = exchange(RETENTION_DAYS=given)
        await there.records.save(aged(SIDS[1], 3))
        async with there.app.test_app():
            await trio.sleep(0.01)

        assert len(await there.records.list()) == left


def test_nothing_that_was_said_is_in_a_record_without_words() -> None:
    assert "John" in repr(aged(SIDS[0], 1))
    assert "John" not in repr(without_words(aged(SIDS[0], 1)))


async def test_news_of_a_call_that_did_not_arrive_go_with_its_record(autojump_clock: MockClock) -> None:
    database, now = SqliteDatabase(now=lambda: now[0]), [1_800_000_000.0]
    outbox, left = Outbox(database), []
    await outbox.put("CA1", "call.ended", 1, {"caller": "+15557650000"})
    now[0] += 3 * 86_400
    for days in (math.inf, 4.0, 2.0):
        await Removal(Retention(records=days), MemoryRecords(), CallFiles(None), outbox).look()
        left.append(len(await outbox.listed("waiting", 9)))

    assert left == [1, 1, 0]
