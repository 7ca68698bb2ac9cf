"""The operator's log sheet of one simulated call: what was said, pressed, echoed, flushed and refused, and when.

It owns the entries (frozen, stamped with `trio.current_time()` by their writer) and the sheet they are put on.
It never decides anything and never raises. Audio frames are not logged: the recording holds them.
"""

from collections.abc import Callable
from typing import TypeVar

import attrs


@attrs.frozen
class LogEntry:
    """One thing that happened."""

    at: float


@attrs.frozen
class LineSpoken(LogEntry):
    """The caller began a line of the scenario; it lasts until `until` unless the caller hangs up first."""

    text: str
    until: float


@attrs.frozen
class DigitSent(LogEntry):
    """The caller pressed a key and its `dtmf` message went out."""

    digit: str


@attrs.frozen
class MarkEchoed(LogEntry):
    """A mark went back to the server: because all audio before it was played, or because `clear` flushed it."""

    name: str
    played: bool


@attrs.frozen
class BufferCleared(LogEntry):
    """The server sent `clear`: so many bytes will never be heard, so many marks were flushed."""

    dropped: int
    marks: int


@attrs.frozen
class StreamOpened(LogEntry):
    """The media stream's `connected` and `start` were sent."""

    stream_sid: str


@attrs.frozen
class StreamClosed(LogEntry):
    """The media stream is over; `how` says who ended it."""

    stream_sid: str
    how: str


@attrs.frozen
class CallerHungUp(LogEntry):
    """The caller put the phone down."""


@attrs.frozen
class WarningRaised(LogEntry):
    """An entry of Twilio's debugger: an error or warning code; schema violations once per stream."""

    code: int
    why: str


@attrs.frozen
class FaultInjected(LogEntry):
    """A fault of the scenario was acted out."""

    fault: str


@attrs.frozen
class StatusReached(LogEntry):
    """The call moved to this status."""

    status: str


@attrs.frozen
class WebhookAnswered(LogEntry):
    """A signed request went to the server; `status` 0 means nobody answered."""

    purpose: str
    url: str
    status: int


@attrs.frozen
class VerbExecuted(LogEntry):
    """A TwiML verb other than `<Connect>` ran; `detail` holds the words of `<Say>` or the outcome of `<Dial>`."""

    verb: str
    detail: str


@attrs.frozen
class PersonActed(LogEntry):
    """Somebody the call was put through to did something: answered, pressed a key, was connected, hung up."""

    did: str


EntryT = TypeVar("EntryT")


@attrs.define
class CallLog:
    """Everything that happened on one call, in order; `observe` sees each entry as it is put (and must not block)."""

    observe: Callable[[LogEntry], None] | None = None
    entries: list[LogEntry] = attrs.field(factory=list, init=False)

    def put(self, entry: LogEntry) -> None:
        self.entries.append(entry)
        if self.observe is not None:
            self.observe(entry)

    def of(self, kind: type[EntryT]) -> tuple[EntryT, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, kind))


def as_json(entry: LogEntry) -> dict[str, str | float]:
    """Render one entry as flat JSON with its kind under `entry`."""
    return {"entry": type(entry).__name__, **attrs.asdict(entry)}
