"""What only databases do: lock, fill up, go away, and be somebody else's too."""

import sqlite3
import stat
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import quote, unquote

import attrs
import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict

from store.calls import DatabaseRefused, DatabaseUnavailable, MemoryRecords
from store.databases import Arguments, Rows, SqlDatabase, SqliteDatabase, for_postgres, for_sqlite
from store.erasing import Subject
from store.fleet.driver import conninfo_of
from store.fleet.migrations import PostgresRecords
from store.records import CallRecord, RecordError, TurnRecord, decode_record, encode_record
from store.search import CallQuery, summary_of
from store.sql import _NEXT, SqlRecords, _search
from tests.examples import POSTGRES
from tests.store.samples import FULL, at
from tests.web.console.visitors import signed_in
from tests.web.fakes import exchange

SECRET = "my card number is four two four two"


Impatient: TypeAlias = Callable[[Path], SqlRecords]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Impatient:
    """Open records that wait for no lock."""
    monkeypatch.setattr("store.databases.BUSY_SECONDS", 0.02)
    return lambda file: SqlRecords(f"sqlite:///{file}")


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def at_most(pages: int) -> Iterator[None]:
    """Let SQLite find its disk full."""
    connect = sqlite3.connect

    def limited(file: str, **more: Any) -> sqlite3.Connection:  # noqa: ANN401
        connection: sqlite3.Connection = connect(file, **more)
        connection.execute(f"PRAGMA max_page_count={pages}")
        return connection

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite3, "connect", limited)
        yield


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def remove(file: Path) -> None:
    file.unlink()


def fill(file: Path, content: bytes) -> None:
    file.write_bytes(content)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture(params=["sqlite", POSTGRES])
def url(request: pytest.FixtureRequest, file: Path) -> str:
    return request.getfixturevalue("postgres") if request.param == "postgres" else f"sqlite:///{file}"


async def test_sqlite_keeps_a_write_ahead_log(file: Path) -> None:
    await SqlRecords(f"sqlite:///{file}").save(FULL)

    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_what_one_lists_by_has_columns_of_its_own(file: Path) -> None:
    await SqlRecords(f"sqlite:///{file}").save(FULL)

    with closing(sqlite3.connect(file)) as other:
        row = other.execute("SELECT call_sid, started_at, outcome, direction, duration FROM calls").fetchone()
    assert row == (FULL.call_sid, FULL.started_at, "completed", "outbound", 61.25)


async def test_records_outlive_the_program(url: str) -> None:
    await SqlRecords(url).save(FULL)

    assert await SqlRecords(url).get(FULL.call_sid) == FULL


async def test_workers_that_start_together_make_the_tables_once(url: str) -> None:
    async with trio.open_nursery() as nursery:
        for minute in range(6):
            nursery.start_soon(SqlRecords(url).save, at(minute))

    assert len(await SqlRecords(url).list()) == 6


async def test_a_locked_database_is_unavailable_and_then_is_not(impatient: Impatient, file: Path) -> None:
    records = impatient(file)
    await records.save(at(1))

    with locked(file), pytest.raises(DatabaseUnavailable, match="database is locked"):
        await records.save(at(2))

    await records.save(at(2))
    assert list(await records.list()) == [at(2), at(1)]


async def test_a_database_that_is_locked_from_the_start_is_unavailable(impatient: Impatient, file: Path) -> None:
    with locked(file), pytest.raises(DatabaseUnavailable, match="database is locked"):
        await impatient(file).save(FULL)


async def test_a_locked_database_can_still_be_read(impatient: Impatient, file: Path) -> None:
    records = impatient(file)
    await records.save(FULL)

    with locked(file):
        assert await records.get(FULL.call_sid) == FULL


async def test_a_save_that_waits_for_a_lock_can_be_cancelled(file: Path) -> None:
    records = SqlRecords(f"sqlite:///{file}")
    await records.save(at(1))

    with locked(file):
        with trio.move_on_after(0.02) as patience:
            await records.save(at(2))

    assert patience.cancelled_caught


async def test_a_full_disk_keeps_what_was_there(file: Path) -> None:
    records = SqlRecords(f"sqlite:///{file}")
    await records.save(at(1))
    long = attrs.evolve(at(1), transcript=(TurnRecord(0.0, "caller", SECRET * 10_000),))

    cast("SqliteDatabase", records.database).close()
    with at_most(60), pytest.raises(DatabaseUnavailable, match="disk is full"):
        await records.save(long)

    assert await records.get(at(1).call_sid) == at(1)


async def test_what_the_database_says_does_not_repeat_what_the_caller_said(impatient: Impatient, file: Path) -> None:
    records = impatient(file)
    await records.save(at(1))
    said = attrs.evolve(at(2), transcript=(TurnRecord(0.0, "caller", SECRET),))

    with locked(file), pytest.raises(DatabaseUnavailable) as caught:
        await records.save(said)

    assert SECRET not in f"{caught.value} {caught.value.__cause__}"


async def test_a_refused_statement_is_told_without_its_parameters(file: Path) -> None:
    """Not even in the stack that a log would show."""
    records = SqlRecords(f"sqlite:///{file}")
    await records.save(at(1))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        tables = other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            other.execute(f"DROP TABLE {table}")

    with pytest.raises(DatabaseUnavailable, match="no such table") as caught:
        await records.save(at(2))

    told = "".join(traceback.format_exception(caught.value))
    assert "_PUT" in told
    assert at(2).started_at not in told


@pytest.mark.parametrize(
    "absent",
    ["sqlite:////nowhere/at/all/calls.db", "postgresql://me:hunter2@/calls?host=/nowhere/at/all"],
    ids=["sqlite", "postgres"],
)
async def test_an_absent_database_is_unavailable_and_named_without_its_password(absent: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="/nowhere/at/all") as caught:
        await SqlRecords(absent).list()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("password", ["100%sure", "hunter 2", "50%", "%zz 7", "a%25b"])
async def test_a_password_is_written_as_it_is_or_in_codes_and_told_in_neither_way(password: str) -> None:
    url = f"postgresql+asyncpg://me:{password}@/calls?host=/nowhere/at/all"
    assert conninfo_to_dict(conninfo_of(url))["password"] == unquote(password)

    for asked in (url, f"{url}&colour=blue"):
        with pytest.raises(OSError, match=r"/nowhere/at/all|colour") as caught:
            await SqlRecords(asked).list()
        assert password not in str(caught.value)


@pytest.mark.parametrize(("name", "found"), [("my%20calls.db", "my calls.db"), ("100%.db", "100%.db")])
async def test_the_name_of_a_file_may_have_codes_as_a_url_has(name: str, found: str, tmp_path: Path) -> None:
    records = SqlRecords(f"sqlite:///{tmp_path}/{name}")
    await records.save(FULL)

    assert records.file == str(tmp_path / found)
    with closing(sqlite3.connect(tmp_path / found)) as other:
        assert other.execute("SELECT count(*) FROM calls").fetchone() == (1,)


@pytest.mark.parametrize("url", ["sqlite://calls.db", "sqlite://host/calls.db", "sqlite:///", "sqlite:///?timeout=1"])
def test_an_address_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///FILE"):
        SqlRecords(url)


@pytest.mark.parametrize("name", ["sid", "before_at", "word0", "hint12", "_x1"])
def test_an_argument_has_the_same_name_in_both_databases(name: str) -> None:
    asked = f"words LIKE :{name} ESCAPE '/' AND '1'::text = :{name}"

    assert for_postgres(asked) == asked.replace(f":{name}", f"%({name})s")
    assert for_sqlite(asked) == asked


async def test_a_file_that_is_taken_away_is_made_again(file: Path) -> None:
    records = SqlRecords(f"sqlite:///{file}")
    await records.save(at(1))
    remove(file)

    await records.save(at(2))

    assert mode_of(file) == 0o600
    assert list(await records.list()) == [at(2)]


async def test_a_file_that_is_no_database_is_unavailable(file: Path) -> None:
    fill(file, b"something else entirely" * 100)

    with pytest.raises(DatabaseUnavailable, match="not a database"):
        await SqlRecords(f"sqlite:///{file}").list()


async def test_an_unreadable_row_is_passed_over_in_a_list_and_an_error_by_itself(file: Path) -> None:
    records = SqlRecords(f"sqlite:///{file}")
    await records.save(at(1))
    await records.save(at(2))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("UPDATE calls SET record = '{' WHERE call_sid = ?", (at(2).call_sid,))

    assert list(await records.list()) == [at(1)]
    with pytest.raises(RecordError):
        await records.get(at(2).call_sid)


@pytest.mark.parametrize("call_sid", ["", "CA\0", "CA\ud800", "CA" * 200])
async def test_a_call_that_cannot_be_a_key_is_refused_for_good(url: str, call_sid: str) -> None:
    with pytest.raises(ValueError, match="cannot be a key"):
        await SqlRecords(url).save(attrs.evolve(FULL, call_sid=call_sid))


async def test_a_row_that_the_database_will_never_take_is_refused_for_good(url: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        await SqlRecords(url).save(attrs.evolve(FULL, duration=None))  # type: ignore[arg-type]  # NULL is what is tried


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        ("ALTER TABLE calls ADD CHECK (duration < 0)", ValueError),
        ("CREATE UNIQUE INDEX ON call_summaries (caller)", ValueError),
        (
            """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no room' USING DETAIL = new.record; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON calls FOR EACH ROW EXECUTE FUNCTION refuse()""",
            DatabaseUnavailable,
        ),
    ],
)
async def test_what_postgres_refuses_is_told_without_its_row(
    postgres: str, refusal: str, error: type[Exception]
) -> None:
    """PostgreSQL quotes the row that it refuses: not even in the stack that a log would show."""
    records = SqlRecords(postgres)
    said = (TurnRecord(0.0, "caller", SECRET),)
    await records.save(attrs.evolve(FULL, call_sid="CA0", duration=-1.0))
    with psycopg.connect(postgres) as connection:
        connection.execute(refusal.encode())

    with pytest.raises(error, match=r"constraint|no room") as caught:
        await records.save(attrs.evolve(FULL, transcript=said))

    told = "".join(traceback.format_exception(caught.value))
    assert not [word for word in (SECRET, FULL.caller) if word in told]


async def test_tables_that_are_gone_from_postgres_are_made_anew(postgres: str) -> None:
    records = SqlRecords(postgres)
    await records.save(FULL)
    with psycopg.connect(postgres) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with pytest.raises(DatabaseUnavailable):
        await records.save(FULL)
    await records.save(FULL)

    assert await records.get(FULL.call_sid) == FULL


@pytest.mark.parametrize("url", ["mysql://db/calls", "memory:", "", "sqlite://"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"not a database this store knows|not a URL|needs a file"):
        SqlRecords(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+asyncpg"])
def test_the_driver_is_ours_whatever_a_hosts_url_names(scheme: str) -> None:
    database = SqlRecords(f"{scheme}://me:hunter2@db/calls").database

    assert isinstance(database, PostgresRecords)
    assert conninfo_to_dict(database.database.conninfo)["host"] == "db"
    assert "hunter2" not in repr(database)


@pytest.mark.parametrize("at_once", [1, 2, 50])
async def test_who_is_mentioned_is_found_among_more_records_than_are_read_at_once(
    at_once: int, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.sql._NEXT", _NEXT.replace("1000", "4"))
    monkeypatch.setattr("store.sql._MOST_TEXTS", at_once)
    records = SqlRecords(url)
    for minute in range(11):
        await records.save(attrs.evolve(at(minute), caller="+15558880001" if minute % 3 == 1 else "+15557650001"))

    ours = [at(minute).call_sid for minute in range(11) if minute % 3 != 1]
    assert await records.mentioning(Subject("+15557650001")) == ours


@attrs.define
class Counting:
    """Another database, and the most rows that one statement had."""

    inner: SqlDatabase
    most: int = 0

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        rows = await self.inner.ask(sql, arguments)
        self.most = max(self.most, len(rows))
        return rows


async def test_few_of_many_records_that_mention_somebody_are_in_memory_at_once(url: str) -> None:
    """What PostgreSQL answers is read by the event loop."""
    records = SqlRecords(url)
    records.database = counting = Counting(records.database)
    for minute in range(120):
        await records.save(attrs.evolve(at(minute), caller="+15557650001"))

    assert len(await records.mentioning(Subject("+15557650001"))) == 120
    assert counting.most <= 50


COMMON: Mapping[str, Any] = {
    "text": "qualifier",
    "outcome": "completed",
    "direction": "outbound",
    "since": "2026-11-22T10",
    "until": "2026-11-22T9",
    "troubled": True,
    "transferred": True,
    "before": ("2026-11-22T8", ""),
}
"""What half of all calls have, or more."""
_MANY = """INSERT INTO call_summaries
    WITH RECURSIVE calls (n) AS (SELECT 10000 UNION ALL SELECT n + 1 FROM calls WHERE n < 30000)
    SELECT 'CA' || n, '2026-11-22T' || n * 3, CASE n & 2 WHEN 0 THEN 'outbound' ELSE 'inbound' END, '', '',
    CASE n & 4 WHEN 0 THEN 'completed' ELSE 'busy' END, 1, '', n & 8, n & 16, 0,
    CASE n & 1 WHEN 0 THEN 'a qualifier' ELSE 'an advisor' END FROM calls"""


async def test_a_page_of_what_many_calls_have_is_read_in_order_and_no_further(url: str) -> None:
    """Else each page reads and sorts all calls that there are."""
    records = SqlRecords(url)
    await records.save(FULL)
    sorted_for = list[CallQuery]()
    await records.database.ask(_MANY, {})
    await records.database.ask("ANALYZE call_summaries", {})
    explain = "EXPLAIN" if records.file is None else "EXPLAIN QUERY PLAN"
    for one, other in combinations(COMMON, 2):
        query = CallQuery(**{one: COMMON[one], other: COMMON[other]})
        sql, arguments = _search(query)
        plan = str(await records.database.ask(f"{explain} {sql}", arguments))
        if "Sort" in plan or "TEMP B-TREE" in plan:
            sorted_for.append(query)

    assert sorted_for == []


@pytest.mark.real_time
async def test_a_page_of_a_hundred_thousand_calls_takes_no_time(file: Path) -> None:
    records = SqlRecords(f"sqlite:///{file}")
    await records.save(FULL)
    record, start = encode_record(FULL).decode(), datetime(2026, 1, 1, tzinfo=UTC)
    summary = {**attrs.asdict(summary_of(FULL)), "agents": "qualifier"}
    whens = [(start + timedelta(minutes=index)).isoformat(timespec="milliseconds") for index in range(100_000)]
    calls = [(f"CA{index:032}", when, "completed", "outbound", 1.0, record) for index, when in enumerate(whens)]
    with closing(sqlite3.connect(file)) as other, other:
        other.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)", calls)
    rows = [
        {**summary, "call_sid": f"CA{index:032}", "started_at": when, "caller": f"+1555{index:07}"}
        for index, when in enumerate(whens)
    ]
    with closing(sqlite3.connect(file)) as other, other:
        values = ", ".join(f":{name}" for name in summary)
        other.executemany(f"INSERT INTO call_summaries VALUES ({values})", rows)  # noqa: S608
    middle = CallQuery(before=((start + timedelta(minutes=50_000)).isoformat(timespec="milliseconds"), "CA"))
    limits = {CallQuery(): 0.05, middle: 0.05, CallQuery(outcome="crashed"): 0.05, CallQuery(text="nobody"): 0.3}
    for query, limit in limits.items():
        began = time.process_time()
        await records.search(query)
        took = time.process_time() - began
        assert took < limit, query

    visitor = signed_in(exchange(records=cast("MemoryRecords", records)))
    for target in ("/", "/?q=qualifier", f"/?before={quote('~'.join(middle.before or ()))}"):
        began = time.process_time()
        page = await visitor.ask("GET", target)
        took = time.process_time() - began
        assert page.text.count('<th scope="row"') == 50, target
        assert took < 0.05, target


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_bytes(b"x" * 8192)

    with pytest.raises(DatabaseRefused, match="not a database"):
        await SqlRecords(f"sqlite:///{tmp_path}/calls.db").list()


async def test_many_records_are_read_beside_the_calls(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 records take 0.3 s and more to read back: all calls of a worker would wait for it."""
    threads = list[threading.Thread]()

    def noted(text: bytes) -> CallRecord:
        threads.append(threading.current_thread())
        return decode_record(text)

    monkeypatch.setattr("store.sql.decode_record", noted)
    records = SqlRecords(url)
    await records.save(FULL)

    assert await records.list() == [FULL]
    assert threads
    assert threading.current_thread() not in threads
