"""The tables of the fleet, and how they come about: numbered steps, forward only, each in one transaction.

Every worker runs `migrate` when it starts. An advisory lock lets one of them do a step, and `lock_timeout` keeps a step
from holding up running calls behind a long statement: it gives up, and is tried again with the next beat. A step may
take longer than anybody waits for it: the server goes on. A row of `fleet_schema` tells of each step that was made,
with the oldest program that still works with it; an older one refuses. A column is added in one release, used in the
next, and removed in the one after. Every time is the database's.
"""

from collections.abc import Sequence

import attrs

from store import schema
from store.calls import DatabaseRefused, DatabaseUnavailable
from store.databases import Arguments, Rows, for_postgres
from store.fleet.driver import Database, PostgresDatabase
from store.fleet.pages import unsampled
from store.schema import PROGRAM

RECORD_SECONDS = 5.0
"""For one statement about call records."""
_LOCK = 0x464C5454
"""An arbitrary number: PostgreSQL's name for the lock under which one worker makes a step."""


@attrs.frozen
class Migration:
    """One step. `oldest` is the oldest program that works with tables on which it was made."""

    number: int
    sql: str
    oldest: int = 1


FLEET = """
CREATE TABLE workers (
    worker text PRIMARY KEY,  -- a fresh name at each start, and after each death: never used again
    started timestamptz NOT NULL DEFAULT clock_timestamp(),
    beat timestamptz NOT NULL DEFAULT clock_timestamp(),
    allowance integer NOT NULL DEFAULT 0  -- how many more calls it may let in by itself, should the database go away
) WITH (fillfactor = 50);

CREATE TABLE account (
    id integer PRIMARY KEY CHECK (id = 1),
    max_calls integer NOT NULL,
    next_turn timestamptz NOT NULL
);
INSERT INTO account VALUES (1, 0, clock_timestamp());

CREATE TABLE slots (  -- a row a slot: MAX_CALLS is the number of rows
    slot integer PRIMARY KEY,
    key text UNIQUE,  -- NULL: free
    worker text REFERENCES workers,  -- refuses a worker that was declared dead
    since timestamptz,
    lapses timestamptz,  -- of a call that is on its way; NULL: it runs
    CHECK ((key IS NULL) = (worker IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX slots_free ON slots (slot) WHERE key IS NULL;
CREATE INDEX slots_worker ON slots (worker) WHERE worker IS NOT NULL;
CREATE INDEX slots_lapses ON slots (lapses) WHERE lapses IS NOT NULL;

CREATE TABLE live_calls (
    key text PRIMARY KEY,
    call_sid text NOT NULL,
    worker text NOT NULL REFERENCES workers,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    about text NOT NULL,
    slotless boolean NOT NULL DEFAULT false  -- it runs beyond the cap: nobody is let in while there is one
);
CREATE INDEX live_calls_sid ON live_calls (call_sid);
CREATE INDEX live_calls_worker ON live_calls (worker);
CREATE INDEX live_calls_slotless ON live_calls (key) WHERE slotless;

CREATE UNLOGGED TABLE call_notes (  -- the hot table: no index but the key; after a crash workers fill it again
    call_sid text PRIMARY KEY,
    note text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE cut_calls (  -- of dead workers, until their records are kept
    call_sid text PRIMARY KEY,
    about text NOT NULL,
    note text,
    died timestamptz NOT NULL
);

CREATE TABLE tokens (name bytea PRIMARY KEY, content bytea NOT NULL, expires timestamptz NOT NULL);
CREATE INDEX tokens_expires ON tokens (expires);

CREATE TABLE commands (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    worker text NOT NULL,
    call_sid text NOT NULL,
    body text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX commands_worker ON commands (worker, id);
"""

MIGRATIONS: Sequence[Migration] = (
    Migration(9, "\n".join([FLEET, *(f"{for_postgres(table)};" for table in schema.TABLES), unsampled()])),
)
"""Drafts made the first nine steps one by one."""

_FOUND = "SELECT coalesce(max(number), 0), coalesce(max(oldest), 0) FROM fleet_schema"
_MADE = "SELECT to_regclass('fleet_schema') IS NOT NULL, getdatabaseencoding()"
_ENCODINGS = frozenset({"UTF8", "SQL_ASCII"})
"""That keep every character; the second does not look at what it keeps."""
_STEP = """
BEGIN;
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '2s';
SELECT pg_advisory_xact_lock({lock});
CREATE TABLE IF NOT EXISTS fleet_schema (
    number integer PRIMARY KEY, oldest integer NOT NULL, made timestamptz NOT NULL DEFAULT clock_timestamp()
);
DO $step$ BEGIN
    IF NOT EXISTS (SELECT FROM fleet_schema WHERE number = {number}) THEN
        {sql}
        INSERT INTO fleet_schema (number, oldest) VALUES ({number}, {oldest});
    END IF;
END $step$;
COMMIT;
"""


async def migrate(database: Database, steps: Sequence[Migration] = MIGRATIONS, program: int = PROGRAM) -> int:
    """Make the steps that are missing; return the number of the last one.

    Raises: `DatabaseUnavailable` where the database is away, or was made by a newer program that excludes this one.
    """
    made, _ = await _found(database)
    if 0 < made < steps[0].number:
        raise database.refuse(DatabaseRefused("its tables are of a draft. Name another database: DATABASE_URL."))
    for step in steps:
        if step.number > made:
            sql = _STEP.format(lock=_LOCK, number=step.number, oldest=step.oldest, sql=step.sql)
            await database.ask(sql, even_away=True)
    number = await check_step(database, program)
    database.is_ready = True
    return number


async def check_step(database: Database, program: int = PROGRAM) -> int:
    """Return the number of the last step that was made.

    Raises: `DatabaseUnavailable` where the database is away, or was made by a newer program that excludes this one.
    """
    number, oldest = await _found(database)
    if oldest > program:
        why = f"its tables are of step {number}, for programs from {oldest} on; this one is {program}"
        newer = f"the database was made ready by a newer switchboard: {why}. Update this one."
        raise database.refuse(DatabaseRefused(newer))
    return number


async def is_made(database: Database) -> bool:
    """Tell whether there are tables of ours. Raises: `DatabaseUnavailable`."""
    ((is_there, encoding),) = await database.ask(_MADE, even_away=True)
    if encoding not in _ENCODINGS:
        fix = "Name another in DATABASE_URL: CREATE DATABASE switchboard ENCODING 'UTF8' TEMPLATE template0."
        raise database.refuse(DatabaseRefused(f"its encoding, {encoding}, lacks characters that people use. {fix}"))
    return bool(is_there)


async def _found(database: Database) -> tuple[int, int]:
    if not await is_made(database):
        return 0, 0
    ((number, oldest),) = await database.ask(_FOUND, even_away=True)
    return number, oldest


@attrs.frozen
class PostgresRecords(PostgresDatabase):
    """Call records in a PostgreSQL: their tables are made when they are needed, and no connection stays open.

    Searches take longer than what workers share may, and calls end seconds apart: so these connections are apart, too.
    """

    @classmethod
    def of(cls, url: str) -> "PostgresRecords":
        return cls(Database(url, RECORD_SECONDS))

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        try:
            if not self.database.is_ready:
                await migrate(self.database)
            return await super().ask(sql, arguments)
        except DatabaseUnavailable:
            self.database.is_ready = False  # it may come back as another one, without tables
            raise
        finally:
            self.database.close()
