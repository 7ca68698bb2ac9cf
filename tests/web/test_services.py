"""Settings become the services of a call."""

import os
import re
import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from random import Random

import attrs
import httpx
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.policy import SummaryMode
from store.calls import MemoryRecords
from store.orders.queue import NewOrder, OrderQueue
from store.spill import SpillingRecords
from store.spill_folder import SpillFolder
from store.sql import SqlRecords
from tests.web.fakes import CALL_SID, record, settings
from web.calls.returning import TwilioTransfers
from web.clients.http import http_client
from web.from_settings import CallStores, fleet_of, line_of, policy_of, records_of, roster_of, sqlite_of
from web.services import open_services, writing


@pytest.mark.parametrize(
    ("changes", "records"),
    [
        ({"DATABASE_URL": "memory:"}, MemoryRecords()),
        ({"RECORDINGS_DIR": "here", "DATABASE_URL": "memory:"}, MemoryRecords()),
    ],
    ids=str,
)
def test_records_are_kept_where_the_settings_say(changes: dict[str, str], records: object) -> None:
    assert records_of(settings(**changes)) == records


@pytest.mark.parametrize(
    ("changes", "file", "waiting"),
    [
        ({"DATABASE_URL": ""}, "switchboard.db", "switchboard.db.waiting"),
        ({"DATABASE_URL": "sqlite:////var/calls.db"}, "/var/calls.db", "/var/calls.db.waiting"),
        ({"DATABASE_URL": "postgres://me:pass@db/calls", "RECORDINGS_DIR": "here"}, None, "here/.waiting"),
        ({"DATABASE_URL": "postgres://db/calls"}, None, "switchboard.waiting"),
    ],
    ids=str,
)
def test_a_database_has_a_folder_for_what_it_does_not_take(
    changes: dict[str, str], file: str | None, waiting: str
) -> None:
    records = records_of(settings(**changes))

    assert isinstance(records, SpillingRecords)
    assert isinstance(records.inner, SqlRecords)
    assert (records.inner.file, records.folder.path) == (file, Path(waiting))


def test_what_postgresql_does_not_know_in_its_url_is_named_at_the_start() -> None:
    with pytest.raises(OSError, match=r'"pgbouncer".*DATABASE_URL'):
        fleet_of(settings(DATABASE_URL="postgresql://me@db/calls?pgbouncer=true"), MemoryRecords())


async def test_what_waited_for_the_database_is_written_while_the_services_are_open(tmp_path: Path) -> None:
    chosen = settings(DATABASE_URL=f"sqlite:///{tmp_path}/calls.db")
    await records_of(chosen).save(record())

    async with open_services(chosen):
        await trio.testing.wait_all_tasks_blocked()

    assert await SqlRecords(chosen.database_url).get(CALL_SID) == record()
    assert SpillFolder(tmp_path / "calls.db.waiting").waiting() == []


def logs_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*-wal")}


async def test_at_the_end_every_file_of_sqlite_is_closed(tmp_path: Path) -> None:
    chosen = settings(DATABASE_URL=f"sqlite:///{tmp_path}/calls.db", RECORDINGS_DIR=str(tmp_path / "recordings"))
    async with open_services(chosen) as opened:
        await opened.tokens.put("name", b"content", 60)
        await opened.orders.now()
        there = logs_in(tmp_path)

    assert (there, logs_in(tmp_path)) == ({".tokens.db-wal", "calls.db-wal"}, set())


async def test_a_call_that_ends_is_in_the_database(tmp_path: Path) -> None:
    chosen = settings(DATABASE_URL=f"sqlite:///{tmp_path}/calls.db")
    async with open_services(chosen) as opened:
        await trio.testing.wait_all_tasks_blocked()
        await opened.services.records.save(record())

        assert await SqlRecords(chosen.database_url).get(CALL_SID) == record()


@attrs.define(eq=False)
class Crashing(SpillingRecords):
    """A store whose writer has a bug, once."""

    crashes: int = 1
    runs: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        if self.crashes:
            self.crashes -= 1
            raise KeyError("a bug")
        self.runs.set()
        await trio.sleep_forever()


async def test_a_writer_that_crashes_is_started_again(autojump_clock: MockClock, tmp_path: Path) -> None:
    records = Crashing(MemoryRecords(), tmp_path)

    async with writing(records):
        await records.runs.wait()

    assert records.crashes == 0


@pytest.mark.parametrize("folders", [{}, {"RECORDINGS_DIR": "recordings"}], ids=["without recordings", "with"])
async def test_a_call_is_let_in_at_once_while_the_records_are_written_anew(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    """As an erasure does it: the file is locked for longer than a webhook may take."""
    folder = {name: str(tmp_path / below) for name, below in folders.items()}
    chosen = settings(DATABASE_URL=f"sqlite:///{tmp_path}/calls.db", **folder)
    with closing(CallStores.of(chosen)) as stores, closing(CallStores.of(chosen)) as another_process:
        await OrderQueue(stores.orders).now()
        with closing(sqlite3.connect(tmp_path / "calls.db", isolation_level=None)) as written, capture_logs() as logs:
            written.execute("BEGIN IMMEDIATE")
            await stores.tokens.put("name", b"content", 60)
            taken = await another_process.tokens.exchange("name", "streamed", 60)

    assert (taken, logs) == (b"content", [])


def test_the_deadlines_of_a_call_are_the_settings() -> None:
    policy = policy_of(
        settings(
            SUMMARY_MODE="on_handoff",
            SUMMARY_DEADLINE="1.5",
            FALLBACK_PHONE_NUMBER="+15559870000",
            VOICEMAIL_MESSAGE="Please call us back.",
            CALLER_SILENCE="7",
            MAX_CALL_SECONDS="600",
            HUMAN_DIGIT="0",
            KEEP_DIGITS="yes",
            THINK_PATIENCE="30",
        )
    )

    assert (policy.summary_mode, policy.deadlines.summary) == (SummaryMode.ON_HANDOFF, 1.5)
    assert (policy.deadlines.caller_silence, policy.deadlines.longest_call) == (7.0, 600.0)
    assert policy.deadlines.think_patience == 30.0
    assert (policy.human_digit, policy.keep_digits) == ("0", True)
    assert (policy.fallback_number, policy.wording.voicemail) == ("+15559870000", "Please call us back.")
    assert policy.our_number == settings().twilio_phone_number


@pytest.mark.parametrize(("budget", "lead"), [("4", 1), ("20", 1), ("2", 0.5), ("1", 0.25)])
def test_a_filler_is_asked_for_in_time_and_not_at_once(budget: str, lead: float) -> None:
    policy = policy_of(settings(SILENCE_BUDGET=budget))

    assert (policy.deadlines.silence_budget, policy.deadlines.filler_lead) == (float(budget), lead)


def test_agents_speak_with_the_voices_of_the_settings() -> None:
    roster = roster_of(settings(ADVISOR_VOICE_MODEL="aura-2-orion-en"))

    assert roster.agents["advisor"].voice == "aura-2-orion-en"


@pytest.mark.parametrize(
    ("changes", "number", "whispers"),
    [
        ({"TRANSFER_PHONE_NUMBER": "+15551112222", "FALLBACK_PHONE_NUMBER": "+15559870000"}, "+15551112222", True),
        ({"FALLBACK_PHONE_NUMBER": "+15559870000", "TRANSFER_MODE": "cold"}, "+15559870000", False),
    ],
)
async def test_a_person_is_reached_where_there_is_one(changes: dict[str, str], number: str, whispers: bool) -> None:
    async with open_services(settings(**changes)) as opened:
        transfers = opened.services.transfers

        assert isinstance(transfers, TwilioTransfers)
        assert (transfers.number, transfers.whispers) == (number, whispers)
        assert opened.services.roster.agents["closer"].function("transfer_to_human") is not None


async def test_without_a_number_nobody_is_offered() -> None:
    async with open_services(settings()) as opened:
        assert opened.services.transfers is None
        assert opened.services.roster.agents["closer"].function("transfer_to_human") is None


async def test_everything_a_call_needs_is_opened() -> None:
    chosen = settings(THINK_MODEL="gpt-5-mini")
    async with open_services(chosen) as opened:
        services = opened.services

        assert str((services.voice_agent.defaults.think or ())[0]) == "open_ai/gpt-5-mini"
        assert services.ask_brief is not None
        assert services.line is opened.line


async def test_without_a_key_groq_is_not_asked() -> None:
    async with open_services(settings(GROQ_API_KEY="")) as opened:
        assert opened.services.ask_brief is None


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder in which nobody may write, not even root")
async def test_a_folder_that_cannot_be_written_to_is_told_with_its_setting() -> None:
    with pytest.raises(OSError, match=r"/proc .*Check DATABASE_URL"):
        async with open_services(settings(DATABASE_URL="sqlite:////proc/calls.db")):
            """Never reached."""
    with pytest.raises(OSError, match=r"/proc .*Check RECORDINGS_DIR"):
        async with open_services(settings(RECORDINGS_DIR="/proc")):
            """Never reached."""


async def test_a_folder_that_cannot_be_made_is_told_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match="RECORDINGS_DIR") as refused:
        async with open_services(settings(RECORDINGS_DIR=f"{tmp_path}/file/here")):
            """Never reached."""

    assert "Not a directory" in str(refused.value)


async def test_the_folder_of_the_database_is_made(tmp_path: Path) -> None:
    """Else calls would leave no record, and nothing could be ordered, until somebody looks into the log."""
    file = tmp_path / "new" / "deep" / "calls.db"
    async with open_services(settings(DATABASE_URL=f"sqlite:///{file}")) as opened:
        await opened.services.records.save(record())
        kept = await opened.services.records.get(CALL_SID)

    assert kept is not None
    assert (file.exists(), file.parent.stat().st_mode & 0o777) == (True, 0o700)


async def test_while_the_auth_token_is_changed_twilio_is_asked_with_the_new_one() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        return httpx.Response(200, json={"sid": CALL_SID})

    chosen = settings(TWILIO_AUTH_TOKEN="the-new-one,the-old-one")
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        await line_of(chosen, http, Random(0)).hang_up(CALL_SID)

    assert asked == ["Basic " + b64encode(f"{chosen.twilio_account_sid}:the-new-one".encode()).decode()]


PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


async def no_content(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_this_machine_is_asked_without_the_proxy_of_the_environment(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's proxy leads back here, and it would see the API token."""
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    try:
        listeners = await trio.open_tcp_listeners(0, host=host.strip("[]"))
    except OSError as none:
        pytest.skip(f"this machine has no such address: {none}")
    async with trio.open_nursery() as nursery, http_client() as http:
        nursery.start_soon(trio.serve_listeners, no_content, listeners)
        port = listeners[0].socket.getsockname()[1]
        assert (await http.get(f"http://{host}:{port}/")).status_code == 204
        with pytest.raises(httpx.ConnectError):
            await http.get("http://switchboard.example/")
        nursery.cancel_scope.cancel(reason="asked")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_told_with_its_setting(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(OSError, match="ALL_PROXY"):
        http_client()


@pytest.mark.parametrize(
    "spared", ["switchboard.example,[::1]", "fd00::/8,switchboard.example", "[::1]:8080, .example", "::1,,https://a:1"]
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
async def test_addresses_of_ipv6_among_the_hosts_without_a_proxy_cost_no_client(
    name: str, spared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """basicmachines-co/basic-memory#1541: every client of httpx's raised, and nothing started."""
    for each in (*PROXIES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv(name, spared)
    async with http_client() as http:
        is_spared = http._transport_for_url(httpx.URL("http://switchboard.example/")) is http._transport

    assert is_spared is ("example" in spared)
    assert os.environ[name] == spared


def test_every_client_spares_this_machine_the_proxy() -> None:
    """Made by `http_client`, for a network of its own, or for no proxy at all."""
    root = Path(__file__).parents[2]
    files = [
        *root.glob("*.py"),
        *(file for room in ("agents", "actors", "web", "testkit", "demo") for file in (root / room).rglob("*.py")),
    ]
    made = [
        line for file in files for line in file.read_text().splitlines() if re.search(r"[^`]httpx.AsyncClient\(", line)
    ]

    assert [line for line in made if not re.search("transport=|trust_env=False|mounts=|CallContext", line)] == []


async def test_an_order_is_kept_while_somebody_searches_the_records_in_the_same_file(tmp_path: Path) -> None:
    stores = CallStores.of(settings(DATABASE_URL=f"sqlite:///{tmp_path}/calls.db"))
    records, orders = sqlite_of(stores.records), OrderQueue(stores.orders)
    assert records is not None
    order = NewOrder("OR1", "+15557650001", {})
    with records._one:  # as for as long as a statement takes
        await orders.put(order, "w1", lease=20, latest=900)
    kept = await records.ask("SELECT order_id FROM orders", {})
    stores.close()

    assert kept == [("OR1",)]


async def test_an_order_is_on_the_disk_when_it_is_answered_and_the_texts_of_a_call_wait_for_no_disk(
    tmp_path: Path,
) -> None:
    full, normal = 2, 1  # https://www.sqlite.org/pragma.html#pragma_synchronous
    stores = CallStores.of(settings(DATABASE_URL=f"sqlite:///{tmp_path}/calls.db"))

    found = [await database.ask("PRAGMA synchronous", {}) for database in (stores.orders, stores.tokens.database)]
    stores.close()

    assert found == [[(full,)], [(normal,)]]
