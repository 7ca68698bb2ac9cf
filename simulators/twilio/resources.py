"""The account's resources as JSON: a call, a number, and pages of them, with every key Twilio sends.

Pure rendering; shapes from https://www.twilio.com/docs/voice/api/call-resource,
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource and the official client's parser.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlencode

from protocol.fields import JSON
from protocol.phone_numbers import is_phone_number
from simulators.asgi import Request
from simulators.twilio.calls import SimulatedCall
from simulators.twilio.orders import ApiError

PAGE_SIZE = 50
SUBRESOURCES = ("events", "notifications", "payments", "recordings", "siprec", "streams", "transcriptions",
                "user_defined_message_subscriptions", "user_defined_messages")  # fmt: skip
DEFAULT_NUMBER = "+15550009999"
_NUMBER_METHODS = ("sms_fallback_method", "sms_method", "status_callback_method", "voice_fallback_method",
                   "voice_method")  # fmt: skip
_NUMBER_URLS = ("sms_fallback_url", "sms_url", "status_callback", "voice_fallback_url")
_NUMBER_LINKS = ("address_sid", "bundle_sid", "emergency_address_sid", "identity_sid", "sms_application_sid",
                 "trunk_sid", "voice_application_sid")  # fmt: skip
FILTERS = {"To": "to", "From": "from", "Status": "status", "ParentCallSid": "parent_call_sid"}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def render_call(call: SimulatedCall) -> dict[str, JSON]:
    account, order = call.exchange.account_sid, call.order
    uri = f"/2010-04-01/Accounts/{account}/Calls/{call.sid}"
    return {
        "account_sid": account,
        "answered_by": call.answered_by or None,
        "api_version": "2010-04-01",
        "caller_name": None,
        "date_created": _stamp(call.created),
        "date_updated": _stamp(call.ended_at or call.answered_at or call.created),
        "direction": call.direction,
        "duration": str(call.duration) if call.ended_at is not None and call.answered_at is not None else None,
        "end_time": _stamp(call.ended_at),
        "forwarded_from": None,
        "from": order.from_,
        "from_formatted": _formatted(order.from_),
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": "PN" + account[2:],
        "price": None,
        "price_unit": "USD",
        "queue_time": str(round(call.queue_time * 1000)),
        "sid": call.sid,
        "start_time": _stamp(call.dialled_at),
        "status": call.status.value,
        "subresource_uris": {name: f"{uri}/{name.title().replace('_', '')}.json" for name in SUBRESOURCES},
        "to": order.to,
        "to_formatted": _formatted(order.to),
        "trunk_sid": None,
        "uri": f"{uri}.json",
    }


def render_number(number: str, account: str, voice_url: str, since: datetime) -> dict[str, JSON]:
    """Render one number of the account, whose calls go to `voice_url`."""
    sid = "PN" + hashlib.sha256(number.encode()).hexdigest()[:32]
    given: dict[str, JSON] = {
        "account_sid": account,
        "address_requirements": "none",
        "api_version": "2010-04-01",
        "beta": False,
        "capabilities": {"fax": False, "mms": True, "sms": True, "voice": True},
        "date_created": _stamp(since),
        "date_updated": _stamp(since),
        "emergency_address_status": "unregistered",
        "emergency_status": "Inactive",
        "friendly_name": _formatted(number),
        "origin": "twilio",
        "phone_number": number,
        "sid": sid,
        "status": "in-use",
        "type": "local",
        "uri": f"/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{sid}.json",
        "voice_caller_id_lookup": False,
        "voice_receive_mode": "voice",
    }
    urls, methods = dict.fromkeys(_NUMBER_URLS, ""), dict.fromkeys(_NUMBER_METHODS, "POST")
    return {**given, **urls, **methods, **dict.fromkeys(_NUMBER_LINKS), "voice_url": voice_url}


def render_calls(calls: Sequence[SimulatedCall], request: Request, account: str) -> dict[str, JSON]:
    query = dict(request.query)
    times = [(call.dialled_at, call.ended_at) for call in calls]
    wanted = [
        rendered
        for rendered, (start, end) in zip(map(render_call, calls), times, strict=True)
        if all(rendered[key] == query[name] for name, key in FILTERS.items() if name in query)
        if _is_when(start, "StartTime", query) and _is_when(end, "EndTime", query)
    ]
    return _page("calls", wanted, query, f"/2010-04-01/Accounts/{account}/Calls.json")


def render_numbers(
    owned: frozenset[str] | None, request: Request, account: str, voice_url: str, since: datetime
) -> dict[str, JSON]:
    """Render the page of the account's numbers that the query asks for; where any will do, whichever is asked for."""
    query = dict(request.query)
    asked = query.get("PhoneNumber", "")
    numbers = owned if owned is not None else {asked if is_phone_number(asked) else DEFAULT_NUMBER}
    pattern = re.escape(asked).replace(r"\*", r"\d")
    wanted = [
        render_number(number, account, voice_url, since) for number in sorted(numbers) if re.search(pattern, number)
    ]
    return _page("incoming_phone_numbers", wanted, query, f"/2010-04-01/Accounts/{account}/IncomingPhoneNumbers.json")


def _page(name: str, wanted: Sequence[JSON], query: Mapping[str, str], path: str) -> dict[str, JSON]:
    size = min(max(_whole(query.get("PageSize"), PAGE_SIZE), 1), 1000)
    page = _whole(query.get("Page"), 0)
    shown = wanted[page * size : (page + 1) * size]
    more = (page + 1) * size < len(wanted)

    def link(number: int) -> str:
        others = {name: value for name, value in query.items() if name not in {"Page", "PageSize", "PageToken"}}
        return f"{path}?{urlencode(others | {'PageSize': str(size), 'Page': str(number)})}"

    return {
        name: shown,
        "end": page * size + max(len(shown) - 1, 0),
        "first_page_uri": link(0),
        "next_page_uri": link(page + 1) if more else None,
        "page": page,
        "page_size": size,
        "previous_page_uri": link(page - 1) if page else None,
        "start": page * size,
        "uri": link(page),
    }


def _is_when(time: datetime | None, name: str, query: dict[str, str]) -> bool:
    """Say whether a call's start or end is on the day, or at the time, that is asked for, before it, or not before."""
    asked = {sign: _read_time(name, query[name + sign]) for sign in ("", "<", ">") if query.get(name + sign)}
    if time is None or not asked:
        return not asked
    time = time.replace(microsecond=0)
    if (">" in asked and time < asked[">"]) or ("<" in asked and time >= asked["<"]):
        return False
    is_day = _DAY.fullmatch(query.get(name, "")) is not None
    return "" not in asked or (time.date() == asked[""].date() if is_day else time == asked[""])


def _read_time(name: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError(20001, f"Invalid {name}: {text[:40]} is neither YYYY-MM-DD nor an ISO 8601 time") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text) else default


def _stamp(time: datetime | None) -> str | None:
    return format_datetime(time) if time is not None else None


def _formatted(number: str) -> str:
    if number.startswith("+1") and len(number) == 12:
        return f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    return number
