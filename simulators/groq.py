"""Groq's chat completions, simulated: an OpenAI-shaped HTTP service that takes honest notes from a transcript.

`GroqSimulator` is an ASGI app. It answers `POST /openai/v1/chat/completions` and `GET /openai/v1/models` in the real
shapes, refuses what Groq refuses (key, missing fields, a response format that the model does not support), and acts out
the scenario's `groq:` faults. What it writes comes from the prompt alone: see `extraction`. It keeps `requests`, the
bodies it was sent, for tests. Shapes: https://console.groq.com/docs/api-reference, https://console.groq.com/docs/errors.
"""

import hmac
import re
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

import attrs
import cattrs
import httpx
import orjson
import trio

from protocol.fields import JSON, json_or
from simulators.asgi import HOST, Message, Receive, Request, Response, Send, answer_scope, json_response, serve_app
from simulators.extraction import ENTRIES, extract, fill_in
from simulators.faults import Fault, FaultPlan
from simulators.tls import Certificate

MODELS = ("openai/gpt-oss-120b", "openai/gpt-oss-20b", "openai/gpt-oss-safeguard-20b", "whisper-large-v3")
"""The models that are offered in autumn 2026: the llamas have gone (https://console.groq.com/docs/deprecations)."""
SCHEMA_MODELS = re.compile(r"openai/gpt-oss-(20|120)b")
"""Only these take `json_schema`; the others answer 400: https://console.groq.com/docs/structured-outputs."""
REASONING_TOKENS = {"low": 400, "medium": 1200, "high": 5000}
"""What a gpt-oss model may use up before the first word of its answer; it counts in the budget."""
NO_JSON = "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details."
DECOMMISSIONED = (
    "The model `{}` has been decommissioned and is no longer supported. Please refer to "
    "https://console.groq.com/docs/deprecations for a recommendation on which model to use instead."
)
_NOTE: Final[Mapping[str, Any]] = {"properties": {name: {} for name in ENTRIES}}
"""The schema of an answer where none is given."""
CREATED = 1_733_000_000
RETRY_AFTER: Final = 2
"""Seconds that a 429 asks to wait."""


class GroqError(Exception):
    """A request is refused the way Groq refuses it."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.code = status, kind, code

    def response(self, headers: tuple[tuple[str, str], ...] = ()) -> Response:
        error: dict[str, JSON] = {"message": str(self), "type": self.kind}
        if self.code:
            error["code"] = self.code
        if self.code == "json_validate_failed":
            error["failed_generation"] = ""
        return json_response(self.status, {"error": error}, headers)


@attrs.frozen
class ChatMessage:
    """One message of the prompt."""

    role: Literal["system", "user", "assistant", "tool", "developer"]
    content: str = ""


@attrs.frozen
class ResponseFormat:
    """How the answer must be written."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ChatRequest:
    """The part of a completion request that the simulator reads."""

    model: str
    messages: tuple[ChatMessage, ...]
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    reasoning_effort: Literal["none", "default", "low", "medium", "high"] | None = None
    max_completion_tokens: int | None = None

    @property
    def wants_json(self) -> bool:
        return self.response_format is not None and self.response_format.type != "text"

    @property
    def runs_dry(self) -> bool:
        """Whether the model reasons until its budget is used up, and says nothing."""
        needs = REASONING_TOKENS.get(self.reasoning_effort or "medium", 0)
        return "gpt-oss" in self.model and self.max_completion_tokens is not None and self.max_completion_tokens < needs

    @property
    def prompt(self) -> str:
        return "\n".join(message.content for message in self.messages)


@attrs.define(eq=False)
class GroqSimulator:
    """One Groq account."""

    faults: Sequence[Fault] = ()
    latency: float = 0.3
    """Seconds a completion takes."""
    api_key: str | None = None
    """Refuse every other key with 401; None: any key will do, but there must be one."""
    offered: Collection[str] = MODELS
    retired: Collection[str] = ()
    """Models that are gone: not listed, and answered by 404, as users report it."""
    requests: list[ChatRequest] = attrs.field(factory=list, init=False)
    _plan: FaultPlan = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._plan = FaultPlan(tuple(self.faults))

    @property
    def available(self) -> tuple[str, ...]:
        return tuple(name for name in self.offered if name not in self.retired)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await answer_scope(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        try:
            self._authenticate(request)
            return await self._route(request)
        except GroqError as error:
            return error.response()

    async def _route(self, request: Request) -> Response:
        match request.method, request.path.rstrip("/"):
            case "POST", "/openai/v1/chat/completions":
                return await self._complete(request)
            case "GET", "/openai/v1/models":
                return json_response(200, {"object": "list", "data": [_render_model(name) for name in self.available]})
            case method, path:
                message = f"Unknown request URL: {method} {path}. Please check the URL for typos."
                raise GroqError(404, message, code="unknown_url")

    def _authenticate(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        allowed = self.api_key is None or hmac.compare_digest(key.encode(), self.api_key.encode())
        if scheme.lower() != "bearer" or not key or not allowed:
            raise GroqError(401, "Invalid API Key", code="invalid_api_key")

    async def _complete(self, request: Request) -> Response:
        faults = self._plan.groq()
        chat = _read_chat(request.body)
        self.requests.append(chat)
        await trio.sleep(self.latency + faults.seconds("slow"))
        kind = next((fault.kind for fault in faults.every if fault.kind != "slow"), None)
        match kind:
            case None:
                return json_response(200, self._render_completion(chat))
            case "429":
                message = f"Rate limit reached for model `{chat.model}`. Please try again in {RETRY_AFTER}s."
                error = GroqError(429, message, "tokens", "rate_limit_exceeded")
                return error.response((("retry-after", str(RETRY_AFTER)),))
            case "model_not_found" | "model_decommissioned" | "json_validate_failed" | "500":
                raise _refusal(kind, chat.model)
            case "garbage":
                return Response(200, b'{"id":"chatcmpl-0","choices":[{"index":0,"message":{"role":"assi')
            case "drip":
                return attrs.evolve(json_response(200, self._render_completion(chat)), byte_seconds=1.0)
            case "hang":
                await request.wait_gone()
                return Response(499, b"")
            case _:
                raise httpx.ConnectError("connection refused")

    def _render_completion(self, chat: ChatRequest) -> dict[str, JSON]:
        self._check_model(chat)
        if chat.runs_dry and chat.wants_json:
            raise _refusal("json_validate_failed", chat.model)
        content = "" if chat.runs_dry else _write(chat)
        usage = {"prompt_tokens": len(chat.prompt) // 4, "completion_tokens": len(content) // 4}
        times = {"queue_time": 0.001, "prompt_time": 0.01, "completion_time": self.latency}
        message: dict[str, JSON] = {"role": "assistant", "content": content}
        finish = "length" if chat.runs_dry else "stop"
        return {
            "id": f"chatcmpl-{len(self.requests):032x}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": chat.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": {**usage, "total_tokens": sum(usage.values()), **times, "total_time": 0.01 + self.latency},
            "system_fingerprint": "fp_simulated",
            "x_groq": {"id": f"req_{len(self.requests):026d}"},
        }

    def _check_model(self, chat: ChatRequest) -> None:
        if chat.model not in self.available:
            raise _refusal("model_not_found", chat.model)
        wanted = chat.response_format.type if chat.response_format else "text"
        if wanted == "json_schema" and not SCHEMA_MODELS.match(chat.model):
            raise GroqError(400, "This model does not support response format `json_schema`.")
        if wanted == "json_object" and "json" not in chat.prompt.casefold():
            message = (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
            )
            raise GroqError(400, message)


def _refusal(code: str, model: str) -> GroqError:
    match code:
        case "model_not_found":
            return GroqError(404, f"The model `{model}` does not exist or you do not have access to it.", code=code)
        case "model_decommissioned":
            return GroqError(400, DECOMMISSIONED.format(model), code=code)
        case "json_validate_failed":
            return GroqError(400, NO_JSON, code=code)
        case _:
            return GroqError(500, "Internal Server Error", "internal_server_error")


def _read_chat(body: bytes) -> ChatRequest:
    try:
        chat = cattrs.structure(orjson.loads(body), ChatRequest)
    except (orjson.JSONDecodeError, cattrs.BaseValidationError, TypeError, ValueError) as error:
        raise GroqError(400, "the request body is not a chat completion request") from error
    if not chat.messages:
        raise GroqError(400, "'messages' : minimum number of items is 1")
    if chat.stream:
        raise GroqError(400, "the simulator does not stream: send stream=false")
    return chat


def _write(chat: ChatRequest) -> str:
    prompt = "\n".join(message.content for message in chat.messages if message.role == "user")
    note = extract(prompt)
    if not chat.wants_json and "json" not in chat.prompt.casefold():
        return note["summary"]
    return orjson.dumps(fill_in(_schema(chat), note, prompt)).decode()


def _schema(chat: ChatRequest) -> Mapping[str, Any]:
    """Return the schema the answer must follow: the one given, or one written in the prompt."""
    if chat.response_format is not None and chat.response_format.type == "json_schema":
        return {**_NOTE, **chat.response_format.json_schema.get("schema", {})}
    start, end = chat.prompt.find('{"type":"object"'), chat.prompt.find("}\n")
    written = chat.prompt[start : end + 1] if 0 <= start < end else ""
    schema = json_or(written, None)
    return schema if isinstance(schema, dict) and "properties" in schema else _NOTE


def _render_model(name: str) -> dict[str, JSON]:
    owner = name.partition("/")[0] if "/" in name else "Meta"
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": owner,
        "active": True,
        "context_window": 131072,
    }


async def serve_groq(
    *,
    faults: Sequence[Fault] = (),
    port: int = 0,
    latency: float = 0.3,
    api_key: str | None = None,
    certificate: Certificate | None = None,
    offered: Collection[str] = MODELS,
    retired: Collection[str] = (),
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a simulated Groq on a real port; its base URL is `http://127.0.0.1:PORT`, `https` with a certificate."""
    if FaultPlan(tuple(faults)).for_request(1).has("refused"):
        await _refuse(port, task_status)
        return
    app = GroqSimulator(faults, latency=latency, api_key=api_key, offered=offered, retired=retired)
    await serve_app(app, port=port, certificate=certificate, task_status=task_status)


async def _refuse(port: int, task_status: trio.TaskStatus[int]) -> None:
    """Hold the port without listening, so that every connection is refused."""
    with trio.socket.socket() as socket:
        await socket.bind((HOST, port))
        task_status.started(socket.getsockname()[1])
        await trio.sleep_forever()
