"""An OpenAI-compatible chat endpoint with tools, simulated: answers as a script says, refuses what is malformed.

`ChatSimulator` is an ASGI app. It answers `POST …/chat/completions` by `answer`, a function of the request, and keeps
the `requests`. It checks the shape of messages and tools as the service does. Shapes:
https://platform.openai.com/docs/api-reference/chat/create.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs
import orjson
import trio

from protocol.fields import JSON
from simulators.asgi import Message, Receive, Request, Response, Send, answer_scope, json_response

_ROLES: Final = ("system", "user", "assistant", "tool", "developer")


@attrs.frozen
class ChatAnswer:
    """An answer of the LLM: words, and functions with their arguments."""

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, JSON] | str]] = ()


Answerer: TypeAlias = Callable[[Mapping[str, Any]], ChatAnswer]


@attrs.define(eq=False)
class ChatSimulator:
    """One endpoint."""

    answer: Answerer
    api_key: str | None = None
    latency: float = 0.3
    refusals: list[tuple[int, str]] = attrs.field(factory=list)
    """Answered first, one each: a status, and the seconds of `retry-after` (empty: no header)."""
    requests: list[Mapping[str, Any]] = attrs.field(factory=list, init=False)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        await answer_scope(scope, receive, send, self._respond)

    async def _respond(self, request: Request) -> Response:
        await trio.sleep(self.latency)
        if request.method != "POST" or not request.path.endswith("/chat/completions"):
            return _error(404, f"unknown request URL: {request.method} {request.path}")
        if self.api_key is not None and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return _error(401, "incorrect API key provided")
        if self.refusals:
            status, after = self.refusals.pop(0)
            headers = (("retry-after", after),) if after else ()
            return _error(status, "try again later", headers)
        try:
            body: Mapping[str, Any] = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return _error(400, "the body is not JSON")
        if wrong := _problem(body):
            return _error(400, wrong)
        self.requests.append(body)
        return json_response(200, _completion(body, self.answer(body)))


def _error(status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return json_response(status, {"error": {"message": message, "type": "invalid_request_error"}}, headers)


def _problem(body: Mapping[str, Any]) -> str:
    """Say what is malformed, or nothing."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return "you must provide a model parameter"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages: is empty"
    for number, message in enumerate(messages):
        if message.get("role") not in _ROLES or not isinstance(message.get("content"), str):
            return f"messages[{number}]: needs a role and a content"
    for number, tool in enumerate(body.get("tools", [])):
        function = tool.get("function", {})
        if tool.get("type") != "function" or not function.get("name"):
            return f"tools[{number}]: needs a function with a name"
        if function.get("parameters", {}).get("type") != "object":
            return f"tools[{number}].function.parameters: is no schema of an object"
    return ""


def _completion(body: Mapping[str, Any], answer: ChatAnswer) -> Mapping[str, JSON]:
    calls: list[JSON] = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode(),
            },
        }
        for number, (name, arguments) in enumerate(answer.calls)
    ]
    message: dict[str, JSON] = {"role": "assistant", "content": answer.text or None}
    if calls:
        message["tool_calls"] = calls
    asked = sum(len(message["content"]) for message in body["messages"]) // 4
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "model": str(body["model"]),
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": asked, "completion_tokens": 20, "total_tokens": asked + 20},
    }
