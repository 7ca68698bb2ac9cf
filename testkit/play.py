"""Play a whole call and judge it: `play` is what tests of a roster call.

The real actors talk to simulated services under trio's mock clock; when the call is over, the oracle reads what is left
of it. `play` owns no expectation of one scenario: those are methods of the `PlayedCall` that it returns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, TypeAlias

import structlog
import trio
from trio.testing import MockClock

from actors.clips import ClipBook
from actors.policy import CallPolicy, Numbers
from agents.roster import Roster, load_roster, roster_from
from agents.spec import OUTBOUND, AgentSpec
from simulators.deepgram import DeepgramKnobs
from simulators.scenario import Scenario, load_scenario
from simulators.speech import synthesise
from testkit import harness
from testkit.excuses import excused_by_faults
from testkit.functions import Double, watched, with_doubles
from testkit.manners import find_bad_manners
from testkit.oracle import check
from testkit.played_call import PLAYED, PlayedCall
from testkit.transcript import PromiseBroken

RosterLike: TypeAlias = Roster | str | ModuleType | Sequence[str | ModuleType | AgentSpec]
ScenarioLike: TypeAlias = Scenario | str | Path
Excused: TypeAlias = Mapping[int | str, str]

BUNDLE: Final = 8
SLICE_MS: Final = 160
LONGEST: Final = 3600.0
"""Seconds of the mock clock after which a call is given up."""
PATIENCE: Final = 60.0
"""Seconds beyond what is said that a call may take, whatever goes wrong."""


class CannotPlay(Exception):
    """A call cannot be played like this; the message says what to change."""


async def play(
    roster: RosterLike,
    scenario: ScenarioLike,
    faults: Sequence[str] = (),
    *,
    seed: int = 0,
    functions: Mapping[str, Double] | None = None,
    direction: str = OUTBOUND,
    policy: CallPolicy | None = None,
    knobs: DeepgramKnobs | None = None,
    excused: Excused | None = None,
) -> PlayedCall:
    """Play a scenario with a roster, and check the promises.

    `functions` puts doubles in the place of handlers by name; the others are the roster's own. `faults` are lines such
    as "deepgram: drop after 8 s". `excused` names what this call need not keep (a promise by its number, or "consent",
    "goodbye", "answer", "facts"), each with the reason.

    *Raises* `PromiseBroken` with a sentence for everything that is broken, and `CannotPlay` without the mock clock.
    """
    if not isinstance(trio.lowlevel.current_clock(), MockClock):
        raise CannotPlay("play() needs trio's mock clock: with pytest-trio, let the test ask for autojump_clock")
    script = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    agents = with_doubles(roster_of(roster), functions or {})
    policy = policy or CallPolicy(numbers=Numbers(chunk_frames=BUNDLE))
    knobs = knobs or DeepgramKnobs(slice_ms=SLICE_MS)
    call = PlayedCall(script=script, policy=policy, roster=agents, bundle=BUNDLE, slice_ms=knobs.slice_ms)
    call.records.root = trio.lowlevel.current_task()
    PLAYED.append(call)
    with structlog.testing.capture_logs() as logs, trio.fail_after(LONGEST):
        await harness.play(
            script,
            faults,
            roster=watched(agents, call.runs, call.blocks),
            policy=policy,
            knobs=knobs,
            seed=seed,
            bundle=BUNDLE,
            clips=filler_clips(agents, policy),
            played=call,
            direction=direction,
        )
    call.logs = logs
    call.longest = PATIENCE + call.expected_seconds
    judge(call, excused or {})
    return call


def judge(call: PlayedCall, excused: Excused) -> None:
    """Raise `PromiseBroken` if a promise, or the manners of a call, are broken and not excused."""
    numbers = {name for name in excused if isinstance(name, int)}
    words = {name for name in (*excused, *excused_by_faults(call)) if isinstance(name, str)}
    call.broken = [*check(call, excused=numbers), *find_bad_manners(call, excused=words)]
    if call.broken:
        raise PromiseBroken(call.broken, call.transcript)


def roster_of(roster: RosterLike) -> Roster:
    """Load a roster: as AGENTS names it, a module with `ROSTER`, or a list of agents.

    *Raises* `RosterError`.
    """
    if isinstance(roster, Roster):
        return roster
    if isinstance(roster, str):
        return roster_from([roster])
    return roster_from([roster.__name__]) if isinstance(roster, ModuleType) else load_roster(roster)


def filler_clips(roster: Roster, policy: CallPolicy) -> ClipBook:
    """Make the clips that the server would have fetched: the filler, in every agent's voice."""
    clips = ClipBook()
    for voice in {agent.voice for agent in roster.agents.values()}:
        clips.put(voice, synthesise(policy.wording.filler, voice).audio)
    return clips
