"""The log of one simulated connection: its entries, stamped, in the log of the simulated service.

`ConnectionLog` stamps entries with the time and the connection's number, and adds up audio between two other entries
so that a frame costs next to nothing. It never raises.
"""

import attrs
import trio

from protocol.deepgram import CancelledCall, ClientMessage, ServerMessage
from simulators.deepgram.log import (
    AudioReceived,
    AudioSent,
    CallSkipped,
    CallsVoided,
    Closed,
    Connected,
    ExchangeLog,
    FaultInjected,
    LogEntry,
    Received,
    Rejected,
    ResponseIgnored,
    Sent,
    SentRaw,
    TurnAnswered,
)


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
        """Count one binary message from the client."""
        self._heard.extend(size, at)

    def audio_sent(self, size: int, at: float) -> None:
        """Count one binary message to the client."""
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

    def received(self, message: ClientMessage) -> None:
        """Log a text message from the client."""
        self._put(Received(trio.current_time(), self.connection, message))

    def rejected(self, code: str, why: str, excerpt: str) -> None:
        """Log a message of the client's that was refused."""
        self._put(Rejected(trio.current_time(), self.connection, code, why, excerpt))

    def sent(self, message: ServerMessage) -> None:
        """Log a text message to the client."""
        self._put(Sent(trio.current_time(), self.connection, message))

    def sent_raw(self, frame: str) -> None:
        """Log a frame that is no message."""
        self._put(SentRaw(trio.current_time(), self.connection, frame))

    def answered(self, agent: str, heard: str, turn: int | None) -> None:
        """Log which scripted turn answers what was heard."""
        self._put(TurnAnswered(trio.current_time(), self.connection, agent, heard, turn))

    def call_skipped(self, name: str) -> None:
        """Log a function that could not be called."""
        self._put(CallSkipped(trio.current_time(), self.connection, name))

    def response_ignored(self, call_id: str, name: str) -> None:
        """Log a function response nobody waits for."""
        self._put(ResponseIgnored(trio.current_time(), self.connection, call_id, name))

    def calls_voided(self, calls: tuple[CancelledCall, ...]) -> None:
        """Log function calls made void."""
        self._put(CallsVoided(trio.current_time(), self.connection, calls))

    def fault(self, fault: str) -> None:
        """Log a fault acted out."""
        self._put(FaultInjected(trio.current_time(), self.connection, fault))

    def connected(self) -> None:
        """Log the opening of the connection."""
        self._put(Connected(trio.current_time(), self.connection))

    def closed(self, code: int, how: str) -> None:
        """Log the end of the connection, the first one that is noticed."""
        if self._over:
            return
        self._over = True
        self._put(Closed(trio.current_time(), self.connection, code, how))

    def _put(self, entry: LogEntry) -> None:
        if self._heard.messages or self._said.messages:
            self.flush()
        self.sheet.put(entry)
