"""The exchange's log sheet: what every connection received and sent, in order, and when.

It owns frozen entries stamped with `trio.current_time()`. Audio is not logged message by message: consecutive audio of
one connection and direction is one entry with the range of bytes it covers, written when something else happens. It
never decides anything and never raises.
"""

from typing import TypeVar

import attrs

from protocol.deepgram import CancelledCall, ClientMessage, ServerMessage


@attrs.frozen
class LogEntry:
    """One thing that happened; `connection` counts from 1 and includes the refused ones."""

    at: float
    connection: int


@attrs.frozen
class Connected(LogEntry):
    """A WebSocket was opened."""


@attrs.frozen
class Refused(LogEntry):
    """An upgrade was refused with this HTTP status."""

    status: int


@attrs.frozen
class Received(LogEntry):
    """A text message came from the client and could be read."""

    message: ClientMessage


@attrs.frozen
class Rejected(LogEntry):
    """A message from the client was refused; `excerpt` is what it was."""

    code: str
    why: str
    excerpt: str


@attrs.frozen
class Sent(LogEntry):
    """A text message went to the client."""

    message: ServerMessage


@attrs.frozen
class SentRaw(LogEntry):
    """A text frame that no message describes went to the client: a fault, or a type nobody knows."""

    frame: str


@attrs.frozen
class AudioReceived(LogEntry):
    """Bytes `start` to `end` of the caller's audio arrived in `messages` messages, the last one `at`."""

    start: int
    end: int
    messages: int


@attrs.frozen
class AudioSent(LogEntry):
    """Bytes `start` to `end` of the agent's audio left in `messages` messages, the last one `at`."""

    start: int
    end: int
    messages: int


@attrs.frozen
class TurnAnswered(LogEntry):
    """The brain chose an answer; `turn` is the number of the scripted turn, None for a fallback line."""

    agent: str
    heard: str
    turn: int | None


@attrs.frozen
class CallSkipped(LogEntry):
    """The script calls a function that the Settings did not declare, so it was not called."""

    name: str


@attrs.frozen
class ResponseIgnored(LogEntry):
    """A function response came late, twice, or for an id that nobody asked about."""

    id: str
    name: str


@attrs.frozen
class CallsVoided(LogEntry):
    """Open function calls became void because the user spoke."""

    calls: tuple[CancelledCall, ...]


@attrs.frozen
class FaultInjected(LogEntry):
    """A fault of the scenario was acted out."""

    fault: str


@attrs.frozen
class Closed(LogEntry):
    """The connection is over; `how` says who ended it, `code` with what (1006: without a close frame)."""

    code: int
    how: str


EntryT = TypeVar("EntryT", bound=LogEntry)
MessageT = TypeVar("MessageT")


@attrs.define
class ExchangeLog:
    """Everything that happened on every connection."""

    entries: list[LogEntry] = attrs.field(factory=list, init=False)

    def put(self, entry: LogEntry) -> None:
        self.entries.append(entry)

    def of(self, kind: type[EntryT], connection: int | None = None) -> tuple[EntryT, ...]:
        return tuple(
            entry
            for entry in self.entries
            if isinstance(entry, kind) and (connection is None or entry.connection == connection)
        )

    def sent(self, kind: type[MessageT]) -> tuple[MessageT, ...]:
        return tuple(entry.message for entry in self.of(Sent) if isinstance(entry.message, kind))

    def received(self, kind: type[MessageT]) -> tuple[MessageT, ...]:
        return tuple(entry.message for entry in self.of(Received) if isinstance(entry.message, kind))

    def audio_received(self, connection: int | None = None) -> int:
        return sum(entry.end - entry.start for entry in self.of(AudioReceived, connection))

    def audio_sent(self, connection: int | None = None) -> int:
        return sum(entry.end - entry.start for entry in self.of(AudioSent, connection))
