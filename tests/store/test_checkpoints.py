"""What is known of running calls outlives their process; what ended in order is not kept twice."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest
import trio

from store.calls import RecordsUnavailable
from store.checkpoints import Checkpoints, ProcessFolder
from store.memory import MemoryRecords
from store.records import CallRecord, RunningRecord, TurnRecord, pack_turns
from tests.store.samples import FULL

CUT = attrs.evolve(FULL, outcome="cut")
SO_FAR = RunningRecord(CUT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "running"


def left_by_a_dead_process(folder: Path, *records: CallRecord) -> ProcessFolder:
    own = ProcessFolder(folder / "0123")
    own.update(1, {record.call_sid: RunningRecord(record) for record in records}, set())
    own.let_go()  # as the kernel does
    return own


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.json"))


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what threads do; the test's own deadline bounds it."""
    while not condition():  # noqa: ASYNC110 - a file of another thread sets no event
        await trio.sleep(0.001)


async def test_the_record_of_a_call_that_a_dead_process_has_cut_is_kept(folder: Path) -> None:
    left_by_a_dead_process(folder, CUT)
    records = MemoryRecords()

    assert await Checkpoints(folder, records).adopt() == 1

    assert await records.get(CUT.call_sid) == CUT
    assert entries(folder) == []


async def test_turns_that_were_packed_are_in_the_record_and_in_order(folder: Path) -> None:
    early = [TurnRecord(at, "caller", f"{at} s: “é”", f"{at} s: “é”") for at in (2.0, 1.0, 3.0)]
    own = ProcessFolder(folder / "0123")
    own.update(1, {CUT.call_sid: RunningRecord(CUT, (pack_turns(early[:2]), pack_turns(early[2:])))}, set())
    own.let_go()
    records = MemoryRecords()

    assert await Checkpoints(folder, records).adopt() == 1

    found = await records.get(CUT.call_sid)
    assert found is not None
    whole = tuple(sorted([*early, *CUT.transcript], key=lambda turn: turn.at))
    assert found == attrs.evolve(CUT, transcript=whole)


async def test_a_record_with_something_strange_in_it_costs_no_call_its_own(folder: Path) -> None:
    strange = attrs.evolve(CUT, call_sid="CA2", caller="\ud800")
    left_by_a_dead_process(folder, strange, CUT)
    records = MemoryRecords()

    assert await Checkpoints(folder, records).adopt() == 2

    assert await records.get(CUT.call_sid) == CUT
    assert await records.get("CA2") == attrs.evolve(strange, caller="\\ud800")


async def test_a_process_that_lives_keeps_its_own(folder: Path) -> None:
    own = ProcessFolder(folder / "0123")
    own.update(1, {CUT.call_sid: SO_FAR}, set())

    assert await Checkpoints(folder, MemoryRecords()).adopt() == 0

    assert files(folder) == [f"{CUT.call_sid}.json"]
    own.let_go()


async def test_a_record_that_knows_as_much_is_not_replaced(folder: Path) -> None:
    left_by_a_dead_process(folder, CUT)
    records = MemoryRecords()
    await records.save(FULL)

    assert await Checkpoints(folder, records).adopt() == 0

    assert await records.get(FULL.call_sid) == FULL
    assert entries(folder) == []


async def test_a_record_of_an_earlier_stream_of_the_call_is_replaced(folder: Path) -> None:
    left_by_a_dead_process(folder, CUT)
    records = MemoryRecords()
    await records.save(attrs.evolve(FULL, duration=FULL.duration / 2, outcome="transferring"))

    assert await Checkpoints(folder, records).adopt() == 1

    assert await records.get(FULL.call_sid) == CUT


async def test_what_no_database_takes_waits_for_the_next_round(folder: Path) -> None:
    class Absent(MemoryRecords):
        async def save(self, record: CallRecord) -> None:
            raise RecordsUnavailable("no route to host")

    left_by_a_dead_process(folder, CUT)
    with pytest.raises(RecordsUnavailable):
        await Checkpoints(folder, Absent()).adopt()
    records = MemoryRecords()

    assert await Checkpoints(folder, records).adopt() == 1
    assert await records.get(CUT.call_sid) == CUT


async def test_a_file_that_is_no_record_is_set_aside(folder: Path) -> None:
    own = left_by_a_dead_process(folder, CUT)
    (own.path / "CAx.json").write_text("{")

    assert await Checkpoints(folder, MemoryRecords()).adopt() == 1

    assert [path.name for path in own.path.iterdir()] == ["CAx.refused"]


async def test_a_call_is_written_once_a_round_while_there_is_news_of_it(folder: Path) -> None:
    news = [SO_FAR, None, RunningRecord(attrs.evolve(CUT, duration=99.0))]
    checkpoints = Checkpoints(folder, MemoryRecords())

    with checkpoints.keeping(CUT.call_sid, lambda: news.pop(0)):
        await checkpoints.write()
        first = files(folder)
        await checkpoints.write()
        await checkpoints.write()

        checkpoints._own.let_go()
        records = MemoryRecords()
        await Checkpoints(folder, records).adopt()
        found = await records.get(CUT.call_sid)

    assert first == [f"{CUT.call_sid}.json"]
    assert found is not None
    assert found.duration == 99.0


async def test_a_call_that_is_over_leaves_no_checkpoint(folder: Path) -> None:
    checkpoints = Checkpoints(folder, MemoryRecords(), every=0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(checkpoints.run)
        with checkpoints.keeping(CUT.call_sid, lambda: SO_FAR):
            await wait_until(lambda: files(folder) == [f"{CUT.call_sid}.json"])
        await wait_until(lambda: files(folder) == [])
        nursery.cancel_scope.cancel()

    assert entries(folder) == []


async def test_a_second_stream_of_a_call_is_kept_when_the_first_one_ends_late(folder: Path) -> None:
    checkpoints = Checkpoints(folder, MemoryRecords())
    second = RunningRecord(attrs.evolve(CUT, duration=99.0))

    with ExitStack() as later:
        with checkpoints.keeping(CUT.call_sid, lambda: SO_FAR):
            later.enter_context(checkpoints.keeping(CUT.call_sid, lambda: second))
        await checkpoints.write()
        assert files(folder) == [f"{CUT.call_sid}.json"]
    await checkpoints.write()

    assert files(folder) == []
    checkpoints._own.let_go()


async def test_a_disk_that_refuses_costs_nothing_and_is_tried_again(folder: Path) -> None:
    in_the_way = trio.Path(folder)
    await in_the_way.write_text("a file where the folder should be")
    checkpoints = Checkpoints(folder, MemoryRecords())
    news: list[RunningRecord | None] = [SO_FAR]

    with checkpoints.keeping(CUT.call_sid, lambda: news.pop() if news else None):
        await checkpoints.write()
        await in_the_way.unlink()
        await checkpoints.write()

    assert files(folder) == [f"{CUT.call_sid}.json"]
    checkpoints._own.let_go()


async def test_the_last_round_of_a_process_that_stops_removes_what_is_over_and_leaves_what_is_not(
    folder: Path,
) -> None:
    checkpoints = Checkpoints(folder, MemoryRecords(), every=0.001)
    other = RunningRecord(attrs.evolve(CUT, call_sid="CA2"))

    with checkpoints.keeping(CUT.call_sid, lambda: SO_FAR):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoints.run)
            with checkpoints.keeping("CA2", lambda: other):
                await wait_until(lambda: len(files(folder)) == 2)
            nursery.cancel_scope.cancel()

    assert files(folder) == [f"{CUT.call_sid}.json"]
    assert await Checkpoints(folder, MemoryRecords()).adopt() == 1
