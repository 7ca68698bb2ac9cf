"""The one shape of socket this program talks through: whole messages, text or binary, and a close.

`trio_websocket.WebSocketConnection` satisfies `WebSocket` as it is; so do the simulators' in-memory pairs. Both raise
`trio_websocket.ConnectionClosed` when the connection is over. A call's own sockets can be read in strides as well,
without a task that is woken for each.
"""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import wraps
from typing import NoReturn, ParamSpec, Protocol, TypeAlias, TypeVar

import attrs

Take: TypeAlias = Callable[[list[str | bytes]], None]
T = TypeVar("T")
P = ParamSpec("P")


def opening(function: Callable[P, AsyncIterator[T]]) -> Callable[P, AbstractAsyncContextManager[T]]:
    """Make an `async with` of a generator that goes on after its `yield`, whatever ended the block.

    As `asynccontextmanager`, but for that. Since Python 3.12 the frame of a generator that has ended leads to those
    that called it: had it got an exception and raised another one, as closing does while it is being cancelled, the
    first would hold itself, and all that its user held, until the collector looks for it.
    """
    opens = asynccontextmanager(function)

    @wraps(function)
    def open_(*args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[T]:
        return _Opening(opens(*args, **kwargs))

    return open_


@attrs.frozen
class _Opening(AbstractAsyncContextManager[T]):
    _generator: AbstractAsyncContextManager[T]

    async def __aenter__(self) -> T:
        return await self._generator.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        await self._generator.__aexit__(None, None, None)  # noqa: ASYNC102 -- the exit of the block itself


class WebSocket(Protocol):
    """Send and receive whole messages until one side closes."""

    async def get_message(self) -> str | bytes:
        """Return the next message: `str` for a text frame, `bytes` for a binary one."""
        ...

    async def send_message(self, message: str | bytes) -> None:
        """Send one message in a frame of its own kind."""

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Say goodbye with a close code; harmless on a closed connection."""


class PacedWebSocket(WebSocket, Protocol):
    """A WebSocket whose reader may say that it is in no hurry, and whose writer that it does not want to wait."""

    async def get_messages(self) -> list[str | bytes]:
        """Return the next message, and those that have come with it."""
        ...

    def send_nowait(self, *messages: str | bytes) -> bool:
        """Send messages in one go; False, and nothing is sent, if that would mean to wait."""
        ...

    def gather(self, seconds: float, /, *, exactly: bool = False) -> None:
        """Let what comes within so many seconds come together, from now on, if that saves work; `exactly`, or about."""

    def deliver(self, take: Take | None, /) -> None:
        """Have `take` take what comes while a task waits for it, if that saves work; the task is given the rest."""

    def ping(self) -> None:
        """Ask whether the peer is there, unless that would mean to wait."""

    @property
    def answered(self) -> float:
        """When (trio time) the peer last answered a ping; infinity: that is not known."""
        ...


class UnpacedSocket:
    """The part of a `PacedWebSocket` that has its reader's pace, whatever is asked, and whose writer always waits."""

    __slots__ = ()

    def send_nowait(self, *_messages: str | bytes) -> bool:
        return False

    def gather(self, _seconds: float, /, *, exactly: bool = False) -> None:
        """Do nothing: what comes is read when it comes."""

    def deliver(self, _take: Take | None, /) -> None:
        """Do nothing: the reader is woken."""

    def ping(self) -> None:
        """Ask nothing: an answer would not be told of."""

    @property
    def answered(self) -> float:
        return math.inf


@attrs.frozen
class PlainSocket(UnpacedSocket):
    """A socket of trio-websocket as one of a call's own."""

    _socket: WebSocket

    async def get_message(self) -> str | bytes:
        return await self._socket.get_message()

    async def get_messages(self) -> list[str | bytes]:
        """Return one message: what has come with it waits in the channel of a task of the library's."""
        return [await self._socket.get_message()]

    async def send_message(self, message: str | bytes) -> None:
        await self._socket.send_message(message)

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        await self._socket.aclose(code, reason)


async def pump(socket: PacedWebSocket, take: Take) -> NoReturn:
    """Have `take` take all messages, those that come together at once, until it raises.

    *Raises* `ConnectionClosed` when the connection is over.
    """
    socket.deliver(take)
    try:
        while True:
            take(await socket.get_messages())
    finally:
        socket.deliver(None)
