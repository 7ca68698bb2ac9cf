"""Where the calls of our number go, and whether they can come in, is found out before the first call."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import httpx
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from trio.testing import MockClock

from settings import Settings
from tests.web.fakes import Exchange, at_home, context_of, settings
from tests.web.test_checkup import free_port
from tests.web.test_serving import listening
from web.clients.twilio import TwilioApi
from web.twilio_checks import Finding, check_twilio, check_way_in

OURS = "https://agent.example.com/twilio/voice"
ELSEWHERE = "https://elsewhere.example/voice"
APP, TRUNK = "AP" + "0" * 32, "TK" + "0" * 32
HERE = Finding(well=True, says="has our number, and sends its calls here")


async def found(number: Mapping[str, object], app: Mapping[str, object] | None = None) -> Finding:
    """Check a number with these fields, in an account with this TwiML app."""
    plain: dict[str, object] = {
        "sid": "PN" + "0" * 32,
        "phone_number": "+15551230000",
        "capabilities": {"sms": True, "voice": True},
        "voice_url": OURS,
        "voice_method": "POST",
        "voice_application_sid": None,
        "trunk_sid": None,
        "voice_receive_mode": "voice",
    }

    def respond(request: httpx.Request) -> httpx.Response:
        if "IncomingPhoneNumbers" in request.url.path:
            told = {"incoming_phone_numbers": [{**plain, **number}], "page": 0, "page_size": 50, "uri": "/x"}
            answer = httpx.Response(200, json=told)
        elif app is None:
            answer = httpx.Response(404, json={"code": 20404, "message": "not found", "status": 404})
        else:
            answer = httpx.Response(200, json={"sid": APP, **app})
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        return await check_twilio(
            settings(), TwilioApi("AC" + "0" * 32, ("AC" + "0" * 32, "token"), "http://twilio.test", http)
        )


@pytest.mark.parametrize(
    "url",
    [
        OURS,
        f"{OURS}#rc=2&rp=all",
        "https://AGENT.Example.COM/twilio/voice",
        "HTTPS://agent.example.com:443/twilio/voice#e=dublin",
        "https://agent.example.com./twilio/voice",
        " https://agent.example.com/twilio/voice ",
        "https://agent.example.com/twilio/%76oice",
    ],
)
async def test_an_address_is_ours_however_it_is_written(url: str, autojump_clock: MockClock) -> None:
    assert await found({"voice_url": url}) == HERE


@pytest.mark.parametrize(
    ("number", "says", "fix"),
    [
        ({"voice_method": "GET"}, "voice webhook is asked with GET", "voice webhook to HTTP POST"),
        ({"trunk_sid": TRUNK}, f"SIP trunk (trunk_sid {TRUNK})", "Take the number off its SIP trunk"),
        (
            {"voice_application_sid": APP},
            f"TwiML app (voice_application_sid {APP})",
            f"or set the app's voice URL to {OURS} (POST)",
        ),
        ({"voice_receive_mode": "fax"}, "receives faxes", "receive voice calls"),
        ({"voice_url": f"{OURS}/"}, "its voice webhook is", f"voice webhook to {OURS} (POST)"),
        ({"voice_url": "http://agent.example.com/twilio/voice"}, "its voice webhook is", OURS),
        ({"voice_url": "https://agent.example.com:8443/twilio/voice"}, "its voice webhook is", OURS),
        ({"voice_url": "https://me@agent.example.com/twilio/voice"}, "its voice webhook is", OURS),
        (
            {"voice_fallback_url": OURS, "voice_fallback_method": "GET"},
            "fallback webhook is asked with GET",
            "fallback webhook to HTTP POST",
        ),
        (
            {"status_callback": "https://agent.example.com/twilio/status", "status_callback_method": "GET"},
            "status callback is asked with GET",
            "status callback to HTTP POST",
        ),
    ],
)
async def test_whatever_keeps_the_calls_of_our_number_away_is_named_with_its_fix(
    number: dict[str, object], says: str, fix: str, autojump_clock: MockClock
) -> None:
    finding = await found(number)

    assert (finding.well, says in finding.says, fix in finding.fix) == (False, True, True)


async def test_all_that_is_wrong_is_named_at_once(autojump_clock: MockClock) -> None:
    finding = await found({"voice_method": "GET", "trunk_sid": TRUNK, "voice_receive_mode": "fax"})

    assert [word in finding.fix for word in ("HTTP POST", "SIP trunk", "voice calls")] == [True] * 3


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ({"voice_url": f"{OURS}#rc=1", "voice_method": "POST"}, HERE.says),
        ({"voice_url": OURS, "voice_method": "GET"}, "asks its voice URL with GET"),
        ({"voice_url": ELSEWHERE, "voice_method": "POST"}, "with another voice URL"),
        (None, "that cannot be looked up"),
    ],
)
async def test_a_number_with_an_app_goes_where_the_app_says(
    app: Mapping[str, object] | None, says: str, autojump_clock: MockClock
) -> None:
    finding = await found({"voice_application_sid": APP, "voice_method": "GET"}, app)

    assert (finding.well, says in finding.says) == (finding == HERE, True)


@pytest.mark.parametrize(
    "number", [{"trunk_sid": TRUNK}, {"voice_application_sid": APP}, {"voice_method": "GET"}, {"voice_url": ""}, {}]
)
async def test_a_number_that_is_used_elsewhere_is_for_outbound_calls(
    number: dict[str, object], autojump_clock: MockClock
) -> None:
    finding = await found({"voice_url": ELSEWHERE, **number})

    assert (finding.well, finding.says) == (True, "has our number, for outbound calls only")
    assert OURS in finding.fix


# The way in

Proxy: TypeAlias = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]


def answering(there: Exchange, status: int, *, only: str = "") -> Proxy:
    """A proxy that passes upgrades on, and answers POST itself once it has read it, or only that of one path."""

    async def proxy(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http" or (only and scope["path"] != only):
            await there.app(scope, receive, send)
            return
        await receive()  # a connection that is closed before its request has come is reset, and the answer may be lost
        await send({"type": "http.response.start", "status": status, "headers": [(b"location", b"https://x.test/")]})
        await send({"type": "http.response.body", "body": b"<h1>nginx</h1>", "more_body": False})

    return proxy


@asynccontextmanager
async def behind(proxy: Proxy, port: int) -> AsyncIterator[None]:
    config = Config()
    config.bind, config.errorlog, config.loglevel = [f"127.0.0.1:{port}"], None, "CRITICAL"
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, proxy, config)
        yield
        nursery.cancel_scope.cancel()


def at(port: int) -> Settings:
    return at_home(LEAD_SERVER_EXTERNAL_URL=f"http://127.0.0.1:{port}", LEAD_SERVER_PORT=str(port)).settings


@pytest.mark.parametrize("status", [200, 301, 404, 405, 502])
async def test_a_proxy_that_passes_upgrades_only_is_found(status: int) -> None:
    port = free_port()
    there = at_home(LEAD_SERVER_EXTERNAL_URL=f"http://127.0.0.1:{port}", LEAD_SERVER_PORT=str(port))
    async with behind(answering(there, status), port):
        finding = await check_way_in(at(port), ssl.create_default_context())

    assert (finding.well, f"POST got HTTP {status}" in finding.says, bool(finding.fix)) == (False, True, True)


async def test_a_proxy_that_refuses_every_post_is_not_taken_for_us() -> None:
    port = free_port()
    there = at_home(LEAD_SERVER_EXTERNAL_URL=f"http://127.0.0.1:{port}", LEAD_SERVER_PORT=str(port))
    async with behind(answering(there, 403), port):
        finding = await check_way_in(at(port), ssl.create_default_context())

    assert (finding.well, "a signed POST got HTTP 403" in finding.says) == (False, True)


async def test_our_own_webhooks_are_heard_signed_and_unsigned() -> None:
    port = free_port()
    there = at_home(LEAD_SERVER_EXTERNAL_URL=f"http://127.0.0.1:{port}", LEAD_SERVER_PORT=str(port))
    async with listening(there, port):
        finding = await check_way_in(there.settings, ssl.create_default_context())

    assert (finding.well, finding.says) == (True, "takes signed upgrades and refuses others")
    assert list(context_of(there).live_calls.newest()) == []


@pytest.mark.parametrize(
    ("number", "is_well"),
    [
        ({"capabilities": None}, True),
        ({"capabilities": ["voice"]}, True),
        ({"capabilities": {"voice": False}}, False),
        ({"voice_url": 5}, True),
        ({"voice_url": None, "voice_method": None}, True),
        ({"voice_url": "https://[::1/voice"}, True),
        ({"voice_url": "https://xn--n3h.example/voice"}, True),  # a host of today's rules for names is none
        ({"trunk_sid": 0}, True),
    ],
)
async def test_whatever_a_number_looks_like_the_check_comes_to_an_end(
    number: dict[str, object], is_well: bool, autojump_clock: MockClock
) -> None:
    assert (await found(number)).well is is_well
