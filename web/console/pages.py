"""The console's routes: each reads what a page shows, and renders it.

Every request has passed the gate (`web.console.session`). A page is a view of records and events: no logic of its own.
The filters of the list live in the address, so a list can be kept as a bookmark; one that cannot be read is told beside
the form and asks for nothing. A call without a journal (nothing is recorded, or the files are gone) has no picture.
Making a campaign is the API's and the command line's: a file with mistakes wants more room than a form has.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from urllib.parse import urlencode

import attrs
import structlog
from quart import Blueprint, Response, redirect, request
from quart.typing import ResponseReturnValue

from actors.journal import Entry
from store.objects import ObjectsUnavailable
from store.orders.campaigns import Campaign
from store.prices import costs_of
from store.records import ANSWERED, UNANSWERED, CallRecord, RecordError, TurnRecord, encode_record
from store.search import CallQuery
from web.calls.call_files import RECORDING
from web.calls.campaigns import rules_of
from web.calls.context import AppContext
from web.calls.forgetting import GoesOn
from web.calls.live_calls import KnownCall
from web.calls.shown_live import everywhere, find_elsewhere, known_as_json, shown_live
from web.console.phone import PHONE_STREAM, PhoneRoutes
from web.console.rendering import CAMPAIGNS, TEXT, message_page, prepare, read_files, render, static_file
from web.console.session import SignInCheck, current_session
from web.picture.chart import Speech, read_chart
from web.picture.timeline import synopsis, time_map
from web.routes.calls import CallRoutes
from web.routes.campaigns import STATES, CampaignRoutes
from web.routes.problems import is_name
from web.routes.views import CallViews, no_such

CALLS, CAMPAIGNS_PAGE = "/console/calls", "/console/campaigns"

_log = structlog.stdlib.get_logger()


def _who() -> str:
    """Name the operator of a request, for journal, record and log."""
    return f"console {current_session().id[:8]}"


PAGE = 50
MOST_CAMPAIGNS = 20
"""On their page: each is counted anew for every request."""
_LONGEST = 100
OUTCOMES = (*ANSWERED, *UNANSWERED)
"""Outcomes to choose from."""
FILTERS = ("q", "outcome", "direction", "since", "until", "troubled", "transferred", "numbers")


@attrs.frozen
class ListAsked:
    """A list as an address asks for it: the query, the filters as written, and their problems."""

    query: CallQuery
    given: Mapping[str, str]
    problems: tuple[str, ...] = ()

    @property
    def is_filtered(self) -> bool:
        return any(name != "numbers" for name in self.given)

    def address(self, **changes: str) -> str:
        """Return the address of this list with changes; an empty value takes a filter away."""
        given = {name: value for name, value in {**self.given, **changes}.items() if value}
        return f"/?{urlencode(given)}" if given else "/"


def asked_by(arguments: Mapping[str, str]) -> ListAsked:
    given = {name: arguments.get(name, "").strip()[:_LONGEST] for name in FILTERS}
    given = {name: value for name, value in given.items() if value}
    problems = list[str]()
    since, until = (_day(given.get(name, ""), problems) for name in ("since", "until"))
    if since and until and since > until:
        problems.append(TEXT["dates_crossed"])
    started_at, _, call_sid = _word(arguments, "before").partition("~")
    query = CallQuery(
        text=given.get("q", ""),
        outcome=_word(given, "outcome"),
        direction=_word(given, "direction"),
        since=since.isoformat() if since else "",
        until=(until + timedelta(days=1)).isoformat() if until and until < date.max else "",
        troubled="troubled" in given,
        transferred="transferred" in given,
        before=(started_at[:_LONGEST], call_sid[:_LONGEST]) if started_at else None,
        limit=PAGE + 1,
    )
    return ListAsked(query, given, tuple(dict.fromkeys(problems)))


def _word(arguments: Mapping[str, str], name: str) -> str:
    """Return a word that a record may have, without null characters, which PostgreSQL refuses."""
    return arguments.get(name, "").replace("\0", "")


def _day(text: str, problems: list[str]) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        problems.append(TEXT["date_wrong"])
        return None


@attrs.frozen
class Console:
    context: AppContext
    views: CallViews
    calls: CallRoutes
    gate: SignInCheck
    phone: PhoneRoutes
    campaigns: CampaignRoutes

    def blueprint(self) -> Blueprint:
        """Return the routes. Blocks: templates and files are read first."""
        prepare()
        read_files()
        routes = Blueprint("console", __name__)
        routes.get("/console/static/<path:filename>")(static_file)
        routes.add_url_rule("/console/sign-in", "sign_in", self.gate.sign_in, methods=["GET", "POST"])
        routes.post("/console/sign-out")(self.gate.sign_out)
        routes.get("/")(self.listed)
        routes.get("/console")(self.home)
        routes.get("/console/")(self.home)
        routes.get("/console/live")(self.live)
        self.phone.add_to(routes)
        routes.get(CAMPAIGNS_PAGE)(self.campaigns_page)
        routes.get(f"{CAMPAIGNS_PAGE}/<campaign>/export")(self.export_campaign)
        for command in STATES:
            turn = partial(self.turn_campaign, command)
            routes.add_url_rule(f"{CAMPAIGNS_PAGE}/<campaign>/{command}", f"turn_{command}", turn, methods=["POST"])
        routes.get(f"{CALLS}/<name>")(self.call)
        routes.get(f"{CALLS}/<name>/record.json")(self.record)
        routes.post(f"{CALLS}/<name>/erase")(self.erase)
        routes.post(f"{CALLS}/<name>/hang-up")(self.hung_up)
        self.views.add_to(routes, CALLS)
        self.calls.add_commands(routes, CALLS, _who)
        routes.get("/console/<path:anything>")(self.nowhere)
        routes.before_request(self.gate.refuse_unauthenticated)
        routes.before_request(self.refuse_malformed)
        routes.after_request(self.gate.dress)
        routes.errorhandler(OSError)(self.cannot_look_up)
        routes.errorhandler(RecordError)(self.cannot_read)
        return routes

    async def refuse_malformed(self) -> ResponseReturnValue | None:
        """Answer 404 to a name that no call can have, before a database is asked for it."""
        if is_name((request.view_args or {}).get("name", "-")):
            return None
        return await message_page(404, TEXT["not_found"], TEXT["not_found_hint"])

    async def hung_up(self, name: str) -> ResponseReturnValue:
        return await self.calls.hung_up(name, _who())

    async def home(self) -> ResponseReturnValue:
        return redirect("/")

    async def nowhere(self, anything: str) -> ResponseReturnValue:  # noqa: ARG002 - the address has it
        return await message_page(404, TEXT["no_page"], TEXT["no_page_hint"])

    async def listed(self) -> ResponseReturnValue:
        asked = asked_by(request.args)
        found = await self.context.services.records.search(asked.query)
        return await render(
            "calls.html",
            asked=asked,
            live=await self._live(),
            rows=found[:PAGE],
            older=asked.address(before="~".join(found[PAGE - 1].key)) if len(found) > PAGE else "",
            outcomes=OUTCOMES,
        )

    async def live(self) -> ResponseReturnValue:
        """Return the rows of the calls that go on, for the module of the list."""
        return await render("live_calls.html", live=await self._live())

    async def _live(self) -> Sequence[Mapping[str, object]]:
        """Return the calls that go on; the first of them with the floor, its seconds and the last words."""
        calls = await everywhere(self.context)
        return [*await shown_live(calls[:PAGE], self.context), *map(known_as_json, calls[PAGE:])]

    async def call(self, name: str) -> ResponseReturnValue:
        call_sid = await self.views.call_sid(name)
        known, watched = self.context.live_calls.find(name), self.context.watched.find(call_sid)
        if (watched is not None and watched.now is not None) or (known is not None and known.rings):
            return await self._under_way(call_sid, known)
        if worker := await self.views.carried_elsewhere(call_sid):
            return await self._under_way(call_sid, await find_elsewhere(self.context, call_sid), worker)
        record = await self.context.services.records.get(call_sid)
        if record is None and await self.context.files.is_written(call_sid):
            return await self._under_way(call_sid, known)
        if record is None:
            return await message_page(404, TEXT["not_found"], TEXT["not_found_hint"])
        return await self._afterwards(record)

    async def _under_way(self, call_sid: str, known: KnownCall | None, worker: str = "") -> str:
        policy = self.context.services.policy
        deadlines = {
            "silence": policy.deadlines.silence_budget,
            "brief": policy.deadlines.summary,
            "start": policy.deadlines.handoff_start * policy.numbers.handoff_attempts,
        }
        return await render(
            "live.html",
            call_sid=call_sid,
            known=known,
            worker=worker,
            deadlines=deadlines,
            stream=PHONE_STREAM,
            agents=list(self.context.services.roster.agents),
        )

    async def _afterwards(self, record: CallRecord) -> str:
        files, prices = self.context.files, self.context.settings.prices
        entries = await files.journal(record.call_sid)
        shown = await files.in_thread(partial(retold, record, entries)) if entries else retold(record, entries)
        return await render(
            "call.html",
            record=record,
            has_recording=await self._has_recording(record),
            costs=costs_of(record, prices) if prices is not None else None,
            currency=prices.currency if prices is not None else "",
            **shown,
        )

    async def _has_recording(self, record: CallRecord) -> bool:
        try:
            return await self.context.files.has(record.call_sid, RECORDING)
        except ObjectsUnavailable:  # it may be back when somebody listens
            return bool(record.recording)

    async def record(self, name: str) -> ResponseReturnValue:
        call_sid = await self.views.call_sid(name)
        record = await self.context.services.records.get(call_sid)
        if record is None:
            return no_such("record")
        headers = {"Content-Disposition": f'attachment; filename="{call_sid}.json"'}
        return Response(encode_record(record), 200, content_type="application/json", headers=headers)

    async def erase(self, name: str) -> ResponseReturnValue:
        call_sid, forgetting = await self.views.call_sid(name), self.context.forgetting
        try:
            await forgetting.erase(call_sid, await forgetting.subject(call_sid))
        except GoesOn:
            return await message_page(409, TEXT["erase"], TEXT["erase_live"])
        return Response("", 303, headers={"Location": "/"})

    async def campaigns_page(self) -> ResponseReturnValue:
        """Show the newest campaigns; the page's module asks for some of them, by name."""
        names = request.args.getlist("name")
        found = [one for one in await self.context.campaigns.all(MOST_CAMPAIGNS) if not names or one.name in names]
        progress = [await self.campaigns.progress(one) for one in found]
        return await render("campaigns.html", campaigns=list(zip(found, progress, strict=True)), rules=_rules)

    async def export_campaign(self, campaign: str) -> ResponseReturnValue:
        response = await self.campaigns.export(campaign)
        if response.status_code == 200:
            response.headers["Content-Disposition"] = f'attachment; filename="{campaign}.csv"'
        return response

    async def turn_campaign(self, command: str, campaign: str) -> ResponseReturnValue:
        found = await self.campaigns.find(campaign)
        if found is None:
            return await message_page(404, CAMPAIGNS["title"], CAMPAIGNS["unknown"])
        if await self.campaigns.turn_to(found, command) is None:
            return await message_page(409, CAMPAIGNS["title"], CAMPAIGNS["canceled_already"])
        return Response("", 303, headers={"Location": CAMPAIGNS_PAGE})

    @staticmethod
    async def cannot_read(exc: RecordError) -> ResponseReturnValue:
        return await message_page(500, TEXT["unreadable"], str(exc))

    @staticmethod
    async def cannot_look_up(exc: OSError) -> ResponseReturnValue:
        _log.warning("records_unavailable", why=f"{type(exc).__name__}: {exc}")
        page = await message_page(503, TEXT["records_away_title"], TEXT["records_away"])
        page.headers["Retry-After"] = "10"
        return page


_ONSET = 0.5
"""The service hears the caller begin so much earlier or later, at the most, than their sound does."""
_EARLY = 1.5
"""The words of an agent are noted when its reply begins; sound begins about then."""


def retold(record: CallRecord, entries: Sequence[Entry]) -> Mapping[str, object]:
    """Return the picture of the call, and where each turn of the transcript begins to sound."""
    chart = read_chart(entries)
    return {
        "picture": time_map(chart) if entries else None,
        "synopsis": synopsis(chart),
        "starts": list(_starts(record.transcript, chart.speech)),
    }


def _starts(transcript: Sequence[TurnRecord], speech: Sequence[Speech]) -> Iterator[float]:
    since, before = 0.0, -1.0
    for turn in transcript:
        before = _start_of(turn, since, before, speech)
        if turn.speaker == "caller":
            since = turn.at
        yield before


def _start_of(turn: TurnRecord, since: float, before: float, speech: Sequence[Speech]) -> float:
    """Return where a turn begins to sound: an agent's follows what was noted.

    A caller's is noted when the service hears them begin; where it has not said so, when they were understood, which
    is later. No two turns of agents begin `before` or at the same sound.
    """
    own = [span.start for span in speech if span.speaker == turn.speaker]
    if turn.speaker == "caller":
        nearest = min(own, key=lambda start: abs(start - turn.at), default=math.inf)
        if abs(nearest - turn.at) <= _ONSET:
            return nearest
        return min((start for start in own if since <= start < turn.at), default=turn.at)
    return min((start for start in own if start >= turn.at - _EARLY and start > before), default=max(turn.at, before))


def _rules(campaign: Campaign) -> str:
    if (rules := rules_of(campaign.rules)) is None:
        return CAMPAIGNS["rules_unread"]
    hours, days = rules.hours.written()
    pace = f"{rules.per_minute:g}"
    return CAMPAIGNS["rules"].format(hours=hours, days=days.replace(",", ", "), pace=pace, most=rules.most_calls)
