"""The frames of an open WebSocket, on a stream that was upgraded: Deepgram's, or a caller's.

`FrameStream` takes over where the opening handshake ends, at either end of it. It reads in the task that asks,
everything that has come at once: there is no reader task and no queue. It answers pings and the peer's close, writes
what it is given at once, and never closes the stream, which is its owner's. A stream that breaks is a peer that is
gone: code 1006.

Asking the kernel and waking a task cost more than all that is done for a frame, so whoever can wait says so: `gather`.
"""

import math
import os

import attrs
import trio

from protocol import frames
from protocol.errors import RemoteProtocolError
from protocol.frames import Close, FrameReader, Ping, Pong

_MOST_AT_ONCE = 2**16
_TICK = 0.01
"""Seconds. Whoever gathers is woken on a tick, together with others: one turn of the scheduler for many calls."""
_BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.define(eq=False)
class FrameStream:
    """One connection. One task receives at a time; any may send."""

    _stream: trio.abc.Stream
    _reader: FrameReader
    _come_already: bytes = b""
    """What has been read of the stream before, and is part of it."""
    _socket: trio.socket.SocketType | None = attrs.field(init=False)
    _gone: Close | None = attrs.field(default=None, init=False)
    _mute: bool = attrs.field(default=False, init=False)
    """We have said our close, or a frame of ours was cut off: what we said now would be noise."""
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _stride: float = attrs.field(default=0.0, init=False)
    _last_read: float = attrs.field(default=-math.inf, init=False)
    """When that was: the next tick, if we were woken by the peer."""

    @_socket.default
    def _bare_socket(self) -> trio.socket.SocketType | None:
        return self._stream.socket if isinstance(self._stream, trio.SocketStream) else None

    # What the peer says

    async def receive(self) -> str | bytes | Close:
        """Return the next message, or how the peer ended. It waits for the peer only if no message is at hand."""
        arrived = self._reader.arrived
        while self._gone is None:
            if not arrived:
                await self._read()
                continue
            received = arrived.popleft()
            if isinstance(received, str | bytes):
                return received
            await self._answer(received)
        await trio.lowlevel.checkpoint()
        return self._gone

    def gather(self, seconds: float) -> None:
        """Let what comes within so many seconds of the last read come together."""
        self._stride = seconds

    async def _answer(self, received: Ping | Pong | Close) -> None:
        if isinstance(received, Ping):
            await self._write(frames.pong_frame(received.payload, masked=not self._reader.masked))
        elif isinstance(received, Close):
            self._gone = received
            await self.close(received.code, received.reason)

    async def _read(self) -> None:
        try:
            data = await self._receive_some()
        except _BROKEN:
            data = b""
        if not data:
            self._gone = Close(frames.ABNORMAL, "")
            return
        try:
            self._reader.receive(bytes(data))
        except RemoteProtocolError as fault:  # it would say so itself, if it could
            self._reader.arrived.append(Close(int(fault.code), fault.reason))

    async def _receive_some(self) -> bytes | bytearray:
        if self._come_already:
            already, self._come_already = self._come_already, b""
            return already
        due = self._last_read + self._stride
        if due > trio.current_time():
            await trio.sleep_until(due)
            self._last_read = due
            come = _read_nowait(self._socket) if self._socket is not None else None
            if come is not None:
                return come
        waited_for = await self._wait_data()
        self._last_read = math.ceil(trio.current_time() / _TICK) * _TICK
        return waited_for

    async def _wait_data(self) -> bytes | bytearray:
        if self._socket is None:
            return await self._stream.receive_some(_MOST_AT_ONCE)
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            data = _read_nowait(self._socket)
            if data is not None:
                return data

    # What we say

    async def send(self, message: str | bytes) -> None:
        """Send a message; nothing once either side has closed."""
        await self._write(frames.message_frame(message, masked=not self._reader.masked))

    async def close(self, code: int, reason: str) -> None:
        """Say that nothing more will come."""
        await self._write(frames.close_frame(code, reason, masked=not self._reader.masked))
        self._mute = True

    async def _write(self, data: bytes) -> None:
        """Write a frame; at once, without a turn of the scheduler, if there is room for it."""
        if self._mute:
            return
        try:
            written = 0 if self._socket is None or self._sending.locked() else _write_nowait(self._socket, data)
            if written < len(data):
                await self._write_later(data, written)
        except _BROKEN:
            self._mute = True  # the reader meets the same end, after what the peer has said last

    async def _write_later(self, data: bytes, written: int) -> None:
        if written:
            self._sending.acquire_nowait()  # nobody may come between the two halves
        else:
            await self._sending.acquire()
        try:
            if not self._mute:
                await self._write_all(data, written)
        finally:
            self._sending.release()

    async def _write_all(self, data: bytes, written: int) -> None:
        whole = False
        try:
            if self._socket is None:
                await self._stream.send_all(data)
            else:
                await _write_on(self._socket, data, written)
            whole = True
        finally:
            self._mute = self._mute or not whole


async def _write_on(socket: trio.socket.SocketType, data: bytes, written: int) -> None:
    while written < len(data):
        await trio.lowlevel.wait_writable(socket)
        written += _write_nowait(socket, data[written:])


def _read_nowait(socket: trio.socket.SocketType) -> bytes | None:
    try:
        return os.read(socket.fileno(), _MOST_AT_ONCE)
    except BlockingIOError:
        return None


def _write_nowait(socket: trio.socket.SocketType, data: bytes) -> int:
    try:
        return os.write(socket.fileno(), data)
    except BlockingIOError:
        return 0
