"""Tokens of media streams: minted for one call when Twilio asks what to do, redeemed once when its stream starts.

A signed upgrade proves that it is Twilio, not that it is this call now: a signature has no time in it and can be
replayed. So the TwiML carries a token; it opens one stream, of the one CallSid of the signed webhook, within a minute.
What a stream needs to know of its call (who called whom, what is known of the lead) is kept here and travels neither
in the TwiML nor in a URL. `redeem` answers a refusal as a value; it never raises for what the other side sent.
"""

import hmac
import re
import secrets
import time
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping, Sequence
from enum import Enum

import attrs
import orjson
from werkzeug.datastructures import MultiDict

from protocol.fields import json_or
from protocol.phone_numbers import identity_of
from store.json_text import known_fields
from store.tokens import TokenStore
from web.calls.live_calls import KnownCall, wall_time

TOKEN_SECONDS = 60.0
LONGEST_TALK = 4 * 3600.0
"""Twilio ends a call after four hours: https://www.twilio.com/docs/voice/api/call-resource#timelimit."""
NEWS_SECONDS = 60.0
"""For a worker to find what another one has heard of its call: it looks every few seconds."""
KEPT_SECONDS = 120.0
"""From the redirect to the last thing that the person may ask for."""
BACK_SECONDS = 20.0
"""For a call that is given back to have its next stream."""
MOST_STREAM_ERRORS = 20


class CallText(Enum):
    """A text about a call that one request leaves for another one, on whichever worker, and for how many seconds."""

    STREAMED = "streamed", LONGEST_TALK
    """The call has had its stream."""
    STREAM_ERRORS = "stream-errors", LONGEST_TALK
    VERDICT = "verdict", NEWS_SECONDS
    """Twilio's `AnsweredBy`, which is the text."""
    RESUMED = "resumed-by", NEWS_SECONDS
    """The call has come back to one of our workers; the text is its `Admissions.worker`."""
    OVER = "over", NEWS_SECONDS
    """The call does not come back."""
    ENDED = "ended", LONGEST_TALK
    """Twilio has said that the call is over."""
    ENDED_BY = "ended-by", NEWS_SECONDS
    """How the call has ended, for webhooks that only say that it is over."""
    TRANSFER = "transfer", KEPT_SECONDS
    """The document that puts the call through."""
    WHISPER = "whisper", KEPT_SECONDS
    """What the person hears first."""
    PICKED_UP = "picked-up", LONGEST_TALK
    """The person's phone was picked up, and they were asked for the key."""
    PERSON = "person", LONGEST_TALK
    """The person has taken the call; the text says when."""
    TAKE_OVER = "take-over", LONGEST_TALK
    """An operator has taken the call over: it comes back."""
    GIVE_BACK = "give-back", BACK_SECONDS
    """The document that connects a call again which an operator gives back."""

    def __init__(self, title: str, seconds: float) -> None:
        self.title = title
        self.seconds = seconds

    def of(self, call_sid: str) -> str:
        return f"{self.title} {call_sid}"


PAST = (CallText.STREAMED, CallText.ENDED)
"""What says that a call has been here before."""


@attrs.frozen
class Admission:
    """A call whose stream may start, as far as it is known."""

    call_sid: str
    direction: str
    caller: str
    line: str
    key: str
    context: Mapping[str, str] = attrs.field(factory=dict)
    voicemail: str | None = None
    """What an answering machine is told; None is as the settings say, and "" hangs up on it."""
    time_limit: int | None = None
    agents: str = ""
    metadata: Mapping[str, object] = attrs.field(factory=dict[str, object])
    resumes: bool = False
    """Whether the call goes on from its record."""
    again: bool = False
    """Whether its stream takes the place of a lost one."""
    unreached: str = ""
    """Why the person did not take the transferred call, in Twilio's words."""
    given_back: bool = False
    """Whether an operator who had taken the call over gives it back …"""
    give_back: Sequence[str] = ()
    """… and the command that does it, if one does: its id, and who has asked."""
    takes_over: str = ""
    """The call that an operator takes over with this stream, which is no call of its own."""
    visitor: str = ""
    """The session of the visitor from whose page the call comes; empty for a call from Twilio."""
    came_at: str = attrs.field(default="", eq=False)
    """When its webhook came."""

    def known(self, status: str) -> KnownCall:
        """Return the call, as the worker notes it that is the first to hear of it."""
        return KnownCall(self.key, self.direction, self.caller, self.line, status, self.call_sid)


def arrival_of(form: MultiDict[str, str], order: str) -> Admission:
    """Read caller and callee from a signed webhook. The key is the one of its reservation, if there is one."""
    outbound = form.get("Direction", "inbound").startswith("outbound")
    ours, theirs = ("From", "To") if outbound else ("To", "From")
    call_sid = form.get("CallSid", "")
    return Admission(
        call_sid=call_sid,
        direction="outbound" if outbound else "inbound",
        caller=identity_of(form.get(theirs, "")),
        line=identity_of(form.get(ours, "")),
        key=order if outbound and order else call_sid,
        came_at=wall_time(),
    )


_CLAIMS = re.compile(r"parentCallInfoToken[^.]*\.([\w-]+)\.")
"""The payload of the JWT in a `CallToken`, which is JSON, percent-encoded."""


def is_of_earlier(form: Mapping[str, str]) -> bool:
    """Tell whether a call that rings, by a signed webhook, came in longer ago than a call lasts.

    Its `CallToken` says when, where Twilio sends one: `{"callSid": "CA…", "from": …, "to": …, "iat": "1661176204"}`, as
    in captures. The format is not documented: a token of another one tells nothing.
    """
    found = _CLAIMS.search(form.get("CallToken", ""))
    try:
        claims = json_or(urlsafe_b64decode(f"{found[1]}=="), {}) if found else {}
        return claims["callSid"] == form["CallSid"] and float(claims["iat"]) < time.time() - LONGEST_TALK
    except (ValueError, TypeError, KeyError):
        return False


@attrs.frozen
class NotAdmitted:
    """A stream may not start, and why; `fix` says what an operator can do about it."""

    why: str
    fix: str = ""


@attrs.frozen
class CallTexts:
    """The texts about calls that go on: what cannot be looked up now is not there."""

    tokens: TokenStore

    async def put(self, call_sid: str, what: CallText, text: str = "") -> None:
        await self.tokens.put(what.of(call_sid), text.encode(), what.seconds)

    async def drop(self, call_sid: str, what: CallText) -> bool:
        """Forget a text; whether it was there."""
        return await self.tokens.drop(what.of(call_sid)) is not None

    async def peek(self, call_sid: str, what: CallText) -> str | None:
        return (await self.told(what, [call_sid])).get(call_sid)

    async def texts_of(self, call_sid: str) -> Collection[CallText]:
        """Return which of the texts there is that say what has been of a call."""
        names = {what.of(call_sid): what for what in PAST}
        return {names[name] for name in await self.tokens.peek_all([*names])}

    async def told(self, what: CallText, call_sids: Sequence[str]) -> Mapping[str, str]:
        """Return the texts of those calls of which there is such a one."""
        names = {call_sid: what.of(call_sid) for call_sid in call_sids}
        kept = await self.tokens.peek_all([*names.values()])
        return {call_sid: kept[name].decode() for call_sid, name in names.items() if name in kept}


@attrs.frozen
class Admissions(CallTexts):
    """Mints and redeems the tokens of media streams."""

    worker: str = attrs.field(factory=lambda: secrets.token_hex(8), init=False)
    """A name of this process in such texts."""

    async def mint(self, admission: Admission, unless: Sequence[CallText] = ()) -> str:
        """Return a new token that admits this call's stream, once, within `TOKEN_SECONDS`.

        Empty: there is none, since there is one of the texts `unless` about the call.
        """
        token, others = secrets.token_urlsafe(32), [what.of(admission.call_sid) for what in unless]
        content = orjson.dumps(attrs.asdict(admission, recurse=False))
        return token if await self.tokens.put(f"token {token}", content, TOKEN_SECONDS, others, has_copy=True) else ""

    async def withdraw(self, token: str) -> None:
        """Admit nobody with a token, and note no call that did not come."""
        await self.tokens.drop(f"token {token}")

    async def redeem(self, token: str, call_sid: str, visitor: str = "") -> Admission | NotAdmitted:
        """Use a token up, whether or not it turns out to be this call's, and this visitor's.

        From then on all workers know that this call of Twilio's has had its stream.
        """
        if not token:
            return NotAdmitted("no token")
        name, streamed = f"token {token}", CallText.STREAMED.of(call_sid)
        try:
            kept = await (self.tokens.take(name) if visitor else self.tokens.exchange(name, streamed, LONGEST_TALK))
        except OSError as exc:
            return NotAdmitted(f"its token cannot be looked up now: {exc}")
        if kept is None:
            return NotAdmitted("unknown, used or expired token")
        admission = known_fields(Admission, orjson.loads(kept))
        if not hmac.compare_digest(admission.call_sid.encode(), call_sid.encode()):
            return NotAdmitted("token of another call")
        if not hmac.compare_digest(admission.visitor.encode(), visitor.encode()):
            return NotAdmitted("token of another visitor")
        return admission

    async def note_stream_error(self, call_sid: str, stream_sid: str, why: str) -> bool:
        """Keep what went wrong with a stream of a call; False if that is known (Twilio may repeat a webhook)."""
        known = await self._stream_errors(call_sid)
        if [stream_sid, why] in known:
            return False
        errors = orjson.dumps([*known, [stream_sid, why]][-MOST_STREAM_ERRORS:])
        await self.put(call_sid, CallText.STREAM_ERRORS, errors.decode())
        return True

    async def stream_errors(self, call_sid: str) -> tuple[str, ...]:
        return tuple(why for _, why in await self._stream_errors(call_sid))

    async def _stream_errors(self, call_sid: str) -> list[list[str]]:
        errors: list[list[str]] = orjson.loads(await self.peek(call_sid, CallText.STREAM_ERRORS) or "[]")
        return errors

    async def is_streamed(self, call_sid: str, *, if_unknown: bool = False) -> bool:
        """Whether a call of ours has had its stream; `if_unknown` where that cannot be looked up now."""
        return await self.tokens.peek(CallText.STREAMED.of(call_sid), b"" if if_unknown else None) is not None
