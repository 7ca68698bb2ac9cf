"""Holds one conversation with a Voice Agent service through the official SDK, and prints what it saw as JSON.

Run by `test_deepgram_sdk.py`: `python -m tests.interop.deepgram_sdk_client async|sync ORIGIN KEY LINE...`. It greets
nobody: it waits for the greeting, says each line when the agent has finished, answers every function call, and leaves
when there is nothing left to say.
"""

import asyncio  # noqa: TID251 -- the SDK's asynchronous client runs on nothing else; this is a process of its own
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import orjson
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.agent.v1.types import AgentV1SendFunctionCallResponse, AgentV1Settings
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment

from protocol.audio import FRAME_BYTES, silence
from simulators.speech import synthesise

SETTINGS = {
    "type": "Settings",
    "tags": ["agent:qualifier"],
    "audio": {
        "input": {"encoding": "mulaw", "sample_rate": 8000},
        "output": {"encoding": "mulaw", "sample_rate": 8000, "container": "none"},
    },
    "agent": {
        "listen": {"provider": {"type": "deepgram", "version": "v2", "model": "flux-general-en"}},
        "think": {
            "provider": {"type": "open_ai", "model": "gpt-4o-mini", "temperature": 0.5},
            "prompt": "You are Alex.",
            "functions": [
                {"name": name, "description": name, "parameters": {"type": "object", "properties": {}}}
                for name in ("record_satisfaction", "look_up", "end_conversation")
            ],
        },
        "speak": {"provider": {"type": "deepgram", "model": "aura-2-mars-en"}},
        "greeting": "Hello, this is Alex.",
    },
}


@attrs.define
class Conversation:
    """What to say, and what was seen; the same for both clients."""

    lines: list[str]
    kinds: list[str] = attrs.field(factory=list)
    texts: list[list[str]] = attrs.field(factory=list)
    audio: int = 0
    spoken: int = 0
    """How many utterances the agent has finished."""
    over: bool = False

    def take(self, message: Any) -> Iterator[bytes | AgentV1SendFunctionCallResponse]:  # noqa: ANN401 -- the SDK's union
        """Note a message and give what to send in return."""
        if isinstance(message, bytes):
            self.audio += len(message)
            return
        kind = getattr(message, "type", None) or type(message).__name__
        self.kinds.append(kind)
        if kind == "ConversationText":
            self.texts.append([message.role, message.content])
        elif kind == "FunctionCallRequest":
            for call in message.functions:
                yield AgentV1SendFunctionCallResponse(id=call.id, name=call.name, content='{"ok":true}')
        elif kind == "AgentAudioDone":
            self.spoken += 1
            self.over = self.spoken > len(self.lines) + 1
            if self.spoken <= len(self.lines):
                yield from frames(self.lines[self.spoken - 1])

    def report(self) -> None:
        """Print what was seen."""
        sys.stdout.write(orjson.dumps(attrs.asdict(self)).decode())


def frames(text: str) -> Iterator[bytes]:
    """Cut a line, and the silence that ends it, in telephone frames."""
    audio = synthesise(text, "caller-1").audio + silence(40)
    for start in range(0, len(audio), FRAME_BYTES):
        yield audio[start : start + FRAME_BYTES]


def service(origin: str) -> DeepgramClientEnvironment:
    """Point the SDK at another service."""
    http = origin.replace("ws", "http", 1)
    return DeepgramClientEnvironment(base=http, production=origin, agent=origin, agent_rest=http)


def converse(origin: str, key: str, conversation: Conversation) -> None:
    """Hold the conversation with the synchronous client, by iteration."""
    client = DeepgramClient(api_key=key, environment=service(origin))
    with client.agent.v1.connect() as agent:
        agent.send_settings(AgentV1Settings.model_validate(SETTINGS))
        for message in agent:
            for reply in conversation.take(message):
                if isinstance(reply, bytes):
                    agent.send_media(reply)
                else:
                    agent.send_function_call_response(reply)
            if conversation.over:
                break


async def converse_async(origin: str, key: str, conversation: Conversation) -> None:
    """Hold the conversation with the asynchronous client, by callbacks."""
    client = AsyncDeepgramClient(api_key=key, environment=service(origin))
    over = asyncio.Event()
    async with client.agent.v1.connect() as agent:

        async def on_message(message: Any) -> None:  # noqa: ANN401 -- the SDK's union
            for reply in conversation.take(message):
                if isinstance(reply, bytes):
                    await agent.send_media(reply)
                else:
                    await agent.send_function_call_response(reply)
            if conversation.over:
                over.set()

        agent.on(EventType.MESSAGE, on_message)
        listening = asyncio.create_task(agent.start_listening())
        await agent.send_settings(AgentV1Settings.model_validate(SETTINGS))
        await over.wait()
        listening.cancel()


def main(arguments: Sequence[str]) -> None:
    """Run one conversation and report it."""
    mode, origin, key, *lines = arguments
    conversation = Conversation(lines)
    if mode == "async":
        asyncio.run(converse_async(origin, key, conversation))
    else:
        converse(origin, key, conversation)
    conversation.report()


if __name__ == "__main__":
    main(sys.argv[1:])
