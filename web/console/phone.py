"""The browser's phone: its page, the token of a call, and who may open a stream at `/phone`.

A page is a caller like any other: it speaks Media Streams, so `TwilioBridge` does not know the difference, and it has
the same limits. Before each call the page asks for a token, which opens one stream of one call, for the session that
asked, within a minute, and is refused while every line is taken. `PhoneRoutes` hangs below the console's blueprint,
whose gate has let the request in; the stream comes past `web.media`, which asks `admits`.

`voice` is there where nobody has a microphone because the services are simulated (`switchboard talk` without a key):
it says what a visitor types, and the page plays that down the line.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs
import structlog
from hypercorn.typing import WebsocketScope
from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from web.calls.admission import Admission, NotAdmitted
from web.calls.context import AppContext
from web.calls.live_calls import PAGE_CALLER
from web.calls.returning import ARRIVAL_SECONDS
from web.console.rendering import OPERATE, PHONE_KEYS, PHONE_TOLD, render
from web.console.session import SignInCheck, current_session
from web.routes.credentials import is_here
from web.routes.problems import json_answer, problem
from web.sockets.asgi_events import headers_of

PHONE_STREAM = "/phone"
PAGE_ACCOUNT = "AC" + "0" * 32
LONGEST_TYPED = 300

_log = structlog.stdlib.get_logger()


def new_admission(visitor: str, takes_over: str = "") -> Admission:
    """Return what is known of a new stream from the page of this visitor: a call, or the operator's side of one."""
    call_sid = f"CA{secrets.token_hex(16)}"
    return Admission(call_sid, "inbound", PAGE_CALLER, "", key=call_sid, visitor=visitor, takes_over=takes_over)


class SpeechFailed(Exception):
    """A sentence cannot be said; the message says why."""


class CallerVoice(Protocol):
    """Says what a visitor types."""

    @property
    def lines(self) -> Sequence[str]:
        """Sentences that the simulated agents expect, in the order of their conversation."""
        ...

    async def say(self, text: str) -> bytes:
        """Return a sentence as telephone audio. Raises: `SpeechFailed`."""
        ...


@attrs.frozen
class PhoneRoutes:
    context: AppContext
    gate: SignInCheck
    voice: CallerVoice | None = None

    def add_to(self, routes: Blueprint) -> None:
        routes.get("/console/phone")(self.page)
        routes.post("/console/phone/token")(self.token)
        routes.post("/console/phone/say")(self.say)
        routes.post("/console/calls/<name>/phone")(self.take_over)

    def admits(self, scope: WebsocketScope) -> str | NotAdmitted:
        """Say which session's page asks for a stream, or why it gets none."""
        headers = headers_of(scope)
        refusal = self._why_refused(scope, headers)
        session = self.gate.sessions.of_header(headers.get("cookie", ""))
        if not refusal and session is not None:
            return session.id
        self.context.counts.refused("no_session")
        return NotAdmitted(refusal or "no session of the console")

    def _why_refused(self, scope: WebsocketScope, headers: Mapping[str, str]) -> str:
        if not self.gate.is_own(headers, headers.get("host", "")):
            return "asked for by a page of another site"
        if self.context.settings.api_token is None and not is_here(scope):
            return "without an API_TOKEN, only this machine is served"
        return ""

    async def page(self) -> ResponseReturnValue:
        lines = tuple(dict.fromkeys(self.voice.lines)) if self.voice is not None else None
        return await render("phone.html", key_names=PHONE_KEYS, lines=lines, longest=LONGEST_TYPED, stream=PHONE_STREAM)

    async def token(self) -> Response:
        """Give what a call starts with: its ids, and the token that lets it in once."""
        slots, admission = self.context.slots, new_admission(current_session().id)
        if not slots.reserve(admission.key, ARRIVAL_SECONDS):
            why = "draining" if slots.draining else "full"
            self.context.counts.refused(why)
            return problem(503, PHONE_TOLD[why], word=why, fix="Try again later.")
        return await self._ticket(admission)

    async def take_over(self, name: str) -> Response:
        """Give what the page's phone takes a call over with, that this worker carries: ids, and a token, once."""
        known = self.context.live_calls.find(name)
        call_sid = known.call_sid or known.id if known is not None else name
        watched = self.context.watched.find(call_sid)
        if watched is None or watched.now is None:
            return await self._not_here(call_sid)
        return await self._ticket(new_admission(current_session().id, takes_over=call_sid))

    async def _not_here(self, call_sid: str) -> Response:
        """Say who carries a call: the operator's audio goes to no other worker."""
        call = await self.context.fleet.find(call_sid)
        if call is None or call.worker == self.context.fleet.worker:
            return problem(409, OPERATE["not_here"], word="not_here", fix="Ask while the call is with an agent.")
        told, fix = f"worker {call.worker} carries this call", OPERATE["elsewhere"]
        return problem(409, told, word="elsewhere", worker=call.worker, fix=fix)

    async def _ticket(self, admission: Admission) -> Response:
        token = await self.context.admissions.mint(admission)
        ids = {"accountSid": PAGE_ACCOUNT, "callSid": admission.call_sid, "streamSid": f"MZ{secrets.token_hex(16)}"}
        return json_answer({**ids, "token": token})

    async def say(self) -> Response:
        """Say a sentence in the caller's voice: µ-law, 8,000 bytes a second."""
        if self.voice is None:
            return problem(404, "nothing is typed on this phone", fix="Speak into the microphone.")
        given = await request.get_json(silent=True)
        text = given.get("text") if isinstance(given, dict) else None
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_TYPED:
            fix = f'Send {{"text": "…"}}, with 1 to {LONGEST_TYPED} characters.'
            return problem(400, PHONE_TOLD["cannot_say"], word="cannot_say", field="text", fix=fix)
        try:
            audio = await self.voice.say(" ".join(text.split()))
        except SpeechFailed as exc:
            _log.error("sentence_not_said", why=str(exc))
            return problem(502, PHONE_TOLD["cannot_say"], word="cannot_say", fix=str(exc))
        return Response(audio, mimetype="audio/basic")
