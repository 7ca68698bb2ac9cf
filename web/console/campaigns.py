"""The console's page of campaigns: how each goes, and the buttons that pause it, go on with it, and cancel it.

The page is whole without its module, which asks for the progress of what is not over every few seconds. Making a
campaign is the API's and the command line's: a file with mistakes wants more room than a form has.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import attrs
from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from store.orders.campaigns import Campaign
from web.calls.campaigns import rules_of
from web.calls.exports import Progress
from web.clients.operator import time_left
from web.console.english import CAMPAIGNS
from web.console.rendering import message_page, render
from web.routes.campaigns import STATES, CampaignRoutes
from web.routes.problems import json_answer

PAGE = "/console/campaigns"
MOST = 20
"""Campaigns on the page: each is counted anew for every request."""
OVER = "over"


@attrs.frozen
class CampaignPages:
    campaigns: CampaignRoutes

    def add_to(self, routes: Blueprint) -> None:
        routes.add_url_rule(PAGE, "campaigns", self.page)
        routes.add_url_rule(f"{PAGE}/progress", "campaign_progress", self.progress)
        routes.add_url_rule(f"{PAGE}/<campaign>/export", "campaign_export", self.export)
        for command in STATES:
            address = f"{PAGE}/<campaign>/{command}"
            routes.add_url_rule(address, f"campaign_{command}", partial(self.turn, command), methods=["POST"])

    async def page(self) -> ResponseReturnValue:
        return await render("campaigns.html", c=CAMPAIGNS, campaigns=await self._shown())

    async def progress(self) -> ResponseReturnValue:
        """Tell the page's module how the campaigns go that it names."""
        return json_answer({"campaigns": await self._shown(request.args.getlist("name"))})

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

    async def _shown(self, names: Collection[str] = ()) -> Sequence[Mapping[str, object]]:
        found = await self.campaigns.context.campaigns.all(MOST)
        return [
            _card(campaign, await self.campaigns.progress(campaign))
            for campaign in found
            if not names or campaign.name in names
        ]


def _card(campaign: Campaign, progress: Progress) -> Mapping[str, object]:
    is_over = progress.done == progress.numbers
    state = OVER if is_over and campaign.state != "canceled" else campaign.state
    counts = [
        CAMPAIGNS["of_numbers"].format(done=progress.done, numbers=progress.numbers),
        CAMPAIGNS["calls"].format(calls=progress.calls),
        CAMPAIGNS["calling"].format(calling=progress.calling) if progress.calling else "",
        CAMPAIGNS["left"].format(time=time_left(progress.eta_seconds))
        if progress.eta_seconds and state == "running"
        else "",
    ]
    return {
        "name": campaign.name,
        "state": state,
        "why": campaign.why,
        "created": f"{datetime.fromtimestamp(campaign.created, UTC):%Y-%m-%d %H:%M}",
        "rules": _rules(campaign),
        "done": progress.done,
        "numbers": progress.numbers,
        "facts": " · ".join(filter(None, counts)),
        "outcomes": list(progress.outcomes.items()),
        "is_open": not is_over,
    }


def _rules(campaign: Campaign) -> str:
    if (rules := rules_of(campaign.rules)) is None:
        return CAMPAIGNS["rules_unread"]
    hours, days = rules.hours.written()
    pace = f"{rules.per_minute:g}"
    return CAMPAIGNS["rules"].format(hours=hours, days=days.replace(",", ", "), pace=pace, most=rules.most_calls)
