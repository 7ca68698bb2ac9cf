"""Facts of Briefs, handoffs to another agent, transfers to a person, and parked calls."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

HandoffKind: TypeAlias = Literal["hard", "soft", "back"]
"""How the next agent comes to the floor: with a session of its own, or on the one that is open; or it comes back to
its own conversation, with a session that goes on with it."""


@attrs.frozen
class SummaryStarted:
    """The language model was asked for a Brief."""

    reader: str


@attrs.frozen
class SummaryWritten:
    """The language model gave a Brief, `took` seconds after it was asked."""

    reader: str
    took: float
    requests: int = 1
    """To the API; a model that is refused makes it more than one."""
    tokens_in: int = 0
    """As the API counts them; 0 where it does not say."""
    tokens_out: int = 0


@attrs.frozen
class SummaryFailed:
    """The language model gave no Brief, and why."""

    reader: str
    took: float
    why: str
    requests: int = 1
    tokens_in: int = 0
    tokens_out: int = 0


@attrs.frozen
class BriefReady:
    """A Brief for `reader` is at hand. `source`: groq or extract; `why` an extract had to do."""

    reader: str
    source: str
    took: float
    why: str = ""
    brief: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Its filled entries."""


@attrs.frozen
class HandoffAsked:
    """t0 of a handoff. `offset` is the first caller frame the asking session was not sent; `how` it is to be done."""

    agent: str
    to: str
    reason: str
    notes: str
    offset: int
    how: HandoffKind = "hard"


@attrs.frozen
class SoftHandoffGivenUp:
    """The next agent needs a session of its own, `took` seconds after t0: `step` (an update, or empty) failed."""

    agent: str
    to: str
    step: str
    why: str
    took: float


@attrs.frozen
class HandoffCommitted:
    """The next agent has the floor, `took` seconds after t0; `how` it was done."""

    agent: str
    to: str
    took: float
    how: HandoffKind = "hard"


@attrs.frozen
class HandoffGap:
    """The first audio of the next agent left for the caller `gap` seconds after t0; `how` it took over."""

    agent: str
    gap: float
    how: HandoffKind = "hard"


@attrs.frozen
class HandoffFailed:
    """The next agent could not start; the old one keeps the floor."""

    agent: str
    to: str
    why: str


@attrs.frozen
class HandoffWithdrawn:
    """The service cancelled the function call that had asked for the handoff."""

    agent: str
    to: str


@attrs.frozen
class TransferAsked:
    """The caller has heard that they are put through to a person, and the line is asked for it."""

    agent: str
    reason: str
    notes: str


@attrs.frozen
class TransferFailed:
    """The line could not do it: the caller is with `agent` still."""

    agent: str
    why: str


@attrs.frozen
class CallParked:
    """The stream is over because the call is put through, after so long: the agents may get the caller back."""

    duration: float
    frames: Mapping[str, int]


@attrs.frozen
class CallResumed:
    """A new stream of the call. `unreached` is why nobody took it (Twilio's words); empty if its last one was lost."""

    stream_sid: str
    unreached: str = ""
    given_back: bool = False
    """An operator has had the caller meanwhile."""
