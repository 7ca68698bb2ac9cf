"""Every request is counted and timed under its route, or the one that was meant, and never under its address."""

import trio
from quart import Response, g, request
from quart_trio import QuartTrio

from web.calls.counts import Counts
from web.routes.misrouted import meant

UNKNOWN = "none"
"""The route, and the method, of a request that is like no route: anybody may make up any number of those."""
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


def count_requests(app: QuartTrio, counts: Counts) -> None:
    """Have an application's requests counted."""

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
