"""The connections of one worker that carry no call: how many there may be, and which one leaves when there are more.

A connection counts from its accept to its close, or until it has become a call's media stream: `Slots` limits those.
Where there are too many, in all or from one address, the oldest leaves of those that wait for their peer to send a
request, or the rest of one; those without a credential before those with one. So a new connection
is nearly always served, and a request that is whole is never cut. Only when none waits is the new one closed at once.

Behind a proxy all connections come from the proxy's address. They give way to one another there, too; that is why an
address may have half of all, and no address is exempt.

The limit in all comes from the descriptors that this process may have open, less those that its calls need.
"""

import logging
import os
import resource
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Protocol

import attrs
import structlog
import trio
from hypercorn.typing import WWWScope

MOST = 1000
"""More connections than this help nobody: a worker answers a webhook in milliseconds."""
PER_CALL = 6
"""Descriptors of a call: the media stream, a Voice Agent socket, another at a handoff, the Brief, two files."""
RESERVED = 64
"""Descriptors of the process itself: listeners, database, logs, what the operator's requests open."""
TELL_SECONDS = 60.0
STALL_SECONDS = 10.0
"""How long a peer may leave data unread."""
_STALL_OPTION: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)

_log = structlog.stdlib.get_logger()


def descriptors_allowed() -> int | None:
    """Return how many descriptors this process may have open; None if nobody limits them."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def limit_stalled_writes(
    sockets: Iterable[socket.socket | trio.socket.SocketType], seconds: float = STALL_SECONDS
) -> None:
    """Have the kernel give up TCP connections whose peer leaves data unread, a full send window included.

    hypercorn shields its writes from cancellation: such a peer would hold a call, its slot and the drain for as long as
    it likes. What a listening socket accepts inherits the limit (tcp(7)). Linux only; elsewhere nothing is set.
    """
    for each in sockets:
        if _STALL_OPTION is not None and each.family in {socket.AF_INET, socket.AF_INET6}:
            each.setsockopt(socket.IPPROTO_TCP, _STALL_OPTION, int(seconds * 1000))


def room_beside(calls: int, descriptors: int | None) -> int:
    """Return how many connections there may be beside so many calls; a quarter of the descriptors at the least."""
    if descriptors is None:
        return MOST
    return min(MOST, max(descriptors // 4, descriptors - RESERVED - calls * PER_CALL))


VOUCHER = "switchboard.voucher"
"""The ASGI extension by which an application says of a connection that a credential was shown: `{"vouch": say so}`."""


def vouch(scope: WWWScope) -> None:
    """Note that a request has shown a credential: its connection is closed last where there are too many."""
    voucher = (scope.get("extensions") or {}).get(VOUCHER)  # ASGI does not require them
    if voucher is not None:
        voucher["vouch"]()


class Connection(Protocol):
    """A connection that can be told to leave."""

    @property
    def waits(self) -> bool:
        """Whether only its peer can move it on."""
        ...

    @property
    def vouched(self) -> bool:
        """Whether a request on it has shown a credential."""
        ...

    def leave(self) -> None:
        """Close, without waiting."""
        ...

    def leave_with_server(self) -> None:
        """Close if it is idle, without waiting."""
        ...


class Terminated(Protocol):
    """An event that comes when the server closes."""

    async def wait(self) -> None: ...


@attrs.define
class Seldom:
    """Counts events that strangers can cause as often as they like, for one line in the log a minute."""

    now: Callable[[], float] = time.monotonic
    _count: int = attrs.field(default=0, init=False)
    _told: float = attrs.field(default=-TELL_SECONDS, init=False)

    def times(self) -> int:
        """Count one more; return how many there were since the last line, or 0 if it is not time for another."""
        self._count += 1
        if self.now() - self._told < TELL_SECONDS:
            return 0
        count, self._count, self._told = self._count, 0, self.now()
        return count


@attrs.define(eq=False)
class Connections:
    """The connections of one worker. It awaits nothing."""

    most: int = MOST
    now: Callable[[], float] = time.monotonic
    _open: dict[Connection, str] = attrs.field(factory=dict, init=False)
    """In the order in which they came, with their addresses."""
    _terminated: Terminated | None = attrs.field(default=None, init=False)
    """Of the server whose connections leave with it."""
    _full: Seldom = attrs.field(default=attrs.Factory(lambda self: Seldom(self.now), takes_self=True), init=False)
    refused: Seldom = attrs.field(default=attrs.Factory(lambda self: Seldom(self.now), takes_self=True), init=False)
    """Malformed WebSocket upgrades."""

    @classmethod
    def beside(cls, calls: int, descriptors: int | None) -> "Connections":
        """Return connections beside so many calls; log it when there are too few descriptors for all of them."""
        wanted = RESERVED + calls * PER_CALL
        if descriptors is not None and descriptors < wanted + RESERVED:
            fix = f"Raise the limit of open files to {wanted + MOST} (ulimit -n, LimitNOFILE), or lower MAX_CALLS."
            _log.warning("descriptors_short", allowed=descriptors, calls=calls, wanted=wanted + RESERVED, fix=fix)
        return cls(room_beside(calls, descriptors))

    @contextmanager
    def hold(self, connection: Connection, address: str) -> Iterator[bool]:
        """Count a connection for as long as the `with` lasts, or until it is released; False if there is no room."""
        whence = network_of(address)
        is_room = self._make_room(whence)
        if is_room:
            self._open[connection] = whence
        try:
            yield is_room
        finally:
            self.release(connection)

    def release(self, connection: Connection) -> None:
        """Count a connection no more: it is closed, or a call's."""
        self._open.pop(connection, None)

    def leave_with(self, terminated: Terminated) -> None:
        """Have idle connections closed when their server closes: one task for all of them."""
        if terminated is not self._terminated:
            self._terminated = terminated
            trio.lowlevel.spawn_system_task(self._leave_with, terminated)

    async def _leave_with(self, terminated: Terminated) -> None:
        await terminated.wait()
        for connection in list(self._open):
            connection.leave_with_server()

    def _make_room(self, whence: str) -> bool:
        of_one = [connection for connection, other in self._open.items() if other == whence]
        if len(of_one) >= max(1, self.most // 2):
            return self._displace(of_one)
        return len(self._open) < self.most or self._displace(list(self._open))

    def _displace(self, connections: list[Connection]) -> bool:
        """Close the first connection that waits, one without a credential before others; False if none waits."""
        if times := self._full.times():
            _log.warning("connections_full", most=self.most, times=times)
        unknown_first = sorted(connections, key=lambda connection: connection.vouched)
        leaves = next((connection for connection in unknown_first if connection.waits), None)
        if leaves is None:
            return False
        self.release(leaves)
        leaves.leave()
        return True


@attrs.define(eq=False)
class AcceptErrors(logging.Filter):
    """Has one line a minute, with a count, for the errors of `accept`: trio logs ten a second, each with its stack."""

    seldom: Seldom = attrs.field(factory=Seldom)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell of an error in a line of ours, if it is time for one; never let trio's own line through."""
        if times := self.seldom.times():
            error = record.exc_info[1] if record.exc_info else None
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else record.getMessage()
            fix = "Raise the limit of open files (ulimit -n, LimitNOFILE), or lower MAX_CALLS."
            _log.error("accept_failed", why=why, times=times, fix=fix)
        return False


def count_accept_errors() -> None:
    """Have errors of `accept` told once a minute from now on."""
    logging.getLogger("trio.serve_listeners").filters[:] = [AcceptErrors()]


@lru_cache(maxsize=1000)
def network_of(address: str) -> str:
    """Return the part of an address that stands for one peer: of IPv6 the first half, as a peer has all the rest."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(int(parsed) >> 64) if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None else address
