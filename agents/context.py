"""The call as a handler sees it: its facts, settings, and an HTTP client.

A `CallContext` is made for each function call: who is on the line, what is known, the settings of the roster's own
prefix, a shared HTTP client, and a way to say a sentence while the caller waits. It holds nothing to close.
"""

from collections.abc import Callable, Mapping

import attrs
import httpx

LONGEST_SENTENCE = 500


def say_nothing(_: str) -> None:
    """Stand where there is no call to speak on, as in a test of a handler alone."""


@attrs.frozen
class CallContext:
    """The call, as a handler sees it; `facts` is what functions recorded so far, `agent` the agent that asks.

    `caller` and `line` (our number) are E.164, or empty; `direction` is inbound or outbound. `metadata` is what the
    order of the call says of it. `env` has the settings that begin with the roster's `ENV_PREFIX`, by whole names.
    """

    call_sid: str
    agent: str
    facts: Mapping[str, str] = attrs.field(factory=dict[str, str])
    stream_sid: str = attrs.field(default="", kw_only=True)
    caller: str = attrs.field(default="", kw_only=True)
    line: str = attrs.field(default="", kw_only=True)
    direction: str = attrs.field(default="", kw_only=True)
    metadata: Mapping[str, object] = attrs.field(factory=dict[str, object], kw_only=True)
    env: Mapping[str, str] = attrs.field(factory=dict[str, str], kw_only=True, repr=False)
    _http: httpx.AsyncClient | None = attrs.field(default=None, kw_only=True, repr=False, alias="http")
    _say: Callable[[str], None] = attrs.field(default=say_nothing, kw_only=True, repr=False)

    @property
    def http(self) -> httpx.AsyncClient:
        """The server's shared client, with its deadline; it follows no redirects. It is not for `blocking` handlers.

        *Raises* `RuntimeError` in a context that was made without one.
        """
        if self._http is None:
            raise RuntimeError("this context has no HTTP client: CallContext(…, http=httpx.AsyncClient(…))")
        return self._http

    def say(self, sentence: str) -> None:
        """Have the agent say a sentence while the caller waits; it is not waited for, and a later one takes its place.

        *Raises* `ValueError` for what is no sentence.
        """
        if not isinstance(sentence, str) or not sentence.strip() or len(sentence) > LONGEST_SENTENCE:
            raise ValueError(f"say() wants a sentence of at most {LONGEST_SENTENCE} characters")
        self._say(sentence.strip())
