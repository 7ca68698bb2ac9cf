"""A campaign's number that must wait is nobody's call, and one of a campaign that was canceled is called off."""

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
OTHER_LEAD = "+15557650001"
Counted = Sequence[tuple[str, str, int]]


@attrs.define
class Slow(FakeLine):
    """A line that takes longer to answer than to be asked for the next call."""

    async def _answer(self) -> None:
        await trio.sleep(3)
        await super()._answer()


@asynccontextmanager
async def running(line: FakeLine | None = None) -> AsyncIterator[World]:
    async with world(line) as there, trio.open_nursery() as nursery:
        unfinished = UnfinishedOrders(there.context, there.dispatcher)
        nursery.start_soon(CampaignRunner(there.context, there.dispatcher, unfinished).run)
        yield there
        nursery.cancel_scope.cancel(reason="the test is over")


async def create(there: World, name: str, number: str = LEAD, *more: str) -> Campaign:
    contacts = [
        NewContact(
            f"OR{name}{line or ''}", 2 + line, to, ("America/New_York",), 0.0, written_order(attrs.evolve(ORDER, to=to))
        )
        for line, to in enumerate((number, *more))
    ]
    campaign = await there.context.campaigns.create(name, name, contacts, RULES.written(), "running")
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


@pytest.mark.parametrize("code", [302, 401, 403, 404, 407, 10001, 20003, 20005, 20404, 90010])
async def test_a_campaign_pauses_and_loses_no_number_when_the_account_may_call_nobody(
    code: int, autojump_clock: MockClock
) -> None:
    """Some are asked for at once: each is refused, and one of them pauses the campaign."""
    line = Slow(refusal=LineError("the account is not active", code=code))
    async with running(line) as there:
        spring = await create(there, "spring", LEAD, OTHER_LEAD)
        await trio.sleep(30)

        found = await there.context.campaigns.find("spring")
        assert found is not None
        assert (found.state, str(code) in found.why) == ("paused", True)
        assert await counted(there, spring) == [("waiting", "", 2)]

        line.refusal = None
        await there.context.campaigns.turn_to(spring.campaign, "running")
        await trio.sleep(60)
        assert sorted(to for to, _ in line.placed) == [LEAD, OTHER_LEAD]


@pytest.mark.parametrize("code", [0, 429, 10004, 20429])
async def test_a_number_waits_while_twilio_takes_no_more_calls_or_requests(
    code: int, autojump_clock: MockClock
) -> None:
    line = FakeLine(refusal=LineError("too many", code=code))
    async with running(line) as there:
        spring = await create(there, "spring")
        await trio.sleep(30)
        assert await counted(there, spring) == [("waiting", "", 1)]

        line.refusal = None
        await trio.sleep(30)
        assert [to for to, _ in line.placed] == [LEAD]


async def test_a_clock_that_was_hours_ahead_and_is_set_right_holds_no_campaign_up(autojump_clock: MockClock) -> None:
    """Its next turn was claimed by the wrong clock; it goes on at its pace."""
    async with running() as there:
        spring = await create(there, "spring", LEAD, OTHER_LEAD)
        await there.context.orders.database.ask("UPDATE campaigns SET next_turn = {now} + 7200", {})
        await trio.sleep(10)

        assert await counted(there, spring) == [("placed", "", 2)]
