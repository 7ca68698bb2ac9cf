"""Campaigns: many numbers to be called by one set of rules. Each number is an order that waits.

The numbers are kept before the campaign is: a campaign that is there has all of them, and one whose import was cut off
is not there at all. The dispatcher takes a number (`take`), sees whether it may be called now (`turn`), and
has it placed as any other order, or puts it back. The rules are the caller's: they are kept as they were given.
"""

from collections.abc import Mapping, Sequence

import attrs
import orjson

from store.databases import MOST, Conflict, Rows, SqlDatabase, ask_for_all
from store.orders.queue import FIELDS, KeptOrder, json_object
from store.schema import NEVER

LEFT_SECONDS = 3600.0
"""How long the numbers of an import that was cut off stay."""
LATE_SECONDS = 5.0
"""A claim that waited for another worker's goes by a time that is older than that one's, but by no more than this."""
_CAMPAIGN = "campaign, name, state, rules, created, why, next_turn - {now}"
_WAITS = f"state = 'waiting' AND due >= {NEVER}"
_UNDER_WAY = f"state <> 'over' AND due < {NEVER}"

_ADD = f"""INSERT INTO orders
    (order_id, number, body, state, worker, due, latest, created, campaign, line, zones, not_before)
    SELECT value->>'order_id', value->>'number', value->>'body', 'waiting', '', {NEVER}, {NEVER}, {{now}}, :campaign,
        CAST(value->>'line' AS integer), value->>'zones', CAST(value->>'not_before' AS double precision)
    FROM {{rows}}"""  # noqa: S608 - constants
_SOME_OF = f"""WHERE order_id IN (SELECT order_id FROM orders
    WHERE campaign = :campaign AND state = 'waiting' LIMIT {MOST})"""  # noqa: S608 - constants
_REMOVE = f"DELETE FROM orders {_SOME_OF} RETURNING 1"  # noqa: S608
_SWEEP = f"""WITH RECURSIVE named (name) AS (SELECT min(campaign) FROM orders WHERE campaign <> ''
    UNION ALL SELECT (SELECT min(campaign) FROM orders WHERE campaign <> '' AND campaign > named.name)
        FROM named WHERE named.name IS NOT NULL)
    DELETE FROM orders WHERE order_id IN (
    SELECT order_id FROM named JOIN orders ON campaign = named.name AND campaign <> ''
    WHERE created < {{now}} - :seconds AND NOT EXISTS (SELECT 1 FROM campaigns c WHERE c.campaign = named.name)
    LIMIT {MOST}) RETURNING 1"""  # noqa: S608
"""What orders name is gone through by the index: they are many more than campaigns."""
_CREATE = f"""INSERT INTO campaigns (campaign, name, state, rules, created)
    VALUES (:campaign, :name, :state, :rules, {{now}}) RETURNING {_CAMPAIGN}"""  # noqa: S608
_FIND = f"SELECT {_CAMPAIGN} FROM campaigns WHERE campaign = :name OR name = :name"  # noqa: S608
_LIST = f"SELECT {_CAMPAIGN} FROM campaigns ORDER BY created DESC LIMIT :most"  # noqa: S608
_TURN_TO = f"""UPDATE campaigns SET state = :state, why = :why
    WHERE campaign = :campaign AND state <> 'canceled' RETURNING {_CAMPAIGN}"""  # noqa: S608
_PAUSE_OF = """UPDATE campaigns SET state = 'paused', why = :why
    WHERE campaign = (SELECT o.campaign FROM orders o WHERE o.order_id = :order_id) AND state <> 'canceled'
    RETURNING 1"""
_CALLED_OFF = f"""state = 'over', ended = {{now}}, due = {NEVER},
    outcome = CASE WHEN outcome = '' THEN 'canceled' ELSE outcome END, attempt = attempt - 1"""
_CALL_OFF = f"UPDATE orders SET {_CALLED_OFF} {_SOME_OF} AND state = 'waiting' RETURNING 1"  # noqa: S608
"""Numbers that a worker has taken and not asked for, as well."""
_CALL_OFF_LATE = f"""UPDATE orders SET {_CALLED_OFF}
    WHERE order_id = :order_id AND worker = :worker AND state = 'waiting' AND EXISTS
    (SELECT 1 FROM campaigns c WHERE c.campaign = orders.campaign AND c.state = 'canceled') RETURNING 1"""  # noqa: S608
_RUNNABLE = f"""SELECT {_CAMPAIGN} FROM campaigns WHERE state = 'running' AND EXISTS
    (SELECT 1 FROM orders WHERE orders.campaign = campaigns.campaign AND orders.campaign <> '' AND {_WAITS}
    AND orders.not_before <= {{now}}) ORDER BY next_turn"""  # noqa: S608
"""That the name is not empty has to be said: the index has only such, and would be of no use without."""
_TURN = f"""UPDATE campaigns SET next_turn = {{now}} + :gap
    WHERE campaign = :campaign AND state = 'running'
    AND (next_turn <= {{now}} OR next_turn > {{now}} + :gap + {LATE_SECONDS})
    AND (SELECT count(*) FROM orders o WHERE o.campaign = campaigns.campaign AND {_UNDER_WAY})
        <= :at_once RETURNING 1"""  # noqa: S608
"""The number that was taken for this turn is among those under way. A turn further off was claimed before the clock
was set back."""
_TAKE = f"""UPDATE orders SET worker = :worker, due = {{now}} + :lease, latest = {{now}} + :latest
    WHERE order_id = (SELECT order_id FROM orders
        WHERE campaign = :campaign AND {_WAITS} AND not_before <= {{now}} ORDER BY not_before, line LIMIT 1 {{skip}})
    RETURNING {FIELDS}"""  # noqa: S608
_PUT_BACK = f"""UPDATE orders SET due = {NEVER}, latest = {NEVER}, worker = '', not_before = {{now}} + :seconds
    WHERE order_id = :order_id AND worker = :worker AND state = 'waiting' AND campaign <> '' RETURNING 1"""  # noqa: S608
_COUNTS = f"""SELECT state, CASE WHEN {_UNDER_WAY} THEN 1 ELSE 0 END, outcome, count(*), sum(attempt)
    FROM orders WHERE campaign = :campaign GROUP BY 1, 2, 3"""  # noqa: S608
_CONTACTS = f"SELECT {FIELDS} FROM orders WHERE campaign = :campaign AND line > :after ORDER BY line LIMIT :most"  # noqa: S608


@attrs.frozen
class Campaign:
    """A campaign as it is kept; `created` in seconds since 1970, `why` says why it is paused.

    `next_turn` is in so many seconds.
    """

    campaign: str
    name: str
    state: str
    rules: Mapping[str, object] = attrs.field(converter=json_object)
    created: float
    why: str
    next_turn: float = attrs.field(eq=False)


@attrs.frozen
class NewContact:
    """A number to call: its line in the file, where its callee is, and when it may be called first (since 1970)."""

    order_id: str
    line: int
    number: str
    zones: Sequence[str]
    not_before: float
    body: Mapping[str, object]

    def written(self) -> dict[str, object]:
        plain = attrs.asdict(self)
        return {**plain, "zones": ",".join(self.zones), "body": orjson.dumps(self.body).decode()}


@attrs.frozen
class Count:
    """So many numbers of a campaign that are in one state, with so many calls begun or to come."""

    state: str
    is_under_way: bool = attrs.field(converter=bool)
    outcome: str
    numbers: int
    attempts: int


@attrs.frozen
class CampaignStore:
    """The campaigns in one database. Every method raises `OSError`."""

    database: SqlDatabase

    async def create(
        self, campaign: str, name: str, contacts: Sequence[NewContact], rules: Mapping[str, object], state: str
    ) -> Campaign | None:
        """Keep a campaign with all its numbers; None, and nothing of it, where there is one of this name."""
        if await self.find(name) is not None:
            return None
        for start in range(0, len(contacts), MOST):
            rows = [contact.written() for contact in contacts[start : start + MOST]]
            await self._ask(_ADD, campaign=campaign, rows=orjson.dumps(rows).decode())
        given = {"campaign": campaign, "name": name, "state": state, "rules": orjson.dumps(rules).decode()}
        try:
            return (await self._campaigns(_CREATE, **given))[0]
        except Conflict:
            await ask_for_all(self.database, _REMOVE, {"campaign": campaign})
            return None

    async def sweep(self) -> None:
        """Remove what imports have left that were cut off."""
        await ask_for_all(self.database, _SWEEP, {"seconds": LEFT_SECONDS})

    async def find(self, name: str) -> Campaign | None:
        found = await self._campaigns(_FIND, name=name)
        return found[0] if found else None

    async def all(self, most: int = 100) -> Sequence[Campaign]:
        """Return the newest campaigns, newest first."""
        return await self._campaigns(_LIST, most=most)

    async def turn_to(self, campaign: str, state: str, why: str = "") -> Campaign | None:
        """Pause, go on with or cancel a campaign; None for one that was canceled.

        What waits is called off with a canceled one; calls under way go on. To cancel again calls off what an earlier
        attempt has left.
        """
        turned = await self._campaigns(_TURN_TO, campaign=campaign, state=state, why=why)
        if state == "canceled":
            await ask_for_all(self.database, _CALL_OFF, {"campaign": campaign})
        return turned[0] if turned else None

    async def pause_of(self, order_id: str, why: str) -> bool:
        """Pause the campaign of an order, if it is not paused already; False if it has none, or a canceled one."""
        return bool(await self._ask(_PAUSE_OF, order_id=order_id, why=why))

    async def runnable(self) -> Sequence[Campaign]:
        return await self._campaigns(_RUNNABLE)

    async def turn(self, campaign: str, gap: float, at_once: int) -> bool:
        """Claim the turn to call a number that was taken; the next one comes `gap` seconds later.

        False where it is not time yet, `at_once` calls are under way besides, or the campaign does not run. Two workers
        that claim at the same moment may exceed `at_once` by one.
        """
        return bool(await self._ask(_TURN, campaign=campaign, gap=gap, at_once=at_once))

    async def take(self, campaign: str, worker: str, *, lease: float, latest: float) -> KeptOrder | None:
        """Take the number that has waited longest; it must be placed within `latest` seconds, or put back."""
        rows = await self._ask(_TAKE, campaign=campaign, worker=worker, lease=lease, latest=latest)
        return KeptOrder(*rows[0]) if rows else None

    async def put_back(self, order_id: str, worker: str, seconds: float) -> bool:
        """Let a number wait again that was taken and not asked for; it may be called after so many seconds.

        One of a campaign that was canceled meanwhile is called off. False for what is no campaign's, or not `worker`'s.
        """
        if await self._ask(_CALL_OFF_LATE, order_id=order_id, worker=worker):
            return True
        return bool(await self._ask(_PUT_BACK, order_id=order_id, worker=worker, seconds=seconds))

    async def counts(self, campaign: str) -> Sequence[Count]:
        return [Count(*row) for row in await self._ask(_COUNTS, campaign=campaign)]

    async def contacts(self, campaign: str, after: int = 0) -> Sequence[KeptOrder]:
        """Return numbers of a campaign, in the order of the file, from behind a line."""
        rows = await self._ask(_CONTACTS, campaign=campaign, after=after, most=200)
        return [KeptOrder(*row) for row in rows]

    async def _campaigns(self, sql: str, **arguments: object) -> Sequence[Campaign]:
        return [Campaign(*row) for row in await self._ask(sql, **arguments)]

    async def _ask(self, sql: str, **arguments: object) -> Rows:
        return await self.database.ask(sql, arguments)
