"""Each option of the demo is checked before anything starts, and every mistake says how to mend it."""

import inspect
import io
import math
from pathlib import Path

import pytest
from rich.console import Console

import cli
from agents.roster import default_roster
from agents.spec import INBOUND, OUTBOUND
from demo.options import DEFAULT_OUT, DEFAULT_SPEED, DemoOptions, OptionsError, read_options, scenario_of
from demo.run import MISUSED, main
from simulators.scenario import shipped_scenarios


def refused(options: DemoOptions) -> str:
    with pytest.raises(OptionsError) as caught:
        read_options(options)
    return str(caught.value)


def test_default_is_the_sale_at_eight_times_real_time() -> None:
    rehearsal = read_options(DemoOptions())

    assert (rehearsal.scenario.name, rehearsal.speed, rehearsal.out) == ("sale", 8.0, DEFAULT_OUT)


@pytest.mark.parametrize("name", shipped_scenarios())
def test_every_shipped_scenario_can_be_played(name: str) -> None:
    assert read_options(DemoOptions(scenario=name)).scenario.name == name


def test_scenario_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\n[caller]\n[[caller.line]]\nsays = "Hello."\n[agents.qualifier]\n')

    assert read_options(DemoOptions(scenario=str(file))).scenario.name == "mine"


def test_faults_are_added_to_the_scenarios_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nfaults = ["groq: 429"]\n[caller]\n[agents.qualifier]\n')

    rehearsal = read_options(DemoOptions(scenario=str(file), fault=["deepgram: drop after 8 s"]))

    assert [fault.line for fault in rehearsal.scenario.faults] == ["groq: 429", "deepgram: drop after 8 s"]


@pytest.mark.parametrize("direction", [INBOUND, OUTBOUND])
def test_an_agent_that_takes_a_session_over_is_known_by_its_prompt(direction: str) -> None:
    roster = default_roster()
    scenario = scenario_of("", roster, direction)

    found = [scenario.agent_for((), agent.prompt_with(None, direction)) for agent in roster.agents.values()]

    assert [agent and agent.name for agent in found] == list(roster.agents)


def test_misspelt_scenario_is_put_right() -> None:
    assert "did you mean 'sale'?" in refused(DemoOptions(scenario="sales"))


def test_scenario_with_a_mistake_names_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[caller]\nvoise = "caller-1"\n')

    message = refused(DemoOptions(scenario=str(file)))

    assert "mine.toml" in message
    assert "voise" in message


def test_misspelt_fault_is_put_right() -> None:
    assert "did you mean" in refused(DemoOptions(fault=["deepgram: dropp after 8 s"]))


@pytest.mark.parametrize("speed", [0.0, -1.0, 1000.0, math.nan, math.inf])
def test_speed_out_of_range_is_refused(speed: float) -> None:
    assert "give a number from 0.1 to 50 (1 is real time)" in refused(DemoOptions(speed=speed))


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a file")

    assert "is a file; give a folder" in refused(DemoOptions(out=tmp_path / "there" / "demo"))


def test_nothing_is_written_while_options_are_checked(tmp_path: Path) -> None:
    read_options(DemoOptions(out=tmp_path / "demo"))

    assert list(tmp_path.iterdir()) == []


def test_mistake_ends_the_demo_with_one_plain_sentence(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80)

    status = main(DemoOptions(scenario="sales", out=tmp_path / "demo"), console)

    assert status == MISUSED
    assert isinstance(console.file, io.StringIO)
    assert len(console.file.getvalue().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_says_the_same_speed() -> None:
    assert inspect.signature(cli.demo).parameters["speed"].default == DEFAULT_SPEED
