"""DNS for everything that this server dials: Deepgram, Groq, Twilio, and whatever a handler asks.

`resolving` puts a `Resolver` in the place of trio's own for as long as it lasts. The system's resolver blocks a thread
for each question, half a minute and more where no nameserver answers. So questions have threads of their own, and few;
of all calls that wait for the same one, one asks; an answer is kept for half a minute. Who waits is told after
`ANSWER_SECONDS` that there is no answer (`EAI_AGAIN`). While no nameserver answers, addresses that were good within the
last hour are used again. An answer that comes too late is kept for those who ask next.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import attrs
import structlog
import trio

ANSWER_SECONDS = 4.0
"""For an answer: less than `CONNECT_SECONDS` (`web/clients/deepgram.py`), so that the reason is known."""
FRESH_SECONDS = 30.0
STALE_SECONDS = 3600.0
PATIENCE_SECONDS = 0.5
"""For a new answer, where there is an old one."""
THREADS = 8
QUESTIONS = 64
"""Kept."""

Addresses: TypeAlias = list[Any]
"""What `socket.getaddrinfo` returns."""
Question: TypeAlias = tuple[bytes | None, bytes | str | int | None, int, int, int, int]
"""The arguments of `socket.getaddrinfo`."""

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class Resolver(trio.abc.HostnameResolver):
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS), init=False)
    _kept: dict[Question, tuple[float, Addresses]] = attrs.field(factory=dict, init=False)
    _asking: WeakValueDictionary[Question, trio.Lock] = attrs.field(factory=WeakValueDictionary, init=False)

    async def getaddrinfo(  # noqa: PLR0917 - the interface is trio's
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> Addresses:
        """Return the addresses of a host. *Raises* `socket.gaierror`."""
        question = (host, port, family, type, proto, flags)
        usable, lock = self._known(question, STALE_SECONDS), self._asking.setdefault(question, trio.Lock())
        name = (host or b"").decode("ascii", "backslashreplace")
        try:
            with trio.move_on_after(PATIENCE_SECONDS if usable else ANSWER_SECONDS):
                async with lock:
                    return self._known(question, FRESH_SECONDS) or [*await self._look_up(question)]
            _log.warning("dns_silent", host=name)
        except socket.gaierror as exc:
            if not usable or exc.errno != socket.EAI_AGAIN:
                raise
        if not usable:
            raise socket.gaierror(socket.EAI_AGAIN, f"no nameserver has said where {name} is")
        return usable

    async def getnameinfo(self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int) -> tuple[str, str]:
        """Return the name of an address. *Raises* `socket.gaierror`."""
        ask = partial(socket.getnameinfo, sockaddr, flags)
        return await trio.to_thread.run_sync(ask, limiter=self._threads, abandon_on_cancel=True)

    def _known(self, question: Question, seconds: float) -> Addresses:
        """Return what was answered within the last so many seconds: a new list, which trio sorts."""
        since, found = self._kept.get(question, (-STALE_SECONDS, []))
        return [*found] if trio.current_time() < since + seconds else []

    async def _look_up(self, question: Question) -> Addresses:
        soon, now = trio.lowlevel.current_trio_token().run_sync_soon, trio.current_time()

        def look_up() -> Addresses:
            found = socket.getaddrinfo(*question)
            soon(self._keep, question, now, found)  # also where nobody waits any more
            return found

        try:
            found = await trio.to_thread.run_sync(look_up, limiter=self._threads, abandon_on_cancel=True)
        except socket.gaierror:
            raise
        except (OSError, UnicodeError) as exc:
            raise socket.gaierror(socket.EAI_NONAME, f"{type(exc).__name__}: {exc}") from exc
        self._keep(question, now, found)
        return found

    def _keep(self, question: Question, now: float, found: Addresses) -> None:
        self._kept.pop(question, None)
        self._kept[question] = (now, found)
        while len(self._kept) > QUESTIONS:
            del self._kept[next(iter(self._kept))]


@asynccontextmanager
async def resolving(resolver: Resolver) -> AsyncIterator[None]:
    """Have names looked up by `resolver`, for as long as the `async with` lasts."""
    before = trio.socket.set_custom_hostname_resolver(resolver)
    try:
        yield
    finally:
        trio.socket.set_custom_hostname_resolver(before)
