"""Checks of Twilio's side before the first call: where the calls of our number go, and whether they can reach us.

Nothing is changed at Twilio, and no call is placed. The way in is tried as Twilio takes it: an upgrade and a webhook at
the public address, signed with our own auth token, and once each unsigned, which must be refused.
"""

import ssl
import time
from collections.abc import Iterator, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

import attrs
import httpx
from twilio.request_validator import RequestValidator

from actors.errors import AgentUnavailable
from settings import Settings
from web.calls.returning import STREAM_PATH
from web.clients.deepgram import open_socket
from web.clients.http import http_client
from web.clients.signatures import SIGNATURE, TwilioSignatures
from web.clients.twilio import LineError, Resource, TwilioApi
from web.sockets.tls import TlsClient

NumberProblem: TypeAlias = tuple[str, str]
"""A fault, and how it is mended."""


@attrs.frozen
class Finding:
    """The result of a check; `fix` is empty when there is nothing to do."""

    well: bool
    says: str
    fix: str = ""


async def check_twilio(settings: Settings, api: TwilioApi) -> Finding:
    """Look our number up in the account, and where its calls go."""
    try:
        query: Mapping[str, str | int] = {"PhoneNumber": settings.twilio_phone_number, "PageSize": 1}
        found = (await api.get("/IncomingPhoneNumbers.json", query)).get("incoming_phone_numbers")
    except LineError as refused:
        fix = refused.fix or "Check TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_API_URL."
        return Finding(well=False, says=refused.reason, fix=fix)
    numbers = [number for number in found if isinstance(number, dict)] if isinstance(found, list) else []
    if not numbers:
        fix = "Buy it, or set TWILIO_PHONE_NUMBER to a number of this account."
        return Finding(well=False, says="the account does not have our number", fix=fix)
    capabilities = numbers[0].get("capabilities")
    if isinstance(capabilities, dict) and not capabilities.get("voice", True):
        fix = "Set TWILIO_PHONE_NUMBER to a number that can do voice."
        return Finding(well=False, says="our number takes messages only, and no calls", fix=fix)
    return await _inbound(numbers[0], f"{settings.lead_server_external_url}/twilio/voice", api)


async def _inbound(number: Resource, ours: str, api: TwilioApi) -> Finding:
    """Say whether the calls of our number come here: several of its fields decide that, one over the other."""
    url = str(number.get("voice_url") or "")
    app = await _application_problem(str(number.get("voice_application_sid") or ""), ours, api)
    problems = [*_number_problems(number, ours), *([app] if app is not None else [])]
    has_app = bool(number.get("voice_application_sid"))
    is_meant = (has_app and app is None) or _host_of(url) == _host_of(ours)
    if not (has_app or _is_same(url, ours)):
        fix = f"For inbound calls, set the number's voice webhook to {ours} (POST)."
        problems.append((f"its voice webhook is {url}" if url else "it has no voice webhook", fix))
    if not problems:
        return Finding(well=True, says="has our number, and sends its calls here")
    fix = " ".join(fix for _, fix in problems)
    if not is_meant:
        return Finding(well=True, says="has our number, for outbound calls only", fix=fix)
    what = "; ".join(what for what, _ in problems)
    return Finding(well=False, says=f"has our number, but inbound calls do not come here: {what}", fix=fix)


def _number_problems(number: Resource, ours: str) -> Iterator[NumberProblem]:
    if number.get("trunk_sid"):
        fix = "Take the number off its SIP trunk: it asks no voice webhook while it has one."
        yield f"it is on a SIP trunk (trunk_sid {number['trunk_sid']})", fix
    if number.get("voice_receive_mode") == "fax":
        yield "it receives faxes (voice_receive_mode)", "Set the number to receive voice calls."
    webhooks = (
        ("voice webhook", "voice_url", "voice_method"),
        ("fallback webhook", "voice_fallback_url", "voice_fallback_method"),
        ("status callback", "status_callback", "status_callback_method"),
    )
    for what, url_field, method_field in webhooks:
        url, method = number.get(url_field), number.get(method_field)
        if url_field == "voice_url" and number.get("voice_application_sid"):
            continue  # the application decides
        if _host_of(str(url or "")) == _host_of(ours) and str(method or "POST").upper() != "POST":
            yield f"its {what} is asked with {method}, not POST", f"Set the number's {what} to HTTP POST."


async def _application_problem(sid: str, ours: str, api: TwilioApi) -> NumberProblem | None:
    """Return the problems of a number's TwiML app, which overrides the number's own webhook."""
    if not sid:
        return None
    fix = f"Remove the TwiML app from the number, or set the app's voice URL to {ours} (POST)."
    try:
        app = await api.get(f"/Applications/{sid}.json")
    except LineError:
        return f"its calls go to a TwiML app (voice_application_sid {sid}) that cannot be looked up", fix
    if not _is_same(str(app.get("voice_url") or ""), ours):
        return f"its calls go to a TwiML app (voice_application_sid {sid}) with another voice URL", fix
    if str(app.get("voice_method") or "POST").upper() != "POST":
        what = f"its TwiML app ({sid}) asks its voice URL with {app['voice_method']}"
        return what, "Set the app's method to HTTP POST."
    return None


def _is_same(url: str, ours: str) -> bool:
    """Tell whether two addresses reach the same webhook, however they are written."""
    return _address_of(url) == _address_of(ours)


def _address_of(text: str) -> tuple[object, ...]:
    """Return what an address comes to: neither Twilio's own settings in a fragment, nor a query, make another one."""
    try:
        url = httpx.URL(str(httpx.URL(text.strip())))  # twice: with a scheme in capitals it keeps a usual port
    except httpx.InvalidURL:
        return (text,)
    return url.scheme, url.username, url.raw_host.rstrip(b"."), url.port, url.path


def _host_of(text: str) -> object:
    return _address_of(text)[2:3]


async def _upgrade(url: str, headers: list[tuple[bytes, bytes]], context: ssl.SSLContext) -> str:
    try:
        async with open_socket(url, headers, TlsClient(context)):
            return "accepted"
    except AgentUnavailable as exc:
        return exc.reason


async def check_way_in(settings: Settings, context: ssl.SSLContext) -> Finding:
    """Ask our public address as Twilio does, and once without a signature."""
    url = TwilioSignatures(settings.lead_server_external_url, settings.twilio_auth_token).socket_origin + STREAM_PATH
    signature = RequestValidator(settings.newest_auth_token).compute_signature(url, {})
    invited = await _upgrade(url, [(SIGNATURE.encode(), signature.encode())], context)
    if invited != "accepted":
        fix = " ".join(filter(None, [_upgrade_fix(invited), _port_fix(settings)]))
        return Finding(well=False, says=f"{url}: {invited}", fix=fix)
    unsigned = await _upgrade(url, [], context)
    if not unsigned.startswith("HTTP 403"):
        return Finding(well=False, says=f"{url}: an unsigned upgrade got {unsigned}", fix="Is this our server?")
    if (refused := await _ask_webhooks(settings, context)) is not None:
        return refused
    return Finding(well=True, says="takes signed upgrades and refuses others", fix=_port_fix(settings))


def _upgrade_fix(why: str) -> str:
    """Say what helps where an upgrade failed: Twilio connects by TLS only, and looks at the certificate as we do."""
    if why.startswith("SSLCertVerificationError"):
        return "Twilio refuses it too (31910): serve one of a public authority, for this name, that has not expired."
    if why.startswith("SSLError"):
        return "Twilio connects by TLS only (31910): serve HTTPS at the public address."
    return "Start the server and its tunnel or proxy; it must pass WebSocket upgrades for this very address."


async def _ask_webhooks(settings: Settings, context: ssl.SSLContext) -> Finding | None:
    """Post to our webhooks, unsigned and signed; return the problems of the answers."""
    origin, token = settings.lead_server_external_url, settings.newest_auth_token
    voice, stream, form = f"{origin}/twilio/voice", f"{origin}/twilio/stream", {"StreamEvent": "check"}
    signed = {SIGNATURE: RequestValidator(token).compute_signature(stream, form)}
    async with http_client(verify=context) as http:
        try:
            unsigned = await http.post(voice, data={"CallStatus": "check"})
            twilio = await http.post(stream, data=form, headers=signed)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            return _unheard(f"{voice}: {type(exc).__name__}")
    if unsigned.status_code != httpx.codes.FORBIDDEN:
        return _unheard(f"{voice}: an unsigned POST got HTTP {unsigned.status_code} instead of our 403")
    if twilio.status_code != httpx.codes.NO_CONTENT:
        return _unheard(f"{stream}: a signed POST got HTTP {twilio.status_code} instead of our 204")
    return _expiring(twilio)


def _expiring(answer: httpx.Response) -> Finding | None:
    """Say of the certificate that an answer came with that it is to be renewed; None for one that is good for a week.

    An authority's own programs renew it some weeks before.
    """
    network = answer.extensions.get("network_stream")
    tls = None if network is None else network.get_extra_info("ssl_object")
    if tls is None or (days := (ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"]) - time.time()) / 86_400) > 7:
        return None
    fix = "Renew it: Twilio refuses one that has expired (31910)."
    return Finding(well=False, says=f"its certificate expires in {int(days)} days", fix=fix)


def _unheard(says: str) -> Finding:
    fix = "The tunnel or proxy must pass POST /twilio/... as it passes upgrades: to this server, and unchanged."
    return Finding(well=False, says=says, fix=fix)


def _port_fix(settings: Settings) -> str:
    """Say what to do about a port that is not 443; nothing where the public address has none of its own."""
    url = urlsplit(settings.lead_server_external_url)
    if url.scheme != "https" or url.port in {None, 443}:
        return ""
    return f"Use port 443: a stream to port {url.port} may not reach us (Twilio 31910)."
