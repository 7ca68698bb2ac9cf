"""The log of one simulated connection: its entries, stamped, in the log of the simulated service.

`ConnectionLog` stamps entries with the time and the connection's number, and adds up audio between two other entries
so that a frame costs next to nothing. It never raises.
"""

from collections.abc import Callable
from typing import Concatenate, ParamSpec

import attrs
import trio

from simulators.deepgram.log import AudioReceived, AudioSent, Closed, ExchangeLog, LogEntry

P = ParamSpec("P")


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
