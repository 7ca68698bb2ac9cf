"""One to three faults at any time, in any order of the scheduler: hypothesis looks for a call that breaks a promise.

It plays the same calls in each run; `FAULT_SEARCH=500` draws as many new ones, and shrinks what it finds.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from testkit.oracle import check
from tests.faults.short import ROSTER, SOFT, throw

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
UPDATES = st.sampled_from(["think", "speak"])
LATE = st.integers(1, 60).map(lambda tenths: tenths / 10)
DEEPGRAM = st.one_of(
    st.builds("deepgram: {}{}".format, STEPS, CONNECTIONS),
    st.builds("deepgram: {} after {} s{}".format, STEPS, SECONDS, CONNECTIONS),
    st.builds("deepgram: {} after {} s{}".format, STEPS, SECONDS, CONNECTIONS),
    st.builds("deepgram: slow {} {} s{}".format, SLOW, LATE, CONNECTIONS),
    st.builds("deepgram: {}{}".format, st.sampled_from(["drip", "no upgrade", "no welcome"]), CONNECTIONS),
    st.builds("deepgram: slow ack {} {} s{}".format, UPDATES, LATE, CONNECTIONS),
    st.builds(
        "deepgram: {} {}{}".format, st.sampled_from(["no ack", "refuse update", "drop at update"]), UPDATES, CONNECTIONS
    ),
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


@pytest.mark.slow
@settings(
    max_examples=SEARCHED or (80 if os.environ.get("FAULT_MATRIX") in {"full", "every"} else 8),
    deadline=None,
    derandomize=not SEARCHED,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    faults=FAULTS,
    seed=st.integers(0, 999),
    stop_at=st.one_of(st.none(), st.none(), SECONDS),
    is_soft=st.booleans(),
)
def test_no_few_faults_break_a_promise(faults: list[str], seed: int, stop_at: float | None, is_soft: bool) -> None:
    roster = SOFT if is_soft else ROSTER
    played = throw(faults, seed=seed, order=seed, stop_at=stop_at, prompt=seed % 2 == 0, roster=roster)
    for entry in played.entries:
        note(f"{entry.at:8.3f} {entry.fact}")

    assert [] == check(played)
