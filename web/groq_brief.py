"""The stenographer's line: asks Groq for the Brief, and hands back what it wrote, unread.

`groq_brief` returns the `ask_brief` of `CallServices`: chat messages in, the text of one JSON object out (whether it is
a Brief is for `agents.brief` to say). It asks once and never again: the deadline is the Summarizer's, and a late
second try helps nobody. Every failure is `BriefUnavailable`; the httpx client and its connections are the server's.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import groq
import httpx
import orjson
from groq._base_client import get_platform
from groq.types.chat import ChatCompletionMessageParam
from groq.types.chat.completion_create_params import ResponseFormat

from actors.errors import BriefUnavailable
from actors.summarizer import AskBrief
from agents.brief import BRIEF_SCHEMA

OPENAI_PATH = "/openai/v1"
MAX_TOKENS = 600
_STRICT = ("openai/gpt-oss-",)
_BEST_EFFORT = ("meta-llama/llama-4-", "moonshotai/kimi-k2-")
"""Families that take a schema, strictly or as advice: https://console.groq.com/docs/structured-outputs"""


def response_format(model: str) -> ResponseFormat:
    """Return the strongest promise of JSON that this model can give."""
    if model.startswith(_STRICT + _BEST_EFFORT):
        strict = model.startswith(_STRICT)
        return {
            "type": "json_schema",
            "json_schema": {"name": "brief", "schema": dict(BRIEF_SCHEMA), "strict": strict},
        }
    return {"type": "json_object"}


def _said(answer: bytes) -> str:
    try:
        said = orjson.loads(answer)["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError) as exc:
        raise BriefUnavailable("the answer has no message in it") from exc
    if not isinstance(said, str) or not said.strip():
        raise BriefUnavailable("the answer is empty")
    return said


def groq_brief(api_key: str, base_url: str, model: str, http: httpx.AsyncClient) -> AskBrief:
    """Return a function that asks Groq for a Brief.

    Raises: the function raises `BriefUnavailable`.
    """
    client = groq.AsyncGroq(
        api_key=api_key, base_url=base_url.removesuffix(OPENAI_PATH), http_client=http, max_retries=0
    )
    client._platform = get_platform()  # else the first call finds it out, in a thread
    completions = client.chat.completions.with_raw_response  # imports half of the library: now, not in a call
    wanted = response_format(model)

    async def ask(messages: Sequence[Mapping[str, str]]) -> str:
        try:
            answer = await completions.create(
                model=model,
                messages=[cast("ChatCompletionMessageParam", dict(message)) for message in messages],
                response_format=wanted,
                temperature=0.2,
                max_completion_tokens=MAX_TOKENS,
            )
        except groq.APIStatusError as exc:
            raise BriefUnavailable(f"HTTP {exc.status_code}") from exc
        except groq.APIError as exc:
            raise BriefUnavailable(type(exc).__name__) from exc
        return _said(answer.http_response.content)

    return ask
