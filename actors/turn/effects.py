"""The effects of `Turn`: requests to the driver, performed in order, none of them awaited.

Each effect that takes time is ended by an event, and by a rule where that event does not come. Who performs one notes
its facts in the journal.
"""

from enum import Enum, auto
from typing import TypeAlias

import attrs


class Gate(Enum):
    """The fate of the agent's audio as it arrives."""

    OPEN = auto()
    ASIDE = auto()  # it is set aside: it may belong to a reply that was cut, and may be wanted again
    SHUT = auto()  # it is dropped


class SpeechKind(Enum):
    """Why an agent's service says something."""

    ANSWER = auto()  # of its own accord
    GREETING = auto()  # an agent's first words on a session that it has taken over; once begun, they are an answer
    FILLER = auto()
    QUESTION = auto()  # whether the caller is still there
    REMARK = auto()
    TRANSFER = auto()  # that the caller is being put through
    CLOSING = auto()  # the last sentence of the call


class Aside(Enum):
    """The fate of what the caller has not heard of a reply. One of the others follows each `CUT`, perhaps at once."""

    CUT = auto()  # clear the line; set aside what was on it, and what comes while the gate says so
    RESUME = auto()  # play what is set aside; ends with `PLAYED`
    FORGET = auto()  # drop what is set aside


class Listening(Enum):
    """What the session on the floor does about the caller's words."""

    HOLD_TAPE = auto()  # it reads no more of the tape; comes again for a session that takes the floor too late
    FREE_TAPE = auto()  # it reads on where the tape was held
    END_CALLERS_TURN = auto()  # it has the service take the turn for finished, where it can; ends with `CallerSaid`


@attrs.frozen
class SayAsAgent:
    """Have the service say this in the agent's voice (InjectAgentMessage); at most one is outstanding.

    Ends with `AgentSaid` of its words, with `SAY_REFUSED`, or by the rule "an injection is not begun". `silence`: for
    how many seconds the caller has heard nothing, of a filler or a question; 0.0 of anything else.
    """

    kind: SpeechKind
    text: str
    silence: float = 0.0
    id: str = ""  # of an operator's sentence (`RemarkMade.id`)

    @property
    def interrupts(self) -> bool:
        """Whether it is said at once, whatever else the service says or hears. It is never refused then."""
        return self.kind in (SpeechKind.GREETING, SpeechKind.TRANSFER, SpeechKind.CLOSING)


@attrs.frozen
class TellAsCaller:
    """Tell the service this as the caller's words (InjectUserMessage): keys, a turn that was lost, or an instruction.

    Ends with `CallerSaid` of the same words, or by the rule "an echo is missing". `keys` are the entries that the words
    describe, which a record may have to mask; without them it is no turn of the caller's of its own.
    """

    text: str
    keys: tuple[str, ...] = ()


@attrs.frozen
class PlayClip:
    """Play the recording of a filler, after `silence` seconds without a sound. Ends with `PLAYED`."""

    silence: float


@attrs.frozen
class NoteSilence:
    """Note that the agent has ended a silence of so many seconds, after it was asked for a filler."""

    silence: float


@attrs.frozen
class AnswerFunction:
    """End this function without carrying it out further, and answer the model with these words. No event follows."""

    id: str
    text: str


@attrs.frozen
class PutThrough:
    """Ask the line for a person, in a task of the call. `id` is the function that asked, "" for a key.

    Ends with the stream, with `PutThroughFailed`, or by the rule "the line does not answer".
    """

    id: str


@attrs.frozen
class EndSession:
    """End the session on the floor: as a crash for this reason, or without one. Ends with `FLOOR_VACATED`."""

    why: str = ""


@attrs.frozen
class EndConversation:
    """End the call. `reason` is the agent's own, "" where the call was closed; `heard`: last words were played.

    `unsaid` is the last sentence where no agent can say it: the telephone network says it.
    """

    outcome: str
    reason: str = ""
    heard: bool = False
    unsaid: str = ""


Effect: TypeAlias = (
    Aside | Listening | SayAsAgent | TellAsCaller | PlayClip | NoteSilence | AnswerFunction | PutThrough | EndSession
    | EndConversation
)  # fmt: skip
