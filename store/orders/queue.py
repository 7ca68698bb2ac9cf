"""The queue of orders: each is kept before it is answered, placed once, and known until its call is over.

`OrderQueue` has the transitions of an order (`store/schema.py`), each a single statement, guarded by the state that it
expects, so that two workers cannot both carry it out. A worker *leases* an order while it looks after it: nobody else
takes it meanwhile, and somebody else does when the lease has run out. On PostgreSQL a worker that looks for work passes
over rows that another one is taking (`SKIP LOCKED`); on SQLite only one writes at a time. It owns no task and asks
Twilio nothing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

import attrs
import orjson

from store.databases import MOST, Conflict, Rows, SqlDatabase, answering, ask_for_all
from store.schema import NEVER

OrderHistory: TypeAlias = Mapping[str, object]
"""The record of one attempt to reach a number of a campaign."""

KEPT_SECONDS = 86_400.0
"""For so long an order is known after its call is over."""
UNANSWERED_SECONDS = 900.0
"""For so long an order stays of which nobody was told, and that its worker has left."""
LONGEST_LEASE = 300.0
"""Nobody looks after an order for longer without saying so."""
LOOKS = 2
"""How often Twilio's list must lack a call before the call is asked for again."""


FIELDS = (
    "order_id, number, body, state, worker, CASE WHEN abs(latest) < {now} THEN 1 ELSE 0 END, created, asked, looks,"
    " coalesce(call_sid, ''), digest, outcome, why, campaign, line, attempt, zones, history"
)
_MINE = "order_id = :order_id AND worker = :worker"

PUT = f"""INSERT INTO orders (order_id, number, body, state, worker, due, latest, created, repeat_key, digest)
    SELECT :order_id, :number, :body, 'waiting', :worker, {{now}} + :lease,
        CASE WHEN CAST(:repeat_key AS text) IS NULL THEN -1 ELSE 1 END * ({{now}} + :latest), {{now}},
        CAST(:repeat_key AS text), :digest
    WHERE NOT EXISTS (SELECT 1 FROM do_not_call WHERE do_not_call.number = :number)
    ON CONFLICT DO NOTHING RETURNING {FIELDS}"""  # noqa: S608 - constants
FIND = f"SELECT {FIELDS} FROM orders WHERE order_id = :name OR call_sid = :name"  # noqa: S608
BY_KEY = f"SELECT {FIELDS} FROM orders WHERE repeat_key = :repeat_key AND created > {{now}} - :seconds"  # noqa: S608
FREE_OLD_KEY = "UPDATE orders SET repeat_key = NULL WHERE repeat_key = :repeat_key AND created <= {now} - :seconds"
FREE_KEY = "UPDATE orders SET repeat_key = NULL WHERE order_id = :order_id"
DROP = f"DELETE FROM orders WHERE {_MINE} AND state = 'waiting'"  # noqa: S608
HOLD = f"""UPDATE orders SET due = {{now}} + :seconds, latest = abs(latest)
    WHERE {_MINE} AND state <> 'over' RETURNING 1"""  # noqa: S608
LEAVE = f"UPDATE orders SET due = {{now}}, latest = abs(latest), worker = '' WHERE {_MINE} AND state = 'waiting'"  # noqa: S608

TAKE = f"""UPDATE orders SET worker = :worker, due = {{now}} + :lease,
    looks = looks + CASE WHEN state = 'asking' THEN 1 ELSE 0 END
    WHERE order_id =
        (SELECT order_id FROM orders WHERE state <> 'over' AND due <= {{now}} AND (latest > 0 OR worker = :worker)
        ORDER BY due LIMIT 1 {{skip}})
    RETURNING {FIELDS}"""  # noqa: S608
"""Take the order that has waited longest for somebody to look after it."""

ASK = f"""UPDATE orders SET state = 'asking', asked = {{now}}, due = {{now}} + :settle, looks = 0, latest = abs(latest)
    WHERE {_MINE} AND state = 'waiting'
    AND NOT EXISTS (SELECT 1 FROM do_not_call WHERE do_not_call.number = orders.number)
    AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.number = orders.number AND o.state = 'asking')
    AND (campaign = '' OR (
        EXISTS (SELECT 1 FROM campaigns c WHERE c.campaign = orders.campaign AND c.state = 'running')
        AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.number = orders.number AND o.state = 'placed')))
    RETURNING 1"""  # noqa: S608
"""Say that Twilio is about to be asked: the one gate through which every call passes."""

PLACED = f"""UPDATE orders SET state = 'placed', call_sid = :call_sid, due = {{now}} + :seconds
    WHERE order_id = :order_id AND state IN ('waiting', 'asking') RETURNING {FIELDS}"""  # noqa: S608
AGAIN = f"""UPDATE orders SET state = 'waiting', looks = 0 WHERE {_MINE} AND state = 'asking' AND looks >= :looks
    RETURNING 1"""  # noqa: S608
_ENDED = f"state = 'over', outcome = :outcome, why = :why, ended = {{now}}, due = {NEVER}"
OVER = f"""UPDATE orders SET {_ENDED}, history = history || CAST(:history AS text)
    WHERE order_id = :order_id AND state <> 'over' RETURNING 1"""  # noqa: S608
CANCEL = f"UPDATE orders SET {_ENDED} WHERE order_id = :order_id AND state = 'waiting' RETURNING 1"  # noqa: S608
ONCE_MORE = f"""UPDATE orders SET state = 'waiting', order_id = :next_id, call_sid = NULL, worker = '',
    attempt = attempt + 1,
    outcome = :outcome, why = :why, not_before = {{now}} + :seconds, due = {NEVER}, latest = {NEVER},
    history = history || CAST(:history AS text) WHERE order_id = :order_id AND state <> 'over' RETURNING 1"""  # noqa: S608

NOW = "SELECT {now}"
KNOWN = "SELECT call_sid FROM orders WHERE call_sid IN ({texts}) AND order_id <> :order_id"
ERASE = "DELETE FROM orders WHERE number = :name OR order_id = :name OR call_sid = :name RETURNING 1"
_OLD = "SELECT order_id FROM orders WHERE state = 'over' AND"
PRUNE = f"""DELETE FROM orders WHERE order_id IN (
    SELECT order_id FROM ({_OLD} campaign = '' AND ended < {{now}} - :single
    UNION ALL {_OLD} campaign <> '' AND ended < {{now}} - :campaigns
    UNION ALL SELECT order_id FROM orders WHERE state <> 'over' AND due < {{now}} - :unanswered AND latest < 0) AS old
    LIMIT {MOST}) RETURNING 1"""  # noqa: S608

REFUSE_NUMBER = """INSERT INTO do_not_call (number, since, why) VALUES (:number, {now}, :why)
    ON CONFLICT (number) DO UPDATE SET why = excluded.why"""
ALLOW_NUMBER = "DELETE FROM do_not_call WHERE number = :number RETURNING 1"
REFUSED_NUMBER = "SELECT since, why FROM do_not_call WHERE number = :number"
REFUSED_NUMBERS = "SELECT number, since, why FROM do_not_call WHERE number > :after ORDER BY number LIMIT :most"


def json_object(text: str) -> Mapping[str, object]:
    read: Mapping[str, object] = orjson.loads(text)
    return read


def _zones(text: str) -> Sequence[str]:
    return tuple(filter(None, text.split(",")))


def _lines(text: str) -> Sequence[OrderHistory]:
    return tuple(orjson.loads(line) for line in text.splitlines())


@attrs.frozen
class KeptOrder:
    """An order as it is kept; `call_sid` is empty while Twilio has not told it."""

    order_id: str
    number: str
    body: Mapping[str, object] = attrs.field(converter=json_object)
    state: str
    worker: str
    is_late: bool = attrs.field(converter=bool)
    """Whether it must not be placed any more."""
    created: float
    asked: float | None
    looks: int
    call_sid: str
    digest: str
    outcome: str
    why: str
    campaign: str
    line: int
    attempt: int
    zones: Sequence[str] = attrs.field(converter=_zones)
    history: Sequence[OrderHistory] = attrs.field(converter=_lines)

    @property
    def is_over(self) -> bool:
        return self.state == "over"


@attrs.frozen
class NewOrder:
    """An order to keep. `key` is the client's for it, and `digest` tells it from another under the same key."""

    order_id: str
    number: str
    body: Mapping[str, object]
    key: str = ""
    digest: str = ""


@attrs.frozen
class SameKey:
    """The client's key stands for this order."""

    order: KeptOrder


@attrs.frozen
class DoNotCall:
    """The number is on the do-not-call list."""


Put: TypeAlias = KeptOrder | SameKey | DoNotCall


@attrs.frozen
class RefusedNumber:
    """An entry of the do-not-call list; `since` in seconds since 1970."""

    number: str
    since: float
    why: str


@attrs.frozen
class OrderQueue:
    """The orders in one database, and the numbers that must not be called. Every method raises `OSError`."""

    database: SqlDatabase

    async def put(self, new: NewOrder, worker: str, *, lease: float, latest: float) -> Put:
        """Keep an order that `worker` looks after for `lease` seconds; nobody places it later than in `latest`.

        One without a key is only this worker's to place before it is held or asked for: where the worker dies, its
        client has had no answer, and orders anew.
        """
        if new.key:
            await self._ask(FREE_OLD_KEY, repeat_key=new.key, seconds=KEPT_SECONDS)
        more = {"worker": worker, "lease": lease, "latest": latest, "repeat_key": new.key or None, "digest": new.digest}
        plain = {"order_id": new.order_id, "number": new.number, "body": orjson.dumps(new.body).decode()}
        found = await self._one(PUT, **plain, **more)
        if found is not None:
            return found
        earlier = await self.by_key(new.key)
        return DoNotCall() if earlier is None else SameKey(earlier)

    async def find(self, name: str) -> KeptOrder | None:
        return await self._one(FIND, name=name)

    async def by_key(self, key: str) -> KeptOrder | None:
        return await self._one(BY_KEY, repeat_key=key, seconds=KEPT_SECONDS) if key else None

    async def free_key(self, order_id: str) -> None:
        await self._ask(FREE_KEY, order_id=order_id)

    async def drop(self, order_id: str, worker: str) -> None:
        """Forget an order that was not taken after all."""
        await self._ask(DROP, order_id=order_id, worker=worker)

    async def hold(self, order_id: str, worker: str, seconds: float) -> bool:
        """Go on looking after an order for so long; False if another worker does."""
        return await self._did(HOLD, order_id=order_id, worker=worker, seconds=seconds)

    async def leave(self, order_id: str, worker: str) -> None:
        """Leave an order that waits to any other worker."""
        await self._ask(LEAVE, order_id=order_id, worker=worker)

    async def take(self, worker: str, lease: float) -> KeptOrder | None:
        """Look after the next order that nobody looks after; None when there is none."""
        return await self._one(TAKE, worker=worker, lease=lease)

    async def ask(self, order_id: str, worker: str, settle: float) -> bool:
        """Note that Twilio is about to be asked for the call; False when it must not be asked now.

        What came of it is looked for after `settle` seconds, unless it is noted before.
        """
        return await self._did(ASK, order_id=order_id, worker=worker, settle=settle)

    async def unask(self, order_id: str, worker: str) -> bool:
        """Note that Twilio was not asked, or certainly did not take it."""
        return await self._did(AGAIN, order_id=order_id, worker=worker, looks=0)

    async def placed(self, order_id: str, call_sid: str, seconds: float) -> KeptOrder | None:
        """Note the call of an order, and look after it again in so many seconds; return the order as it is now."""
        try:
            placed = await self._one(PLACED, order_id=order_id, call_sid=call_sid, seconds=seconds)
        except Conflict:  # the call is another order's
            placed = None
        return placed or await self.find(order_id)

    async def again(self, order_id: str, worker: str) -> bool:
        """Let an order wait again that Twilio's list has lacked often enough; False if it must be looked for again."""
        return await self._did(AGAIN, order_id=order_id, worker=worker, looks=LOOKS)

    async def over(
        self, order_id: str, outcome: str, why: str = "", history: Mapping[str, object] | None = None
    ) -> bool:
        """Note how an order has ended; False if that is known already."""
        ended = {"order_id": order_id, "outcome": outcome, "why": why, "history": _line(history)}
        return await self._did(OVER, **ended)

    async def once_more(
        self, order: KeptOrder, next_id: str, seconds: float, history: OrderHistory, why: str = ""
    ) -> bool:
        """Let a number of a campaign wait for another attempt, under a new id; False if that is settled already."""
        again = {"next_id": next_id, "seconds": seconds, "history": _line(history), "why": why}
        outcome = history.get("outcome", "")
        return await self._did(ONCE_MORE, order_id=order.order_id, outcome=outcome, **again)

    async def cancel(self, order_id: str, why: str) -> bool:
        """Call off an order that still waits; False when it does not."""
        return await self._did(CANCEL, order_id=order_id, outcome="canceled", why=why)

    async def known(self, call_sids: Sequence[str], order_id: str) -> frozenset[str]:
        """Return which of these calls belong to other orders."""
        rows = await self._ask(KNOWN, texts=orjson.dumps(call_sids).decode(), order_id=order_id)
        return frozenset(str(call_sid) for (call_sid,) in rows)

    async def erase(self, name: str) -> int:
        """Forget the orders of a number, or one by its id or CallSid; the do-not-call list keeps the number."""
        return len(await self._ask(ERASE, name=name))

    async def now(self) -> float:
        """Return the time by the database's clock, in seconds since 1970."""
        ((seconds,),) = await self._ask(NOW)
        return cast("float", seconds)

    async def prune(self, campaigns: float = math.inf) -> None:
        """Forget single orders that were over a day ago, and a campaign's that were over so many seconds ago."""
        kept = min(campaigns, NEVER)
        old = {"single": KEPT_SECONDS, "campaigns": kept, "unanswered": UNANSWERED_SECONDS}
        await ask_for_all(self.database, PRUNE, old)

    # The do-not-call list

    async def refuse_number(self, number: str, why: str) -> None:
        await self._ask(REFUSE_NUMBER, number=number, why=why)

    async def allow_number(self, number: str) -> bool:
        """Take a number from the list; False if it was not on it."""
        return await self._did(ALLOW_NUMBER, number=number)

    async def refused_number(self, number: str) -> RefusedNumber | None:
        """Return the entry of a number; None when it may be called."""
        rows = await self._ask(REFUSED_NUMBER, number=number)
        return RefusedNumber(number, *rows[0]) if rows else None

    async def refused_numbers(self, after: str = "", most: int = 1000) -> Sequence[RefusedNumber]:
        """Return entries of the list, in order, from behind a number."""
        rows = await self._ask(REFUSED_NUMBERS, after=after, most=most)
        return [RefusedNumber(*row) for row in rows]

    async def _one(self, sql: str, **arguments: object) -> KeptOrder | None:
        rows = await self._ask(sql, **arguments)
        return KeptOrder(*rows[0]) if rows else None

    async def _did(self, sql: str, **arguments: object) -> bool:
        try:
            return bool(await self._ask(sql, **arguments))
        except Conflict:
            return False

    async def _ask(self, sql: str, **arguments: object) -> Rows:
        with answering():
            return await self.database.ask(sql, arguments)


def _line(history: OrderHistory | None) -> str:
    return "" if history is None else orjson.dumps(history, option=orjson.OPT_APPEND_NEWLINE).decode()
