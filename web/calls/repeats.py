"""Repeated orders: with the same `Idempotency-Key`, one call is placed however often a client asks.

`RepeatedOrders` remembers for a day which order a key stands for, in the `TokenStore`, so that other workers of the
machine, and the next start, know it too. An order that was refused, or that nobody began to place, frees its key.
A repetition that comes while the first request is being answered waits for it, and shares its answer.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs
import orjson
import trio

from store.records import RecordError
from web.calls.context import AppContext
from web.calls.dispatch import AlreadyRinging, NewOrder, NoLine, Taken, new_order_id
from web.calls.live_calls import KnownCall
from web.calls.token_store import TokenStore

KEPT_SECONDS = 86_400.0
LONGEST_KEY = 255
_FREE_SECONDS = 2.0


@attrs.frozen
class Repeated:
    """The order was taken before; `call_sid` is empty where nobody has noted it."""

    order_id: str
    call_sid: str


@attrs.frozen
class OtherOrder:
    """The key stands for another order."""


OrderAnswer: TypeAlias = tuple[KnownCall, Taken] | NoLine | AlreadyRinging | Repeated | OtherOrder


@attrs.frozen
class OrderKey:
    """One client's name for one order: `name` is unique for token and key, `digest` tells the orders apart."""

    name: str
    digest: str

    @classmethod
    def of(cls, key: str, token: str, body: bytes) -> "OrderKey":
        """Make the key of an order. Its body has been checked."""
        plain = orjson.dumps(orjson.loads(body or b"{}"), option=orjson.OPT_SORT_KEYS)
        return cls(f"idempotency {_digest(token.encode())} {key}", _digest(plain))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@attrs.frozen
class _Kept:
    """The entry in the token store for one key."""

    digest: str
    order_id: str
    call_sid: str = ""

    def dump(self) -> bytes:
        return orjson.dumps(attrs.asdict(self))


@attrs.define(eq=False)
class _OpenRequest:
    """A request that is being answered."""

    digest: str
    answer: OrderAnswer | None = None
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class RepeatedOrders:
    """Takes each keyed order once, on any worker."""

    context: AppContext
    _running: dict[str, _OpenRequest] = attrs.field(factory=dict, init=False)

    @property
    def _tokens(self) -> TokenStore:
        return self.context.admissions.tokens

    async def once(self, key: OrderKey, take: Callable[[NewOrder], Awaitable[OrderAnswer]]) -> OrderAnswer:
        """Take an order, unless its key is known: then tell what became of it.

        Raises: `OSError` when it cannot be found out whether the key is known.
        """
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

    async def _first(self, key: OrderKey, take: Callable[[NewOrder], Awaitable[OrderAnswer]]) -> OrderAnswer:
        kept = _Kept(key.digest, new_order_id())
        while (found := await self._tokens.claim(key.name, kept.dump(), KEPT_SECONDS)) is not None:
            earlier = _Kept(**orjson.loads(found))
            if not await self._is_refused(earlier.order_id):
                same = earlier.digest == key.digest
                return Repeated(earlier.order_id, earlier.call_sid) if same else OtherOrder()
            await self._tokens.take(key.name)

        async def note(call_sid: str) -> None:
            await self._tokens.put(key.name, attrs.evolve(kept, call_sid=call_sid).dump(), KEPT_SECONDS)

        try:
            return await take(NewOrder(kept.order_id, note))
        finally:
            if self.context.live_calls.find(kept.order_id) is None:  # nobody has begun to place it
                with trio.move_on_after(_FREE_SECONDS, shield=True):
                    await self._tokens.take(key.name)

    async def _is_refused(self, order_id: str) -> bool:
        """Whether it is known that an order was not carried out: it may be tried again."""
        call = self.context.live_calls.find(order_id)
        if call is not None:
            return call.outcome == "failed" and not call.call_sid
        try:
            record = await self.context.services.records.get(order_id)
        except RecordError:
            return False
        return record is not None and record.outcome == "failed"
