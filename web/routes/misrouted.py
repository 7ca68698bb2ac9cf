"""Requests that nearly reached a route: a number set to GET, a path with a slash behind it, a proxy's prefix.

Nothing of such a request reaches a route, so nothing else would tell of it. It is logged with the method, the path and
the fix, and counted under the route that was meant. Requests that resemble none of our routes are not logged: on a
public address there are many.
"""

import re

import attrs
import structlog
from quart import Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from web.calls.context import AppContext
from web.calls.rate_limits import RateLimits
from web.clients.signatures import SIGNATURE
from web.routes.problems import refused

_METHODS = ("POST", "GET", "DELETE", "PUT")
_LONGEST_PATH = 200

_log = structlog.stdlib.get_logger()


def meant(routes: Map, path: str) -> Rule | None:
    """Return the route that a path is, or nearly is; None if it is like none."""
    tidy = "/" + re.sub(r"/+", "/", path).strip("/").lower()
    prefixed = "/twilio/" in tidy[1:]
    candidates = (path, tidy, tidy[tidy.rindex("/twilio/") :] if prefixed else tidy)
    if tidy == "/":  # the console's; everybody who looks for a way in sends something there
        return None
    adapter = routes.bind("switchboard")
    for candidate in candidates:
        for method in _METHODS:
            try:
                rule, _ = adapter.match(candidate, method, return_rule=True)
            except HTTPException:
                continue
            return rule
    return None


@attrs.frozen
class Misrouted:
    """Answers what the framework refuses, and tells of requests that were meant for a route."""

    context: AppContext
    routes: Map
    _allowance: RateLimits = attrs.field(factory=RateLimits, init=False)

    async def answer(self, exc: HTTPException) -> Response:
        """Answer a refusal of the framework's."""
        if exc.code in {404, 405} and request.url_rule is None:
            self._tell(exc.code)
        return await refused(exc)

    def _tell(self, status: int) -> None:
        rule = meant(self.routes, request.path)
        is_twilios = SIGNATURE in request.headers
        client = request.scope.get("client")
        if (rule is None and not is_twilios) or self._allowance.refuse(client[0] if client else ""):
            return
        _log.warning(
            "request_misrouted",
            method=request.method[:20],
            path=request.path[:_LONGEST_PATH],
            status=status,
            fix=self._fix(rule, is_twilios),
        )

    def _fix(self, rule: Rule | None, is_twilios: bool) -> str:
        origin = self.context.signatures.origin
        if rule is not None and not rule.rule.startswith("/twilio"):
            return f"Send it to {rule.rule}, with a method that the route has."
        route = rule.rule if rule is not None else "/twilio/voice"
        webhook = "the number's webhook" if route == "/twilio/voice" else "this webhook"
        whose = "" if is_twilios else "If it was Twilio's: "
        return f"{whose}set {webhook} to {origin}{route}, HTTP POST."
