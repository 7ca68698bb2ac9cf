"""Groq's answer is handed back unread, and every failure is one exception."""

import httpx
import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.errors import BriefUnavailable
from agents.brief import BRIEF_SCHEMA
from web.groq_brief import groq_brief, response_format

MESSAGES = [{"role": "user", "content": "Write the Brief."}]
GOOD = {"choices": [{"message": {"role": "assistant", "content": '{"summary": "short"}'}}]}


def asking(
    answer: httpx.Response | Exception, seen: list[httpx.Request], base_url: str = "https://groq.test"
) -> object:
    async def answer_with(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer_with))
    return groq_brief("gsk_x", base_url, "llama-3.3-70b-versatile", http)(MESSAGES)


@pytest.mark.parametrize("base_url", ["https://groq.test", "https://groq.test/openai/v1"])
async def test_what_groq_wrote_is_handed_back(base_url: str, autojump_clock: MockClock) -> None:
    seen: list[httpx.Request] = []

    said = await asking(httpx.Response(200, json=GOOD), seen, base_url)  # type: ignore[misc]

    asked = orjson.loads(seen[0].content)
    assert said == '{"summary": "short"}'
    assert str(seen[0].url) == "https://groq.test/openai/v1/chat/completions"
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
    ("model", "strict"), [("openai/gpt-oss-20b", True), ("meta-llama/llama-4-scout-17b-16e-instruct", False)]
)
def test_models_that_take_a_schema_are_given_it(model: str, strict: bool) -> None:
    schema = {"name": "brief", "schema": BRIEF_SCHEMA, "strict": strict}

    assert response_format(model) == {"type": "json_schema", "json_schema": schema}
