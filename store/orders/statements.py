"""The statements of the queue. Each is guarded by the state it expects, so that two workers cannot both carry it out.

On PostgreSQL a worker that looks for work passes over rows that another one is taking (`SKIP LOCKED`); on SQLite only
one writes at a time.
"""

from store.databases import MOST
from store.schema import NEVER

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
_OVER = f"state = 'over', outcome = :outcome, why = :why, ended = {{now}}, due = {NEVER}"
OVER = f"""UPDATE orders SET {_OVER}, history = history || CAST(:history AS text)
    WHERE order_id = :order_id AND state <> 'over' RETURNING 1"""  # noqa: S608
CANCEL = f"UPDATE orders SET {_OVER} WHERE order_id = :order_id AND state = 'waiting' RETURNING 1"  # noqa: S608
ONCE_MORE = f"""UPDATE orders SET state = 'waiting', order_id = :next_id, call_sid = NULL, worker = '',
    attempt = attempt + 1,
    outcome = :outcome, why = :why, not_before = {{now}} + :seconds, due = {NEVER}, latest = {NEVER},
    history = history || CAST(:history AS text) WHERE order_id = :order_id AND state <> 'over' RETURNING 1"""  # noqa: S608

NOW = "SELECT {now}"
KNOWN = "SELECT call_sid FROM orders WHERE call_sid IN ({texts}) AND order_id <> :order_id"
ERASE = "DELETE FROM orders WHERE number = :name OR order_id = :name OR call_sid = :name RETURNING 1"
RECALL = f"""UPDATE orders SET due = {{now}} WHERE order_id IN (SELECT order_id FROM orders
    WHERE state <> 'over' AND due > {{now}} + :longest AND due < {NEVER} LIMIT {MOST}) RETURNING 1"""  # noqa: S608
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
