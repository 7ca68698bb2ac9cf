"""Two ends of one WebSocket that never touch a network.

`memory_websocket_pair` hands over whole messages through bounded buffers and costs almost nothing, so that tests can
play long calls. Both ends raise `trio_websocket.ConnectionClosed` as a real socket does. Nothing here knows what the
messages mean.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import attrs
import trio
import trio.lowlevel
from trio_websocket import CloseReason, ConnectionClosed

from protocol.wire import Take

NO_STATUS: Final = 1005
ABNORMAL_CLOSURE: Final = 1006
GOODBYE_SECONDS: Final = 1.0


@attrs.define(eq=False)
class _Pipe:
    """One direction: what was sent and not yet read."""

    limit: int
    messages: deque[str | bytes] = attrs.field(factory=deque)
    readers: deque[trio.lowlevel.Task] = attrs.field(factory=deque)
    writers: deque[trio.lowlevel.Task] = attrs.field(factory=deque)

    def take(self) -> str | bytes:
        """Take the next message, and let a writer go on that waits for room."""
        if self.writers:
            trio.lowlevel.reschedule(self.writers.popleft())
        return self.messages.popleft()

    def put(self, *messages: str | bytes) -> None:
        self.messages.extend(messages)
        if self.readers:
            trio.lowlevel.reschedule(self.readers.popleft())


async def _wait_turn(waiting: deque[trio.lowlevel.Task]) -> None:
    """Sleep until somebody takes this task out of the queue and reschedules it; half the cost of a `ParkingLot`."""
    task = trio.lowlevel.current_task()
    waiting.append(task)

    def abort(_: object) -> trio.lowlevel.Abort:
        waiting.remove(task)
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


def _wake_all(waiting: deque[trio.lowlevel.Task]) -> None:
    while waiting:
        trio.lowlevel.reschedule(waiting.popleft())


@attrs.define(eq=False)
class MemoryWebSocket:
    """One end of a memory WebSocket.

    *Closes* with `aclose`; the other end still reads what was sent before, then gets the code and reason. As with a
    real socket whose peer has stopped reading, `aclose` waits while the peer's buffer is full.
    """

    _incoming: _Pipe
    _outgoing: _Pipe
    is_prompt: bool = attrs.field(default=False, init=False)
    """Whether it sends without waiting what there is room for, as a real socket does; else it can be interrupted."""
    stride: float = attrs.field(default=0.0, init=False)
    """What its reader has asked to `gather` last, in seconds."""
    answers_pings: bool = attrs.field(default=True, init=False)
    """Whether this end answers pings."""
    _is_pinged: bool = attrs.field(default=False, init=False)
    _answered: float = attrs.field(default=-math.inf, init=False)
    _peer: MemoryWebSocket | None = attrs.field(default=None, init=False, repr=False)
    _over: CloseReason | None = attrs.field(default=None, init=False)
    """Why nothing can be sent any more."""
    _local: bool = attrs.field(default=False, init=False)
    """This end closed, so what was not read is gone."""

    @property
    def closed(self) -> CloseReason | None:
        """Why the connection is over, or None while it is not."""
        return self._over

    @property
    def unread(self) -> int:
        """How many messages wait to be read at this end."""
        return len(self._incoming.messages)

    async def get_message(self) -> str | bytes:
        """Return the next message.

        *Raises* `ConnectionClosed` when there is none and will be none.
        """
        pipe = self._incoming
        if pipe.messages and not self._local:
            await trio.lowlevel.checkpoint_if_cancelled()
            message = pipe.take()
            await trio.lowlevel.cancel_shielded_checkpoint()
            return message
        while self._over is None and not pipe.messages:
            await _wait_turn(pipe.readers)
        if pipe.messages and not self._local:
            return pipe.take()
        await trio.lowlevel.checkpoint()
        raise ConnectionClosed(self._over)

    async def get_messages(self) -> list[str | bytes]:
        """Return the next message, and those that have come with it.

        *Raises* `ConnectionClosed` when there is none and will be none.
        """
        messages = [await self.get_message()]
        pipe = self._incoming
        while pipe.messages and not self._local:
            messages.append(pipe.take())
        return messages

    def send_nowait(self, *messages: str | bytes) -> bool:
        """Send messages if this end is prompt and has room for them; else nothing is sent."""
        if self._over is not None:
            raise ConnectionClosed(self._over)
        pipe = self._outgoing
        if not self.is_prompt or len(pipe.messages) + len(messages) > pipe.limit:
            return False
        pipe.put(*messages)
        return True

    def gather(self, seconds: float, /, *, exactly: bool = False) -> None:  # noqa: ARG002 - all comes exactly
        """Take note of it, and hand over every message at once: there is no work to be saved."""
        self.stride = seconds

    def deliver(self, _take: Take | None, /) -> None:
        """Do nothing: a message wakes its reader."""

    def ping(self) -> None:
        """Ask whether the other end is there."""
        self._is_pinged = True

    @property
    def answered(self) -> float:
        """When (trio time) the other end last answered a ping; it answers the last one as soon as it answers any."""
        if self._is_pinged and self._peer is not None and self._peer.answers_pings:
            self._is_pinged, self._answered = False, trio.current_time()
        return self._answered

    async def send_message(self, message: str | bytes) -> None:
        """Send a message; blocks while the other end's buffer is full.

        *Raises* `ConnectionClosed` when either end has closed, `ValueError` for anything but str and bytes.
        """
        if not isinstance(message, (str, bytes)):
            raise ValueError("message must be str or bytes")  # noqa: TRY004  # as trio-websocket does
        pipe = self._outgoing
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._over is None and len(pipe.messages) >= pipe.limit:
            await _wait_turn(pipe.writers)
        if self._over is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise ConnectionClosed(self._over)
        pipe.put(message)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close with a close frame; closing twice does nothing.

        *Cancellation* leaves the connection closed all the same, as an abrupt drop.
        """
        if self._over is not None:
            self._local = True
            await trio.lowlevel.checkpoint()
            return
        pipe = self._outgoing
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            while self._over is None and len(pipe.messages) >= pipe.limit:
                await _wait_turn(pipe.writers)
            self._end(CloseReason(code, reason))
            await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self.drop()

    def drop(self) -> None:
        """End the connection as a lost TCP connection does: no close frame, code 1006; once over, do nothing."""
        self._end(CloseReason(ABNORMAL_CLOSURE, None))
        self._local = True
        self._wake()

    def _end(self, reason: CloseReason) -> None:
        for end in (self, self._peer):
            if end is not None and end._over is None:
                end._over = reason
                end._wake()

    def _wake(self) -> None:
        for pipe in (self._incoming, self._outgoing):
            _wake_all(pipe.readers)
            _wake_all(pipe.writers)


def memory_websocket_pair(buffer: int = 1024) -> tuple[MemoryWebSocket, MemoryWebSocket]:
    """Return the two ends of one connection, each buffering at most `buffer` unread messages."""
    there, back = _Pipe(buffer), _Pipe(buffer)
    one, other = MemoryWebSocket(back, there), MemoryWebSocket(there, back)
    one._peer, other._peer = other, one
    return one, other
