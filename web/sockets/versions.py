"""Where a caller's frames are read by our own layer: only on the version of hypercorn that it was written for.

The layer knows more of hypercorn than it promises. Of another version only the public interface is used: a caller's
WebSocket comes as ASGI events. Calls go on as before, at more CPU for each; a line in the log says so, once at the
start.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import version

import structlog

from web.sockets.connections import Connections, count_accept_errors

WRITTEN_FOR = "0.18.0"
MAX_MESSAGE_BYTES = 64 * 1024
"""Twilio's frames are about 400 bytes. hypercorn's own limit, unless it is told another, is 16 MB."""
SILENT_SECONDS = 25.0
"""How often a WebSocket that was sent nothing meanwhile is pinged. nginx ends one after 60 s of silence."""

_log = structlog.stdlib.get_logger()
_installed = cache(version)


def is_known() -> bool:
    """Whether hypercorn has the version that the frame layer was written for."""
    return _installed("hypercorn") == WRITTEN_FOR


def install(connections: Connections | None = None) -> None:
    """Have hypercorn's trio worker serve every connection from now on with `PullServer`, as one of `connections`.

    With another version of hypercorn its own connection stays in place.
    """
    count_accept_errors()
    if is_known():
        # imported only here: another version may not have what it needs
        import_module("web.sockets.pull_server").put_in_place(connections or Connections())
        return
    _log.warning(
        "library_not_known",
        library="hypercorn",
        installed=_installed("hypercorn"),
        written_for=WRITTEN_FOR,
        instead="callers' WebSockets come as ASGI events, and connections without a call are not limited",
    )
