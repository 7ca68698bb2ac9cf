"""What a soak must leave behind: nothing. The figures of a run, a line through its memory, and the judgement.

Frames of the caller that no agent heard are told apart by why. A call ends while frames are on the way, or while its
agent is being replaced, and nobody is there to hear them: those are excused, each kind by name and counted, and all
of them are the *last* frames of a call. A frame that was not heard although a later one was is never excused.
"""

import enum
import math
from collections import Counter
from collections.abc import Sequence

import attrs

from bench.frames import FRAME_SECONDS
from bench.soak_audio import spoken_in

UNDERWAY_SECONDS = 0.5
"""A chunk of 80 ms, and what sockets and schedulers of a busy machine add."""
WITHOUT_SECONDS = 15.0
"""The longest that an agent may be gone, or deaf, before there is another one or the call is over."""
CATCHING_UP_SECONDS = 4.0
"""A new session is sent what it has missed at four times real time; no replacement is longer in coming."""
POOL = 50
"""The most idle connections that the server's HTTP client keeps (`web/services.py`, `LIMITS`)."""
KB_PER_CALL = 4.0
"""A call that is kept would be a hundred kilobytes and more: its tape alone is 240."""
SLACK_MB = 1.0
"""What an allocator does for reasons of its own."""


class Excuse(enum.Enum):
    """Why the last frames of a call were heard by nobody."""

    UNDERWAY = "on the way when the call ended"
    NO_AGENT = "no agent, when the call ended"
    DEAF = "the agent had gone deaf, when the call ended"
    HANDING_ON = "the next agent was being made ready, when the call ended"
    CATCHING_UP = "a new agent was catching up, when the call ended"
    GOODBYE = "after the goodbye"
    APOLOGY = "after the apology"


@attrs.frozen
class Spoken:
    """One call as the network saw it."""

    call: int
    began: float
    ended: float
    frames: int
    sentenced: float
    """When the server had Twilio's REST API end it; 0 if it did not."""
    left_open: bool
    """Whether the server kept the socket after `stop`."""


@attrs.frozen
class Heard:
    """The same call as the service saw it."""

    call: int
    first_unheard: int
    """Every frame from this one on was heard by nobody."""
    missing: int
    """Frames before it that nobody heard."""
    applied: float
    """When its last session was ready."""
    over: float
    """When that session was gone; infinity if it never was."""
    deaf: float
    """When that session went deaf; infinity if it did not."""
    goodbye: float
    """When an agent asked for the end of the conversation; 0 if none did."""
    asked: float
    """When a handoff was asked for that nothing has come of; 0 if there is none."""


def unheard(spoken: Spoken, heard: Heard | None) -> tuple[int, Excuse | None, int]:
    """Return how many frames of speech nobody heard for no reason, and the excuse for how many others."""
    heard = heard or Heard(spoken.call, 0, 0, 0.0, spoken.began, math.inf, 0.0, 0.0)
    tail = spoken_in(spoken.call, heard.first_unheard, spoken.frames)
    if not tail:
        return heard.missing, None, 0
    excuse = _excuse(spoken, heard)
    return (heard.missing + tail, None, 0) if excuse is None else (heard.missing, excuse, tail)


def _excuse(spoken: Spoken, heard: Heard) -> Excuse | None:
    reasons = {
        Excuse.UNDERWAY: (spoken.frames - heard.first_unheard) * FRAME_SECONDS <= UNDERWAY_SECONDS,
        Excuse.GOODBYE: bool(heard.goodbye) and _said_at(spoken, heard) >= heard.goodbye - UNDERWAY_SECONDS,
        Excuse.APOLOGY: bool(spoken.sentenced) and heard.over < math.inf,
        Excuse.DEAF: 0 < spoken.ended - heard.deaf <= WITHOUT_SECONDS,
        Excuse.NO_AGENT: 0 < spoken.ended - heard.over <= WITHOUT_SECONDS,
        Excuse.HANDING_ON: 0 < spoken.ended - heard.asked <= WITHOUT_SECONDS
        and _said_at(spoken, heard) >= heard.asked - UNDERWAY_SECONDS,
        Excuse.CATCHING_UP: heard.applied > spoken.ended - CATCHING_UP_SECONDS,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _said_at(spoken: Spoken, heard: Heard) -> float:
    return spoken.began + heard.first_unheard * FRAME_SECONDS


@attrs.frozen
class Sample:
    """The server at one moment."""

    at: float
    tasks: int
    sockets: int
    files: int
    """File descriptors, sockets included, and pooled ones not."""
    pooled: int
    """Idle connections to Groq and to Twilio's REST API, which wait for the next question of any call."""
    resident_mb: float
    live: int
    ended: int


@attrs.frozen
class Growth:
    """Memory per finished call, by least squares; `error` is the standard error of the slope."""

    kb_per_call: float
    error: float
    calls: int
    """Finished within the samples."""

    @property
    def mb(self) -> float:
        """The same over all of these calls."""
        return self.kb_per_call * self.calls / 1024

    @property
    def is_none(self) -> bool:
        """Say whether it cannot be told from nothing, or is too small to be a call."""
        return self.kb_per_call - 2 * self.error <= KB_PER_CALL or self.mb <= SLACK_MB


def growth(samples: Sequence[Sample]) -> Growth:
    """Fit resident memory against the number of calls that are over."""
    calls = [float(sample.ended) for sample in samples]
    memory = [sample.resident_mb * 1024 for sample in samples]
    count = len(samples)
    if count < 3 or calls[0] == calls[-1]:
        return Growth(math.inf, 0.0, 0)
    mean_calls, mean_memory = sum(calls) / count, sum(memory) / count
    spread = sum((each - mean_calls) ** 2 for each in calls)
    slope = sum((x - mean_calls) * (y - mean_memory) for x, y in zip(calls, memory, strict=True)) / spread
    rest = sum((y - mean_memory - slope * (x - mean_calls)) ** 2 for x, y in zip(calls, memory, strict=True))
    return Growth(slope, math.sqrt(rest / (count - 2) / spread), int(calls[-1] - calls[0]))


def last_half(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return the samples of the second half of the time."""
    middle = (samples[0].at + samples[-1].at) / 2
    return [sample for sample in samples if sample.at >= middle]


@attrs.frozen
class Soak:
    """What a run has found."""

    before: Sample
    after: Sample
    growth: Growth
    begun: int
    recorded: int
    unheard: int
    excused: Counter[Excuse]
    refused: int
    """Calls that the server did not let in."""
    left_open: int
    complaints: int
    """Unplanned failures in the server's log."""


def broken(found: Soak) -> list[str]:
    """Say what is not as it must be."""
    before, after = found.before, found.after
    checks = {
        "no call was begun": found.begun == 0,
        f"{after.live} calls are still carried": after.live > 0,
        f"tasks {before.tasks} before, {after.tasks} after": after.tasks > before.tasks,
        f"sockets {before.sockets} before, {after.sockets} after": after.sockets > before.sockets,
        f"file descriptors {before.files} before, {after.files} after": after.files > before.files,
        f"{after.pooled} idle connections are kept": after.pooled > POOL,
        f"memory grows by {found.growth.kb_per_call:.1f} kB a finished call": not found.growth.is_none,
        f"{found.unheard} caller frames were heard by nobody": found.unheard > 0,
        f"{found.begun - found.recorded} calls have no record": found.recorded != found.begun,
        f"{found.refused} calls were not let in": found.refused > 0,
        f"{found.left_open} sockets were kept open after stop": found.left_open > 0,
        f"{found.complaints} crashes in the server's log that nobody planned": found.complaints > 0,
    }
    return [said for said, is_so in checks.items() if is_so]
