"""The history of a conversation, in one shape for Settings and for History messages.

The service reports history as it happens, and takes the very same JSON back in `agent.context.messages` when a new
session is to know what went before (https://developers.deepgram.com/docs/voice-agent-history).
"""

from typing import TypeAlias

import attrs


@attrs.frozen
class HistoryText:
    """One thing said: by "user" or "assistant" today, by anyone tomorrow."""

    role: str
    content: str


@attrs.frozen
class CompletedCall:
    """One function call with its answer; `arguments` and `response` are text, usually JSON."""

    id: str
    name: str
    client_side: bool
    arguments: str
    response: str
    thought_signature: str | None = None


@attrs.frozen
class HistoryCalls:
    """Function calls that were answered."""

    function_calls: tuple[CompletedCall, ...]


History: TypeAlias = HistoryText | HistoryCalls
