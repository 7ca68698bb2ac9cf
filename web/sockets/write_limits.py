"""Write limits: how long a peer may leave data unread.

hypercorn shields its writes from cancellation, so a peer that stops reading would hold a call, its slot and the drain
for as long as it likes. TCP_USER_TIMEOUT makes the kernel give such a connection up, a full send window included. Linux
only; elsewhere nothing is set.

`PullServer` sets it on each connection. Where hypercorn is of another version it is inherited from the listening socket
(tcp(7)), but by those only that come after it was set there: hypercorn's own command listens before it loads us.
"""

import socket
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISSOCK

import trio
from hypercorn.config import Config, Sockets

STALL_SECONDS = 10.0
_OPTION: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)


def limit_stalled_writes(
    sockets: Iterable[socket.socket | trio.socket.SocketType], seconds: float = STALL_SECONDS
) -> int:
    """Set the limit on TCP sockets; return on how many."""
    count = 0
    for each in sockets:
        if _OPTION is not None and each.family in {socket.AF_INET, socket.AF_INET6}:
            each.setsockopt(socket.IPPROTO_TCP, _OPTION, int(seconds * 1000))
            count += 1
    return count


class LimitedConfig(Config):
    """A hypercorn configuration whose listening sockets have the limit."""

    def create_sockets(self) -> Sockets:
        """Create the sockets to listen on.

        Raises: `OSError`, with the address and the settings that name it.
        """
        try:
            sockets = super().create_sockets()
        except OSError as exc:
            where = ", ".join(self.bind)
            raise OSError(f"{where}: {exc.strerror or exc}. Check LEAD_SERVER_HOST and LEAD_SERVER_PORT.") from exc
        limit_stalled_writes([*sockets.secure_sockets, *sockets.insecure_sockets])
        return sockets


def limit_our_listeners() -> int:
    """Set the limit on the TCP sockets this process listens on already; return on how many.

    For `hypercorn -k trio server:app`, where the server has opened them before the application is asked anything.
    """
    found = [listener for listener in map(_listener, _descriptors()) if listener is not None]
    try:
        return limit_stalled_writes(found)
    finally:
        for listener in found:
            listener.detach()


def _descriptors() -> list[int]:
    folder = Path("/proc/self/fd")
    return [int(path.name) for path in folder.iterdir()] if folder.is_dir() else []


def _listener(descriptor: int) -> socket.socket | None:
    path = Path(f"/proc/self/fd/{descriptor}")
    try:
        if not S_ISSOCK(path.stat().st_mode):
            return None
        found = socket.socket(fileno=descriptor)
    except OSError:
        return None
    listens = found.type == socket.SOCK_STREAM and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if listens:
        return found
    found.detach()
    return None
