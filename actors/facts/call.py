"""Facts of the call and its line: begin and end, the caller, answering machines, closing, operators."""

from collections.abc import Mapping

import attrs


@attrs.frozen
class CallStarted:
    """The media stream has started."""

    call_sid: str
    stream_sid: str
    direction: str


@attrs.frozen
class CallerSpoke:
    """The caller's line carried voice from `start` to `end` (seconds of the call)."""

    start: float
    end: float


@attrs.frozen
class MachineDetected:
    """Twilio's verdict on the party that answered, in its words; `believed` unless it was a person after all."""

    verdict: str
    believed: bool


@attrs.frozen
class CallScreened:
    """A call screen asked for the caller's name, and the agent answered. The callee may still refuse the call."""


@attrs.frozen
class CallClosing:
    """The switchboard ends the call, for this outcome: the session on the floor is to say the last sentence."""

    outcome: str


@attrs.frozen
class ClosingUnsaid:
    """Nobody has begun to say it in time: the telephone network says it, if there is one, and ends the call."""

    outcome: str


@attrs.frozen
class SilenceMet:
    """The caller has waited `seconds` for `agent`. `filled_by`: agent (asked to speak), clip, or nothing."""

    agent: str
    seconds: float
    filled_by: str


@attrs.frozen
class DigitPressed:
    """The caller pressed a key: which one is said only where `CallPolicy.keep_digits` is set."""

    digit: str


@attrs.frozen
class KeysPressed:
    """The caller is through with so many keys; `taken` unless too many wait for an agent already."""

    count: int
    taken: bool


@attrs.frozen
class CallerSilent:
    """The caller has said nothing for so many seconds of their turn, and `agent` asks for the `asked`-th time."""

    agent: str
    seconds: float
    asked: int


@attrs.frozen
class CallerHungUp:
    """The stream ended from the caller's side. `how`: stop, disconnect, nonsense, call over, or what a line died of."""

    how: str


GIVEN_UP: Mapping[str, str] = {
    "nonsense": "the stream sent what is no Media Streams message",
    "no media": "the line sent no audio",
    "reads nothing": "the line took no audio",
    "plays nothing": "the line played no audio",
}
"""Why we have given a caller's stream up, in words."""


@attrs.frozen
class FrameRefused:
    """A malformed message was passed over."""

    where: str
    why: str


@attrs.frozen
class StreamFailed:
    """Twilio has reported an error of the call's media stream."""

    why: str


@attrs.frozen
class WritingRefused:
    """The disk has taken nothing more of the call's journal and recording; it is tried again each second."""

    why: str


@attrs.frozen
class ActorCrashed:
    """An actor failed in a way nobody planned for."""

    actor: str
    error: str


@attrs.frozen
class ListeningStarted:
    """An operator listens in to the call."""


@attrs.frozen
class ListeningEnded:
    """The operator has listened for so many seconds."""

    seconds: float


@attrs.frozen
class CommandAnswered:
    """An operator's command was decided, `took` seconds after it came. `outcome`: done, refused, failed or over."""

    id: str
    by: str
    """Name of the operator or program that asked."""
    command: str
    outcome: str
    why: str
    took: float
    fields: Mapping[str, str]
    """What was asked, without phone numbers."""


@attrs.frozen
class CallEnded:
    """The call is over. `frames` counts what passed in both directions, in 20 ms frames."""

    outcome: str
    duration: float
    frames: Mapping[str, int]
