"""Repeated orders: with the same `Idempotency-Key`, one call is placed however often a client asks.

The key is kept with its order, for a day, in the same statement: there is no moment at which a key is known and its
order is not. An order that was refused, or that nobody began to place, frees its key. A repetition that comes while the
first request is being answered waits for it, and shares its answer.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs
import orjson
import trio

from store.orders.queue import KeptOrder, SameKey
from web.calls.context import AppContext
from web.calls.orders import ClientKey, OrderAnswer

LONGEST_KEY = 255

Take: TypeAlias = Callable[[ClientKey], Awaitable[OrderAnswer]]


def key_of(key: str, token: str, body: bytes) -> ClientKey:
    """Make the key of an order. Its body has been checked."""
    plain = orjson.dumps(orjson.loads(body.strip() or b"{}"), option=orjson.OPT_SORT_KEYS)
    return ClientKey(f"{_digest(token.encode())} {key}", _digest(plain))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_refused(order: KeptOrder) -> bool:
    """Whether an order was not carried out: it may be tried again."""
    return order.is_over and order.outcome == "failed" and not order.call_sid


@attrs.define(eq=False)
class _OpenRequest:
    digest: str
    answer: OrderAnswer | None = None
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class RepeatedOrders:
    context: AppContext
    _running: dict[str, _OpenRequest] = attrs.field(factory=dict, init=False)

    async def once(self, key: ClientKey, take: Take) -> OrderAnswer:
        """Take an order, unless its key is known: then tell what became of it. Raises: `OSError`."""
        while (earlier := self._running.get(key.name)) is not None:
            await earlier.over.wait()
            if earlier.digest == key.digest and earlier.answer is not None:
                return earlier.answer
        request = self._running[key.name] = _OpenRequest(key.digest)
        try:
            request.answer = await self._first(key, take)
        finally:
            del self._running[key.name]
            request.over.set()
        return request.answer

    async def _first(self, key: ClientKey, take: Take) -> OrderAnswer:
        orders = self.context.orders
        order = await orders.by_key(key.name)  # before anything that a repetition would be refused for
        while True:
            if order is not None and not _is_refused(order):
                return SameKey(order)
            if order is not None:
                await orders.free_key(order.order_id)
            answer = await take(key)
            if not isinstance(answer, SameKey):
                return answer
            order = answer.order
