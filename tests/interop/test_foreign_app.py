"""A program of the official clients alone holds a whole call with `switchboard simulate` and its flags."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import orjson
import pytest
import trio

ROOT = Path(__file__).parents[2]
ACCOUNT, TOKEN = "AC" + "0" * 32, "simulated-auth-token"
SCENARIO = """
name = "foreign"
description = "A caller is handed on once."
[caller]
hangs_up = false
[[caller.line]]
says = "Yes, put me through."
[[caller.line]]
says = "That is all, thank you."
[agents.qualifier]
[[agents.qualifier.turn]]
hears = "yes put me through"
calls = [{ name = "handoff_to_next_agent", arguments = { reason = "wants advice" } }]
[agents.advisor]
[[agents.advisor.turn]]
hears = "that is all thank you"
says = ["Goodbye."]
calls = [{ name = "end_conversation", arguments = { reason = "task_complete" } }]
"""
FLAGS = {
    "deepgram": ("--no-end-of-turn", "--no-latency-reports", "--any-flux-version"),
    "twilio": ("--plaintext-streams",),
}


@asynccontextmanager
async def simulated(service: str, scenario: Path) -> AsyncIterator[dict[str, str]]:
    """Run a simulator by the command line, and give the settings that it prints."""
    command = [sys.executable, "-m", "cli", "simulate", service, "--tls", "--scenario", str(scenario), *FLAGS[service]]
    async with trio.open_nursery() as nursery:
        run = partial(trio.run_process, command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
        process: trio.Process = await nursery.start(run)
        assert process.stdout is not None
        said = ""
        while "SSL_CERT_FILE=" not in said or not said.endswith("\n"):
            said += (await process.stdout.receive_some()).decode()
        yield dict(line.split("=", 1) for line in said.splitlines())
        assert process.poll() is None, "the simulator has survived its client"
        nursery.cancel_scope.cancel(reason="test over")


@pytest.mark.real_time
async def test_a_program_of_the_official_clients_holds_a_whole_call(tmp_path: Path) -> None:
    scenario = tmp_path / "foreign.toml"
    scenario.write_text(SCENARIO)
    async with simulated("deepgram", scenario) as deepgram, simulated("twilio", scenario) as twilio:
        trusted = {"SSL_CERT_FILE": twilio["SSL_CERT_FILE"], "REQUESTS_CA_BUNDLE": twilio["SSL_CERT_FILE"]}
        origin = deepgram["DEEPGRAM_AGENT_URL"].removesuffix("/v1/agent/converse")
        app = [sys.executable, "-m", "tests.interop.foreign_app", twilio["TWILIO_API_URL"], origin, ACCOUNT, TOKEN]
        with trio.fail_after(50):
            done = await trio.run_process(app, cwd=ROOT, capture_stdout=True, env={**os.environ, **trusted})

    seen = orjson.loads(done.stdout)
    assert seen["texts"] == [
        ["qualifier", "assistant", "This is the qualifier."],
        ["qualifier", "user", "Yes, put me through."],
        ["advisor", "assistant", "This is the advisor."],
        ["advisor", "user", "That is all, thank you."],
        ["advisor", "assistant", "Goodbye."],
    ]
    assert seen["status"] == "completed"
    assert not {"EndOfTurn", "LatencyReport", "Error"} & set(seen["kinds"])
