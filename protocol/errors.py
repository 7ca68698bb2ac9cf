"""Whose fault it is when two ends of a wire disagree.

`LocalProtocolError` is a bug on our side: we tried to say something the dialogue does not allow. `RemoteProtocolError`
is the peer's: what arrived cannot be read, or cannot mean anything now. Both carry facts for a log line and nothing
else; neither ever decides whether a call goes on.
"""

from typing import Self

EXCERPT_LIMIT = 200


def one_line(error: BaseException) -> str:
    """Write an exception on one line, its type first."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class ProtocolError(Exception):
    """One end of a wire broke its rules."""


class LocalProtocolError(ProtocolError):
    """We did: the message must not be sent in this state. Nothing has been sent."""


class RemoteProtocolError(ProtocolError):
    """The peer did: the frame cannot be read, or has no meaning in this state.

    `str(error)` is the reason alone, safe in any log; `excerpt` is at most 200 characters of what arrived, and may
    hold what a caller said. `code` is the peer's own error code where the rule has one (31950 at Twilio,
    "UNPARSABLE_CLIENT_MESSAGE" at Deepgram), else "".
    """

    def __init__(self, reason: str, excerpt: str = "", *, code: str | int = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.excerpt = excerpt[:EXCERPT_LIMIT]
        self.code = code

    @classmethod
    def about(cls, frame: str | bytes, reason: str, *, code: str | int = "") -> Self:
        """Quote the start of the offending frame, whatever it is made of."""
        start = frame[:EXCERPT_LIMIT]
        return cls(reason, start if isinstance(start, str) else repr(start), code=code)
