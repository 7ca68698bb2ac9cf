"""Client for the LLM that writes Briefs: Groq, or any other API that answers as OpenAI's chat completions do.

`BriefClient.ask` is the `ask_brief` of `CallServices`: chat messages in, the text of one JSON object out (whether it is
a Brief is for `agents.brief` to say). Models are preferences: one that the API refuses, or whose limit is reached, is
told once, put aside, and the next one is asked, for this Brief and for those that follow. Nothing else is tried again:
the deadline is the Summarizer's, and a late second try helps nobody. Every failure is `BriefUnavailable`; the httpx
client and its connections are the server's.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

import attrs
import httpx
import orjson
import structlog
import trio

from actors.errors import BriefUnavailable
from actors.summarizer import BriefCost, BriefText
from agents.brief import BRIEF_SCHEMA
from protocol.fields import JSON
from store.json_text import json_text
from web.clients.http import retry_after

GROQ_PATH = "/openai/v1"
MAX_TOKENS = 2_000
"""Reasoning counts, and too few tokens give an empty answer: https://console.groq.com/docs/reasoning"""
GONE_SECONDS, FAILED_SECONDS = 3600.0, 300.0
"""For how long a model is put aside: one that is not there, and one that wrote no JSON."""
LIMITED_SECONDS, LONGEST_LIMIT = 10.0, 300.0
"""The same for one whose limit is reached, if the API does not say, and at the most."""
_REFUSALS = frozenset({400, 401, 403, 404, 422})
"""Statuses that the same request meets again; 5xx pass, and so does 429, which is about one model."""
_KEY_REFUSED = frozenset({401, 403})
_NO_JSON = "json_validate_failed"
_ABOUT_THE_CALL = frozenset({"context_length_exceeded", "string_above_max_length"})
_SCHEMAS = re.compile(r"gpt-oss-(20|120)b|gpt-(4o|4\.1|5)")
"""Families that keep to a strict schema: https://console.groq.com/docs/structured-outputs, OpenAI's the same way"""
_REASONERS = re.compile(r"gpt-oss-(20|120)b|gpt-5(?!.*-chat)|o[0-9]")

_NO_AUTH = httpx.Auth()
"""The key is in the headers; a client that is not told so looks for one in the URL, for each request."""
_READ = httpx.ByteStream(b"")
"""The stream of an answer that was read."""

_log = structlog.stdlib.get_logger()


def response_format(model: str, schema: Mapping[str, JSON] = BRIEF_SCHEMA) -> dict[str, JSON]:
    """Return the strongest promise of JSON that this model can give."""
    if schema and _SCHEMAS.match(_bare(model)):
        return {"type": "json_schema", "json_schema": {"name": "brief", "schema": dict(schema), "strict": True}}
    return {"type": "json_object"}


def request_for(
    model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, JSON] = BRIEF_SCHEMA
) -> dict[str, JSON]:
    bare = _bare(model)
    body: dict[str, JSON] = {
        "model": model,
        "messages": [dict(message) for message in messages],
        "response_format": response_format(model, schema),
        "max_completion_tokens": MAX_TOKENS,
    }
    if _REASONERS.match(bare):
        body["reasoning_effort"] = "low"
    if not _REASONERS.match(bare) or bare.startswith("gpt-oss"):  # OpenAI's own take no other temperature than 1
        body["temperature"] = 0.2
    return body


def _bare(model: str) -> str:
    return model.rpartition("/")[2]


@attrs.frozen
class BriefRefusal:
    status: int
    code: str
    message: str
    wait: float = LIMITED_SECONDS

    @classmethod
    def of(cls, answer: httpx.Response) -> "BriefRefusal":
        """Read an error in OpenAI's shape, or in none."""
        try:
            error = orjson.loads(answer.content)["error"]
            code, message = error.get("code") or error.get("type"), error.get("message")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            code, message = None, None
        asked = retry_after(answer)
        wait = LIMITED_SECONDS if asked is None else min(max(asked, 1.0), LONGEST_LIMIT)
        return cls(answer.status_code, str(code or ""), str(message or "")[:300], wait)

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.code}".rstrip()

    @property
    def is_lasting(self) -> bool:
        return self.status != httpx.codes.TOO_MANY_REQUESTS

    @property
    def seconds_aside(self) -> float:
        """For how long the model need not be asked again; 0 if another request may well succeed."""
        if not self.is_lasting:
            return self.wait
        if self.status not in _REFUSALS or self.code in _ABOUT_THE_CALL:
            return 0.0
        return FAILED_SECONDS if self.code == _NO_JSON else GONE_SECONDS


@attrs.define(eq=False)
class BriefClient:
    """One API and the models that are wanted of it, the best first; `offered` is what it lists, once it was asked."""

    url: str
    api_key: str | None = attrs.field(repr=False)
    models: tuple[str, ...]
    http: httpx.AsyncClient
    offered: frozenset[str] | None = None
    schema: Mapping[str, JSON] = attrs.field(default=BRIEF_SCHEMA, kw_only=True)
    """Of a Brief with every entry that any agent of the roster asks for."""
    _aside: dict[str, tuple[float, BriefRefusal]] = attrs.field(factory=dict, init=False)
    _told: set[tuple[str, str]] = attrs.field(factory=set, init=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    @cached_property
    def _prepared(self) -> tuple[httpx.URL, httpx.Headers, dict[str, object]]:
        """What all requests have in common: put together by the client each time, it would cost as much as the rest.

        Raises: `httpx.InvalidURL`.
        """
        headers = httpx.Headers({**self.http.headers, **self.headers, "Content-Type": "application/json"})
        url = self.http.base_url.join(f"{self.url}/chat/completions")
        return url, headers, {"timeout": self.http.timeout.as_dict()}

    def best(self) -> tuple[str, ...]:
        known = tuple(model for model in self.models if self.offered is None or model in self.offered)
        now = trio.current_time()
        return tuple(model for model in known or self.models if self._aside.get(model, (now, None))[0] <= now)

    async def ask(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, JSON] | None = None) -> BriefText:
        """Return what the best model wrote that can be had: by the schema of a Brief, or by this one.

        An empty schema allows any object.

        Raises: `BriefUnavailable`; it is lasting when no model is left, and none of them waits for its limit.
        """
        requests = 0
        while (model := next(iter(self.best()), None)) is not None:
            requests += 1
            answer = await self._post(model, messages, requests, self.schema if schema is None else schema)
            if answer.is_success:
                return _said(answer.content, requests)
            refusal = BriefRefusal.of(answer)
            if not refusal.seconds_aside:
                raise BriefUnavailable(str(refusal), requests=requests)
            self._put_aside(model, refusal)
        left = "; ".join(f"{model}: {refusal}" for model, (_, refusal) in self._aside.items())
        lasting = all(refusal.is_lasting for _, refusal in self._aside.values())
        raise BriefUnavailable(f"no model is left ({left})", lasting=lasting, requests=requests)

    async def _post(
        self, model: str, messages: Sequence[Mapping[str, str]], number: int, schema: Mapping[str, JSON]
    ) -> httpx.Response:
        body = json_text(request_for(model, messages, schema))
        try:
            url, headers, wait = self._prepared
            request = httpx.Request("POST", url, headers=headers, content=body, extensions=wait)
            answer = await self.http.send(request, auth=_NO_AUTH)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise BriefUnavailable(type(exc).__name__, requests=number) from exc
        answer.stream = _READ  # httpx's own holds the answer, which holds it: 40 objects for the garbage collector
        return answer

    def _put_aside(self, model: str, refusal: BriefRefusal) -> None:
        until = trio.current_time() + refusal.seconds_aside
        is_ours = refusal.status in _KEY_REFUSED and not refusal.code.startswith("model_")
        for each in self.models if is_ours else (model,):
            self._aside[each] = (until, refusal)
        if (model, str(refusal)) not in self._told:
            self._told.add((model, str(refusal)))
            instead = next(iter(self.best()), "the extract from what was said")
            _log.warning(
                "summary_model_refused",
                model=model,
                status=refusal.status,
                code=refusal.code,
                says=refusal.message,
                instead=instead,
            )


def _said(answer: bytes, requests: int) -> BriefText:
    try:
        told = orjson.loads(answer)
        choice = told["choices"][0]
        said, why = choice["message"]["content"], choice.get("finish_reason")
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError) as exc:
        raise BriefUnavailable("the answer has no message in it", requests=requests) from exc
    if isinstance(said, list):  # the model's thoughts and its words, as parts
        parts = [part["text"] for part in said if isinstance(part, dict) and isinstance(part.get("text"), str)]
        said = "".join(parts)
    if not isinstance(said, str) or not said.strip():
        raise BriefUnavailable(f"the answer is empty ({why})" if why else "the answer is empty", requests=requests)
    return BriefText(said, _cost(told.get("usage"), requests))


def _cost(usage: JSON, requests: int) -> BriefCost:
    """Read the token counts of an answer; anything but a count is 0."""
    told = usage if isinstance(usage, dict) else {}
    counts = (told.get(name) for name in ("prompt_tokens", "completion_tokens"))
    return BriefCost(requests, *(count if type(count) is int and count > 0 else 0 for count in counts))
