"""The messages of a Voice Agent socket, in both directions.

Values only, one class a message that we send or act on, with the fields of the wire; `codec` puts them on the wire,
`dialogue` says when they may be said. Binary frames are audio and have classes too, so that one union covers each
direction.
Source: https://developers.deepgram.com/docs/voice-agent (inputs and outputs), and captures where that is silent.
"""

from typing import Literal, TypeAlias

import attrs

from protocol.deepgram.settings import ONE_OR_MANY, Settings, Speak, Think
from protocol.fields import Fields

InjectionBehavior: TypeAlias = Literal["default", "queue", "interrupt"]


@attrs.frozen
class CallerAudio:
    """We, all the time: the caller's speech and silence, as the settings promised it."""

    data: bytes


@attrs.frozen
class KeepAlive:
    """We, when there is no audio to send."""


@attrs.frozen
class InjectUserMessage:
    """We: act as if the caller had said this."""

    content: str


@attrs.frozen
class InjectAgentMessage:
    """We: say this. With "interrupt" at once, with "queue" after what is being said, else only into silence.

    `is_dynamic` (Think Live) lets the service write the line; then there is no message.
    """

    message: str = ""
    behavior: InjectionBehavior = "default"
    is_dynamic: bool = False


@attrs.frozen
class FunctionCallResponse:
    """We, once for each client-side call. The service echoes ours, and reports its own."""

    id: str
    name: str
    content: str
    thought_signature: str | None = None


@attrs.frozen
class UpdateThink:
    """We: replace model, prompt and functions."""

    think: tuple[Think, ...] = attrs.field(metadata=ONE_OR_MANY)


@attrs.frozen
class UpdateSpeak:
    """We: replace the voice."""

    speak: tuple[Speak, ...] = attrs.field(metadata=ONE_OR_MANY)


@attrs.frozen
class ForceEndTurn:
    """We: the caller is done, whatever Flux thinks."""


ClientMessage: TypeAlias = (
    Settings
    | CallerAudio
    | KeepAlive
    | InjectUserMessage
    | InjectAgentMessage
    | FunctionCallResponse
    | UpdateThink
    | UpdateSpeak
    | ForceEndTurn
)


@attrs.frozen
class Welcome:
    """The service, as soon as the socket is open."""

    request_id: str


@attrs.frozen
class SettingsApplied:
    """The service: audio may flow."""


@attrs.frozen
class ConversationText:
    """The service: a confirmed turn of the caller, or one sentence of the agent (its audio may have come first)."""

    role: str
    content: str
    conversational_behavior: str = "default"
    languages: tuple[str, ...] = ()
    languages_hinted: tuple[str, ...] = ()


@attrs.frozen
class UserStartedSpeaking:
    """The service: stop playing. Sent whether or not the agent was speaking."""


@attrs.frozen
class EndOfTurn:
    """The service, with Flux, off the record: the turn ended by "model", "timeout" or "manual"."""

    trigger: str


@attrs.frozen
class AgentThinking:
    """The service, in its documentation more than in life."""

    content: str


@attrs.frozen
class FunctionCall:
    """One call of a `FunctionCallRequest`. `arguments` is what the model wrote: usually JSON, "{}" for none."""

    id: str
    name: str
    arguments: str
    client_side: bool
    thought_signature: str | None = None


@attrs.frozen
class FunctionCallRequest:
    """The service: run these. It may precede the words that caused it, and be cancelled by the next ones."""

    functions: tuple[FunctionCall, ...]


@attrs.frozen
class CancelledCall:
    """One call of a `FunctionCallCancelled`."""

    id: str
    name: str


@attrs.frozen
class FunctionCallCancelled:
    """The service: the caller spoke again, forget these."""

    functions: tuple[CancelledCall, ...]


@attrs.frozen
class AgentAudio:
    """The service, at about twice real time: the agent's speech. Nothing ties it to a turn but its order."""

    data: bytes


@attrs.frozen
class AgentAudioDone:
    """The service: the last audio of an utterance was sent; not played. May be missing after an interruption."""


@attrs.frozen
class LatencyReport:
    """The service, many times a second: usually one measurement at a time. Seconds."""

    stt_latency: float | None = None
    ttt_token_latency: float | None = None
    ttt_text_latency: float | None = None
    ttt_tool_latency: float | None = None
    ttt_thinking_latency: float | None = None
    tts_latency: float | None = None
    total_latency: float | None = None


@attrs.frozen
class ThinkUpdated:
    """The service: `UpdateThink` took."""


@attrs.frozen
class SpeakUpdated:
    """The service: `UpdateSpeak` took."""


@attrs.frozen
class InjectionRefused:
    """The service: somebody was speaking, the injected message was not spoken."""

    message: str = ""


@attrs.frozen
class ErrorReported:
    """The service, last: wire type "Error". The session is over; `code` says whether another one may fare better."""

    code: str
    description: str


@attrs.frozen
class ServiceWarning:
    """The service: wire type "Warning". The session goes on."""

    code: str
    description: str


@attrs.frozen
class UnknownMessage:
    """The service: a type that a client does not act on (`IGNORED`), or one that this program does not know.

    It never ends a call.
    """

    type: str
    raw: Fields


IGNORED: frozenset[str] = frozenset({
    *("History", "FunctionCallResponse"),  # the twins of what has been noted already
    *("AgentStartedSpeaking", "FrustrationDetected", "PromptUpdated", "ListenUpdated", "ThinkLiveUpdated"),
    "__customFromThinkProvider",
})  # fmt: skip
"""Known types that a client does not act on: https://developers.deepgram.com/docs/voice-agent-outputs."""


ServerMessage: TypeAlias = (
    Welcome
    | SettingsApplied
    | ConversationText
    | UserStartedSpeaking
    | EndOfTurn
    | AgentThinking
    | FunctionCallRequest
    | FunctionCallCancelled
    | AgentAudio
    | AgentAudioDone
    | LatencyReport
    | ThinkUpdated
    | SpeakUpdated
    | InjectionRefused
    | ErrorReported
    | ServiceWarning
    | UnknownMessage
)

# The codes of an `ErrorReported`, after which another session may fare better or not, and the caller's turn may have to
# be put to the model again. Source: https://developers.deepgram.com/docs/voice-agent-errors. The set is open.

MODEL_SLIPS: frozenset[str] = frozenset({"NON_EXISTENT_FUNCTION_CALLED"})
"""The model's doing: it may do better when it is asked the same again."""

PERMANENT_ERRORS: frozenset[str] = frozenset(
    {"AGENT_ID_NOT_SUPPORTED", "INVALID_AGENT_ID", "INVALID_SETTINGS", "USER_AUDIO_FORMAT"}
)
"""Our configuration is wrong, whenever the service says so."""

REFUSALS: frozenset[str] = frozenset(
    {"NON_SETTINGS_MESSAGE_BEFORE_SETTINGS", "SETTINGS_ALREADY_APPLIED", "UNPARSABLE_CLIENT_MESSAGE"}
)
"""The service refused one message of ours. If that was the Settings, our configuration is wrong. Later in a session it
was another message, for which a new session, whose Settings have been accepted before, has no need."""


def is_retryable(code: str, *, is_conversing: bool = False) -> bool:
    """Tell whether another session is worth its silence; after a code that nobody has seen yet it is.

    `is_conversing`: the Settings had been applied when it came.
    """
    return code not in PERMANENT_ERRORS and (is_conversing or code not in REFUSALS)
