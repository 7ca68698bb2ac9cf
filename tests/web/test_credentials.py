"""Nobody gets in without a credential: every route there is, with what it answers to whom, and how a token is compared.

A route that is added needs the API token unless `web.routes.credentials` names it, and a row here.
"""

import hmac
from collections.abc import Mapping
from typing import TypeAlias

import orjson
import pytest
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from quart import request
from quart_trio import QuartTrio
from trio.testing import MockClock, assert_no_checkpoints
from werkzeug.exceptions import RequestEntityTooLarge

from actors.commands import KINDS
from tests.web.console.visitors import CONSOLE
from tests.web.fakes import API_TOKEN, AUTH_TOKEN, CALL_SID, LEAD, Exchange, Peer, at_home, exchange, voice_form
from web.routes.credentials import is_token, request_class
from web.sockets.connections import VOUCHER

Row: TypeAlias = tuple[int, int, int]
"""The status without a credential, with a wrong one, and with the right one."""

SIGNED: Mapping[tuple[str, str], Row] = {
    ("POST", "/twilio/voice"): (403, 403, 200),
    ("POST", "/twilio/status"): (403, 403, 204),
    ("POST", "/twilio/amd"): (403, 403, 204),
    ("POST", "/twilio/stream"): (403, 403, 204),
    ("POST", "/twilio/after"): (403, 403, 200),
    ("POST", "/twilio/whisper"): (403, 403, 200),
    ("POST", "/twilio/accepted"): (403, 403, 200),
    ("POST", "/twilio/dialled"): (403, 403, 200),
}
BEARER: Mapping[tuple[str, str], Row] = {
    ("POST", "/calls"): (401, 401, 201),
    ("GET", "/calls"): (401, 401, 200),
    ("GET", "/calls/<name>"): (401, 401, 404),
    ("DELETE", "/calls/<name>"): (401, 401, 202),
    ("GET", "/calls/<name>/recording"): (401, 401, 404),
    ("GET", "/calls/<name>/timeline.svg"): (401, 401, 404),
    ("GET", "/calls/<name>/journal"): (401, 401, 404),
    ("GET", "/calls/<name>/events"): (401, 401, 404),
    ("GET", "/calls/<name>/audio"): (401, 401, 404),
    ("GET", "/calls/<name>/tasks"): (401, 401, 404),
    **{("POST", f"/calls/<name>/{command}"): (401, 401, 400) for command in KINDS},
    ("POST", "/kept"): (401, 401, 400),
    ("POST", "/export"): (401, 401, 400),
    ("POST", "/forget"): (401, 401, 400),
    ("POST", "/campaigns"): (401, 401, 400),
    ("GET", "/campaigns"): (401, 401, 200),
    ("GET", "/campaigns/<name>"): (401, 401, 404),
    ("GET", "/campaigns/<name>/export"): (401, 401, 404),
    **{("POST", f"/campaigns/<name>/{command}"): (401, 401, 404) for command in ("pause", "resume", "cancel")},
    ("GET", "/do-not-call"): (401, 401, 200),
    ("GET", "/do-not-call/<number>"): (401, 401, 404),
    ("PUT", "/do-not-call/<number>"): (401, 401, 200),
    ("DELETE", "/do-not-call/<number>"): (401, 401, 404),
    ("GET", "/webhooks"): (401, 401, 200),
    ("POST", "/webhooks/resend"): (401, 401, 400),
    ("GET", "/metrics"): (401, 401, 200),
    ("GET", "/openapi.json"): (200, 200, 200),
    ("GET", "/healthz"): (200, 200, 200),
    ("GET", "/readyz"): (200, 200, 200),
}


def test_the_table_has_every_route_there_is() -> None:
    rules = exchange().app.url_map.iter_rules()
    routes = {(method, rule.rule) for rule in rules for method in (rule.methods or {"WEBSOCKET"})}

    assert {route for route in routes if route[0] not in {"HEAD", "OPTIONS"}} == {*SIGNED, *BEARER, *CONSOLE}


@pytest.mark.parametrize("route", SIGNED, ids=" ".join)
async def test_a_signed_route_answers(route: tuple[str, str], autojump_clock: MockClock) -> None:
    there, (_, target) = exchange(), route
    async with there.client() as client:
        without = await client.post(target, data=voice_form())
    wrong = await there.twilio(target, voice_form(), token="another-token")
    right = await there.twilio(target, voice_form())

    assert (without.status_code, wrong.status_code, right.status_code) == SIGNED[route]


@pytest.mark.parametrize("route", BEARER, ids=" ".join)
async def test_any_other_route_answers(route: tuple[str, str], autojump_clock: MockClock) -> None:
    there, (method, rule) = exchange(), route
    target, body = rule.replace("<name>", CALL_SID).replace("<number>", LEAD), orjson.dumps({"to": LEAD})
    answers = [await there.operator(method, target, body, token=token) for token in ("", "wrong", API_TOKEN)]

    assert tuple(answer.status_code for answer in answers) == BEARER[route]


@pytest.mark.parametrize("signature", ["", "wrong", None], ids=["none", "wrong", "right"])
async def test_the_media_stream_answers(signature: str | None, autojump_clock: MockClock) -> None:
    peer = await Peer(signature=signature).leaves().visit(exchange().app)

    assert peer.said[0] == ("accept" if signature is None else "close 1008")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT"])
async def test_a_route_that_is_added_later_needs_the_token(method: str, autojump_clock: MockClock) -> None:
    async def later() -> str:
        return "said"

    there = exchange()
    there.app.add_url_rule("/later", "later", later, methods=["GET", "POST", "PUT"])

    assert (await there.operator(method, "/later", token="")).status_code == 401
    assert (await there.operator(method, "/later")).status_code == 200


async def test_without_a_token_this_machine_may_read_the_metrics_and_no_browser_may(autojump_clock: MockClock) -> None:
    there = at_home()
    async with there.client() as client:
        target = "http://127.0.0.1:8000/metrics"
        answers = [
            await client.get(target),
            await client.get(target, headers={"Origin": "https://evil.example"}),
            await client.get("http://evil.example/metrics"),
        ]

    assert [answer.status_code for answer in answers] == [200, 401, 401]


@pytest.mark.parametrize(
    "told", [{"X-Forwarded-For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}, {"Via": "1.1 x"}]
)
@pytest.mark.parametrize(("target", "status"), [("/metrics", 200), ("/", 200), ("/console/phone", 200)])
async def test_without_a_token_nobody_is_of_this_machine_behind_a_proxy_on_it(
    told: dict[str, str], target: str, status: int, autojump_clock: MockClock
) -> None:
    """Apache and some tunnels write the server's own name into the Host header."""
    there = at_home()
    async with there.client() as client:
        answers = [await client.get(f"http://127.0.0.1:8000{target}", headers=headers) for headers in ({}, told)]

    assert [answer.status_code for answer in answers] == [status, 401]


@pytest.mark.parametrize(("right", "vouched"), [(True, 1), (False, 0)])
@pytest.mark.parametrize("target", ["/twilio/status", "/calls"])
async def test_a_connection_is_vouched_for_by_a_credential(
    target: str, right: bool, vouched: int, autojump_clock: MockClock
) -> None:
    there, said = exchange(), list[str]()
    inner = there.app.asgi_app

    async def with_voucher(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        scope["extensions"] = {VOUCHER: {"vouch": lambda: said.append("vouched")}}
        await inner(scope, receive, send)

    there.app.asgi_app = with_voucher  # type: ignore[method-assign]
    if target == "/calls":
        await there.operator("GET", target, token=API_TOKEN if right else "wrong")
    else:
        await there.twilio(target, voice_form(), token=AUTH_TOKEN if right else "wrong")

    assert len(said) == vouched


# How the token is compared


def almost(token: str) -> list[str]:
    """Tokens that are wrong at the beginning, in the middle, at the end, too short, too long, empty, not ASCII."""
    middle = len(token) // 2
    other = f"{token[:middle]}~{token[middle + 1 :]}"
    return [f"~{token[1:]}", other, f"{token[:-1]}~", token[:-1], f"{token}~", "", "ü", token.swapcase()]


async def statuses(there: Exchange, tokens: list[str]) -> list[int]:
    return [(await there.operator("GET", "/calls", token=token)).status_code for token in tokens]


async def test_a_token_is_compared_in_constant_time_and_in_no_other_way(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Every comparison is `hmac.compare_digest`'s, of texts of one length, and what it says is all that counts."""
    seen, there = list[tuple[int, int]](), exchange()
    tokens = [API_TOKEN, *(token for token in almost(API_TOKEN) if token.isascii() and token)]

    def compare(says: bool) -> None:
        def compared(one: bytes, other: bytes) -> bool:
            seen.append((len(one), len(other)))
            return says

        monkeypatch.setattr(hmac, "compare_digest", compared)

    compare(says=True)
    assert set(await statuses(there, tokens)) == {200}
    compare(says=False)
    assert set(await statuses(there, tokens)) == {401}
    assert len(seen) == 2 * len(tokens)
    assert set(seen) == {(32, 32)}


def test_only_the_whole_token_is_the_token() -> None:
    assert is_token(API_TOKEN, API_TOKEN)
    assert [token for token in almost(API_TOKEN) if is_token(token, API_TOKEN)] == []


async def test_a_form_that_was_read_is_read_again_without_a_turn_of_the_scheduler() -> None:
    app = QuartTrio("forms")
    app.request_class = request_class((), 0, bool)

    @app.post("/")
    async def read() -> str:
        first = await request.form
        with assert_no_checkpoints():
            second = await request.form
        return f"{first['CallSid']} {second['CallSid']}"

    answer = await app.test_client().post("/", form={"CallSid": "CA1"})

    assert await answer.get_data(as_text=True) == "CA1 CA1"


async def test_a_body_that_is_there_is_read_without_a_turn_of_the_scheduler_unless_it_is_too_large() -> None:
    body = request_class((), 0, bool).body_class(None, 8)
    body.append(b"CallSid=")
    body.set_complete()

    with assert_no_checkpoints():
        assert await body == b"CallSid="

    body.append(b"CA1")
    with pytest.raises(RequestEntityTooLarge):
        await body
