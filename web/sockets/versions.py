"""Where frames are read by our own layer: only on the versions of hypercorn and trio-websocket it was written for.

The layer knows more of both libraries than they promise. Of another version only the public interface is used: a
caller's WebSocket comes as ASGI events, and Deepgram's is trio-websocket's own connection. Calls go on as before, at
more CPU for each; a line in the log says so, once at the start.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version

import structlog

from web.sockets.connections import Connections, count_accept_errors

HYPERCORN, TRIO_WEBSOCKET = "hypercorn", "trio-websocket"
WRITTEN_FOR: Mapping[str, str] = {HYPERCORN: "0.18.0", TRIO_WEBSOCKET: "0.12.2"}
MAX_MESSAGE_BYTES = 64 * 1024
"""Twilio's frames are about 400 bytes. hypercorn's own limit, unless it is told another, is 16 MB."""
SILENT_SECONDS = 25.0
"""How often a WebSocket that was sent nothing meanwhile is pinged. nginx ends one after 60 s of silence."""
_INSTEAD: Mapping[str, str] = {
    HYPERCORN: "callers' WebSockets come as ASGI events, and connections without a call are not limited",
    TRIO_WEBSOCKET: "its own connection carries the agents' WebSockets",
}

_log = structlog.stdlib.get_logger()
_installed = cache(version)


def is_known(library: str) -> bool:
    """Whether the installed version of a library is the one that the frame layer was written for."""
    return _installed(library) == WRITTEN_FOR[library]


def tell_unknown(library: str) -> None:
    """Log what is done instead if the version of a library is not known."""
    if not is_known(library):
        _log.warning(
            "library_not_known",
            library=library,
            installed=_installed(library),
            written_for=WRITTEN_FOR[library],
            instead=_INSTEAD[library],
        )


def install(connections: Connections | None = None) -> None:
    """Have hypercorn's trio worker serve every connection from now on with `PullServer`, as one of `connections`.

    With another version of hypercorn its own connection stays in place.
    """
    count_accept_errors()
    tell_unknown(HYPERCORN)
    if is_known(HYPERCORN):
        # imported only here: another version may not have what it needs
        import_module("web.sockets.pull_server").put_in_place(connections or Connections())
