"""The opening handshake of a WebSocket at the client's end (RFC 6455, section 4.1): bytes out, bytes in.

`ClientUpgrade` writes the request and reads the answer, up to the first byte of the first frame. It offers no extension
and no subprotocol, so no answer may agree on one. A server that says no raises `UpgradeRefused`, and its reasons are
not read; an answer that is none is a `RemoteProtocolError`.
"""

import hashlib
import os
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence

import attrs

from protocol.errors import ProtocolError, RemoteProtocolError

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Of the RFC, section 1.3."""
_LONGEST_HEAD = 2**14
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])(?: [^\r\n]*)?", re.ASCII)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*", re.ASCII)
_AGREED = (b"sec-websocket-extensions", b"sec-websocket-protocol")


class UpgradeRefused(ProtocolError):
    """The server understood, and does not want to; it may want to later."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


def _new_key() -> bytes:
    return b64encode(os.urandom(16))


@attrs.define
class ClientUpgrade:
    """One handshake. `host` and `resource` are as they stand in the request; they and `headers` must fit in a line."""

    host: str
    resource: str
    headers: Sequence[tuple[bytes, bytes]] = ()
    key: bytes = attrs.field(factory=_new_key)
    _come: bytes = attrs.field(default=b"", init=False)

    def request(self) -> bytes:
        """Write the request."""
        fields = (
            (b"Host", self.host.encode()),
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Key", self.key),
            (b"Sec-WebSocket-Version", b"13"),
            *self.headers,
        )
        lines = [b"GET %s HTTP/1.1" % self.resource.encode(), *(b"%s: %s" % field for field in fields)]
        return b"\r\n".join([*lines, b"", b""])

    def receive(self, data: bytes) -> bytes | None:
        """Take what has come, b"" for the end; return what came behind the answer, None if that is not whole yet.

        Raises: `UpgradeRefused`, `RemoteProtocolError`.
        """
        if not data:
            raise RemoteProtocolError("the peer hung up during the upgrade")
        self._come += data
        head, end, rest = self._come.partition(b"\r\n\r\n")
        if len(head) > _LONGEST_HEAD:
            raise RemoteProtocolError("the answer to the upgrade is too long")
        if not end:
            return None
        self._check(head)
        return rest

    def _check(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(first)
        if status is None:
            raise RemoteProtocolError.about(first, "the answer to the upgrade is not HTTP/1")
        if status[1] != b"101":
            raise UpgradeRefused(int(status[1]))
        answer = _fields(lines)
        if answer.get(b"upgrade", b"").lower() != b"websocket" or not _has_upgrade(answer.get(b"connection", b"")):
            raise RemoteProtocolError("the answer to the upgrade does not say what to upgrade to")
        if answer.get(b"sec-websocket-accept") != b64encode(hashlib.sha1(self.key + _GUID).digest()):  # noqa: S324 - the RFC's
            raise RemoteProtocolError("the answer to the upgrade is not to our key")
        if any(answer.get(name) for name in _AGREED):
            raise RemoteProtocolError("the answer to the upgrade agrees on what was not offered")


def _fields(lines: Sequence[bytes]) -> Mapping[bytes, bytes]:
    """Read header fields by their names in lower case; one that is repeated is a list, as HTTP has it."""
    found = dict[bytes, bytes]()
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise RemoteProtocolError.about(line, "the answer to the upgrade has a line that is no header")
        name = field[1].lower()
        found[name] = b"%s, %s" % (found[name], field[2]) if name in found else field[2]
    return found


def _has_upgrade(connection: bytes) -> bool:
    return b"upgrade" in [token.strip(b" \t") for token in connection.lower().split(b",")]
