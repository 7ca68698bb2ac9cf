"""The exchange's log sheet: what every connection received and sent, in order, and when.

It owns frozen entries stamped with `trio.current_time()`. Audio is not logged message by message: consecutive audio of
one connection and direction is one entry with the range of bytes it covers, written when something else happens. It
never decides anything and never raises.
"""

from typing import TypeAlias, TypeVar

import attrs

from protocol.deepgram import CancelledCall, ClientMessage, ServerMessage


@attrs.frozen
class Connected:
    """A WebSocket was opened; `connection` counts from 1 and includes the refused ones."""

    at: float
    connection: int


@attrs.frozen
class Refused:
    """An upgrade was refused with this HTTP status."""

    at: float
    connection: int
    status: int


@attrs.frozen
class Received:
    """A text message came from the client and could be read."""

    at: float
    connection: int
    message: ClientMessage


@attrs.frozen
class Rejected:
    """A message from the client was refused; `excerpt` is what it was."""

    at: float
    connection: int
    code: str
    why: str
    excerpt: str


@attrs.frozen
class Sent:
    """A text message went to the client."""

    at: float
    connection: int
    message: ServerMessage


@attrs.frozen
class SentRaw:
    """A text frame that no message describes went to the client: a fault, or a type nobody knows."""

    at: float
    connection: int
    frame: str


@attrs.frozen
class AudioReceived:
    """Bytes `start` to `end` of the caller's audio arrived in `messages` messages, the last one `at`."""

    at: float
    connection: int
    start: int
    end: int
    messages: int


@attrs.frozen
class AudioSent:
    """Bytes `start` to `end` of the agent's audio left in `messages` messages, the last one `at`."""

    at: float
    connection: int
    start: int
    end: int
    messages: int


@attrs.frozen
class TurnAnswered:
    """The brain chose an answer; `turn` is the number of the scripted turn, None for a fallback line."""

    at: float
    connection: int
    agent: str
    heard: str
    turn: int | None


@attrs.frozen
class CallSkipped:
    """The script calls a function that the Settings did not declare, so it was not called."""

    at: float
    connection: int
    name: str


@attrs.frozen
class ResponseIgnored:
    """A function response came late, twice, or for an id that nobody asked about."""

    at: float
    connection: int
    id: str
    name: str


@attrs.frozen
class CallsVoided:
    """Open function calls became void because the user spoke."""

    at: float
    connection: int
    calls: tuple[CancelledCall, ...]


@attrs.frozen
class FaultInjected:
    """A fault of the scenario was acted out."""

    at: float
    connection: int
    fault: str


@attrs.frozen
class Closed:
    """The connection is over; `how` says who ended it, `code` with what (1006: without a close frame)."""

    at: float
    connection: int
    code: int
    how: str


LogEntry: TypeAlias = (
    Connected
    | Refused
    | Received
    | Rejected
    | Sent
    | SentRaw
    | AudioReceived
    | AudioSent
    | TurnAnswered
    | CallSkipped
    | ResponseIgnored
    | CallsVoided
    | FaultInjected
    | Closed
)
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
