"""The facts of a call: every kind of journal entry, one frozen value each.

Past tense, plain fields, JSON as they stand. Times are seconds; `at` is the Journal's, not the fact's. Phone numbers
are never facts; words are, and stay out of the logs (promise 10).
"""

from collections.abc import Mapping
from typing import TypeAlias

import attrs


@attrs.frozen
class CallStarted:
    """The media stream has started."""

    call_sid: str
    stream_sid: str
    direction: str


@attrs.frozen
class SessionConnecting:
    """A Voice Agent session is being opened. `why`: first, handoff or restart."""

    agent: str
    incarnation: int
    why: str


@attrs.frozen
class SessionReady:
    """The session's Settings were applied, `took` seconds after connecting began."""

    agent: str
    incarnation: int
    request_id: str
    took: float


@attrs.frozen
class SessionFailed:
    """The session could not be made ready."""

    agent: str
    incarnation: int
    error: str
    retryable: bool


@attrs.frozen
class FloorTaken:
    """The session speaks for the agents from here on, and hears the caller from frame `offset`."""

    agent: str
    incarnation: int
    offset: int


@attrs.frozen
class FloorLeft:
    """The session no longer speaks; its scope was cancelled for this reason."""

    agent: str
    incarnation: int
    reason: str


@attrs.frozen
class UserStartedSpeaking:
    """The agent on the floor heard the caller begin."""

    agent: str


@attrs.frozen
class TurnHeard:
    """A turn of the caller was confirmed, in these words."""

    agent: str
    text: str


@attrs.frozen
class TurnCutOff:
    """A handoff cut the caller off after these words: the next session on the floor hears the whole turn again."""

    agent: str
    text: str


@attrs.frozen
class ReplyStarted:
    """The first audio of a reply was queued for the caller."""

    agent: str
    generation: int


@attrs.frozen
class ReplyText:
    """One sentence of a reply, as the agent's text."""

    agent: str
    generation: int
    text: str


@attrs.frozen
class ReplyEnded:
    """A reply was played or cut; `heard` is the part of `text` the caller heard."""

    agent: str
    generation: int
    text: str
    heard: str
    complete: bool


@attrs.frozen
class AgentSpoke:
    """The caller heard the agent from `start` to `end` (seconds of the call)."""

    agent: str
    generation: int
    start: float
    end: float


@attrs.frozen
class CallerSpoke:
    """The caller's line carried voice from `start` to `end` (seconds of the call)."""

    start: float
    end: float


@attrs.frozen
class BargeIn:
    """The caller was heard over a reply, and the rest of it was cut: `ReplyResumed` follows if it was a noise."""

    agent: str
    generation: int
    heard_seconds: float
    dropped_seconds: float


@attrs.frozen
class ReplyResumed:
    """Nobody had spoken: what was cut of a reply, so many seconds so far, is played after all."""

    agent: str
    generation: int
    seconds: float


@attrs.frozen
class FunctionCalled:
    """The model asked for a function; `arguments` as it wrote them."""

    agent: str
    id: str
    name: str
    arguments: str
    number: int = attrs.field(default=0, eq=False)
    """Our own number of the function call, from 1 on: the model's `id` may be empty, or be used again."""


@attrs.frozen
class FunctionAnswered:
    """The function was answered, or (`ok` false) refused or failed."""

    agent: str
    id: str
    name: str
    result: str
    ok: bool
    took: float
    facts: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """The facts that the function recorded."""
    number: int = attrs.field(default=0, eq=False)
    """Which `FunctionCalled` this answers."""


@attrs.frozen
class FunctionWithdrawn:
    """The service cancelled the function call before it was answered."""

    agent: str
    id: str
    name: str
    number: int = attrs.field(default=0, eq=False)


@attrs.frozen
class ArgumentsForgiven:
    """The function was run although its arguments did not fit; each problem says what was odd, and what was sent."""

    agent: str
    id: str
    name: str
    number: int
    problems: tuple[str, ...]


@attrs.frozen
class LatencyReported:
    """Deepgram's `LatencyReport`s of one answer, put together. Seconds; None where it has not said."""

    agent: str
    generation: int
    """Of the reply on its way to the caller then; 0 if there is none, as where the model called a function."""
    stt_latency: float | None = None
    ttt_token_latency: float | None = None
    ttt_text_latency: float | None = None
    ttt_tool_latency: float | None = None
    ttt_thinking_latency: float | None = None
    tts_latency: float | None = None
    total_latency: float | None = None


@attrs.frozen
class SummaryStarted:
    """The language model was asked for a Brief."""

    reader: str


@attrs.frozen
class SummaryWritten:
    """It gave one, `took` seconds later."""

    reader: str
    took: float
    requests: int = 1
    """To the API; a model that is refused makes it more than one."""
    tokens_in: int = 0
    """As the API counts them; 0 where it does not say."""
    tokens_out: int = 0


@attrs.frozen
class SummaryFailed:
    """It gave none, and why."""

    reader: str
    took: float
    why: str
    requests: int = 1
    tokens_in: int = 0
    tokens_out: int = 0


@attrs.frozen
class BriefReady:
    """A Brief for `reader` is at hand. `source`: groq or extract; `why` an extract had to do."""

    reader: str
    source: str
    took: float
    why: str = ""
    brief: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Its filled entries."""


@attrs.frozen
class HandoffAsked:
    """t0 of a handoff. `offset` is the first caller frame the asking session was not sent."""

    agent: str
    to: str
    reason: str
    notes: str
    offset: int


@attrs.frozen
class HandoffCommitted:
    """The next agent has the floor, `took` seconds after t0."""

    agent: str
    to: str
    took: float


@attrs.frozen
class HandoffGap:
    """The first audio of the next agent left for the caller `gap` seconds after t0."""

    agent: str
    gap: float


@attrs.frozen
class HandoffFailed:
    """The next agent could not start; the old one keeps the floor."""

    agent: str
    to: str
    why: str


@attrs.frozen
class HandoffWithdrawn:
    """The service cancelled the function call that had asked for the handoff."""

    agent: str
    to: str


@attrs.frozen
class SessionCrashed:
    """The session on the floor ended in an error."""

    agent: str
    incarnation: int
    error: str
    retryable: bool


@attrs.frozen
class SessionRestarting:
    """Another session of the agent is opened in `delay` seconds, because of `why`."""

    agent: str
    delay: float
    why: str


@attrs.frozen
class RestartsExhausted:
    """No further restart: the budget is spent, or the error is one that a retry cannot mend."""

    agent: str
    error: str


@attrs.frozen
class GoodbyeStarted:
    """The agent ended the conversation; what it has said is being played out."""

    agent: str
    reason: str


@attrs.frozen
class GoodbyeHeard:
    """The goodbye has been played (`complete`), or its deadline has passed."""

    agent: str
    complete: bool


@attrs.frozen
class MachineDetected:
    """Twilio's verdict on the party that answered, in its words; `believed` unless it was a person after all."""

    verdict: str
    believed: bool


@attrs.frozen
class CallScreened:
    """A call screen asks who is calling, and is told: it, or the person behind it, takes the call or does not."""


@attrs.frozen
class CallClosing:
    """The switchboard ends the call, for this outcome: the session on the floor is to say the last sentence."""

    outcome: str


@attrs.frozen
class ClosingUnsaid:
    """Nobody has begun to say it in time: the telephone network says it, if there is one, and ends the call."""

    outcome: str


@attrs.frozen
class TransferAsked:
    """The caller has heard that they are put through to a person, and the line is asked for it."""

    agent: str
    reason: str
    notes: str


@attrs.frozen
class TransferFailed:
    """The line could not do it: the caller is with `agent` still."""

    agent: str
    why: str


@attrs.frozen
class CallParked:
    """The stream is over because the call is put through, after so long: the agents may get the caller back."""

    duration: float
    frames: Mapping[str, int]


@attrs.frozen
class CallResumed:
    """A new stream of the call. `unreached` is why nobody took it (Twilio's words); empty if its last one was lost."""

    stream_sid: str
    unreached: str = ""


@attrs.frozen
class SilenceMet:
    """The caller has waited `seconds` for `agent`. `filled_by`: agent (asked to speak), clip, or nothing."""

    agent: str
    seconds: float
    filled_by: str


@attrs.frozen
class SessionSpent:
    """The session nears the longest that the service allows, and is renewed in a pause of the conversation."""

    agent: str
    incarnation: int


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


@attrs.frozen
class WarningReported:
    """The voice agent service warned."""

    agent: str
    code: str
    description: str


@attrs.frozen
class Unrecognised:
    """A message of a type unknown to us was passed over. `where`: twilio or deepgram."""

    where: str
    what: str


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
class ActorCrashed:
    """An actor failed in a way nobody planned for."""

    actor: str
    error: str


@attrs.frozen
class ListeningStarted:
    """An operator listens in to the call."""


@attrs.frozen
class ListeningEnded:
    """They have listened for so many seconds."""

    seconds: float


@attrs.frozen
class CommandAnswered:
    """An operator's command was decided, `took` seconds after it came. `outcome`: done, refused, failed or over."""

    id: str
    by: str
    """Who has asked."""
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


Fact: TypeAlias = (
    CallStarted
    | SessionConnecting
    | SessionReady
    | SessionFailed
    | FloorTaken
    | FloorLeft
    | UserStartedSpeaking
    | TurnHeard
    | TurnCutOff
    | ReplyStarted
    | ReplyText
    | ReplyEnded
    | AgentSpoke
    | CallerSpoke
    | BargeIn
    | ReplyResumed
    | FunctionCalled
    | FunctionAnswered
    | FunctionWithdrawn
    | ArgumentsForgiven
    | LatencyReported
    | SummaryStarted
    | SummaryWritten
    | SummaryFailed
    | BriefReady
    | HandoffAsked
    | HandoffCommitted
    | HandoffGap
    | HandoffFailed
    | HandoffWithdrawn
    | SessionCrashed
    | SessionRestarting
    | RestartsExhausted
    | GoodbyeStarted
    | GoodbyeHeard
    | MachineDetected
    | CallScreened
    | CallClosing
    | ClosingUnsaid
    | TransferAsked
    | TransferFailed
    | CallParked
    | CallResumed
    | SilenceMet
    | SessionSpent
    | DigitPressed
    | KeysPressed
    | CallerSilent
    | CallerHungUp
    | WarningReported
    | Unrecognised
    | FrameRefused
    | StreamFailed
    | ActorCrashed
    | ListeningStarted
    | ListeningEnded
    | CommandAnswered
    | CallEnded
)
