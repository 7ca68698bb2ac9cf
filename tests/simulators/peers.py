"""What a peer can do to a WebSocket that no library of ours would: raw bytes at each stage of a connection."""

import hashlib
import socket
import struct
from base64 import b64encode

import trio

from protocol.frames import close_frame, message_frame

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3

NOT_UPGRADES: dict[str, bytes] = {
    "nothing at all": b"",
    "half a request": b"GET /v1/agent/converse HTTP/1.1\r\nHost: x\r\n",
    "noise": b"\x00\x01\x02 not http\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "a plain GET": b"GET /v1/agent/converse HTTP/1.1\r\nHost: x\r\n\r\n",
    "a POST with a body": b"POST /v1/agent/converse HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "no key": b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n",
    "another version": b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
    "an endless header": b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000,
}


def frames_out_of_turn(*, masked: bool) -> dict[str, bytes]:
    """Return what may follow a close, or come instead of a message, by what is wrong with it."""
    bit, key = (0x80, bytes(4)) if masked else (0, b"")

    def frame(first: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
        return bytes((first, bit | (len(payload) if length is None else length))) + key + payload

    return {
        "a ping": frame(0x89, b"20 s"),
        "three pings": frame(0x89) * 3,
        "a pong": frame(0x8A, b"unasked"),
        "a message": message_frame('{"type":"KeepAlive"}', masked=masked),
        "audio": message_frame(bytes(160), masked=masked) * 50,
        "a close": close_frame(1000, "", masked=masked),
        "two closes": close_frame(1000, "", masked=masked) * 2,
        "a ping behind a close": close_frame(1001, "going away", masked=masked) + frame(0x89),
        "a close code nobody may send": frame(0x88, struct.pack("!H", 1006)),
        "half a close code": frame(0x88, b"\x03"),
        "a close reason that is no text": frame(0x88, struct.pack("!H", 1000) + b"\xff"),
        "a frame with the wrong mask": message_frame("{}", masked=not masked),
        "a reserved bit": frame(0xC1, b"{}"),
        "an unknown opcode": frame(0x83),
        "a ping in pieces": frame(0x09),
        "a long ping": bytes((0x89, bit | 126)) + struct.pack("!H", 200) + key + bytes(200),
        "a continuation of nothing": frame(0x80, b"x"),
        "a message inside another": frame(0x01, b"{") + frame(0x81, b"}"),
        "text that is not UTF-8": frame(0x81, b"\xff\xfe"),
        "a length of 2**63": bytes((0x82, bit | 127)) + b"\xff" * 8 + key,
        "a second upgrade": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    }


async def upgrade_as_client(stream: trio.abc.Stream, path: str, authorization: str) -> None:
    """Ask for a WebSocket, and read the answer's head and nothing behind it."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: {authorization}\r\n\r\n"
    )
    await stream.send_all(request.encode())
    assert b" 101 " in await read_head(stream)


async def upgrade_as_server(stream: trio.SocketStream) -> None:
    """Accept a WebSocket."""
    head = await read_head(stream)
    (key,) = (line.partition(b":")[2].strip() for line in head.splitlines() if b"websocket-key" in line.lower())
    accept = b64encode(hashlib.sha1(key + MAGIC, usedforsecurity=False).digest())
    await stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


async def read_head(stream: trio.abc.Stream) -> bytes:
    """Read an HTTP head, byte for byte."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = await stream.receive_some(1)
        assert byte, head
        head += byte
    return head


async def read_to_end(stream: trio.SocketStream) -> bytes:
    """Read until the other end is gone."""
    read = b""
    try:
        while data := await stream.receive_some():
            read += data
    except trio.BrokenResourceError:
        pass
    return read


async def reset(stream: trio.SocketStream) -> None:
    """Drop the connection so that the other end's next read fails."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()
