"""What only a file of SQLite does: it is private, survives its process, refuses a newer one, and can be locked."""

import gc
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from store.calls import DatabaseRefused, DatabaseUnavailable
from store.databases import SqliteDatabase
from store.orders.queue import OrderQueue
from store.private import own_folder
from store.schema import SQLITE_STEPS
from store.sql import SqlRecords
from tests.store.samples import FULL, newer_tables
from tests.store.test_orders_contract import put, state_of


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def take_away(file: Path, *beside: str) -> None:
    for suffix in ("", *beside):
        Path(f"{file}{suffix}").unlink()


async def test_an_order_survives_its_process_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "calls.db"
    database = SqliteDatabase(str(file))
    await put(OrderQueue(database), "OR1")
    database.close()

    later = SqliteDatabase(str(file))

    assert await state_of(OrderQueue(later), "OR1") == "waiting"
    assert modes(tmp_path) == {0o600}
    later.close()


async def test_tables_of_a_newer_program_are_refused_and_the_log_has_it_once(tmp_path: Path) -> None:
    queue = OrderQueue(SqliteDatabase(newer_tables(tmp_path / "calls.db")))
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(DatabaseRefused, match="newer switchboard"):
                await queue.find("OR1")

    assert [(line["event"], "Update" in line["why"]) for line in lines] == [("database_refused", True)]


async def test_an_older_program_goes_on_with_a_file_that_a_newer_one_has_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = [SqliteDatabase(str(tmp_path / "calls.db")) for _ in range(2)]
    newer, older = map(OrderQueue, opened)
    with monkeypatch.context() as later:
        later.setattr(SqliteDatabase, "steps", {**SQLITE_STEPS, 99: ("ALTER TABLE orders ADD later text",)})
        await put(newer, "OR1")

    assert await opened[0].ask("SELECT later FROM orders", {}) == [(None,)]
    assert await state_of(older, "OR1") == "waiting"
    assert await older.cancel("OR1", "by hand")
    await put(older, "OR2")
    assert [await state_of(newer, name) for name in ("OR1", "OR2")] == ["over", "waiting"]
    for database in opened:
        database.close()


@pytest.mark.parametrize("made", [6, 7])
async def test_a_file_of_each_earlier_step_is_made_ready_with_its_rows(
    made: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = [SqliteDatabase(str(tmp_path / "calls.db")) for _ in range(2)]
    earlier, later = map(OrderQueue, opened)
    with monkeypatch.context() as before:
        before.setattr(SqliteDatabase, "steps", {step: SQLITE_STEPS[step] for step in SQLITE_STEPS if step <= made})
        await put(earlier, "OR1")

    assert await state_of(later, "OR1") == "waiting"
    assert await opened[1].ask("SELECT max(number) FROM orders_schema", {}) == [(max(SQLITE_STEPS),)]
    assert await state_of(earlier, "OR1") == "waiting"
    for database in opened:
        database.close()


@pytest.mark.parametrize("what", ["no database", "broken", "of another program", "of a draft", "of old records"])
async def test_a_file_that_is_of_no_use_is_refused_and_the_log_has_it_once(what: str, tmp_path: Path) -> None:
    file = tmp_path / "calls.db"
    if what == "of another program":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE orders (article text)")
    elif what == "of a draft":
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("CREATE TABLE orders_schema AS SELECT 5 AS number")
            connection.execute("CREATE TABLE orders (number text)")
    elif what == "of old records":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE calls (call_sid text)")
    else:
        database = SqliteDatabase(str(file))
        await put(OrderQueue(database), "OR1")
        database.close()
        spoil(file, 0 if what == "no database" else 4096)
    queue = OrderQueue(SqliteDatabase(str(file)))
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(DatabaseRefused, match=r"calls.db: .*DATABASE_URL"):
                await queue.find("OR1")

    assert [line["event"] for line in lines] == ["database_refused"]


async def test_a_file_that_is_of_no_use_is_told_again_after_an_hour_whatever_was_asked_of_it_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that is hardly ever asked would have kept the log silent about the next damage."""
    database = SqliteDatabase(str(tmp_path / "calls.db"))
    queue = OrderQueue(database)
    await put(queue, "OR1")
    with capture_logs() as lines:
        for _ in range(2):
            restore = spoil_page(database, "orders_due")
            with pytest.raises(DatabaseRefused):
                await queue.take("w1", 20)
            restore()
            monkeypatch.setattr("store.databases.TOLD_SECONDS", -1.0)
    database.close()

    assert [line["event"] for line in lines] == ["database_refused"] * 2


async def test_a_page_that_some_statements_meet_is_told_once_and_again_when_it_was_mended(tmp_path: Path) -> None:
    """Orders are looked for every other second, and what is not in the page is found as before."""
    database = SqliteDatabase(str(tmp_path / "calls.db"))
    queue = OrderQueue(database)
    await put(queue, "OR1")
    events = list[str]()
    for _ in range(2):
        restore = spoil_page(database, "orders_due")
        with capture_logs() as lines:
            for _ in range(3):
                with pytest.raises(DatabaseRefused, match="malformed"):
                    await queue.take("w1", 20)
                assert await state_of(queue, "OR1") == "waiting"
        events += [line["event"] for line in lines]
        restore()
        await queue.take("w1", 20)
    database.close()

    assert events == ["database_refused"] * 2


def spoil_page(database: SqliteDatabase, index: str) -> Callable[[], None]:
    """Break the page of an index; return what restores it."""
    database.close()
    file = Path(database.file)
    with closing(sqlite3.connect(file)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [index])
        ((size,),) = connection.execute("PRAGMA page_size")
    whole = file.read_bytes()
    file.write_bytes(whole[: (page - 1) * size] + b"x" * size + whole[page * size :])

    def restore() -> None:
        database.close()
        file.write_bytes(whole)

    return restore


def spoil(file: Path, begin: int) -> None:
    content = bytearray(file.read_bytes())
    content[begin:] = b"x" * len(content[begin:])
    file.write_bytes(content)


@pytest.mark.parametrize("what", ["taken away", "with all beside it", "replaced"])
async def test_processes_whose_file_is_lost_go_on_with_the_same_new_one(what: str, tmp_path: Path) -> None:
    file = tmp_path / "calls.db"
    databases = [SqliteDatabase(str(file)) for _ in range(3)]
    one, other, later = (OrderQueue(database) for database in databases)
    await put(one, "OR1")
    await other.find("OR1")
    take_away(file, *(("-wal", "-shm") if what == "with all beside it" else ()))
    if what == "replaced":
        sqlite3.connect(file).close()
    await put(later, "OR2", "+15557650001")
    with capture_logs() as lines:
        for queue, order, number in ((one, "OR3", "+15557650002"), (other, "OR4", "+15557650003")):
            await put(queue, order, number)
        gc.collect()

    assert [[await state_of(queue, f"OR{n}") for n in (1, 2, 3, 4)] for queue in (one, other, later)] == [
        ["gone", "waiting", "waiting", "waiting"]
    ] * 3
    assert [line["event"] for line in lines] == ["database_lost"] * 2
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for database in databases:
        database.close()


async def test_a_log_that_is_taken_away_costs_nothing_that_was_kept(tmp_path: Path) -> None:
    file = tmp_path / "calls.db"
    orders, records = SqliteDatabase(str(file)), SqlRecords(f"sqlite:///{file}")
    await records.save(FULL)
    await put(OrderQueue(orders), "OR1")
    take_away(Path(f"{file}-wal"))
    with suppress(DatabaseUnavailable):  # it reads the new log
        await records.list()

    await put(OrderQueue(orders), "OR2", "+15557650001")

    assert await records.list() == [FULL]
    orders.close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchall() == [(2,)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_statement_adds_nothing_to_the_interned_strings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a place in their table, once it is free again, too: then the table is made anew, a megabyte larger."""
    database, added = SqliteDatabase(str(tmp_path / "calls.db")), list[str]()
    await put(OrderQueue(database), "OR1")

    def intern(text: str) -> str:
        added.append(text)
        return text

    monkeypatch.setattr(sys, "intern", intern)
    await OrderQueue(database).find("OR1")
    monkeypatch.undo()

    assert not added
    database.close()


async def test_a_folder_that_is_lost_with_its_file_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "calls.db"
    own_folder(file.parent)
    database = SqliteDatabase(str(file))
    await put(OrderQueue(database), "OR1")
    take_away(file, "-wal", "-shm")
    file.parent.rmdir()

    assert (await put(OrderQueue(database), "OR2")).state == "waiting"
    assert modes(tmp_path) == {0o700}
    database.close()


async def test_a_file_that_another_process_holds_is_unavailable_and_then_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.databases.BUSY_SECONDS", 0.01)
    file = str(tmp_path / "calls.db")
    database = SqliteDatabase(file)
    queue = OrderQueue(database)
    await queue.find("OR1")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(DatabaseUnavailable, match="locked"):
        await put(queue, "OR1")
    other.execute("ROLLBACK")
    other.close()

    assert (await put(queue, "OR1")).state == "waiting"
    database.close()


LOOK = "import sqlite3, sys; found = sqlite3.connect(sys.argv[1]); found.execute(sys.argv[2]).fetchall(); found.close()"
"""What `switchboard check`, a backup and a second worker do: open the file, ask something, and close it."""


def log_of(file: Path) -> int:
    return Path(f"{file}-wal").stat().st_ino


async def look_elsewhere(file: Path) -> None:
    await trio.run_process([sys.executable, "-c", LOOK, str(file), "SELECT count(*) FROM orders_schema"])


@pytest.mark.parametrize("is_made", [False, True], ids=["a new file", "a file that is there"])
@pytest.mark.parametrize("had_trouble", [False, True], ids=["at first", "after an error"])
async def test_the_log_of_a_file_in_use_stays_when_another_process_has_looked_into_it(
    is_made: bool, had_trouble: bool, tmp_path: Path
) -> None:
    file = tmp_path / "calls.db"
    if is_made:
        file.touch()
    orders, records = SqliteDatabase(str(file)), SqlRecords(f"sqlite:///{file}")
    await put(OrderQueue(orders), "OR1")
    await records.save(FULL)
    if had_trouble:
        orders.close()
        await records.save(FULL)
    log = log_of(file)

    await look_elsewhere(file)

    assert log_of(file) == log
    await put(OrderQueue(orders), "OR2")
    assert await records.get(FULL.call_sid) == FULL
    orders.close()


async def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        await OrderQueue(SqliteDatabase(str(tmp_path / "none" / "calls.db"))).find("OR1")
