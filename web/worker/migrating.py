"""The tables of the database, made before any worker starts: for operators whose workers may not make them."""

from store.orders.databases import SqliteOrders
from store.orders.queue import OrderQueue
from store.sql import SqlRecords


async def make_tables(url: str) -> str:
    """Make what is missing in the database of a URL, or change it for this version; return what there is now.

    Raises: `OSError`; `ValueError` for the URL of no database.
    """
    records = SqlRecords(url)
    await records.list(1)
    if records.file is not None:
        orders = SqliteOrders(records.file)
        await OrderQueue(orders).next_due()
        orders.close()
        return f"{records.name}: ready"
    # psycopg and its libraries are 9 MB, which one process with SQLite does without
    from store.fleet.driver import Database  # noqa: PLC0415
    from store.fleet.migrations import migrate  # noqa: PLC0415

    database = Database(url)
    try:
        step = await migrate(database)
    finally:
        database.close()
    return f"{records.name}: ready, at step {step}"
