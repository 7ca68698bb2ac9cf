"""WebSocket frames on a stream that was upgraded: Deepgram's, or a caller's.

`FrameStream` takes over where the opening handshake ends, at either end of it. It reads in the task that asks,
everything that has come at once: there is no reader task and no queue. It answers pings and the peer's close, writes
what it is given at once, and never closes the stream, which is its owner's. A stream that breaks is a peer that is
gone: code 1006.

Asking the kernel and waking a task cost more than all that is done for a frame. So a reader that can wait calls
`gather`; and with `deliver` it need not be woken: the clock reads the socket when the tick comes.
"""

import math
import os
from collections.abc import Callable
from contextlib import suppress

import attrs
import trio
from trio_websocket import ConnectionClosed

from actors.ticks import ROUND_TICKS, TICK_SECONDS, Sleeper, place_in_round, time_reader
from protocol import frames
from protocol.errors import RemoteProtocolError
from protocol.frames import Close, FrameReader, Ping, Pong
from protocol.wire import Take
from web.sockets.open_socket import OpenSocket
from web.sockets.tls import Tls, socket_below

_MOST_AT_ONCE = 2**14
_ROUNDING = 1e-6
_MESSAGE = (str, bytes)
"""A tuple: a union is asked for each frame at twice the price."""
_BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.define(eq=False)
class FrameStream(OpenSocket):
    """One connection. One task receives at a time; any may send."""

    _stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    _reader: FrameReader
    _come_already: bytes | bytearray = attrs.field(default=b"", init=False)
    """Bytes that were read already."""
    _socket: trio.socket.SocketType = attrs.field(init=False)
    _tls: Tls | None = attrs.field(init=False)
    _gone: Close | None = attrs.field(default=None, init=False)
    _mute: bool = attrs.field(default=False, init=False)
    """We have sent our close, or the stream has broken: nothing may be sent any more."""
    _unsent: bytes = attrs.field(default=b"", init=False)
    _wrote: bool = attrs.field(default=False, init=False)
    """Whether anything was written since `ping_if_silent` was last asked."""
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _sleeper: Sleeper = attrs.field(factory=Sleeper, init=False)
    _now: Callable[[], float] = attrs.field(factory=time_reader, init=False)
    _stride: int | None = attrs.field(default=None, init=False)
    """Ticks that are to lie between two reads, 0: fewer than one; None: what comes is read as it comes."""
    _place: int = attrs.field(factory=place_in_round, init=False)
    """On which tick of each round it is read, if what comes gathers for so long."""
    _last_read: float = attrs.field(default=-10_000, init=False)
    """On which tick that was, or between which two, if we were woken by the peer."""
    _next_read: float | None = attrs.field(default=None, init=False)
    """Between which two ticks that is to be, if `gather` was told exactly."""
    _deliver: Take | None = attrs.field(default=None, init=False)
    _answered: float = attrs.field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self._socket, self._tls = socket_below(self._stream), Tls.of(self._stream)
        if self._tls is not None:
            self._come_already = self._tls.opened(b"")

    async def secure(self, tls: Tls) -> None:
        """Make the handshake of TLS, and go on over it: the end of it is sent with what is written first.

        *Raises* `ssl.SSLError`, an `OSError`.
        """
        while not tls.shake_hands():
            await self.write(tls.sealed(b""))
            tls.hear(await self.read())
        self._tls, self._come_already = tls, tls.opened(b"")

    # Reading

    async def receive(self) -> str | bytes | Close:
        """Return the next message, or how the peer ended. It waits for the peer only if no message is at hand."""
        arrived = self._reader.arrived
        while self._gone is None:
            if not arrived:
                await self._wait_more()
                continue
            received = arrived.pop(0)
            if isinstance(received, _MESSAGE):
                return received
            await self._answer(received)
        await trio.lowlevel.checkpoint()
        return self._gone

    async def get_messages(self) -> list[str | bytes]:
        return [await self.get_message(), *self.at_hand()]

    def at_hand(self) -> list[str | bytes]:
        """Return the messages that have come already, up to the next ping or close."""
        messages: list[str | bytes] = []
        for received in self._reader.arrived:
            if not isinstance(received, _MESSAGE):
                break
            messages.append(received)
        del self._reader.arrived[: len(messages)]
        return messages

    def gather(self, seconds: float, *, exactly: bool = False) -> None:
        """Let what comes within so many seconds come together: of the last read, up to a tick, or `exactly`, of now.

        Zero: what gathers already is read at once, and what comes later as it comes.
        """
        self._stride = None if exactly or not seconds else int(seconds / TICK_SECONDS + _ROUNDING)
        self._next_read = (self._now() + seconds) / TICK_SECONDS if exactly else None
        if not seconds:
            self._sleeper.wake()

    def deliver(self, take: Take | None) -> None:
        """Have `take` take what is read on a tick, while a task waits in `receive`."""
        self._deliver = take if self._closed is None else None

    async def _answer(self, received: Ping | Pong | Close) -> None:
        if isinstance(received, Ping):
            await self.write(frames.pong_frame(received.payload, masked=not self._reader.masked))
        elif isinstance(received, Close):
            self._gone = received
            await self.close(received.code, received.reason)
        else:
            self._answered = self._now()

    def _take(self, data: bytes) -> None:
        if not data:
            self._gone = Close(frames.ABNORMAL, "")
            return
        try:
            self._reader.receive(data)
        except RemoteProtocolError as fault:  # it would say so itself, if it could
            self._reader.arrived.append(Close(int(fault.code), fault.reason))

    async def _wait_more(self) -> None:
        """Wait until more has come, and read it."""
        if self._come_already or not await self._come_on_tick():
            self._take(bytes(await self.read()))
            self._last_read = self._now() / TICK_SECONDS - _ROUNDING

    async def _come_on_tick(self) -> bool:
        """Sleep until the next read is due; whether anything had come by then. False at once, if none is."""
        if (due := self._due() * TICK_SECONDS) <= self._now():
            return False
        await self._sleeper.sleep_until(due, self._look, exactly=True)
        return bool(self._reader.arrived) or self._gone is not None

    def _due(self) -> float:
        """Return on which tick to read next, or between which two; one that is past: as soon as anything comes."""
        if self._next_read is not None:
            return self._next_read
        if self._stride is None:
            return -math.inf
        due = max(math.floor(self._last_read) + 1, math.ceil(self._last_read) + self._stride)
        return due if self._stride < ROUND_TICKS else due - (due - self._place) % ROUND_TICKS

    def _look(self) -> float:
        """Read, since the tick has come; return when to look again, or the past if that is the task's to do."""
        self._last_read = self._due()
        try:
            data = self._read_nowait()
        except OSError:
            data = b""
        if data is None:
            return self._look_soon()
        self._take(data)
        if self._deliver is None or self._mute or self._gone is not None:
            return -math.inf
        if messages := self.at_hand():
            self._deliver(messages)
        return -math.inf if self._reader.arrived else self._due() * TICK_SECONDS

    def _look_soon(self) -> float:
        """Look again soon for what was not there when it was due: ten looks cost less than a task."""
        now = self._now()
        is_late = self._next_read is None or now >= (self._next_read + 1) * TICK_SECONDS
        return -math.inf if is_late else now + _ROUNDING

    async def read(self) -> bytes | bytearray:
        """Return bytes that have come, whatever is in them; none if the peer is gone."""
        if self._come_already:
            already, self._come_already = self._come_already, b""
            return already
        if self._tls is not None and self._tls.is_over:
            return b""
        try:
            while True:
                await trio.lowlevel.wait_readable(_number(self._socket))
                if (data := self._read_nowait()) is not None:
                    return data
        except _BROKEN:
            return b""

    def _read_nowait(self) -> bytes | None:
        """Return what has come, b"" if nothing more will, and None if nothing has come yet."""
        try:
            data = os.read(self._socket.fileno(), _MOST_AT_ONCE)
        except BlockingIOError:
            return None
        if self._tls is None or not data:
            return data
        opened = self._tls.opened(data)
        if self._tls.has_to_answer:
            self._write_nowait(b"")
        return opened if opened or self._tls.is_over else None

    def unread(self, data: bytes) -> None:
        """Have bytes that were read read again, as frames."""
        self._come_already = data

    # Writing

    def send_nowait(self, *messages: str | bytes) -> bool:
        """Send messages in one piece; False, and nothing is sent, if there is no room for them now.

        Raises: `ConnectionClosed` once either side is known to have closed.
        """
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        masked = not self._reader.masked
        if len(messages) == 1:
            return self._write_nowait(frames.message_frame(messages[0], masked=masked))
        return self._write_nowait(b"".join([frames.message_frame(message, masked=masked) for message in messages]))

    async def send(self, message: str | bytes) -> None:
        """Send a message; nothing once either side has closed."""
        await self.write(frames.message_frame(message, masked=not self._reader.masked))

    def ping(self) -> None:
        """Send a ping, unless that would mean to wait."""
        if self._closed is None:
            self._write_nowait(frames.ping_frame(masked=not self._reader.masked))

    @property
    def answered(self) -> float:
        return self._answered

    def ping_if_silent(self) -> None:
        """Send a ping if nothing was sent since the last look: a proxy ends a connection that is silent."""
        if not self._wrote:
            self.ping()
        self._wrote = False

    async def close(self, code: int, reason: str) -> None:
        """Say that nothing more will come."""
        await self.write(frames.close_frame(code, reason, masked=not self._reader.masked))
        self._mute = True

    def _write_nowait(self, data: bytes) -> bool:
        """Write without a turn of the scheduler; what does not fit any more is written before whatever comes next."""
        if self._mute:
            return True
        self._wrote = True
        if self._unsent or self._sending.locked():
            return False
        is_sealed = self._tls is not None
        try:
            data = data if self._tls is None else self._tls.sealed(data)
            written = write_some(self._socket, data)
        except OSError:
            self._mute = True  # the reader meets the same end, after what the peer has said last
            return True
        if not written and not is_sealed:
            return False
        self._unsent = data[written:]  # a record that was sealed cannot be taken back
        return True

    async def write(self, data: bytes) -> None:
        """Write bytes, whatever is in them; nothing once the stream has broken."""
        later = b"" if self._write_nowait(data) else data
        if later or self._unsent:
            async with self._sending:
                try:
                    self._unsent += later if self._tls is None else self._tls.sealed(later)
                    await self._write_unsent()
                except _BROKEN:
                    self._mute = True

    async def _write_unsent(self) -> None:
        while self._unsent and not self._mute:
            await trio.lowlevel.wait_writable(_number(self._socket))
            self._unsent = self._unsent[write_some(self._socket, self._unsent) :]


def _number(socket: trio.socket.SocketType) -> int:
    """Return the descriptor of a socket. *Raises* `ClosedResourceError`, where trio would wait for -1 for ever."""
    number = socket.fileno()
    if number < 0:
        raise trio.ClosedResourceError
    return number


def close_now(socket: trio.socket.SocketType) -> None:
    """Close, behind what was written: `SocketStream` takes a turn of the scheduler for each half of it."""
    with suppress(OSError):  # the peer is gone already
        socket.shutdown(trio.socket.SHUT_WR)
    socket.close()


def read_some(socket: trio.socket.SocketType) -> bytes:
    """Read what has come, without waiting; nothing, where nothing has, or nothing more will."""
    try:
        return os.read(socket.fileno(), _MOST_AT_ONCE)
    except OSError:
        return b""


def write_some(socket: trio.socket.SocketType, data: bytes) -> int:
    """Write what there is room for, and return how many bytes that was. *Raises* `OSError`."""
    try:
        return os.write(socket.fileno(), data)
    except BlockingIOError:
        return 0
