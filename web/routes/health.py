"""Routes for monitoring: is this worker alive, may it be given a call, what has it counted, what has not arrived.

`/readyz` is false while draining, while every slot is taken, and until a PostgreSQL was first reached (some seconds at
most); `/healthz` is true as long as the worker can answer. Both need no credential; `/metrics` and `/webhooks` need the
API token (`web.routes.credentials`). `count_requests` counts and times every request under its route, or the route that
was meant, and never under its address.
"""

import re

import attrs
import trio
from quart import Blueprint, Response, g, request
from quart_trio import QuartTrio

from web.calls.context import AppContext
from web.calls.counts import CONTENT_TYPE, Counts
from web.routes.problems import json_answer, json_of_request, meant, problem, unreachable

UNKNOWN = "none"
"""The route, and the method, of a request that is like no route: anybody may make up any number of those."""
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
MOST_WEBHOOKS = 200
_WITHOUT_BODY = attrs.filters.exclude("body")


@attrs.frozen
class HealthRoutes:
    context: AppContext

    def blueprint(self) -> Blueprint:
        routes = Blueprint("health", __name__)
        routes.get("/healthz")(self.healthz)
        routes.get("/readyz")(self.readyz)
        routes.get("/metrics")(self.metrics)
        routes.get("/webhooks")(self.listed)
        routes.post("/webhooks/resend")(self.resend)
        routes.errorhandler(OSError)(unreachable)
        return routes

    async def healthz(self) -> Response:
        return json_answer({"alive": True})

    async def readyz(self) -> Response:
        slots = self.context.slots
        is_ready = slots.accepting and not slots.fleet.is_starting
        shown = {"ready": is_ready, "draining": slots.draining, "calls": slots.taken, "capacity": slots.capacity}
        return json_answer(shown, 200 if is_ready else 503)

    async def metrics(self) -> Response:
        return Response(self.context.counts.render(), content_type=CONTENT_TYPE)

    async def listed(self) -> Response:
        """List the newest webhooks in one state: those that have not arrived, unless another is asked for."""
        state = request.args.get("state", "dead")
        events = await self.context.outbox.listed(state, MOST_WEBHOOKS)
        return json_answer({"webhooks": [attrs.asdict(event, filter=_WITHOUT_BODY) for event in events]})

    async def resend(self) -> Response:
        match await json_of_request():
            case {"ids": "all"}:
                count = await self.context.outbox.resend(None)
            case {"ids": [*ids]} if all(isinstance(one, str) and re.fullmatch(r"msg_[0-9a-f]{27}", one) for one in ids):
                count = await self.context.outbox.resend(ids)
            case _:
                fix = '{"ids": ["msg_…"]} or {"ids": "all"}'
                return problem(400, "the body names no webhooks", field="ids", fix=fix)
        return json_answer({"resent": count})


def count_requests(app: QuartTrio, counts: Counts) -> None:
    @app.before_request
    async def _begin() -> None:
        g.began = trio.current_time()

    @app.after_request
    async def _end(response: Response) -> Response:
        rule = request.url_rule or meant(app.url_map, request.path)
        method = request.method if rule is not None and request.method in _METHODS else UNKNOWN
        route = rule.rule if rule is not None else UNKNOWN
        counts.answered(method, route, response.status_code, trio.current_time() - g.began)
        return response
