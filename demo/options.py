"""The options of the demo, checked before anything starts.

`read_options` turns words from a command line into a `Rehearsal`: the scenario with its faults, how fast, and where
the files go. Whatever is wrong is one `OptionsError` that says what to write instead.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from agents.roster import Roster, roster_from
from agents.spec import OUTBOUND
from model_settings import AGENTS, VOICE, voices_in
from setting_reader import read_one
from simulators.faults import FaultError, parse_fault
from simulators.scenario import Scenario, ScenarioError, load_scenario

SHIPPED_SCENARIO = "sale"
DEFAULT_SPEED = 8.0
DEFAULT_OUT = Path("switchboard-demo")
SLOWEST, FASTEST = 0.1, 50.0


class OptionsError(Exception):
    """The demo cannot start as asked; the message says what to change."""


@attrs.frozen
class DemoOptions:
    """The words as they were given; an empty scenario is the roster's own. `environ` says which agents there are."""

    scenario: str = ""
    speed: float = DEFAULT_SPEED
    out: Path = DEFAULT_OUT
    fault: Sequence[str] = ()
    environ: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False, eq=False)


@attrs.frozen
class Rehearsal:
    """A demo that can start; `faulty` when something goes wrong on purpose."""

    scenario: Scenario
    speed: float
    out: Path
    roster: Roster
    changes: Mapping[str, str] = attrs.field(repr=False)
    """Settings of the agents; nothing else of the user's environment is read."""


def read_options(options: DemoOptions) -> Rehearsal:
    """Check everything that can be checked beforehand; nothing is written.

    *Raises* `OptionsError`, `SettingsError`, and `RosterError` for agents that cannot be loaded.
    """
    if not SLOWEST <= options.speed <= FASTEST:
        wanted = f"a number from {SLOWEST:g} to {FASTEST:g} (1 is real time)"
        raise OptionsError(f"--speed is {options.speed:g}; give {wanted}")
    out, environ = _folder(options.out), options.environ
    roster = roster_from(read_one(environ, AGENTS), voices=voices_in(environ), human=True)
    changes = {name: value for name, value in environ.items() if name == AGENTS.name or name.endswith(VOICE)}
    demo = roster.extras.demo
    usual = demo.env if demo is not None else {}
    changes |= roster.extras.env({**usual, **environ})
    return Rehearsal(_scenario(options, roster), options.speed, out, roster, changes)


def scenario_of(given: str, roster: Roster, direction: str) -> Scenario:
    """Load the scenario that was given, or else the one that fits these agents, and check it against them.

    *Raises* `OptionsError`.
    """
    try:
        scenario = load_scenario(given or _usual_scenario(roster))
        scenario.check_agents(roster.functions)
    except ScenarioError as exc:
        raise OptionsError(str(exc)) from exc
    return scenario.knowing(roster.prompts(direction))


def _usual_scenario(roster: Roster) -> str | Path:
    if roster.extras.demo is not None:
        return Path(roster.extras.demo.scenario)
    if "agents" not in roster.entries:
        wanted = "give --scenario FILE.toml, or write DEMO = Demo(scenario='booking.toml') in the roster"
        raise OptionsError(f"these agents have no scenario of their own: {wanted}")
    return SHIPPED_SCENARIO


def _scenario(options: DemoOptions, roster: Roster) -> Scenario:
    scenario = scenario_of(options.scenario, roster, OUTBOUND)
    try:
        return attrs.evolve(scenario, faults=(*scenario.faults, *map(parse_fault, options.fault)))
    except FaultError as exc:
        raise OptionsError(str(exc)) from exc


def _folder(out: Path) -> Path:
    blocked = next((path for path in (out, *out.parents) if path.exists() and not path.is_dir()), None)
    if blocked is not None:
        raise OptionsError(f"--out is {out}, but {blocked} is a file; give a folder")
    return out
