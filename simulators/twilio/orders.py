"""Requests to the Calls resource, checked as Twilio checks them.

`read_order` turns the form of `POST Calls.json` into a frozen `CallOrder` or raises `ApiError` with Twilio's code and
HTTP status; `read_change` does the same for `POST Calls/{sid}.json`. Nothing is placed or changed here.
Codes: https://www.twilio.com/docs/api/errors; parameters: https://www.twilio.com/docs/voice/api/call-resource.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import attrs

from protocol.phone_numbers import is_phone_number
from simulators.asgi import Response, json_response
from simulators.twilio.webhooks import is_web

TWIML_LIMIT = 4000
EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
_ADDRESS = re.compile(r"(?i:sips?|client):.+")


class ApiError(Exception):
    """A request is refused the way Twilio refuses it."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    def response(self) -> Response:
        return json_response(
            self.status,
            {
                "code": self.code,
                "message": str(self),
                "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
                "status": self.status,
            },
        )


@attrs.frozen
class CallOrder:
    """One call to place: numbers, TwiML to run, callbacks."""

    to: str
    from_: str
    url: str = ""
    method: str = "POST"
    twiml: str = ""
    fallback_url: str = ""
    status_callback: str = ""
    status_events: frozenset[str] = frozenset({"completed"})
    timeout: float = 60.0
    time_limit: float | None = None
    machine_detection: str = ""
    async_amd: bool = False
    async_amd_callback: str = ""


@attrs.frozen
class CallChange:
    """One change to a live call; empty fields stay as they are."""

    status: str = ""
    url: str = ""
    method: str = "POST"
    twiml: str = ""
    status_callback: str = ""


Form = Sequence[tuple[str, str]]


def read_order(form: Form, owned: frozenset[str] | None = None) -> CallOrder:
    """Check the parameters of a new call; `owned` are the account's numbers, None when any will do.

    *Raises* `ApiError`.
    """
    fields = dict(form)
    to, from_ = _parties(fields, owned)
    url, twiml = fields.get("Url", ""), fields.get("Twiml", "")
    if not url and not twiml and not fields.get("ApplicationSid"):
        raise ApiError(21205, "Url parameter is required.")
    _check_program(url, twiml)
    detection = _machine_detection(fields)
    events = frozenset(value for name, value in form if name == "StatusCallbackEvent") or frozenset({"completed"})
    return CallOrder(
        to=to,
        from_=from_,
        url=url,
        method=fields.get("Method", "POST").upper(),
        twiml=twiml,
        fallback_url=fields.get("FallbackUrl", ""),
        status_callback=_callback(fields, "StatusCallback"),
        status_events=events & EVENTS,
        timeout=_seconds(fields, "Timeout", 60.0, 21208),
        time_limit=_seconds(fields, "TimeLimit", 0.0, 21224) or None,
        machine_detection=detection,
        async_amd=fields.get("AsyncAmd", "").lower() == "true",
        async_amd_callback=_callback(fields, "AsyncAmdStatusCallback"),
    )


def read_change(form: Form) -> CallChange:
    """Check the parameters of a change to a live call.

    *Raises* `ApiError`.
    """
    fields = dict(form)
    change = CallChange(
        status=fields.get("Status", ""),
        url=fields.get("Url", ""),
        method=fields.get("Method", "POST").upper(),
        twiml=fields.get("Twiml", ""),
        status_callback=_callback(fields, "StatusCallback"),
    )
    if change.status not in {"", "completed", "canceled"}:
        raise ApiError(20001, f"Invalid status {change.status[:40]!r}: must be completed or canceled")
    _check_program(change.url, change.twiml)
    return change


def _parties(fields: Mapping[str, str], owned: frozenset[str] | None) -> tuple[str, str]:
    to, from_ = fields.get("To", "").strip(), fields.get("From", "").strip()
    if not to:
        raise ApiError(21201, "No 'To' number is specified")
    if not from_:
        raise ApiError(21213, "No 'From' number is specified")
    if not _is_dialable(to) or to == from_:
        raise ApiError(21211, f"The phone number you are attempting to call, {to[:40]}, is not valid.")
    if not _is_dialable(from_):
        raise ApiError(21212, f"The source phone number provided, {from_[:40]}, is not yet verified or not valid.")
    if owned is not None and from_ not in owned:
        raise ApiError(
            21210,
            f"The source phone number provided, {from_}, is not yet verified for your account. "
            "You may only make calls from phone numbers that you've verified or purchased from Twilio.",
        )
    return to, from_


def _is_dialable(address: str) -> bool:
    return is_phone_number(address) or _ADDRESS.fullmatch(address) is not None


def _check_program(url: str, twiml: str) -> None:
    if url and not is_web(url):
        raise ApiError(21205, f"Url is not a valid URL: {url[:80]}")
    if len(twiml) > TWIML_LIMIT:
        raise ApiError(32018, f"Twiml must be at most {TWIML_LIMIT} characters, and is {len(twiml)}")


def _callback(fields: Mapping[str, str], name: str) -> str:
    url = fields.get(name, "")
    if url and (not is_web(url) or "_" in (urlsplit(url).hostname or "")):
        raise ApiError(21609, f"Invalid {name} URL: {url[:80]}")
    return url


def _machine_detection(fields: Mapping[str, str]) -> str:
    mode = "" if fields.get("SendDigits") else fields.get("MachineDetection", "")
    if mode not in {"", "Enable", "DetectMessageEnd"}:
        raise ApiError(21234, f"Invalid MachineDetection {mode[:40]!r}")
    wants_async = fields.get("AsyncAmd", "").lower() == "true"
    if mode and wants_async and not fields.get("AsyncAmdStatusCallback"):
        raise ApiError(21262, "AsyncAmdStatusCallback is required with AsyncAmd")
    return mode


def _seconds(fields: Mapping[str, str], name: str, default: float, code: int) -> float:
    text = fields.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ApiError(code, f"Invalid {name} value: {text[:40]}")
    return float(text)
