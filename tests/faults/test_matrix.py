"""Every fault in every phase of a call; after each, the oracle.

`FAULT_MATRIX=full` plays all of it, as CI does; otherwise one pair of a fault and a phase in forty-eight, so that the
whole suite stays short.
"""

import os
from collections.abc import Iterator

import attrs
import pytest

from actors import facts
from actors.policy import CallPolicy, SummaryMode
from agents.roster import Roster
from simulators.deepgram import DeepgramKnobs
from testkit.oracle import check
from tests.examples import one_in
from tests.faults.short import (
    KNOBS,
    PHASES,
    POLICY,
    ROSTER,
    SOFT,
    SOFT_PHASES,
    moments,
    soft_moments,
    throw,
    timed,
)

STEPS = (
    "drop",
    "silent drop",
    "stall",
    "mute",
    "garbage",
    "error INTERNAL_SERVER_ERROR",
    "error FAILED_TO_THINK",
    "error INVALID_SETTINGS",
    "error CODE_NOBODY_HAS_SEEN",
    "close 1000",
    "close 1005",
    "close 1011",
)
SLOWNESS = (
    *(f"slow settings {seconds} s" for seconds in (2, 4.5, 30)),
    *(f"slow think {seconds} s" for seconds in (2, 3.5, 8)),
    *(f"slow tts {seconds} s" for seconds in (2, 3.5, 8)),
    "drip",
)
UNANSWERED = ("no upgrade", "no welcome")
REFUSALS = tuple(
    f"refuse connect {first}{status}{times}"
    for first in (1, 2)
    for status in ("", " with 429", " with 401")
    for times in ("", " times 1", " times 2")
)
REPORTING = attrs.evolve(KNOBS, stt_reports_per_second=4)
"""A service that reports all the time how well it hears, as Deepgram does."""
LOST = "deepgram: drop{caller speaking}"
EAGER = attrs.evolve(POLICY, summary_mode=SummaryMode.EAGER)
REPEATED = ("drop", "silent drop", "stall", "mute", "garbage", "error INTERNAL_SERVER_ERROR", "error INVALID_SETTINGS")
IS_FULL = os.environ.get("FAULT_MATRIX") in {"full", "every"}


@attrs.frozen
class Case:
    """One call: what goes wrong, and in which phase the caller hangs up, if they do."""

    name: str
    faults: tuple[str, ...] = ()
    stop_while: str | None = None
    policy: CallPolicy = POLICY
    roster: Roster = ROSTER
    knobs: DeepgramKnobs = KNOBS

    def __str__(self) -> str:
        return self.name


def is_played(row: int, column: int) -> bool:
    return IS_FULL or (row + column) % 48 == 0


def in_each_phase() -> Iterator[Case]:
    for row, step in enumerate(STEPS):
        for column, phase in enumerate(PHASES):
            if is_played(row, column):
                fault = f"deepgram: {step}{{{phase}}}"
                yield Case(f"{step} while {phase}", (fault,), knobs=REPORTING if row % 2 else KNOBS)


def again_and_again() -> Iterator[Case]:
    """What happens to one connection happens to each that comes after it."""
    for row, step in enumerate(REPEATED):
        for column, phase in enumerate(("connecting", "greeting", "caller speaking", "agent speaking")):
            if is_played(2 * row, 2 * column):
                yield Case(f"{step} whenever {phase}", (f"deepgram: {step}{{{phase}.into}} every",))


def slow() -> Iterator[Case]:
    for slowness in SLOWNESS if IS_FULL else SLOWNESS[::2]:
        for which in (" on connection 1", " on connection 2", "") if IS_FULL else (" on connection 2",):
            yield Case(f"{slowness}{which}", (f"deepgram: {slowness}{which}",))


def refused() -> Iterator[Case]:
    for refusal in REFUSALS if IS_FULL else REFUSALS[::4]:
        yield Case(refusal, (f"deepgram: {refusal}",))
        if "connect 2" in refusal:
            yield Case(f"{refusal} after a drop", (f"deepgram: {refusal}", LOST))


def unanswered() -> Iterator[Case]:
    for fault in UNANSWERED:
        for which in ("", " on connection 2", " times 2", " on connection 2 times 2", " every"):
            yield Case(f"{fault}{which}", (f"deepgram: {fault}{which}",))
        yield Case(f"{fault} on connection 2 after a drop", (f"deepgram: {fault} on connection 2", LOST))


def cancelled() -> Iterator[Case]:
    """A function call that stays open is withdrawn, deferred or not; or reports come that nobody acts on."""
    for which in (" on connection 1", " on connection 2", " every"):
        for seconds in (0.4, 1, 2.5) if IS_FULL else (0.4,):
            yield Case(f"cancel call {seconds} s{which}", (f"deepgram: cancel call {seconds} s{which}",))
    for column, phase in enumerate(PHASES):
        if IS_FULL or column % 4 == 0:
            yield Case(f"odd messages while {phase}", (f"deepgram: odd messages{{{phase}}}",))


def from_the_phone() -> Iterator[Case]:
    for fault in ("jitter 60 ms", "jitter 400 ms", "duplicate start", "bad frames 3", "bad frames 60"):
        yield Case(fault, (f"twilio: {fault}",))
    for column, phase in enumerate(PHASES):
        cases = [
            Case(f"hang-up while {phase}", stop_while=phase),
            *(
                Case(f"{fault} while {phase}", (f"twilio: {fault}",), stop_while=phase)
                for fault in ("stop without close", "close without stop")
            ),
            *(
                Case(f"{fault} while {phase}", (f"twilio: {fault} after {{{phase}.at:.3f}} s",))
                for fault in ("stalled reader", "no media")
            ),
        ]
        yield from (case for row, case in enumerate(cases) if is_played(row, column))


def from_the_summarizer() -> Iterator[Case]:
    for fault in ("429", "500", "hang", "garbage", "slow 1 s", "slow 5 s", "drip", "refused"):
        for policy in (POLICY, EAGER):
            for which in ("", " on request 1") if policy is EAGER else ("",):
                name = f"{fault}{which}, {policy.summary_mode.value}"
                yield Case(name, (f"groq: {fault}{which}",), policy=policy)


def softly() -> Iterator[Case]:
    """The same on one session: in each step of a soft handoff, and behind it."""
    for row, step in enumerate((*STEPS, "hang-up", "stop without close", "close without stop")):
        for column, phase in enumerate(SOFT_PHASES):
            if not is_played(row, 6 * column):
                continue
            name = f"{step} while {phase}"
            if row < len(STEPS):
                yield Case(name, (f"deepgram: {step}{{{phase}}}",), roster=SOFT)
            else:
                faults = () if step == "hang-up" else (f"twilio: {step}",)
                yield Case(name, faults, stop_while=phase, roster=SOFT)


def updates() -> Iterator[Case]:
    """What can become of an update, alone and where no other session can be had; with the history kept or lost."""
    faults = [
        fault.format(update)
        for update in ("think", "speak")
        for fault in ("no ack {}", "slow ack {} 0.5 s", "slow ack {} 2 s", "refuse update {}", "drop at update {}")
    ]
    faults += [f"cancel call {seconds} s" for seconds in (0.7, 0.85, 1.05)]
    beside: dict[str, tuple[str, ...]] = {
        "": (),
        ", nobody else": ("deepgram: refuse connect 2",),
        ", nobody else for a while": ("deepgram: refuse connect 2 times 2",),
    }
    for row, fault in enumerate(faults):
        for column, (words, others) in enumerate(beside.items()):
            for forgets in (False, True):
                if is_played(row, 8 * column + 4 * forgets):
                    knobs = attrs.evolve(KNOBS, think_keeps_history=not forgets)
                    name = f"{fault}{words}{', forgetful' if forgets else ''}"
                    yield Case(name, (f"deepgram: {fault}", *others), roster=SOFT, knobs=knobs)


CASES = [
    Case("nothing goes wrong"),
    Case("nothing goes wrong, softly", roster=SOFT),
    *in_each_phase(),
    *again_and_again(),
    *slow(),
    *refused(),
    *unanswered(),
    *cancelled(),
    *from_the_phone(),
    *from_the_summarizer(),
    *softly(),
    *updates(),
]


@pytest.mark.parametrize("case", one_in(4, CASES), ids=str)
def test_whatever_goes_wrong_the_promises_are_kept(case: Case) -> None:
    met = soft_moments() if case.roster is SOFT else moments()
    stop_at = None if case.stop_while is None else met[case.stop_while].at
    faults = [timed(fault) for fault in case.faults]
    played = throw(faults, policy=case.policy, stop_at=stop_at, roster=case.roster, knobs=case.knobs)

    assert [] == check(played)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["greeting", "caller speaking", "function running"])
def test_a_service_that_falls_mute_is_found_out_though_the_caller_goes_on(phase: str) -> None:
    played = throw([timed(f"deepgram: mute{{{phase}}}")])

    assert played.the_record.outcome == "completed"
    (at,) = played.times(facts.SessionRestarting)
    assert at - moments()[phase].at < 14
