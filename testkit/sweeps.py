"""A call of one's own under every fault, and hung up on at any step: parametrisations for pytest.

`every_fault` and `every_step` give a test a `struck` call, which it plays; the oracle is on. What a far end makes
impossible (a goodbye that it never sends) is excused, and nothing else.
"""

from collections.abc import Mapping
from random import Random
from typing import Final, Literal, TypeAlias

import attrs
import pytest
import trio

from actors import facts
from agents.spec import OUTBOUND
from testkit.functions import Double
from testkit.play import LINE, RosterLike, ScenarioLike, play
from testkit.played_call import PLAYED, PlayedCall
from testkit.step_watch import instrumented

Blow: TypeAlias = Literal["hangs up", "drops the line"]

KINDS: Final = (
    *("drop", "silent drop", "stall", "mute", "garbage", "error INTERNAL_SERVER_ERROR", "close 1000", "close 1011"),
)
SHARES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
WHOLE: Final = (
    *("deepgram: refuse connect 2 times 1", "deepgram: slow settings 2 s", "deepgram: slow think 2 s"),
    *("deepgram: slow tts 2 s", "groq: 429", "groq: 500", "groq: hang", "groq: garbage"),
    *("twilio: jitter 60 ms", "twilio: duplicate start", "twilio: bad frames 3"),
)


@attrs.frozen(eq=False)
class PlannedCall:
    """A call to be struck."""

    roster: RosterLike
    scenario: ScenarioLike
    functions: Mapping[str, Double] | None = None
    direction: str = OUTBOUND
    line: str = LINE
    agents: str = ""
    metadata: Mapping[str, object] | None = None
    env: Mapping[str, str] | None = None

    async def play(self, *faults: str, excused: Mapping[int | str, str] | None = None) -> PlayedCall:
        """Play it with these faults."""
        given = {field.name: getattr(self, field.name) for field in attrs.fields(PlannedCall)}
        return await play(faults=faults, excused=excused, **given)


@attrs.frozen
class Struck:
    """A call with one fault, at a share of its length; or on which the caller leaves, at a share of its steps."""

    call: PlannedCall
    what: str
    share: float | None = None
    blow: Blow | None = None
    note: str = ""

    def __str__(self) -> str:
        """Name the case."""
        when = "" if self.share is None else f" at {self.share:.0%}"
        return f"{self.what}{when}{self.note}"

    async def play(self, excused: Mapping[int | str, str] | None = None) -> PlayedCall:
        """Play the call, and strike."""
        if self.blow is not None:
            return await self._leave(self.blow, excused)
        if self.share is None:
            return await self.call.play(self.what, excused=excused)
        whole = await self.call.play(excused=excused)
        at = self.share * whole.the_record.duration
        ready = [entry.at for entry in whole.entries if isinstance(entry.fact, facts.SessionReady) and entry.at <= at]
        after, connection = at - (ready[-1] if ready else 0.0), max(1, len(ready))
        fault = f"deepgram: {self.what} after {after:.3f} s on connection {connection}"
        return await self.call.play(fault, excused=excused)

    async def _leave(self, blow: Blow, excused: Mapping[int | str, str] | None) -> PlayedCall:
        count = Striker(None, blow)
        with instrumented(count):
            await self.call.play(excused=excused)
        excused = {**(excused or {}), "script": "the caller leaves"}
        striker = Striker(max(1, round((self.share or 0.0) * count.steps)), blow)
        with instrumented(striker):
            return await self.call.play(excused=excused)


@attrs.define(eq=False)
class Striker(trio.abc.Instrument):
    """Counts the steps of a call's actors, and has the caller leave right before one of them."""

    at: int | None
    blow: Blow
    steps: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count a step, and strike if it is the one."""
        if not task.name.startswith("actors."):
            return
        self.steps += 1
        if self.steps == self.at and (caller := PLAYED[-1].caller) is not None:
            if self.blow == "hangs up":
                caller.stop()
            else:
                caller.drop()


def every_fault(call: PlannedCall, *, sample: int | None = None, seed: int = 0) -> pytest.MarkDecorator:
    """Give a test the call under every fault, as `struck`; or under a sample, which the names of the tests say."""
    cases = [Struck(call, kind, share) for kind in KINDS for share in SHARES] + [Struck(call, line) for line in WHOLE]
    if sample is not None and sample < len(cases):
        note = f" ({sample} of {len(cases)}, seed {seed})"
        cases = [attrs.evolve(case, note=note) for case in Random(seed).sample(cases, sample)]
    return pytest.mark.parametrize("struck", cases, ids=str)


def every_step(call: PlannedCall, *, sample: int = 60, seed: int = 0) -> pytest.MarkDecorator:
    """Give a test the call, left by its caller at a seeded sample of its scheduler steps, as `struck`."""
    rng, blows = Random(seed), ("hangs up", "drops the line")
    cases = [
        Struck(call, f"the caller {blow}", rng.random(), "hangs up" if blow == "hangs up" else "drops the line",
               f" of the steps ({number + 1} of {sample}, seed {seed})")
        for number in range(sample)
        for blow in [blows[number % 2]]
    ]  # fmt: skip
    return pytest.mark.parametrize("struck", cases, ids=str)
