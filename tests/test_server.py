"""`server:app` reads nothing until it is started, and says in one breath what is wrong with its settings."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
import trio
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, LifespanScope

from server import Switchboard
from tests.web.fakes import ENVIRON

SCOPE: LifespanScope = {"type": "lifespan", "asgi": {"spec_version": "2.0", "version": "3.0"}, "state": {}}


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


def test_importing_it_needs_no_settings(tmp_path: Path) -> None:
    where = {"PATH": "", "PYTHONPATH": str(Path(__file__).parents[1])}

    done = subprocess.run([sys.executable, "-c", "import server; server.app"], env=where, cwd=tmp_path, check=False)

    assert done.returncode == 0
