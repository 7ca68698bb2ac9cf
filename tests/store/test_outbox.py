"""SQLite and PostgreSQL keep the same promises about news: kept once, sent by one, in the order of each call."""

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from store.databases import IN_MEMORY, MOST, SqliteDatabase
from store.erasing import Subject
from store.fleet.driver import PostgresDatabase
from store.outbox import DAY, LAST, Event, Outbox, event_id
from tests.examples import POSTGRES
from tests.store.fleets import Workers

MANY = f"""INSERT INTO outbox (id, call_sid, kind, ordinal, body, created, due)
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MOST})
    SELECT 'msg_' || n, 'CA' || n, '', 1, '', {{now}}, 0 FROM n"""  # noqa: S608 - constants
ONE, OTHER = "CA" + "1" * 32, "CA" + "2" * 32


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
async def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Outbox]:
    if request.param == "postgres":
        workers: Workers = request.getfixturevalue("workers")
        await workers.join(1)
        yield Outbox(PostgresDatabase(workers.database()))
        return
    database = SqliteDatabase(IN_MEMORY if request.param == "memory" else str(tmp_path / "calls.db"))
    yield Outbox(database)
    database.close()


async def put(outbox: Outbox, call_sid: str, ordinal: int, **body: object) -> None:
    assert await outbox.put(call_sid, "handoff", ordinal, body)


async def taken(outbox: Outbox) -> Event:
    event = await outbox.take(60)
    assert event is not None
    return event


async def test_news_that_is_kept_twice_is_one_event(outbox: Outbox) -> None:
    await put(outbox, ONE, 1, to="advisor")

    assert not await outbox.put(ONE, "handoff", 1, {"to": "closer"})
    event = await taken(outbox)
    assert (event.id, event.body, event.tries) == (event_id(ONE, "handoff", 1), '{"to":"advisor"}', 1)
    assert await outbox.take(60) is None


async def test_news_of_a_call_wait_for_one_another_and_not_for_other_calls(outbox: Outbox) -> None:
    await put(outbox, ONE, LAST)
    await put(outbox, ONE, 5)
    await put(outbox, OTHER, 7)
    first, other = await taken(outbox), await taken(outbox)

    assert {first.id, other.id} == {event_id(ONE, "handoff", 5), event_id(OTHER, "handoff", 7)}
    assert await outbox.take(60) is None
    for event in (first, other):
        await outbox.sent(event)
    assert (await taken(outbox)).id == event_id(ONE, "handoff", LAST)


async def test_what_a_dead_worker_has_taken_is_taken_again(outbox: Outbox) -> None:
    await put(outbox, ONE, 1)
    await outbox.take(-1)

    assert (await taken(outbox)).tries == 2


async def test_each_event_is_taken_by_one_of_many(outbox: Outbox) -> None:
    for number in range(10):
        await put(outbox, f"CA{number:032}", 1)
    found = list[str]()

    async def take() -> None:
        while (event := await outbox.take(60)) is not None:
            found.append(event.id)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take)

    assert len(found) == len(set(found)) == 10


async def test_what_fails_waits_and_after_a_day_is_dead_until_it_is_resent(outbox: Outbox) -> None:
    await put(outbox, ONE, 1)
    await put(outbox, ONE, 2)
    event = await taken(outbox)

    assert not await outbox.failed(event, "HTTP 500", 100)
    assert 90 < (await outbox.next_due() or 0) <= 100  # the second one waits for the first
    assert await outbox.take(60) is None
    assert await outbox.failed(event, "HTTP 500", DAY + 1)
    dead = await outbox.listed("dead", 10)
    assert [(one.id, one.why, one.body) for one in dead] == [(event.id, "HTTP 500", "")]
    assert (await taken(outbox)).id == event_id(ONE, "handoff", 2)
    assert [await outbox.resend(["msg_none"]), await outbox.resend([event.id]), await outbox.resend(None)] == [0, 1, 0]
    assert (await taken(outbox)).id == event.id


async def test_what_was_sent_is_known_without_its_words(outbox: Outbox) -> None:
    await put(outbox, ONE, 1, caller="+15557650000")
    await outbox.sent(await taken(outbox))
    ids = [event_id(ONE, "handoff", 1), event_id(ONE, "handoff", 2)]

    assert await outbox.unknown(ids) == {ids[1]}
    assert await outbox.since() is not None
    rows = await outbox.database.ask("SELECT body FROM outbox", {})
    assert list(map(tuple, rows)) == [("",)]


async def test_news_of_a_person_are_erased(outbox: Outbox) -> None:
    await put(outbox, ONE, 1, caller="+15557650000")
    await put(outbox, OTHER, 1, caller="+15558880000")
    await put(outbox, "CA" + "3" * 32, 1, metadata={"sister": "(555) 765-0000"})

    assert await outbox.erase(Subject("+15557650000", frozenset([ONE]))) == 2
    assert (await taken(outbox)).call_sid == OTHER
    assert await outbox.erase(Subject(calls=frozenset([OTHER]))) == 1


async def test_news_of_a_person_are_erased_among_those_of_many(outbox: Outbox) -> None:
    for number in range(7):
        await put(outbox, f"CA{number:032}", 1, caller="+15557650000" if number % 3 == 0 else "+15558880000")
    await outbox.database.ask(MANY, {})

    assert await outbox.erase(Subject("+15557650000")) == 3
    assert [await outbox.remove_older(seconds) for seconds in (math.inf, -60)] == [0, MOST + 4]


async def test_what_was_sent_is_forgotten_after_two_days_and_what_was_given_up_after_a_month(outbox: Outbox) -> None:
    left = list[list[int]]()
    for ordinal in (1, 2):
        await put(outbox, ONE if ordinal == 1 else OTHER, ordinal)
    await outbox.sent(await taken(outbox))
    assert await outbox.failed(await taken(outbox), "HTTP 500", DAY + 1)
    for days in (1.9, 0.2, 27.8, 0.2):
        await outbox.database.ask("UPDATE outbox SET created = created - :seconds", {"seconds": days * DAY})
        await outbox.prune()
        left.append([len(await outbox.listed(state, 10)) for state in ("sent", "dead")])

    assert left == [[1, 1], [0, 1], [0, 1], [0, 0]]
