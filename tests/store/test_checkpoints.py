"""The state of running calls outlives their process; what ended in order is not kept twice."""

import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from actors.supervision import in_background
from store.calls import DatabaseUnavailable, MemoryRecords
from store.checkpoints import Checkpoints
from store.json_text import packed_on
from store.records import CallRecord, RunningRecord, TurnRecord, turn_line
from store.running_log import OVER_SECONDS, ROOM_BYTES, RunningLog
from tests.examples import STRIDE
from tests.store.samples import FULL

CUT = attrs.evolve(FULL, outcome="cut")
SO_FAR = RunningRecord(CUT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "running"


def left_by_a_dead_process(folder: Path, *records: CallRecord, name: str = "0123") -> RunningLog:
    own = RunningLog(folder, name)
    own.update(1, {record.call_sid: RunningRecord(record) for record in records})
    own.let_go()  # as the kernel does
    return own


def written(folder: Path) -> list[str]:
    """Return the ids of the calls that are written down."""
    return sorted(
        record.call_sid for log in folder.glob("*.jsonl") for record in RunningLog(folder, log.stem).read()[0]
    )


def is_written(folder: Path, call_sid: str) -> bool:
    return call_sid in written(folder)


def packed(turns: Sequence[TurnRecord]) -> bytes:
    """Pack turns as a call does, a few at a time."""
    text = b""
    for first in range(0, len(turns), 4):
        text = packed_on(text, b"".join(map(turn_line, turns[first : first + 4])))
    return text


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
    own = RunningLog(folder, "0123")
    own.update(1, {CUT.call_sid: RunningRecord(CUT, (packed(early[:2]), packed(early[2:])))})
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
    own = RunningLog(folder, "0123")
    own.update(1, {CUT.call_sid: SO_FAR})

    assert await Checkpoints(folder, MemoryRecords()).adopt() == 0

    assert written(folder) == [CUT.call_sid]
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
            raise DatabaseUnavailable("no route to host")

    left_by_a_dead_process(folder, CUT)
    with pytest.raises(DatabaseUnavailable):
        await Checkpoints(folder, Absent()).adopt()
    records = MemoryRecords()

    assert await Checkpoints(folder, records).adopt() == 1
    assert await records.get(CUT.call_sid) == CUT


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"after":0}',
        b'{"after":0,"record":{}}',
        b'{"after":"0","record":null}',
        b"\xff",
        b"",
    ],
)
async def test_a_line_that_is_no_record_costs_no_other_call(folder: Path, line: bytes) -> None:
    own = left_by_a_dead_process(folder, CUT, attrs.evolve(CUT, call_sid="CA2"))
    first, second = own.path.read_bytes().splitlines(keepends=True)
    own.path.write_bytes(first + line + b"\n" + second)

    assert await Checkpoints(folder, MemoryRecords()).adopt() == 2

    assert entries(folder) == ["0123.refused"]


async def test_what_an_older_version_could_not_read_is_read_at_the_next_start(folder: Path) -> None:
    own = left_by_a_dead_process(folder, CUT)
    own.path.rename(own.path.with_suffix(".refused"))
    own._lock.path.unlink()
    records = MemoryRecords()
    async with in_background(Checkpoints(folder, records).run):
        await wait_until(lambda: entries(folder) == [])

    assert await records.get(CUT.call_sid) == CUT


async def test_a_line_that_was_cut_short_leaves_the_one_before_it(folder: Path) -> None:
    own = left_by_a_dead_process(folder, CUT)
    whole = own.path.read_bytes()
    for end in range(0, len(whole), STRIDE):
        left_by_a_dead_process(folder, CUT)
        own.path.write_bytes(whole + whole[:end])
        records = MemoryRecords()

        assert await Checkpoints(folder, records).adopt() == 1
        assert await records.get(CUT.call_sid) == CUT
        assert entries(folder) == []


async def test_every_dead_process_waits_for_a_database_that_comes_back(folder: Path) -> None:
    class Absent(MemoryRecords):
        is_absent = True

        async def save(self, record: CallRecord) -> None:
            if self.is_absent:
                raise DatabaseUnavailable("no route to host")
            await super().save(record)

    for number in range(3):
        left_by_a_dead_process(folder, attrs.evolve(CUT, call_sid=f"CA{number}"), name=f"{number}")
    records = Absent()
    checkpoints = Checkpoints(folder, records)
    with pytest.raises(DatabaseUnavailable):
        await checkpoints.adopt()
    records.is_absent = False

    assert await checkpoints.adopt() == 3
    assert entries(folder) == []


def running(call_sid: str, turns: int, older: int = 0) -> RunningRecord:
    """Return a call after so many turns, of which the first ones are packed, twenty in each volume."""
    said = [TurnRecord(float(at), "caller", f"turn {at}", f"turn {at}") for at in range(turns)]
    volumes = tuple(packed(said[first : min(older, first + 20)]) for first in range(0, older, 20))
    return RunningRecord(attrs.evolve(CUT, call_sid=call_sid, transcript=tuple(said[older:])), volumes)


def turns_in(log: RunningLog) -> dict[str, list[float]]:
    return {record.call_sid: [turn.at for turn in record.transcript] for record in log.read()[0]}


def test_a_round_is_appended_and_repeats_no_settled_turn(folder: Path) -> None:
    log = RunningLog(folder, "0123")
    log.update(1, {"CA1": running("CA1", 16, 8), "CA2": (still := running("CA2", 3))})
    before = log.path.read_bytes()

    log.update(2, {"CA1": running("CA1", 18, 12), "CA2": still})

    assert log.path.read_bytes().startswith(before)
    (line,) = log.path.read_bytes()[len(before) :].splitlines()
    assert b"turn 7" not in line
    assert turns_in(log) == {"CA1": [float(at) for at in range(18)], "CA2": [0.0, 1.0, 2.0]}
    log.let_go()


def test_a_long_call_reads_back_whole_after_any_round(folder: Path) -> None:
    """The last volume grows on the way, and another one begins."""
    log = RunningLog(folder, "0123")
    for number in range(1, 90):
        log.update(number, {"CA1": running("CA1", number, max(0, number - 4) // 4 * 4)})

        assert turns_in(log) == {"CA1": [float(at) for at in range(number)]}

    on_a_second_stream = [TurnRecord(float(at), "caller", "again", "again") for at in range(100)]
    log.update(
        90, {"CA1": RunningRecord(attrs.evolve(CUT, call_sid="CA1", transcript=()), (packed(on_a_second_stream),))}
    )
    assert [turn.text for turn in log.read()[0][0].transcript] == ["again"] * 100
    log.let_go()


def test_a_log_of_many_long_calls_is_written_in_the_memory_of_one(folder: Path) -> None:
    log, calls = RunningLog(folder, "0123"), {f"CA{number}": running(f"CA{number}", 200, 196) for number in range(30)}
    tracemalloc.start()
    try:
        log.update(1, calls)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert log.path.stat().st_size > 500_000
    assert most - held < 250_000
    log.let_go()


@pytest.mark.slow
def test_a_log_does_not_grow_for_ever(folder: Path) -> None:
    log = RunningLog(folder, "0123")
    for number in range(1, 2000):
        log.update(number, {"CA1": running("CA1", 8), "CA2": running("CA2", 8)})

    assert log.path.stat().st_size < 2 * ROOM_BYTES
    assert turns_in(log).keys() == {"CA1", "CA2"}
    log.let_go()


def test_the_words_of_a_call_that_is_over_stay_half_a_minute_at_most(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("store.running_log.monotonic", lambda: now[0])
    log, lives = RunningLog(folder, "0123"), running("CA2", 3)
    log.update(1, {"CA1": running("CA1", 3), "CA2": lives})
    log.update(2, {"CA2": lives})
    assert turns_in(log).keys() == {"CA2"}
    assert b"CA1" in log.path.read_bytes()
    assert log.is_stale

    now[0] = OVER_SECONDS + 1.0
    log.update(3, {"CA2": lives})

    assert b"CA1" not in log.path.read_bytes()
    assert not log.is_stale
    log.let_go()


def test_a_write_that_fails_in_the_middle_is_made_good(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, one = RunningLog(folder, "0123"), running("CA1", 3)
    log.update(1, {"CA1": one})
    assert log._file is not None
    real = log._file

    class Full:
        def write(self, text: bytes) -> None:
            real.write(text[:20])
            real.flush()
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            real.close()

    monkeypatch.setattr(log, "_file", Full())
    with pytest.raises(OSError, match="No space"):
        log.update(2, {"CA1": running("CA1", 4)})
    log.update(3, {"CA1": running("CA1", 5)})

    assert turns_in(log) == {"CA1": [0.0, 1.0, 2.0, 3.0, 4.0]}
    assert log.read()[1] == []
    log.let_go()


async def test_a_call_is_written_once_a_round_while_there_is_news_of_it(folder: Path) -> None:
    news = [SO_FAR, None, RunningRecord(attrs.evolve(CUT, duration=99.0))]
    checkpoints = Checkpoints(folder, MemoryRecords())

    with checkpoints.keeping(CUT.call_sid, lambda: news.pop(0)):
        await checkpoints.write()
        first = written(folder)
        await checkpoints.write()
        await checkpoints.write()

        checkpoints._own.let_go()
        records = MemoryRecords()
        await Checkpoints(folder, records).adopt()
        found = await records.get(CUT.call_sid)

    assert first == [CUT.call_sid]
    assert found is not None
    assert found.duration == 99.0


async def test_many_calls_are_asked_a_few_in_a_turn_and_one_that_ends_meanwhile_is_not_written(folder: Path) -> None:
    checkpoints, asked, asked_before = Checkpoints(folder, MemoryRecords()), list[str](), list[int]()
    records = [attrs.evolve(CUT, call_sid=f"CA{number:02}") for number in range(40)]

    def ask(record: CallRecord) -> RunningRecord:
        asked.append(record.call_sid)
        return RunningRecord(record)

    with ExitStack() as calls, ExitStack() as first, ExitStack() as last:
        for record in records:
            stack = {"CA00": first, "CA39": last}.get(record.call_sid, calls)
            stack.enter_context(checkpoints.keeping(record.call_sid, partial(ask, record)))

        async def end_two() -> None:
            asked_before.append(len(asked))
            first.close()
            last.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoints.write)
            nursery.start_soon(end_two)
        await checkpoints.write()

        checkpoints._own.let_go()
        assert 0 <= asked_before[0] < 20
        assert written(folder) == [record.call_sid for record in records[1:-1]]
        assert "CA39" not in asked


async def test_a_call_that_is_over_leaves_no_checkpoint(folder: Path) -> None:
    checkpoints = Checkpoints(folder, MemoryRecords(), every=0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(checkpoints.run)
        with checkpoints.keeping(CUT.call_sid, lambda: SO_FAR):
            await wait_until(lambda: written(folder) == [CUT.call_sid])
        await wait_until(lambda: written(folder) == [])
        nursery.cancel_scope.cancel()

    assert entries(folder) == []


async def test_a_call_is_written_down_as_soon_as_it_begins_and_no_other_one_is_asked_for_that(folder: Path) -> None:
    checkpoints, asked = Checkpoints(folder, MemoryRecords(), every=3600.0), Counter[str]()

    def ask(call_sid: str) -> RunningRecord:
        asked[call_sid] += 1
        return RunningRecord(attrs.evolve(CUT, call_sid=call_sid))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(checkpoints.run)
        with ExitStack() as calls:
            for sids in (["CA1"], ["CA2", "CA3"], ["CA4"]):
                for sid in sids:
                    calls.enter_context(checkpoints.keeping(sid, partial(ask, sid)))
                await wait_until(partial(is_written, folder, sids[-1]))
            assert written(folder) == ["CA1", "CA2", "CA3", "CA4"]
            assert asked == {"CA1": 1, "CA2": 1, "CA3": 1, "CA4": 1}
            nursery.cancel_scope.cancel()


async def test_a_call_of_which_nothing_is_known_yet_is_asked_once_and_then_with_the_next_round(folder: Path) -> None:
    checkpoints, asked = Checkpoints(folder, MemoryRecords(), every=3600.0), Counter[str]()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(checkpoints.run)
        with checkpoints.keeping("CA1", lambda: asked.update(["CA1"])):
            await wait_all_tasks_blocked()
        assert asked["CA1"] == 1
        nursery.cancel_scope.cancel()


async def test_a_second_stream_of_a_call_is_kept_when_the_first_one_ends_late(folder: Path) -> None:
    checkpoints = Checkpoints(folder, MemoryRecords())
    second = RunningRecord(attrs.evolve(CUT, duration=99.0))

    with ExitStack() as later:
        with checkpoints.keeping(CUT.call_sid, lambda: SO_FAR):
            later.enter_context(checkpoints.keeping(CUT.call_sid, lambda: second))
        await checkpoints.write()
        assert written(folder) == [CUT.call_sid]
    await checkpoints.write()

    assert written(folder) == []
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

    assert written(folder) == [CUT.call_sid]
    checkpoints._own.let_go()


async def test_a_disk_that_is_slow_as_a_call_begins_and_then_refuses_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that came meanwhile would have taken the place of what was still being written, and have said nothing."""
    answers, asked = threading.Event(), Counter[int]()

    def update(_: RunningLog, number: int, __: Mapping[str, RunningRecord]) -> None:
        asked[number] += 1
        answers.wait(10)
        raise OSError("the disk is full")

    monkeypatch.setattr(RunningLog, "update", update)
    checkpoints = Checkpoints(folder, MemoryRecords(), every=0.05)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoints.run)
            await wait_all_tasks_blocked()
            with checkpoints.keeping(CUT.call_sid, lambda: SO_FAR):
                await wait_until(lambda: asked.total() == 1)
                await trio.sleep(0.2)
                answers.set()
                await wait_until(lambda: asked.total() > 1)
                nursery.cancel_scope.cancel()

    assert [line["event"] for line in logs] == ["checkpoints_not_written"]


async def test_the_last_round_of_a_process_that_stops_removes_what_is_over_and_leaves_what_is_not(
    folder: Path,
) -> None:
    checkpoints = Checkpoints(folder, MemoryRecords(), every=0.001)
    other = RunningRecord(attrs.evolve(CUT, call_sid="CA2"))

    with checkpoints.keeping(CUT.call_sid, lambda: SO_FAR):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoints.run)
            with checkpoints.keeping("CA2", lambda: other):
                await wait_until(lambda: len(written(folder)) == 2)
            nursery.cancel_scope.cancel()

    assert written(folder) == [CUT.call_sid]
    assert await Checkpoints(folder, MemoryRecords()).adopt() == 1
