"""A request that nearly reached a route is told in the log with the fix, and counted under that route."""

from typing import cast

import orjson
import pytest
from hypercorn.typing import WebsocketResponseBodyEvent, WebsocketResponseStartEvent
from structlog.testing import capture_logs
from trio.testing import MockClock

from tests.web.fakes import LEAD, ORIGIN, Exchange, Peer, exchange, voice_form
from web.calls.rate_limits import ALLOWANCE
from web.routes.problems import meant
from web.sockets.asgi_events import HEADERS

SET_IT = f"set the number's webhook to {ORIGIN}/twilio/voice, HTTP POST."


async def refusal(
    there: Exchange, method: str, target: str, *, signed: bool = True
) -> tuple[int, list[dict[str, str]]]:
    headers = {"X-Twilio-Signature": "of that address"} if signed else {}
    with capture_logs() as logs:
        async with there.client() as client:
            answer = await client.request(method, target, data=voice_form(), headers=headers)
    return answer.status_code, [
        {key: line[key] for key in ("method", "path", "fix")} for line in logs if line["event"] == "request_misrouted"
    ]


@pytest.mark.parametrize(
    ("method", "target", "status", "route"),
    [
        ("GET", "/twilio/voice", 405, "/twilio/voice"),
        ("GET", "/twilio/voice?CallSid=CA1", 405, "/twilio/voice"),
        ("PUT", "/twilio/voice", 405, "/twilio/voice"),
        ("POST", "/twilio/voice/", 404, "/twilio/voice"),
        ("GET", "/twilio/voice/", 404, "/twilio/voice"),
        ("POST", "/twilio//voice", 404, "/twilio/voice"),
        ("POST", "/twilio/voice//", 404, "/twilio/voice"),
        ("POST", "/Twilio/Voice", 404, "/twilio/voice"),
        ("POST", "/app/twilio/voice", 404, "/twilio/voice"),
        ("GET", "/twilio/status", 405, "/twilio/status"),
        ("POST", "/twilio/status/", 404, "/twilio/status"),
    ],
)
async def test_a_webhook_that_misses_its_route_is_told_with_the_fix_and_counted(
    method: str, target: str, status: int, route: str, autojump_clock: MockClock
) -> None:
    there = exchange()
    answered, (told,) = await refusal(there, method, target)
    metrics = (await there.operator("GET", "/metrics")).text

    assert answered == status
    assert (told["method"], told["path"]) == (method, target.partition("?")[0])
    assert f"{ORIGIN}{route}, HTTP POST." in told["fix"]
    assert f'switchboard_http_requests_total{{method="{method}",route="{route}",status="{status}"}} 1.0' in metrics


@pytest.mark.parametrize("target", ["/", "/voice", "/twilio", "/incoming/call"])
async def test_whatever_twilio_sends_astray_is_told(target: str, autojump_clock: MockClock) -> None:
    there = exchange()
    _, (told,) = await refusal(there, "POST", target)

    assert told["fix"] == SET_IT


@pytest.mark.parametrize("target", ["/twilio", "/phone", "/app/twilio"])
async def test_an_upgrade_that_a_proxy_made_a_plain_request_of_is_told(target: str, autojump_clock: MockClock) -> None:
    """As nginx does without `proxy_set_header Upgrade $http_upgrade`."""
    with capture_logs() as logs:
        async with exchange().client() as client:
            headers = {"Sec-WebSocket-Key": "MDAwMDAwMDAwMDAwMDAwMA==", "Sec-WebSocket-Version": "13"}
            answer = await client.get(target, headers=headers)

    assert answer.status_code == 404
    assert ["Upgrade" in line["fix"] for line in logs if line["event"] == "request_misrouted"] == [True]


async def test_an_operator_who_misses_a_route_is_told_it(autojump_clock: MockClock) -> None:
    there = exchange()
    _, (told,) = await refusal(there, "PUT", "/calls/CA1", signed=False)

    assert told["fix"] == "Send it to /calls/<name>, with a method that the route has."


@pytest.mark.parametrize("target", ["/favicon.ico", "/wp-login.php", f"/calls-of/{LEAD}", "/.env"])
async def test_what_is_like_no_route_is_not_told(target: str, autojump_clock: MockClock) -> None:
    assert await refusal(exchange(), "GET", target, signed=False) == (404, [])


@pytest.mark.parametrize(
    ("target", "signature", "told"),
    [
        ("/twilio/", "", True),
        ("/app/twilio", "", True),
        ("/Twilio", "", True),
        ("/stream", "of that address", True),
        ("/stream", "", False),
        ("/socket.io/", "", False),
    ],
)
async def test_a_stream_that_misses_its_route_is_told(
    target: str, signature: str, told: bool, autojump_clock: MockClock
) -> None:
    with capture_logs() as logs:
        await Peer(target=target, signature=signature).leaves().visit(exchange().app)

    fixes = [line["fix"] for line in logs if line["event"] == "request_misrouted"]
    assert [f"wss{ORIGIN.removeprefix('https')}/twilio;" in fix for fix in fixes] == ([True] if told else [])


@pytest.mark.parametrize(("target", "status"), [("/elsewhere", 404), ("/twilio/", 404), ("/calls", 405), ("/", 400)])
async def test_an_upgrade_of_no_socket_of_ours_is_refused_and_no_error(
    target: str, status: int, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    peer = await Peer(target=target, signature="").visit(exchange().app)

    start = cast("WebsocketResponseStartEvent", peer.answers[0])
    assert start["status"] == status
    assert {(name.lower().encode(), value.encode()) for name, value in HEADERS.items()} <= {*start["headers"]}
    body = cast("WebsocketResponseBodyEvent", peer.answers[1])["body"]
    assert "/twilio" in orjson.loads(body)["fix"]
    assert "POST" not in orjson.loads(body)["fix"]
    assert caplog.records == []


async def test_nobody_can_fill_the_log_with_them(autojump_clock: MockClock) -> None:
    there = exchange()
    told = [line for _ in range(100) for line in (await refusal(there, "GET", "/twilio/voice"))[1]]

    assert len(told) == int(ALLOWANCE)


async def test_no_address_is_redirected_from(autojump_clock: MockClock) -> None:
    """What Twilio has signed is the address that it has asked."""
    there = exchange()
    answers = [await there.twilio(target, voice_form()) for target in ("/twilio//voice", "/twilio/voice/")]

    assert [answer.status_code for answer in answers] == [404, 404]


def test_made_up_methods_and_paths_are_no_labels() -> None:
    routes = exchange().app.url_map

    assert [meant(routes, path) for path in ("/", "", "/coffee", "/twilio", "/x" * 5000)] == 5 * [None]
