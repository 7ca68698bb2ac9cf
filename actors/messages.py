"""What the actors of a call say to each other: one closed union for each mailbox.

They stand here rather than beside their readers because sessions, Supervisor and Summarizer write to one another.
"""

from typing import TypeAlias

import attrs
import trio

from actors.supervision import Crashed
from agents.brief import Brief

# To the call, from outside of it (`actors/intercom.py`)


@attrs.frozen
class CloseCall:
    """From the drain, or an operator: say a closing sentence, have it heard, and end the call with this outcome."""

    outcome: str


@attrs.frozen
class EndCall:
    """From an operator: end the call at once, with this outcome."""

    outcome: str


@attrs.frozen
class MachineAnswered:
    """From Twilio's answering machine detection: `AnsweredBy`, in its words."""

    verdict: str


@attrs.frozen
class NoteCallOver:
    """From Twilio's webhooks: the call is over, whether or not its media stream has ended."""


@attrs.frozen
class NoteStreamError:
    """From Twilio's `stream-error` callback: what went wrong with the media stream, in words."""

    why: str


ToCall: TypeAlias = CloseCall | EndCall | MachineAnswered | NoteCallOver | NoteStreamError

# To the Supervisor


@attrs.frozen
class HandoffRefused:
    """The answer to `HandoffAsked`, when the old agent keeps the floor. A handoff that succeeds has no answer."""

    why: str


@attrs.frozen(eq=False)
class HandoffAsked:
    """From the session on the floor at t0 (`at`, trio time): it has stopped speaking and listening."""

    seat: int
    call_id: str
    name: str
    to: str
    reason: str
    notes: str
    at: float
    offset: int
    reply_to: trio.MemorySendChannel[HandoffRefused]
    number: int = 0
    """Our own number of the function call (`FunctionCalled.number`)."""


@attrs.frozen
class HandoffWithdrawn:
    """From the same session, when the service has cancelled the function call."""

    seat: int
    call_id: str
    number: int = attrs.field(default=0, eq=False)
    """Our own number of it: it is what tells two calls apart."""


@attrs.frozen
class Ended:
    """A session's outcome: the conversation is over, and the goodbye has been heard.

    `reason` is the agent's; `outcome` is the call's, another one than `completed` where the switchboard has ended it.
    """

    reason: str
    outcome: str = "completed"


@attrs.frozen
class Spent:
    """A session's outcome: it nears its longest, and the conversation pauses. Another one is to go on."""


@attrs.frozen
class SessionRunOut:
    """From the task of a session, when it is spent."""

    seat: int


@attrs.frozen
class ConversationEnded:
    """From the task of a session, when its agent has ended the conversation."""

    seat: int
    ended: Ended


@attrs.frozen
class SessionLost:
    """From the task of a session, when it has crashed."""

    seat: int
    crash: Crashed


ToSupervisor: TypeAlias = HandoffAsked | HandoffWithdrawn | ConversationEnded | SessionRunOut | SessionLost

# To the Summarizer


@attrs.frozen
class RefreshBrief:
    """From the session on the floor, after each turn of the caller: `reader` may soon need a Brief."""

    reader: str


@attrs.frozen
class PreparedBrief:
    """The Summarizer's answer. `source`: groq or extract; `why` an extract had to do."""

    brief: Brief
    source: str
    why: str = ""


@attrs.frozen(eq=False)
class BriefAsked:
    """From the Supervisor at t0. The answer always comes, within the summary deadline."""

    reader: str
    reply_to: trio.MemorySendChannel[PreparedBrief]


ToSummarizer: TypeAlias = RefreshBrief | BriefAsked
