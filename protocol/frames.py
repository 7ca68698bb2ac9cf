"""WebSocket frames (RFC 6455): bytes to messages and back, for either end, with no more Python than a frame needs.

`FrameReader` cuts everything that has come into messages; `message_frame` and its neighbours write. Both ends of a
connection are here because they differ in one bit: what a client sends is masked. Nothing here answers a ping, closes
or waits: that is for the owner of the connection. There are no extensions, so none may have been agreed on.

What the peer does wrong is a `RemoteProtocolError`; its `code` is the close code that says so.
"""

import os
from struct import Struct
from typing import TypeAlias

import attrs

from protocol.errors import RemoteProtocolError

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform for which websockets has no compiled wheel
    from websockets.utils import apply_mask

PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009
NO_STATUS, ABNORMAL = 1005, 1006

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_OPCODES = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})
_FIN, _RESERVED, _OPCODE, _CONTROL = 0x80, 0x70, 0x0F, 0x08
_MASKED, _LENGTH = 0x80, 0x7F
_IN_TWO_BYTES = 126
_WHOLE_TEXT, _WHOLE_BINARY = _WHOLE = (_FIN | _TEXT, _FIN | _BINARY)
_LONG_HEAD = Struct(">BBH").pack
_LONGEST_CONTROL = 125
_KEYS_AT_ONCE = 256
_KNOWN_CODES = frozenset({*range(1000, 1004), *range(1007, 1014), *range(3000, 5000)})


@attrs.frozen
class Ping:
    """Either end: are you there? It is answered with a `Pong` of the same payload."""

    payload: bytes


@attrs.frozen
class Pong:
    """Either end: I am."""

    payload: bytes


@attrs.frozen
class Close:
    """Either end: nothing more will come. It is answered with a `Close`."""

    code: int
    reason: str


Received: TypeAlias = str | bytes | Ping | Pong | Close


@attrs.define
class FrameReader:
    """Reads what the peer sends, in order. A reader that has raised, or has read a `Close`, reads nothing more."""

    masked: bool
    """Whether the peer masks its frames: clients do, servers must not."""
    limit: int
    """Bytes in one message, whatever number of frames it comes in."""
    joins_binary: bool = False
    """Whether binary messages that come together are as good as one: audio in pieces is."""
    arrived: list[Received] = attrs.field(factory=list, init=False)
    """Messages that were read and have not been taken yet."""
    _rest: bytearray = attrs.field(factory=bytearray, init=False)
    _wanted: int = attrs.field(default=0, init=False)
    _begun: int = attrs.field(default=0, init=False)
    """The opcode of the message whose frames are coming."""
    _parts: list[bytes] = attrs.field(factory=list, init=False)
    _gathered: int = attrs.field(default=0, init=False)
    _over: bool = attrs.field(default=False, init=False)

    def receive(self, data: bytes) -> None:
        """Put the messages that are complete now into `arrived`.

        Raises: `RemoteProtocolError`, when what came before the fault has arrived.
        """
        if self._over:
            return
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        try:
            rest = self._cut(data)
        except RemoteProtocolError:
            self._over = True
            raise
        except UnicodeDecodeError as error:
            self._over = True
            raise _fault("text that is not UTF-8", INVALID_DATA) from error
        if rest:
            self._rest += rest

    def _cut(self, data: bytes) -> bytes:
        """Take one frame after the other; return what is left, the beginning of another."""
        start, size, arrived = 0, len(data), self.arrived
        while start < size and (frame := self._frame_at(data, start)) is not None:
            first, payload, start = frame
            if first == _WHOLE_BINARY:
                if self.joins_binary and arrived and isinstance(arrived[-1], bytes):
                    arrived[-1] += payload
                else:
                    arrived.append(payload)
            elif first == _WHOLE_TEXT:
                arrived.append(payload.decode())
            elif first & _CONTROL:
                arrived.append(_control(first, payload))
                if first & _OPCODE == _CLOSE:
                    self._over = True
                    return b""
            else:
                self._join(first, payload)
        return data[start:]

    def _frame_at(self, data: bytes, start: int) -> tuple[int, bytes, int] | None:
        """Return the first byte, the payload and the end of a frame; None if it is not all there."""
        body, size, masked = start + 2, len(data), self.masked
        if size < body:
            self._wanted = 2
            return None
        first, length = data[start], data[start + 1]
        if self._begun or first not in _WHOLE or (length > _LENGTH) is not masked:
            self._check(first, length)
        length &= _LENGTH
        if length > _LONGEST_CONTROL:
            is_short = length == _IN_TWO_BYTES
            body += 2 if is_short else 8
            if size < body:
                self._wanted = body - start
                return None
            length = data[body - 2] << 8 | data[body - 1] if is_short else int.from_bytes(data[start + 2 : body])
            if length <= _LONGEST_CONTROL or not is_short:
                _check_length(length, is_short=is_short)
        if length + self._gathered > self.limit:
            raise _fault(f"more than {self.limit} bytes in one message", TOO_BIG)
        body += 4 * masked
        end = body + length
        if size < end:
            self._wanted = end - start
            return None
        payload = data[body:end]
        return first, apply_mask(payload, data[body - 4 : body]) if masked else payload, end

    def _check(self, first: int, length: int) -> None:
        if (length > _LENGTH) is not self.masked:
            raise _fault("a frame with a mask" if length > _LENGTH else "a frame without a mask")
        opcode = first & _OPCODE
        if first & _RESERVED:
            raise _fault("a reserved bit is set")
        if opcode not in _OPCODES:
            raise _fault(f"opcode {opcode:#x}")
        if opcode & _CONTROL and not first & _FIN:
            raise _fault("a control frame in pieces")
        if opcode & _CONTROL and length & _LENGTH > _LONGEST_CONTROL:
            raise _fault("a control frame of more than 125 bytes")
        if not opcode & _CONTROL and (opcode == _CONTINUATION) is not bool(self._begun):
            raise _fault("a new message inside another" if self._begun else "a continuation of nothing")

    def _join(self, first: int, payload: bytes) -> None:
        """Take a frame of a message that comes in several."""
        self._begun = self._begun or first & _OPCODE
        if payload:  # a peer may send empty pieces for ever
            self._parts.append(payload)
        self._gathered += len(payload)
        if first & _FIN:
            whole, begun = b"".join(self._parts), self._begun
            self._parts.clear()
            self._begun = self._gathered = 0
            self.arrived.append(whole.decode() if begun == _TEXT else whole)


def _fault(reason: str, code: int = PROTOCOL_ERROR) -> RemoteProtocolError:
    return RemoteProtocolError(reason, code=code)


def _check_length(length: int, *, is_short: bool) -> None:
    if length <= (_LONGEST_CONTROL if is_short else 0xFFFF):
        raise _fault("a length written in more bytes than it needs")
    if length >> 63:
        raise _fault("a length of more than 63 bits")


def _control(first: int, payload: bytes) -> Ping | Pong | Close:
    opcode = first & _OPCODE
    if opcode == _PING:
        return Ping(payload)
    if opcode == _PONG:
        return Pong(payload)
    if not payload:
        return Close(NO_STATUS, "")
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or code not in _KNOWN_CODES:
        raise _fault(f"close code {code}")
    return Close(code, payload[2:].decode())


def message_frame(message: str | bytes, *, masked: bool) -> bytes:
    if isinstance(message, str):
        return _frame(_WHOLE_TEXT, message.encode(), masked)
    return _frame(_WHOLE_BINARY, message, masked)


def ping_frame(*, masked: bool) -> bytes:
    return _frame(_FIN | _PING, b"", masked)


def pong_frame(payload: bytes, *, masked: bool) -> bytes:
    return _frame(_FIN | _PONG, payload, masked)


def close_frame(code: int, reason: str, *, masked: bool) -> bytes:
    """Say that nothing more will come; a code that cannot be said (1005, 1006, 1015) is left out."""
    if code not in _KNOWN_CODES:
        return _frame(_FIN | _CLOSE, b"", masked)
    said = reason.encode()[: _LONGEST_CONTROL - 2].decode(errors="ignore").encode()
    return _frame(_FIN | _CLOSE, code.to_bytes(2) + said, masked)


def _frame(first: int, payload: bytes, masked: bool) -> bytes:
    size, bit = len(payload), _MASKED if masked else 0
    if size <= _LONGEST_CONTROL:
        head = bytes((first, bit | size))
    elif size <= 0xFFFF:
        head = _LONG_HEAD(first, bit | _IN_TWO_BYTES, size)
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8)
    if not masked:
        return head + payload
    key = _new_key()
    return head + key + apply_mask(payload, key)


_keys: list[bytes] = []


def _new_key() -> bytes:
    """Return a masking key that nobody can foresee; the kernel is asked for many at once."""
    if not _keys:
        drawn = os.urandom(4 * _KEYS_AT_ONCE)
        _keys.extend(drawn[start : start + 4] for start in range(0, len(drawn), 4))
    return _keys.pop()
