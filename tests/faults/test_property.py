"""One to three faults at any time, in any order of the scheduler: hypothesis looks for a call that breaks a promise.

It plays the same calls in each run; `FAULT_SEARCH=500` draws as many new ones, and shrinks what it finds.
"""

import os

from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from actors import facts
from actors.line.ledger import SWITCHBOARD
from simulators.deepgram.log import FaultInjected
from testkit.heard import holder_at
from testkit.oracle import check
from testkit.witness import Witnessed
from tests.faults.short import throw

SEARCHED = int(os.environ.get("FAULT_SEARCH", "0"))
"""How many calls to look through that nobody has played before; 0 plays those of the last run."""
SECONDS = st.integers(0, 250).map(lambda tenths: tenths / 10)
CONNECTIONS = st.sampled_from([" on connection 1", " on connection 2", " on connection 3", " every"])
STEPS = st.sampled_from(
    [
        "drop",
        "silent drop",
        "stall",
        "mute",
        "garbage",
        "error INTERNAL_SERVER_ERROR",
        "error INVALID_SETTINGS",
        "error CODE_NOBODY_HAS_SEEN",
        "close 1000",
        "close 1005",
        "close 1011",
    ]
)
SLOW = st.sampled_from(["settings", "think", "tts"])
LATE = st.integers(1, 60).map(lambda tenths: tenths / 10)
DEEPGRAM = st.one_of(
    st.builds("deepgram: {}{}".format, STEPS, CONNECTIONS),
    st.builds("deepgram: {} after {} s{}".format, STEPS, SECONDS, CONNECTIONS),
    st.builds("deepgram: {} after {} s{}".format, STEPS, SECONDS, CONNECTIONS),
    st.builds("deepgram: slow {} {} s{}".format, SLOW, LATE, CONNECTIONS),
    st.builds("deepgram: {}{}".format, st.sampled_from(["drip", "no upgrade", "no welcome"]), CONNECTIONS),
    st.builds(
        "deepgram: refuse connect {} with {} times {}".format,
        st.integers(1, 3),
        st.sampled_from([429, 503]),
        st.integers(1, 3),
    ),
)
TWILIO = st.one_of(
    st.builds("twilio: jitter {} ms".format, st.integers(1, 400)),
    st.sampled_from(["twilio: duplicate start", "twilio: bad frames 5", "twilio: close without stop"]),
)
GROQ = st.sampled_from([f"groq: {fault}" for fault in ("429", "500", "hang", "garbage", "slow 2 s", "drip", "refused")])
FAULTS = st.lists(st.one_of(DEEPGRAM, DEEPGRAM, DEEPGRAM, TWILIO, GROQ), min_size=1, max_size=3, unique=True)


def cannot_keep(played: Witnessed) -> set[int]:
    """Return the promises that the far end made impossible to keep.

    5 where a goodbye was never sent, or broken off in a way that forbids to ask for it again.
    """
    if played.record is None or not played.facts(facts.GoodbyeStarted):
        return set()
    assert played.exchange is not None
    ended = played.times(facts.GoodbyeStarted)[-1]
    log = played.exchange.log.of(FaultInjected, holder_at(played, ended))
    fell_silent = any(entry.fault in {"stall", "silent drop", "mute"} for entry in log)
    since = max([0.0, *(at for at in played.times(facts.TurnHeard) if at <= ended)])
    said = any(
        isinstance(entry.fact, facts.ReplyText) and entry.fact.agent != SWITCHBOARD and entry.at >= since
        for entry in played.entries
    )
    return {5} if fell_silent or not said or played.record.outcome == "no_agent" else set()


@settings(
    max_examples=SEARCHED or (80 if os.environ.get("FAULT_MATRIX") == "full" else 8),
    deadline=None,
    derandomize=not SEARCHED,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    faults=FAULTS,
    seed=st.integers(0, 999),
    stop_at=st.one_of(st.none(), st.none(), SECONDS),
)
def test_no_few_faults_break_a_promise(faults: list[str], seed: int, stop_at: float | None) -> None:
    played = throw(faults, seed=seed, order=seed, stop_at=stop_at, prompt=seed % 2 == 0)
    for entry in played.entries:
        note(f"{entry.at:8.3f} {entry.fact}")

    assert [] == check(played, excused=cannot_keep(played))
