"""What is asked of the demo, checked before anything starts.

`read_options` turns words from a command line into a `Rehearsal`: the scenario with its faults, how fast, and where
the files go. Whatever is wrong is one `OptionsError` that says what to write instead.
"""

from collections.abc import Sequence
from pathlib import Path

import attrs

from simulators.faults import FaultError, parse_fault
from simulators.scenario import Scenario, ScenarioError, load_scenario

DEFAULT_SCENARIO = "sale"
DEFAULT_SPEED = 8.0
DEFAULT_OUT = Path("switchboard-demo")
SLOWEST, FASTEST = 0.1, 50.0


class OptionsError(Exception):
    """The demo cannot start as asked; the message says what to change."""


@attrs.frozen
class DemoOptions:
    """The words as they were given."""

    scenario: str = DEFAULT_SCENARIO
    speed: float = DEFAULT_SPEED
    out: Path = DEFAULT_OUT
    fault: Sequence[str] = ()


@attrs.frozen
class Rehearsal:
    """A demo that can start; `faulty` when something goes wrong on purpose."""

    scenario: Scenario
    speed: float
    out: Path

    @property
    def faulty(self) -> bool:
        """Whether anything goes wrong on purpose."""
        return bool(self.scenario.faults)


def read_options(options: DemoOptions) -> Rehearsal:
    """Check everything that can be checked beforehand; nothing is written.

    *Raises* `OptionsError`.
    """
    if not SLOWEST <= options.speed <= FASTEST:
        wanted = f"a number from {SLOWEST:g} to {FASTEST:g} (1 is real time)"
        raise OptionsError(f"--speed is {options.speed:g}; give {wanted}")
    return Rehearsal(_scenario(options), options.speed, _folder(options.out))


def _scenario(options: DemoOptions) -> Scenario:
    try:
        scenario = load_scenario(options.scenario)
        faults = tuple(parse_fault(line) for line in options.fault)
    except (ScenarioError, FaultError) as exc:
        raise OptionsError(str(exc)) from exc
    return attrs.evolve(scenario, faults=(*scenario.faults, *faults))


def _folder(out: Path) -> Path:
    blocked = next((path for path in (out, *out.parents) if path.exists() and not path.is_dir()), None)
    if blocked is not None:
        raise OptionsError(f"--out is {out}, but {blocked} is a file; give a folder")
    return out
