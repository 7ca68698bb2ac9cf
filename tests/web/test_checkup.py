"""Each line in and out of the switchboard is tried once, and a finding says what to do about it."""

import math
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import httpx
import orjson
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    Scope,
    WebsocketAcceptEvent,
    WebsocketCloseEvent,
)
from trio.testing import MockClock
from trio_websocket import ConnectionClosed
from twilio.request_validator import RequestValidator

from actors.errors import AgentUnavailable
from protocol.deepgram import ErrorReported, SettingsApplied, Welcome
from protocol.wire import PacedWebSocket, Take
from simulators.deepgram.dialogue import encode_server
from simulators.scenario import Caller, Scenario
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator
from tests.store.samples import newer_tables
from tests.web.fakes import ENVIRON, HERE, at_home, settings
from tests.web.test_serving import listening
from web.checkup import (
    check_clock,
    check_deepgram,
    check_everything,
    check_fillers,
    check_groq,
    check_recordings,
    check_records,
    check_session,
    check_think_models,
    check_token,
    first_settings,
)
from web.clients.twilio import TwilioApi
from web.twilio_checks import Finding, check_twilio, check_way_in


class Agent:
    """A Voice Agent socket that says a few things, and closes."""

    def __init__(self, *says: str | bytes) -> None:
        self.says = list(says)
        self.heard: list[str | bytes] = []

    async def get_message(self) -> str | bytes:
        await trio.lowlevel.checkpoint()
        if not self.says:
            raise ConnectionClosed(None)
        return self.says.pop(0)

    async def send_message(self, message: str | bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.heard.append(message)

    async def get_messages(self) -> list[str | bytes]:
        return [await self.get_message()]

    def send_nowait(self, *messages: str | bytes) -> bool:
        return False

    def gather(self, seconds: float, /, *, exactly: bool = False) -> None:
        pass

    def deliver(self, take: Take | None, /) -> None:
        pass

    def ping(self) -> None:
        pass

    @property
    def answered(self) -> float:
        return math.inf

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        await trio.lowlevel.checkpoint()


def connecting(agent: Agent | AgentUnavailable) -> Callable[[], AbstractAsyncContextManager[PacedWebSocket]]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[PacedWebSocket]:
        await trio.lowlevel.checkpoint()
        if isinstance(agent, AgentUnavailable):
            raise agent
        yield agent

    return connect


def http(answer: httpx.Response | Exception) -> httpx.AsyncClient:
    def respond(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    return httpx.AsyncClient(transport=httpx.MockTransport(respond))


APPLIED = encode_server(SettingsApplied())
REFUSED = encode_server(ErrorReported("INVALID_SETTINGS", "no"))
WELCOME = encode_server(Welcome("id"))
VOICES = "Check DEEPGRAM_API_KEY, DEEPGRAM_SPEAK_URL and the voices (*_VOICE_MODEL)."
TRY_AGAIN = "Try again, and check the network and DEEPGRAM_AGENT_URL."
SPOKEN = httpx.Response(200, content=b"\xff" * 16_000, headers={"content-type": "audio/mulaw"})
UNMENDABLE = "Check DEEPGRAM_API_KEY, DEEPGRAM_AGENT_URL, and the LISTEN_*, THINK_* and voice settings."
DENIED = AgentUnavailable("HTTP 401", retryable=False)
UNPAID = AgentUnavailable("HTTP 402 think of it", retryable=False)


@pytest.mark.parametrize(
    ("agent", "well", "says", "fix"),
    [
        (Agent(WELCOME, APPLIED), True, "opened a session and took the first agent's settings", ""),
        (Agent(WELCOME, REFUSED), False, "INVALID_SETTINGS: no", UNMENDABLE),
        (Agent("{"), False, "the session was closed (no close frame)", TRY_AGAIN),
        (Agent(WELCOME), False, "the session was closed (no close frame)", TRY_AGAIN),
        (DENIED, False, "HTTP 401", "Check DEEPGRAM_API_KEY."),
        (AgentUnavailable("HTTP 503"), False, "HTTP 503", TRY_AGAIN),
        (UNPAID, False, "HTTP 402 think of it", "Add credit to the Deepgram project."),
    ],
)  # fmt: skip
async def test_deepgram_is_found_as_it_is(
    agent: Agent | AgentUnavailable, well: bool, says: str, fix: str, autojump_clock: MockClock
) -> None:
    finding = await check_deepgram(connecting(agent), first_settings(settings()))

    assert finding == Finding(well=well, says=says, fix=fix)


@pytest.mark.parametrize(
    ("code", "description", "names"),
    [
        ("INVALID_SETTINGS", "Invalid agent.think settings - model not available", "THINK_MODEL"),
        ("FAILED_TO_THINK", "the model did not answer", "THINK_MODEL"),
        ("FAILED_TO_THINK", "the provider answers HTTP 401", "THINK_MODEL"),
        ("INVALID_SETTINGS", "agent.listen.provider.model: unknown", "LISTEN_MODEL"),
        ("FAILED_TO_START_LISTENING", "no such language", "LISTEN_LANGUAGE"),
        ("INVALID_SETTINGS", "agent.speak.provider.model: unknown", "_VOICE_MODEL"),
    ],
)
async def test_what_deepgram_refuses_is_told_with_the_setting_that_asks_for_it(
    code: str, description: str, names: str, autojump_clock: MockClock
) -> None:
    refused = Agent(WELCOME, encode_server(ErrorReported(code, description)))

    finding = await check_deepgram(connecting(refused), first_settings(settings()))

    assert (finding.well, names in finding.fix) == (False, True)


def think_list(*pairs: tuple[str, str]) -> httpx.Response:
    return httpx.Response(200, json={"models": [{"id": name, "name": name, "provider": by} for by, name in pairs]})


OURS = (("open_ai", "gpt-5.4-mini"), ("anthropic", "claude-haiku-4-5"))


@pytest.mark.parametrize(
    ("answer", "well", "says", "fix"),
    [
        (think_list(*OURS), True, "has open_ai/gpt-5.4-mini, anthropic/claude-haiku-4-5", ""),
        (
            think_list(("OpenAI", "gpt-5.4-mini"), ("Anthropic", "claude-haiku-4-5")),
            True,
            "has open_ai/gpt-5.4-mini",
            "",
        ),
        (
            think_list(OURS[1], ("google", "gemini-3.5-flash")),
            False,
            "open_ai/gpt-5.4-mini (THINK_MODEL): not offered; anthropic/claude-haiku-4-5 is used instead. Offered: ",
            "Change THINK_MODEL",
        ),
        (think_list(OURS[0]), False, "anthropic/claude-haiku-4-5 (THINK_FALLBACK)", "Change THINK_FALLBACK."),
        (think_list(("google", "x")), False, "nothing else is left", "Change THINK_MODEL and THINK_FALLBACK."),
        (think_list(), False, "an empty list", "Check the network and DEEPGRAM_AGENT_URL."),
        (httpx.Response(404), True, "does not list its models", ""),
        (httpx.Response(401), False, "HTTP 401", "Check DEEPGRAM_API_KEY."),
        (httpx.ConnectError("refused"), False, "ConnectError", "Check the network and DEEPGRAM_AGENT_URL."),
        (httpx.Response(200, text="<h1>"), False, "JSONDecodeError", "Check the network and DEEPGRAM_AGENT_URL."),
    ],
)
async def test_a_model_that_deepgram_does_not_run_is_told_with_what_is_used_instead(
    answer: httpx.Response | Exception, well: bool, says: str, fix: str, autojump_clock: MockClock
) -> None:
    finding = await check_think_models(settings(), http(answer))

    assert (finding.well, says in finding.says, fix in finding.fix) == (well, True, True), finding


@pytest.mark.parametrize(
    ("answer", "models"),
    [
        (think_list(OURS[1]), ["claude-haiku-4-5"]),
        (httpx.Response(503), ["gpt-5.4-mini", "claude-haiku-4-5"]),
    ],
)
async def test_the_session_is_opened_with_the_models_that_a_call_would_use(
    answer: httpx.Response, models: list[str], autojump_clock: MockClock
) -> None:
    agent = Agent(WELCOME, APPLIED)

    finding = await check_session(connecting(agent), settings(), http(answer))

    think = orjson.loads(agent.heard[0])["agent"]["think"]
    chain = think if isinstance(think, list) else [think]
    assert (finding.well, [each["provider"]["model"] for each in chain]) == (True, models)


async def test_a_model_behind_an_endpoint_of_ours_is_not_looked_for(autojump_clock: MockClock) -> None:
    chosen = settings(THINK_PROVIDER="groq", THINK_MODEL="openai/gpt-oss-20b", THINK_ENDPOINT="https://groq.test/v1")

    finding = await check_think_models(chosen, http(think_list(*OURS)))

    assert finding.well


async def test_deepgram_is_shown_the_settings_of_the_first_agent(autojump_clock: MockClock) -> None:
    agent = Agent(WELCOME, encode_server(SettingsApplied()))

    await check_deepgram(connecting(agent), first_settings(settings(LISTEN_MODEL="flux-general-multi")))

    assert [orjson.loads(text)["agent"]["listen"]["provider"]["model"] for text in agent.heard] == [
        "flux-general-multi"
    ]


@pytest.mark.parametrize(
    ("answer", "well", "says"),
    [
        (httpx.Response(404, headers={"date": "Thu, 26 Nov 2026 00:00:00 GMT"}), True, "agrees with Twilio's to 2 s"),
        (httpx.Response(404, headers={"date": "Thu, 26 Nov 2026 00:01:00 GMT"}), False, "58 s off"),
        (httpx.Response(404), True, "not compared: Twilio gave no date (KeyError)"),
        (httpx.ConnectError("refused"), True, "not compared: Twilio gave no date (ConnectError)"),
    ],
)
async def test_a_clock_that_is_off_is_found(
    answer: httpx.Response | Exception, well: bool, says: str, autojump_clock: MockClock
) -> None:
    now = 1795651202.0  # 2026-11-26 00:00:02 UTC

    finding = await check_clock(settings(), http(answer), lambda: now)

    assert (finding.well, finding.says) == (well, says)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"LEAD_SERVER_HOST": "203.0.113.1"}, "required of every operator"),
        (HERE, "not set: calls are placed from this machine only"),
    ],
    ids=["elsewhere", "here"],
)
def test_whether_operators_need_a_token_is_said(changes: dict[str, str], says: str) -> None:
    assert check_token(settings(**changes)) == Finding(well=True, says=says)


@pytest.mark.parametrize(
    ("answer", "well", "fix"),
    [
        (httpx.Response(200, json={"data": [{"id": "openai/gpt-oss-120b"}, {"id": "openai/gpt-oss-20b"}]}), True, ""),
        (httpx.Response(200, json={"data": [{"id": "openai/gpt-oss-20b"}]}), False, "Change GROQ_LLM."),
        (httpx.Response(200, json={"data": [{"id": "another"}]}), False, "Change GROQ_LLM."),
        (httpx.Response(401, json={}), False, "Check GROQ_API_KEY."),
        (httpx.Response(503, json={}), False, "Try again, and check GROQ_BASE_URL."),
        (httpx.Response(200, text="<h1>"), False, "Check the network and GROQ_BASE_URL."),
        (httpx.ConnectError("refused"), False, "Check the network and GROQ_BASE_URL."),
    ],
)
async def test_groq_is_found_as_it_is(
    answer: httpx.Response | Exception, well: bool, fix: str, autojump_clock: MockClock
) -> None:
    finding = await check_groq(settings(), http(answer))

    assert (finding.well, finding.fix) == (well, fix)


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (["openai/gpt-oss-20b"], "openai/gpt-oss-120b (GROQ_LLM): not offered; openai/gpt-oss-20b is used instead."),
        (["other"], "not offered; Briefs are extracts from what was said. Offered: other"),
    ],
)
async def test_a_model_that_groq_does_not_have_is_told_with_what_is_used_instead(
    there: list[str], says: str, autojump_clock: MockClock
) -> None:
    finding = await check_groq(settings(), http(httpx.Response(200, json={"data": [{"id": name} for name in there]})))

    assert says in finding.says


async def test_another_api_for_briefs_is_asked_with_its_own_key(autojump_clock: MockClock) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"data": [{"id": "qwen3:8b"}]})

    chosen = settings(SUMMARY_URL="http://llm.test/v1/", SUMMARY_MODEL="qwen3:8b", SUMMARY_API_KEY="own-key")
    finding = await check_groq(chosen, httpx.AsyncClient(transport=httpx.MockTransport(answer)))

    assert finding == Finding(well=True, says="has qwen3:8b")
    assert [(str(one.url), one.headers["authorization"]) for one in asked] == [
        ("http://llm.test/v1/models", "Bearer own-key")
    ]


@pytest.mark.parametrize(
    ("answer", "well", "says", "fix"),
    [
        (SPOKEN, True, "gives the fillers in every voice", ""),
        (httpx.Response(401), False, "HTTP 401", VOICES),
        (httpx.ConnectError("refused"), False, "ConnectError", "Check the network and DEEPGRAM_SPEAK_URL."),
    ],
)
async def test_the_fillers_are_found_as_they_are(
    answer: httpx.Response | Exception, well: bool, says: str, fix: str, autojump_clock: MockClock
) -> None:
    finding = await check_fillers(settings(), http(answer))

    assert (finding.well, says in finding.says, finding.fix) == (well, True, fix)


async def test_a_database_that_takes_records_is_found(tmp_path: Path) -> None:
    finding = await check_records(settings(DATABASE_URL=f"sqlite:///{tmp_path}/calls.db"))

    assert finding == Finding(well=True, says="the database answers")


async def test_a_database_that_is_away_is_found_without_its_password(tmp_path: Path) -> None:
    away = f"postgresql://switchboard:s3cret-word@127.0.0.1:{free_port()}/calls"
    findings = [await check_records(settings(DATABASE_URL=url)) for url in (away, f"sqlite:///{tmp_path}/no/calls.db")]

    assert [finding.well for finding in findings] == [False, False]
    assert all("DATABASE_URL" in finding.fix for finding in findings)
    assert "s3cret" not in str(findings)


async def test_a_database_of_a_newer_version_is_found(tmp_path: Path) -> None:
    finding = await check_records(settings(DATABASE_URL=f"sqlite:///{newer_tables(tmp_path / 'calls.db')}"))

    assert (finding.well, "newer switchboard" in finding.says) == (False, True)
    assert "Update this switchboard" in finding.fix


async def test_records_without_a_database_are_told() -> None:
    finding = await check_records(settings(DATABASE_URL="memory:"))

    assert (finding.well, "forgotten at the end" in finding.says) == (True, True)


async def test_an_object_store_is_tried_out_and_left_as_it_was(tmp_path: Path) -> None:
    urls = (f"file://{tmp_path}/there", f"file://{tmp_path}/file/there", "s3://bucket/there")
    (tmp_path / "file").touch()
    findings = [await check_recordings(url) for url in urls]

    assert [finding.well for finding in findings] == [True, False, False]
    assert "s3fs" in findings[2].says
    assert all("RECORDINGS_URL" in finding.fix for finding in findings[1:])
    assert list((tmp_path / "there" / "check").iterdir()) == []


async def test_without_a_key_groq_is_not_asked(autojump_clock: MockClock) -> None:
    assert (await check_groq(settings(GROQ_API_KEY=""), http(httpx.ConnectError("never")))).well


def numbers(*urls: str, voice: bool = True) -> httpx.Response:
    told = {"sid": "PN" + "0" * 32, "phone_number": "+15551230000", "capabilities": {"sms": True, "voice": voice}}
    found = [{**told, "voice_url": url} for url in urls]
    return httpx.Response(200, json={"incoming_phone_numbers": found, "page": 0, "page_size": 50, "uri": "/x"})


@pytest.mark.parametrize(
    ("answer", "well", "fix"),
    [
        (numbers("https://agent.example.com/twilio/voice"), True, ""),
        (numbers("https://elsewhere.example"), True, "webhook to https://agent.example.com/twilio/voice"),
        (numbers(), False, "TWILIO_PHONE_NUMBER"),
        (numbers("https://agent.example.com/twilio/voice", voice=False), False, "a number that can do voice"),
        (httpx.Response(401, json={"code": 20003, "message": "No", "status": 401}), False, "TWILIO_AUTH_TOKEN"),
        (httpx.ConnectError("refused"), False, "TWILIO_API_URL"),
    ],
)  # fmt: skip
async def test_twilio_is_found_as_it_is(
    answer: httpx.Response | Exception, well: bool, fix: str, autojump_clock: MockClock
) -> None:
    api = TwilioApi("AC" + "0" * 32, ("AC" + "0" * 32, "token"), "http://twilio.test", http(answer))

    finding = await check_twilio(settings(), api)

    assert (finding.well, fix in finding.fix) == (well, True)


async def test_the_simulated_twilio_is_found_to_have_our_number(autojump_clock: MockClock) -> None:
    chosen = settings()
    knobs = TwilioKnobs(voice_url=f"{chosen.lead_server_external_url}/twilio/voice")
    plot = Scenario("test", "", Caller(), {})
    async with httpx.AsyncClient() as unused:
        simulated = TwilioSimulator(plot, unused, chosen.twilio_account_sid, chosen.twilio_auth_token, knobs)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(simulated)) as http:
            api = TwilioApi(chosen.twilio_account_sid, chosen.rest_credentials, "http://twilio.test", http)
            finding = await check_twilio(chosen, api)

    assert finding == Finding(well=True, says="has our number, and sends its calls here")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


async def test_our_own_door_is_tried_signed_and_unsigned() -> None:
    port = free_port()
    tokens = "the-new-one,the-old-one"  # while it is changed
    origin = f"http://127.0.0.1:{port}"
    there = at_home(LEAD_SERVER_EXTERNAL_URL=origin, LEAD_SERVER_PORT=str(port), TWILIO_AUTH_TOKEN=tokens)
    async with listening(there, port):
        finding = await check_way_in(there.settings, ssl.create_default_context())

    assert (finding.well, finding.says) == (True, "takes signed upgrades and refuses others")


async def test_a_door_with_another_token_behind_it_is_told() -> None:
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    async with listening(at_home(LEAD_SERVER_EXTERNAL_URL=origin, TWILIO_AUTH_TOKEN="another-token"), port):
        finding = await check_way_in(
            settings(**{**HERE, "LEAD_SERVER_EXTERNAL_URL": origin}), ssl.create_default_context()
        )

    assert (finding.well, "HTTP 403" in finding.says) == (False, True)


@pytest.mark.parametrize(
    ("origin", "warns"),
    [
        ("https://agent.example.com", False),
        ("https://agent.example.com:443", False),
        ("https://agent.example.com:8443", True),
        ("https://agent.example.com:80", True),
    ],
)
async def test_a_public_address_on_another_port_is_warned_about(
    origin: str, warns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether anything answers there or not."""
    findings = []
    for answers in (["accepted", "HTTP 403"], ["no answer"]):
        upgraded = iter(answers)

        async def upgrade(*_: object, upgraded: Iterator[str] = upgraded) -> str:
            return next(upgraded)

        async def knock(*_: object) -> None:
            """The webhooks answer as they should."""

        monkeypatch.setattr("web.twilio_checks._upgrade", upgrade)
        monkeypatch.setattr("web.twilio_checks._ask_webhooks", knock)
        chosen = settings(LEAD_SERVER_EXTERNAL_URL=origin)
        findings.append(await check_way_in(chosen, ssl.create_default_context()))

    assert [(finding.well, "Use port 443" in finding.fix) for finding in findings] == [(True, warns), (False, warns)]


async def test_everything_is_checked_side_by_side_and_nothing_raises() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    chosen = settings(
        LEAD_SERVER_EXTERNAL_URL=f"http://{nowhere}",
        DEEPGRAM_AGENT_URL=f"ws://{nowhere}",
        GROQ_BASE_URL=f"http://{nowhere}",
        TWILIO_API_URL=f"http://{nowhere}",
        DEEPGRAM_SPEAK_URL=f"http://{nowhere}/v1/speak",
    )

    findings = await check_everything(chosen)

    assert [(subject, finding.well) for subject, finding in findings.items()] == [
        ("API token", True),
        ("Clock", True),
        ("Deepgram", False),
        ("Fillers", False),
        ("Groq", False),
        ("Languages", True),
        ("Public address", False),
        ("Records", True),
        ("Think models", False),
        ("Twilio", False),
    ]


@pytest.mark.slow
async def test_a_service_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.checkup.CHECK_SECONDS", 0.5)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listeners[0] as mute:
        nowhere = f"127.0.0.1:{mute.socket.getsockname()[1]}"
        findings = await check_everything(
            settings(
                DEEPGRAM_AGENT_URL=f"ws://{nowhere}",
                DEEPGRAM_SPEAK_URL=f"http://{nowhere}/v1/speak",
                LEAD_SERVER_EXTERNAL_URL=f"http://{nowhere}",
                GROQ_BASE_URL=f"http://{nowhere}",
                TWILIO_API_URL=f"http://{nowhere}",
            )
        )

    assert [subject for subject, finding in findings.items() if not finding.well] == [
        "Clock",
        "Deepgram",
        "Fillers",
        "Groq",
        "Public address",
        "Think models",
        "Twilio",
    ]


@attrs.define
class Listening:
    """Everything that is asked: it notes who shows which credential where, and has nothing."""

    shown: dict[str, set[str]] = attrs.field(factory=dict)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        event = await receive()
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        kind = "socket " if scope["type"] == "websocket" else ""
        told = headers.get("authorization", headers.get("x-twilio-signature", "nothing"))
        self.shown.setdefault(f"{kind}{scope['path']}", set()).add(told)
        if event["type"] == "websocket.connect":
            is_signed = "x-twilio-signature" in headers
            accept = WebsocketAcceptEvent(type="websocket.accept", subprotocol=None, headers=[])
            close = WebsocketCloseEvent(type="websocket.close", code=1000, reason=None)
            await send(accept if is_signed else close)
            return
        status = {"/twilio/voice": 403, "/twilio/stream": 204}.get(scope["path"], 404)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.mark.parametrize(
    ("more", "rest"),
    [
        ({}, (ENVIRON["TWILIO_ACCOUNT_SID"], "the-new-one")),
        ({"TWILIO_API_KEY": "SK" + "1" * 32, "TWILIO_API_SECRET": "a-secret"}, ("SK" + "1" * 32, "a-secret")),
    ],
    ids=["auth token", "API key"],
)
async def test_each_service_is_shown_its_own_credential_and_nobody_else_one(
    more: dict[str, str], rest: tuple[str, str]
) -> None:
    theirs, closing = Listening(), trio.Event()
    config = Config()
    config.bind, config.loglevel = ["127.0.0.1:0"], "ERROR"
    async with trio.open_nursery() as nursery:
        serve = partial(hypercorn_serve, theirs, config, shutdown_trigger=closing.wait, mode="asgi")
        (origin,) = await nursery.start(serve)
        urls = dict.fromkeys(("LEAD_SERVER_EXTERNAL_URL", "TWILIO_API_URL", "GROQ_BASE_URL"), origin)
        agent = {"DEEPGRAM_AGENT_URL": f"ws{origin.removeprefix('http')}/agent/converse"}
        speak = {"DEEPGRAM_SPEAK_URL": f"{origin}/v1/speak"}
        await check_everything(settings(TWILIO_AUTH_TOKEN="the-new-one,the-old-one", **urls, **agent, **speak, **more))
        closing.set()
    signed, rest_url = RequestValidator("the-new-one").compute_signature, "/2010-04-01/Accounts/"
    deepgram, basic = {"Token deepgram-key"}, f"Basic {b64encode(':'.join(rest).encode()).decode()}"

    assert theirs.shown == {
        "socket /agent/converse": deepgram,
        "/agent/settings/think/models": deepgram,
        "/v1/speak": deepgram,
        "/openai/v1/models": {"Bearer groq-key"},
        f"{rest_url}{ENVIRON['TWILIO_ACCOUNT_SID']}/IncomingPhoneNumbers.json": {basic},
        "/": {"nothing"},
        "socket /twilio": {"nothing", signed(f"ws{origin.removeprefix('http')}/twilio", {})},
        "/twilio/voice": {"nothing"},
        "/twilio/stream": {signed(f"{origin}/twilio/stream", {"StreamEvent": "check"})},
    }
