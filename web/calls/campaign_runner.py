"""Campaigns that run: each worker takes their numbers, one after the other, and has them placed as orders.

`CampaignRunner` takes a number whose time has come, sees that its callee is within the calling hours, claims the
campaign's turn, and hands it to the queue of orders; where one of these fails, it puts the number back. Single orders
go first: a campaign takes no number while orders wait for their turn. It stops when the worker drains, and raises
nothing.
"""

import attrs
import structlog
import trio

from actors.supervision import UnharmedAgain
from store.orders.campaigns import LATE_SECONDS, Campaign
from store.orders.queue import KeptOrder
from web.calls.campaigns import UNREAD, CampaignRules, rules_of
from web.calls.context import AppContext
from web.calls.dispatch import LEASE_SECONDS, Dispatcher
from web.calls.placing import LATEST_SECONDS
from web.calls.unfinished import UnfinishedOrders

LOOK_SECONDS = 1.0
"""Between looks for a number that may be called."""
SHORTEST_GAP = 0.02
SHORT_WAIT = 2.0
"""A campaign waits while an order that came now would wait for longer."""
SWEEP_SECONDS = 3600.0

_log = structlog.stdlib.get_logger()


@attrs.define(eq=False)
class CampaignRunner:
    context: AppContext
    dispatcher: Dispatcher
    unfinished: UnfinishedOrders
    _gap: float = attrs.field(default=LOOK_SECONDS, init=False)
    """Until the next look: the shortest pace of the campaigns that called somebody in this one."""
    _left: set[str] = attrs.field(factory=set, init=False)
    """Campaigns whose rules this version cannot read."""
    _swept: float = attrs.field(default=0.0, init=False)
    _unharmed: UnharmedAgain = attrs.field(factory=lambda: UnharmedAgain("campaigns_not_looked_after"), init=False)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.context.slots.end_at_drain, nursery.cancel_scope)
            while True:
                self._gap = LOOK_SECONDS
                await self._unharmed(self.look)
                await trio.sleep(max(self._gap, SHORTEST_GAP))

    async def look(self) -> None:
        """Have numbers called as long as there are some whose time has come, and lines for them. Raises: `OSError`."""
        if not self._has_lines():
            return
        if trio.current_time() > self._swept + SWEEP_SECONDS:
            self._swept = trio.current_time()
            await self.context.campaigns.sweep()
        while self._has_lines() and (campaigns := await self.context.campaigns.runnable()):
            if not any([await self._call_next(campaign) for campaign in campaigns if self._has_lines()]):
                return

    def _has_lines(self) -> bool:
        return self.dispatcher.no_line() is None and self.context.pace.wait <= SHORT_WAIT

    async def _call_next(self, campaign: Campaign) -> bool:
        """Have the next number of a campaign called; False when none may be now."""
        if (rules := rules_of(campaign.rules)) is None:
            if campaign.campaign not in self._left:
                _log.warning("campaign_left", name=campaign.name, why=UNREAD)
            self._left.add(campaign.campaign)
            return False
        if 0 < campaign.next_turn <= rules.gap + LATE_SECONDS:  # further off, the clock was set back since its claim
            return False
        worker = self.dispatcher.worker
        order = await self.context.campaigns.take(campaign.campaign, worker, lease=LEASE_SECONDS, latest=LATEST_SECONDS)
        if order is None:
            return False
        closed = await self._closed(order, rules)
        if closed > 0:
            await self.context.campaigns.put_back(order.order_id, worker, closed)
            return True
        if not await self.context.campaigns.turn(campaign.campaign, rules.gap, rules.at_once):
            await self.context.campaigns.put_back(order.order_id, worker, 0.0)
            return False
        self._gap = min(self._gap, rules.gap)
        await self.unfinished.place(order)
        return True

    async def _closed(self, order: KeptOrder, rules: CampaignRules) -> float:
        """Return for how many seconds the callee must not be called; 0 when they may be."""
        now = await self.context.orders.now()
        return (rules.hours.opening(now, order.zones) or now) - now
