"""Watching a recorded call: what its Scribe has written is read from disk, and only the rest is kept in memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from shutil import rmtree

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.call_services import CallUnderWay
from actors.facts import CallEnded, CallParked, ReplyText
from actors.journal import Journal
from actors.policy import CallPolicy
from actors.record import scribe as module
from actors.record.packed import BLOCK, VOLUME
from actors.record.scribe import Scribe, ScribeThreads
from actors.turn.machine import Turn
from store.records import CallRecord
from tests.actors.fakes import write
from tests.web.console.test_watching import Event, after, is_over, parsed, read, words
from tests.web.fakes import CALL_SID
from web.calls.call_files import JOURNAL, CallFiles
from web.calls.watching import WatchedCall
from web.routes.watch import EventStream

RECORD = CallRecord(CALL_SID, "MZ1", "inbound", "", "", "2026-11-22T09:00:00.000+00:00", 1.0, "completed")
ALL = [f"word {index}" for index in range(3 * VOLUME + 10)]


@attrs.define(eq=False)
class BusyThreads(ScribeThreads):
    """They are late."""

    async def _write_together(self) -> None:
        """Do it half a second later."""
        await trio.sleep(0.5)
        await super()._write_together()


@attrs.define
class Stream:
    """One stream of a call, with a Scribe; a folder that is a file makes it fail."""

    watch: WatchedCall
    scribe: Scribe
    journal: Journal

    @classmethod
    @asynccontextmanager
    async def of(cls, watch: WatchedCall, folder: Path) -> "AsyncIterator[Stream]":
        scribe = Scribe(folder / CALL_SID)
        journal = Journal([watch.read, scribe.read])
        turn = Turn(CallPolicy(), trio.current_time())
        scribe.on_written = watch.begin(CallUnderWay(journal, turn, trio.lowlevel.current_task()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cls._run, scribe)
            yield cls(watch, scribe, journal)
            nursery.cancel_scope.cancel(reason="the stream is over")

    @staticmethod
    async def _run(scribe: Scribe) -> None:
        with suppress(OSError):  # the call goes on without it
            await write(scribe)

    def says(self, *all_words: str) -> None:
        for word in all_words:
            self.journal.note(ReplyText("qualifier", 1, word))

    async def ends(self, *, is_parked: bool = False) -> None:
        self.journal.note(CallParked(1.0, {}) if is_parked else CallEnded("completed", 1.0, {}))
        await self.scribe.finish(RECORD)


def watched(folder: Path) -> WatchedCall:
    return WatchedCall(CALL_SID, "w1", files=CallFiles(folder))


async def seen(watch: WatchedCall, last: str = "", until: Callable[[list[Event]], bool] = is_over) -> list[Event]:
    return await read(EventStream(watch, last), until)


@pytest.mark.parametrize("cut", [1, BLOCK + 1, VOLUME, 2 * VOLUME + BLOCK + 3])
async def test_a_late_watcher_sees_the_whole_call_of_which_little_is_kept(
    cut: int, tmp_path: Path, fast_clock: MockClock
) -> None:
    watch = watched(tmp_path)
    async with Stream.of(watch, tmp_path) as call:
        for index in range(0, cut, 30):
            call.says(*ALL[index : min(cut, index + 30)])
            await trio.sleep(1.5)
        kept = [watch.count - watch.first]
        call.says(*ALL[cut:])
        early = await seen(watch, until=after(len(ALL)))
        await call.ends()
        kept.append(watch.count - watch.first)
    middle = [event.id for event in early if event.id][cut]

    assert words(early) == ALL
    assert words(await seen(watch)) == ALL
    assert words(await seen(watch, middle)) == ALL[cut + 1 :]
    assert max(kept) <= BLOCK


async def test_a_watcher_that_is_slow_reads_on_from_the_disk(
    tmp_path: Path, fast_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.calls.call_files.LINES_BYTES", 500)
    watch, events = watched(tmp_path), list[Event]()

    async def look_now_and_then() -> None:
        async with EventStream(watch) as stream:
            async for part in stream:
                events.extend(parsed(part))
                await trio.sleep(1.5 if watch.now is not None else 0.0)

    async with Stream.of(watch, tmp_path) as call, trio.open_nursery() as nursery:
        nursery.start_soon(look_now_and_then)
        for index in range(0, 80, 10):
            call.says(*ALL[index : index + 10])
            await trio.sleep(1.0)
        await call.ends()

    assert words(events) == ALL[:80]
    assert {event.name for event in events} == {"fact", "now", "over"}


async def test_what_another_worker_wrote_between_two_streams_is_not_taken_for_ours(
    tmp_path: Path, fast_clock: MockClock
) -> None:
    watch = watched(tmp_path)
    async with Stream.of(watch, tmp_path) as first:
        first.says(*ALL[:20])
        await first.ends(is_parked=True)
    with (tmp_path / CALL_SID / JOURNAL).open("ab") as journal:
        journal.write(orjson.dumps({"seq": 0, "event": "reply_text", "text": "not ours"}) + b"\n")
    async with Stream.of(watch, tmp_path) as second:
        second.says(*ALL[20:50])
        await trio.sleep(1.5)
        kept = watch.count - watch.first
        await second.ends()

    assert kept == 0
    assert words(await seen(watch)) == ALL[:50]


async def test_what_was_said_while_the_disk_was_busy_is_seen_at_once(tmp_path: Path, fast_clock: MockClock) -> None:
    watch = watched(tmp_path)
    async with Stream.of(watch, tmp_path) as call:
        call.scribe.threads = BusyThreads()
        for index in range(20):
            call.says(ALL[index])
            await trio.sleep(0.3)
            assert words(await seen(watch, until=after(index + 1))) == ALL[: index + 1]
        kept = watch.count - watch.first

    assert kept < 20


@pytest.mark.parametrize("failing", ["at once", "later", "first stream"])
async def test_what_no_disk_has_is_kept_for_watchers(failing: str, tmp_path: Path, fast_clock: MockClock) -> None:
    watch = watched(tmp_path)
    if failing != "later":
        (tmp_path / CALL_SID).write_text("a file where the folder should be")
    async with Stream.of(watch, tmp_path) as call:
        call.says(*ALL[:40])
        await trio.sleep(1.5)
        if failing == "later":
            (tmp_path / CALL_SID / JOURNAL).rename(tmp_path / "before.jsonl")
            (tmp_path / CALL_SID / JOURNAL).mkdir()
        call.says(*ALL[40:80])
        await trio.sleep(1.5)
    if failing == "later":
        (tmp_path / CALL_SID / JOURNAL).rmdir()
        (tmp_path / "before.jsonl").rename(tmp_path / CALL_SID / JOURNAL)
    if failing == "first stream":
        (tmp_path / CALL_SID).unlink()
    async with Stream.of(watch, tmp_path) as call:
        call.says(*ALL[80:])
        await trio.sleep(1.5)

    assert words(await seen(watch, until=after(len(ALL)))) == ALL


async def test_entries_that_the_file_lacks_are_not_looked_for_there(
    tmp_path: Path, fast_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_BUFFER", 5)
    watch = watched(tmp_path)
    async with Stream.of(watch, tmp_path) as call:
        call.says(*ALL[:4])
        await trio.sleep(1.5)
        call.says(*ALL[4:40])
        for index in range(40, 80, 5):
            await trio.sleep(1.0)
            call.says(*ALL[index : index + 5])
        await call.ends()

    assert words(await seen(watch)) == ALL[:80]


async def test_of_a_file_that_was_removed_meanwhile_the_rest_is_seen(tmp_path: Path, fast_clock: MockClock) -> None:
    watch = watched(tmp_path)
    async with Stream.of(watch, tmp_path) as call:
        call.says(*ALL[:20])
        await trio.sleep(1.5)
        rmtree(tmp_path / CALL_SID)
        call.says(*ALL[20:50])
        await trio.sleep(1.5)
        await call.ends()
    events = await seen(watch)

    assert Event("missing", {"count": 20}) in events
    assert words(events) == ALL[20:50]


async def test_a_line_that_a_killed_process_cut_short_costs_no_other(tmp_path: Path, fast_clock: MockClock) -> None:
    (tmp_path / CALL_SID).mkdir()
    (tmp_path / CALL_SID / JOURNAL).write_bytes(b'{"seq":0,"event":"call_screened"}\n{"seq":1,"at":0.5,"ev')
    watch = watched(tmp_path)
    async with Stream.of(watch, tmp_path) as call:
        call.says(*ALL[:20])
        await trio.sleep(1.5)
        await call.ends()

    assert words(await seen(watch)) == ALL[:20]
    assert len(await CallFiles(tmp_path).journal(CALL_SID)) == 22


async def test_what_was_erased_on_disk_is_told_to_be_missing(tmp_path: Path, fast_clock: MockClock) -> None:
    watch = watched(tmp_path)
    async with Stream.of(watch, tmp_path) as call:
        call.says(*ALL[:20])
        await trio.sleep(1.5)
        call.says(*ALL[20:22])
        (tmp_path / CALL_SID / JOURNAL).unlink()
        events = await seen(watch, until=after(2))

    assert Event("missing", {"count": 20}) in events
    assert words(events) == ALL[20:22]
