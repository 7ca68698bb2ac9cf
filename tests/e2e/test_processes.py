"""The server as an operator runs it: five processes of this machine, and nothing left of them afterwards."""

import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import orjson
import pytest

pytestmark = pytest.mark.real_time

SCENARIO = Path(__file__).parent / "short.toml"
ROOT = Path(__file__).parent.parent.parent
SCRIPTS = Path(sys.executable).parent
ACCOUNT, TOKEN = "AC" + "0" * 32, "simulated-auth-token"
PATIENCE = 200.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(*command: str, environ: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process in a group of its own; whatever happens, none of it stays."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own programs
            [str(SCRIPTS / command[0]), *command[1:]],
            cwd=ROOT,
            env={**clean_environ(), **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def ignoring_ctrl_c() -> Iterator[None]:
    """Start processes as a shell does in the background of a script: they ignore SIGINT, unless they see to it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def clean_environ() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


def wait_for(log: Path, pattern: str, process: "subprocess.Popen[bytes]") -> "re.Match[str]":
    """Wait until a process has said something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text())
        if found is not None:
            return found
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{pattern!r} not said:\n{log.read_text()}")


def interrupt(process: "subprocess.Popen[bytes]") -> int:
    """Press Ctrl-C: the whole foreground group gets the signal."""
    os.killpg(process.pid, signal.SIGINT)
    return process.wait(PATIENCE)


def group_is_gone(process: "subprocess.Popen[bytes]") -> bool:
    """Whether every process of the group has ended; one that was not reaped yet has ended too."""
    deadline = time.monotonic() + 5
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not members(process.pid)


def members(group: int) -> list[int]:
    rows = [path.read_text(errors="replace").rpartition(")") for path in Path("/proc").glob("[0-9]*/stat")]
    states = [(int(row[0].split()[0]), row[2].split()) for row in rows]
    return [pid for pid, state in states if int(state[2]) == group and state[0] not in "ZX"]


@pytest.fixture
def server_environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Start the three simulators with the short scenario; give the settings that lead to them."""
    with simulators_of(str(SCENARIO), tmp_path) as environ:
        yield environ


@contextmanager
def simulators_of(scenario: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run the three simulators; give the settings that lead to them."""
    with ExitStack() as processes:
        ports = {}
        started = []
        with ignoring_ctrl_c():
            for service in ("deepgram", "twilio", "groq"):
                log = tmp_path / f"{service}.log"
                command = ("switchboard", "simulate", service, "--port", "0", "--scenario", scenario)
                started.append((service, processes.enter_context(running(*command, environ={}, log=log)), log))
        for service, process, log in started:
            ports[service] = wait_for(log, r"//127\.0\.0\.1:(\d+)", process)[1]
        _, deepgram, said = started[0]
        speak = wait_for(said, r"DEEPGRAM_SPEAK_URL=(\S+)\n", deepgram)[1]
        port = free_port()
        yield {
            "DEEPGRAM_API_KEY": "simulated",
            "DEEPGRAM_AGENT_URL": f"ws://127.0.0.1:{ports['deepgram']}/v1/agent/converse",
            "DEEPGRAM_SPEAK_URL": speak,
            "GROQ_API_KEY": "simulated",
            "GROQ_BASE_URL": f"http://127.0.0.1:{ports['groq']}",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": "+15550009999",
            "TWILIO_API_URL": f"http://127.0.0.1:{ports['twilio']}",
            "LEAD_SERVER_PORT": str(port),
            "LEAD_SERVER_EXTERNAL_URL": f"http://127.0.0.1:{port}",
            "API_TOKEN": "operator",
            "RECORDINGS_DIR": str(tmp_path / "recordings"),
            "DATABASE_URL": f"sqlite:///{tmp_path}/calls.db",
        }
        for _, process, _ in started:
            assert interrupt(process) == 0
            assert group_is_gone(process)


def test_a_call_through_hypercorn_and_three_simulators_completes_and_ctrl_c_leaves_nothing(
    server_environ: dict[str, str], tmp_path: Path
) -> None:
    log, call_log = tmp_path / "server.log", tmp_path / "call.log"
    bind = f"127.0.0.1:{server_environ['LEAD_SERVER_PORT']}"

    with running("hypercorn", "-k", "trio", "-b", bind, "server:app", environ=server_environ, log=log) as server:
        wait_for(log, "Running on", server)
        with running("switchboard", "call", "+15551230000", environ=server_environ, log=call_log) as call:
            assert call.wait(PATIENCE) == 0, call_log.read_text() + log.read_text()
        interrupt(server)

    assert group_is_gone(server)
    (record,) = (tmp_path / "recordings").glob("CA*/record.json")
    told = orjson.loads(record.read_bytes())
    assert told["outcome"] == "completed"
    assert [turn["text"] for turn in told["transcript"] if turn["speaker"] == "caller"] == ["No, thank you."]
    assert "Traceback" not in log.read_text()
    assert "+15551230000" not in log.read_text()
    with closing(sqlite3.connect(tmp_path / "calls.db")) as database:
        assert database.execute("SELECT call_sid, outcome FROM calls").fetchall() == [(told["call_sid"], "completed")]
    assert list((tmp_path / "calls.db.waiting").iterdir()) == []


def test_a_server_without_settings_says_all_that_is_missing_at_once_and_ends(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    (tmp_path / "empty").mkdir()

    with running("switchboard", "serve", environ={"SWITCHBOARD_ENV": str(tmp_path / "empty")}, log=log) as server:
        status = server.wait(PATIENCE)

    said = log.read_text()
    assert status != 0
    for name in ("DEEPGRAM_API_KEY", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "LEAD_SERVER_EXTERNAL_URL"):
        assert name in said
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has mapped")
def test_a_server_that_waits_for_calls_is_small(tmp_path: Path) -> None:
    log, port = tmp_path / "server.log", free_port()
    environ = {
        "DEEPGRAM_API_KEY": "simulated",
        "DEEPGRAM_SPEAK_URL": "http://127.0.0.1:1/v1/speak",
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_PHONE_NUMBER": "+15550009999",
        "TWILIO_API_URL": "http://127.0.0.1:1",
        "API_TOKEN": "operator",
        "LEAD_SERVER_PORT": str(port),
        "LEAD_SERVER_EXTERNAL_URL": f"http://127.0.0.1:{port}",
        "RECORDINGS_DIR": str(tmp_path / "recordings"),
        "DATABASE_URL": f"sqlite:///{tmp_path}/calls.db",
    }
    with running("switchboard", "serve", environ=environ, log=log) as server:
        wait_for(log, "Listening on", server)
        pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
        mapped = Path(f"/proc/{server.pid}/maps").read_text()
        assert interrupt(server) == 0, log.read_text()

    reserved = [line.split()[0].split("-") for line in mapped.splitlines() if " ---p " in line]
    assert "pydantic" not in mapped
    assert max((int(stop, 16) - int(start, 16) for start, stop in reserved), default=0) < 2**25, (
        "a thread has a heap of its own"
    )
    assert pages * resource.getpagesize() < 98_000_000
