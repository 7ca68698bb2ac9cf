"""Where our own layer reads frames: only on the versions of trio, hypercorn and trio-websocket it was written for.

The layer knows more of these libraries than they promise. Of another version only the public interface is used: a
caller's WebSocket comes as ASGI events, and Deepgram's is trio-websocket's own connection. Calls go on as before, at
more CPU for each; a line in the log says so, once at the start.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version

import structlog

from web.sockets.connections import Connections, count_accept_errors

HYPERCORN, TRIO_WEBSOCKET, TRIO = "hypercorn", "trio-websocket", "trio"
WRITTEN_FOR: Mapping[str, str] = {HYPERCORN: "0.18.0", TRIO_WEBSOCKET: "0.12.2", TRIO: "0.35.0"}
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
    """Whether the installed versions of a library and of trio are those that the frame layer was written for."""
    return all(_installed(one) == WRITTEN_FOR[one] for one in (library, TRIO))


def tell_unknown(library: str) -> None:
    """Log what is done instead if the version of a library, or of trio, is not known."""
    for one in (library, TRIO):
        if (installed := _installed(one)) != WRITTEN_FOR[one]:
            about = {"installed": installed, "written_for": WRITTEN_FOR[one], "instead": _INSTEAD[library]}
            _log.warning("library_not_known", library=one, **about)


def install(connections: Connections | None = None) -> None:
    """Have hypercorn's trio worker serve every connection from now on with `PullServer`, as one of `connections`.

    With another version of hypercorn, or of trio, its own connection stays in place.
    """
    count_accept_errors()
    tell_unknown(HYPERCORN)
    if is_known(HYPERCORN):
        # imported only here: another version may not have what it needs
        import_module("web.sockets.pull_server").put_in_place(connections or Connections())
