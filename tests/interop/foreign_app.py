"""A voice agent as other programs are built: the official clients, asyncio, and two sessions one after the other.

Run by `test_foreign_app.py`: `python -m tests.interop.foreign_app TWILIO_URL DEEPGRAM_ORIGIN ACCOUNT TOKEN`. It serves
`ws://`, orders a call whose TwiML says `wss://` and begins with white space, hands the caller from one agent to the
next by closing one session and opening another, hangs up by REST, and prints what it saw as JSON.
"""

import asyncio  # noqa: TID251 -- what the official clients run on; this is a process of its own
import sys
from base64 import b64decode, b64encode
from typing import Any

import attrs
import orjson
from deepgram import AsyncDeepgramClient
from deepgram.agent.v1.types import AgentV1SendFunctionCallResponse, AgentV1Settings
from deepgram.core.events import EventType
from twilio.rest import Client
from websockets.asyncio.server import ServerConnection, serve

from tests.interop.deepgram_sdk_client import SETTINGS, service

FUNCTIONS = ("handoff_to_next_agent", "end_conversation")


def settings_of(agent: str) -> AgentV1Settings:
    """Return the settings of one agent, with a Flux recogniser asked for as clients of 2025 do."""
    settings = orjson.loads(orjson.dumps(SETTINGS))
    settings["tags"] = [f"agent:{agent}"]
    settings["agent"]["listen"] = {"provider": {"type": "deepgram", "model": "flux-general-en"}}
    settings["agent"]["think"]["functions"] = [
        {"name": name, "description": name, "parameters": {"type": "object", "properties": {}}} for name in FUNCTIONS
    ]
    settings["agent"]["greeting"] = f"This is the {agent}."
    return AgentV1Settings.model_validate(settings)


@attrs.define
class App:
    """One call."""

    twilio: Client
    origin: str
    texts: list[list[str]] = attrs.field(factory=list)
    kinds: list[str] = attrs.field(factory=list)
    over: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def handle(self, socket: ServerConnection) -> None:
        """Serve the caller's media stream."""
        start = orjson.loads(await socket.recv())
        while start["event"] != "start":
            start = orjson.loads(await socket.recv())
        for agent in ("qualifier", "advisor"):
            if await self.converse(agent, socket, start["streamSid"]) == "end_conversation":
                await asyncio.sleep(3)  # as long as a goodbye is believed to take
                call = self.twilio.calls(start["start"]["callSid"])
                await asyncio.to_thread(call.update, status="completed")
                break
        self.over.set()

    async def converse(self, agent: str, socket: ServerConnection, stream_sid: str) -> str:
        """Run one session, until it calls a function; return the function's name."""
        client = AsyncDeepgramClient(api_key="any", environment=service(self.origin))
        called: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with client.agent.v1.connect() as session:

            async def on_message(message: Any) -> None:  # noqa: ANN401 -- the SDK's union
                if isinstance(message, bytes):
                    media = {"payload": b64encode(message).decode()}
                    await send(socket, {"event": "media", "streamSid": stream_sid, "media": media})
                    return
                kind = str(message["type"] if isinstance(message, dict) else message.type)
                self.kinds.append(kind)
                if kind == "UserStartedSpeaking":
                    await send(socket, {"event": "clear", "streamSid": stream_sid})
                elif kind == "ConversationText":
                    self.texts.append([agent, message.role, message.content])
                elif kind == "FunctionCallRequest":
                    (asked,) = message.functions
                    answer = AgentV1SendFunctionCallResponse(id=asked.id, name=asked.name, content='{"ok":true}')
                    await session.send_function_call_response(answer)
                    called.set_result(asked.name)

            session.on(EventType.MESSAGE, on_message)
            listening = asyncio.create_task(session.start_listening())
            await session.send_settings(settings_of(agent))
            forwarding = asyncio.create_task(forward(socket, session))
            name = await called
            if name == "end_conversation":
                await asyncio.sleep(1)
            forwarding.cancel()
            listening.cancel()
        return name


async def send(socket: ServerConnection, message: dict[str, object]) -> None:
    """Send one frame to Twilio."""
    await socket.send(orjson.dumps(message).decode())


async def forward(socket: ServerConnection, session: Any) -> None:  # noqa: ANN401 -- the SDK's
    """Pass the caller's audio on."""
    async for frame in socket:
        message = orjson.loads(frame)
        if message["event"] == "media":
            await session.send_media(b64decode(message["media"]["payload"]))


async def main(api: str, origin: str, account: str, token: str) -> None:
    """Serve, order the call, and report it."""
    twilio = Client(account, token)
    twilio.api.base_url = api
    app = App(twilio, origin)
    async with serve(app.handle, "127.0.0.1", 0, ping_interval=0.2, close_timeout=1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        twiml = f"""
        <Response>
            <Connect>
                <Stream url='wss://127.0.0.1:{port}/twilio'/>
            </Connect>
        </Response>
        """
        order = {"to": "+15551230000", "from_": "+15550009999", "twiml": twiml}
        call = await asyncio.to_thread(lambda: twilio.calls.create(**order))
        await app.over.wait()
    status = ""
    for _ in range(50):
        status = (await asyncio.to_thread(twilio.calls(call.sid).fetch)).status
        if status == "completed":
            break
        await asyncio.sleep(0.1)
    sys.stdout.write(orjson.dumps({"texts": app.texts, "kinds": sorted(set(app.kinds)), "status": status}).decode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
