"""TLS without a turn of the scheduler: what came is opened, and what goes is sealed, in memory.

`trio.SSLStream` gives one record for each read, takes a checkpoint and a lock for each write, and an agent's audio
comes as a record for every 20 ms. `Tls` leaves the reading and writing of the socket to its owner. Where we are the
server, hypercorn's `trio.SSLStream` has made the handshake, and `Tls` takes over its TLS object. It knows more of
`trio.SSLStream` than trio promises: with another version of trio the frame layer is not used (`web.sockets.versions`).
"""

import ssl
from weakref import WeakSet

import attrs
import trio

_MOST_AT_ONCE = 2**14
_PIECE, _SEALED = 2**12, 2**11
"""Bytes that are opened and sealed at once: OpenSSL keeps as much room as it has ever taken, and a third more."""
MOST_REFUSED = 20
"""TLS sessions in a row."""


@attrs.define(eq=False)
class Tls:
    """One connection's TLS. *Raises* `ssl.SSLError`, an `OSError`, where it fails, and for what cannot be sealed."""

    connection: ssl.SSLObject
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    is_over: bool = attrs.field(default=False, init=False)
    """Whether nothing more will come: the peer has said so, or has sent what is no TLS."""

    @classmethod
    def of(cls, stream: trio.abc.Stream) -> "Tls | None":
        """Take over a stream after its handshake; None if it has no TLS."""
        if isinstance(stream, trio.SSLStream):
            return cls(stream._ssl_object, stream._incoming, stream._outgoing)
        return None

    def shake_hands(self) -> bool:
        """Go on with the handshake as far as what has come allows; whether that is its end."""
        try:
            self.connection.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def hear(self, data: bytes | bytearray) -> None:
        """Take what the peer says in the handshake; nothing: it is gone."""
        self._incoming.write(data)
        if not data:
            self._incoming.write_eof()

    @property
    def has_to_answer(self) -> bool:
        """Whether TLS itself has something to say to what was opened: hardly ever."""
        return self._outgoing.pending > 0

    def opened(self, data: bytes | bytearray) -> bytes:
        """Return the plaintext of the records that are complete now."""
        parts: list[bytes] = []
        for start in range(0, len(data) or 1, _PIECE):
            self._incoming.write(data[start : start + _PIECE])
            self._open(parts)
        return b"".join(parts)

    def _open(self, parts: list[bytes]) -> None:
        try:
            while not self.is_over and (self._incoming.pending or self.connection.pending()):
                part = self.connection.read(_MOST_AT_ONCE)
                self.is_over = not part
                parts.append(part)
        except ssl.SSLWantReadError:
            pass  # the rest of a record has not come yet
        except ssl.SSLError:
            self.is_over = True

    def sealed(self, data: bytes) -> bytes:
        """Return records of these bytes, behind what TLS itself has to say."""
        parts: list[bytes] = []
        for start in range(0, len(data), _SEALED):
            self.connection.write(data[start : start + _SEALED])
            parts.append(self._outgoing.read())
        return b"".join(parts) if parts else self._outgoing.read()


@attrs.define(eq=False)
class TlsClient:
    """TLS with one service: a connection goes on from the session of an earlier one, and checks no certificate anew.

    To copy a session costs a third of a handshake, so one serves until the service refuses it. A service that refuses
    one after the other is offered none any more: each would cost more than it spares.
    """

    context: ssl.SSLContext
    _session: ssl.SSLSession | None = attrs.field(default=None, init=False)
    _offered: WeakSet[Tls] = attrs.field(factory=WeakSet, init=False)
    """Connections that this session was offered on, until it is taken."""
    _refused: int = attrs.field(default=0, init=False)
    """Sessions in a row."""

    def begin(self, host: str) -> Tls:
        """Return a connection, before its handshake."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = self.context.wrap_bio(incoming, outgoing, server_hostname=host, session=self._session)
        tls = Tls(connection, incoming, outgoing)
        if self._session is not None:
            self._offered.add(tls)
        return tls

    def note(self, tls: Tls) -> None:
        """Keep the session of a connection that the service has said something on, unless there is one already."""
        if tls.connection.session_reused:
            self._refused = 0
            self._offered.discard(tls)
            return
        self.note_refused(tls)
        if self._session is None and self._refused < MOST_REFUSED:
            self._session = tls.connection.session

    def note_refused(self, tls: Tls) -> None:
        """Offer a session no more that was refused on this connection, or that its handshake has failed with."""
        if tls in self._offered:
            self._refused += 1
            self._session, self._offered = None, WeakSet()


def let_go(stream: trio.abc.Stream) -> None:
    """Let a stream that nobody reads any more go with its last user: it refers to itself, by its handshake.

    With it go 33 kB of OpenSSL's, which the collector would leave until no call runs.
    """
    if isinstance(stream, trio.SSLStream):
        stream._handshook._afn = trio.lowlevel.checkpoint  # type: ignore[assignment]  # it is called no more


def socket_below(stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> trio.socket.SocketType:
    """Return the socket that carries a stream."""
    return (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket
