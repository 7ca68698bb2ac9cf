"""DNS for everything that this server dials: Deepgram, Groq, Twilio, and whatever a handler asks.

`resolving` puts a `Resolver` in the place of trio's own for as long as it lasts. The system's resolver blocks a thread
for each question, half a minute and more where no nameserver answers. So questions have threads of their own, and few;
one question is asked once, however many calls wait for it; an answer is kept for half a minute. Who waits is told after
`ANSWER_SECONDS` that there is no answer (`EAI_AGAIN`). While no nameserver answers, addresses that were good within the
last hour are used again.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import attrs
import structlog
import trio

ANSWER_SECONDS = 4.0
"""For an answer: less than `CONNECT_SECONDS` (`web/clients/deepgram.py`), so that the reason is known."""
LONGEST_SECONDS = ANSWER_SECONDS + 0.5
"""Should nobody look the question up: the lookup itself ends before."""
FRESH_SECONDS = 30.0
STALE_SECONDS = 3600.0
PATIENCE_SECONDS = 0.5
"""For a new answer, where there is an old one."""
THREADS = 8
QUESTIONS = 64
"""Asked at once, and kept; the rest of them fails."""

Addresses: TypeAlias = list[Any]
"""What `socket.getaddrinfo` returns."""
Question: TypeAlias = tuple[bytes | None, bytes | str | int | None, int, int, int, int]
"""The arguments of `socket.getaddrinfo`."""

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class _Lookup:
    """A question on its way, and what came of it: addresses, or an error; neither if nobody answered."""

    question: Question
    addresses: Addresses | None = None
    refused: socket.gaierror | None = None
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Resolver(trio.abc.HostnameResolver):
    """Looks names up, while it has a nursery."""

    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(THREADS), init=False)
    _kept: dict[Question, tuple[float, Addresses]] = attrs.field(factory=dict, init=False)
    _under_way: dict[Question, _Lookup] = attrs.field(factory=dict, init=False)
    nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    """Of the questions on their way, while there is one (`resolving`)."""

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
        now = trio.current_time()
        since, known = self._kept.get(question, (-STALE_SECONDS, []))
        if known and now < since + FRESH_SECONDS:
            await trio.lowlevel.checkpoint()
            return [*known]
        usable = known if now < since + STALE_SECONDS else []
        lookup = self._under_way.get(question) or self._begin(question)
        with trio.move_on_after(PATIENCE_SECONDS if usable else LONGEST_SECONDS):
            await lookup.over.wait()
        if lookup.addresses is not None:
            return [*lookup.addresses]  # who dials sorts them
        if usable and (lookup.refused is None or lookup.refused.errno == socket.EAI_AGAIN):
            return [*usable]
        raise _refusal(lookup)

    async def getnameinfo(self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int) -> tuple[str, str]:
        """Return the name of an address. *Raises* `socket.gaierror`."""
        ask = partial(socket.getnameinfo, sockaddr, flags)
        return await trio.to_thread.run_sync(ask, limiter=self._threads, abandon_on_cancel=True)

    def _begin(self, question: Question) -> _Lookup:
        lookup = _Lookup(question)
        if self.nursery is None or len(self._under_way) >= QUESTIONS:
            raise _refusal(lookup)
        self._under_way[question] = lookup
        self.nursery.start_soon(self._carry_out, lookup)
        return lookup

    async def _carry_out(self, lookup: _Lookup) -> None:
        look_up = partial(socket.getaddrinfo, *lookup.question)
        try:
            with trio.move_on_after(ANSWER_SECONDS) as late:
                found = await trio.to_thread.run_sync(look_up, limiter=self._threads, abandon_on_cancel=True)
                lookup.addresses = found
                self._keep(lookup.question, found)
            if late.cancelled_caught:
                _log.warning("dns_silent", host=_name(lookup.question), seconds=ANSWER_SECONDS)
        except socket.gaierror as exc:
            lookup.refused = exc
        except (OSError, UnicodeError) as exc:
            lookup.refused = socket.gaierror(socket.EAI_NONAME, f"{type(exc).__name__}: {exc}")
        finally:
            del self._under_way[lookup.question]
            lookup.over.set()

    def _keep(self, question: Question, found: Addresses) -> None:
        self._kept.pop(question, None)
        self._kept[question] = (trio.current_time(), found)
        while len(self._kept) > QUESTIONS:
            del self._kept[next(iter(self._kept))]


def _name(question: Question) -> str:
    return (question[0] or b"").decode("ascii", "backslashreplace")


def _refusal(lookup: _Lookup) -> socket.gaierror:
    if lookup.refused is not None:
        return socket.gaierror(*lookup.refused.args)  # an exception belongs to one task
    return socket.gaierror(socket.EAI_AGAIN, f"no nameserver has said where {_name(lookup.question)} is")


@asynccontextmanager
async def resolving(resolver: Resolver) -> AsyncIterator[None]:
    """Have names looked up by `resolver`, for as long as the `async with` lasts."""
    before = trio.socket.set_custom_hostname_resolver(resolver)
    try:
        async with trio.open_nursery() as resolver.nursery:
            yield
            resolver.nursery.cancel_scope.cancel(reason="the server has closed")
    finally:
        trio.socket.set_custom_hostname_resolver(before)
