"""OTP's rules for restarting, in trio's words: what a crash is, and how many are too many.

`guard` makes a crash a value, and the Supervisor decides; `RestartBudget` counts. `Caught` is one of the two places in
the program that catch every exception (the other is the call's boundary). `keep_running` and `in_background` are for
tasks of the server. Nothing here knows what a call is.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from random import Random
from typing import Self, TypeVar

import attrs
import structlog
import trio

from actors.errors import AgentUnavailable, NoRestartLeft
from actors.policy import RestartPolicy

log = structlog.stdlib.get_logger()

T = TypeVar("T")

_LONGEST_REASON = 500
REST_SECONDS = 1.0
"""From a crash to the next start."""


@attrs.frozen
class Crashed:
    """A run that ended in an exception; `error` is its root cause."""

    error: Exception

    @property
    def is_retryable(self) -> bool:
        """Whether the same thing might succeed if it is tried again."""
        return self.error.retryable if isinstance(self.error, AgentUnavailable) else True

    @property
    def is_slip(self) -> bool:
        """Whether the model is at fault, so that the caller's turn is to be put to it again."""
        return isinstance(self.error, AgentUnavailable) and self.error.is_slip

    @property
    def reason(self) -> str:
        return describe(self.error)


@attrs.define
class RestartBudget:
    """The restarts one agent has left, of its own and of its call's."""

    policy: RestartPolicy
    rng: Random
    total: list[float] = attrs.field(factory=list[float])
    """When (trio time) agents of the call were restarted, whichever they were: shared by their budgets.

    Its clock never stands still. Every restart may have been a success, and the service be of no use all the same.
    """
    _times: list[float] = attrs.field(factory=list, init=False)

    def spend(self, crash: Crashed) -> float:
        """Return the seconds to wait before the next restart.

        *Raises* `NoRestartLeft` from the crash when the budget is spent or the crash cannot be mended by a retry.
        """
        _forget(self._times, self.policy.period)
        _forget(self.total, self.policy.total_period)
        is_spent = len(self._times) >= self.policy.intensity or len(self.total) >= self.policy.total
        if is_spent or not crash.is_retryable:
            raise NoRestartLeft(crash.reason) from crash.error
        ceiling = min(self.policy.longest_delay, self.policy.first_delay * 2 ** len(self._times))
        self._times.append(trio.current_time())
        self.total.append(trio.current_time())
        return self.rng.uniform(0, ceiling)

    def stand_still(self, seconds: float) -> None:
        """Let these last seconds not count: nothing was running in them that could have proved itself.

        Otherwise a start that takes longer to fail than `period` / `intensity` would be tried for ever.
        """
        self._times = [at + seconds for at in self._times]


def _forget(times: list[float], period: float) -> None:
    times[:] = [at for at in times if trio.current_time() - at <= period]


class HandlerQuit(Exception):
    """A handler raised what would end the server, such as `SystemExit`."""


@attrs.define
class Caught:
    """A `with` block that ends at any exception, which `take` returns. A cancellation has to be raised again."""

    _error: BaseException | None = attrs.field(default=None, init=False)

    def take(self) -> BaseException:
        """Return what was caught, and forget it: its traceback holds this frame, and would be held by it."""
        error, self._error = self._error, None
        return error or AssertionError("nothing was caught")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if error is not None:
            self._error = error
        return True


async def guard(run: Callable[[], Awaitable[T]], *, may_quit: bool = True) -> T | Crashed:
    """Run `run()`; an exception is returned as `Crashed`: who keeps it to the end of a call keeps what the call held.

    Since Python 3.12 its traceback leads to the frames of all who called.

    A crash while being cancelled is logged, and the cancellation goes on. `SystemExit` and its like are raised, or are
    crashes where `may_quit` is false.
    """
    with Caught() as caught:
        return await run()
    return _crashed(caught.take(), may_quit=may_quit)


def _crashed(error: BaseException, *, may_quit: bool) -> Crashed:
    cancelled = [leaf for leaf in leaves(error) if isinstance(leaf, trio.Cancelled)]
    own = [leaf for leaf in leaves(error) if not isinstance(leaf, trio.Cancelled)]
    quitting = [leaf for leaf in own if not isinstance(leaf, Exception)]
    try:
        if quitting and may_quit:
            raise error
        if not own:
            raise cancelled[0]
        cause = HandlerQuit(describe(quitting[0])) if quitting else root_cause(error)
        if not cancelled:
            return Crashed(cause)
        log.warning("crashed_while_cancelled", error=describe(cause))
        raise cancelled[0] from cause
    finally:  # the traceback holds this frame, which is not to hold the exception
        del error, cancelled, own, quitting


async def unharmed(run: Callable[[], Awaitable[object]], crashed: str, **facts: str) -> None:
    """Run `run()`; a crash is logged as the event `crashed`, with these facts."""
    ended = await guard(run)
    if isinstance(ended, Crashed):
        log.error(crashed, **facts, error=ended.reason)


async def keep_running(run: Callable[[], Awaitable[object]], crashed: str, rest: float = REST_SECONDS) -> None:
    """Run `run()` again and again, with so many seconds in between, until cancelled; it may crash (`UnharmedAgain`)."""
    unharmed_again = UnharmedAgain(crashed)
    while True:
        await unharmed_again(run)
        await trio.sleep(rest)


@attrs.define(eq=False)
class UnharmedAgain:
    """Runs what is tried each second or so, as `unharmed` does: a crash is logged once, until it is over or another."""

    crashed: str
    _why: str = attrs.field(default="", init=False)

    async def __call__(self, run: Callable[[], Awaitable[object]], **facts: str) -> bool:
        """Run `run()`; return whether it came to its end."""
        ended = await guard(run)
        why = ended.reason if isinstance(ended, Crashed) else ""
        if why and why != self._why:
            log.error(self.crashed, **facts, error=why)
        self._why = why
        return not why


@attrs.define(eq=False)
class Standby:
    """Has a task begin when it is first wanted: most calls never want it, and a task that waits costs a call."""

    _begin: Callable[[], None] | None = attrs.field(default=None, init=False)

    def arm(self, begin: Callable[[], None] | None) -> None:
        """Call `begin` when the task is first wanted, as if now: what wants it has other logs. None: do not."""
        self._begin = None if begin is None else partial(copy_context().run, begin)

    def want(self) -> None:
        if (begin := self._begin) is not None:
            self._begin = None
            begin()


@attrs.define(eq=False)
class Request:
    """A request that may be refused; it is `decided` once it is known `why` it is, or that it is not."""

    why: str | None = attrs.field(default=None, init=False)
    decided: trio.Event = attrs.field(factory=trio.Event, init=False)

    def refuse(self, why: str) -> None:
        self.why = why
        self.decided.set()

    async def wait_refused(self) -> str:
        """Wait until it is refused; return why. What grants it cancels the task that waits for this."""
        await self.decided.wait()
        return self.why if self.why is not None else await trio.sleep_forever()


@asynccontextmanager
async def in_background(*runs: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run tasks for as long as the `async with` lasts; they are cancelled at the end."""
    async with trio.open_nursery() as nursery:
        for run in runs:
            nursery.start_soon(run)
        yield
        nursery.cancel_scope.cancel(reason="the server has closed")


async def contain(run: Callable[[Callable[[], None]], Awaitable[T]], on_ready: Callable[[], None]) -> T | Crashed:
    """Run `run(ready)` as `guard` does, once it has called `ready`.

    Before that the root cause of an exception is raised, as `AgentUnavailable` if nobody planned for it: as in OTP, a
    child that fails to start is its starter's business.
    """
    is_ready = False

    def ready() -> None:
        nonlocal is_ready
        on_ready()
        is_ready = True

    ended = await guard(lambda: run(ready))
    try:
        if is_ready or not isinstance(ended, Crashed):
            return ended
        raise _as_failure_to_start(ended.error)
    finally:  # the traceback holds this frame, which is not to hold the exception
        del ended


def _as_failure_to_start(cause: Exception) -> Exception:
    if isinstance(cause, AgentUnavailable):
        return cause
    log.error("start_failed", error=describe(cause), exc_info=cause)
    unplanned = AgentUnavailable(describe(cause))
    unplanned.__cause__ = cause
    return unplanned


def root_cause(error: BaseException) -> Exception:
    """Return the exception that a group was raised for: the first leaf, what we know by name before what we do not."""
    found = [leaf for leaf in leaves(error) if isinstance(leaf, Exception)]
    known = [leaf for leaf in found if isinstance(leaf, AgentUnavailable)]
    return (known or found)[0]


def describe(error: BaseException) -> str:
    """Return one line about an exception, for journal and log, which take neither everything nor any length."""
    said = text_of(error)[:_LONGEST_REASON].encode(errors="backslashreplace").decode()
    words = " ".join(said.split())
    if isinstance(error, RuntimeError) and "event loop" in words:  # of asyncio's
        words += ": the server runs on trio; take a library for trio or anyio, or a blocking one in blocking()"
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def text_of(error: BaseException) -> str:
    """Return what an exception says of itself. Raises nothing: the `__str__` of a handler's own one may."""
    with Caught() as caught:
        return str.__str__(str(error))
    return f"(its text cannot be read: {type(caught.take()).__name__})"


def leaves(error: BaseException) -> list[BaseException]:
    """Return the exceptions of a group and of the groups in it; any other exception is its own leaf."""
    found, left = list[BaseException](), [error]
    while left:
        one = left.pop()
        if isinstance(one, BaseExceptionGroup):
            left.extend(reversed(one.exceptions))
        else:
            found.append(one)
    return found
