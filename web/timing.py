"""Every request is counted and timed under its route, never under its address."""

import trio
from quart import Response, g, request
from quart_trio import QuartTrio

from web.counts import Counts

UNKNOWN = "none"
"""The route, and the method, of a request for which there is no route: anybody may make up any number of those."""


def count_requests(app: QuartTrio, counts: Counts) -> None:
    """Have an application's requests counted."""

    @app.before_request
    async def _begin() -> None:
        g.began = trio.current_time()

    @app.after_request
    async def _end(response: Response) -> Response:
        rule = request.url_rule
        method, route = (request.method, rule.rule) if rule is not None else (UNKNOWN, UNKNOWN)
        counts.answered(method, route, response.status_code, trio.current_time() - g.began)
        return response
