"""The API token: asked for on every route that neither Twilio signs nor the platform needs.

A route that is added needs the token unless it is named here. Without an `API_TOKEN`, which the settings allow only
where server, public address and Twilio are all on this machine, the routes serve this machine, and no browser on it: a
page of anybody may have its reader's browser send a request to this machine, too.
"""

import hmac
from collections.abc import Callable, Collection, Generator
from contextlib import nullcontext
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import attrs
from hypercorn.typing import WWWScope
from quart import Response, request
from quart.datastructures import FileStorage
from quart.wrappers.request import Body
from quart_trio.formparser import TrioFormDataParser
from quart_trio.wrappers.request import TrioBody, TrioRequest
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from setting_values import is_loopback
from web.calls.context import AppContext
from web.routes.problems import problem
from web.sockets.asgi_events import headers_of
from web.sockets.connections import vouch

SIGNED = frozenset({"twilio"})
"""Blueprints whose requests Twilio signs; they refuse the others themselves."""
SIGNED_IN = frozenset({"console"})
"""Blueprints for operators in a browser: `web.console.session` guards each of their routes."""
OPEN = frozenset({"health.healthz", "health.readyz", "openapi.openapi"})
"""Endpoints without a credential: they say how the worker is, and what can be asked, and nothing of its calls."""
MOST_FIELDS = 300
"""In a form: Twilio sends some forty, and one for each header of a SIP call."""
_OF_A_BROWSER = ("origin", "sec-fetch-site")
_OF_A_PROXY = frozenset({"forwarded", "via", "x-forwarded-for"})


def is_here(scope: WWWScope) -> bool:
    """Tell whether a request comes from this machine, was sent to it by a loopback name, and came through no proxy.

    A proxy on this machine brings strangers' requests, under a loopback name too. Most say for whom they ask; nginx
    does not unless it is told to.
    """
    client, headers = scope.get("client"), headers_of(scope)
    try:
        name = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return False
    is_direct = client is not None and is_loopback(client[0]) and _OF_A_PROXY.isdisjoint(headers)
    return is_direct and is_loopback(name)


def _from_this_machine() -> bool:
    return is_here(request.scope) and not any(name in request.headers for name in _OF_A_BROWSER)


def is_token(given: str, expected: str) -> bool:
    """Tell whether `given` is the token, in a time that tells neither how much of it is right nor how long it is."""
    return hmac.compare_digest(sha256(given.encode()).digest(), sha256(expected.encode()).digest())


def bearer_of(authorization: str) -> str:
    """Return the token that a header shows, however its scheme is written; empty for another scheme."""
    scheme, _, given = authorization.partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


@attrs.frozen
class Credentials:
    context: AppContext

    def admits(self, authorization: str) -> bool:
        """Tell whether a header shows the token, or none is needed."""
        expected = self.context.settings.api_token
        return expected is None or is_token(bearer_of(authorization), expected)

    async def refuse_unauthenticated(self) -> Response | None:
        """Answer 401 to a request without the token; a request without a route gets its 404 or 405."""
        if request.url_rule is None or request.blueprint in SIGNED | SIGNED_IN or request.endpoint in OPEN:
            return None
        expected = self.context.settings.api_token
        if expected is None:
            if _from_this_machine():
                return None
            refusal = problem(401, "without an API_TOKEN, only this machine is served", fix="Set API_TOKEN.")
        elif self.admits(request.headers.get("authorization", "")):
            vouch(request.scope)
            return None
        else:
            refusal = problem(401, "the API token is missing or wrong", fix="Send Authorization: Bearer <API_TOKEN>.")
            refusal.headers["WWW-Authenticate"] = "Bearer"
        self.context.counts.refused("no_token")
        return self.context.rate_limits.answer(refusal)


class ShortForms(TrioFormDataParser):
    """Reads forms as the framework does, and refuses more fields than any of ours has, or of Twilio's.

    A stranger's of 60 kB would be taken apart, and sorted for each address that Twilio may have signed.
    """

    async def parse(
        self, body: Body, mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Raises: `RequestEntityTooLarge`."""
        if mimetype in self.parse_functions and (await body).count(b"&") >= MOST_FIELDS:
            raise RequestEntityTooLarge
        return await super().parse(body, mimetype, content_length, options)


class WholeBody(TrioBody):
    """A body that is read at once where all of it is there: trio's takes a turn of the scheduler each time."""

    def __await__(self) -> Generator[Any, None, bytes]:
        if self._complete.is_set() and self._must_raise is None:
            return bytes(self._data)
        whole: bytes = yield from super().__await__()
        return whole


def request_class(targets: Collection[str], most: int, may: Callable[[str], bool]) -> type[TrioRequest]:
    """Return a class of requests to `targets` that may have `most` bytes, where `may` says so of the authorization.

    The framework takes a body in before any route is asked, so its headers decide whether it may be large.
    """

    class Request(TrioRequest):
        body_class = WholeBody
        form_data_parser_class = ShortForms
        # of the form, which one task reads: trio's takes a turn, too
        lock_class = nullcontext  # type: ignore[assignment]

        def __init__(self, *given: Any, **more: Any) -> None:  # noqa: ANN401 - what the framework gives is passed on
            method, _, path, _, headers = given[:5]
            if method == "POST" and path in targets and may(headers.get("authorization", "")):
                more["max_content_length"] = most
            super().__init__(*given, **more)

    return Request
