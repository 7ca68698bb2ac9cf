"""The states of a call's turn-taking."""

from enum import Enum, auto


class CallerState(Enum):
    """Whether the service hears the caller and owes the call a transcript."""

    QUIET = auto()
    HEARD = auto()


class VoiceState(Enum):
    """The agent's audio as the service sends it. Whether any of it still sounds on the line is another matter."""

    ABSENT = auto()
    """No session may be heard: one connects, restarts or hands over."""
    IDLE = auto()
    COMING = auto()
    """A reply arrives."""
    CUT = auto()
    """The rest of a reply that the caller has interrupted may still arrive."""
    LATE = auto()
    """A filler arrives after the answer that it was to bridge."""


class Debt(Enum):
    """Whether the caller waits for words of an agent."""

    SETTLED = auto()
    OWED = auto()


class Phase(Enum):
    """The phases of a call."""

    CONVERSING = auto()
    HANDING_OVER = auto()
    """Another agent was asked for; the session keeps the floor and is not heard."""
    TRANSFERRING = auto()
    """The sentence before a transfer to a person is being said."""
    PUTTING_THROUGH = auto()
    """The line was asked for a person."""
    ENDING = auto()
    """The agent has ended the conversation; its goodbye is being heard."""
    HUSHED = auto()
    """A message waits for the beep of an answering machine."""
    CLOSING = auto()
    """The last sentence of a call that the switchboard ends is being said."""
    OVER = auto()
    TAKEN_OVER = auto()
    """An operator has the caller, and no agent: nothing is owed, asked or filled."""


class Gate(Enum):
    """The fate of the agent's audio as it arrives."""

    OPEN = auto()
    ASIDE = auto()
    """It is set aside: it may belong to a reply that was cut, and may be wanted again."""
    SHUT = auto()
    """It is dropped."""


class SpeechKind(Enum):
    """Why an agent's service says something."""

    ANSWER = auto()
    """Of its own accord."""
    GREETING = auto()
    """The first words of an agent that has taken a session over. Once they have begun they are an answer."""
    FILLER = auto()
    QUESTION = auto()
    """Whether the caller is still there."""
    REMARK = auto()
    TRANSFER = auto()
    """That the caller is being put through."""
    CLOSING = auto()
    """The last sentence of the call."""


def describe_keys(entries: tuple[str, ...], human_digit: str = "") -> str:
    """Write for an agent what the caller has pressed."""
    if entries == (human_digit,):
        return f"The caller pressed {human_digit} on the keypad: they want to speak to a person."
    return f"The caller pressed {', then '.join(' '.join(entry) for entry in entries)} on the keypad."
