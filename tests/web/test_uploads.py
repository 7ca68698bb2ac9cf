"""Recordings move to the object store after their calls: none is lost, none is left, and nothing waits for them."""

import os
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from actors.record.recording import Recording
from protocol.audio import write_wav_header
from tests.store.object_stores import DriverFailed, FaultyObjects
from tests.web.fakes import context_of, exchange, record
from web.calls.call_files import RECORDING, CallFiles
from web.calls.uploads import LOOK_SECONDS, SECONDS, Uploads, move
from web.calls.work_queue import LAST_SECONDS

T = TypeVar("T")
SID, OTHER = "CA" + "1" * 32, "CA" + "2" * 32


def recorded(folder: Path, call_sid: str = SID, begins_at: float = 0.0, seconds: float = 1.0) -> bytes:
    """Leave the recording of a call; return it."""
    (folder / call_sid).mkdir(parents=True, exist_ok=True)
    recording = Recording(folder / call_sid, begins_at)
    recording.begin("test")
    recording.caller.put(bytes([1 + round(begins_at)]) * round(seconds * 8000))
    recording.finish()
    return (folder / call_sid / RECORDING).read_bytes()


def samples(content: bytes) -> bytes:
    with wave.open(BytesIO(content)) as audio:
        return bytes(audio.readframes(audio.getnframes()))


@pytest.fixture
def hangs() -> list[float]:
    """How long the next threads take, in seconds of trio's clock."""
    return []


@pytest.fixture(autouse=True)
def _threads_on_our_clock(monkeypatch: pytest.MonkeyPatch, hangs: list[float]) -> None:
    """A thread would be overtaken by a clock that jumps."""

    async def run_sync(work: Callable[..., T], *args: object, **_: object) -> T:
        await trio.sleep(hangs.pop(0) if hangs else 0)
        return work(*args)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)


@asynccontextmanager
async def uploading(folder: Path, system: FaultyObjects) -> AsyncIterator[Uploads]:
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - not in a thread, which a clock that jumps would overtake
    uploads = Uploads(CallFiles(folder, system.as_store()), system.as_store())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uploads.run)
        yield uploads
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_a_recording_moves_when_its_call_is_over(tmp_path: Path, autojump_clock: MockClock) -> None:
    system = FaultyObjects()
    async with uploading(tmp_path / "calls", system) as uploads:
        await trio.sleep(0.1)
        whole = recorded(tmp_path / "calls")
        (tmp_path / "calls" / SID / "journal.jsonl").write_text("{}")
        uploads.put(record(SID))
        uploads.put(record(OTHER))  # of which nothing was recorded
        await uploads.queue.finish()

        assert trio.current_time() == pytest.approx(0.1)
    assert system.kept == {f"{SID}/{RECORDING}": whole}
    assert [path.name for path in (tmp_path / "calls" / SID).iterdir()] == ["journal.jsonl"]


async def test_a_server_that_closes_waits_for_a_recording_that_is_being_written(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    system, recording = FaultyObjects(), Recording(tmp_path / SID)
    (tmp_path / SID).mkdir()
    recording.caller.put(bytes(800))
    recording.write(recording.take())
    async with uploading(tmp_path, system) as uploads, trio.open_nursery() as nursery:
        uploads.put(record(SID))
        nursery.start_soon(uploads.queue.finish)
        await trio.sleep(1)
        recording.finish()

    assert set(system.kept) == {f"{SID}/{RECORDING}"}


async def test_a_store_that_fails_is_asked_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    times, whole = list[float](), recorded(tmp_path)

    def fail(operation: str) -> None:
        if operation == "open wb" and len(times) < 6:
            assert (tmp_path / SID / RECORDING).read_bytes() == whole
            times.append(trio.current_time())
            raise DriverFailed("no credentials")

    system = FaultyObjects(fail)
    async with uploading(tmp_path, system):
        await trio.sleep(4 * LOOK_SECONDS)

    rests = [later - before for before, later in pairwise(times)]
    assert rests == [pytest.approx(seconds, abs=1) for seconds in (10, 30, 90, 270, LOOK_SECONDS)]
    assert system.kept == {f"{SID}/{RECORDING}": whole}
    assert not (tmp_path / SID / RECORDING).exists()


async def test_many_that_fail_are_asked_again_together_and_the_first_that_arrives_makes_the_rests_short_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    is_down, asked = True, list[float]()
    calls = [f"CA{number:032x}" for number in range(8)]
    for call_sid in calls:
        recorded(tmp_path, call_sid)

    def fail(operation: str) -> None:
        if operation == "open wb":
            asked.append(trio.current_time())
            if is_down:
                raise DriverFailed("away")

    system = FaultyObjects(fail)
    async with uploading(tmp_path, system) as uploads:
        await trio.sleep(50)
        assert len(asked) == 3 * len(calls)
        is_down = False
        await trio.sleep(100)
        assert len(system.kept) == len(calls)
        is_down = True
        recorded(tmp_path)
        uploads.put(record(SID))
        await trio.sleep(11)
        assert len(asked) == 4 * len(calls) + 2


@pytest.mark.parametrize("fault", ["adds_to_size", "spoils"])
async def test_a_store_that_lies_gets_no_recording_from_us(
    fault: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    system = FaultyObjects()
    setattr(system, fault, True)
    whole = recorded(tmp_path)
    async with uploading(tmp_path, system):
        await trio.sleep(3600)
        kept, here = system.kept, (tmp_path / SID / RECORDING).read_bytes()
        setattr(system, fault, False)
        await trio.sleep(LOOK_SECONDS + 1)

    assert (kept, here) == ({}, whole)
    assert system.kept == {f"{SID}/{RECORDING}": whole}


async def test_a_store_that_hangs_keeps_neither_other_recordings_nor_the_end_of_the_server(
    tmp_path: Path, autojump_clock: MockClock, hangs: list[float]
) -> None:
    system = FaultyObjects()
    async with uploading(tmp_path, system) as uploads:
        await trio.sleep(0.1)
        recorded(tmp_path), recorded(tmp_path, OTHER)
        hangs.append(SECONDS + 100)
        uploads.put(record(SID))
        await trio.sleep(0.1)
        uploads.put(record(OTHER))
        await trio.sleep(1)
        first, began = list(system.kept), trio.current_time()
        await uploads.queue.finish()
        waited = trio.current_time() - began
        await trio.sleep(SECONDS + LOOK_SECONDS + 1)

    assert (first, waited) == ([f"{OTHER}/{RECORDING}"], LAST_SECONDS)
    assert set(system.kept) == {f"{SID}/{RECORDING}", f"{OTHER}/{RECORDING}"}


async def test_the_next_start_finds_what_is_left_and_so_does_a_later_look(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    system = FaultyObjects()
    recorded(tmp_path)
    (tmp_path / ".writers").mkdir()
    async with uploading(tmp_path, system):
        await trio.sleep(1)
        at_start = set(system.kept)
        recorded(tmp_path, OTHER)
        await trio.sleep(LOOK_SECONDS)

    assert at_start == {f"{SID}/{RECORDING}"}
    assert set(system.kept) == {f"{SID}/{RECORDING}", f"{OTHER}/{RECORDING}"}


async def test_a_folder_that_cannot_be_read_is_looked_through_later(tmp_path: Path, autojump_clock: MockClock) -> None:
    system, folder = FaultyObjects(), tmp_path / "calls"
    async with uploading(folder, system):
        folder.rmdir()
        await trio.sleep(1)
        recorded(folder)
        await trio.sleep(LOOK_SECONDS)

    assert set(system.kept) == {f"{SID}/{RECORDING}"}


async def test_no_more_recordings_than_a_bounded_number_are_remembered(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.calls.uploads.MOST", 5)
    uploads = Uploads(CallFiles(tmp_path), FaultyObjects().as_store())
    for index in range(9):
        uploads.put(record(f"CA{index:032}"))

    assert len(uploads.queue.waiting) == 5


def test_both_streams_of_a_call_are_one_recording_wherever_they_were_carried(tmp_path: Path) -> None:
    parts = {name: recorded(tmp_path / name, begins_at=at) for name, at in (("a", 0.0), ("b", 3.0))}
    for names in (("a", "b"), ("b", "a"), ("a", "b", "a")):  # the last one: a crash before the file was removed
        system = FaultyObjects()
        for name in names:
            (tmp_path / name / SID / RECORDING).write_bytes(parts[name])
            assert move(system.as_store(), tmp_path / name / SID)

        (kept,) = system.kept.values()
        assert samples(kept)[: 4 * 8000] == samples(parts["a"])
        assert samples(kept)[4 * 8000 :] == samples(parts["b"])[4 * 8000 :]
        assert [list((tmp_path / name / SID).iterdir()) for name in names] == [[]] * len(names)


def test_while_a_stream_goes_on_nothing_moves(tmp_path: Path) -> None:
    system, whole = FaultyObjects(), recorded(tmp_path)
    again = Recording(tmp_path / SID, 2.0)
    again.caller.write(0, [b"\1" * 80])

    assert move(system.as_store(), tmp_path / SID) is False
    assert system.kept == {}
    again.caller.length = 80
    again.finish()
    assert move(system.as_store(), tmp_path / SID) is True
    assert samples(system.kept[f"{SID}/{RECORDING}"])[: 4 * 8000] == samples(whole)


def at(operation: str, work: Callable[[], object]) -> Callable[[str], None]:
    """Do something once, in the middle of an upload."""
    left = [work]

    def fail(told: str) -> None:
        if told == operation and left:
            left.pop()()

    return fail


def test_what_is_erased_while_it_is_uploaded_does_not_come_back(tmp_path: Path) -> None:
    files, folder = CallFiles(tmp_path), tmp_path / SID
    system = FaultyObjects(at("read", lambda: trio.run(files.erase, SID)))
    recorded(tmp_path)

    assert move(system.as_store(), folder) is True
    assert (system.kept, folder.exists()) == ({}, False)


def test_what_goes_on_while_it_is_uploaded_moves_later_and_whole(tmp_path: Path) -> None:
    system = FaultyObjects(at("read", lambda: recorded(tmp_path, begins_at=2.0)))
    first = recorded(tmp_path)

    assert move(system.as_store(), tmp_path / SID) is False
    assert system.kept == {}
    assert move(system.as_store(), tmp_path / SID) is True
    assert samples(system.kept[f"{SID}/{RECORDING}"])[: 4 * 8000] == samples(first)
    assert len(samples(system.kept[f"{SID}/{RECORDING}"])) == 4 * 3 * 8000


def test_a_call_that_comes_back_while_its_recording_is_uploaded_finds_it_here(tmp_path: Path) -> None:
    again = Recording(tmp_path / SID, 2.0)
    system, whole = FaultyObjects(at("read", lambda: again.caller.write(0, [b"\1" * 80]))), recorded(tmp_path)

    assert move(system.as_store(), tmp_path / SID) is False
    assert (system.kept, (tmp_path / SID / RECORDING).read_bytes()) == ({}, whole)


def test_a_recording_that_is_not_whole_yet_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / SID).mkdir()
    Recording(tmp_path / SID).caller.write(0, [b"\1" * 80])

    assert move(FaultyObjects().as_store(), tmp_path / SID) is False


def test_what_is_erased_waits_for_an_upload_that_is_being_finished(tmp_path: Path) -> None:
    """Else the store, which copies, might have the recording a moment after it was erased there."""
    objects, waited = FaultyObjects(), list[bool]()
    erasing = Thread(target=trio.run, args=(CallFiles(tmp_path, objects.as_store()).erase, SID))

    def erase() -> None:
        erasing.start()
        erasing.join(0.05)
        waited.append(erasing.is_alive())

    objects.fail = at("move", erase)
    recorded(tmp_path)
    move(objects.as_store(), tmp_path / SID)
    erasing.join()

    assert (waited, objects.kept, (tmp_path / SID).exists()) == ([True], {}, False)


async def test_a_server_that_closes_waits_for_uploads(tmp_path: Path, autojump_clock: MockClock) -> None:
    there = exchange(objects=FaultyObjects().as_store(), RECORDINGS_DIR=str(tmp_path))
    uploads = context_of(there).uploads
    assert uploads is not None
    uploads.put(record())
    for finish in there.app.after_serving_funcs:
        await finish()

    assert trio.current_time() == LAST_SECONDS


def test_two_workers_do_not_upload_the_same_at_the_same_time(tmp_path: Path) -> None:
    second = list[bool]()
    system = FaultyObjects()
    system.fail = at("read", lambda: second.append(move(system.as_store(), tmp_path / SID)))
    recorded(tmp_path)

    assert (move(system.as_store(), tmp_path / SID), second) == (True, [False])


def test_a_store_that_breaks_off_at_any_step_has_the_recording_or_leaves_it_here(tmp_path: Path) -> None:
    """Each operation in turn fails once; what is read afterwards, here or there, is the whole."""
    for step in range(1, 12):
        count = [0]

        def fail(_: str, count: list[int] = count, step: int = step) -> None:
            count[0] += 1
            if count[0] == step:
                raise DriverFailed("broke off")

        folder, system = tmp_path / str(step), FaultyObjects(fail)
        whole = recorded(folder)
        try:
            move(system.as_store(), folder / SID)
        except DriverFailed:
            here = folder / SID / RECORDING
            assert here.read_bytes() == whole
            assert move(system.as_store(), folder / SID)
        assert system.kept == {f"{SID}/{RECORDING}": whole}
        if count[0] < step:
            return
    raise AssertionError("there are more steps than were tried")


def test_a_long_recording_is_joined_in_blocks(tmp_path: Path) -> None:
    folder = tmp_path / SID
    folder.mkdir()
    system, length = FaultyObjects(), 4 * 30 * 8000 + 8
    first = write_wav_header(length) + os.urandom(length)
    for content in (first, write_wav_header(length + 4) + bytes(length) + b"\1\2\3\4"):
        (folder / RECORDING).write_bytes(content)
        move(system.as_store(), folder)

    assert samples(system.kept[f"{SID}/{RECORDING}"]) == samples(first) + b"\1\2\3\4"
