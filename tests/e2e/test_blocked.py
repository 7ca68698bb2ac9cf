"""A handler that blocks the event loop of a real server, on the real clock: told while it does, and run once."""

import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog
import trio

from agents.functions import Answer, CallContext, FunctionSpec, Outcome
from agents.roster import Roster, load_roster
from agents.spec import AgentSpec
from tests.e2e.line import open_line
from tests.faults.short import ROSTER, SHORT, NoArguments

pytestmark = pytest.mark.real_time

BLOCKS = 5.0


def roster_with(look_up: FunctionSpec) -> Roster:
    def changed(agent: AgentSpec) -> AgentSpec:
        functions = tuple(look_up if one.name == "look_up" else one for one in agent.functions)
        return attrs.evolve(agent, functions=functions)

    return load_roster([changed(agent) for agent in ROSTER.agents.values()])


async def test_five_seconds_of_sleep_are_reported_within_one_and_the_function_runs_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    began: list[float] = []
    told: list[tuple[float, MutableMapping[str, Any]]] = []

    async def look_up(arguments: NoArguments, context: CallContext) -> Outcome:
        await trio.lowlevel.checkpoint()
        began.append(time.monotonic())
        time.sleep(BLOCKS)  # noqa: ASYNC251 - the fault that is looked for
        return Answer({"found": True})

    def note(_logger: object, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        told.append((time.monotonic(), line))
        raise structlog.DropEvent

    structlog.configure(processors=[note])
    roster = roster_with(FunctionSpec("look_up", "Looks something up.", NoArguments, look_up, deadline=20.0))
    monkeypatch.setattr("web.services.roster_of", lambda _: roster)
    async with open_line(tmp_path, SHORT) as line:
        call = line.call_in()
        await line.wait_over(call)
        record = await line.record_of(call)

    reports = [(at, line) for at, line in told if line["event"] == "event_loop_blocked" and "handler" in line]
    first, report = reports[0]
    assert 1 == len(began)
    assert first - began[0] < 1.0
    assert "look_up" == report["handler"]
    assert "time.sleep(BLOCKS)" in report["at"]
    assert 4 <= len(reports) <= 6  # once a second
    assert [function.name for function in record.functions].count("look_up") == 1
