"""Browsers at the console, and the table of its routes with what each answers to whom."""

import re
from collections.abc import Mapping
from typing import TypeAlias

import attrs
import httpx

from actors.commands import KINDS
from tests.web.fakes import CALL_SID, ORIGIN, Exchange
from web.console.session import CSRF_FIELD, Sessions

Row: TypeAlias = tuple[int, int, int, int]
"""The status without a cookie, with a wrong one, with the right one and no CSRF token, and with both."""

CONSOLE: Mapping[tuple[str, str], Row] = {
    ("GET", "/"): (401, 401, 200, 200),
    ("GET", "/console/live"): (401, 401, 200, 200),
    ("GET", "/console/calls/<name>"): (401, 401, 200, 200),
    ("GET", "/console/calls/<name>/record.json"): (401, 401, 200, 200),
    ("GET", "/console/calls/<name>/recording"): (401, 401, 404, 404),
    ("GET", "/console/calls/<name>/timeline.svg"): (401, 401, 404, 404),
    ("GET", "/console/calls/<name>/journal"): (401, 401, 404, 404),
    ("GET", "/console/calls/<name>/events"): (401, 401, 404, 404),
    ("GET", "/console/calls/<name>/audio"): (401, 401, 404, 404),
    ("GET", "/console/calls/<name>/tasks"): (401, 401, 404, 404),
    ("POST", "/console/calls/<name>/erase"): (401, 401, 403, 303),
    **{("POST", f"/console/calls/<name>/{command}"): (401, 401, 403, 400) for command in KINDS},
    ("POST", "/console/calls/<name>/hang-up"): (401, 401, 403, 202),
    ("GET", "/console"): (401, 401, 302, 302),
    ("GET", "/console/"): (401, 401, 302, 302),
    ("GET", "/console/<path:anything>"): (401, 401, 404, 404),
    ("GET", "/console/campaigns"): (401, 401, 200, 200),
    ("GET", "/console/campaigns/<campaign>/export"): (401, 401, 404, 404),
    **{
        ("POST", f"/console/campaigns/<campaign>/{command}"): (401, 401, 403, 404)
        for command in ("pause", "resume", "cancel")
    },
    ("GET", "/console/sign-in"): (200, 200, 200, 200),
    ("POST", "/console/sign-in"): (401, 401, 401, 401),
    ("POST", "/console/sign-out"): (401, 401, 403, 303),
    ("GET", "/console/phone"): (401, 401, 200, 200),
    ("POST", "/console/phone/token"): (401, 401, 403, 200),
    ("POST", "/console/phone/say"): (401, 401, 403, 404),
    ("POST", "/console/calls/<name>/phone"): (401, 401, 403, 409),
    ("GET", "/console/static/<path:filename>"): (200, 200, 200, 200),
}


def target_of(rule: str) -> str:
    """Fill in what a rule leaves open."""
    path = rule.replace("<path:filename>", "console.css").replace("<path:anything>", "nothing")
    return path.replace("<name>", CALL_SID).replace("<campaign>", "spring")


@attrs.define
class Visitor:
    """One browser: its cookies, and the CSRF token of the last page that it has read."""

    there: Exchange
    cookies: dict[str, str] = attrs.field(factory=dict)
    origin: str = ORIGIN
    headers: dict[str, str] = attrs.field(factory=lambda: {"Accept": "text/html"})
    csrf: str = ""

    def client(self) -> httpx.AsyncClient:
        """A client with the cookies of this browser; a proxy in front has taken the TLS off."""
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        transport = httpx.ASGITransport(app=self.there.app)  # type: ignore[arg-type]
        given = {**self.headers, **({"Cookie": jar} if jar else {})}
        return httpx.AsyncClient(transport=transport, base_url=self.origin, headers=given)

    async def ask(self, method: str, target: str, **form: str) -> httpx.Response:
        """Send a request, and take what comes with the answer."""
        async with self.client() as client:
            answer = await client.request(method, target, data=form or None)
        for cookie in answer.headers.get_list("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        self.csrf = found.group(1) if found else self.csrf
        return answer

    async def send(self, target: str, **form: str) -> httpx.Response:
        """Send a form of a page that has been read."""
        return await self.ask("POST", target, **{CSRF_FIELD: self.csrf, **form})


def signed_in(there: Exchange) -> Visitor:
    """A browser that has signed in some time ago."""
    sessions = Sessions.of(there.settings)
    value = sessions.issue()
    session = sessions.read(value)
    assert session is not None
    return Visitor(there, {sessions.cookie: value}, csrf=session.csrf)
