"""Who is turned away, by a server on a real port, and with what; nothing of them gets any further than the door."""

from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import SplitResult, urlencode, urlsplit

import attrs
import orjson
import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from quart_trio import QuartTrio
from trio_websocket import ConnectionClosed
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from store.databases import SqliteDatabase
from store.tokens import TokenStore
from tests.web.fakes import (
    API_TOKEN,
    AUTH_TOKEN,
    CALL_SID,
    LEAD,
    ORIGIN,
    OTHER_CALL_SID,
    Exchange,
    exchange,
    voice_form,
)
from tests.web.test_serving import SIGNATURE, listening, start, stream, token_of
from tests.web.test_signatures import CASES, Case, app_behind
from web.clients.signatures import TwilioSignatures
from web.routes.media import MediaStreams


async def status_of(at: str, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> int:
    """Send one request as it stands, target and all; return the status of the answer."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {at}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    host, _, port = at.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as connection:
        await connection.send_all("\r\n".join([*lines, "", ""]).encode() + body)
        answer = b""
        while b"\r\n" not in answer:
            answer += await connection.receive_some()
    return int(answer.split()[1])


_ORIGINS = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def verdict_on(case: Case, at: str, url: SplitResult) -> int:
    """Send a vector as Twilio would: as an upgrade where its address is a socket's, else as the request it is."""
    target = f"{url.path}?{url.query}" if url.query else url.path
    if url.scheme in {"ws", "wss"}:
        return await status_of(at, "GET", target, {**UPGRADE, **case.signed_headers})
    if case.body is not None:
        return await status_of(
            at, case.method, target, {"Content-Type": "application/json", **case.signed_headers}, case.body.encode()
        )
    form = case.form or MultiDict()
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    pairs = [(name, value) for name in form for value in form.getlist(name)]
    return await status_of(at, case.method, target, {**kind, **case.signed_headers}, urlencode(pairs).encode())


@attrs.define
class Doors:
    """Serves whatever stands behind it just now."""

    door: MediaStreams | None = None

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert self.door is not None
        await self.door(scope, receive, send)


async def test_every_vector_gets_its_verdict_from_the_running_server(monkeypatch: pytest.MonkeyPatch) -> None:
    there, doors = exchange(), Doors()
    context = cast("MediaStreams", there.app.asgi_app).context
    there.app.asgi_app = doors  # type: ignore[method-assign]
    answers: dict[str, int] = {}
    doors.door = MediaStreams(QuartTrio("nobody"), context, there.calls)
    async with listening(there) as at:
        for case in CASES:
            url = urlsplit(case.url)
            signatures = TwilioSignatures(f"{_ORIGINS[url.scheme]}://{url.netloc}", case.auth_token)
            monkeypatch.setattr("web.routes.media.STREAM_PATH", url.path)
            context_of_case = attrs.evolve(context, signatures=signatures)
            doors.door = MediaStreams(app_behind(signatures), context_of_case, there.calls)
            answers[case.name] = await verdict_on(case, at, url)

    assert len(answers) == 33
    assert {name for name, status in answers.items() if status in {200, 101}} == {
        case.name for case in CASES if case.valid
    }
    assert {status for status in answers.values() if status not in {200, 101}} == {403, 400}
    assert [name for name, status in answers.items() if status == 400] == ["query_percent_decoded"]
    assert there.calls.plans == []


# Each kind of stranger


def signed(target: str, form: Mapping[str, str], *, origin: str = ORIGIN, token: str = AUTH_TOKEN) -> dict[str, str]:
    signature = RequestValidator(token).compute_signature(origin + target, form)
    return {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}


WEBHOOKS = (
    "/twilio/voice", "/twilio/status", "/twilio/amd", "/twilio/stream", "/twilio/after", "/twilio/whisper",
    "/twilio/accepted", "/twilio/dialled",
)  # fmt: skip
FORM = voice_form()
STRANGERS: Mapping[str, Mapping[str, str]] = {
    "unsigned": {"Content-Type": "application/x-www-form-urlencoded"},
    "wrongly signed": signed("/twilio/voice", FORM, token="another-token"),
    "signed for another origin": signed("/twilio/voice", FORM, origin="https://evil.example.com"),
    "signed for what the proxy says": signed("/twilio/voice", FORM, origin="http://127.0.0.1:8000"),
    "signed for another path": signed("/twilio/other", FORM),
    "signed with other fields": signed("/twilio/voice", {**FORM, "CallSid": OTHER_CALL_SID}),
}


def is_untouched(there: Exchange) -> bool:
    """Tell whether nothing has got past the door: no call, no line, no order, no record, no live call."""
    context = cast("MediaStreams", there.app.asgi_app).context
    asked = [*there.line.placed, *there.line.hung_up, *there.line.redirected, *there.line.options]
    shown = list(context.live_calls.newest())
    return not (there.calls.plans or asked or shown or there.slots.taken or there.slots.expected)


@pytest.mark.parametrize("kind", STRANGERS)
async def test_a_webhook_that_is_not_twilios_for_us_gets_403_and_no_further(kind: str) -> None:
    there = exchange()
    body = urlencode(FORM).encode()
    async with listening(there) as at:
        answers = {await status_of(at, "POST", target, STRANGERS[kind], body) for target in WEBHOOKS}

    assert (answers, is_untouched(there)) == ({403}, True)


API_STRANGERS: Mapping[str, Mapping[str, str]] = {
    "no token": {},
    "wrong token": {"Authorization": "Bearer wrong"},
    "token with more": {"Authorization": f"Bearer {API_TOKEN}x"},
    "another scheme": {"Authorization": f"Basic {API_TOKEN}"},
    "Twilio's own signature": signed("/calls", {}),
}


@pytest.mark.parametrize("kind", API_STRANGERS)
async def test_an_operator_without_the_token_gets_401_and_no_further(kind: str) -> None:
    there, asked = (
        exchange(),
        [("POST", "/calls"), ("GET", "/calls"), ("GET", "/calls/x"), ("DELETE", f"/calls/{CALL_SID}")],
    )
    async with listening(there) as at:
        order = orjson.dumps({"to": LEAD})
        answers = {await status_of(at, method, target, API_STRANGERS[kind], order) for method, target in asked}

    assert (answers, is_untouched(there)) == ({401}, True)


SOCKET = "wss" + ORIGIN.removeprefix("https")
SOCKET_STRANGERS: Mapping[str, str | None] = {
    "unsigned": None,
    "wrongly signed": RequestValidator("another-token").compute_signature(f"{SOCKET}/twilio", {}),
    "signed for another origin": RequestValidator(AUTH_TOKEN).compute_signature("wss://evil.example.com/twilio", {}),
    "signed for what the proxy says": RequestValidator(AUTH_TOKEN).compute_signature("ws://127.0.0.1/twilio", {}),
    "a webhook's signature": STRANGERS["signed for another path"]["X-Twilio-Signature"],
}


@pytest.mark.parametrize("kind", SOCKET_STRANGERS)
async def test_an_upgrade_that_is_not_twilios_for_us_gets_403_and_no_further(kind: str) -> None:
    there, signature = exchange(), SOCKET_STRANGERS[kind]
    async with listening(there) as at:
        named = {} if signature is None else {"X-Twilio-Signature": signature}
        answer = await status_of(at, "GET", "/twilio", {**UPGRADE, **named})

    assert (answer, is_untouched(there)) == (403, True)


async def closed_with(at: str, tokens: Sequence[str]) -> list[int]:
    """Start a signed stream with each of these tokens; return the codes with which they are closed."""
    codes = []
    for token in tokens:
        async with stream(at, SIGNATURE) as media:
            await start(media, token)
            with trio.fail_after(30), pytest.raises(ConnectionClosed) as closed:
                await media.get_message()
            codes.append(closed.value.reason.code if closed.value.reason else 0)
    return codes


async def test_a_signed_stream_without_a_good_token_is_closed_and_reaches_no_actor() -> None:
    """No token, one nobody gave out, one that is too old, one of another call, and that one again."""
    now = 1000.0
    there = exchange(tokens=TokenStore(SqliteDatabase(now=lambda: now)))
    async with listening(there) as at:
        late = await token_of(there)
        now += 61
        stolen = await token_of(there, OTHER_CALL_SID)
        codes = await closed_with(at, ["", "made up", late, stolen, stolen])

    assert (codes, there.calls.plans, there.slots.taken) == (5 * [1008], [], 0)


async def test_a_replayed_stream_is_closed_and_reaches_no_actor() -> None:
    there = exchange()
    async with listening(there) as at:
        token = await token_of(there)
        async with stream(at, SIGNATURE) as media:
            await start(media, token)
            await media.send_message("hello")
            await media.get_message()
        codes = await closed_with(at, [token])

    assert (codes, len(there.calls.plans)) == ([1008], 1)
