"""Our number at Twilio: place a call, hang one up, send one elsewhere, look calls up, by its REST API.

`TwilioLine` says it in the parameters of the API. A call that is over already is no error to those who want it over.
`TwilioApi` sends one request, over the httpx client of the server, with its deadline. A request is repeated only when
Twilio says it never looked at it (429), for there is no idempotency key and a second call to the same person cannot be
taken back. Everything Twilio refuses becomes `LineError`, with its code and what to do about it.

The official SDK is the oracle of the tests. It is not used here: it needs 90 modules and 12 MB for five requests, and
its asynchronous client needs asyncio.
"""

import random
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeAlias

import attrs
import httpx
import structlog
import trio

from actors.call_services import PhoneLine
from web.clients.http import retry_after

MOST_LISTED = 20
OVER_ALREADY = frozenset({21220, 20404})
"""Not in progress; no such call (any more). https://www.twilio.com/docs/api/errors/21220, .../20404"""

_log = structlog.stdlib.get_logger()


CALL_SID = r"CA[0-9a-fA-F]{32}"
"""What the id of a call looks like."""
ATTEMPTS = 4
LONGEST_PAUSE = 5.0
Form: TypeAlias = Mapping[str, str | Sequence[str]]
Resource: TypeAlias = Mapping[str, Any]
"""A resource as Twilio's OpenAPI document has it: a JSON object."""

_FIXES: Mapping[int, str] = {
    20003: "Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and its secret if they are set (and"
    " TWILIO_API_URL, if the account is in another region).",
    **dict.fromkeys((10001, 20005, 90010), "The account is not active: see its balance and its status at Twilio."),
    10004: "The account's limit of concurrent calls is reached; wait, or raise it in the Twilio console.",
    21205: "LEAD_SERVER_EXTERNAL_URL must be an address that Twilio can reach.",
    21210: "TWILIO_PHONE_NUMBER must be a number of this account, or a verified caller id.",
    21211: "Give the number to call in E.164, and not our own.",
    21212: "TWILIO_PHONE_NUMBER is not usable as a caller id.",
    21214: "This number cannot be reached.",
    21215: "Enable the country under Voice > Geographic permissions in the Twilio console.",
    21216: "Twilio blocks this call; the account may need an approved customer profile.",
    21217: "Check the number to call: it does not look like one.",
    21219: "A trial account can only call verified numbers.",
}


class LineError(Exception):
    """Twilio did not do what it was asked; `code` is Twilio's (0 when it did not answer)."""

    def __init__(self, reason: str, *, code: int = 0, fix: str = "", maybe_done: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.fix = fix
        self.maybe_done = maybe_done


@attrs.frozen
class TwilioApi:
    """The resources of one account. Paths are below it: `/Calls.json`.

    Each request raises `LineError`; when it is `maybe_done`, Twilio may have done what a POST asked.
    """

    account_sid: str
    credentials: tuple[str, str] = attrs.field(repr=False)
    """The account and its auth token, or the SID of an API key and its secret."""
    url: str
    http: httpx.AsyncClient
    rng: random.Random = attrs.field(factory=random.Random)

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Resource:
        return _object(await self._ask(self._request("GET", path, params=query)))

    async def get_dated(self, path: str, query: Mapping[str, str | int]) -> tuple[Resource, datetime]:
        """Return a resource, and the time by the clock of Twilio, where all its times are from; by ours without it."""
        response = await self._ask(self._request("GET", path, params=query))
        try:
            now = parsedate_to_datetime(response.headers["date"])
        except (KeyError, ValueError):  # it says none
            now = datetime.now(UTC)
        return _object(response), now

    async def post(self, path: str, form: Form, *, may_repeat: bool = False) -> Resource:
        """Make or change a resource; return it. One that `may_repeat` is never `maybe_done`: asking again is safe."""
        writes = not may_repeat
        return _object(await self._ask(self._request("POST", path, form=form), writes=writes), writes=writes)

    def _request(
        self, method: str, path: str, *, params: Mapping[str, str | int] | None = None, form: Form | None = None
    ) -> httpx.Request:
        url = f"{self.url}/2010-04-01/Accounts/{self.account_sid}{path}"
        return self.http.build_request(method, url, params=params, data=form)

    async def _ask(self, request: httpx.Request, *, writes: bool = False) -> httpx.Response:
        try:
            response = await self._send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as exc:
            raise LineError("Twilio cannot be reached", fix="Check the network and TWILIO_API_URL.") from exc
        except httpx.HTTPError as exc:
            raise LineError(f"Twilio did not answer ({type(exc).__name__})", maybe_done=writes) from exc
        if not response.is_success:
            raise refusal_of(response, writes=writes)
        return response

    async def _send(self, request: httpx.Request) -> httpx.Response:
        auth = httpx.BasicAuth(*self.credentials)
        response = await self.http.send(request, auth=auth)
        for attempt in range(1, ATTEMPTS):
            if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            await trio.sleep(self._pause(response, attempt))
            response = await self.http.send(request, auth=auth)
        response.stream = httpx.ByteStream(b"")  # it was read; httpx's own holds the answer, which holds it
        return response

    def _pause(self, response: httpx.Response, attempt: int) -> float:
        asked = retry_after(response)
        return self.rng.uniform(0, 0.25 * 2**attempt) if asked is None else min(asked, LONGEST_PAUSE)


def _object(response: httpx.Response, *, writes: bool = False) -> Resource:
    try:
        found = response.json()
    except ValueError as exc:
        raise LineError("Twilio answered with something that is not JSON", maybe_done=writes) from exc
    if not isinstance(found, dict):
        raise LineError("Twilio answered with JSON that is no object", maybe_done=writes)
    return found


def refusal_of(response: httpx.Response, *, writes: bool) -> LineError:
    """Return what an answer that is no success says, in Twilio's older form (`message`) or as RFC 9457 has it."""
    status = response.status_code
    try:
        told = response.json()
    except ValueError:
        told = None
    fields = told if isinstance(told, dict) else {}
    code = fields.get("code")
    code = code if isinstance(code, int) else status
    said = fields.get("message") or fields.get("detail") or fields.get("title")
    reason = str(said) if said else f"Twilio answered HTTP {status}"
    return LineError(reason, code=code, fix=_FIXES.get(code, ""), maybe_done=writes and status >= 500)


@attrs.frozen
class CallOptions:
    """Options of a placed call: machine detection, longest duration (seconds), recording at Twilio."""

    detects_machines: bool = True
    time_limit: int | None = None
    records: bool = False

    def parameters(self, origin: str) -> dict[str, str]:
        chosen: dict[str, str] = {}
        if self.detects_machines:
            chosen |= {
                "MachineDetection": "Enable",
                "AsyncAmd": "true",
                "AsyncAmdStatusCallback": f"{origin}/twilio/amd",
            }
        if self.time_limit is not None:
            chosen["TimeLimit"] = str(self.time_limit)
        if self.records:
            chosen |= {"Record": "true", "RecordingChannels": "dual"}
        return chosen


PLAIN_CALL = CallOptions()


class Line(PhoneLine, Protocol):
    """The telephone network, as routes and calls use it."""

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        """Call somebody; return the CallSid."""
        ...

    async def calls_to(self, to: str, seconds: float) -> Sequence[str]:
        """Return the CallSids of the calls from our number to somebody that were made in the last so many seconds."""
        ...

    async def status_of(self, call_sid: str) -> str | None:
        """Return how a call goes, in Twilio's words; None when there is no such call."""
        ...


async def ask_status(line: Line, call_sid: str) -> str | None:
    """Return how a call goes, in Twilio's words; None when there is no such call, "" when Twilio cannot say so now."""
    try:
        return await line.status_of(call_sid)
    except LineError as exc:
        _log.warning("status_not_known", call_sid=call_sid, why=exc.reason, code=exc.code)
        return ""


@attrs.frozen
class TwilioLine:
    """Our number at Twilio. Every method raises `LineError`."""

    number: str
    origin: str
    api: TwilioApi

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        """Call `to` from our number; Twilio's requests about this call carry `order`. Return the CallSid.

        When the `LineError` is `maybe_done`, the call may ring all the same, and must not be placed again.
        """
        form = {
            "To": to,
            "From": self.number,
            "Url": f"{self.origin}/twilio/voice?order={order}",
            "StatusCallback": f"{self.origin}/twilio/status?order={order}",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            **options.parameters(self.origin),
        }
        call_sid = _sid_of(await self.api.post("/Calls.json", form))
        if not call_sid:
            raise LineError("Twilio placed a call and gave it no CallSid", maybe_done=True)
        return call_sid

    async def calls_to(self, to: str, seconds: float) -> Sequence[str]:
        query: dict[str, str | int] = {"To": to, "From": self.number, "PageSize": MOST_LISTED}
        page, now = await self.api.get_dated("/Calls.json", query)
        calls = page.get("calls")
        if not isinstance(calls, list) or not all(map(_sid_of, calls)):
            raise LineError("Twilio answered with something that is no list of calls")
        return [_sid_of(call) for call in calls if _is_made_since(call, now - timedelta(seconds=seconds))]

    async def hang_up(self, call_sid: str) -> None:
        await self._update(call_sid, {"Status": "completed"})

    async def redirect(self, call_sid: str, twiml: str) -> None:
        await self._update(call_sid, {"Twiml": twiml})

    async def status_of(self, call_sid: str) -> str | None:
        try:
            call = await self.api.get(f"/Calls/{call_sid}.json")
        except LineError as exc:
            if exc.code not in OVER_ALREADY:
                raise
            return None
        if not isinstance(status := call.get("status"), str):
            raise LineError("Twilio answered with something that is no call")
        return status

    async def _update(self, call_sid: str, change: Mapping[str, str]) -> None:
        try:
            await self.api.post(f"/Calls/{call_sid}.json", change, may_repeat=True)
        except LineError as exc:
            if exc.code not in OVER_ALREADY:
                raise
            _log.info("call_over_already", call_sid=call_sid)


def _sid_of(call: object) -> str:
    """Return the id of a call; empty where what Twilio gave is none."""
    sid = call.get("sid") if isinstance(call, dict) else None
    return sid if isinstance(sid, str) and re.fullmatch(CALL_SID, sid) else ""


def _is_made_since(call: Resource, since: datetime) -> bool:
    """Tell whether a call was made since then; one whose time is not told may have been."""
    try:
        return parsedate_to_datetime(str(call.get("date_created"))) >= since
    except (TypeError, ValueError):
        return True
