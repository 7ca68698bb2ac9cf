"""The service's error codes, and what a client should do about each.

An `Error` always ends its session; the question is whether another session may fare better, and whether the caller's
turn must be put to the model again. Source: https://developers.deepgram.com/docs/voice-agent-errors. The set is open.
"""

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
