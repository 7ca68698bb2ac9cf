"""Yardstick: the relay one would write first, with asyncio, `websockets` and `json`. It only carries audio.

python -m bench.relay_asyncio PORT DEEPGRAM_URL
"""

import asyncio  # noqa: TID251 - this is what it measures
import base64
import json
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.relay_settings import settings


async def carry_caller(phone: ServerConnection, agent: ClientConnection) -> None:
    """Carry what the caller says to the agent, until the stream stops."""
    async for text in phone:
        message = json.loads(text)
        if message["event"] == "media":
            await agent.send(base64.b64decode(message["media"]["payload"]))
        elif message["event"] == "stop":
            return


async def carry_agent(phone: ServerConnection, agent: ClientConnection, stream_sid: str) -> None:
    """Carry what the agent says to the caller."""
    async for message in agent:
        if isinstance(message, bytes):
            payload = base64.b64encode(message).decode()
            await phone.send(json.dumps({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}}))


async def carry(phone: ServerConnection, deepgram_url: str) -> None:
    """Carry one call."""
    start = json.loads(await phone.recv())
    while start["event"] != "start":
        start = json.loads(await phone.recv())
    async with connect(deepgram_url, compression=None, additional_headers={"Authorization": "Token bench"}) as agent:
        await agent.recv()
        await agent.send(settings(start["start"]["callSid"]))
        speaking = asyncio.create_task(carry_agent(phone, agent, start["start"]["streamSid"]))
        try:
            await carry_caller(phone, agent)
        except ConnectionClosed:
            print("a caller left without a stop", file=sys.stderr)
        speaking.cancel()


async def main(port: int, deepgram_url: str) -> None:
    """Serve."""
    async with serve(lambda phone: carry(phone, deepgram_url), "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
