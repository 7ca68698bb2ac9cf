"""Those who knock without being let in: how often each may, and what every answer says to a browser.

`Strangers` counts refusals by the address they come from. Who has been refused too often gets 429, which costs us less
than the reason would, until their allowance has filled up again. It is asked only about requests that showed no valid
signature or token, so it can never turn Twilio or an operator away, even if they share an address with a stranger
behind a proxy. It keeps a bounded number of addresses and forgets the one it has not seen for longest.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import trio
from quart import Response, request

ALLOWANCE = 30.0
"""Refusals in a row that an address may have …"""
REFILL = 1.0
"""… and how many more a second from then on."""
KNOWN_ADDRESSES = 4096
DOORSTEP_ROOM = 200
"""More than Twilio connects in the five seconds each of them has: above one call a second it queues."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What is served is for machines: no browser may keep it, frame it, run it, or guess what it is."""


@attrs.define
class Strangers:
    """The refusals of one worker. It awaits nothing."""

    now: Callable[[], float] = trio.current_time
    _known: OrderedDict[str, tuple[float, float]] = attrs.field(factory=OrderedDict, init=False)

    def refuse(self, address: str) -> float:
        """Note one more refusal; return the seconds to stay away, or 0 as long as there is allowance."""
        now = self.now()
        left, since = self._known.pop(address, (ALLOWANCE, now))
        left = min(ALLOWANCE, left + (now - since) * REFILL)
        self._known[address] = (max(0.0, left - 1.0), now)
        if len(self._known) > KNOWN_ADDRESSES:
            self._known.popitem(last=False)
        return 0.0 if left >= 1.0 else (1.0 - left) / REFILL

    def answer(self, refusal: Response) -> Response:
        """Return `refusal`, or 429 if there have been too many from where this request comes from."""
        client = request.scope.get("client")
        wait = self.refuse(client[0] if client else "")
        if not wait:
            return refusal
        return Response("", 429, headers={"Retry-After": str(int(wait) + 1)})


@attrs.define
class Doorstep:
    """The media streams that are accepted and have not shown a token yet: so many at a time, no more."""

    room: int = DOORSTEP_ROOM
    _standing: int = attrs.field(default=0, init=False)

    @contextmanager
    def stand(self) -> Iterator[bool]:
        """Stand on the doorstep for as long as the `with` lasts; False if there is no room."""
        is_room = self._standing < self.room
        self._standing += 1
        try:
            yield is_room
        finally:
            self._standing -= 1


async def harden(response: Response) -> Response:
    """Give an answer the headers that every answer has."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
