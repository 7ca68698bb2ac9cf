"""The console's page of campaigns: how each goes, and the buttons that pause it, go on with it, and cancel it.

The page is whole without its module, which asks for what is not over every few seconds. Making a
campaign is the API's and the command line's: a file with mistakes wants more room than a form has.
"""

from functools import partial

import attrs
from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from store.orders.campaigns import Campaign
from web.calls.campaigns import rules_of
from web.console.rendering import CAMPAIGNS, message_page, render
from web.routes.campaigns import STATES, CampaignRoutes

PAGE = "/console/campaigns"
MOST = 20
"""Campaigns on the page: each is counted anew for every request."""


@attrs.frozen
class CampaignPages:
    campaigns: CampaignRoutes

    def add_to(self, routes: Blueprint) -> None:
        routes.add_url_rule(PAGE, "campaigns", self.page)
        routes.add_url_rule(f"{PAGE}/<campaign>/export", "campaign_export", self.export)
        for command in STATES:
            address = f"{PAGE}/<campaign>/{command}"
            routes.add_url_rule(address, f"campaign_{command}", partial(self.turn, command), methods=["POST"])

    async def page(self) -> ResponseReturnValue:
        """Show the newest campaigns; the page's module asks for some of them, by name."""
        names = request.args.getlist("name")
        found = [one for one in await self.campaigns.context.campaigns.all(MOST) if not names or one.name in names]
        progress = [await self.campaigns.progress(one) for one in found]
        return await render("campaigns.html", campaigns=list(zip(found, progress, strict=True)), rules=_rules)

    async def export(self, campaign: str) -> ResponseReturnValue:
        response = await self.campaigns.export(campaign)
        if response.status_code == 200:
            response.headers["Content-Disposition"] = f'attachment; filename="{campaign}.csv"'
        return response

    async def turn(self, command: str, campaign: str) -> ResponseReturnValue:
        found = await self.campaigns.find(campaign)
        if found is None:
            return await message_page(404, CAMPAIGNS["title"], CAMPAIGNS["unknown"])
        if await self.campaigns.turn_to(found, command) is None:
            return await message_page(409, CAMPAIGNS["title"], CAMPAIGNS["canceled_already"])
        return Response("", 303, headers={"Location": PAGE})


def _rules(campaign: Campaign) -> str:
    if (rules := rules_of(campaign.rules)) is None:
        return CAMPAIGNS["rules_unread"]
    hours, days = rules.hours.written()
    pace = f"{rules.per_minute:g}"
    return CAMPAIGNS["rules"].format(hours=hours, days=days.replace(",", ", "), pace=pace, most=rules.most_calls)
