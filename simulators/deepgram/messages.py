"""What else is said on a Voice Agent socket: messages of the service's that our server never sends, and never acts on.

Values only, as in `protocol.deepgram.messages`, whose unions these make whole.
"""

from typing import TypeAlias

import attrs

from protocol.deepgram import ClientMessage, FunctionCallResponse, HistoryCalls, HistoryText, Listen, ServerMessage


@attrs.frozen
class UpdatePrompt:
    """A client: append this to the prompt. It does not replace it."""

    prompt: str


@attrs.frozen
class UpdateListen:
    """A client: change the recogniser. The answer may take eighteen seconds, or be shared with the next one."""

    listen: Listen


FromClient: TypeAlias = ClientMessage | UpdatePrompt | UpdateListen


@attrs.frozen
class AgentStartedSpeaking:
    """The service, in experimental sessions only. Seconds."""

    total_latency: float | None = None
    tts_latency: float | None = None
    ttt_latency: float | None = None


@attrs.frozen
class PromptUpdated:
    """The service: `UpdatePrompt` took."""


@attrs.frozen
class ListenUpdated:
    """The service: one or more `UpdateListen` took."""


FromService: TypeAlias = (
    ServerMessage
    | HistoryText
    | HistoryCalls
    | FunctionCallResponse
    | AgentStartedSpeaking
    | PromptUpdated
    | ListenUpdated
)
