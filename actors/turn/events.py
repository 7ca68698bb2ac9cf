"""The events of `Turn`: facts, each told by the part of the call that knows it first.

An event is taken in the scheduler step in which its message was read, so that the gate is right for the next frame of
audio. Only the session on the floor, or the one that is handing over, sends the events of the first two groups.
"""

from typing import TypeAlias

import attrs

from actors.turn.effects import SayAsAgent

# From the session on the floor: what its service says


@attrs.frozen
class CallerStartedSpeaking:
    """The service hears the caller. Speech that is replayed from the tape is no event: the caller spoke long ago."""


@attrs.frozen
class CallerSaid:
    """The service has transcribed a turn of the caller's, or repeats what it was told as the caller's words."""

    text: str
    asks_for_time: bool = False


@attrs.frozen
class NothingUnderstood:
    """The transcript is empty, or belongs to a turn that a handoff has cut off: nobody is to answer it."""


@attrs.frozen
class ThinkingBegan:
    """The service takes the caller's turn for finished (EndOfTurn), or its model thinks (AgentThinking)."""


@attrs.frozen
class ThinkingSlow:
    """The service warns that the model or the voice is slow (SLOW_THINK_REQUEST, SLOW_SPEAK_REQUEST)."""


@attrs.frozen
class AudioBegan:
    """The first frame of the agent's audio, sent while `Turn.is_audio_news`. Other frames are no events."""


@attrs.frozen
class AgentSaid:
    """A sentence of the agent's. `announces` names the function that its words promise, by the agent's own phrases.

    `asks_to_wait`: they promise that something follows, whatever it is. `asks`: they end with a question.
    """

    text: str
    announces: str = ""
    asks_to_wait: bool = False
    asks: bool = False


@attrs.frozen
class AudioDone:
    """The service has sent all audio of the reply, or was interrupted in it."""


@attrs.frozen
class SayRefused:
    """The service will not say what it was asked to (InjectionRefused): it hears the caller, or speaks."""


@attrs.frozen
class FunctionsAsked:
    """The model has called functions that the call carries out; sent before any of them is started."""

    ids: tuple[str, ...]


@attrs.frozen
class SessionAged:
    """The session nears the longest that the service allows."""


# From the functions of the session on the floor


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
    """A session has the floor. `owes`: the caller waits for its first words; `ask`: the turn it is asked again.

    `greeting` is what it must be told to say first: its service has begun with another agent's.
    """

    owes: bool
    ask: str = ""
    greeting: str = ""


@attrs.frozen
class FloorVacated:
    """The session on the floor is gone; another may come. While `Turn.is_ending` none need come."""


# From the caller's line


@attrs.frozen
class Played:
    """Nothing is left for the caller to hear; sent while `Turn.sounding`, and at once for a clip without audio."""


@attrs.frozen
class VoiceBegan:
    """The caller's line carries voice, by its loudness."""


@attrs.frozen
class VoiceEnded:
    """The line has been quiet for a breath; `at` is the time of the last frame that carried voice.

    `deaf`: that was long enough for a word, the session reads the line, and its service has sent nothing since.
    """

    at: float
    deaf: bool = False


@attrs.frozen
class KeyPressed:
    """The caller has pressed a key; an entry is under way."""


@attrs.frozen
class KeysEntered:
    """An entry on the keypad is finished. `wants_person`: it is the key for a person, and there is one."""

    keys: str
    wants_person: bool = False


@attrs.frozen
class BeepHeard:
    """The answering machine's greeting is over."""


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
class RestartWanted:
    """An operator wants another session for the agent on the floor; it changes nothing unless they converse."""


@attrs.frozen
class TakenOver:
    """An operator takes the floor, in the place of the agent, as long as they converse. Ends with `FloorGiven`."""


@attrs.frozen
class PersonWanted:
    """An operator wants the caller put through to a person, as a key would; or, not `wanted`, no longer."""

    wanted: bool = True


@attrs.frozen
class CloseAsked:
    """The call is to end with this outcome and this last sentence; at once without a sentence.

    `waits_for_beep`: an answering machine listens, and the sentence is its message. The first of several holds.
    """

    outcome: str
    sentence: str = ""
    waits_for_beep: bool = False


@attrs.frozen
class TimePassed:
    """`Turn.deadline()` has come."""


# What an event turns out to be. Nobody sends these: `recognise` makes them


@attrs.frozen
class ToldEchoed:
    """`CallerSaid`, with the words that the service was told: no new turn of the caller's."""


@attrs.frozen
class TurnToldLate:
    """`CallerSaid`, behind the beginning of the reply that answers these words."""

    said: CallerSaid


@attrs.frozen
class ToldHeard:
    """`CallerStartedSpeaking`, for the words that the service was told: the caller is silent."""


@attrs.frozen
class InjectionBegan:
    """`AgentSaid`, with the beginning of the sentence that is outstanding, or of a late filler that is wanted again."""

    begun: SayAsAgent
    rest: str = ""


@attrs.frozen
class InjectionWentOn:
    """`AgentSaid`, with what was left of the sentence that began before."""

    rest: str = ""


@attrs.frozen
class LateFillerBegan:
    """`AgentSaid`, with a filler that the answer has overtaken."""


@attrs.frozen
class HandoffEnded:
    """`FunctionCancelled`, for the last handoff under way: the session keeps the floor."""


@attrs.frozen
class DecisionCancelled:
    """`FunctionCancelled`, for the function that has ended the conversation, or has asked for a person."""


Event: TypeAlias = (
    CallerStartedSpeaking | CallerSaid | NothingUnderstood | ThinkingBegan | ThinkingSlow | AudioBegan
    | AgentSaid | AudioDone | SayRefused | FunctionsAsked | FunctionCancelled | SessionAged | FunctionDone
    | HandoffWanted | TransferWanted | EndWanted | FloorGiven | FloorVacated | Played
    | VoiceBegan | VoiceEnded | KeyPressed | KeysEntered | BeepHeard | PutThroughFailed | RemarkMade
    | RestartWanted | TakenOver | PersonWanted | CloseAsked | TimePassed
)  # fmt: skip
"""The events that the driver sends."""
Recognised: TypeAlias = (
    Event | ToldEchoed | TurnToldLate | ToldHeard | InjectionBegan | InjectionWentOn | LateFillerBegan | HandoffEnded
    | DecisionCancelled
)  # fmt: skip
"""The events that the tables look up."""
