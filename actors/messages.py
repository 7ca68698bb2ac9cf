"""The messages between the actors of a call: one closed union for each mailbox.

They stand here rather than beside their readers because sessions, Supervisor and Summarizer write to one another.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import attrs
import trio

from actors.commands import CommandGiven
from actors.facts.handoff import HandoffKind
from actors.supervision import Crashed, Request, Standby
from agents.brief import Brief
from agents.functions import HandOff
from protocol.deepgram import FunctionCall

_SIZE = 8

# To the call, from outside of it (`actors/endings/intercom.py`)


@attrs.frozen
class CloseCall:
    """From the drain, or an operator: say a closing sentence, have it heard, and end the call with this outcome."""

    outcome: str


@attrs.frozen
class EndCallNow:
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


ToCall: TypeAlias = CloseCall | EndCallNow | MachineAnswered | NoteCallOver | NoteStreamError | CommandGiven

# To the Supervisor


@attrs.define(eq=False)
class AskHandoff(Request):
    """From the session on the floor at t0 (`at`, trio time): it has stopped speaking and listening.

    An operator asks in the place of the session, without the `call` of a function. It is `decided` when the next agent
    has the floor, or when it is known `why` the old one keeps it.
    """

    session: int
    wanted: HandOff
    how: HandoffKind
    """`soft`: on the session that is open, if that can be."""
    call: FunctionCall | None = None
    number: int = 0
    """Our own number of the function call (`FunctionCalled.number`)."""
    at: float = attrs.field(factory=trio.current_time)


@attrs.frozen
class WithdrawHandoff:
    """From the same session, when the service has cancelled the function call."""

    session: int
    number: int


@attrs.frozen
class SessionOver:
    """From the task of a session, when it has crashed, or is spent: it nears its longest, and another is to go on."""

    session: int
    crash: Crashed | None


@attrs.frozen(eq=False)
class TakeFloor:
    """For an operator, in the place of the session on the floor: a person has it as long as they `converse`.

    That returns the first frame of the caller's that the person has not heard.
    """

    session: int
    converse: Callable[[], Awaitable[int]]
    refuse: Callable[[str], None]
    """Leaves the floor where it is."""


ToSupervisor: TypeAlias = AskHandoff | WithdrawHandoff | SessionOver | TakeFloor

# To the Summarizer


@attrs.frozen
class PreparedBrief:
    """The Summarizer's answer. `source`: groq or extract; `why` an extract had to do."""

    brief: Brief
    source: str
    why: str = ""


@attrs.frozen(eq=False)
class WriteBrief:
    """From the Supervisor at t0, and before a transfer. The answer always comes, within the summary deadline.

    Without a `reply_to` from the session on the floor, after each turn of the caller: `reader` may soon need a Brief.
    """

    reader: str
    reply_to: trio.MemorySendChannel[PreparedBrief] | None = None


@attrs.define(eq=False)
class Mailboxes:
    """Both mailboxes inside of a call, and the addresses that everybody in it writes to. The call closes them."""

    to_supervisor: trio.MemorySendChannel[ToSupervisor]
    supervisor: trio.MemoryReceiveChannel[ToSupervisor]
    to_summarizer: trio.MemorySendChannel[WriteBrief]
    summarizer: trio.MemoryReceiveChannel[WriteBrief]
    writer: Standby = attrs.field(factory=Standby, init=False)
    """What runs the Summarizer, from the first message to it on."""
    early: list[ToSupervisor] = attrs.field(factory=list)
    """Messages for the Supervisor that came early: from a session that was to have the floor soon."""

    @classmethod
    def open(cls) -> "Mailboxes":
        return cls(*trio.open_memory_channel[ToSupervisor](_SIZE), *trio.open_memory_channel[WriteBrief](_SIZE))

    @contextmanager
    def closing(self) -> Iterator[None]:
        with self.to_supervisor, self.supervisor, self.to_summarizer, self.summarizer:
            yield

    async def next_from(self, session: int, why_not: str) -> ToSupervisor:
        """Wait for what a session reports to the Supervisor; others are out of the conversation, and told `why_not`."""
        while True:
            message = self.early.pop(0) if self.early else await self.supervisor.receive()
            if message.session == session:
                return message
            if isinstance(message, AskHandoff | TakeFloor):
                message.refuse(why_not)
