"""Errors of a call, besides those of the other side's protocol (`protocol.errors`).

The module that calls a library translates its exceptions into these, once.
"""


class AgentUnavailable(Exception):
    """A voice agent cannot be reached, or has refused or dropped the session.

    `is_busy` is true where the service has no room just now (HTTP 429): not a failure, and worth waiting for.
    `retryable` is false where the same attempt would fail again: a bad key, settings that the service refuses.
    `is_slip` is true where the model did what it must not do: the caller's turn is put to it again.
    """

    def __init__(self, reason: str, *, retryable: bool = True, is_busy: bool = False, is_slip: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable
        self.is_busy = is_busy
        self.is_slip = is_slip


class BriefUnavailable(Exception):
    """The language model gave no usable Brief; the local extract takes its place.

    `lasting` is true where the next request would fail for the same reason: no model is left that may be asked.
    `requests` is how many were made.
    """

    def __init__(self, reason: str, *, lasting: bool = False, requests: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting
        self.requests = requests


class NoRestartLeft(Exception):
    """An agent crashed more often than its restart budget allows. `__cause__` is the last crash."""
