"""News of calls on their way to somebody else's server: kept before they are sent, sent in the order of each call.

    waiting ──(answered 2xx)──▶ sent (without its body; forgotten after two days)
       └──(no such answer for a day)──▶ dead ──(resent)──▶ waiting

A worker *leases* an event while it sends it; one that dies leaves it to the next. An event waits while an earlier one
of its call does. Ids are made of call, kind and place, so the same news kept twice is one event. The rows are in the
database that keeps orders (`store/databases.py`); every method raises `OSError`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, cast

import attrs
import orjson

from store.databases import MOST, SqlDatabase, ask_for_all
from store.erasing import Subject

DAY: Final = 86_400.0
KEPT_SECONDS: Final = 2 * DAY
"""For so long it is known that an event was sent."""
DEAD_SECONDS: Final = 30 * DAY
"""For so long an event that was given up can be sent again."""
LAST: Final = 2**31 - 1
"""The ordinal of a call's end."""

_PUT = """INSERT INTO outbox (id, call_sid, kind, ordinal, body, created, due)
    VALUES (:id, :call_sid, :kind, :ordinal, :body, {now}, {now}) ON CONFLICT DO NOTHING RETURNING 1"""
_FIRST = """outbox o WHERE state = 'waiting' AND NOT EXISTS (
    SELECT 1 FROM outbox e WHERE e.call_sid = o.call_sid AND e.state = 'waiting' AND e.ordinal < o.ordinal)"""
"""The first one that waits of each call."""
_TAKE = f"""UPDATE outbox SET due = {{now}} + :lease, tries = tries + 1 WHERE id = (
    SELECT id FROM {_FIRST} AND due <= {{now}} ORDER BY due LIMIT 1 {{skip}})
    RETURNING id, call_sid, kind, body, created, tries, state, why"""  # noqa: S608 - constants
_NEXT = f"SELECT min(due) - {{now}} FROM {_FIRST}"  # noqa: S608 - constants
_SENT = "UPDATE outbox SET state = 'sent', body = '', why = '' WHERE id = :id"
_FAILED = """UPDATE outbox SET due = {now} + :seconds, why = :why,
    state = CASE WHEN {now} + :seconds > created + :day THEN 'dead' ELSE 'waiting' END
    WHERE id = :id AND state = 'waiting' RETURNING state"""
_FIELDS = "id, call_sid, kind, '', created, tries, state, why"
_LIST = f"SELECT {_FIELDS} FROM outbox WHERE state = :state ORDER BY created DESC LIMIT :most"  # noqa: S608 - constants
_RESEND = """UPDATE outbox SET state = 'waiting', created = {now}, due = {now}, tries = 0
    WHERE state = 'dead' AND (:every = 1 OR id IN ({texts})) RETURNING 1"""
_PRUNE = f"""DELETE FROM outbox WHERE id IN (SELECT id FROM outbox
    WHERE (state = 'sent' AND created < {{now}} - :sent) OR (state = 'dead' AND created < {{now}} - :dead)
    LIMIT {MOST}) RETURNING 1"""  # noqa: S608 - constants
_REMOVE = f"""DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE created < {{now}} - :seconds LIMIT {MOST}) RETURNING 1"""  # noqa: S608 - constants
_KNOWN = "SELECT id FROM outbox WHERE id IN ({texts})"
_SINCE = "SELECT min(created) FROM outbox"
_BODIES = f"SELECT id, call_sid, body FROM outbox WHERE id > :after ORDER BY id LIMIT {MOST}"  # noqa: S608 - constants
_ERASE = "DELETE FROM outbox WHERE id IN ({texts}) RETURNING 1"


@attrs.frozen
class Event:
    """One piece of news. `created` is in seconds since 1970; `body` is JSON, and empty in lists."""

    id: str
    call_sid: str
    kind: str
    body: str
    created: float = 0.0
    tries: int = 0
    state: str = "waiting"
    why: str = ""
    """What came of the last try."""


def event_id(call_sid: str, kind: str, ordinal: int) -> str:
    return f"msg_{hashlib.sha256(f'{call_sid} {kind} {ordinal}'.encode()).hexdigest()[:27]}"


@attrs.frozen
class Outbox:
    database: SqlDatabase

    async def put(self, call_sid: str, kind: str, ordinal: int, body: Mapping[str, object]) -> bool:
        """Keep an event; False if it is known."""
        event = {"id": event_id(call_sid, kind, ordinal), "call_sid": call_sid, "kind": kind, "ordinal": ordinal}
        return bool(await self.database.ask(_PUT, {**event, "body": orjson.dumps(body).decode()}))

    async def take(self, lease: float) -> Event | None:
        """Take an event that may be sent now; nobody else takes it for `lease` seconds."""
        rows = await self.database.ask(_TAKE, {"lease": lease})
        return Event(*rows[0]) if rows else None

    async def next_due(self) -> float | None:
        """Return in how many seconds an event may be sent; None when none waits."""
        ((seconds,),) = await self.database.ask(_NEXT, {})
        return cast("float | None", seconds)

    async def sent(self, event: Event) -> None:
        await self.database.ask(_SENT, {"id": event.id})

    async def failed(self, event: Event, why: str, seconds: float) -> bool:
        """Let an event wait for another try in so many seconds; True if it has waited for a day, and is dead."""
        rows = await self.database.ask(_FAILED, {"id": event.id, "why": why, "seconds": seconds, "day": DAY})
        return rows[:1] == [("dead",)]

    async def listed(self, state: str, most: int) -> Sequence[Event]:
        rows = await self.database.ask(_LIST, {"state": state, "most": most})
        return [Event(*row) for row in rows]

    async def resend(self, ids: Sequence[str] | None) -> int:
        """Let dead events wait again, all where `ids` is None; return how many."""
        texts = orjson.dumps(list(ids or ())).decode()
        return len(await self.database.ask(_RESEND, {"texts": texts, "every": int(ids is None)}))

    async def prune(self) -> None:
        """Forget what was sent two days ago, and what was given up a month ago."""
        await ask_for_all(self.database, _PRUNE, {"sent": KEPT_SECONDS, "dead": DEAD_SECONDS})

    async def remove_older(self, seconds: float) -> int:
        """Forget what was kept longer ago, sent or not; return how many that were."""
        return await ask_for_all(self.database, _REMOVE, {"seconds": seconds})

    async def unknown(self, ids: Sequence[str]) -> frozenset[str]:
        """Return which of these events were never kept here."""
        rows = await self.database.ask(_KNOWN, {"texts": orjson.dumps(ids).decode()})
        return frozenset(ids) - {str(found) for (found,) in rows}

    async def since(self) -> float | None:
        """Return when the oldest event that is known was kept; None without any."""
        ((created,),) = await self.database.ask(_SINCE, {})
        return cast("float | None", created)

    async def erase(self, subject: Subject) -> int:
        """Forget the events of a person or of a call, sent or not; return how many."""
        erased, after = 0, ""
        while rows := await self.database.ask(_BODIES, {"after": after}):
            ids = [str(name) for name, sid, body in rows if str(sid) in subject.calls or subject.is_in(str(body))]
            if ids:
                erased += len(await self.database.ask(_ERASE, {"texts": orjson.dumps(ids).decode()}))
            after = str(rows[-1][0])
        return erased
