"""Whatever the database does, `save` returns in time, raises nothing, and the record arrives in the end."""

import errno
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

import attrs
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from store.calls import DatabaseUnavailable, MemoryRecords
from store.erasing import Subject
from store.private import write_whole
from store.records import CallRecord, encode_record
from store.search import CallQuery
from store.spill import SpillingRecords, SpillPolicy
from store.spill_folder import SpillFolder
from store.sql import SqlRecords
from tests.store.samples import FULL, at
from web.worker.logs import Masking

BRISK = SpillPolicy(save=5.0, first_delay=0.001, longest_delay=0.005)
"""A `save` that would wait for its deadline fails its test by the clock."""


@attrs.define
class Database(MemoryRecords):
    """A database that can be told to be unwell."""

    unwell: Exception | None = None
    mute: bool = False
    saved: list[str] = attrs.field(factory=list, init=False)

    async def save(self, record: CallRecord) -> None:
        if self.mute:
            await trio.sleep_forever()
        if self.unwell is not None:
            raise self.unwell
        self.saved.append(record.call_sid)
        await MemoryRecords.save(self, record)


LOCKED = DatabaseUnavailable("database is locked")


def full_disk(path: Path, content: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what threads do; the test's own deadline bounds it."""
    while not condition():  # noqa: ASYNC110 - a file of another thread or process sets no event
        await trio.sleep(0.001)


def put(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir()
    (folder / name).write_bytes(content)


def waiting(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*"))  # halves begin with a dot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spill"


async def test_a_saved_record_is_in_the_database_and_nowhere_else(folder: Path, nursery: trio.Nursery) -> None:
    database = Database()
    records = SpillingRecords(database, folder, BRISK)
    nursery.start_soon(records.run)
    await trio.testing.wait_all_tasks_blocked()

    await records.save(FULL)

    assert (await database.get(FULL.call_sid), waiting(folder)) == (FULL, [])


async def test_a_refused_record_waits_in_the_folder_and_is_found_there(folder: Path, nursery: trio.Nursery) -> None:
    records = SpillingRecords(Database(unwell=LOCKED), folder, BRISK)
    nursery.start_soon(records.run)

    await records.save(FULL)

    assert (await records.get(FULL.call_sid), list(await records.list())) == (FULL, [FULL])
    assert len(waiting(folder)) == 1


@pytest.mark.real_time
async def test_a_refusing_database_is_not_waited_for(folder: Path, nursery: trio.Nursery) -> None:
    records = SpillingRecords(Database(unwell=LOCKED), folder, BRISK)
    nursery.start_soon(records.run)
    began = trio.current_time()

    for minute in range(5):
        await records.save(at(minute))

    assert trio.current_time() - began < BRISK.save


@pytest.mark.real_time
async def test_a_mute_database_costs_one_deadline_and_then_nothing(folder: Path, nursery: trio.Nursery) -> None:
    records = SpillingRecords(Database(mute=True), folder, attrs.evolve(BRISK, save=0.1, attempt=0.05))
    nursery.start_soon(records.run)
    began = trio.current_time()

    await records.save(FULL)

    assert trio.current_time() - began < 1.0
    assert len(waiting(folder)) == 1


async def test_a_database_that_is_well_again_gets_everything_in_order(folder: Path, nursery: trio.Nursery) -> None:
    database = Database(unwell=LOCKED)
    records = SpillingRecords(database, folder, BRISK)
    nursery.start_soon(records.run)
    for minute in range(5):
        await records.save(at(minute))

    database.unwell = None
    await wait_until(lambda: not waiting(folder))

    assert database.saved == [at(minute).call_sid for minute in range(5)]


async def test_a_call_that_is_saved_again_while_the_database_is_away_keeps_the_second(folder: Path) -> None:
    database = Database()
    records = SpillingRecords(database, folder, BRISK)
    await records.save(FULL)
    await records.save(attrs.evolve(FULL, outcome="crashed"))

    assert (found := await records.get(FULL.call_sid)) is not None
    assert found.outcome == "crashed"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(records.run)
        await wait_until(lambda: not waiting(folder))
        nursery.cancel_scope.cancel(reason="sent")
    assert [record.outcome for record in await database.list()] == ["crashed"]


async def test_the_next_start_picks_up_what_waits(folder: Path, nursery: trio.Nursery) -> None:
    await SpillingRecords(Database(), folder, BRISK).save(FULL)
    database = Database()
    await nursery.start(start_and_flush, SpillingRecords(database, folder, BRISK))

    assert (await database.get(FULL.call_sid), waiting(folder)) == (FULL, [])


async def start_and_flush(records: SpillingRecords, task_status: trio.TaskStatus[None]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(records.run)
        await trio.testing.wait_all_tasks_blocked()
        await records.wait_offered()
        task_status.started()


async def test_workers_that_share_a_folder_lose_nothing(folder: Path, nursery: trio.Nursery) -> None:
    database = Database()
    workers = [SpillingRecords(database, folder, BRISK) for _ in range(3)]
    for worker in workers:
        nursery.start_soon(worker.run)

    async with trio.open_nursery() as calls:
        for minute in range(30):
            calls.start_soon(workers[minute % 3].save, at(minute))
    await wait_until(lambda: not waiting(folder))

    assert len(await database.list()) == 30


@pytest.mark.parametrize("unwell", [None, LOCKED], ids=["and a database", "and no database"])
async def test_with_a_full_disk_a_record_waits_in_memory(
    folder: Path, nursery: trio.Nursery, unwell: Exception | None
) -> None:
    database = Database(unwell=unwell)
    records = SpillingRecords(database, SpillFolder(folder, full_disk), BRISK)
    nursery.start_soon(records.run)
    await records.save(FULL)

    assert (await records.get(FULL.call_sid), list(await records.list())) == (FULL, [FULL])

    database.unwell = None
    await wait_until(lambda: database.saved == [FULL.call_sid])


async def test_what_waits_in_memory_moves_to_the_disk_once_it_has_room(folder: Path, nursery: trio.Nursery) -> None:
    disk = Disk()
    records = SpillingRecords(Database(unwell=LOCKED), SpillFolder(folder, disk.write), BRISK)
    nursery.start_soon(records.run)
    await records.save(FULL)

    disk.full = False
    await wait_until(lambda: len(waiting(folder)) == 1)

    assert await SpillingRecords(Database(), folder).get(FULL.call_sid) == FULL


@pytest.mark.parametrize("takes", ["the disk", "the database", "nobody"])
async def test_what_waits_in_memory_is_offered_once_more_before_the_process_ends(takes: str, folder: Path) -> None:
    disk, database = Disk(), Database(unwell=LOCKED)
    records = SpillingRecords(database, SpillFolder(folder, disk.write), BRISK)
    await records.save(FULL)
    disk.full = takes != "the disk"
    database.unwell = None if takes == "the database" else LOCKED
    with capture_logs() as told:
        await records.finish()

    kept = [*database.saved, *(record.call_sid for record in SpillFolder(folder).newest(9))]
    lost = [one["call_sid"] for one in told if one["event"] == "record_lost"]
    assert (kept, lost) == (([], [FULL.call_sid]) if takes == "nobody" else ([FULL.call_sid], []))


@attrs.define
class Disk:
    """A disk that is full until somebody makes room."""

    full: bool = True

    def write(self, path: Path, content: bytes) -> None:
        if self.full:
            full_disk(path, content)
        write_whole(path, content)


@attrs.frozen
class Passing(SpillFolder):
    """A folder that is read just before the disk has room again for what waits in memory."""

    records: list[SpillingRecords] = attrs.field(factory=list)

    def newest(self, limit: int) -> Sequence[CallRecord]:
        found = SpillFolder.newest(self, limit)
        trio.from_thread.run(self.records[0]._move_to_disk)
        return found


@pytest.mark.parametrize("reads", ["list", "search", "mentioning"])
async def test_a_record_that_goes_from_memory_to_the_disk_while_calls_are_listed_is_listed(
    folder: Path, reads: str
) -> None:
    disk = Disk()
    passing = Passing(folder, disk.write)
    records = SpillingRecords(Database(unwell=LOCKED), passing, BRISK)
    passing.records.append(records)
    await records.save(FULL)
    assert records.in_memory == 1
    disk.full = False
    listed: Mapping[str, Callable[[], Awaitable[Sequence[object]]]] = {
        "list": records.list,
        "search": partial(records.search, CallQuery()),
        "mentioning": partial(records.mentioning, Subject(FULL.caller)),
    }

    assert len(await listed[reads]()) == 1
    assert records.in_memory == 0


async def test_memory_keeps_the_newest_of_what_neither_disk_nor_database_takes(folder: Path) -> None:
    policy = attrs.evolve(BRISK, in_memory=2)
    records = SpillingRecords(Database(), SpillFolder(folder, full_disk), policy)
    for minute in (1, 2, 3):
        await records.save(at(minute))

    assert list(await records.list()) == [at(3), at(2)]


async def test_what_the_database_will_never_take_is_set_aside_and_holds_nobody_up(
    folder: Path, nursery: trio.Nursery
) -> None:
    database = SqlRecords(f"sqlite:///{folder.parent}/calls.db")
    records = SpillingRecords(database, folder, BRISK)
    await records.save(attrs.evolve(FULL, call_sid="C" * 300))
    await records.save(FULL)

    nursery.start_soon(records.run)
    await wait_until(lambda: not list(folder.glob("*.json")))

    assert await database.get(FULL.call_sid) == FULL
    assert [Path(name).suffix for name in waiting(folder)] == [".refused"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"call_sid": "CA"}'])
async def test_a_file_that_is_no_record_is_set_aside(folder: Path, nursery: trio.Nursery, content: bytes) -> None:
    put(folder, "01764477484000000000-CA.json", content)  # the time has a card's last digit, which the log hides
    records = SpillingRecords(Database(), folder, BRISK)
    with capture_logs([Masking(())]) as told:
        nursery.start_soon(records.run)
        await wait_until(lambda: not list(folder.glob("*.json")))

    assert waiting(folder) == ["01764477484000000000-CA.refused"]
    assert [line["file"] for line in told] == ["*-CA.refused"]
    assert (await records.get("CA"), list(await records.list())) == (None, [])


async def test_what_an_older_version_could_not_read_is_tried_again_at_the_next_start(
    folder: Path, nursery: trio.Nursery
) -> None:
    put(folder, "00000000000000000001-CA.refused", encode_record(FULL))
    records = SpillingRecords(database := Database(), folder, BRISK)
    nursery.start_soon(records.run)
    await wait_until(lambda: not waiting(folder))

    assert await database.get(FULL.call_sid) == FULL


async def test_what_is_tried_again_replaces_no_newer_record_of_its_call(folder: Path, nursery: trio.Nursery) -> None:
    newer, other = attrs.evolve(FULL, outcome="crashed"), attrs.evolve(FULL, call_sid="CA9")
    database = Database()
    await database.save(newer)
    put(folder, "00000000000000000001-CA.refused", encode_record(FULL))
    (folder / "00000000000000000002-CA9.refused").write_bytes(encode_record(other))
    nursery.start_soon(SpillingRecords(database, folder, BRISK).run)
    await wait_until(lambda: not waiting(folder))

    assert [await database.get(one.call_sid) for one in (FULL, other)] == [newer, other]


@pytest.mark.parametrize(
    "odd", [attrs.evolve(FULL, outcome="\ud800"), attrs.evolve(FULL, call_sid="\ud800")], ids=["outcome", "call_sid"]
)
async def test_a_record_with_half_a_surrogate_pair_in_it_is_kept(
    odd: CallRecord, folder: Path, nursery: trio.Nursery
) -> None:
    records = SpillingRecords(SqlRecords(f"sqlite:///{folder.parent}/calls.db"), folder, BRISK)
    nursery.start_soon(records.run)

    await records.save(odd)

    assert [record.duration for record in await records.list()] == [odd.duration]
    assert not records.in_memory


async def test_a_save_that_is_cancelled_keeps_its_record(folder: Path) -> None:
    records = SpillingRecords(Database(), folder, BRISK)
    with trio.CancelScope() as call:
        call.cancel(reason="the line was cut")
        await records.save(FULL)

    assert await records.get(FULL.call_sid) == FULL


@pytest.mark.real_time
async def test_a_locked_sqlite_delays_nothing_and_has_the_record_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a connection that is opened meanwhile reads is read, too."""
    monkeypatch.setattr("store.databases.BUSY_SECONDS", 0.01)
    database = SqlRecords(f"sqlite:///{tmp_path}/calls.db")
    await database.save(at(1))
    records = SpillingRecords(database, tmp_path / "spill", BRISK)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(records.run)
        with closing(sqlite3.connect(tmp_path / "calls.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            began = trio.current_time()
            await records.save(at(2))
            took = trio.current_time() - began
            assert list(await records.list()) == [at(2), at(1)]
            assert list(await SqlRecords(database.url).list()) == [at(1)]
        await wait_until(lambda: not waiting(tmp_path / "spill"))
        nursery.cancel_scope.cancel(reason="sent")

    assert took < BRISK.save
    assert list(await database.list()) == [at(2), at(1)]


async def say_nothing(_: trio.SocketStream) -> None:
    await trio.sleep_forever()


@pytest.mark.real_time
async def test_a_server_that_accepts_and_says_nothing_delays_nothing(folder: Path, nursery: trio.Nursery) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    nursery.start_soon(partial(trio.serve_listeners, say_nothing, [listener]))
    database = SqlRecords(f"postgresql://me@127.0.0.1:{listener.socket.getsockname()[1]}/calls?connect_timeout=2")
    records = SpillingRecords(database, folder, attrs.evolve(BRISK, save=0.05, attempt=0.1))
    nursery.start_soon(records.run)
    began = trio.current_time()

    await records.save(FULL)

    assert trio.current_time() - began < 1.0
    assert await records.get(FULL.call_sid) == FULL


KILLED = """
import sys, trio
from pathlib import Path
from store.search import CallQuery
from store.spill import SpillingRecords
from store.sql import SqlRecords
from tests.store.samples import FULL

async def main():
    records = SpillingRecords(SqlRecords("sqlite:///" + sys.argv[1]), Path(sys.argv[2]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(records.run)
        await records.save(FULL)

trio.run(main)
"""


def start(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", KILLED, *map(str, arguments)], cwd=Path(__file__).parents[2])  # noqa: S603


@pytest.mark.slow
async def test_a_process_that_is_killed_while_it_saves_loses_nothing(folder: Path, nursery: trio.Nursery) -> None:
    file = folder.parent / "calls.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with start(file, folder) as process:
            await wait_until(lambda: process.poll() is not None or bool(list(folder.glob("*.json"))))
            process.kill()
        assert process.returncode == -signal.SIGKILL
    database = SqlRecords(f"sqlite:///{file}")

    nursery.start_soon(SpillingRecords(database, folder, BRISK).run)
    await wait_until(lambda: not waiting(folder))

    assert await database.get(FULL.call_sid) == FULL


def test_the_writer_waits_ever_longer_up_to_a_limit() -> None:
    policy, rng = SpillPolicy(first_delay=0.5, longest_delay=30.0), Random(1)
    delays = [policy.delay(failures, rng) for failures in range(1, 200)]

    assert [low <= delay <= 2 * low for delay, low in zip(delays, (0.25, 0.5, 1, 2, 4, 8, 15), strict=False)] == [
        True
    ] * 7
    assert max(delays) <= 30.0


@pytest.mark.real_time
async def test_a_writer_that_has_stopped_is_not_waited_for(folder: Path) -> None:
    records = SpillingRecords(Database(), folder, BRISK)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(records.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel(reason="the server stops")
    began = trio.current_time()

    await records.save(FULL)

    assert trio.current_time() - began < BRISK.save
    assert len(waiting(folder)) == 1
