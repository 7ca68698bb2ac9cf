"""The events of `Turn`: facts, each told by the part of the call that knows it first.

An event is taken in the scheduler step in which its message was read, so that the gate is right for the next frame of
audio. Only the session on the floor, or the one that is handing over, sends what its service says.
"""

import math
from enum import Enum, auto
from typing import Final, TypeAlias, TypeVar

import attrs
from agents.sentences import ENGLISH, Sentences

from actors.turn.effects import SayAsAgent


class Signal(Enum):
    """The events that say no more than that they have happened."""

    # What the service says
    CALLER_STARTED_SPEAKING = auto()  # it hears the caller, now: speech that is replayed from the tape is no event
    NOTHING_UNDERSTOOD = auto()  # the transcript is empty, or belongs to a turn that a handoff has cut off
    THINKING_BEGAN = auto()  # it takes the caller's turn for finished (EndOfTurn), or its model thinks (AgentThinking)
    THINKING_SLOW = auto()  # the model or the voice is slow (SLOW_THINK_REQUEST, SLOW_SPEAK_REQUEST)
    AUDIO_BEGAN = auto()  # the first frame of the agent's audio, sent while `Turn.is_audio_news`; others are no events
    AUDIO_DONE = auto()  # it has sent all audio of the reply, or was interrupted in it
    SAY_REFUSED = auto()  # it will not say what it was asked to (InjectionRefused): it hears the caller, or speaks
    SERVICE_THERE = auto()  # it has just sent anything, whatever it was; sent in the place of `TIME_PASSED`
    SERVICE_SILENT = auto()  # it answers no ping, and says nothing: see `Turn.minds_silence_since`
    SESSION_AGED = auto()  # the session nears the longest that the service allows
    # The floor
    FLOOR_VACATED = auto()  # the session on it is gone; another may come, and none need come while `Turn.is_ending`
    # The caller's line
    PLAYED = auto()  # nothing is left to be heard; sent while `Turn.sounding`, and at once for a clip without audio
    VOICE_BEGAN = auto()  # the line carries the caller's voice, by its loudness
    KEY_PRESSED = auto()  # the caller has pressed a key; an entry is under way
    BEEP_HEARD = auto()  # the answering machine's greeting is over
    # The operator, who changes nothing unless agent and caller converse
    RESTART_WANTED = auto()  # another session for the agent on the floor
    TAKEN_OVER = auto()  # the operator speaks in the place of the agent, until `FloorGiven`
    PERSON_WANTED = auto()  # the caller put through to a person, as a key would
    PERSON_UNWANTED = auto()  # or no longer
    # The clock
    TIME_PASSED = auto()  # `Turn.deadline()` has come
    # What an event turns out to be: nobody sends these
    TOLD_ECHOED = auto()  # `CallerSaid`, with the words that the service was told: no new turn of the caller's
    TOLD_HEARD = auto()  # `CALLER_STARTED_SPEAKING`, for the words that the service was told: the caller is silent
    LATE_FILLER_BEGAN = auto()  # `AgentSaid`, with a filler that the answer has overtaken
    HANDOFF_ENDED = auto()  # `FunctionCancelled`, for the handoff under way: the session keeps the floor
    DECISION_CANCELLED = auto()  # the same, for the function that has ended the conversation, or asked for a person


# From the session on the floor


@attrs.frozen
class CallerSaid:
    """The service has transcribed a turn of the caller's, or repeats what it was told as the caller's words."""

    text: str
    asks_for_time: bool = False
    is_courtesy: bool = False  # "mhm", thanks, an agreement or a goodbye, and nothing else
    is_farewell: bool = False  # a goodbye


@attrs.frozen
class AgentSaid:
    """A sentence of the agent's. `announces` names the function that its words promise, by the agent's own phrases.

    `asks_to_wait`: they promise that something follows, whatever it is. `asks`: they end with a question.
    `takes_leave`: what they promise ends the call.
    """

    text: str
    announces: str = ""
    asks_to_wait: bool = False
    asks: bool = False
    takes_leave: bool = False


@attrs.frozen
class FunctionsAsked:
    """The model has called functions that the call carries out; sent before any of them is started.

    `lasting`: those whose effects cannot be taken back.
    """

    ids: tuple[str, ...]
    lasting: tuple[str, ...] = ()


@attrs.frozen
class FunctionDone:
    """The answer has been sent to the model. Sent for each function that ends with an answer, whatever it asked for."""

    id: str


@attrs.frozen
class FunctionCancelled:
    """What a function wants is wanted no more (FunctionCallCancelled), or cannot be had: no other agent takes the call.

    It may be any function, also one that has handed over or ended. An answer to it, a `FunctionDone`, comes after it.
    """

    id: str


@attrs.frozen
class HandoffWanted:
    """A function asks for another agent. The Supervisor is asked at once unless an `AnswerFunction` refuses it."""

    id: str


@attrs.frozen
class TransferWanted:
    """A function asks for a person. The line is asked when Turn says `PutThrough`."""

    id: str


@attrs.frozen
class EndWanted:
    """A function ends the conversation, for this reason of the agent's."""

    id: str
    reason: str


# From the Supervisor


@attrs.frozen
class FloorGiven:
    """A session has the floor. `owes`: the caller waits for its first words; `ask`: the turn that it is asked, if any.

    `greeting` is what it must be told to say first: its service has begun with another agent's. `sentences` are what it
    says for the switchboard.
    """

    owes: bool
    ask: str = ""
    greeting: str = ""
    sentences: Sentences = attrs.field(default=ENGLISH, repr=False)


# From the caller's line


@attrs.frozen
class VoiceEnded:
    """The line has been quiet for a breath; `at` is the time of the last frame that carried voice.

    `deaf`: that was long enough for a word, the session reads the line, and its service has sent nothing since.
    """

    at: float
    deaf: bool = False


@attrs.frozen
class KeysEntered:
    """An entry on the keypad is finished. `wants_person`: it is the key for a person, and there is one."""

    keys: str
    wants_person: bool = False


@attrs.frozen
class PutThroughFailed:
    """The line could not put the caller through; `why` is told to the agent if a key asked for it."""

    why: str


# From the call: its operator, its limits, its drain


@attrs.frozen
class RemarkMade:
    """A sentence is to be said in the next pause: the warning before the longest call, or an operator's words.

    `for_wait`: it is a function's, and said instead of the next filler, if the function is at work then.
    """

    text: str
    for_wait: bool = False
    id: str = ""
    """Of an operator's sentence; one that is not begun comes back under its id, or is lost with its session."""


@attrs.frozen
class CloseAsked:
    """The call is to end with this outcome and this last sentence; at once without a sentence.

    `waits_for_beep`: an answering machine listens, and the sentence is its message. The first of several holds.
    """

    outcome: str
    sentence: str = ""
    waits_for_beep: bool = False


# What an event turns out to be. Nobody sends these: `Turn` makes them of others


@attrs.frozen
class TurnToldLate:
    """`CallerSaid`, behind the beginning of the reply that answers these words; or polite words into an answer."""

    said: CallerSaid
    is_polite: bool = False


@attrs.frozen
class InjectionBegan:
    """`AgentSaid`, with the beginning of the sentence that is outstanding, or of a late filler that is wanted again."""

    begun: SayAsAgent
    rest: str = ""


@attrs.frozen
class InjectionWentOn:
    """`AgentSaid`, with what was left of the sentence that began before."""

    rest: str = ""


Event: TypeAlias = (
    Signal | CallerSaid | AgentSaid | FunctionsAsked | FunctionDone | FunctionCancelled
    | HandoffWanted | TransferWanted | EndWanted | FloorGiven | VoiceEnded | KeysEntered | PutThroughFailed
    | RemarkMade | CloseAsked
)  # fmt: skip
"""The events that the driver sends."""
Recognised: TypeAlias = Event | TurnToldLate | InjectionBegan | InjectionWentOn
"""The events that the tables look up."""
Kind: TypeAlias = Signal | type[Recognised]


def kind_of(event: Recognised) -> Kind:
    """Return what the tables look an event up by."""
    return event if isinstance(event, Signal) else type(event)


WORDS: Final = (AgentSaid, InjectionBegan, InjectionWentOn)
SPEECH: Final = (*WORDS, Signal.AUDIO_BEGAN, Signal.LATE_FILLER_BEGAN)

# What an event does to a field in any state, declared with the field

LONG_AGO = -math.inf
NOW: Final = "now"
"""Stands for the time of the event."""
_T = TypeVar("_T")


def at_last(*kinds: Kind) -> float:
    """Declare a clock: when one of these events last came; minus infinity: none has."""
    return attrs.field(default=LONG_AGO, init=False, metadata=dict.fromkeys(kinds, NOW))


def until(nothing: _T, *kinds: Kind) -> _T:
    """Declare a field that one of these events sets back to nothing, if nothing else has before."""
    return attrs.field(default=nothing, init=False, metadata=dict.fromkeys(kinds, nothing))


def between(first: Kind, *last: Kind) -> bool:
    """Declare a field that is true from one event until another."""
    return attrs.field(default=False, init=False, metadata={first: True, **dict.fromkeys(last, False)})
