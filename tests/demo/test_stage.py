"""The work before the call costs the call nothing, and asks nobody."""

from trio.testing import MockClock

from agents.roster import default_roster
from demo.stage import rehearse_speech, warm_up
from simulators.scenario import load_scenario
from simulators.speech import synthesise


def test_lines_of_the_scenario_are_synthesised_once() -> None:
    scenario = load_scenario("sale")

    rehearse_speech(scenario, default_roster())

    first = scenario.caller.lines[0].says or ""
    assert synthesise(first, scenario.caller.voice) is synthesise(first, scenario.caller.voice)


async def test_warming_up_needs_no_network_and_no_time(autojump_clock: MockClock) -> None:
    began = autojump_clock.current_time()

    await warm_up(load_scenario("busy_caller"), default_roster())

    assert autojump_clock.current_time() == began
