"""The states of a call's turn-taking, and the numbers, deadlines and words that decide it."""

import math
from enum import Enum, auto

import attrs


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
    FILLER = auto()
    QUESTION = auto()
    """Whether the caller is still there."""
    REMARK = auto()
    TRANSFER = auto()
    """That the caller is being put through."""
    CLOSING = auto()
    """The last sentence of the call."""


@attrs.frozen
class TurnPolicy:
    """How long turn-taking waits for what, how often it tries, and what it says. Seconds throughout."""

    silence_budget: float = 4.0
    """The longest silence a caller meets when it is the agents' turn (SILENCE_BUDGET)."""
    filler_lead: float = 1.0
    """The agent is asked for a filler this much earlier; what it has not begun by then a clip says."""
    think_patience: float = 20.0
    """For an answer of a session that gives signs of life (THINK_PATIENCE)."""
    false_start: float = 2.5
    """For a transcript after the last voice, where a reply was cut or an answer is owed …"""
    latest_transcript: float = 5.0
    """… and where not: Flux ends a turn by then (`eot_timeout_ms`, Deepgram reference, section 5.3)."""
    longest_turn: float = 60.0
    """Of the caller, on a line that stays loud: then they are asked whether they are there."""
    audio_done_grace: float = 1.5
    """For AgentAudioDone, after the last audio was played."""
    echo: float = 4.0
    """For what the service was told as the caller's words to come back as their turn."""
    caller_silence: float = 10.0
    """The longest silence of the caller's when it is their turn (CALLER_SILENCE); infinite: for ever."""
    silent_asks: int = 2
    """How often they are asked before the call ends."""
    remind_after: float = 3.0
    """After the pause in which an announced function was not called."""
    remark_within: float = 10.0
    """A remark waits no longer for a pause."""
    goodbye_onset: float = 1.0
    """For a goodbye to begin, or to go on, when all that was sent has been played."""
    goodbye_audio: float = 8.0
    """For a goodbye that does not come."""
    goodbye_grace: float = 2.0
    """For a caller's voice to end, behind the last sentence of a call that the switchboard ends."""
    farewell_noise: float = 5.0
    """For a line to become quiet behind the agent's goodbye, where the service hears nobody."""
    reopenings: int = 2
    """How often a caller's words bring a conversation back that the agent has ended."""
    closing_within: float = 5.0
    """For the last sentence of a call that the switchboard ends to begin; past it, the line says it."""
    slowest_speech: float = 10.0
    """Characters a second."""
    beep_within: float = 60.0
    """For the beep of an answering machine."""
    digit_pause: float = 2.5
    """After a key, for the next one of the same entry."""
    most_keys: int = 64
    """Waiting to be told at once: nobody types more than that in the time of a handoff."""
    put_through: float = 6.0
    """For the line to put a caller through, or to say that it cannot."""
    human_digit: str = ""
    """The key that asks for a person, if any (HUMAN_DIGIT)."""
    fillers: tuple[str, ...] = ("One moment, please.", "I am still looking.", "Just a little longer, please.")
    """Said in turn, so that a caller who waits does not hear the same one twice running."""
    still_there: str = "Are you still there?"
    silent_goodbye: str = "I cannot hear you, so I will end the call here. Please call us again. Goodbye."
    putting_through: str = "One moment, I will put you through."
    ask_goodbye: str = (
        '{"ok": true, "next": "Say goodbye now, in one short sentence. The call ends when you have said it."}'
    )
    """To the model, that has ended the conversation without a word."""
    reopened: str = (
        '{"ended": false, "next": "The caller has spoken again. Answer, say goodbye, and end the conversation again."}'
    )
    refused: str = '{"error": "Something else is under way already. If it fails, go on with the caller."}'
    go_on: str = "(A noise has interrupted you. Go on where you stopped.)"
    reminder: str = "(You have announced {function} and have not called it. Call it now, or tell the caller why not.)"
    unanswered: str = "Nobody could be reached: the line does not answer. Tell the caller, and go on yourself."
    """To the model, of a transfer."""

    def __attrs_post_init__(self) -> None:
        """Refuse what would leave a caller in silence."""
        if not self.fillers:
            raise ValueError("fillers: name at least one sentence for a silence")
        if not self.filler_lead < self.silence_budget < math.inf:
            raise ValueError("silence_budget: must be finite, and longer than filler_lead")


def describe_keys(entries: tuple[str, ...], human_digit: str = "") -> str:
    """Write for an agent what the caller has pressed."""
    if entries == (human_digit,):
        return f"The caller pressed {human_digit} on the keypad: they want to speak to a person."
    return f"The caller pressed {', then '.join(' '.join(entry) for entry in entries)} on the keypad."
