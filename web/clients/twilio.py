"""Our number at Twilio: place a call, hang one up, send one elsewhere, look calls up.

`TwilioLine` says it in the parameters of Twilio's REST API; `twilio_api` sends it. A call that is over already is no
error to those who want it over.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol

import attrs
import structlog

from web.clients.twilio_api import CALL_SID, LineError, Resource, TwilioApi

MOST_LISTED = 20
OVER_ALREADY = frozenset({21220, 20404})
"""Not in progress; no such call (any more). https://www.twilio.com/docs/api/errors/21220, .../20404"""

_log = structlog.stdlib.get_logger()


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


class Line(Protocol):
    """The telephone network, as routes and calls use it."""

    async def place_call(self, to: str, order: str, options: CallOptions = PLAIN_CALL) -> str:
        """Call somebody; return the CallSid."""
        ...

    async def calls_to(self, to: str, seconds: float) -> Sequence[str]:
        """Return the CallSids of the calls from our number to somebody that were made in the last so many seconds."""
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
