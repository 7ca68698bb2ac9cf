"""SQLite and PostgreSQL keep the same promises about campaigns: whole or not at all, each number taken by one."""

from collections.abc import AsyncIterator
from contextlib import suppress

import attrs
import pytest

from store.databases import IN_MEMORY, MOST, Arguments, Rows, SqlDatabase, SqliteDatabase
from store.fleet.driver import PostgresDatabase
from store.orders.campaigns import Campaign, CampaignStore, NewContact
from store.orders.queue import KeptOrder, OrderQueue
from tests.examples import POSTGRES
from tests.store.fleets import Workers


@pytest.fixture(params=["memory", POSTGRES])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[CampaignStore]:
    if request.param == "postgres":
        workers: Workers = request.getfixturevalue("workers")
        await workers.join(1)
        yield CampaignStore(PostgresDatabase(workers.database()))
    else:
        yield CampaignStore(SqliteDatabase(IN_MEMORY))


def contacts(count: int, first: int = 1, not_before: float = 0.0) -> list[NewContact]:
    return [
        NewContact(f"OR{first}-{n}", n + 2, f"+1212555{first}{n:03d}", ("America/New_York",), not_before, {"to": "Zoë"})
        for n in range(count)
    ]


@attrs.define
class Asked:
    """Counts the rows of each answer."""

    inner: SqlDatabase
    rows: list[int] = attrs.field(factory=list)

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        rows = await self.inner.ask(sql, arguments)
        self.rows.append(len(rows))
        return rows


async def create(store: CampaignStore, name: str = "spring", count: int = 3, first: int = 1) -> Campaign:
    created = await store.create(f"id-{first}", name, contacts(count, first), {"most_calls": 3}, "running")
    assert created is not None
    return created


async def take(store: CampaignStore, campaign: Campaign, worker: str = "w1") -> KeptOrder | None:
    return await store.take(campaign.campaign, worker, lease=60, latest=900)


async def test_a_campaign_is_kept_with_its_numbers(store: CampaignStore) -> None:
    created = await create(store)

    kept = await store.contacts(created.campaign)
    assert created == await store.find("spring") == await store.find("id-1") == (await store.all())[0]
    assert [(one.line, one.number, one.zones, one.body) for one in kept] == [
        (n + 2, f"+12125551{n:03d}", ("America/New_York",), {"to": "Zoë"}) for n in range(3)
    ]
    assert await store.find("autumn") is None


async def test_a_second_campaign_of_the_same_name_leaves_nothing(store: CampaignStore) -> None:
    await create(store)

    assert await store.create("id-2", "spring", contacts(2, 2), {}, "running") is None
    assert await store.contacts("id-2") == []


async def test_each_number_is_taken_once_in_the_order_of_the_file(store: CampaignStore) -> None:
    campaign = await create(store)

    taken = [await take(store, campaign, f"w{n}") for n in range(4)]

    assert [one.line if one is not None else None for one in taken] == [2, 3, 4, None]


async def test_a_number_that_is_put_back_waits(store: CampaignStore) -> None:
    campaign = await create(store, count=1)
    taken = await take(store, campaign)
    assert taken is not None

    assert [await store.put_back(taken.order_id, worker, 0) for worker in ("w2", "w1")] == [False, True]
    assert await take(store, campaign) is not None
    assert await store.put_back(taken.order_id, "w1", 60)
    assert await take(store, campaign) is None
    assert await store.runnable() == []


async def test_a_paused_campaign_asks_for_nothing_and_a_canceled_one_is_over(store: CampaignStore) -> None:
    campaign, queue = await create(store), OrderQueue(store.database)
    taken = await take(store, campaign)
    assert taken is not None

    await store.turn_to(campaign.campaign, "paused")
    assert (await store.runnable(), await store.turn(campaign.campaign, 1, 5)) == ([], False)
    assert not await queue.ask(taken.order_id, "w1", 30)
    await store.turn_to(campaign.campaign, "running")
    assert [one.name for one in await store.runnable()] == ["spring"]
    assert await queue.ask(taken.order_id, "w1", 30)

    assert await take(store, campaign) is not None
    await store.turn_to(campaign.campaign, "canceled")
    assert sorted((one.state, one.outcome, one.numbers) for one in await store.counts(campaign.campaign)) == [
        ("asking", "", 1),
        ("over", "canceled", 2),
    ]
    assert await store.turn_to(campaign.campaign, "running") is None


async def test_a_number_that_was_not_to_be_had_is_called_off_if_its_campaign_was_canceled(store: CampaignStore) -> None:
    campaign, queue = await create(store, count=1), OrderQueue(store.database)
    taken = await take(store, campaign)
    assert taken is not None
    assert await queue.ask(taken.order_id, "w1", 30)
    await store.turn_to(campaign.campaign, "canceled")
    await queue.unask(taken.order_id, "w1")

    assert await store.put_back(taken.order_id, "w1", 60)
    assert [(one.state, one.outcome) for one in await store.counts(campaign.campaign)] == [("over", "canceled")]


@attrs.frozen
class BreaksOff:
    """A database that is away behind so many statements."""

    database: SqlDatabase
    most: int
    _asked: list[str] = attrs.field(factory=list, init=False)

    async def ask(self, sql: str, arguments: Arguments) -> Rows:
        self._asked.append(sql)
        if len(self._asked) > self.most:
            raise OSError("the database is away")
        return await self.database.ask(sql, arguments)


@pytest.mark.parametrize("most", [0, 1])
async def test_a_number_that_is_put_back_halfway_is_still_its_workers(store: CampaignStore, most: int) -> None:
    campaign, queue = await create(store, count=1), OrderQueue(store.database)
    taken = await take(store, campaign)
    assert taken is not None
    assert await queue.ask(taken.order_id, "w1", 30)
    await store.turn_to(campaign.campaign, "canceled")
    await queue.unask(taken.order_id, "w1")

    with suppress(OSError):
        await CampaignStore(BreaksOff(store.database, most)).put_back(taken.order_id, "w1", 60)
    await store.put_back(taken.order_id, "w1", 60)

    assert [(one.state, one.outcome) for one in await store.counts(campaign.campaign)] == [("over", "canceled")]


async def test_a_campaign_that_was_canceled_halfway_is_canceled_again(store: CampaignStore) -> None:
    campaign = await create(store, count=1)

    with pytest.raises(OSError, match="away"):
        await CampaignStore(BreaksOff(store.database, 1)).turn_to(campaign.campaign, "canceled")
    assert await store.turn_to(campaign.campaign, "canceled") is None

    assert [(one.state, one.outcome) for one in await store.counts(campaign.campaign)] == [("over", "canceled")]


@pytest.mark.parametrize("ends", ["canceled", "over", "cut off"])
async def test_a_campaign_of_many_numbers_ends_whole(store: CampaignStore, ends: str) -> None:
    """No statement is about them all: it would take longer than anybody waits for one."""
    count = 2 * MOST + 1
    asked, queue = Asked(store.database), OrderQueue(store.database)
    campaign = await create(store, count=count)
    await store.database.ask("UPDATE orders SET created = created - 4000, ended = 0, not_before = 0", {})

    if ends == "canceled":
        await CampaignStore(asked).turn_to(campaign.campaign, "canceled")
    elif ends == "over":
        await store.database.ask("UPDATE orders SET state = 'over'", {})
        await OrderQueue(asked).prune(campaigns=60)
    else:
        await store.database.ask("UPDATE campaigns SET campaign = 'gone'", {})
        await CampaignStore(asked).sweep()

    assert [(one.state, one.numbers) for one in await store.counts(campaign.campaign)] == (
        [("over", count)] if ends == "canceled" else []
    )
    assert max(asked.rows) <= MOST
    assert await queue.take("w1", 0) is None


async def test_turns_are_apart_and_only_so_many_calls_are_under_way(store: CampaignStore) -> None:
    campaign = await create(store)
    await take(store, campaign)
    assert [await store.turn(campaign.campaign, 60, 1) for _ in range(2)] == [True, False]
    other = await create(store, "autumn", first=2)
    for _ in range(2):
        await take(store, other)

    assert [await store.turn(other.campaign, 0, most) for most in (1, 2, 2)] == [False, True, True]


async def test_a_turn_that_was_claimed_by_a_clock_hours_ahead_is_claimed_anew(store: CampaignStore) -> None:
    campaign = await create(store)
    await store.turn(campaign.campaign, 60, 1)
    await store.database.ask("UPDATE campaigns SET next_turn = {now} + 7200", {})

    assert [await store.turn(campaign.campaign, 60, 1) for _ in range(2)] == [True, False]


async def test_a_claim_that_waited_for_another_workers_is_no_turn(store: CampaignStore) -> None:
    """It goes by the time at which it began to wait, and so the other one's turn is more than a gap away."""
    campaign = await create(store)
    await store.turn(campaign.campaign, 60, 1)
    await store.database.ask("UPDATE campaigns SET next_turn = {now} + 62", {})

    assert not await store.turn(campaign.campaign, 60, 1)


async def test_another_attempt_is_the_same_number_under_a_new_id(store: CampaignStore) -> None:
    campaign, queue = await create(store, count=1), OrderQueue(store.database)
    order = await take(store, campaign)
    assert order is not None
    await queue.placed(order.order_id, "CA1", 60)

    again = [await queue.once_more(order, "OR-next", 0, {"call_sid": "CA1", "outcome": "busy"}) for _ in range(2)]
    taken = await take(store, campaign)

    assert again == [True, False]
    assert taken is not None
    assert (taken.order_id, taken.attempt, taken.call_sid, taken.outcome) == ("OR-next", 2, "", "busy")
    assert taken.history == ({"call_sid": "CA1", "outcome": "busy"},)
    assert [(one.is_under_way, one.attempts) for one in await store.counts(campaign.campaign)] == [(True, 2)]


async def test_numbers_that_are_over_are_removed_in_their_time(store: CampaignStore) -> None:
    campaign, queue = await create(store), OrderQueue(store.database)
    for name, age in (("OR1-0", 100), ("OR1-1", 50)):
        await queue.over(name, "busy")
        await store.database.ask(
            "UPDATE orders SET ended = ended - :age WHERE order_id = :name", {"age": age, "name": name}
        )

    await queue.prune()
    assert len(await store.contacts(campaign.campaign)) == 3
    await queue.prune(campaigns=75)

    assert [one.order_id for one in await store.contacts(campaign.campaign)] == ["OR1-1", "OR1-2"]


async def test_a_campaign_is_paused_by_one_of_its_orders(store: CampaignStore) -> None:
    campaign = await create(store)

    assert [await store.pause_of(name, "no money") for name in ("OR1-0", "OR1-1", "OR9")] == [True, True, False]
    found = await store.find(campaign.name)
    assert found is not None
    assert (found.state, found.why) == ("paused", "no money")


async def test_an_import_that_was_cut_off_is_removed_later(store: CampaignStore) -> None:
    await create(store)
    await store.database.ask("UPDATE campaigns SET campaign = 'gone', name = 'gone' WHERE campaign = 'id-1'", {})
    await store.sweep()
    assert len(await store.contacts("id-1")) == 3

    await store.database.ask("UPDATE orders SET created = created - 4000", {})
    await store.sweep()

    assert await store.contacts("id-1") == []
