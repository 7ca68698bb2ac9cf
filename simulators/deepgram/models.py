"""Which LLMs the simulated Deepgram runs: the list, where it is asked for, and what a retired one does to a session.

The list is served on the port of the Voice Agent socket, as the service does. `answer_plain_request` reads the head of
a request and answers it, unless it is an upgrade: then the stream is handed back, with the head to be read again.
List: https://developers.deepgram.com/docs/voice-agent-llm-models. Refusal: an `UpdateThink` with a model that is not
there was answered by INVALID_SETTINGS with this text, and the end of the session.
"""

import re
from collections.abc import Collection, Iterator, Mapping

import orjson
import trio

from protocol.deepgram import Settings, UpdateThink
from protocol.deepgram.settings import AgentSettings, Think
from simulators.deepgram.messages import FromClient

MODELS_PATH = "/v1/agent/settings/think/models"
LONGEST_HEAD = 16 * 1024
NOT_AVAILABLE = "Invalid agent.think settings - model not available"

THINK_MODELS: Mapping[str, tuple[str, ...]] = {
    "open_ai": (
        "gpt-5.5", "gpt-5.4-nano", "gpt-5.4-mini", "gpt-5.4", "gpt-5.3-chat-latest", "gpt-5.2-chat-latest", "gpt-5.2",
        "gpt-5.1-chat-latest", "gpt-5.1", "gpt-5-nano", "gpt-5-mini", "gpt-5", "gpt-4.1-nano", "gpt-4.1-mini",
        "gpt-4.1", "gpt-4o-mini", "gpt-4o",
    ),
    "anthropic": (
        "claude-sonnet-5", "claude-sonnet-4-6", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-3-5-haiku-latest",
        "claude-sonnet-4-20250514",
    ),
    "google": (
        "gemini-3.5-flash", "gemini-3.1-flash-lite", "gemini-3.1-flash-lite-preview", "gemini-3-flash-preview",
        "gemini-3-pro-preview", "gemini-2.5-flash", "gemini-2.0-flash-lite",
    ),
    "nvidia": ("nemotron-3-nano-30B-A3B",),
}  # fmt: skip
"""The managed models of autumn 2026, by provider."""


def listed_models(retired: Collection[str]) -> list[dict[str, str]]:
    return [
        {"id": name, "name": name, "provider": provider}
        for provider, names in THINK_MODELS.items()
        for name in names
        if name not in retired
    ]


def asks_for_retired(message: FromClient, retired: Collection[str]) -> bool:
    """Say whether settings name a managed model that is gone, anywhere in their chain."""
    return any(think.endpoint is None and think.provider.model in retired for think in _thinks(message))


def _thinks(message: FromClient) -> Iterator[Think]:
    match message:
        case Settings(agent=AgentSettings(think=chain)) | UpdateThink(think=chain):
            yield from chain
        case _:
            pass  # nothing else names a model that thinks


class Rewound(trio.abc.Stream):
    """A stream of which something was read already: that comes first, and then the rest."""

    def __init__(self, inner: trio.abc.Stream, read: bytes) -> None:
        self._inner = inner
        self._read = read

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._read:
            await trio.lowlevel.checkpoint()
            read, self._read = self._read[:max_bytes], self._read[max_bytes:] if max_bytes is not None else b""
            return read
        return bytes(await self._inner.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self._inner.aclose()


def is_authorised(scheme: str, credential: str, api_key: str | None) -> bool:
    """Check `Token <key>` (any key will do where there is no `api_key`) or `Bearer <JWT>`."""
    match scheme.casefold():
        case "token":
            return bool(credential) and api_key in {None, credential}
        case "bearer":  # a key is no JWT: live, `Bearer <API_KEY>` was answered by 401
            return credential.count(".") == 2
        case _:
            return False


async def answer_plain_request(
    stream: trio.abc.Stream, api_key: str | None, retired: Collection[str]
) -> trio.abc.Stream | None:
    """Answer a request that is no upgrade and return None; return an upgrade unread."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < LONGEST_HEAD:
        received = bytes(await stream.receive_some())
        if not received:
            break
        head += received
    if re.search(rb"\r\nupgrade:[ \t]*websocket", head.lower()):
        return Rewound(stream, head)
    if head:
        status, body = _answer(head, api_key, retired)
        fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
        await stream.send_all(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode() + body)
    return None


def _answer(head: bytes, api_key: str | None, retired: Collection[str]) -> tuple[str, bytes]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, target = first.partition(" ")
    pairs = (line.partition(":") for line in lines)
    given = next((value.strip() for name, _, value in pairs if name.lower() == "authorization"), "")
    scheme, _, key = given.partition(" ")
    if method != "GET" or target.partition(" ")[0].partition("?")[0] != MODELS_PATH:
        return "404 Not Found", b'{"err_code":"NOT_FOUND"}'
    if not is_authorised(scheme, key, api_key):
        return "401 Unauthorized", b'{"err_code":"INVALID_AUTH"}'
    return "200 OK", orjson.dumps({"models": listed_models(retired)})
