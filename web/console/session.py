"""Sign-in to the console: a session cookie, a CSRF token bound to it, and the guard of every console route.

A session is a signed cookie and nothing else: every worker can check it, none keeps it. It is signed with a key derived
from the API token, so a new `API_TOKEN` ends all sessions. `Sessions` makes and reads cookies, and knows no request;
`SignInCheck` decides about requests. Without an `API_TOKEN` (server, public address and Twilio all on this machine)
there is no sign-in: a browser on this machine that opens the console itself gets a session, a page of another site
gets none.
"""

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

import attrs
import structlog
from quart import Response, g, request
from quart.typing import ResponseReturnValue
from werkzeug.datastructures import Headers
from werkzeug.http import parse_cookie

from setting_values import is_loopback
from settings import Settings
from web.calls.context import AppContext
from web.console.rendering import PHONE_TOLD, TEXT, message_page, render
from web.routes.credentials import is_here, is_token
from web.routes.problems import problem
from web.sockets.connections import vouch

LIFETIME = 12 * 3600
"""Seconds until the operator has to sign in again."""
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"
_OPEN_IT_THERE = "Open the console at LEAD_SERVER_EXTERNAL_URL, or have the proxy pass the Host header on."
OPEN = frozenset({"console.sign_in", "console.static_file"})
"""Endpoints of the console that need no session: the form, and files that say nothing of any call."""
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; media-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types line"
    ),
    # without a referrer at all, a browser names no origin with a form either
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""`trusted-types line`: the phone's worker needs the one policy of that name (web/console/static/phone)."""
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LONGEST_COOKIE = 300

_log = structlog.stdlib.get_logger()


@attrs.frozen
class OperatorSession:
    """One sign-in of one browser. `csrf` proves that a request comes from one of our pages."""

    id: str
    csrf: str


@attrs.frozen
class Sessions:
    """Makes session cookies and reads them. It awaits nothing and keeps nothing."""

    key: bytes = attrs.field(repr=False)
    secure: bool
    now: Callable[[], float] = time.time

    @classmethod
    def of(cls, settings: Settings) -> "Sessions":
        """Return the sessions of a server; the cookie is `Secure` unless its public address is HTTP on loopback."""
        public = urlsplit(settings.lead_server_external_url)
        plain = public.scheme == "http" and is_loopback(public.hostname or "")
        secret = f"{settings.twilio_auth_token}\0{settings.api_token or ''}"
        return cls(hmac.digest(secret.encode(), b"switchboard console", "sha256"), secure=not plain)

    @property
    def cookie(self) -> str:
        """The name of the cookie; browsers keep other hosts from setting one with the prefix."""
        return "__Host-switchboard" if self.secure else "switchboard"

    def issue(self) -> str:
        stamped = f"{secrets.token_urlsafe(18)}.{int(self.now())}"
        return f"{stamped}.{self._signed('session', stamped)}"

    def read(self, value: str) -> OperatorSession | None:
        """Return the session of a cookie's value; None if it is not ours, or too old.

        One of a while ahead may be another worker's, or of before our clock was set back.
        """
        stamped, _, signature = value.rpartition(".")
        session_id, _, issued = stamped.partition(".")
        is_ours = hmac.compare_digest(signature.encode(), self._signed("session", stamped).encode())
        if len(value) > _LONGEST_COOKIE or not is_ours or abs(self.now() - int(issued)) >= LIFETIME:
            return None
        return OperatorSession(session_id, self._signed("csrf", session_id))

    def of_header(self, cookies: str) -> OperatorSession | None:
        """Return the session that a `Cookie` header shows: for a WebSocket, which is no request of the framework's."""
        return self.read(parse_cookie(cookies).get(self.cookie, ""))

    def put(self, response: Response, value: str) -> None:
        """Have the browser keep a session; an empty value ends it."""
        response.set_cookie(
            self.cookie,
            value,
            max_age=LIFETIME if value else 0,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="Strict",
        )

    def _signed(self, what: str, text: str) -> str:
        return hmac.new(self.key, f"{what}\0{text}".encode(), sha256).hexdigest()


def current_session() -> OperatorSession:
    """Return the session of the request under way; the gate lets no console request in without one."""
    session: OperatorSession = g.console_session
    return session


def is_own_request(headers: Mapping[str, str] | Headers, host: str, public: str = "") -> bool:
    """Tell whether a browser says that one of our own pages, or its address bar, asks; a program says nothing.

    A page is ours if it is at `host`, the request's own, or at the `public` origin: a proxy may write its own name, or
    the address of this server, into the Host header.
    """
    site, origin = headers.get("sec-fetch-site", "none"), headers.get("origin")
    if site not in {"none", "same-origin"}:
        return False
    if origin is None or (public and origin == _as_browsers_write(public)):
        return True
    return bool(host) and origin.partition("://")[2] == host  # an origin has nothing behind its host and port


def _as_browsers_write(origin: str) -> str:
    """Return an origin as a browser's header has it: in small letters, and without the port of its scheme."""
    url = urlsplit(origin.lower())
    return f"{url.scheme}://{url.netloc.removesuffix(':443' if url.scheme == 'https' else ':80')}"


def local_path(wanted: str) -> str:
    """Return an address of ours to go to after signing in: a path, or the list of calls for anything else."""
    is_path = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if is_path else "/"


def _wants_page() -> bool:
    """Tell whether a browser asks for a page, and not a module of one."""
    return "text/html" in request.headers.get("accept", "")


@attrs.frozen
class SignInCheck:
    """Lets signed-in operators in; everyone else gets the form."""

    context: AppContext
    sessions: Sessions

    def is_own(self, headers: Mapping[str, str] | Headers, host: str) -> bool:
        return is_own_request(headers, host, self.context.settings.lead_server_external_url)

    async def refuse_unauthenticated(self) -> ResponseReturnValue | None:
        """Answer 401 without a session, 403 to a change without its CSRF token; note the session otherwise."""
        if request.endpoint in OPEN:
            return None
        session = self.sessions.read(request.cookies.get(self.sessions.cookie, ""))
        if self.context.settings.api_token is None:
            session = self._of_this_machine(session)
        if session is None:
            return await self._refuse()
        g.console_session = session
        vouch(request.scope)
        if request.method in _CHANGING and not await self._shows_csrf(session):
            self.context.counts.refused("no_csrf")
            if _wants_page():
                return await message_page(403, TEXT["stale"], TEXT["stale_hint"])
            return problem(403, "the request shows no CSRF token", fix="Reload the page and try again.")
        return None

    def _of_this_machine(self, session: OperatorSession | None) -> OperatorSession | None:
        """Return the session where there is no token; a browser on this machine that has none gets one."""
        if not is_here(request.scope) or not self.is_own(request.headers, request.host):
            return None
        if session is None and request.method not in _CHANGING:
            g.console_cookie = self.sessions.issue()
            session = self.sessions.read(g.console_cookie)
        return session

    async def _shows_csrf(self, session: OperatorSession) -> bool:
        given = request.headers.get(CSRF_HEADER) or (await request.form).get(CSRF_FIELD, "")
        return is_token(given, session.csrf)

    async def _refuse(self) -> Response:
        self.context.counts.refused("no_session")
        if not _wants_page():
            answer = problem(401, "not signed in", fix="Sign in at /console/sign-in.")
            if self.context.settings.api_token is None and not self.is_own(request.headers, request.host):
                answer = problem(401, PHONE_TOLD["other_address"], word="other_address", fix=_OPEN_IT_THERE)
            return self.context.rate_limits.answer(answer)
        page_of_form = "/" + "".join((request.referrer or "").split("/", 3)[3:])
        wanted = request.full_path.rstrip("?") if request.method == "GET" else page_of_form
        is_undone = request.method in _CHANGING and request.endpoint != "console.sign_out"
        return self.context.rate_limits.answer(await self._form(401, wanted, TEXT["signed_out"] if is_undone else ""))

    async def _form(self, status: int, wanted: str, told: str = "") -> Response:
        needs_token = self.context.settings.api_token is not None
        page = await render("sign_in.html", wanted=local_path(wanted), alert=told, needs_token=needs_token)
        return Response(page, status)

    async def sign_in(self) -> ResponseReturnValue:
        expected = self.context.settings.api_token
        if request.method != "POST":
            return await self._form(200, request.args.get("next", "/"))
        form = await request.form
        wanted = local_path(form.get("next", "/"))
        own, knows = self.is_own(request.headers, request.host), is_token(form.get("token", "").strip(), expected or "")
        if knows and not own:
            _log.warning("sign_in_refused", why="asked for by a page at another address", fix=_OPEN_IT_THERE)
        if expected is None or not own or not knows:
            self.context.counts.refused("no_token")
            told = PHONE_TOLD["other_address"] if knows else TEXT["token_wrong"]
            return self.context.rate_limits.answer(await self._form(401, wanted, told if expected else ""))
        vouch(request.scope)
        response = Response("", 303, headers={"Location": wanted})
        self.sessions.put(response, self.sessions.issue())
        return response

    async def sign_out(self) -> ResponseReturnValue:
        response = Response("", 303, headers={"Location": "/console/sign-in"})
        self.sessions.put(response, "")
        return response

    async def dress(self, response: Response) -> Response:
        for name, value in PAGE_HEADERS.items():
            response.headers.setdefault(name, value)
        if "console_cookie" in g:
            self.sessions.put(response, g.console_cookie)
        return response
