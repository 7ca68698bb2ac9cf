"""The simulated text-to-speech: real speech in the format asked for, and Deepgram's refusals."""

from collections.abc import Mapping

import httpx
import orjson
import pytest
import trio
from trio.testing import MockClock

from protocol.audio import ulaw_to_linear
from simulators.asgi import serve_app
from simulators.deepgram import SpeakSimulator
from simulators.speech import synthesise

TEXT, VOICE = "One moment, please.", "aura-2-mars-en"
PHONE = {"model": VOICE, "encoding": "mulaw", "sample_rate": "8000", "container": "none"}
SAID = synthesise(TEXT, VOICE).audio
JSON = {"content-type": "application/json"}


async def ask(
    simulator: SpeakSimulator,
    query: Mapping[str, str] = PHONE,
    body: bytes = orjson.dumps({"text": TEXT}),
    headers: Mapping[str, str] = JSON,
    *,
    authorization: str = "Token dg-key",
    path: str = "/v1/speak",
) -> httpx.Response:
    transport = httpx.ASGITransport(simulator)
    async with httpx.AsyncClient(transport=transport, base_url="http://speak.invalid", timeout=600) as client:
        sent = {**headers, **({"authorization": authorization} if authorization else {})}
        return await client.post(path, params=query, content=body, headers=sent)


async def test_a_text_is_spoken_in_the_voice_as_bare_telephone_audio(autojump_clock: MockClock) -> None:
    simulator = SpeakSimulator(latency=0.5)

    answer = await ask(simulator)

    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "audio/mulaw", SAID)
    assert (answer.headers["dg-model-name"], answer.headers["dg-char-count"]) == (VOICE, "19")
    assert trio.current_time() == 0.5
    assert [(asked.text, asked.voice) for asked in simulator.requests] == [(TEXT, VOICE)]


async def test_plain_text_and_linear_audio_are_understood_too(autojump_clock: MockClock) -> None:
    query = {**PHONE, "encoding": "linear16"}

    answer = await ask(SpeakSimulator(), query, TEXT.encode(), {"content-type": "text/plain; charset=utf-8"})

    assert (answer.status_code, answer.content) == (200, ulaw_to_linear(SAID))


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        ("Token", 401),
        ("Token other-key", 401),
        ("Bearer dg-key", 401),
        ("Basic dg-key", 401),
        ("token dg-key", 200),
        ("Bearer header.payload.signature", 200),
    ],
)
async def test_only_the_key_or_a_short_lived_token_is_let_in(
    authorization: str, status: int, autojump_clock: MockClock
) -> None:
    answer = await ask(SpeakSimulator("dg-key"), authorization=authorization)

    assert answer.status_code == status
    assert status == 200 or answer.json()["err_code"] == "INVALID_AUTH"


async def test_without_a_key_of_its_own_any_key_will_do(autojump_clock: MockClock) -> None:
    answers = [await ask(SpeakSimulator(), authorization=key) for key in ("Token anything", "")]

    assert [answer.status_code for answer in answers] == [200, 401]


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"encoding": "g722"}, "INVALID_QUERY_PARAMETER", "unknown variant `g722`"),
        ({"encoding": "mp3"}, "UNSUPPORTED_AUDIO_FORMAT", "does not speak `encoding=mp3`"),
        ({"encoding": "alaw"}, "UNSUPPORTED_AUDIO_FORMAT", "does not speak `encoding=alaw`"),
        ({"sample_rate": "24000"}, "UNSUPPORTED_AUDIO_FORMAT", "must be 8000, 16000 when `encoding=mulaw`"),
        ({"sample_rate": "high"}, "INVALID_QUERY_PARAMETER", "sample_rate"),
        ({"container": "ogg"}, "UNSUPPORTED_AUDIO_FORMAT", "`container=ogg` is invalid when `encoding=mulaw`"),
        ({"container": "wav"}, "UNSUPPORTED_AUDIO_FORMAT", "container=none"),
        ({"model": "polly-joanna"}, "Bad Request", "No such model"),
    ],
    ids=str,
)
async def test_a_format_or_voice_that_is_not_there_is_refused(changes: dict[str, str], code: str, words: str) -> None:
    answer = await ask(SpeakSimulator(), PHONE | changes)

    assert (answer.status_code, answer.json()["err_code"]) == (400, code)
    assert words in answer.json()["err_msg"]
    assert answer.json()["request_id"] == answer.headers["dg-request-id"]


@pytest.mark.parametrize("missing", ["container", "encoding"])
async def test_the_services_defaults_are_no_bare_telephone_audio(missing: str) -> None:
    query = {name: value for name, value in PHONE.items() if name != missing}

    assert (await ask(SpeakSimulator(), query)).status_code == 400


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b'{"text": ""}', JSON, 400, "Bad Request"),
        (b'{"text": "   "}', JSON, 400, "Bad Request"),
        (b'{"text": 7}', JSON, 400, "PAYLOAD_ERROR"),
        (b"{", JSON, 400, "PAYLOAD_ERROR"),
        (b"[]", JSON, 400, "PAYLOAD_ERROR"),
        (b'{"text": "a", "url": "https://a.example"}', JSON, 400, "PAYLOAD_ERROR"),
        (b'{"url": "https://a.example/text"}', JSON, 400, "REMOTE_CONTENT_ERROR"),
        (b"\xff", {"content-type": "text/plain"}, 400, "PAYLOAD_ERROR"),
        (b"text=a", {"content-type": "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"a" * 2001, {"content-type": "text/plain"}, 413, "Payload Too Large"),
        (b"a" * (2 * 1024 * 1024 + 1), {"content-type": "text/plain"}, 413, "PAYLOAD_TOO_LARGE"),
    ],
    ids=["empty", "blank", "number", "cut", "list", "both", "url", "latin", "form", "long", "huge"],
)
async def test_a_body_without_one_text_is_refused(
    body: bytes, headers: Mapping[str, str], status: int, code: str
) -> None:
    answer = await ask(SpeakSimulator(), body=body, headers=headers)

    assert (answer.status_code, answer.json()["err_code"]) == (status, code)


async def test_nothing_else_is_served() -> None:
    assert (await ask(SpeakSimulator(), path="/v3/speak")).status_code == 404


@pytest.mark.parametrize(
    ("path", "voice", "status"),
    [
        ("/v1/speak", "aura-2-mars-en", 200),
        ("/v2/speak", "flux-alexis-en", 200),
        ("/v1/speak", "flux-alexis-en", 400),
        ("/v2/speak", "aura-2-mars-en", 400),
    ],
)
async def test_each_family_of_voices_speaks_at_its_own_address(
    path: str, voice: str, status: int, autojump_clock: MockClock
) -> None:
    answer = await ask(SpeakSimulator(), {**PHONE, "model": voice}, path=path)

    assert answer.status_code == status


async def test_it_serves_on_a_port() -> None:
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(serve_app, SpeakSimulator())
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"http://127.0.0.1:{port}/v1/speak",
                params=PHONE,
                json={"text": TEXT},
                headers={"Authorization": "Token any"},
            )
        nursery.cancel_scope.cancel()

    assert answer.content == SAID
