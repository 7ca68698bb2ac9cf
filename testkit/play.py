"""Play a whole call and judge it: `play` is what tests of a roster call.

The real actors talk to simulated services under trio's mock clock; when the call is over, the oracle reads what is left
of it. `play` owns no expectation of one scenario: those are methods of the `PlayedCall` that it returns.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Final, TypeAlias

import structlog
import trio
from trio.testing import MockClock

from actors.call_services import CallPlan
from actors.policy import CallPolicy, Numbers
from actors.turn_driver import Clips
from agents.roster import Roster, load_roster, roster_from
from agents.spec import INBOUND, OUTBOUND, AgentSpec
from simulators.deepgram import DeepgramKnobs
from simulators.scenario import Scenario, load_scenario
from simulators.speech import synthesise
from testkit import harness
from testkit.excuses import excused_by_faults
from testkit.functions import Double, watched, with_doubles
from testkit.oracle import PROMISES, check
from testkit.played_call import PLAYED, PlayedCall
from testkit.roster_rules import OF_ENGLISH, RULES, find_bad_manners
from testkit.step_watch import SpinWatch, instrumented
from testkit.transcript import PromiseBroken

RosterLike: TypeAlias = Roster | str | ModuleType | Sequence[str | ModuleType | AgentSpec]
ScenarioLike: TypeAlias = Scenario | str | Path
Excused: TypeAlias = Mapping[int | str, str]

BUNDLE: Final = 8
POLICY: Final = CallPolicy(numbers=Numbers(chunk_frames=BUNDLE))
LONGEST: Final = 3600.0
"""Seconds of the mock clock after which a call is given up."""
LINE: Final = "+15550009999"
"""Our number, unless a test says another."""
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
    line: str = LINE,
    agents: str = "",
    metadata: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    policy: CallPolicy = POLICY,
    knobs: DeepgramKnobs = harness.KNOBS,
    excused: Excused | None = None,
) -> PlayedCall:
    """Play a scenario with a roster, and check the promises.

    `functions` puts doubles in the place of handlers by name; the others are the roster's own. `faults` are lines such
    as "deepgram: drop after 8 s". `line` is our number, which `AGENTS_INBOUND` looks up; `agents` and `metadata` are
    what an order has; `env` are settings of the functions, over those of the roster's `DEMO`. `excused` names what this
    call need not keep (a promise by its number, or a rule by its name, such as "consent"), each with the reason.

    *Raises* `PromiseBroken` with a sentence for everything that is broken, `CannotPlay` without the mock clock and for
    a name that there is not, and `ScenarioError`.
    """
    script = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    played = with_doubles(roster_of(roster), functions or {})
    script.check_agents(played.functions)
    _refuse_twins(script.knowing(played.prompts(direction)), played)
    _check(direction, agents, excused or {}, played)
    env = {**(demo.env if (demo := played.extras.demo) else {}), **(env or {})}
    call = PlayedCall(script=script, policy=policy, roster=played, bundle=BUNDLE, slice_ms=knobs.slice_ms, env=env)
    call.records.root = trio.lowlevel.current_task()
    PLAYED.append(call)
    with structlog.testing.capture_logs() as logs, trio.fail_after(LONGEST), instrumented(SpinWatch()):
        await harness.play(
            script,
            faults,
            plan=CallPlan("", "", direction, line=line, agents=agents, metadata=metadata or {}),
            roster=watched(played, call.runs, call.blocks, call.failures, functions or ()),
            knobs=knobs,
            bundle=BUNDLE,
            played=call,
            policy=policy,
            rng=Random(seed),
            clips=filler_clips(played),
            env=env,
            transfers=call.line,
        )
    call.logs, call.longest = logs, PATIENCE + call.expected_seconds
    judge(call, excused or {})
    return call


def _check(direction: str, agents: str, excused: Excused, roster: Roster) -> None:
    if not trio.lowlevel.in_trio_run():
        raise CannotPlay(
            "play() runs in trio: leave the test without a mark of asyncio or anyio, in their strict modes"
        )
    if not isinstance(trio.lowlevel.current_clock(), MockClock):
        raise CannotPlay(
            "play() needs trio's mock clock: leave the test without a mark of anyio, or with pytest-trio ask for "
            "autojump_clock"
        )
    _refuse_unknown("direction", [direction], [INBOUND, OUTBOUND])
    _refuse_unknown("agents", filter(None, [agents]), roster.beginners)
    _refuse_unknown("excused", excused, [*PROMISES, *RULES])
    for name in excused:
        if not (isinstance(excused, Mapping) and str(excused[name]).strip()):
            raise CannotPlay(f"play(excused=…): {name!r} has no reason; write excused={{{name!r}: 'why'}}")


def _refuse_twins(script: Scenario, roster: Roster) -> None:
    """Refuse a soft handoff to an agent that the simulated service, which goes by prompts, cannot tell from another."""
    marks = {name: agent.prompt_contains for name, agent in script.agents.items()}
    soft = sorted({str(edge) for one in roster.agents.values() for edge in one.hands_to if one.hands_softly_to(edge)})
    for name in soft:
        twin = next((other for other, mark in marks.items() if other != name and mark == marks.get(name)), None)
        if twin is not None:
            fix = "change a word of one, or give one `prompt_contains` in the scenario"
            raise CannotPlay(f"{name!r} takes over softly and has the prompt of {twin!r}, by which it is known: {fix}")


def _refuse_unknown(argument: str, given: Iterable[int | str], known: Iterable[int | str]) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            there_are = ", ".join(sorted(map(str, names)))
            raise CannotPlay(f"play({argument}=…): there is no {name!r}; there are {there_are}")


def judge(call: PlayedCall, excused: Excused) -> None:
    """Raise `PromiseBroken` if a promise, or the manners of a call, are broken and not excused."""
    numbers = {name for name in excused if isinstance(name, int)}
    words = {name for name in (*excused, *excused_by_faults(call)) if isinstance(name, str)}
    call.broken = [*check(call, excused=numbers), *find_bad_manners(call, excused=words)]
    if call.broken:
        raise PromiseBroken(call.broken, call.transcript, _how_to_excuse(call.broken))


def _how_to_excuse(broken: Iterable[str]) -> str:
    """Say what a test does about a rule of the roster's that does not hold for it."""
    found = (sentence.partition(":")[0] for sentence in broken)
    names = [name for name in found if name in RULES and name not in {"handler", "secrets"}]
    if not names:
        return ""
    ends = "A call that is to end otherwise says so: conversation(…, ends='caller_silent'), or `ends` in the file. "
    english = "Rules such as consent judge English words. "
    told = ends if "script" in names else english if OF_ENGLISH & {*names} else ""
    return f"{told}To leave one out: play(…, excused={{{names[0]!r}: 'why'}})."


def roster_of(roster: RosterLike, *, human: bool = True) -> Roster:
    """Load a roster: as AGENTS names it (several with commas), a module with `ROSTER`, or a list of agents.

    As in a demo there is a person to whom a call can be put through, unless `human` is false.

    *Raises* `RosterError`.
    """
    if isinstance(roster, Roster):
        return roster
    if isinstance(roster, str):
        return roster_from([source for part in roster.split(",") if (source := part.strip())], human=human)
    if isinstance(roster, ModuleType):
        return roster_from([roster.__name__], human=human)
    return load_roster(roster, human=human)


def filler_clips(roster: Roster) -> Clips:
    """Make the clips that the server would have fetched: the filler, in every agent's voice."""
    wanted = dict.fromkeys((agent.voice, agent.sentences.filler) for agent in roster.agents.values())
    return {(voice, text): synthesise(text, voice).audio for voice, text in wanted}
