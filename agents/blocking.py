"""A handler that blocks (a database driver, a library without `async`), made one that can be awaited and left.

It runs in a thread. Threads cannot be stopped: at the function's deadline, and when the call is over, the thread is
abandoned, and the call goes on without it. Each function has threads of its own: one that hangs costs no other.
"""

import inspect
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, Final, ParamSpec, TypeVar

import attrs
import trio

from agents.context import CallContext

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


def blocking(handler: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a blocking function a handler; a decorator, too.

    *Raises* `TypeError` for what is `async` already.
    """
    name = getattr(handler, "__qualname__", repr(handler))
    if any(map(inspect.iscoroutinefunction, (handler, type(handler).__call__))):
        raise TypeError(f"blocking() is for plain functions: {name} is async, and needs none")
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
