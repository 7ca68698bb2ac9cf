"""`server:app` reads nothing until it is started, and says in one breath what is wrong with its settings."""

import gc
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import httpx
import hypercorn.trio.run
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, LifespanScope
from structlog.testing import capture_logs

from server import Switchboard, tell_of_workers
from tests.web.fakes import ENVIRON
from web.calls.slots import Slots

SCOPE: LifespanScope = {"type": "lifespan", "asgi": {"spec_version": "2.0", "version": "3.0"}, "state": {}}


HALF_A_REQUEST = b"""\
POST /twilio/voice HTTP/1.1\r
Host: agent.example.com\r
Content-Type: application/x-www-form-urlencoded\r
Content-Length: 9\r
\r
"""


@attrs.define
class Host:
    """An ASGI server that starts and stops an application."""

    said: list[ASGISendEvent] = attrs.field(factory=list)
    started: trio.Event = attrs.field(factory=trio.Event)
    events: list[ASGIReceiveEvent] = attrs.field(
        factory=lambda: [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    )
    leave: trio.Event = attrs.field(factory=trio.Event)

    async def receive(self) -> ASGIReceiveEvent:
        await trio.lowlevel.checkpoint()
        event = self.events.pop(0)
        if event["type"] == "lifespan.shutdown":
            await self.leave.wait()
        return event

    async def send(self, event: ASGISendEvent) -> None:
        await trio.lowlevel.checkpoint()
        self.said.append(event)
        self.started.set()


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mapping[str, str]:
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("server.configure_logs", lambda _: None)
    return ENVIRON


async def test_it_lives_from_startup_to_shutdown(environ: Mapping[str, str]) -> None:
    host, app = Host(), Switchboard()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, SCOPE, host.receive, host.send)
        await host.started.wait()
        host.leave.set()

    assert [event["type"] for event in host.said] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_setting_that_is_misspelt_is_logged_at_the_start(
    environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_MODLE", "nova-3")
    host, app = Host(), Switchboard()
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app, SCOPE, host.receive, host.send)
            await host.started.wait()
            host.leave.set()

    (told,) = [log["says"] for log in logs if log["event"] == "setting_unknown"]
    assert told == "LISTEN_MODLE is no setting, and nothing reads it. Did you mean LISTEN_MODEL?"


async def test_a_setting_that_the_file_sets_twice_is_logged_at_the_start(
    environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("THINK_PATIENCE=10\nTHINK_PATIENCE=11\n")
    host, app = Host(), Switchboard()
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app, SCOPE, host.receive, host.send)
            await host.started.wait()
            host.leave.set()

    (told,) = [log["says"] for log in logs if log["event"] == "setting_repeated"]
    assert told == "THINK_PATIENCE is set in lines 1, 2 of .env, and only the last counts. Leave one."


async def test_the_collector_spares_what_stays_for_as_long_as_it_serves(environ: Mapping[str, str]) -> None:
    spared = gc.get_freeze_count()
    async with under_hypercorn(trio.Event()):
        assert gc.get_freeze_count() > spared
        signal.raise_signal(signal.SIGTERM)


@asynccontextmanager
async def under_hypercorn(told: trio.Event, grace: float = 0.1) -> AsyncIterator[str]:
    """Serve `server:app` as hypercorn's worker does, which is told to stop by `told`; yields where."""
    config = Config()
    config.bind, config.graceful_timeout, config.loglevel = ["127.0.0.1:0"], grace, "ERROR"
    async with trio.open_nursery() as nursery:
        serve = partial(hypercorn_serve, Switchboard(), config, shutdown_trigger=told.wait, mode="asgi")
        (address,) = await nursery.start(serve)
        yield address


async def test_plain_hypercorn_keeps_answering_until_the_last_call_is_over(
    environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slots, told = Slots(9), trio.Event()
    monkeypatch.setattr("web.from_settings.Slots", lambda *_: slots)
    async with under_hypercorn(told) as address, httpx.AsyncClient(base_url=address) as client:
        with slots.take("call"):
            told.set()
            while (ready := (await client.get("/readyz")).json())["ready"]:  # noqa: ASYNC110 - it is asked
                await trio.sleep(0.01)
            signal.raise_signal(signal.SIGTERM)  # as hypercorn's master does when another worker has ended
            await trio.sleep(0.05)
            async with httpx.AsyncClient(base_url=address) as newcomer:  # on a connection of its own
                alive = (await newcomer.get("/healthz")).status_code

    assert (ready["draining"], ready["calls"], alive) == (True, 1, 200)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_of_its_own_drains_a_worker(number: int, environ: Mapping[str, str]) -> None:
    async with under_hypercorn(trio.Event()) as address:
        async with httpx.AsyncClient(base_url=address) as client:
            assert (await client.get("/readyz")).json()["ready"]
        signal.raise_signal(number)


async def test_a_second_ctrl_c_hurries_a_worker(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots(9)
    monkeypatch.setattr("web.from_settings.Slots", lambda *_: slots)
    with trio.fail_after(20), slots.take("call"):
        async with under_hypercorn(trio.Event()):
            signal.raise_signal(signal.SIGINT)
            await slots.wait_draining()
            signal.raise_signal(signal.SIGINT)

    assert slots.draining


async def test_hypercorn_is_left_as_it_was(environ: Mapping[str, str]) -> None:
    before = hypercorn.trio.run.raise_shutdown  # type: ignore[attr-defined]
    async with under_hypercorn(told := trio.Event()):
        told.set()

    assert hypercorn.trio.run.raise_shutdown is before  # type: ignore[attr-defined]


async def test_wrong_settings_fail_the_start_with_all_that_is_wrong(
    environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAX_CALLS", "many")
    monkeypatch.delenv("DEEPGRAM_API_KEY")
    host = Host()

    await Switchboard()(SCOPE, host.receive, host.send)

    (failed,) = host.said
    assert failed["type"] == "lifespan.startup.failed"
    assert [name in failed["message"] for name in ("MAX_CALLS", "DEEPGRAM_API_KEY")] == [True, True]
    assert failed["message"] in capsys.readouterr().err


async def test_a_server_without_lifespan_support_is_told_so() -> None:
    host = Host()

    with pytest.raises(RuntimeError, match="hypercorn -k trio"):
        await Switchboard()({"type": "http"}, host.receive, host.send)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "warns"),
    [
        (["-w", "2"], True),
        (["-w4"], True),
        (["--workers", "2"], True),
        (["--workers=8"], True),
        (["-w", "1"], False),
        (["-w", "0"], False),
        ([], False),
        (["-b", "127.0.0.1:8000", "--worker-class", "trio"], False),
    ],
)
def test_several_workers_of_one_hypercorn_are_told_what_to_run_instead(options: list[str], warns: bool) -> None:
    with capture_logs() as logs:
        tell_of_workers(["hypercorn", "-k", "trio", *options, "server:app"])

    assert [line["event"] for line in logs] == (["several_workers"] if warns else [])
    assert not warns or "supervisor" in logs[0]["fix"]


@pytest.mark.slow
def test_importing_it_needs_no_settings(tmp_path: Path) -> None:
    where = {"PATH": "", "PYTHONPATH": str(Path(__file__).parents[1])}

    done = subprocess.run([sys.executable, "-c", "import server; server.app"], env=where, cwd=tmp_path, check=False)

    assert done.returncode == 0
