"""The service's error codes, sorted by one question: may the same request fare better a second time?

Source: https://developers.deepgram.com/docs/voice-agent-errors. The set is open.
"""

from typing import Literal, TypeAlias

Refusal: TypeAlias = Literal[
    "UNPARSABLE_CLIENT_MESSAGE",
    "INVALID_SETTINGS",
    "INVALID_AGENT_ID",
    "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS",
    "SETTINGS_ALREADY_APPLIED",
]
"""What the service answers to a client message it will not take."""

RETRYABLE_ERRORS: frozenset[str] = frozenset(
    {
        "ASR_CONNECTION_CLOSED",
        "ASR_DRIVER_TIMEOUT",
        "CLIENT_MESSAGE_TIMEOUT",
        "FAILED_TO_SPEAK",
        "FAILED_TO_START_LISTENING",
        "FAILED_TO_THINK",
        "INTERNAL_SERVER_ERROR",
        "MAXIMUM_SESSION_LENGTH_REACHED",
        "SERVER_GOING_AWAY",
    }
)
"""The service's trouble, or a matter of time."""

PERMANENT_ERRORS: frozenset[str] = frozenset(
    {
        "AGENT_ID_NOT_SUPPORTED",
        "INVALID_AGENT_ID",
        "INVALID_SETTINGS",
        "NON_EXISTENT_FUNCTION_CALLED",
        "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS",
        "SETTINGS_ALREADY_APPLIED",
        "UNPARSABLE_CLIENT_MESSAGE",
        "USER_AUDIO_FORMAT",
    }
)
"""What we sent was wrong and would be wrong again."""


def is_retryable(code: str) -> bool:
    """Tell whether another attempt is worth its silence; a code nobody has seen yet is."""
    return code not in PERMANENT_ERRORS
