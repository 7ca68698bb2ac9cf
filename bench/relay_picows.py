"""Yardstick: the least that Python can do, with `picows` on uvloop: callbacks that cut a payload out and pass it on.

python -m bench.relay_picows PORT DEEPGRAM_URL
"""

import asyncio  # noqa: TID251 - this is what it measures
import sys
from binascii import a2b_base64, b2a_base64

import orjson
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect, ws_create_server

from bench.relay_settings import settings


class Phone(WSListener):
    """The caller's end."""

    def __init__(self, deepgram_url: str) -> None:
        self._deepgram_url = deepgram_url
        self._agent: Agent | None = None
        self._connecting: asyncio.Task[None] | None = None

    def on_ws_frame(self, transport: WSTransport, message: WSFrame) -> None:
        """Carry a frame of the caller's."""
        if message.msg_type is not WSMsgType.TEXT:
            if message.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        text = message.get_payload_as_bytes()
        if text.startswith(b'{"event":"media"'):
            begins = text.index(b'"payload":"') + 11
            if self._agent is not None:
                self._agent.send(a2b_base64(text[begins : text.index(b'"', begins)]))
        elif text.startswith(b'{"event":"start"'):
            self._connecting = asyncio.create_task(self._connect(transport, orjson.loads(text)["start"]))

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows asks
        """Let the agent go."""
        if self._agent is not None:
            self._agent.close()

    async def _connect(self, transport: WSTransport, start: dict[str, str]) -> None:
        agent = Agent(transport, start["streamSid"], start["callSid"])
        await ws_connect(lambda: agent, self._deepgram_url, extra_headers={"Authorization": "Token bench"})
        self._agent = agent


class Agent(WSListener):
    """The agent's end."""

    def __init__(self, phone: WSTransport, stream_sid: str, call_sid: str) -> None:
        self._phone, self._call_sid = phone, call_sid
        self._head = b'{"event":"media","streamSid":"' + stream_sid.encode() + b'","media":{"payload":"'

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the way back."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, message: WSFrame) -> None:
        """Carry a piece of the agent's."""
        if message.msg_type is WSMsgType.BINARY:
            payload = b2a_base64(message.get_payload_as_memoryview(), newline=False)
            self._phone.send(WSMsgType.TEXT, self._head + payload + b'"}}')
        elif message.msg_type is WSMsgType.TEXT and b'"Welcome"' in message.get_payload_as_bytes():
            transport.send(WSMsgType.TEXT, settings(self._call_sid).encode())

    def send(self, audio: bytes) -> None:
        """Send the caller's audio."""
        self._transport.send(WSMsgType.BINARY, audio)

    def close(self) -> None:
        """Hang up."""
        self._transport.disconnect()


async def main(port: int, deepgram_url: str) -> None:
    """Serve."""
    server = await ws_create_server(lambda _: Phone(deepgram_url), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
