"""Rate limits for clients that have shown no valid signature or token; `harden` gives an answer its headers.

`RateLimits` counts refusals by address (of IPv6: by /64). One with too many gets 429, and no line in the log, until its
allowance has grown again. Only requests without a valid signature or token are counted, so Twilio and an operator are
never turned away, even behind one proxy with an attacker. A bounded number of addresses is kept; the one not seen for
longest is forgotten.
"""

from collections import OrderedDict
from collections.abc import Callable

import attrs
import trio
from quart import Response, request

from web.sockets.asgi_events import HEADERS
from web.sockets.connections import network_of

ALLOWANCE = 30.0
"""Refusals in a row that an address may have …"""
REFILL = 1.0
"""… and how many more a second from then on."""
KNOWN_ADDRESSES = 4096
MOST_PENDING_STREAMS = 200
"""More than Twilio connects in the five seconds each of them has: above one call a second it queues."""


@attrs.define
class RateLimits:
    now: Callable[[], float] = trio.current_time
    _known: OrderedDict[str, tuple[float, float]] = attrs.field(factory=OrderedDict, init=False)

    def refuse(self, client: tuple[str, int] | None) -> float:
        """Note one more refusal; return the seconds to stay away, or 0 as long as there is allowance."""
        now, address = self.now(), network_of(client[0]) if client else ""
        left, since = self._known.pop(address, (ALLOWANCE, now))
        left = min(ALLOWANCE, left + (now - since) * REFILL)
        self._known[address] = (max(0.0, left - 1.0), now)
        if len(self._known) > KNOWN_ADDRESSES:
            self._known.popitem(last=False)
        return 0.0 if left >= 1.0 else (1.0 - left) / REFILL

    def answer(self, refusal: Response) -> Response:
        """Return `refusal`, or 429 if this request's address has had too many."""
        wait = self.refuse(request.scope.get("client"))
        if not wait:
            return refusal
        told = b'{"error":"too many refusals","fix":"Wait for as long as Retry-After says."}'
        return Response(told, 429, {"Retry-After": str(int(wait) + 1)}, content_type="application/json")


async def harden(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
