"""The tables of orders and of call records, for SQLite and PostgreSQL alike.

Times are seconds since 1970, by the database's clock.

    waiting ──(a worker asks)──▶ asking ──(Twilio has it)──▶ placed ──▶ over
       ▲                           │
       └──(not in Twilio's list)───┘

`due` is when a worker must look after an order again: nobody does before, so a worker that is busy with one moves it on
(a lease), and one that dies leaves it to the next. A campaign's number waits with `due` at `NEVER` until a worker takes
it, not before `not_before`; a further attempt is the same row under a new `order_id`. `latest` is negative while the
client of an order without a key has had no answer: only the worker that keeps it places it.
"""

from collections.abc import Mapping, Sequence

NEVER = 1e15

TABLES: Sequence[str] = (
    """
CREATE TABLE orders (
    order_id text PRIMARY KEY,
    number text NOT NULL,
    body text NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'asking', 'placed', 'over')),
    worker text NOT NULL,
    due double precision NOT NULL,
    latest double precision NOT NULL,
    created double precision NOT NULL,
    asked double precision,
    looks integer NOT NULL DEFAULT 0,
    call_sid text UNIQUE,
    repeat_key text UNIQUE,
    digest text NOT NULL DEFAULT '',
    outcome text NOT NULL DEFAULT '',
    why text NOT NULL DEFAULT '',
    ended double precision,
    campaign text NOT NULL DEFAULT '',
    line integer NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 1,
    not_before double precision NOT NULL DEFAULT 0,
    zones text NOT NULL DEFAULT '',
    history text NOT NULL DEFAULT ''
)""",
    "CREATE INDEX orders_due ON orders (due) WHERE state <> 'over'",
    "CREATE INDEX orders_number ON orders (number)",
    "CREATE UNIQUE INDEX orders_one_doubt ON orders ({key_of_number}) WHERE state = 'asking'",
    "CREATE INDEX orders_contacts ON orders (campaign, not_before, line) WHERE state = 'waiting' AND campaign <> ''",
    "CREATE INDEX orders_of_campaign ON orders (campaign, line) WHERE campaign <> ''",
    "CREATE INDEX orders_over ON orders (ended) WHERE state = 'over' AND campaign = ''",
    "CREATE INDEX orders_over_of_campaigns ON orders (ended) WHERE state = 'over' AND campaign <> ''",
    "CREATE TABLE do_not_call (number text PRIMARY KEY, since double precision NOT NULL, why text NOT NULL)",
    """
CREATE TABLE campaigns (
    campaign text PRIMARY KEY,
    name text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'paused', 'canceled')),
    rules text NOT NULL,
    created double precision NOT NULL,
    why text NOT NULL DEFAULT '',
    next_turn double precision NOT NULL DEFAULT 0
)""",
    "CREATE UNIQUE INDEX campaigns_name ON campaigns (name)",
    """
CREATE TABLE outbox (
    id text PRIMARY KEY,
    call_sid text NOT NULL,
    kind text NOT NULL,
    ordinal integer NOT NULL,
    body text NOT NULL,
    created double precision NOT NULL,
    due double precision NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dead')),
    why text NOT NULL DEFAULT ''
)""",
    "CREATE INDEX outbox_due ON outbox (due) WHERE state = 'waiting'",
    "CREATE INDEX outbox_call ON outbox (call_sid, ordinal)",
    "CREATE INDEX outbox_created ON outbox (created)",
    """
CREATE TABLE calls (
    call_sid {label} PRIMARY KEY,
    started_at {label} NOT NULL,
    outcome {label} NOT NULL,
    direction {label} NOT NULL,
    duration double precision NOT NULL,
    record text NOT NULL
)""",
    "CREATE INDEX ix_calls_started_at ON calls (started_at)",
    """
CREATE TABLE call_summaries (
    call_sid {label} PRIMARY KEY,
    started_at {label} NOT NULL,
    direction {label} NOT NULL,
    caller {label} NOT NULL,
    line {label} NOT NULL,
    outcome {label} NOT NULL,
    duration double precision NOT NULL,
    agents text NOT NULL,
    restarts integer NOT NULL,
    transfers integer NOT NULL,
    faults integer NOT NULL,
    words text NOT NULL
)""",
    "CREATE INDEX call_summaries_newest ON call_summaries (started_at, call_sid)",
    "CREATE INDEX call_summaries_outcome ON call_summaries (outcome, started_at, call_sid)",
    "CREATE INDEX call_summaries_direction ON call_summaries (direction, started_at, call_sid)",
)
"""Of orders, of news for others (`store/outbox.py`), and of call records (`store/sql.py`)."""

TOKENS: Sequence[str] = (
    """
CREATE TABLE tokens (
    name blob PRIMARY KEY,
    content blob NOT NULL,
    expires double precision NOT NULL
) WITHOUT ROWID""",
)
"""Small texts (`store/tokens.py`), in one tree, so that a call writes few pages; PostgreSQL's are the fleet's."""

PROGRAM = 1
"""The number of this program: higher than that of every program before it that cannot work with its tables."""
SQLITE_STEPS: Mapping[int, Sequence[str]] = {6: TABLES, 7: TOKENS, 8: ("DELETE FROM tokens",)}
"""By number, forward only; drafts made the first six one by one. The last: texts have a file of their own. A step with
which older programs cannot work sets `user_version` to the number of the oldest that can."""
