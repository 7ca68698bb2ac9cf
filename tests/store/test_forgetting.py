"""Forgotten data is searched for, byte by byte: in the database, folders, logs, and whatever waits in between."""

import hashlib
import hmac
import logging
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TextIO

import attrs
import httpx
import psycopg
import pytest
import structlog
import trio
from psycopg.rows import TupleRow

from actors.facts import FunctionAnswered, TurnHeard
from actors.journal import Journal
from actors.record.scribe import Scribe
from store.calls import MemoryRecords
from store.checkpoints import Checkpoints
from store.databases import SqliteDatabase
from store.erasing import ERASED, Subject
from store.fleet.pages import (
    COPIES,
    FREE_SPACE,
    LOG_NOT_OURS,
    PERSONAL,
    STILL_SEEN,
    let_overwrite,
    vacuum,
)
from store.orders.queue import NewOrder
from store.records import CallRecord, FunctionRecord, HandoffRecord, RunningRecord, TurnRecord, encode_record
from store.running_log import RunningLog
from store.spill import SpillingRecords
from store.sql import SqlRecords
from tests.examples import POSTGRES
from tests.store.fleets import Workers
from tests.store.samples import FULL
from tests.store.throw_away_postgres import Cluster
from tests.store.ways_between import way_to
from tests.web.fakes import API_TOKEN, LEAD, LINE, Scratched, client_of, context_of, exchange, record, settings
from web.app import create_app
from web.calls.admission import Admission
from web.calls.context import AppContext, Opened
from web.calls.live_calls import KnownCall
from web.clients.operator import named
from web.services import open_services
from web.worker.logs import configure_logs

NAME = "Wilhelmina Quux"
CALLS = [f"CA{number:032x}" for number in (0xA1, 0xA2)]
CUT = "CA" + "c" * 32
OTHER = "CA" + "f" * 32
PERSON = [LEAD, LEAD[1:], LEAD[2:], "(555) 765-0000", "555-765-0000", NAME, NAME.split()[1]]
SPELLINGS = [*PERSON, *CALLS, CUT]
"""In a log there are CallSids, and no persons."""


def of_hers(call_sid: str, **changes: object) -> CallRecord:
    """A record that has her name and number wherever a record can have one."""
    whole: dict[str, object] = {
        "transcript": (TurnRecord(1.0, "caller", f"I am {NAME}, call 555-765-0000.", NAME),),
        "functions": (FunctionRecord(2.0, "qualifier", "note", {"name": NAME, "phone": 15557650000}, NAME, ok=True),),
        "handoffs": (HandoffRecord("qualifier", "advisor", 3.0, 0.5, "groq", "yes", {"name": NAME}),),
        "facts": {"name": NAME, "phone": LEAD},
        "metadata": {"customer": NAME},
        "extracted": {"name": NAME},
    }
    return record(call_sid, **{**whole, **changes})


def somebody_elses() -> CallRecord:
    """A record of another caller, who mentions her number in two spellings."""
    turns = (TurnRecord(1.0, "caller", "My sister is at (555) 765-0000, or 15557650000."),)
    return record(OTHER, caller="+15558880000", transcript=turns, facts={"need": "pensions"})


@attrs.frozen
class There:
    """A server without a socket."""

    context: AppContext
    client: httpx.AsyncClient
    opened: Opened | None = None

    async def ask(self, target: str, **body: str) -> httpx.Response:
        return await self.client.post(target, json=body, headers={"Authorization": f"Bearer {API_TOKEN}"})


@asynccontextmanager
async def whole(folder: Path, url: str) -> AsyncIterator[There]:
    """A server with all of its services."""
    chosen = settings(RECORDINGS_DIR=str(folder / "recordings"), DATABASE_URL=url)
    async with open_services(chosen) as opened:
        app = create_app(chosen, opened)
        context: AppContext = app.asgi_app.context  # type: ignore[attr-defined]
        async with client_of(app) as client:
            while opened.slots.fleet.is_away:  # noqa: ASYNC110 - a few milliseconds until a PostgreSQL has its tables
                await trio.sleep(0.01)
            yield There(context, client, opened)


@asynccontextmanager
async def small(folder: Path, records: MemoryRecords | None = None) -> AsyncIterator[There]:
    """Routes, records in memory, and files."""
    there = exchange(records=records, RECORDINGS_DIR=str(folder / "recordings"))
    async with client_of(there.app) as client:
        yield There(context_of(there), client)


async def leave_traces(there: There, folder: Path) -> None:
    """Leave something of two calls of hers, and of a stranger's, wherever it may be."""
    records, recordings = there.context.services.records, folder / "recordings"
    for call_sid in CALLS:
        await records.save(attrs.evolve(of_hers(call_sid), transcript=()))
        await records.save(of_hers(call_sid))  # what it replaces is to be overwritten, too
        await write_files(recordings / call_sid, of_hers(call_sid))
    await records.save(somebody_elses())
    await write_files(recordings / OTHER, somebody_elses())
    await there.context.admissions.mint(Admission(CALLS[0], "inbound", LEAD, LINE, CALLS[0], {"name": NAME}))
    there.context.live_calls.add(KnownCall("OR1", "outbound", LEAD, LINE, "completed", CALLS[1]))
    await there.context.outbox.put(CALLS[0], "call.ended", 1, {"caller": LEAD, "metadata": {"customer": NAME}})
    await there.context.orders.put(NewOrder("OR1", LEAD, {"context": {"name": NAME}}), "w1", lease=0, latest=0)
    if there.opened is not None:
        leave_waiting(there.opened)
        await leave_running(there.opened)


def leave_waiting(opened: Opened) -> None:
    """Leave a record that the database has refused, and one that was half written when the process died."""
    if isinstance(opened.services.records, SpillingRecords):
        spill = opened.services.records.folder.path
        spill.mkdir(exist_ok=True)
        (spill / f"00000000000000000001-{CALLS[0]}.refused").write_bytes(encode_record(of_hers(CALLS[0])))
        (spill / ".00000000000000000002.json.x").write_bytes(encode_record(of_hers(CALLS[0])))


async def write_files(folder: Path, record: CallRecord) -> None:
    scribe = Scribe(folder)
    journal = Journal([scribe.read])
    for turn in record.transcript:
        journal.note(TurnHeard("qualifier", turn.text))
    journal.note(FunctionAnswered("qualifier", "f1", "note", "{}", ok=True, took=0.1, facts=record.facts))
    await scribe.finish(record)


async def leave_running(opened: Opened) -> None:
    """Leave a call that is just over in our own log of running calls, and one that a dead process has cut."""
    checkpoints = opened.services.checkpoints
    assert isinstance(checkpoints, Checkpoints)
    so_far = RunningRecord(of_hers(CALLS[0]))
    with (
        checkpoints.keeping(CALLS[0], lambda: so_far),
        checkpoints.keeping(OTHER, lambda: RunningRecord(record(OTHER, caller="+15558880000"))),
    ):
        await checkpoints.write()
    dead = RunningLog(checkpoints.folder, "0123")
    dead.update(1, {CUT: RunningRecord(of_hers(CUT, outcome="cut"))})
    dead.let_go()
    (checkpoints.folder / "4567.refused").write_text(f"not JSON: {NAME} {LEAD}")


def everything_on(folder: Path) -> bytes:
    """Return all files, each behind its name: names and contents begin on lines of their own."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(part for path in files for part in (bytes(path.relative_to(folder)), path.read_bytes()))


def everything_in(url: str) -> bytes:
    """Return every row of every table."""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [connection.execute(f"SELECT t::text FROM {name} t").fetchall() for (name,) in names]  # noqa: S608
        tokens = connection.execute("SELECT content FROM tokens").fetchall()
    return repr(rows).encode() + b"".join(bytes(content) for (content,) in tokens)


@pytest.fixture(params=["sqlite", POSTGRES])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("workers").url)
    return f"sqlite:///{tmp_path}/calls.db"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time to write small tables anew: no fleet waits for these."""
    monkeypatch.setattr("store.fleet.pages.QUICK_SECONDS", 3.0)


def search(url: str, folder: Path) -> bytes:
    return everything_on(folder) + (everything_in(url) if url.startswith("postgres") else b"")


def leave_old_pages(file: Path) -> Callable[[], object]:
    """Leave her name in free pages, as an older version has; stay connected, as another worker is: the log stays."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("PRAGMA secure_delete=OFF")
    other.execute("CREATE TABLE old (words TEXT)")
    other.executemany("INSERT INTO old VALUES (?)", [(f"{NAME} {LEAD} " * 300,)] * 20)
    other.execute("DELETE FROM old")
    return other.close


@attrs.define
class Log:
    """A server's log file, which is rotated by copying and emptying it."""

    file: TextIO
    rotated: str = ""

    def rotate(self) -> None:
        logging.getLogger("hypercorn.error").error("who is %s?", LEAD[1:])
        try:
            int(f"who is {LEAD[1:]}? {LEAD} (555) 765-0000")
        except ValueError:
            structlog.stdlib.get_logger().exception("failed", number=LEAD, said=["555-765-0000", {LEAD: "15557650000"}])
        self.rotated += self.text()
        self.file.truncate(0)

    def text(self) -> str:
        self.file.flush()
        return self.rotated + Path(self.file.name).read_text()


@pytest.fixture
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """The log of a whole server, with everything that it can tell."""
    before, root, hypercorn = structlog.get_config(), logging.getLogger(), logging.getLogger("hypercorn.error")
    handlers = list(root.handlers), list(hypercorn.handlers)
    level = hypercorn.level
    hypercorn.handlers.clear()
    hypercorn.setLevel(logging.NOTSET)  # another test's server may have been silent
    with (tmp_path_factory.mktemp("logs") / "server.log").open("a") as file:
        configure_logs(level=logging.DEBUG, stream=file)
        yield Log(file)
        structlog.configure(**before)
        root.handlers[:], hypercorn.handlers[:] = handlers
        hypercorn.propagate = True
        hypercorn.setLevel(level)


async def test_no_byte_of_a_number_or_a_name_is_left(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    log = request.getfixturevalue("log")
    async with whole(tmp_path, url) as there:
        await leave_traces(there, tmp_path)
        log.rotate()
        request.addfinalizer(leave_old_pages(tmp_path / "calls.db") if url.startswith("sqlite") else int)
        before = search(url, tmp_path)
        answer = await there.ask("/forget", number=LEAD)
        after, logged = search(url, tmp_path), log.text()
        again = await there.ask("/kept", number=LEAD)

    proof = answer.json()
    assert [text for text in SPELLINGS if text.encode() not in before] == []
    assert (answer.status_code, proof.get("left")) == (200, {}), answer.text
    assert [text for text in SPELLINGS if text.encode() in after] == []
    assert [text for text in PERSON if text in logged] == []
    assert logged.count("who is ***00?") == 2  # our own line, and a library's
    assert again.json() == {"calls": [], "mentioned_in": []}
    assert [text for text in SPELLINGS if text in answer.text] == []
    assert proof["digest"] == hmac.new(bytes.fromhex(proof["key"]), LEAD.encode(), hashlib.sha256).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
async def test_an_sqlite_file_that_somebody_reads_is_refused_and_is_overwritten_when_nobody_does(
    mode: str, tmp_path: Path
) -> None:
    file = tmp_path / "calls.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other, closing(SqliteDatabase(str(file))) as database:
        other.execute(f"PRAGMA journal_mode={mode}")
        leave_old_pages(file)()
        other.execute("BEGIN")
        other.execute("SELECT * FROM old").fetchall()
        with pytest.raises(OSError, match=r"cannot be overwritten yet|is locked"):
            await database.overwrite()
        held = NAME.encode() in everything_on(tmp_path)
        other.execute("COMMIT")
        await database.overwrite()

        assert (held, NAME.encode() in everything_on(tmp_path)) == (True, False)


@pytest.mark.slow
async def test_nobody_waits_to_read_a_file_that_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 700 MB takes nine seconds."""
    monkeypatch.setattr("store.databases.BUSY_SECONDS", 20.0)
    file, over = tmp_path / "calls.db", list[str]()
    with closing(SqliteDatabase(str(file))) as database, closing(sqlite3.connect(file, isolation_level=None)) as other:
        await database.ask("SELECT 1", {})
        other.execute("BEGIN")
        other.execute("SELECT * FROM orders").fetchall()

        async def overwrite() -> None:
            await database.overwrite()  # which waits for the other to have read
            over.append("written anew")

        async def read() -> None:
            await trio.sleep(0.5)
            await database.ask("SELECT * FROM orders", {})
            over.append("read")
            other.execute("ROLLBACK")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(overwrite)
            nursery.start_soon(read)

    assert over == ["read", "written anew"]


def everything_of(cluster: Cluster) -> dict[str, bytes]:
    """Return every file of PostgreSQL's: tables, write-ahead log, statistics, its own log."""
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    files = (path for path in cluster.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(cluster.folder)): path.read_bytes() for path in files}


def found_in(files: dict[str, bytes], spellings: Sequence[str] = SPELLINGS) -> set[tuple[str, str]]:
    """Return which spellings are in which kind of file."""
    kinds = {name: Path(name).parts[1] if "/" in name else name for name in files}
    return {(kinds[name], text) for name, content in files.items() for text in spellings if text.encode() in content}


def ask_for_one_number_twice(url: str) -> None:
    """Have two workers ask for calls to one number at the same moment: PostgreSQL refuses one, and logs that."""
    asking = """INSERT INTO orders (order_id, number, body, state, worker, due, latest, created)
        SELECT n::text, %s, '{}', 'asking', '', 0, 0, 0 FROM generate_series(1, 2) n"""
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.UniqueViolation, match="one_doubt"):
        connection.execute(asking, [LEAD])


def use_up_log(url: str, *, slot: str = "") -> None:
    """Write more than two segments of the log; the next checkpoint gives those of before another name, as they are."""
    with psycopg.connect(url, autocommit=True) as connection:
        if slot:
            connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])
        for _ in range(2):
            connection.execute("SELECT pg_logical_emit_message(false, '', 'x'), pg_switch_wal()")


@pytest.mark.slow
@pytest.mark.parametrize("is_asked_for", [False, True], ids=["small-tables", "large-tables"])
async def test_no_byte_is_left_in_any_file_of_postgresql(
    cluster: Cluster, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_asked_for: bool
) -> None:
    async with whole(tmp_path, workers.url) as there:
        await leave_traces(there, tmp_path)
        ask_for_one_number_twice(workers.url)
        use_up_log(workers.url)
        with psycopg.connect(workers.url, autocommit=True) as connection:
            connection.execute("ANALYZE")
        before = found_in(everything_of(cluster))
        if is_asked_for:
            monkeypatch.setattr("store.fleet.pages.SMALL", 0)
        proof = (await there.ask("/forget", number=LEAD)).json()
        left = list(proof["not_erased"])
        if is_asked_for:
            assert ("base", NAME) in found_in(everything_of(cluster)), "the proof may say less"
            tables = left.pop(0)
            assert [table for table in PERSONAL if table not in tables] == []
            done = await trio.to_thread.run_sync(partial(vacuum, workers.url, full=True))
            assert (set(done.took), list(done.left)) == ({*PERSONAL, "pg_statistic"}, [COPIES])
        after = found_in(everything_of(cluster))
        again = (await there.ask("/forget", number=LEAD)).json()
    last = found_in(everything_of(cluster))

    assert {("base", LEAD), ("base", NAME), ("pg_wal", LEAD), ("pg_wal", NAME)} <= before
    assert (proof["left"], again["left"], left) == ({}, {}, [COPIES])
    assert (after, last) == (set(), set())


@pytest.mark.slow
async def test_what_a_replica_holds_back_and_what_others_use_is_said(workers: Workers) -> None:
    with psycopg.connect(workers.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE calls (call_sid text); CREATE TABLE orders (number text)")
    use_up_log(workers.url, slot="away")
    with psycopg.connect(workers.url) as connection:
        connection.execute("SELECT FROM calls")
        left = await trio.to_thread.run_sync(let_overwrite, workers.url)
        connection.execute("SELECT pg_drop_replication_slot('away')")

    assert (left[0], left[2:]) == (FREE_SPACE.format("calls"), [COPIES])
    assert "that replication, archiving or wal_keep_size holds back" in left[1]


def begin(connection: psycopg.Connection[TupleRow], how: str) -> None:
    """Begin a transaction that can see what is there now, until it ends."""
    match how:
        case "snapshot":
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT")
        case "cursor":
            connection.execute("DECLARE half_read CURSOR FOR SELECT n FROM generate_series(1, 9) n")
        case _:
            connection.execute("SELECT pg_current_xact_id()")  # it writes


@pytest.mark.slow
@pytest.mark.parametrize("full", [False, True], ids=["small", "full"])
@pytest.mark.parametrize("how", ["snapshot", "cursor", "writing"])
async def test_rows_that_somebody_can_still_see_are_said_to_be_left_and_are_gone_when_nobody_can(
    cluster: Cluster, workers: Workers, monkeypatch: pytest.MonkeyPatch, how: str, full: bool
) -> None:
    monkeypatch.setattr("store.fleet.pages.SEEN_SECONDS", 0.2)
    with psycopg.connect(workers.url, autocommit=True) as connection, psycopg.connect(workers.url) as other:
        connection.execute("CREATE TABLE calls (call_sid text, record text); CREATE TABLE slots (key text)")
        connection.execute("ALTER TABLE calls ALTER record SET STORAGE EXTERNAL")  # long values are kept beside it
        connection.execute("INSERT INTO calls VALUES (%s, repeat(%s, 1000))", [CALLS[0], f"{NAME} {LEAD} "])
        begin(other, how)
        connection.execute("DELETE FROM calls")
        held = await trio.to_thread.run_sync(partial(vacuum, workers.url, full=full))
        kept = found_in(everything_of(cluster), [NAME])
        other.rollback()
        done = await trio.to_thread.run_sync(partial(vacuum, workers.url, full=full))
        last = found_in(everything_of(cluster))

    assert held.left == [STILL_SEEN.format(", ".join(held.took)), COPIES]
    assert {"calls", "slots"} <= held.took.keys()
    assert ("base", NAME) in kept
    assert (done.left, last) == ([COPIES], set())


@pytest.mark.slow
async def test_the_end_of_a_statement_that_can_see_deleted_rows_is_waited_for(
    cluster: Cluster, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.fleet.pages.SEEN_SECONDS", 60.0)
    with psycopg.connect(workers.url, autocommit=True) as connection, psycopg.connect(workers.url) as other:
        connection.execute("CREATE TABLE calls (call_sid text, record text)")
        connection.execute("INSERT INTO calls VALUES (%s, %s)", [CALLS[0], f"{NAME} {LEAD}"])
        begin(other, "snapshot")
        connection.execute("DELETE FROM calls")

        def end() -> None:
            other.execute("SELECT pg_sleep(0.5)")
            other.rollback()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, end)
            left = await trio.to_thread.run_sync(let_overwrite, workers.url)
        last = found_in(everything_of(cluster))

    assert (left, last) == ([COPIES], set())


@pytest.mark.slow
async def test_a_role_that_may_ask_for_no_checkpoint_is_told_what_it_lacks(workers: Workers) -> None:
    as_app = workers.url.replace("switchboard@", "app@")
    with psycopg.connect(workers.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN")
        connection.execute("GRANT ALL ON SCHEMA public TO app")
        connection.execute("CREATE TABLE orders (number text)")
        connection.execute("ALTER TABLE orders OWNER TO app")
        try:
            before = await trio.to_thread.run_sync(let_overwrite, as_app)
            connection.execute("GRANT pg_checkpoint, pg_monitor TO app")
            after = await trio.to_thread.run_sync(let_overwrite, as_app)
        finally:
            connection.execute("DROP OWNED BY app")
            connection.execute("DROP ROLE app")

    assert before == [LOG_NOT_OURS, COPIES]
    assert after == [COPIES]


@pytest.mark.slow
@pytest.mark.parametrize("full", [False, True], ids=["small", "full"])
async def test_no_limit_of_ours_is_left_in_the_sessions_of_a_pooler(
    cluster: Cluster, workers: Workers, full: bool
) -> None:
    """It hands a session to others after each statement, with all that was set in it."""
    with psycopg.connect(workers.url) as connection:
        connection.execute("CREATE TABLE orders (number text)")
    async with way_to(cluster.folder, names_sessions=True) as way:
        overwrite = partial(vacuum, way.url, full=True) if full else partial(let_overwrite, way.url)
        try:
            said = str(await trio.to_thread.run_sync(overwrite))
        except OSError as exc:
            said = str(exc)

    assert "a pooler is between. Set DATABASE_URL to PostgreSQL itself" in said
    assert full or "every table" in said


@pytest.mark.slow
async def test_postgresql_takes_no_samples_of_what_is_about_a_person(workers: Workers) -> None:
    records = SqlRecords(workers.url)
    for n in range(9):
        await records.save(attrs.evolve(FULL, call_sid=f"CA{n}"))
    with psycopg.connect(workers.url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        sampled = "SELECT attname FROM pg_stats WHERE tablename = 'call_summaries'"
        columns = {str(name) for (name,) in connection.execute(sampled)}

    assert columns.isdisjoint(PERSONAL["call_summaries"])
    assert "outcome" in columns


@pytest.mark.slow
async def test_a_vacuum_of_tables_that_are_in_use_or_away_says_so(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.fleet.pages.LOCK_SECONDS", 1)
    with psycopg.connect(workers.url) as connection:
        connection.execute("CREATE TABLE orders (number text)")
        with pytest.raises(OSError, match="not vacuumed after none: OperationalError: connection"):
            vacuum("postgresql://nobody@/none?host=/nowhere/at/all", full=True)
        connection.commit()
        connection.execute("LOCK TABLE orders")
        with pytest.raises(OSError, match=r"not vacuumed after none: .*lock timeout"):
            await trio.to_thread.run_sync(partial(vacuum, workers.url, full=True))


@pytest.mark.slow
async def test_a_vacuum_of_somebody_elses_tables_says_so_and_one_of_our_own_needs_no_more_rights(
    workers: Workers,
) -> None:
    with psycopg.connect(workers.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN")
        connection.execute("CREATE TABLE orders (number text)")
        connection.execute("CREATE TABLE slots (key text)")
        try:
            with pytest.raises(OSError, match="can see no table"):
                vacuum(workers.url.replace("switchboard@", "app@"), full=True)
            connection.execute("GRANT ALL ON SCHEMA public TO app")
            connection.execute("ALTER TABLE orders OWNER TO app")
            with pytest.raises(OSError, match=r"slots"):
                vacuum(workers.url.replace("switchboard@", "app@"), full=True)
            connection.execute("ALTER TABLE slots OWNER TO app")
            took = vacuum(workers.url.replace("switchboard@", "app@"), full=True).took
        finally:
            connection.execute("DROP OWNED BY app")
            connection.execute("DROP ROLE app")

    assert took.keys() == {"orders", "slots"}


@pytest.mark.slow
async def test_what_another_worker_has_on_its_own_disk_is_gone_when_it_is_said_to_be(
    workers: Workers, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    async with whole(here, workers.url) as asked, whole(there, workers.url) as other:
        await leave_traces(other, there)
        before = everything_on(there)
        answer = await asked.ask("/forget", number=LEAD)
        after = everything_on(there) + everything_in(workers.url)
        known = [call.call_sid for call in other.context.live_calls.newest()]

    assert [text for text in SPELLINGS if text.encode() not in before] == []
    assert (answer.status_code, answer.json()["left"]) == (200, {})
    assert [text for text in SPELLINGS if text.encode() in after] == []
    assert known == []


@pytest.mark.slow
async def test_a_worker_that_does_not_answer_is_told_of(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.calls.forgetting.ANSWER_SECONDS", 0.05)
    silent = await workers.join(50, "silent")
    async with whole(tmp_path, workers.url) as there:
        answer = await there.ask("/forget", number=LEAD)
        ((letters,),) = await silent.database.ask("SELECT count(*) FROM commands")

    assert (answer.status_code, answer.json()["left"]) == (200, {"workers that do not answer": 1})
    assert letters == 0


async def test_a_call_of_somebody_else_loses_the_number_and_nothing_else(tmp_path: Path) -> None:
    async with small(tmp_path) as there:
        await leave_traces(there, tmp_path)
        await there.ask("/forget", number=LEAD)
        kept = await there.context.services.records.get(OTHER)

    assert kept is not None
    assert kept.transcript[0].text == f"My sister is at {ERASED}, or {ERASED}."
    assert kept == attrs.evolve(somebody_elses(), transcript=kept.transcript)
    assert (tmp_path / "recordings" / OTHER / "call.wav").exists()
    assert ERASED in (tmp_path / "recordings" / OTHER / "journal.jsonl").read_text()


async def test_one_call_is_forgotten_by_its_name_and_the_others_are_not(tmp_path: Path) -> None:
    async with small(tmp_path) as there:
        await leave_traces(there, tmp_path)
        answer = await there.ask("/forget", call="OR1")
        kept = (await there.ask("/kept", number=LEAD)).json()

    assert answer.json()["left"] == {}
    assert {call["call_sid"] for call in kept["calls"]} == {CALLS[0]}
    assert CALLS[1].encode() not in everything_on(tmp_path)


async def test_everything_of_a_person_is_exported(tmp_path: Path) -> None:
    async with small(tmp_path) as there:
        await leave_traces(there, tmp_path)
        answer = await there.ask("/export", number=LEAD)

    with zipfile.ZipFile(BytesIO(answer.content)) as whole:
        names = set(whole.namelist())
        text = whole.read(f"{CALLS[0]}/record.json").decode()
    files = {"record.json", "journal.jsonl", "transcript.json", "call.wav"}
    assert names == {f"{call}/{file}" for call in CALLS for file in files}
    assert NAME in text


async def test_a_record_that_cannot_be_read_keeps_nothing_else_from_being_exported(tmp_path: Path) -> None:
    async with small(tmp_path, Scratched(scratched=CALLS[1])) as there:
        await leave_traces(there, tmp_path)
        answer = await there.ask("/export", number=LEAD)

    with zipfile.ZipFile(BytesIO(answer.content)) as whole:
        names = set(whole.namelist())
        told = whole.read(f"{CALLS[1]}/record-unreadable.txt").decode()
    assert {f"{CALLS[0]}/record.json", f"{CALLS[1]}/journal.jsonl", f"{CALLS[1]}/call.wav"} <= names
    assert "record.caller" in told


async def test_who_has_a_call_that_goes_on_is_not_forgotten(tmp_path: Path) -> None:
    async with small(tmp_path) as there:
        await leave_traces(there, tmp_path)
        there.context.live_calls.add(KnownCall("OR9", "outbound", LEAD, LINE, "in-progress", CUT))
        answer = await there.ask("/forget", number=LEAD)

    assert (answer.status_code, answer.json()["call_sid"]) == (409, CUT)
    assert NAME.encode() in everything_on(tmp_path)


@pytest.mark.parametrize(
    "body",
    [{}, {"number": "5557650000"}, {"call": "15557650000"}, {"call": "../x"}, {"number": LEAD, "call": "x"}],
    ids=str,
)
async def test_what_names_nobody_erases_nothing(body: dict[str, str], tmp_path: Path) -> None:
    async with small(tmp_path) as there:
        await there.context.services.save(of_hers(CALLS[0]))
        answers = [await there.ask(target, **body) for target in ("/forget", "/export", "/kept")]

        assert [answer.status_code for answer in answers] == [400, 400, 400]
        assert await there.context.services.records.get(CALLS[0]) is not None


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("+1 (555) 765-0000", {"number": LEAD}),
        ("sip:+15557650000@acme.example", {"number": LEAD}),
        ("15557650000", {"call": "15557650000"}),  # which the server refuses: nothing is said to be kept of it
        ("CA1", {"call": "CA1"}),
    ],
)
def test_a_number_is_asked_for_however_it_is_written(name: str, body: dict[str, str]) -> None:
    assert named(name) == body


async def test_a_short_name_of_a_call_is_looked_for_nowhere(tmp_path: Path) -> None:
    async with small(tmp_path) as there:
        await there.context.services.save(of_hers(CALLS[0]))
        answer = await there.ask("/forget", call="a")

        assert answer.status_code == 404
        assert await there.context.services.records.get(CALLS[0]) == of_hers(CALLS[0])


@pytest.mark.parametrize(
    ("number", "text", "is_in"),
    [
        (LEAD, "+15557650000", True),
        (LEAD, "1-555-765-0000", True),
        (LEAD, "(555) 765 0000", True),
        (LEAD, "sip:15557650000@example.com", True),
        (LEAD, "%2B15557650000", True),
        (LEAD, "+155576500001", False),
        (LEAD, "915557650000", False),
        (LEAD, "CA15557650000", False),
        ("+493012345678", "+49 30 1234-5678", True),
        ("+493012345678", "0049 3012345678", True),
    ],
)
def test_a_number_is_found_however_it_is_written(number: str, text: str, is_in: bool) -> None:
    assert Subject(number).is_in(f"call {text}.") == is_in
