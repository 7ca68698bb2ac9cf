"""Health and metrics: is this worker alive, may it be given a call, and what has it counted.

`/readyz` is false while draining and while every slot is taken; `/healthz` is true as long as the worker can answer.
Both need no credential; `/metrics` needs the API token (`web.routes.credentials`). `count_requests` counts and times
every request under its route, or the route that was meant, and never under its address.
"""

import attrs
import trio
from quart import Blueprint, Response, g, request
from quart_trio import QuartTrio

from web.calls.context import AppContext
from web.calls.counts import CONTENT_TYPE, Counts
from web.routes.problems import json_answer, meant

UNKNOWN = "none"
"""The route, and the method, of a request that is like no route: anybody may make up any number of those."""
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


@attrs.frozen
class HealthRoutes:
    context: AppContext

    def blueprint(self) -> Blueprint:
        routes = Blueprint("health", __name__)
        routes.get("/healthz")(self.healthz)
        routes.get("/readyz")(self.readyz)
        routes.get("/metrics")(self.metrics)
        return routes

    async def healthz(self) -> Response:
        return json_answer({"alive": True})

    async def readyz(self) -> Response:
        """Say whether a new call would be let in."""
        slots = self.context.slots
        shown = {"ready": slots.accepting, "draining": slots.draining, "calls": slots.taken, "capacity": slots.capacity}
        return json_answer(shown, 200 if slots.accepting else 503)

    async def metrics(self) -> Response:
        return Response(self.context.counts.render(), content_type=CONTENT_TYPE)


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
