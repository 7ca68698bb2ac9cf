"""Connections that are held open without a credential keep no call from starting, running and handing off.

Each peer does its worst again when it has been hung up on. The seconds of the first test are those of a fast clock, ten
in a real one; the second one is the whole crowd for a whole minute, a hundred of it a second, with the few descriptors
of an old machine.
"""

import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import cast

import httpx
import hypercorn.trio.run
import orjson
import pytest
import trio

from simulators.pacing import PacedClock
from tests.e2e.line import open_line
from tests.e2e.test_processes import ROOT, interrupt, running, simulators_of, wait_for
from tests.e2e.test_stalled_peers import FORM, H2_PREFACE, H2_UPGRADE, JSON, LENGTH, ONE_REQUEST, SIGNATURE
from tests.short_sale import SHORT_SALE

pytestmark = pytest.mark.real_time

WORST = (
    b"",
    FORM + b"X-Slow: ",
    ONE_REQUEST % b"/healthz",
    JSON % b"/twilio/voice" + SIGNATURE + LENGTH,
    JSON % b"/calls" + LENGTH,
    H2_PREFACE,
    H2_UPGRADE + b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
)


def descriptors(process: int | str = "self") -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def sockets() -> int:
    """Return how many of our descriptors are sockets: the files that a first call opens are none."""
    return sum(each.is_socket() for each in Path("/proc/self/fd").iterdir())


async def do_its_worst(port: int, says: bytes, door: trio.Lock, every: float) -> None:
    """Connect, say it, and wait to be hung up on; then do it again, when it is its turn at the door."""
    while True:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with door:
                await trio.sleep(every)
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                await stream.send_all(says)
                while await stream.receive_some():
                    """It is answered."""


@asynccontextmanager
async def a_crowd(port: int, size: int, *, every: float) -> AsyncIterator[None]:
    """Have so many peers at the door for as long as the `async with` lasts; one connects every so many seconds.

    Who comes has so many seconds for each place there is, to be run and to send a request, before its place is taken.
    """
    door = trio.Lock()
    async with trio.open_nursery() as nursery:
        for _, says in zip(range(size), cycle(WORST), strict=False):
            nursery.start_soon(do_its_worst, port, says, door, every)
        await trio.sleep(size * every)
        yield
        nursery.cancel_scope.cancel(reason="the crowd leaves")


async def test_a_crowd_keeps_no_call_from_its_end(
    tmp_path: Path, fast_clock: PacedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle connections have no end of their own here: the demo's server keeps them, so they must give way."""
    monkeypatch.setattr("hypercorn.trio.run.TCPServer", hypercorn.trio.run.TCPServer)  # type: ignore[attr-defined]
    monkeypatch.setattr("web.serving.descriptors_allowed", lambda: 160)  # of which connections have 40
    async with open_line(tmp_path) as line:
        port = int(line.stage.settings.lead_server_external_url.rpartition(":")[2])
        before = sockets()
        async with a_crowd(port, 120, every=0.05):
            held = sockets()
            call = await line.call_out()
            record = await line.record_of(call)
        with trio.fail_after(60):
            while sockets() > before + 20:  # noqa: ASYNC110 - the system is asked; clients keep some for the next call
                await trio.sleep(1)

    assert record.outcome == "completed"
    assert [turn.text for turn in record.transcript if turn.speaker == "caller"] == ["No, thank you."]
    assert held - before <= 120 + 40


# The whole crowd

FEW_DESCRIPTORS = 256
WITH_FEW = (
    f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({FEW_DESCRIPTORS}, {FEW_DESCRIPTORS}));"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def held_by(pid: int) -> tuple[int, int]:
    """Return the descriptors and the resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return descriptors(pid), pages * resource.getpagesize()


async def record_of(http: httpx.AsyncClient, name: str) -> Mapping[str, object]:
    while True:
        shown: Mapping[str, Mapping[str, object] | None] = (await http.get(f"/calls/{name}")).json()
        record = shown.get("record")
        if record is not None:
            return record
        await trio.sleep(0.5)


async def call_out(at: str, number: str, records: list[Mapping[str, object]]) -> None:
    """Order a call, and wait for its end, for two minutes at the most."""
    headers = {"Authorization": "Bearer operator"}
    async with httpx.AsyncClient(base_url=at, headers=headers, timeout=10) as http:
        placed = await http.post("/calls", json={"to": number})
        assert placed.status_code in {201, 202}, placed.text
        with trio.fail_after(120):
            records.append(await record_of(http, placed.json()["id"]))


def agents_of(record: Mapping[str, object]) -> list[object]:
    """Return the names of a record's agents, in their order."""
    return [stretch["agent"] for stretch in cast("list[Mapping[str, object]]", record["agents"])]


async def calls_in_a_crowd(at: str) -> list[Mapping[str, object]]:
    """Have six hundred at the door for a minute and until three calls are over; return the records."""
    records = list[Mapping[str, object]]()
    async with a_crowd(int(at.rpartition(":")[2]), 600, every=0.01), trio.open_nursery() as nursery:
        for number in ("+15551230001", "+15551230002", "+15551230003"):  # one is free only once it has answered
            nursery.start_soon(call_out, at, number, records)
            await trio.sleep(5)
        await trio.sleep(60 - 3 * 5)
    return records


@pytest.fixture
def handing_off(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of a server whose caller goes through all three agents."""
    scenario = tmp_path / "sale.toml"
    scenario.write_text(SHORT_SALE, "utf-8")
    with simulators_of(str(scenario), tmp_path) as environ:
        yield {**environ, "MAX_CALLS": "10"}


def test_six_hundred_connections_for_a_minute_keep_no_call_from_its_handoffs(
    handing_off: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, at = tmp_path / "server.log", handing_off["LEAD_SERVER_EXTERNAL_URL"]
    with running(
        "python", "-c", WITH_FEW, sys.executable, str(ROOT / "cli.py"), "serve", environ=handing_off, log=log
    ) as server:
        wait_for(log, "Listening on", server)
        before = held_by(server.pid)
        records = trio.run(calls_in_a_crowd, at)
        time.sleep(12)  # the idle connections' five seconds, and the ten after which memory is given back
        after = held_by(server.pid)
        assert interrupt(server) == 0

    told = [orjson.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    events = [line["event"] for line in told]
    with capsys.disabled():
        sys.stderr.write(f"\ndescriptors and bytes before and after: {before} {after}\n")
    assert [record["outcome"] for record in records] == 3 * ["completed"]
    assert [agents_of(record) for record in records] == 3 * [["qualifier", "advisor", "closer"]]
    assert after[0] <= before[0] + 20  # of some 6,000 that came; threads open files of the database
    assert after[1] <= before[1] + 40_000_000
    assert 1 <= events.count("connections_full") <= 4
    assert events.count("accept_failed") == 0
    assert "Traceback" not in log.read_text()
