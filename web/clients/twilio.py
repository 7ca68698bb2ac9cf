"""Client for Twilio's REST API: place a call, hang one up, send one elsewhere.

`TwilioLine` speaks through the official SDK on a small httpx transport, because the SDK's own asynchronous client
needs asyncio. It owns no connection: the httpx client is the server's. A request is repeated only when Twilio says it
never looked at it (429), for there is no idempotency key and a second call to the same person cannot be taken back.
Everything Twilio refuses becomes `LineError`, with its code and what to do about it.
"""

import logging
import random
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, cast

import attrs
import httpx
import structlog
import trio
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from actors.errors import CallError

ATTEMPTS = 4
MOST_LISTED = 20
LONGEST_PAUSE = 5.0
OVER_ALREADY = frozenset({21220, 20404})
"""Not in progress; no such call (any more). https://www.twilio.com/docs/api/errors/21220, .../20404"""

_FIXES: Mapping[int, str] = {
    20003: "Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN (and TWILIO_API_URL, if the account is in another region).",
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

_SDK_PREFIX = re.compile(r"^Unable to \w+ record: ")

_log = structlog.stdlib.get_logger()


class LineError(CallError):
    """Twilio did not do what it was asked; `code` is Twilio's (0 when it did not answer)."""

    def __init__(self, reason: str, *, code: int = 0, fix: str = "", maybe_done: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.fix = fix
        self.maybe_done = maybe_done


@attrs.frozen
class CallOptions:
    """Options of a placed call: machine detection, longest duration (seconds), recording at Twilio."""

    detects_machines: bool = True
    time_limit: int | None = None
    records: bool = False

    def parameters(self, origin: str) -> dict[str, object]:
        """Return the SDK's names for them."""
        chosen: dict[str, object] = {}
        if self.detects_machines:
            chosen |= {
                "machine_detection": "Enable",
                "async_amd": "true",
                "async_amd_status_callback": f"{origin}/twilio/amd",
            }
        if self.time_limit is not None:
            chosen["time_limit"] = self.time_limit
        if self.records:
            chosen |= {"record": True, "recording_channels": "dual"}
        return chosen


PLAIN_CALL = CallOptions()


class Line(Protocol):
    """The telephone network, as routes and calls use it."""

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        """Call somebody; return the CallSid."""
        ...

    async def calls_to(self, to: str, since: datetime) -> Sequence[str]:
        """Return the CallSids of the calls from our number to somebody that were made since then."""
        ...

    async def hang_up(self, call_sid: str) -> None:
        """End a call; one that is over already is no error."""
        ...

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Give a live call a new TwiML document; one that is over already is no error."""
        ...

    async def status_of(self, call_sid: str) -> str | None:
        """Return how a call goes, in Twilio's words; None when there is no such call."""
        ...


class TwilioTransport(AsyncHttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's HTTP client, on httpx.

    Raises: `httpx.HTTPError` when Twilio cannot be reached or does not answer in time.
    """

    def __init__(self, client: httpx.AsyncClient, rng: random.Random) -> None:
        super().__init__(logging.getLogger("twilio"), True, None)
        self._client = client
        self._rng = rng

    async def request(  # noqa: PLR0917 - the SDK's signature
        self,
        method: str,
        uri: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the SDK never gives one; the httpx client has the deadline
        allow_redirects: bool = False,
    ) -> Response:
        """Send one request, again while Twilio answers 429."""
        form = cast("Mapping[str, str | list[str]] | None", data)
        query = cast("Mapping[str, str] | None", params)
        request = self._client.build_request(method, uri, params=query, data=form, headers=headers)
        response = await self._client.send(request, auth=auth, follow_redirects=allow_redirects)
        for attempt in range(1, ATTEMPTS):
            if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            await trio.sleep(self._pause(response, attempt))
            response = await self._client.send(request, auth=auth, follow_redirects=allow_redirects)
        return Response(response.status_code, response.text, response.headers)

    def _pause(self, response: httpx.Response, attempt: int) -> float:
        try:
            asked = float(response.headers.get("retry-after", ""))
        except ValueError:
            asked = self._rng.uniform(0, 0.25 * 2**attempt)
        return min(max(asked, 0.0), LONGEST_PAUSE)


def _code(exc: TwilioException) -> int:
    if isinstance(exc, TwilioRestException | TwilioServiceException):
        return int(exc.code or exc.status or 0)
    return 0


def _is_their_fault(exc: TwilioException) -> bool:
    """Tell whether Twilio failed, as HTTP has it: what was asked may have been done; its code may be any (20500)."""
    is_answer = isinstance(exc, TwilioRestException | TwilioServiceException)
    return is_answer and 500 <= int(exc.status or 0) < 600


def _reason(exc: TwilioException) -> str:
    if isinstance(exc, TwilioRestException):
        return _SDK_PREFIX.sub("", str(exc.msg))
    if isinstance(exc, TwilioServiceException):
        return str(exc.detail or exc.title)
    return str(exc)


def refusal_of(exc: TwilioException | httpx.HTTPError | ValueError, *, writes: bool) -> LineError:
    """Translate what the SDK or its transport raised."""
    if isinstance(exc, TwilioException):
        code = _code(exc)
        return LineError(_reason(exc), code=code, fix=_FIXES.get(code, ""), maybe_done=writes and _is_their_fault(exc))
    if isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return LineError("Twilio cannot be reached", fix="Check the network and TWILIO_API_URL.")
    if isinstance(exc, httpx.HTTPError):
        return LineError(f"Twilio did not answer ({type(exc).__name__})", maybe_done=writes)
    return LineError("Twilio answered with something that is not JSON", maybe_done=writes)


@attrs.frozen
class TwilioLine:
    """Our number at Twilio."""

    number: str
    origin: str
    client: Client

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        """Call `to` from our number; Twilio's requests about this call carry `order`. Return the CallSid.

        Raises: `LineError`; when it is `maybe_done`, the call may ring all the same, and must not be placed again.
        """
        try:
            call = await self.client.calls.create_async(
                to=to,
                from_=self.number,
                url=f"{self.origin}/twilio/voice?order={order}",
                status_callback=f"{self.origin}/twilio/status?order={order}",
                status_callback_event=["initiated", "ringing", "answered", "completed"],
                **options.parameters(self.origin),
            )
        except (TwilioException, httpx.HTTPError, ValueError) as exc:
            raise refusal_of(exc, writes=True) from exc
        return str(call.sid)

    async def calls_to(self, to: str, since: datetime) -> Sequence[str]:
        """Return the CallSids of the calls from our number to somebody that were made since then.

        Raises: `LineError`.
        """
        try:
            found = await self.client.calls.list_async(to=to, from_=self.number, limit=MOST_LISTED)
        except (TwilioException, httpx.HTTPError, ValueError) as exc:
            raise refusal_of(exc, writes=False) from exc
        return [str(call.sid) for call in found if call.date_created is None or call.date_created >= since]

    async def hang_up(self, call_sid: str) -> None:
        """End a call; one that is over already is no error.

        Raises: `LineError`.
        """
        await self._update(call_sid, {"status": "completed"})

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Give a live call a new TwiML document; one that is over already is no error.

        Raises: `LineError`.
        """
        await self._update(call_sid, {"twiml": twiml})

    async def status_of(self, call_sid: str) -> str | None:
        """Return how a call goes, in Twilio's words; None when there is no such call.

        Raises: `LineError`.
        """
        try:
            call = await self.client.calls(call_sid).fetch_async()
        except TwilioException as exc:
            if _code(exc) not in OVER_ALREADY:
                raise refusal_of(exc, writes=False) from exc
            return None
        except (httpx.HTTPError, ValueError) as exc:
            raise refusal_of(exc, writes=False) from exc
        return str(call.status)

    async def _update(self, call_sid: str, change: Mapping[str, str]) -> None:
        try:
            await self.client.calls(call_sid).update_async(**change)
        except TwilioException as exc:
            if _code(exc) not in OVER_ALREADY:
                raise refusal_of(exc, writes=False) from exc
            _log.info("call_over_already", call_sid=call_sid)
        except (httpx.HTTPError, ValueError) as exc:
            raise refusal_of(exc, writes=False) from exc


def twilio_client(
    account_sid: str, auth_token: str, api_url: str, http: httpx.AsyncClient, rng: random.Random | None = None
) -> Client:
    """Return the SDK's client on our transport, with its lazily imported parts already imported."""
    client = Client(account_sid, auth_token, http_client=TwilioTransport(http, rng or random.Random()))
    client.api.base_url = api_url
    client.calls  # noqa: B018 - the SDK imports about 90 modules at this first touch: now, not in the first call
    return client
