"""The call on disk, while it goes on and when it is over."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import get_ident
from typing import TypeVar

import orjson
import pytest
import trio
from outcome import Error, Outcome, capture
from trio.testing import MockClock, active_thread_count, wait_all_tasks_blocked

from actors.facts import CallStarted, DigitPressed
from actors.journal import Journal
from actors.record import scribe as module
from actors.record.recording import _JOINING, is_left
from actors.record.scribe import Scribe, ScribeThreads, ScribeWrite
from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES
from store.records import CallRecord, TurnRecord, record_from_json
from tests.actors.fakes import VOICED, write
from tests.store.samples import full_disk

T = TypeVar("T")
R = TypeVar("R")
RECORD = CallRecord(
    "CA1", "MZ1", "inbound", "+15551230000", "+15559990000", "2026-11-22T09:00:00.000+00:00", 1.0, "completed",
    transcript=(TurnRecord(0.5, "caller", "Hello.", "Hello."),),
)  # fmt: skip


@pytest.fixture
def thread_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run what belongs in a thread here and now: an autojump clock does not wait for threads."""

    async def run_sync(work: Callable[[T], R], wanted: T, *, limiter: object, abandon_on_cancel: bool) -> R:
        await trio.lowlevel.checkpoint()
        return work(wanted)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)


def journal_lines(folder: Path) -> Sequence[Mapping[str, object]]:
    return [orjson.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]


async def test_the_journal_is_on_disk_within_a_second(
    autojump_clock: MockClock, thread_at_once: None, tmp_path: Path
) -> None:
    scribe = Scribe(tmp_path / "CA1")
    journal = Journal([scribe.read])
    sizes = []

    with trio.move_on_after(2.5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, scribe)
            for digit in "123":
                await trio.sleep(0.7)
                journal.note(DigitPressed(digit))
                sizes.append(len(journal_lines(tmp_path / "CA1")) if (tmp_path / "CA1").exists() else 0)

    assert sizes == [0, 1, 2]  # at 0.7, 1.4 and 2.1 s, having written at 1 and 2 s
    assert [line["digit"] for line in journal_lines(tmp_path / "CA1")] == ["1", "2"]


async def test_the_end_writes_everything_down(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path / "recordings" / "CA1")
    journal = Journal([scribe.read])
    journal.note(CallStarted("CA1", "MZ1", "inbound"))
    scribe.recording.caller.put(bytes(FRAME_BYTES))

    await scribe.finish(RECORD)

    folder = tmp_path / "recordings" / "CA1"
    assert {path.name for path in folder.iterdir()} == {"call.wav", "journal.jsonl", "record.json", "transcript.json"}
    assert record_from_json(orjson.loads((folder / "record.json").read_bytes())) == RECORD
    assert orjson.loads((folder / "transcript.json").read_bytes()) == [
        {"at": 0.5, "speaker": "caller", "text": "Hello.", "heard": "Hello."}
    ]
    assert [line["event"] for line in journal_lines(folder)] == ["call_started"]
    assert (folder / "call.wav").stat().st_size == 44 + 4 * FRAME_BYTES


async def test_audio_is_on_disk_before_the_call_is_over(
    autojump_clock: MockClock, thread_at_once: None, tmp_path: Path
) -> None:
    scribe = Scribe(tmp_path)
    scribe.recording.caller.put(bytes(FRAME_BYTES))

    with trio.move_on_after(1.5):
        await write(scribe)

    assert scribe.recording.caller.path.read_bytes() == bytes(FRAME_BYTES)


async def test_entries_beyond_the_buffer_are_counted_in_the_journal_itself(
    autojump_clock: MockClock, thread_at_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_BUFFER", 2)
    scribe = Scribe(tmp_path)
    journal = Journal([scribe.read])
    for digit in "12345":
        journal.note(DigitPressed(digit))

    with trio.move_on_after(2.5):
        await write(scribe)

    lines = journal_lines(tmp_path)
    assert [line["event"] for line in lines] == ["digit_pressed", "digit_pressed", "entries_missing"]
    assert lines[-1]["count"] == 3


async def test_what_a_disk_has_not_taken_is_written_when_it_takes_it_and_what_was_said_is_silence(
    autojump_clock: MockClock, thread_at_once: None, tmp_path: Path
) -> None:
    """It is told once. An hour of both sides is 58 MB, of every call that is under way: none of it is kept."""
    (tmp_path / "CA1").touch()  # where the folder should be
    scribe, told, second = Scribe(tmp_path / "CA1"), list[str](), BYTES_PER_SECOND
    journal = Journal([scribe.read])

    async def talk() -> None:
        for digit in "123456":
            journal.note(DigitPressed(digit))
            scribe.recording.caller.put(VOICED * (second // len(VOICED)))
            scribe.recording.hear_agents(float(digit) - 1, VOICED * (second // len(VOICED)))
            await trio.sleep(1)
            assert scribe.recording.take() == ((int(digit) * second, []),) * 2
            if digit == "3":
                (tmp_path / "CA1").unlink()

    async with trio.open_nursery() as nursery:
        scribe.on_refused = told.append
        nursery.start_soon(write, scribe)
        await trio.sleep(0.5)
        await talk()
        nursery.cancel_scope.cancel(reason="the call is over")
    await scribe.finish(RECORD)

    wav = (tmp_path / "CA1/call.wav").read_bytes()[44:]
    assert [any(wav[at : at + 4 * second]) for at in range(0, len(wav), 4 * second)] == [False] * 3 + [True] * 3
    assert [line["digit"] for line in journal_lines(tmp_path / "CA1")] == [*"123456"]
    assert len(told) == 1
    assert "CA1" in told[0]


async def test_a_refusal_is_told_before_the_next_write_since_the_call_may_end_first(
    autojump_clock: MockClock, thread_at_once: None, tmp_path: Path
) -> None:
    (tmp_path / "CA1").touch()
    scribe, told = Scribe(tmp_path / "CA1"), list[str]()
    scribe.on_refused = told.append

    with trio.move_on_after(1.5):
        await write(scribe)

    assert len(told) == 1


async def test_a_save_that_is_tried_again_leaves_the_recording_as_it_is(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path / "CA1")
    scribe.recording.caller.put(bytes(FRAME_BYTES))
    await scribe.finish(RECORD)
    recorded = (tmp_path / "CA1/call.wav").read_bytes()
    await scribe.finish(RECORD)

    assert (tmp_path / "CA1/call.wav").read_bytes() == recorded


async def test_half_a_line_that_a_full_disk_has_taken_is_taken_back(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path / "CA1")
    journal = Journal([scribe.read])
    journal.note(DigitPressed("0"))
    await scribe.finish(RECORD)
    size = (tmp_path / "CA1/journal.jsonl").stat().st_size
    for digit in "123456789":
        journal.note(DigitPressed(digit))
    with full_disk(2 * size + size // 2), pytest.raises(OSError, match=r"File too large: '.*journal\.jsonl'"):
        await scribe.finish(RECORD)
    assert [line["digit"] for line in journal_lines(tmp_path / "CA1")] == ["0"]
    await scribe.finish(RECORD)

    assert [line["digit"] for line in journal_lines(tmp_path / "CA1")] == [*"0123456789"]


async def test_a_folder_that_somebody_has_removed_is_there_again_a_second_later(
    autojump_clock: MockClock, thread_at_once: None, tmp_path: Path
) -> None:
    scribe = Scribe(tmp_path / "CA1")
    journal = Journal([scribe.read])

    with trio.move_on_after(2.5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, scribe)
            await trio.sleep(1.5)
            shutil.rmtree(tmp_path / "CA1")
            journal.note(DigitPressed("1"))

    assert [line["digit"] for line in journal_lines(tmp_path / "CA1")] == ["1"]
    assert (tmp_path / "CA1").stat().st_mode & 0o777 == 0o700


async def test_a_reader_never_waits_for_the_disk(autojump_clock: MockClock, tmp_path: Path) -> None:
    (tmp_path / "CA1").write_text("a file where the folder should be")
    scribe = Scribe(tmp_path / "CA1")

    Journal([scribe.read]).note(DigitPressed("1"))

    assert trio.current_time() == 0.0


async def test_a_disk_that_hangs_does_not_keep_a_call_that_is_over(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path / "CA1")
    await trio.Path(scribe.folder).mkdir()
    hanging = scribe.folder / "journal.jsonl"
    os.mkfifo(hanging)  # opening it waits for a reader

    async def settle() -> None:
        while not active_thread_count():
            await wait_all_tasks_blocked(0.01)
        settling.cancel(reason="the call has waited for its files")

    async with trio.open_nursery() as nursery:
        with trio.CancelScope(shield=True) as settling:
            nursery.start_soon(settle)
            await scribe.finish(RECORD)
    await trio.to_thread.run_sync(hanging.read_bytes)

    assert settling.cancelled_caught


async def test_of_calls_that_end_together_everything_is_written_before_the_first_recording_is_joined(
    tmp_path: Path,
) -> None:
    """The calls wait for two seconds, and fifty long recordings take longer."""
    threads = ScribeThreads()
    scribes = [Scribe(tmp_path / f"CA{number}", threads=threads) for number in range(2 * module.THREADS)]
    for scribe in scribes:
        scribe.recording.caller.put(bytes(FRAME_BYTES))
    with _JOINING, trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for scribe in scribes:
                nursery.start_soon(scribe.finish, RECORD)
            while not all(scribe.lacks_recording for scribe in scribes):
                await wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel(reason="the two seconds are over")

        assert all((scribe.folder / "record.json").exists() for scribe in scribes)
    with trio.fail_after(10):
        while any(is_left(scribe.folder) for scribe in scribes):
            await wait_all_tasks_blocked(0.01)
    assert all((scribe.folder / "call.wav").exists() for scribe in scribes)


async def test_where_audio_is_not_recorded_words_are(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path / "CA1", records_audio=False)
    Journal([scribe.read]).note(DigitPressed("1"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, scribe)
        await trio.sleep(0.05)
        nursery.cancel_scope.cancel(reason="the call is over")
    await scribe.finish(RECORD)

    names = sorted(path.name for path in (tmp_path / "CA1").iterdir())
    assert names == ["journal.jsonl", "record.json", "transcript.json"]


async def test_what_is_wanted_at_once_one_thread_does_and_each_fails_alone() -> None:
    threads, did = ScribeThreads(), list[int]()
    ended = list[Outcome[None]]()

    def fail() -> None:
        raise OSError("no room")

    for work in (lambda: did.append(get_ident()), fail, lambda: did.append(get_ident())):
        threads.want(ScribeWrite(work, ended.append))
    while len(ended) < 3:
        await wait_all_tasks_blocked(0.01)

    failures = [str(each.error) for each in ended if isinstance(each, Error)]
    assert failures == ["no room"]
    assert len(did) == 2
    assert len(set(did)) == 1
    assert get_ident() not in did


async def test_where_no_thread_can_be_started_the_writers_fail_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_thread(*_: object, **_how: object) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", no_thread)

    ended = list[Outcome[None]]()
    ScribeThreads().want(ScribeWrite(lambda: None, ended.append))
    await wait_all_tasks_blocked()

    with pytest.raises(RuntimeError, match="can't start new thread"):
        ended.pop().unwrap()
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await ScribeThreads.run_alone(lambda: None, trio.CapacityLimiter(1))


async def test_the_last_write_finds_what_no_thread_has_written(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path / "CA1")
    journal = Journal([scribe.read])
    for digit in "12":
        journal.note(DigitPressed(digit))
        scribe.recording.caller.put(bytes(FRAME_BYTES))
        scribe._put_out()  # the call ends before a thread comes to it

    await scribe.finish(RECORD)

    assert [line["digit"] for line in journal_lines(tmp_path / "CA1")] == ["1", "2"]
    assert (tmp_path / "CA1" / "call.wav").stat().st_size == 44 + 4 * 2 * FRAME_BYTES


async def test_a_write_that_is_over_behind_the_last_one_of_all_tells_nothing(
    autojump_clock: MockClock, thread_at_once: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted, told = list[ScribeWrite](), list[int]()
    monkeypatch.setattr(ScribeThreads, "want", lambda _, write: wanted.append(write))
    scribe = Scribe(tmp_path / "CA1")
    scribe.on_written = lambda _, count: told.append(count)
    journal = Journal([scribe.read])
    journal.note(DigitPressed("1"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, scribe)
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel(reason="the call is over")
    journal.note(DigitPressed("2"))

    await scribe.finish(RECORD)
    wanted[0].on_over(capture(wanted[0].work))

    assert told == [2]
