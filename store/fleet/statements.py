"""The statements of the fleet. Each is one round trip, and one transaction.

A slot is taken with `FOR UPDATE SKIP LOCKED`: nobody waits for anybody, and one that is locked at this moment looks
taken, so "full" is asked again (`ask_for_slot`). A worker that was declared dead is refused by the foreign keys
(`IntegrityError`). `now()` would be the transaction's start: only `clock_timestamp()` decides.
"""

from contextlib import suppress

import attrs
import orjson
import psycopg
import trio

from store.databases import Arguments
from store.fleet.driver import Database
from store.fleet.shared import DEAD_SECONDS, LiveCall
from store.json_text import known_fields

_LATE = """beat < clock_timestamp() - interval '3 s' AND beat > coalesce(to_timestamp(%(left)s::double precision),
    CASE WHEN EXISTS (SELECT FROM workers w
        WHERE w.worker <> %(worker)s AND w.beat > clock_timestamp() - interval '3 s')
    THEN pg_postmaster_start_time() ELSE '-infinity' END) - interval '3 s'"""
"""A worker that has not reported since the database is back, and was there before.

It was, if it was when this one lost the database (`left`), or for a new one: when the database was stopped.
"""
_NOW = "extract(epoch FROM clock_timestamp())::double precision"
"""And not a `timestamptz`: how that is written is the operator's (`DateStyle`), and psycopg reads only some of it."""
_FREE = f"""SELECT slot FROM slots
    WHERE key IS NULL AND slot <= (SELECT max_calls FROM account)
    AND NOT EXISTS (SELECT FROM live_calls WHERE slotless)
    AND (NOT %(careful)s OR (SELECT count(*) FROM slots WHERE key IS NULL) >
        (SELECT coalesce(sum(allowance), 0) FROM workers WHERE {_LATE}))"""  # noqa: S608 - constants
"""A free slot. `careful`: only beyond those that workers which have not reported yet may have given away."""
_EMPTY = "key = NULL, worker = NULL, since = NULL, lapses = NULL"
_SECONDS = "%(seconds)s * interval '1 second'"

UNHEARD = """DELETE FROM commands WHERE NOT EXISTS
    (SELECT FROM workers WHERE workers.worker = commands.worker)"""
"""What was told to a worker while it left: there are words of calls in it. The whole table is read."""

ENROL = f"""WITH unheard AS ({UNHEARD}),
cap AS (INSERT INTO account (id, max_calls, next_turn) VALUES (1, %(max_calls)s, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET max_calls = excluded.max_calls WHERE account.max_calls <> excluded.max_calls),
more AS (INSERT INTO slots (slot) SELECT generate_series(1, %(max_calls)s) ON CONFLICT DO NOTHING)
INSERT INTO workers (worker) VALUES (%(worker)s)"""  # noqa: S608 - constants

REFILL = """WITH cap AS (INSERT INTO account (id, max_calls, next_turn) VALUES (1, %(max_calls)s, clock_timestamp())
    ON CONFLICT DO NOTHING),
more AS (INSERT INTO slots (slot) SELECT generate_series(1, max_calls) FROM account
    WHERE max_calls > (SELECT count(*) FROM slots WHERE slot <= max_calls) ON CONFLICT DO NOTHING)
UPDATE live_calls SET slotless = NOT slotless WHERE worker = %(worker)s
    AND slotless = EXISTS (SELECT FROM slots WHERE slots.key = live_calls.key)"""
"""Make again what an operator may have deleted, to free a slot, say: else there would be no room until a restart."""

SHRINK = """DELETE FROM slots WHERE slot IN (SELECT slot FROM slots
    WHERE slot > (SELECT max_calls FROM account) AND key IS NULL FOR UPDATE SKIP LOCKED)"""

RESERVE = f"""WITH known AS (UPDATE slots SET
    worker = CASE WHEN lapses IS NULL THEN worker ELSE %(worker)s END,
    lapses = CASE WHEN lapses IS NULL THEN NULL ELSE clock_timestamp() + {_SECONDS} END
    WHERE key = %(key)s RETURNING slot),
fresh AS (UPDATE slots SET key = %(key)s, worker = %(worker)s, since = clock_timestamp(),
    lapses = clock_timestamp() + {_SECONDS}
    WHERE slot = ({_FREE} AND NOT EXISTS (SELECT FROM known) LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING slot)
SELECT slot FROM known UNION ALL SELECT slot FROM fresh"""  # noqa: S608 - constants

ADMIT = f"""WITH before AS (DELETE FROM live_calls WHERE call_sid = %(call_sid)s AND key <> %(key)s RETURNING key),
vacated AS (UPDATE slots SET {_EMPTY} FROM before WHERE slots.key = before.key),
known AS (UPDATE slots SET worker = %(worker)s, lapses = NULL WHERE key = %(key)s RETURNING slot),
fresh AS (UPDATE slots SET key = %(key)s, worker = %(worker)s, since = clock_timestamp(), lapses = NULL
    WHERE slot = ({_FREE} AND NOT EXISTS (SELECT FROM known) LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING slot),
got AS (SELECT slot FROM known UNION ALL SELECT slot FROM fresh)
INSERT INTO live_calls (key, call_sid, worker, about, slotless)
    SELECT %(key)s, %(call_sid)s, %(worker)s, %(about)s, NOT EXISTS (SELECT FROM got)
    WHERE %(over)s OR EXISTS (SELECT FROM got)
    ON CONFLICT (key) DO UPDATE SET worker = excluded.worker, call_sid = excluded.call_sid, about = excluded.about,
        slotless = excluded.slotless
    RETURNING slotless"""  # noqa: S608 - constants

LAPSE = f"""UPDATE slots SET {_EMPTY} WHERE slot IN
    (SELECT slot FROM slots WHERE lapses < clock_timestamp() FOR UPDATE SKIP LOCKED)"""  # noqa: S608 - constants

SEAT = """WITH need AS (SELECT key, worker, row_number() OVER () AS place FROM live_calls
    WHERE slotless AND NOT EXISTS (SELECT FROM slots WHERE slots.key = live_calls.key)),
free AS (SELECT slot, row_number() OVER () AS place FROM (SELECT slot FROM slots
    WHERE key IS NULL AND slot <= (SELECT max_calls FROM account) ORDER BY slot
    LIMIT (SELECT count(*) FROM need) FOR UPDATE SKIP LOCKED) AS unlocked),
seated AS (UPDATE slots SET key = need.key, worker = need.worker, since = clock_timestamp()
    FROM need JOIN free USING (place) WHERE slots.slot = free.slot RETURNING need.key)
UPDATE live_calls SET slotless = false FROM seated WHERE live_calls.key = seated.key"""
"""Give running calls beyond the cap the slots that have become free."""

_END = f"""WITH gone AS (DELETE FROM live_calls WHERE worker = %(worker)s AND key = ANY(%(keys)s) RETURNING call_sid),
notes AS (DELETE FROM call_notes WHERE call_sid = ANY(%(sids)s::text[] || ARRAY(SELECT call_sid FROM gone))
    AND NOT (SELECT coalesce(bool_or(worker <> %(worker)s), false) FROM live_calls l
        WHERE l.call_sid = call_notes.call_sid))
UPDATE slots SET {_EMPTY} WHERE key = ANY(%(keys)s)"""  # noqa: S608
FREE = f"{_END} AND (worker = %(worker)s OR lapses IS NOT NULL)"
UNHOLD = f"{_END} AND worker = %(worker)s"

NOTED = "SELECT note FROM call_notes WHERE call_sid = %(call_sid)s"

BEAT = f"""WITH beaten AS (UPDATE workers SET beat = clock_timestamp(),
    allowance = (SELECT count(*) FROM slots WHERE key IS NULL AND slot <= (SELECT max_calls FROM account))
        / (SELECT count(*) FROM workers)
    WHERE worker = %(worker)s RETURNING allowance),
noted AS (INSERT INTO call_notes (call_sid, note) SELECT * FROM unnest(%(sids)s::text[], %(notes)s::text[])
    WHERE EXISTS (SELECT FROM beaten) ON CONFLICT (call_sid) DO UPDATE SET note = excluded.note)
SELECT (SELECT allowance FROM beaten), (SELECT count(*) FROM workers),
    (SELECT count(*) FROM workers WHERE worker <> %(worker)s AND {_LATE}), {_NOW},
    pg_postmaster_start_time() > clock_timestamp() - interval '14 s', (SELECT max_calls FROM account)"""  # noqa: S608 - constants

REAP = f"""WITH dead AS MATERIALIZED (SELECT worker, beat FROM workers
    WHERE abs(extract(epoch FROM clock_timestamp() - beat)) > {DEAD_SECONDS} AND worker <> %(worker)s
    ORDER BY beat LIMIT 1 FOR UPDATE SKIP LOCKED),
lost AS (DELETE FROM live_calls USING dead WHERE live_calls.worker = dead.worker
    RETURNING live_calls.call_sid, live_calls.about, dead.beat),
notes AS (DELETE FROM call_notes USING lost WHERE call_notes.call_sid = lost.call_sid
    RETURNING call_notes.call_sid, call_notes.note),
strays AS (DELETE FROM call_notes WHERE EXISTS (SELECT FROM dead)
    AND NOT EXISTS (SELECT FROM live_calls WHERE live_calls.call_sid = call_notes.call_sid)),
cut AS (INSERT INTO cut_calls (call_sid, about, note, died)
    SELECT lost.call_sid, lost.about, notes.note, lost.beat FROM lost LEFT JOIN notes USING (call_sid)
    ON CONFLICT (call_sid) DO UPDATE SET note = coalesce(excluded.note, cut_calls.note) RETURNING 1),
freed AS (UPDATE slots SET {_EMPTY} FROM dead WHERE slots.worker = dead.worker),
unheard AS (DELETE FROM commands USING dead WHERE commands.worker = dead.worker),
buried AS (DELETE FROM workers USING dead WHERE workers.worker = dead.worker RETURNING workers.worker)
SELECT (SELECT worker FROM buried), (SELECT count(*) FROM cut)"""  # noqa: S608 - constants
"""Close what the longest dead worker held: the worker that locks its row does it, and no other does it again.

Notes of calls that it had not reported go with it. One whose beat is to come has not beaten since the clock was set
back.
"""

LEAVE = f"""WITH lost AS (DELETE FROM live_calls WHERE worker = %(worker)s RETURNING call_sid),
notes AS (DELETE FROM call_notes USING lost WHERE call_notes.call_sid = lost.call_sid),
freed AS (UPDATE slots SET {_EMPTY} WHERE worker = %(worker)s),
unheard AS (DELETE FROM commands WHERE worker = %(worker)s)
DELETE FROM workers WHERE worker = %(worker)s"""  # noqa: S608 - constants

CUT = "SELECT call_sid, about, note FROM cut_calls WHERE call_sid > %(after)s ORDER BY call_sid LIMIT 20"
KEPT = """DELETE FROM cut_calls WHERE call_sid = %(call_sid)s
    AND (%(is_read)s OR died < clock_timestamp() - interval '1 day')"""

HELD = """SELECT key FROM slots WHERE worker = %(worker)s
    UNION SELECT key FROM live_calls WHERE worker = %(worker)s"""
REPORT = """WITH mine AS (SELECT * FROM unnest(%(keys)s::text[], %(sids)s::text[], %(abouts)s::text[])
    AS m (key, call_sid, about)),
alive AS (DELETE FROM cut_calls USING mine WHERE cut_calls.call_sid = mine.call_sid),
come AS (UPDATE slots SET worker = %(worker)s, lapses = NULL FROM mine
    WHERE slots.key = mine.key AND slots.lapses IS NOT NULL)
INSERT INTO live_calls (key, call_sid, worker, about, slotless)
    SELECT mine.key, mine.call_sid, %(worker)s, mine.about,
        NOT EXISTS (SELECT FROM slots WHERE slots.key = mine.key)
    FROM mine WHERE NOT EXISTS (SELECT FROM live_calls l WHERE l.call_sid = mine.call_sid AND l.worker <> %(worker)s)
    ON CONFLICT (key) DO NOTHING"""
"""Tell which calls run here: those that the database does not know run beyond the cap until they get a slot."""

TURN = """UPDATE account SET next_turn = %(gap)s * interval '1 second' + greatest(next_turn, clock_timestamp())
    WHERE next_turn < clock_timestamp() + %(longest)s * interval '1 second'
    RETURNING extract(epoch FROM next_turn - %(gap)s * interval '1 second' - clock_timestamp())"""

FIND = """SELECT about, worker FROM live_calls WHERE key = %(name)s OR call_sid = %(name)s
    ORDER BY since DESC LIMIT 1"""
LIVE = "SELECT about, worker FROM live_calls ORDER BY since DESC LIMIT 1000"

_LIVES = f"beat > clock_timestamp() - interval '{DEAD_SECONDS} s'"
_TELL = """WITH told AS (INSERT INTO commands (worker, call_sid, body) {} RETURNING id, worker)
SELECT id, pg_notify('worker ' || worker, id::text) FROM told"""
TELL = _TELL.format(f"""SELECT worker, call_sid, %(body)s FROM live_calls JOIN workers USING (worker)
    WHERE (key = %(name)s OR call_sid = %(name)s) AND {_LIVES} LIMIT 1""")  # noqa: S608 - constants
TELL_WORKER = _TELL.format(f"SELECT worker, '', %(body)s FROM workers WHERE worker = %(name)s AND {_LIVES}")  # noqa: S608
TELL_OTHERS = _TELL.format(f"SELECT worker, '', %(body)s FROM workers WHERE worker <> %(name)s AND {_LIVES}")  # noqa: S608
HEAR = "SELECT id, call_sid, body FROM commands WHERE worker = %(worker)s AND id > %(after)s ORDER BY id"
HEARD = "DELETE FROM commands WHERE id = ANY(%(ids)s)"

LOCKED_SECONDS = (0.003, 0.006)
"""After these, "full" is asked again: a slot that is locked at this moment looks taken."""


async def ask_for_slot(database: Database, sql: str, arguments: Arguments) -> bool:
    """Ask for a slot; where there seems to be none, once more after those that have lapsed are free.

    Raises: `DatabaseUnavailable`; `psycopg.IntegrityError` to a worker that was declared dead.
    """
    if await ask_once(database, sql, arguments):
        return True
    await free_lapsed(database)
    for pause in LOCKED_SECONDS:
        if await ask_once(database, sql, arguments):
            return True
        await trio.sleep(pause)
    return await ask_once(database, sql, arguments)


async def ask_once(database: Database, sql: str, arguments: Arguments) -> bool:
    """Ask for a slot; the answer is that of the request that came first. Raises as `ask_for_slot` does."""
    try:
        return bool(await database.ask(sql, arguments))
    except psycopg.errors.UniqueViolation:  # the same call was let in by another request at this moment
        return bool(await database.ask(sql, arguments))


async def free_lapsed(database: Database) -> None:
    """Free the slots for which nobody came, and seat who runs without one. Raises: `DatabaseUnavailable`."""
    await database.ask(LAPSE)
    await seat(database)


async def seat(database: Database) -> None:
    """Give free slots to calls that run without one. Raises: `DatabaseUnavailable`."""
    with suppress(psycopg.IntegrityError):  # another worker has seated the same call at this moment
        await database.ask(SEAT)


def live_call(about: str, worker: str = "") -> LiveCall:
    """Read what `about_of` of any version has written."""
    return known_fields(LiveCall, {**orjson.loads(about), "worker": worker})


def about_of(call: LiveCall) -> str:
    plain = attrs.asdict(call, filter=lambda field, _: field.name != "worker")
    return orjson.dumps(plain).decode()
