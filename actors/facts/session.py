"""Facts of an agent's session: its start and end, speech in both directions, and function calls."""

from collections.abc import Mapping

import attrs


@attrs.frozen
class SessionConnecting:
    """A Voice Agent session is being opened. `why`: first, handoff, restart, renewal or return."""

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
class BargeIn:
    """The caller was heard over a reply, and the rest of it was cut: `ReplyResumed` follows if it was a noise."""

    agent: str
    generation: int
    heard_seconds: float
    dropped_seconds: float


@attrs.frozen
class FillerSaid:
    """A reply is a filler, and no answer: the caller still waits for one."""

    agent: str
    generation: int


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
    thought_signature: str = ""
    """Of a model that thinks, which wants it back with the call."""


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
