"""What happens on each call of a soak: who ends it and how, and what goes wrong on the way.

All of it is drawn from the seed and the number of the call, so both generators know it without asking each other, and
the same seed is the same trouble. Nothing here reads a clock or a socket.
"""

import enum
from random import Random

import attrs

SESSIONS = 8
"""Of one call, that have a plan; later ones have the last one's."""
REFUSED = 0.02
"""Share of the connections that the service refuses; nobody knows yet which call they are for."""


class Ending(enum.Enum):
    """How the caller's side of a call ends."""

    GOODBYE = "waits for the goodbye"
    STOP = "stop, then a closed socket"
    STOP_ALONE = "stop, and the socket stays"
    CLOSE = "a close frame without stop"
    CUT = "a broken socket without either"


class Trouble(enum.Enum):
    """What goes wrong with one Voice Agent session."""

    NONE = "nothing"
    DROP = "the connection breaks"
    MUTE = "it takes audio and says nothing any more"
    CLOG = "it stops reading"
    ERROR = "an Error, and a closed socket"
    GARBAGE = "half a JSON object"
    SURPRISE = "a message nobody knows"
    LATE = "Settings are applied late"
    NEVER = "Settings are never applied"


_ENDINGS = {Ending.GOODBYE: 40, Ending.STOP: 25, Ending.STOP_ALONE: 10, Ending.CLOSE: 10, Ending.CUT: 15}
_TROUBLES = {
    Trouble.NONE: 60,
    Trouble.DROP: 10,
    Trouble.MUTE: 3,
    Trouble.CLOG: 3,
    Trouble.ERROR: 6,
    Trouble.GARBAGE: 5,
    Trouble.SURPRISE: 5,
    Trouble.LATE: 6,
    Trouble.NEVER: 2,
}


@attrs.frozen
class SessionPlan:
    """One session: what goes wrong, and how long after SettingsApplied."""

    trouble: Trouble
    after: float
    applying: float
    """Seconds that Settings take."""


@attrs.frozen
class CallPlan:
    """One call."""

    ending: Ending
    lasts: float
    """Seconds, if nobody ends it before."""
    babbles_at: float | None
    """When the network sends a message that is none."""
    sessions: tuple[SessionPlan, ...]

    def session(self, number: int) -> SessionPlan:
        """Return the plan of the call's session of that number, from 0."""
        return self.sessions[min(number, len(self.sessions) - 1)]


def plan_of(seed: int, call: int) -> CallPlan:
    """Draw what happens on one call."""
    rng = Random(f"soak {seed} call {call}")
    (ending,) = rng.choices(list(_ENDINGS), list(_ENDINGS.values()))
    lasts = rng.uniform(45, 60) if ending is Ending.GOODBYE else rng.triangular(0.2, 40, 12)
    babbles_at = rng.uniform(0, lasts) if rng.random() < 0.05 else None
    is_doomed = rng.random() < 0.03
    sessions = tuple(_session_of(rng, is_doomed=is_doomed) for _ in range(SESSIONS))
    return CallPlan(ending, lasts, babbles_at, sessions)


def _session_of(rng: Random, *, is_doomed: bool) -> SessionPlan:
    (trouble,) = rng.choices(list(_TROUBLES), list(_TROUBLES.values()))
    after, late = rng.uniform(0.1, 12), rng.uniform(0.3, 3)
    if is_doomed:
        return SessionPlan(Trouble.DROP, rng.uniform(0.1, 1), 0.02)
    return SessionPlan(trouble, after, late if trouble is Trouble.LATE else 0.02)


def is_refused(seed: int, connection: int) -> bool:
    """Say whether the service refuses its connection of that number."""
    return Random(f"soak {seed} connection {connection}").random() < REFUSED
