"""The API for campaigns: make one of a CSV, see how it goes, pause it, go on, cancel it, and take its results.

Every request shows the bearer token. A campaign's name is its address and is used once, so that a request which is
repeated makes no second one. Errors are JSON: each bad line with its field and how to mend it.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from functools import partial

import attrs
import structlog
from quart import Blueprint, Response, abort, request

from store.orders.campaigns import Campaign, NewContact
from web.calls.campaigns import RULES, UNREAD, CampaignRules, read_rules, rules_of
from web.calls.contacts import ContactReader
from web.calls.context import AppContext
from web.calls.exports import Progress, as_csv, as_jsonl, progress_of
from web.calls.orders import OrderError, OrderProblem, object_of, unknown_fields
from web.routes.problems import body_of_request, json_answer, mistaken, problem, unreachable

OPTIONS = ("machine_detection", "time_limit", "record", "agents")
FIELDS = ("name", "csv", "paused", *RULES, *OPTIONS)
LARGEST_BODY = 5 * 1024 * 1024
STATES: Mapping[str, str] = {"pause": "paused", "resume": "running", "cancel": "canceled"}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
_FORMATS = {"csv": (as_csv, "text/csv; charset=utf-8"), "jsonl": (as_jsonl, "application/jsonl")}

_log = structlog.stdlib.get_logger()


@attrs.frozen
class CampaignRoutes:
    context: AppContext

    def blueprint(self) -> Blueprint:
        routes = Blueprint("campaigns", __name__, url_prefix="/campaigns")
        routes.post("")(self.create)
        routes.get("")(self.listed)
        routes.get("/<name>")(self.shown)
        routes.get("/<name>/export")(self.export)
        for command in STATES:
            routes.add_url_rule(f"/<name>/{command}", command, partial(self.turn, command), methods=["POST"])
        routes.errorhandler(OSError)(unreachable)
        return routes

    async def create(self) -> Response:
        try:
            given = _read(await body_of_request())
            rules, contacts = await self._check(given)
        except OrderError as exc:
            return mistaken("the campaign", exc)
        state, name = "paused" if given.get("paused") else "running", str(given["name"])
        made = await self.context.campaigns.create(secrets.token_hex(12), name, contacts, rules.written(), state)
        if made is None:
            fix = f"switchboard campaign status {name}, or GET /campaigns/{name}, shows it."
            return problem(409, "there is a campaign of this name", field="name", fix=fix)
        _log.info("campaign_created", name=name, numbers=len(contacts), state=state)
        response = json_answer(await self._told(made), 201)
        response.headers["Location"] = f"/campaigns/{name}"
        return response

    async def _check(self, given: Mapping[str, object]) -> tuple[CampaignRules, Sequence[NewContact]]:
        rules, problems = read_rules(given, max(1, self.context.settings.max_calls // 2))
        now = await self.context.orders.now()
        reader = ContactReader(
            settings=self.context.settings,
            first_agents=self.context.services.roster.beginners,
            hours=(rules or CampaignRules()).hours,
            options={name: given[name] for name in OPTIONS if name in given},
            now=now,
            campaign=str(given["name"]),
        )
        try:
            contacts = await reader.read(str(given["csv"]))
        except OrderError as exc:
            raise OrderError([*problems, *exc.problems]) from exc
        if rules is None:
            raise OrderError(problems)
        return rules, contacts

    async def listed(self) -> Response:
        told = [await self._told(campaign) for campaign in await self.context.campaigns.all()]
        return json_answer({"campaigns": told})

    async def find(self, name: str) -> Campaign | None:
        """Return a campaign; the database is not asked for a name that none can have."""
        return await self.context.campaigns.find(name) if _NAME.fullmatch(name) is not None else None

    async def _found(self, name: str) -> Campaign:
        fix = "switchboard campaign list, or GET /campaigns, lists them."
        return await self.find(name) or abort(problem(404, "no such campaign", fix=fix))

    async def shown(self, name: str) -> Response:
        campaign = await self._found(name)
        return json_answer(await self._told(campaign))

    async def turn(self, command: str, name: str) -> Response:
        campaign = await self._found(name)
        turned = await self.turn_to(campaign, command)
        if turned is None:
            return problem(409, "the campaign was canceled", fix="Make a new one of the numbers that are left.")
        return json_answer(await self._told(turned))

    async def turn_to(self, campaign: Campaign, command: str) -> Campaign | None:
        """Do what a command says; None where the campaign was canceled, and is to be something else."""
        turned = await self.context.campaigns.turn_to(campaign.campaign, STATES[command])
        if turned is None and command != "cancel":
            return None
        _log.info("campaign_turned", name=campaign.name, state=STATES[command])
        return turned or campaign

    async def export(self, name: str) -> Response:
        wanted = request.args.get("format", "csv")
        campaign = await self._found(name)
        lines, content_type = _FORMATS[wanted]
        return Response(lines(self.context, campaign), content_type=content_type)

    async def progress(self, campaign: Campaign) -> Progress:
        now = await self.context.orders.now()
        return progress_of(campaign, await self.context.campaigns.counts(campaign.campaign), now)

    async def _told(self, campaign: Campaign) -> dict[str, object]:
        progress = await self.progress(campaign)
        goes_on = campaign.state != "canceled"
        why = campaign.why or (UNREAD if goes_on and rules_of(campaign.rules) is None else "")
        plain = {"name": campaign.name, "state": campaign.state, "why": why, "rules": campaign.rules}
        return {**plain, "created_at": campaign.created, "progress": attrs.asdict(progress)}


def _read(body: bytes) -> dict[str, object]:
    """Read the body of POST /campaigns. Raises: `OrderError`."""
    given = object_of(body, _EXAMPLE)
    problems = list(unknown_fields(given, FIELDS, ""))
    name = given.get("name")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        fix = "Write 1 to 60 small letters, digits, dots and hyphens: spring-2027."
        problems.append(OrderProblem("name", "is not the name of a campaign", fix))
    if not isinstance(given.get("csv"), str):
        problems.append(OrderProblem("csv", "is not a text", _EXAMPLE))
    if not isinstance(given.get("paused", False), bool):
        problems.append(OrderProblem("paused", "is not true or false", "Write true for one that begins later."))
    if problems:
        raise OrderError(problems)
    return given


_EXAMPLE = 'Write {"name": "spring", "csv": "to,name\\n+12125550123,John\\n"}.'
