"""Answers to refused requests: JSON, with the problem and its fix.

`problem` writes such an answer, and `answer_to` gives the framework's own refusals the same form. The log alone says
what broke inside. `Misrouted` logs requests that nearly reached a route (a number set to GET, a path with a slash
behind it, a proxy's prefix) with the method, the path and the fix. Requests that resemble none of our routes are not
logged: a public address gets many.

`malformed` and the `is_…` functions check ids and counts in signed requests: a signature does not say that they are
well-formed, and what comes in is kept under these ids, in folders and in rows.
"""

import difflib
import re
from collections.abc import Mapping
from http import HTTPStatus

import attrs
import structlog
from quart import Response, abort, current_app, has_websocket_context, request, websocket
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from protocol.fields import json_or, names_twice
from store.calls import DatabaseRefused
from store.json_text import json_text
from web.calls.context import AppContext
from web.calls.orders import LONGEST_KEY, OrderError
from web.calls.rate_limits import harden
from web.calls.returning import STREAM_PATH
from web.clients.signatures import SIGNATURE
from web.clients.twilio import CALL_SID
from web.sockets.asgi_events import LONGEST_PATH

_FIXES: Mapping[int, str] = {
    405: "Use a method that the Allow header names.",
    408: "Send the whole body at once.",
    413: "Send a shorter body, and at most 300 fields in a form.",
    415: "Send the body as it is, without Content-Encoding.",
    416: "Ask for bytes that there are: Content-Range says how many.",
    500: "See the log of the server.",
}
OTHER_VERSION = "the database is none that this switchboard can use"
CHANGE_VERSION = "See the log. Update this switchboard, or name another database: DATABASE_URL."
_SOCKET_FIX = "A proxy took the Upgrade header of a WebSocket away: have it pass Upgrade and Connection, over HTTP/1.1."
_METHODS = ("POST", "GET", "DELETE", "PUT")
_log = structlog.stdlib.get_logger()


def json_answer(shown: object, status: int = 200) -> Response:
    return Response(json_text(shown), status, content_type="application/json")


def xml(document: str) -> Response:
    return Response(document, content_type="text/xml; charset=utf-8")


def problem(status: int, error: str, *, retry_seconds: int = 0, **more: object) -> Response:
    """Return an answer with the problem, and with `Retry-After` if `retry_seconds` is not 0."""
    response = json_answer({"error": error, **more}, status)
    if retry_seconds:
        response.headers["Retry-After"] = str(retry_seconds)
    return response


def mistaken(what: str, exc: OrderError) -> Response:
    return problem(400, f"{what} has mistakes in it", problems=[attrs.asdict(one) for one in exc.problems])


def no_such_call() -> Response:
    return problem(404, "no such call", fix="Use an id or a call_sid of POST /calls, GET /calls or switchboard calls.")


async def unreachable(exc: OSError) -> Response:
    """Answer 503 while database or disk is away."""
    _log.warning("store_unavailable", why=f"{type(exc).__name__}: {exc}")
    if isinstance(exc, DatabaseRefused):
        return problem(503, OTHER_VERSION, fix=CHANGE_VERSION)
    told = "the database, or another store, cannot be reached now; calls are not affected"
    return problem(503, told, fix="Repeat the request later.", retry_seconds=10)


_COMPRESSED = ("gzip", "deflate", "br", "zstd", "compress")


async def body_of_request() -> bytes:
    """Return the body; answer 415 to one that is compressed."""
    coding = request.headers.get("Content-Encoding", "").lower()
    if any(compressed in coding for compressed in _COMPRESSED):  # some clients write a charset here
        abort(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    return await request.get_data(cache=True, as_text=False, parse_form_data=False)


async def json_of_request() -> object:
    """Return the body as JSON; None if it is none, or says something twice."""
    body = await body_of_request()
    return None if names_twice(body) else json_or(body, None)


def key_of_request() -> str | None:
    """Return the `Idempotency-Key` of the request; answer 400 to one that is none."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and re.fullmatch(rf"[!-~]{{1,{LONGEST_KEY}}}", key) is None:
        wanted = f"Write 1 to {LONGEST_KEY} letters, digits or signs, without spaces, such as a UUID."
        abort(problem(400, "the Idempotency-Key is not a key", field="Idempotency-Key", fix=wanted))
    return key


def misasked(known: Mapping[str, str], *, takes_json: bool) -> Response | None:
    """Answer 400 to an argument of the address that the route does not know, or a value it does not take.

    `known` has the pattern of each argument. What is passed over in silence lists too much, ends a call unsaid, or
    calls another number than the one that was given.
    """
    for name, value in request.args.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            there_are = f"Leave it out; there are {', '.join(known) or 'none'}."
            fix = f"Did you mean {near[0]}?" if near else "Write it in the JSON body." if takes_json else there_are
            return problem(400, f"{name[:LONGEST_PATH]} is no argument of this address", field=name, fix=fix)
        if len(request.args.getlist(name)) > 1:
            return problem(400, f"{name} is there more than once", field=name, fix=f"Write {name} once.")
        if re.fullmatch(known[name], value) is None:
            wanted = known[name].replace("|", " or ")
            return problem(400, f"{name} is not {wanted}", field=name, fix=f"{name}={known[name].partition('|')[0]}")
    return None


def _routes() -> str:
    """Name every route of the API: a path that is nearly right is found quickest beside the right one."""
    named = {
        f"{method} {rule.rule}"
        for rule in current_app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"} and not rule.rule.startswith("/console")
    }
    return f"The routes are: {', '.join(sorted(named, key=lambda route: route.split()[::-1]))}."


def answer_to(exc: HTTPException, fix: str = "") -> Response:
    """Answer what the framework refuses, or what broke, as everything else is answered."""
    status = exc.code or 500
    usual = _routes() if status == HTTPStatus.NOT_FOUND else _FIXES.get(status, "Mend the request.")
    response = problem(status, exc.name.lower(), fix=fix or usual)
    for name, value in exc.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def meant(routes: Map, path: str) -> Rule | None:
    """Return the route that a path is, or nearly is; None if it is like none."""
    if len(path) > LONGEST_PATH:
        return None
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

    async def answer(self, exc: HTTPException) -> Response:
        """Answer a refusal of the framework's: of a request, or of an upgrade."""
        if has_websocket_context():
            is_near = STREAM_PATH in f"/{websocket.path.strip('/').lower()}"
            fix = f"The stream's address is {self.context.signatures.socket_origin}{STREAM_PATH}"
            told = f"{fix}; see what the proxy makes of it."
            self._tell(websocket, "WEBSOCKET", HTTPStatus.NOT_FOUND, told, is_ours=is_near)
            return await harden(answer_to(exc, f"{fix}, for Twilio; that of the console's phone is /phone."))
        if exc.code in {404, 405} and request.url_rule is None:
            rule, is_socket = meant(self.routes, request.path), "sec-websocket-key" in request.headers
            fix = _SOCKET_FIX if is_socket else self._fix(rule, SIGNATURE in request.headers)
            self._tell(request, request.method[:20], exc.code, fix, is_ours=rule is not None or is_socket)
        return answer_to(exc)

    def _tell(self, asked: BaseRequestWebsocket, method: str, status: int, fix: str, *, is_ours: bool) -> None:
        """Log what was meant for us: whatever Twilio has signed is, too."""
        is_strange = not is_ours and SIGNATURE not in asked.headers
        if not is_strange and not self.context.rate_limits.refuse(asked.scope.get("client")):
            path = asked.path[:LONGEST_PATH]
            _log.warning("request_misrouted", method=method, path=path, status=status, fix=fix)

    def _fix(self, rule: Rule | None, is_twilios: bool) -> str:
        origin = self.context.signatures.origin
        if rule is not None and not rule.rule.startswith("/twilio"):
            return f"Send it to {rule.rule}, with a method that the route has."
        route = rule.rule if rule is not None else "/twilio/voice"
        webhook = "the number's webhook" if route == "/twilio/voice" else "this webhook"
        whose = "" if is_twilios else "If it was Twilio's: "
        return f"{whose}set {webhook} to {origin}{route}, HTTP POST."


_CALL, _STREAM = re.compile(CALL_SID), re.compile(r"MZ[0-9a-fA-F]{32}")
_IDS: Mapping[str, re.Pattern[str]] = {
    "CallSid": _CALL,
    "ParentCallSid": _CALL,
    "DialCallSid": _CALL,
    "StreamSid": _STREAM,
    "RecordingSid": re.compile(r"RE[0-9a-fA-F]{32}"),
    "call": _CALL,  # of our own addresses, which Twilio gives back
    "order": re.compile(r"[A-Za-z0-9_-]{1,64}"),
}
"""Fields and arguments that are ids. Other fields are not looked at: Twilio may send what it likes."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def malformed(*given: Mapping[str, str]) -> str:
    """Return the first field that is an id and does not look like one; empty where there is none."""
    for fields in given:
        for field, value in fields.items():
            if value and field in _IDS and _IDS[field].fullmatch(value) is None:
                return field
    return ""


def is_call_sid(text: str) -> bool:
    return _CALL.fullmatch(text) is not None


def is_stream_sid(text: str) -> bool:
    return _STREAM.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Tell whether `text` may name a call in an address: a CallSid, an order's id, or one of another server."""
    return _NAME.fullmatch(text) is not None


def count_of(text: str) -> int:
    """Read a count of at most nine digits; 0 for anything else."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
