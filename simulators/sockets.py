"""A trio-websocket connection whose peer can end it, and nothing else.

trio-websocket reads in a task of the nursery it is given, and what the peer does out of turn (a ping while our close
waits for its answer, a frame that breaks the protocol, a TCP connection that is reset) can raise in that task.
`separate_reader` keeps that nursery apart: such an error ends the reading, and the connection with it. An error that
is the simulator's own still comes out.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import h11
import trio
import trio_websocket
import wsproto.utilities

T = TypeVar("T")

PEER_ERRORS = (
    trio_websocket.ConnectionClosed,
    trio_websocket.ConnectionRejected,
    wsproto.utilities.ProtocolError,
    h11.ProtocolError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)
"""What a peer can cause in the reading task; `wsproto.utilities.LocalProtocolError` is an answer that came too late."""


@attrs.define(eq=False)
class Reader:
    """Where one connection's reading task lives."""

    nursery: trio.Nursery
    errors: list[Exception] = attrs.field(factory=list, init=False)
    """What the peer caused, if that ended the reading."""
    _waiting: set[trio.CancelScope] = attrs.field(factory=set, init=False)

    async def wait_for(self, step: Callable[[], Awaitable[T]]) -> T | None:
        """Return the result of a step that waits for the reading task; None if the peer has ended that."""
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                return None if self.errors else await step()
            finally:
                self._waiting.discard(scope)
        return None

    def end(self, errors: list[Exception]) -> None:
        """Note why nothing is read any more, and let nobody wait for it."""
        self.errors += errors
        for scope in self._waiting:
            scope.cancel(reason="the connection is not read any more")


@attrs.frozen
class PeerSocket:
    """The three methods the simulators use; its close does not wait for a peer that is not read any more."""

    _socket: trio_websocket.WebSocketConnection
    _reader: Reader

    async def get_message(self) -> str | bytes:
        """Return the next message. *Raises* `ConnectionClosed`."""
        return await self._socket.get_message()

    async def send_message(self, message: str | bytes) -> None:
        """Send one message. *Raises* `ConnectionClosed`."""
        try:
            await self._socket.send_message(message)
        except wsproto.utilities.LocalProtocolError:  # the peer's close or fault was read, and not yet acted on
            raise trio_websocket.ConnectionClosed(self._socket.closed) from None

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close, and wait for the peer's answer."""

        async def close() -> None:
            await self._socket.aclose(code, reason)

        await self._reader.wait_for(close)


@asynccontextmanager
async def separate_reader() -> AsyncIterator[Reader]:
    """Open a nursery for one connection's reading task.

    *Closes* by cancelling that task; the stream is the caller's.
    """
    async with trio.open_nursery() as outer:
        reader: Reader = await outer.start(_host)
        try:
            yield reader
        finally:
            outer.cancel_scope.cancel(reason="the connection was left")


async def _host(*, task_status: trio.TaskStatus[Reader]) -> None:
    errors: list[Exception] = []
    reader: Reader | None = None
    try:
        async with trio.open_nursery() as nursery:
            reader = Reader(nursery)
            task_status.started(reader)
            await trio.sleep_forever()
    except* PEER_ERRORS as group:
        errors = leaves(group)
    if reader is not None:
        reader.end(errors)


def leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    """Return what is in a group, and in the groups in it."""
    found: list[Exception] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
