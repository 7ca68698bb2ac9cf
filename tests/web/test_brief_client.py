"""What the LLM wrote is handed back unread, every failure is one exception, and a model that is gone is told once."""

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import httpx
import orjson
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.errors import BriefUnavailable
from actors.summarizer import BriefCost
from agents.brief import BRIEF_SCHEMA
from simulators.faults import parse_fault
from simulators.groq import RETRY_AFTER, GroqSimulator
from web.clients.briefs import GONE_SECONDS, BriefClient, BriefRefusal, request_for, response_format
from web.clients.twilio import TwilioApi

MESSAGES = [{"role": "user", "content": "Write the Brief."}]
SAID = '{"summary": "short"}'
GOOD = {"choices": [{"message": {"role": "assistant", "content": SAID}}]}


def asking(
    answer: httpx.Response | Exception, seen: list[httpx.Request], base_url: str = "https://groq.test/openai/v1"
) -> object:
    async def answer_with(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer_with))
    return BriefClient(base_url, "gsk_x", ("llama-3.3-70b-versatile",), http).ask(MESSAGES)


PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": SAID}]


@pytest.mark.parametrize("content", [SAID, PARTS], ids=["text", "parts"])
async def test_what_the_model_wrote_is_handed_back(content: object, autojump_clock: MockClock) -> None:
    seen: list[httpx.Request] = []
    message = {"role": "assistant", "content": content}

    said = await asking(httpx.Response(200, json={"choices": [{"message": message}]}), seen)  # type: ignore[misc]

    asked = orjson.loads(seen[0].content)
    assert said == SAID
    assert str(seen[0].url) == "https://groq.test/openai/v1/chat/completions"
    assert seen[0].headers["authorization"] == "Bearer gsk_x"
    assert (asked["messages"], asked["response_format"]) == (MESSAGES, {"type": "json_object"})


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, json={"error": {"message": "Invalid API Key"}}),
        httpx.Response(429, json={"error": {"message": "slow down"}}, headers={"retry-after": "0"}),
        httpx.Response(500, text="oops"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(200, text="not json"),
        httpx.Response(200, content=b'{"choices": [{"mess', headers={"content-type": "application/json"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"choices": []}),
        httpx.Response(200, json={"choices": [{"message": {"content": None}}]}),
        httpx.Response(200, json={"choices": [{"message": {"content": "  "}}]}),
        httpx.Response(200, json={"choices": [{"message": {"content": [{"type": "text", "text": None}, "x"]}}]}),
    ],
    ids=repr,
)
async def test_every_failure_is_the_same_exception_after_one_attempt(
    answer: httpx.Response | Exception, autojump_clock: MockClock
) -> None:
    seen: list[httpx.Request] = []

    with pytest.raises(BriefUnavailable):
        await asking(answer, seen)  # type: ignore[misc]
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("model", "keeps_to_schema"),
    [
        ("openai/gpt-oss-20b", True),
        ("openai/gpt-oss-120b", True),
        ("gpt-5.4-mini", True),
        ("openai/gpt-oss-safeguard-20b", False),
        ("qwen3:8b", False),
    ],
)
def test_models_that_keep_to_a_schema_are_given_it(model: str, keeps_to_schema: bool) -> None:
    schema = {"name": "brief", "schema": BRIEF_SCHEMA, "strict": True}
    given = {"type": "json_schema", "json_schema": schema}

    assert response_format(model) == (given if keeps_to_schema else {"type": "json_object"})


@pytest.mark.parametrize(
    ("model", "effort", "temperature"),
    [
        ("openai/gpt-oss-120b", "low", 0.2),
        ("openai/gpt-oss-20b", "low", 0.2),
        ("gpt-5.4-mini", "low", None),
        ("o4-mini", "low", None),
        ("gpt-5.2-chat-latest", None, 0.2),
        ("openai/gpt-oss-safeguard-20b", None, 0.2),
        ("gpt-4.1-mini", None, 0.2),
        ("mistral-small", None, 0.2),
    ],
)
def test_a_model_that_reasons_is_asked_to_be_quick_and_has_room(
    model: str, effort: str | None, temperature: float | None
) -> None:
    body = request_for(model, MESSAGES)

    assert (body.get("reasoning_effort"), body.get("temperature")) == (effort, temperature)
    assert cast("int", body["max_completion_tokens"]) >= 1500


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 812, "completion_tokens": 96, "total_tokens": 908}, (812, 96)),
        ({"prompt_tokens": 812}, (812, 0)),
        ({"prompt_tokens": "812", "completion_tokens": None}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": -3}, (0, 0)),
        (None, (0, 0)),
        ([], (0, 0)),
        ("many", (0, 0)),
    ],
)
async def test_an_answer_says_what_it_has_cost_if_the_api_does(
    usage: object, tokens: tuple[int, int], autojump_clock: MockClock
) -> None:
    told = await asking(httpx.Response(200, json={**GOOD, "usage": usage}), [])  # type: ignore[misc]

    assert told.cost == BriefCost(1, *tokens)


def test_an_answer_that_ran_dry_says_so() -> None:
    empty = {"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}

    async def ask() -> None:
        await asking(httpx.Response(200, json=empty), [])  # type: ignore[misc]

    with pytest.raises(BriefUnavailable, match="empty \\(length\\)"):
        trio.run(ask)


FIRST, SECOND = "openai/gpt-oss-120b", "openai/gpt-oss-20b"


@asynccontextmanager
async def two_models(*faults: str, retired: Sequence[str] = ()) -> AsyncIterator[tuple[BriefClient, GroqSimulator]]:
    simulator = GroqSimulator([parse_fault(f"groq: {fault}") for fault in faults], retired=retired)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(simulator), base_url="http://groq.test") as http:
        yield BriefClient("http://groq.test/openai/v1", "gsk_x", (FIRST, SECOND), http), simulator


async def ask_often(client: BriefClient, times: int = 5) -> list[BriefUnavailable]:
    failed = []
    for _ in range(times):
        try:
            await client.ask(JSON_MESSAGES)
        except BriefUnavailable as why:
            failed.append(why)
    return failed


JSON_MESSAGES = [{"role": "user", "content": "Write JSON."}]


async def test_a_request_to_a_model_that_is_refused_counts_too(autojump_clock: MockClock) -> None:
    async with two_models("model_not_found on request 1") as (client, _):
        assert (await client.ask(JSON_MESSAGES)).cost.requests == 2
    async with two_models("model_not_found") as (client, _):
        assert [failed.requests for failed in await ask_often(client)] == [2, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("fault", "status"), [("model_not_found", 404), ("model_decommissioned", 400), ("json_validate_failed", 400)]
)
async def test_a_model_that_is_refused_is_told_once_and_the_next_one_writes(
    fault: str, status: int, autojump_clock: MockClock
) -> None:
    async with two_models(f"{fault} on request 1") as (client, groq):
        with capture_logs() as logs:
            failed = await ask_often(client)

    assert failed == []
    assert [request.model for request in groq.requests] == [FIRST] + 5 * [SECOND]
    assert [(log["event"], log["model"], log["status"], log["code"], log["instead"]) for log in logs] == [
        ("summary_model_refused", FIRST, status, fault, SECOND)
    ]


@pytest.mark.parametrize("fault", ["model_not_found", "model_decommissioned", "json_validate_failed"])
async def test_when_no_model_is_left_none_is_asked(fault: str, autojump_clock: MockClock) -> None:
    async with two_models(fault) as (client, groq):
        with capture_logs() as logs:
            failed = await ask_often(client)

    assert [request.model for request in groq.requests] == [FIRST, SECOND]
    assert len(logs) == 2
    assert all(why.lasting and fault in why.reason for why in failed)
    assert len(failed) == 5


async def test_a_key_that_is_refused_is_not_tried_with_every_model(autojump_clock: MockClock) -> None:
    denied = httpx.Response(401, json={"error": {"message": "Invalid API Key", "code": "invalid_api_key"}})
    seen: list[httpx.Request] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda one: seen.append(one) or denied)) as http:  # type: ignore[func-returns-value]
        client = BriefClient("http://groq.test/v1", "gsk_x", (FIRST, SECOND), http)
        with capture_logs() as logs:
            failed = await ask_often(client)

    assert (len(seen), len(logs), {why.lasting for why in failed}) == (1, 1, {True})


async def test_a_model_whose_limit_is_reached_is_asked_again_when_the_api_says(autojump_clock: MockClock) -> None:
    async with two_models("429 on request 1", "429 on request 3") as (client, groq):
        assert await ask_often(client, 1) == []
        limited = await ask_often(client)
        await trio.sleep(RETRY_AFTER)
        assert await ask_often(client, 1) == []

    assert [request.model for request in groq.requests] == [FIRST, SECOND, SECOND, FIRST]
    assert [(why.lasting, why.requests) for why in limited] == [(False, 1)] + 4 * [(False, 0)]


@pytest.mark.parametrize(
    ("asked", "waits"),
    [("7.66", 7.66), ("2", 2.0), ("0", 1.0), ("-3", 1.0), ("3600", 300.0), ("inf", 300.0), ("nan", 10.0), ("", 10.0)],
)
def test_a_limit_is_waited_for_as_long_as_the_api_says_to_the_fraction(asked: str, waits: float) -> None:
    assert BriefRefusal.of(httpx.Response(429, headers={"retry-after": asked})).seconds_aside == waits


async def test_what_passes_puts_no_model_aside(autojump_clock: MockClock) -> None:
    async with two_models("500 on request 1") as (client, groq):
        failed = await ask_often(client, 2)

    assert [why.lasting for why in failed] == [False]
    assert [request.model for request in groq.requests] == [FIRST, FIRST]


async def test_a_model_that_was_put_aside_is_asked_again_later(autojump_clock: MockClock) -> None:
    async with two_models("model_not_found on request 1") as (client, groq):
        await client.ask(JSON_MESSAGES)
        await trio.sleep(GONE_SECONDS)
        await client.ask(JSON_MESSAGES)

    assert [request.model for request in groq.requests] == [FIRST, SECOND, FIRST]


async def test_a_model_that_is_not_listed_is_passed_over(autojump_clock: MockClock) -> None:
    async with two_models() as (client, groq):
        client.offered = frozenset({SECOND, "another"})
        await client.ask(JSON_MESSAGES)

    assert [request.model for request in groq.requests] == [SECOND]


async def test_without_a_key_none_is_sent(autojump_clock: MockClock) -> None:
    seen: list[httpx.Request] = []
    answer = httpx.Response(200, json=GOOD)
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda one: seen.append(one) or answer)) as http:  # type: ignore[func-returns-value]
        await BriefClient("http://localhost:11434/v1", None, ("qwen3:8b",), http).ask(MESSAGES)

    assert "authorization" not in seen[0].headers


def ask_groq(http: httpx.AsyncClient) -> Awaitable[object]:
    return BriefClient("https://groq.test/openai/v1", "gsk_x", ("llama-3.3-70b-versatile",), http).ask(MESSAGES)


def ask_twilio(http: httpx.AsyncClient) -> Awaitable[object]:
    return TwilioApi("AC1", ("AC1", "secret"), "https://api.twilio.test", http).get("/Calls.json")


@pytest.mark.parametrize("ask", [ask_groq, ask_twilio])
async def test_an_answer_that_was_read_is_gone_without_garbage_collection(
    ask: Callable[[httpx.AsyncClient], Awaitable[object]], autojump_clock: MockClock
) -> None:
    answers = list["weakref.ref[httpx.Response]"]()

    async def answer_with(_: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        answer = httpx.Response(200, json=GOOD)
        answers.append(weakref.ref(answer))
        return answer

    gc.disable()
    try:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer_with)) as http:
            await ask(http)
            assert [answer() for answer in answers] == [None]
    finally:
        gc.enable()
