"""A Groq that answers every question with the same Brief, 300 ms later, over keep-alive HTTP/1.1.

Two others have the same address in a benchmark: Twilio's REST API, which is asked to end a call at most, and Deepgram's
text-to-speech API, whose answer is a second of silence. Without it the server would ask again while it is measured.
"""

import asyncio  # noqa: TID251 - see bench.control
import re

import orjson

from protocol.audio import BYTES_PER_SECOND, SILENCE

THINKING_SECONDS = 0.3

_BRIEF = orjson.dumps(
    {
        "summary": "The customer spoke with the first agent and wants to go on with the next one.",
        "name": "Dana Whitfield",
        "location": "Portland, Oregon",
        "need": "moving her savings",
        "timeline": "within a month",
        "preferences": "calls in the morning",
        "engagement": "interested",
        "next_step": "to hear from the next agent",
    }
).decode()
_COMPLETION = orjson.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "openai/gpt-oss-120b",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": _BRIEF}, "logprobs": None, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
)
_CLIP = bytes([SILENCE]) * BYTES_PER_SECOND
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            await asyncio.sleep(THINKING_SECONDS)
            kind, body = (b"audio/basic", _CLIP) if b"/speak" in head else (b"application/json", _COMPLETION)
            writer.write(_HEAD % (kind, len(body)) + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve_groq() -> int:
    """Listen; return the port."""
    server = await asyncio.start_server(_converse, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    return port
