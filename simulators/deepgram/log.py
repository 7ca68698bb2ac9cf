"""The exchange's log sheet: what every connection received and sent, in order, and when.

It owns frozen entries stamped with `trio.current_time()`. Audio is not logged message by message: consecutive audio of
one connection and direction is one entry with the range of bytes it covers, written when something else happens: a
frame costs next to nothing. It never decides anything and never raises.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import attrs
import trio

from protocol.deepgram import CancelledCall
from simulators.deepgram.messages import FromClient, FromService


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

    message: FromClient


@attrs.frozen
class Rejected(LogEntry):
    """A message from the client was refused; `excerpt` is what it was."""

    code: str
    why: str
    excerpt: str


@attrs.frozen
class Sent(LogEntry):
    """A text message went to the client."""

    message: FromService


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
P = ParamSpec("P")


@attrs.define
class ExchangeLog:
    """The last 100,000 things that happened, on all connections."""

    entries: deque[LogEntry] = attrs.field(factory=partial(deque, maxlen=100_000), init=False)

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


@attrs.define
class _Run:
    """Audio of one direction since the last entry."""

    start: int = 0
    end: int = 0
    messages: int = 0
    at: float = 0.0

    def extend(self, size: int, at: float) -> None:
        self.end += size
        self.messages += 1
        self.at = at

    def restart(self) -> None:
        self.start, self.messages = self.end, 0


@attrs.define
class ConnectionLog:
    """Stamps the entries of one connection with the time and its number, and adds up its audio."""

    sheet: ExchangeLog
    connection: int
    _heard: _Run = attrs.field(factory=_Run, init=False)
    _said: _Run = attrs.field(factory=_Run, init=False)
    _over: bool = attrs.field(default=False, init=False)

    def audio_received(self, size: int, at: float) -> None:
        self._heard.extend(size, at)

    def audio_sent(self, size: int, at: float) -> None:
        self._said.extend(size, at)

    def flush(self) -> None:
        """Write down the audio since the last entry."""
        entries: list[AudioReceived | AudioSent] = []
        if (run := self._heard).messages:
            entries.append(AudioReceived(run.at, self.connection, run.start, run.end, run.messages))
            run.restart()
        if (run := self._said).messages:
            entries.append(AudioSent(run.at, self.connection, run.start, run.end, run.messages))
            run.restart()
        for entry in sorted(entries, key=lambda entry: entry.at):
            self.sheet.put(entry)

    def put(self, kind: Callable[Concatenate[float, int, P], LogEntry], *what: P.args, **named: P.kwargs) -> None:
        """Log an entry of this kind, behind the audio that came before it."""
        if self._heard.messages or self._said.messages:
            self.flush()
        self.sheet.put(kind(trio.current_time(), self.connection, *what, **named))

    def closed(self, code: int, how: str) -> None:
        """Log the end of the connection, the first one that is noticed."""
        if not self._over:
            self._over = True
            self.put(Closed, code, how)
