"""A short call to throw faults into: its roster, its phases, and what was witnessed of it from outside.

`throw` plays `short.toml` through the real actors under a clock of its own, coarsely (200 ms of either side at a
time), so that hundreds of calls take seconds. `Witnessed` is what the oracle reads.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random

import attrs
import structlog
import trio
from trio.testing import MockClock

from actors import facts
from actors.policy import CallPolicy, Numbers, SummaryMode
from actors.turn_driver import Clips
from agents.functions import END_CONVERSATION, Answer, CallContext, FunctionSpec, Outcome, handoff_to_next_agent
from agents.roster import Roster, load_roster
from agents.sentences import ENGLISH
from agents.spec import AgentSpec, soft
from simulators.deepgram import DeepgramKnobs
from simulators.scenario import Scenario, load_scenario
from simulators.speech import synthesise
from testkit.harness import play
from testkit.witness import Witnessed, ordered_by
from web.calls.slots import Slots

SHORT = load_scenario(Path(__file__).with_name("short.toml"))
BUNDLE = 10
POLICY = CallPolicy(summary_mode=SummaryMode.ON_HANDOFF, numbers=Numbers(chunk_frames=BUNDLE))
"""The Brief is asked for at the handoff, so that there is a moment before it."""
KNOBS = DeepgramKnobs(slice_ms=200)
LONGEST = 300.0


@attrs.frozen
class NoArguments:
    """Nothing to say."""


async def _look_up(arguments: NoArguments, context: CallContext) -> Outcome:
    await trio.sleep(0.6)
    return Answer({"found": True}, {"need": "help"})


LOOK_UP = FunctionSpec("look_up", "Looks something up.", NoArguments, _look_up)


def _agent(name: str, greeting: str, voice: str, functions: tuple[FunctionSpec, ...], *hands_to: str) -> AgentSpec:
    return AgentSpec(name, name, f"You are the {name}.", greeting, voice, functions, hands_to)


ROSTER = load_roster(
    [
        _agent(
            "first",
            "Acme, good morning.",
            "aura-2-mars-en",
            (LOOK_UP, handoff_to_next_agent("second"), END_CONVERSATION),
            "second",
        ),
        _agent("second", "Hello, what can I do?", "aura-2-thalia-en", (LOOK_UP, END_CONVERSATION)),
    ]
)


SOFT = load_roster([attrs.evolve(ROSTER.agents["first"], hands_to=(soft("second"),)), ROSTER.agents["second"]])
"""The same two agents, on one session."""


@cache
def filler_clips(*voices: str) -> Clips:
    """Make the clips that the web layer would have fetched."""
    clips = Clips()
    for voice in voices or [agent.voice for agent in ROSTER.agents.values()]:
        clips[voice, ENGLISH.filler] = synthesise(ENGLISH.filler, voice).audio
    return clips


def throw(
    faults: Sequence[str] = (),
    *,
    policy: CallPolicy = POLICY,
    script: Scenario = SHORT,
    knobs: DeepgramKnobs = KNOBS,
    stop_at: float | None = None,
    seed: int = 0,
    order: int = 0,
    prompt: bool = True,
    roster: Roster = ROSTER,
) -> Witnessed:
    """Play the short call with faults; `stop_at`: the caller hangs up after so many seconds.

    `seed` is the call's own, `order` that of the scheduler: with both, a call can be played again as it was. Where
    sockets are not `prompt`, each message is a step of the scheduler, too.
    """
    slots = Slots(1)
    done = Witnessed(script=script, policy=policy, slots=slots, bundle=BUNDLE)

    async def stop() -> None:
        if stop_at is not None:
            await trio.sleep(stop_at)
            done.line.stop()

    async def main() -> None:
        with trio.fail_after(LONGEST):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stop, name="the caller hangs up")
                with slots.take("the call"):
                    await play(
                        script,
                        faults,
                        policy=policy,
                        knobs=knobs,
                        roster=roster,
                        rng=Random(seed),
                        bundle=BUNDLE,
                        prompt=prompt,
                        played=done,
                        clips=filler_clips(),
                    )
                nursery.cancel_scope.cancel(reason="call over")

    with structlog.testing.capture_logs() as logs, ordered_by(order):
        try:
            trio.run(main, clock=MockClock(autojump_threshold=0))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the oracle is to see
            done.escaped = error
    done.logs = logs
    return done


SOFT_PHASES = (
    "soft handoff before the Brief",
    "UpdateThink sent",
    "UpdateSpeak sent",
    "greeting asked for",
    "second greeting",
    "caller speaking to the second softly",
)
"""The phases of a soft handoff, and of the session behind it."""
PHASES = (
    "connecting",
    "greeting",
    "caller speaking",
    "model thinking",
    "function running",
    "agent speaking",
    "handoff before the Brief",
    "handoff after the Brief",
    "handoff in place of Settings",
    "handoff after Settings",
    "caller speaking to the second",
    "second speaking",
    "goodbye",
    "hanging up",
)
"""The phases of a call."""


@attrs.frozen
class Moment:
    """When a phase can be met: seconds of the call, and for a Deepgram fault the connection and its own seconds."""

    at: float
    connection: int
    after: float | None
    """Since SettingsApplied; None: in place of it."""

    def __str__(self) -> str:
        """Write it as a fault line's ending."""
        return f"{self.into} on connection {self.connection}"

    @property
    def into(self) -> str:
        """The same on any connection."""
        return "" if self.after is None else f" after {self.after:.3f} s"


@cache
def moments() -> Mapping[str, Moment]:
    """Return the phases of the short call, read off the journal of a call in which nothing goes wrong."""
    played = throw()
    first, second = played.times(facts.SessionReady)

    def early(at: float) -> Moment:
        return Moment(at, 1, at - first)

    def late(at: float) -> Moment:
        return Moment(at, 2, at - second)

    def when(kind: type[facts.Fact]) -> float:
        return played.times(kind)[0]

    def amid(agent: str, text: str) -> float:
        ended = next(fact for fact in played.facts(facts.ReplyEnded) if text in fact.text)
        spoke = next(fact for fact in played.facts(facts.AgentSpoke) if fact.generation == ended.generation)
        return (spoke.start + spoke.end) / 2

    spoken = [(fact.start + fact.end) / 2 for fact in played.facts(facts.CallerSpoke)]
    asked, briefed = when(facts.HandoffAsked), when(facts.BriefReady)
    met = {
        "connecting": Moment(first / 2, 1, None),
        "greeting": early(amid("first", "Acme")),
        "caller speaking": early(spoken[0]),
        "model thinking": early(when(facts.TurnHeard) + 0.2),
        "function running": early(when(facts.FunctionCalled) + 0.3),
        "agent speaking": early(amid("first", "Shall I")),
        "handoff before the Brief": early((asked + briefed) / 2),
        "handoff after the Brief": early((briefed + second) / 2),
        "handoff in place of Settings": Moment((briefed + second) / 2, 2, None),
        "handoff after Settings": late(second + 0.05),
        "caller speaking to the second": late(spoken[2]),
        "second speaking": late(amid("second", "We open")),
        "goodbye": late((when(facts.GoodbyeStarted) + when(facts.GoodbyeHeard)) / 2),
        "hanging up": late(when(facts.GoodbyeHeard) + 0.02),
    }
    assert tuple(met) == PHASES
    return met


@cache
def soft_moments() -> Mapping[str, Moment]:
    """Return the same of a soft handoff."""
    played = throw(roster=SOFT)
    (ready,) = played.times(facts.SessionReady)
    (asked,), (briefed,) = played.times(facts.HandoffAsked), played.times(facts.BriefReady)
    (committed,), spoken = played.times(facts.HandoffCommitted), played.facts(facts.CallerSpoke)[2]
    greeted = next(fact.start for fact in played.facts(facts.AgentSpoke) if fact.agent == "second")
    at = (
        (asked + briefed) / 2,
        briefed + KNOBS.update_ack / 2,
        briefed + KNOBS.update_ack * 3 / 2,
        (committed + greeted) / 2,
        greeted + 0.3,
        (spoken.start + spoken.end) / 2,
    )
    return {phase: Moment(each, 1, each - ready) for phase, each in zip(SOFT_PHASES, at, strict=True)}


def timed(line: str) -> str:
    """Put the time of a phase where a fault line names it in braces."""
    if any(f"{{{phase}" in line for phase in SOFT_PHASES):
        return line.format_map(soft_moments())
    return line.format_map(moments())
