"""The console's routes: each reads what a page shows, and renders it.

Every request has passed the gate (`web.console.session`). A page is a view of records and events: no logic of its own.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import attrs
import structlog
from quart import Blueprint, Response, redirect, request
from quart.typing import ResponseReturnValue

from store.objects import ObjectsUnavailable
from store.prices import costs_of
from store.records import CallRecord, RecordError, encode_record
from web.calls.call_files import RECORDING
from web.calls.context import AppContext
from web.calls.forgetting import GoesOn
from web.calls.live_calls import KnownCall
from web.calls.shown_live import everywhere, find_elsewhere, known_as_json, shown_live
from web.console.afterwards import retold
from web.console.campaigns import CampaignPages
from web.console.lists import OUTCOMES, PAGE, asked_by
from web.console.phone import PHONE_STREAM, PhoneRoutes
from web.console.rendering import TEXT, message_page, prepare, read_files, render, static_file
from web.console.session import SignInCheck, current_session
from web.routes.calls import CallRoutes
from web.routes.problems import is_name
from web.routes.views import CallViews, no_such

CALLS = "/console/calls"

_log = structlog.stdlib.get_logger()


def _who() -> str:
    """Name the operator of a request, for journal, record and log."""
    return f"console {current_session().id[:8]}"


@attrs.frozen
class Console:
    context: AppContext
    views: CallViews
    calls: CallRoutes
    gate: SignInCheck
    phone: PhoneRoutes
    campaigns: CampaignPages

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
        self.campaigns.add_to(routes)
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

    @staticmethod
    async def cannot_read(exc: RecordError) -> ResponseReturnValue:
        return await message_page(500, TEXT["unreadable"], str(exc))

    @staticmethod
    async def cannot_look_up(exc: OSError) -> ResponseReturnValue:
        _log.warning("records_unavailable", why=f"{type(exc).__name__}: {exc}")
        page = await message_page(503, TEXT["records_away_title"], TEXT["records_away"])
        page.headers["Retry-After"] = "10"
        return page
