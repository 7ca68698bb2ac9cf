"""The call as a handler sees it, and handlers that block.

A `CallContext` is made for each function call: who is on the line, what is known, the settings of the roster's own
prefix, a shared HTTP client, and a way to say a sentence while the caller waits. It holds nothing to close.

`blocking` makes a handler that blocks (a database driver, a library without `async`) one that can be awaited. It runs
in a thread. Threads cannot be stopped: at the function's deadline, and when the call is over, the thread is abandoned,
and the call goes on without it. Each function has threads of its own: one that hangs costs no other.
"""

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import partial, wraps
from typing import Any, Final, ParamSpec, TypeVar

import attrs
import httpx
import trio

LONGEST_SENTENCE = 500


def say_nothing(_: str) -> None:
    """Say nothing: there is no call, as in a test of a handler alone."""


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
    before: str = attrs.field(default="", kw_only=True)
    """The agent that handed the call to this one; empty if none did."""
    env: Mapping[str, str] = attrs.field(factory=dict[str, str], kw_only=True, repr=False)
    _http: httpx.AsyncClient | None = attrs.field(default=None, kw_only=True, repr=False, alias="http")
    _say: Callable[[str], None] = attrs.field(default=say_nothing, kw_only=True, repr=False, alias="say")

    @property
    def http(self) -> httpx.AsyncClient:
        """The server's shared client, with its deadline; it follows no redirects. It is not for `blocking` handlers.

        *Raises* `RuntimeError` in a context that was made without one.
        """
        if self._http is None:
            raise RuntimeError(
                "this context has no HTTP client: write CallContext(…, http=httpx.AsyncClient(…)), or for play() give"
                " the roster DEMO = Demo(…, http=…), or the function a double"
            )
        return self._http

    def say(self, sentence: str) -> None:
        """Have the agent say a sentence while the caller waits; it is not waited for, and a later one takes its place.

        *Raises* `ValueError` for anything but a sentence.
        """
        has_words = isinstance(sentence, str) and any(map(str.isalnum, sentence))
        if not has_words or len(sentence) > LONGEST_SENTENCE:
            raise ValueError(f"say() wants a sentence of at most {LONGEST_SENTENCE} characters, with a word in it")
        self._say(sentence.strip())


THREADS: Final = 40
"""Of one function: abandoned ones count until they end, and a further call waits for one until its deadline."""

P = ParamSpec("P")
T = TypeVar("T")


def _for_thread(argument: Any) -> Any:  # noqa: ANN401 - whatever a handler takes
    """Let a handler in a thread speak on the call, which lives in trio's thread."""
    if not isinstance(argument, CallContext):
        return argument

    def say(sentence: str) -> None:
        trio.from_thread.run_sync(argument.say, sentence)

    return attrs.evolve(argument, say=say)


def has_yield(handler: object) -> bool:
    """Whether what a function returns is a generator, and nothing that is done."""
    entries = (handler, type(handler).__call__)
    return any(map(inspect.isgeneratorfunction, entries)) or any(map(inspect.isasyncgenfunction, entries))


def blocking(handler: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a blocking function a handler; a decorator, too. *Raises* `TypeError` for an `async` function."""
    name = getattr(handler, "__qualname__", repr(handler))
    if not callable(handler):
        raise TypeError(f"blocking() is for functions, and {name} is none")
    if any(map(inspect.iscoroutinefunction, (handler, type(handler).__call__))):
        raise TypeError(f"blocking() is for plain functions: {name} is async, and needs none")
    if has_yield(handler):
        raise TypeError(f"blocking() is for functions that return one outcome, and {name} has a yield in it")
    threads: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar(f"threads of {name}")

    @wraps(handler)
    async def in_thread(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            limiter = threads.get()
        except LookupError:
            limiter = trio.CapacityLimiter(THREADS)
            threads.set(limiter)
        work = partial(handler, *map(_for_thread, args), **kwargs)
        return await trio.to_thread.run_sync(
            work, limiter=limiter, abandon_on_cancel=True, thread_name=f"handler {name}"
        )

    return in_thread
