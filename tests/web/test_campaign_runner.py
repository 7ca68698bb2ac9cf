"""A campaign's number that must wait is nobody's call, and one of a campaign that was canceled is called off."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from store.orders.campaigns import Campaign, NewContact
from tests.web.fakes import LEAD, FakeLine
from tests.web.test_dispatch import ORDER, World, world
from web.calls.campaign_runner import CampaignRunner
from web.calls.campaigns import CallingHours, CampaignRules
from web.calls.orders import written_order
from web.calls.unfinished import UnfinishedOrders
from web.clients.twilio import LineError

RULES = CampaignRules(CallingHours.read("00:00-24:00", "mon-sun"), {}, most_calls=1, per_minute=60, at_once=10)
UNREACHED = LineError("Twilio cannot be reached")
Counted = Sequence[tuple[str, str, int]]


@asynccontextmanager
async def running(line: FakeLine | None = None) -> AsyncIterator[World]:
    async with world(line) as there, trio.open_nursery() as nursery:
        unfinished = UnfinishedOrders(there.context, there.dispatcher)
        nursery.start_soon(CampaignRunner(there.context, there.dispatcher, unfinished).run)
        yield there
        nursery.cancel_scope.cancel(reason="the test is over")


async def create(there: World, name: str, number: str = LEAD) -> Campaign:
    body = written_order(attrs.evolve(ORDER, to=number))
    contact = NewContact(f"OR{name}", 2, number, ("America/New_York",), 0.0, body)
    campaign = await there.context.campaigns.create(name, name, [contact], RULES.written(), "running")
    assert campaign is not None
    return campaign


async def counted(there: World, campaign: Campaign) -> Counted:
    counts = await there.context.campaigns.counts(campaign.campaign)
    return [(count.state, count.outcome, count.numbers) for count in counts]


def shown(there: World) -> list[tuple[str, str]]:
    return [(call.id, call.status) for call in there.context.live_calls.newest()]


async def test_a_number_that_another_campaign_calls_just_now_is_no_call_meanwhile(autojump_clock: MockClock) -> None:
    async with running() as there:
        await create(there, "spring")
        await trio.sleep(5)
        await create(there, "autumn")
        await trio.sleep(20.4)

        assert [name for name, _ in shown(there)] == ["ORspring"]
        assert there.context.slots.free == there.context.slots.capacity - 1


async def test_a_campaign_goes_on_where_the_clock_was_set_back(autojump_clock: MockClock) -> None:
    async with running() as there:
        await create(there, "spring")
        await there.context.orders.database.ask("UPDATE campaigns SET next_turn = :later", {"later": time.time() + 300})
        await trio.sleep(5)

        assert [name for name, _ in shown(there)] == ["ORspring"]


@pytest.mark.parametrize("after", [15.0, 15.3, 15.5, 15.9, 16.3])
async def test_a_canceled_campaign_leaves_no_number_that_waits(autojump_clock: MockClock, after: float) -> None:
    async with running() as there:
        await create(there, "spring")
        await trio.sleep(5)
        autumn = await create(there, "autumn")
        await trio.sleep(after)
        await there.context.campaigns.turn_to(autumn.campaign, "canceled")
        await trio.sleep(60)

        assert await counted(there, autumn) == [("over", "canceled", 1)]
        assert ("ORautumn", "queued") not in shown(there)


@pytest.mark.parametrize("after", [0.0, 1.0, 5.0])
async def test_a_number_that_twilio_could_not_be_asked_for_is_called_off_as_well(
    autojump_clock: MockClock, after: float
) -> None:
    async with running(FakeLine(refusal=UNREACHED)) as there:
        spring = await create(there, "spring")
        await trio.sleep(5 + after)
        await there.context.campaigns.turn_to(spring.campaign, "canceled")
        await trio.sleep(120)

        assert await counted(there, spring) == [("over", "canceled", 1)]
