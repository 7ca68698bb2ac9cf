"""A demo on a machine that stands still again and again: it takes longer, and what is said in it is heard."""

import io
from functools import partial
from pathlib import Path
from time import perf_counter

import attrs
import pytest
import trio
from rich.console import Console

from demo.options import DemoOptions
from demo.run import SUCCEEDED, run_demo
from simulators.pacing import PacedClock

SHORT = Path(__file__).parents[1] / "e2e" / "short.toml"


@attrs.define(eq=False)
class StandingStill(trio.abc.Instrument):
    """A machine whose clock runs on for `seconds` at every 50th step of a task, and at every 50th wait."""

    seconds: float
    _passed: float = attrs.field(default=0.0, init=False)
    _steps: int = attrs.field(default=0, init=False)
    _waits: int = attrs.field(default=0, init=False)

    def read(self) -> float:
        return perf_counter() + self._passed

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        self._steps += 1
        self._passed += self.seconds if self._steps % 50 == 0 else 0

    def after_io_wait(self, _timeout: float) -> None:
        self._waits += 1
        self._passed += self.seconds if self._waits % 50 == 0 else 0


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 5.0])
def test_a_demo_on_a_machine_that_stands_still_goes_as_its_scenario_says(seconds: float, tmp_path: Path) -> None:
    machine, said = StandingStill(seconds), io.StringIO()
    play = partial(run_demo, DemoOptions(str(SHORT), out=tmp_path), Console(file=said, width=160))

    status = trio.run(play, clock=PacedClock(8.0, machine.read), instruments=[machine])

    assert status == SUCCEEDED, said.getvalue()
