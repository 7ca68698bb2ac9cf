"""The operator's log sheet of one simulated call: what was said, pressed, echoed, flushed and refused, and when.

It owns the entries (frozen, stamped with `trio.current_time()` by their writer) and the sheet they are put on.
It never decides anything and never raises. Audio frames are not logged: the recording holds them.
"""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import attrs


@attrs.frozen
class LineSpoken:
    """The caller began a line of the scenario; it lasts until `until` unless the caller hangs up first."""

    at: float
    text: str
    until: float


@attrs.frozen
class DigitSent:
    """The caller pressed a key and its `dtmf` message went out."""

    at: float
    digit: str


@attrs.frozen
class MarkEchoed:
    """A mark went back to the server: because all audio before it was played, or because `clear` flushed it."""

    at: float
    name: str
    played: bool


@attrs.frozen
class BufferCleared:
    """The server sent `clear`: so many bytes will never be heard, so many marks were flushed."""

    at: float
    dropped: int
    marks: int


@attrs.frozen
class StreamOpened:
    """The media stream's `connected` and `start` were sent."""

    at: float
    stream_sid: str


@attrs.frozen
class StreamClosed:
    """The media stream is over; `how` says who ended it."""

    at: float
    stream_sid: str
    how: str


@attrs.frozen
class CallerHungUp:
    """The caller put the phone down."""

    at: float


@attrs.frozen
class WarningRaised:
    """An entry of Twilio's debugger: an error or warning code; schema violations once per stream."""

    at: float
    code: int
    why: str


@attrs.frozen
class FaultInjected:
    """A fault of the scenario was acted out."""

    at: float
    fault: str


@attrs.frozen
class StatusReached:
    """The call moved to this status."""

    at: float
    status: str


@attrs.frozen
class WebhookAnswered:
    """A signed request went to the server; `status` 0 means nobody answered."""

    at: float
    purpose: str
    url: str
    status: int


@attrs.frozen
class VerbExecuted:
    """A TwiML verb other than `<Connect>` ran; `detail` holds the words of `<Say>` or the outcome of `<Dial>`."""

    at: float
    verb: str
    detail: str


@attrs.frozen
class PersonActed:
    """Somebody the call was put through to did something: answered, pressed a key, was connected, hung up."""

    at: float
    did: str


LogEntry: TypeAlias = (
    LineSpoken
    | DigitSent
    | MarkEchoed
    | BufferCleared
    | StreamOpened
    | StreamClosed
    | CallerHungUp
    | WarningRaised
    | FaultInjected
    | StatusReached
    | WebhookAnswered
    | VerbExecuted
    | PersonActed
)
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
