"""A real server on a PostgreSQL: it joins, carries a call whose slot and record are in the database, and leaves."""

from pathlib import Path

import psycopg
import pytest
import trio

from tests.e2e.line import open_line
from tests.store.fleets import Workers


@pytest.mark.real_time
async def test_a_server_joins_carries_a_call_and_leaves_nothing_but_its_record(
    workers: Workers, tmp_path: Path
) -> None:
    with psycopg.connect(workers.url, autocommit=True) as database:
        async with open_line(tmp_path, DATABASE_URL=workers.url) as line:
            call = line.call_in()
            await line.wait_over(call)
            while not (kept := database.execute("SELECT call_sid FROM calls").fetchall()):  # noqa: ASYNC110 - far away
                await trio.sleep(0.05)
            listed = (await line.operator.get("/calls")).json()["calls"]
            joined = database.execute("SELECT count(*) FROM workers").fetchone()
            slots = database.execute("SELECT count(*) FROM slots").fetchone()
        left = database.execute("SELECT (SELECT count(*) FROM workers), (SELECT count(*) FROM live_calls)").fetchone()

    assert [(one["call_sid"], one["outcome"]) for one in listed] == [(call.sid, "completed")]
    assert (joined, slots, left, kept) == ((1,), (50,), (0, 0), [(call.sid,)])
