"""What only a file of SQLite does: it is private, survives its process, refuses a newer one, and can be locked."""

import sqlite3
import stat
from pathlib import Path

import pytest

from store.orders import databases
from store.orders.databases import OrdersUnavailable, SqliteOrders
from store.orders.queue import OrderQueue
from tests.store.test_orders_contract import put, state_of


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_an_order_survives_its_process_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "calls.db"
    database = SqliteOrders(str(file))
    await put(OrderQueue(database), "OR1")
    database.close()

    later = SqliteOrders(str(file))

    assert await state_of(OrderQueue(later), "OR1") == "waiting"
    assert modes(tmp_path) == {0o600}
    later.close()


async def test_tables_of_a_newer_program_are_refused(tmp_path: Path) -> None:
    file = str(tmp_path / "calls.db")
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE orders_schema (number integer PRIMARY KEY)")
        connection.execute("INSERT INTO orders_schema VALUES (99)")
    connection.close()

    with pytest.raises(OrdersUnavailable, match="newer switchboard"):
        await OrderQueue(SqliteOrders(file)).find("OR1")


async def test_a_file_that_another_process_holds_is_unavailable_and_then_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.01)
    file = str(tmp_path / "calls.db")
    database = SqliteOrders(file)
    queue = OrderQueue(database)
    await queue.find("OR1")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(OrdersUnavailable, match="locked"):
        await put(queue, "OR1")
    other.execute("ROLLBACK")
    other.close()

    assert (await put(queue, "OR1")).state == "waiting"
    database.close()


async def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(OrdersUnavailable):
        await OrderQueue(SqliteOrders(str(tmp_path / "none" / "calls.db"))).find("OR1")
