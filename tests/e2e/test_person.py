"""Calls that are put through to a person, over real sockets: webhooks, whisper, key, and a second stream of a call."""

from pathlib import Path

import attrs
import pytest

from actors import facts
from simulators.pacing import PacedClock
from simulators.scenario import Human, load_scenario
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.log import PersonActed
from store.records import CallRecord
from tests.e2e.line import Line, open_line

pytestmark = pytest.mark.real_time

SCENARIO = load_scenario(Path(__file__).with_name("person.toml"))
TAKES = Human(after=1.0, talks=1.0)


async def carried(folder: Path, human: Human, mode: str) -> tuple[Line, SimulatedCall, CallRecord]:
    async with open_line(folder, attrs.evolve(SCENARIO, human=human), TRANSFER_MODE=mode, MAX_CALLS="1") as line:
        call = line.call_in()
        await line.wait_over(call)

        record = await line.record_of(call)
        assert (await line.operator.get("/readyz")).is_success, "the line is free again"
    return line, call, record


@pytest.mark.parametrize("mode", ["cold", "warm"])
async def test_a_person_takes_the_call(mode: str, tmp_path: Path, fast_clock: PacedClock) -> None:
    _, call, record = await carried(tmp_path, TAKES, mode)

    assert (record.outcome, record.transfers[0].outcome) == ("transferred", "answered")
    assert [stream.how for stream in call.streams] == ["stopped"]
    assert ("pressed 1" in [entry.did for entry in call.log.of(PersonActed)]) == (mode == "warm")


@pytest.mark.parametrize(
    ("human", "mode"),
    [(Human(answers="busy", after=0.5), "cold"), (Human(after=0.5, presses="2"), "warm")],
    ids=["cold", "warm"],
)
async def test_nobody_takes_it_and_the_agent_takes_the_caller_back(
    human: Human, mode: str, tmp_path: Path, fast_clock: PacedClock
) -> None:
    line, call, record = await carried(tmp_path, human, mode)

    assert (record.outcome, len(call.streams)) == ("completed", 2)
    assert [turn.text for turn in record.transcript if turn.speaker == "caller"] == [
        "A person, please.",
        "All right, goodbye.",
    ]
    assert [period.agent for period in record.agents] == ["qualifier", "qualifier"]
    assert (len(line.facts(facts.CallParked)), len(line.facts(facts.CallEnded))) == (1, 1)
