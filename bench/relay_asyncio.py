"""Yardstick: the relay one would write first, with asyncio, `websockets` and `json`. It only carries audio.

python -m bench.relay_asyncio PORT DEEPGRAM_URL [FOLDER]

With a folder it records as well: both sides of each call, a WAV file each.
"""

import asyncio  # noqa: TID251 - this is what it measures
import base64
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from struct import pack
from typing import IO

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.relay_settings import settings


def _header(size: int) -> bytes:
    """Write the head of a WAV file of mu-law audio."""
    form = pack("<4sIHHIIHH", b"fmt ", 16, 7, 1, 8000, 8000, 1, 8)
    return pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + pack("<4sI", b"data", size)


@contextmanager
def recording(folder: Path | None, name: str) -> Iterator[IO[bytes] | None]:
    """Open a recording, if there is a folder for it; on leaving it says how long it is."""
    if folder is None:
        yield None
        return
    with (folder / f"{name}.wav").open("wb") as wav:
        wav.write(_header(0))
        yield wav
        size = wav.tell() - len(_header(0))
        wav.seek(0)
        wav.write(_header(size))


async def carry_caller(phone: ServerConnection, agent: ClientConnection, wav: IO[bytes] | None) -> None:
    """Carry what the caller says to the agent, until the stream stops."""
    async for text in phone:
        message = json.loads(text)
        if message["event"] == "media":
            audio = base64.b64decode(message["media"]["payload"])
            await agent.send(audio)
            if wav is not None:
                wav.write(audio)
        elif message["event"] == "stop":
            return


async def carry_agent(phone: ServerConnection, agent: ClientConnection, stream_sid: str, wav: IO[bytes] | None) -> None:
    """Carry what the agent says to the caller."""
    async for message in agent:
        if isinstance(message, bytes):
            payload = base64.b64encode(message).decode()
            await phone.send(json.dumps({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}}))
            if wav is not None:
                wav.write(message)


async def carry(deepgram_url: str, folder: Path | None, phone: ServerConnection) -> None:
    """Carry one call."""
    start = json.loads(await phone.recv())
    while start["event"] != "start":
        start = json.loads(await phone.recv())
    call, headers = start["start"]["callSid"], {"Authorization": "Token bench"}
    with recording(folder, f"{call}.caller") as caller, recording(folder, f"{call}.agent") as said:
        async with connect(deepgram_url, compression=None, additional_headers=headers) as agent:
            await _converse(phone, agent, start["start"], (caller, said))


async def _converse(
    phone: ServerConnection,
    agent: ClientConnection,
    start: dict[str, str],
    wavs: tuple[IO[bytes] | None, IO[bytes] | None],
) -> None:
    await agent.recv()
    await agent.send(settings(start["callSid"]))
    speaking = asyncio.create_task(carry_agent(phone, agent, start["streamSid"], wavs[1]))
    try:
        await carry_caller(phone, agent, wavs[0])
    except ConnectionClosed:
        print("a caller left without a stop", file=sys.stderr)
    speaking.cancel()


async def main(port: int, deepgram_url: str, folder: Path | None = None) -> None:
    """Serve."""
    async with serve(partial(carry, deepgram_url, folder), "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], *map(Path, sys.argv[3:])))
