"""A call hardly grows from its second minute to its eighth, whatever it keeps of what was said."""

import base64
import gc
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import linear_regression
from typing import TypeVar

import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.call import run_call
from actors.call_services import CallPlan, CallServices
from agents.roster import default_roster
from protocol.audio import BYTES_PER_SECOND
from store.calls import MemoryRecords
from store.checkpoints import Checkpoints
from tests.calls.test_no_lead import sockets
from tests.web.fakes import FakeLine
from web.calls.watching import WatchedCalls
from web.sockets.frame_stream import FrameStream
from web.sockets.open_socket import OpenSocket

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent
MINUTES = 7
MOST = 1_200
"""Bytes that a minute of a conversation may take for good."""
PERIOD = 10.0
"""Seconds of a conversation in which the caller speaks once and the agent twice: minutes are whole numbers of it."""
CHUNK = bytes(range(64)) * 20
FOLDERS = ("actors", "agents", "protocol", "store", "web")


async def speak_as_the_service(far: FrameStream) -> None:
    """Accept a session, and go through the conversation again and again, in other words."""

    async def tell(kind: str, **fields: object) -> None:
        await far.send(orjson.dumps({"type": kind, **fields}).decode())

    async def say(text: str) -> None:
        await tell("ConversationText", role="assistant", content=text)
        for _ in range(4):
            await far.send(CHUNK * 4)
        await tell("AgentAudioDone")

    await tell("Welcome", request_id="r")
    await far.receive()
    await tell("SettingsApplied")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear_all, far)
        for number in range(1_000_000, 2_000_000, 9973):
            begins = trio.current_time()
            await say(f"This is a reply, number {number}, and the caller hears all of it.")
            await trio.sleep(4.0)
            await tell("UserStartedSpeaking")
            await trio.sleep(1.0)
            await tell("EndOfTurn", trigger="model")
            await tell("ConversationText", role="user", content=f"And this is what I have to say to {number + 1}.")
            await say(f"So that is {number + 2}. I have noted it, and it will not be forgotten.")
            await trio.sleep_until(begins + PERIOD)


async def hear_all(far: FrameStream) -> None:
    """Read what the service is sent."""
    while await far.receive() is not None:
        pass


async def talk_as_the_network(far: FrameStream) -> None:
    """Send the caller's audio, 160 ms at a time, without a pause."""
    payload = base64.b64encode(CHUNK).decode()
    for number in range(1, sys.maxsize):
        media = {"track": "inbound", "chunk": str(number), "timestamp": str(number * 160), "payload": payload}
        message = {"event": "media", "sequenceNumber": str(number), "streamSid": "MZ1", "media": media}
        await far.send(orjson.dumps(message).decode())
        await trio.sleep(len(CHUNK) / BYTES_PER_SECOND)


async def echo_as_the_network(far: FrameStream) -> None:
    """Echo each mark at once."""
    while isinstance(said := await far.receive(), str):
        if (message := orjson.loads(said))["event"] == "mark":
            await far.send(orjson.dumps(message).decode())


async def growth() -> float:
    """Return by how many bytes a minute our own code's grow: things go in batches, so a line is laid through all."""
    found = list[int]()
    for _ in range(int(MINUTES * 60 / PERIOD)):
        await trio.sleep(PERIOD)
        found.append(in_use())
    return linear_regression(range(len(found)), found).slope * 60 / PERIOD


def in_use() -> int:
    gc.collect()  # and what Python keeps of freed tuples, to use it again
    ours = [tracemalloc.Filter(inclusive=True, filename_pattern=f"{ROOT}/{folder}/*") for folder in FOLDERS]
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ours).traces)


async def at_once(do: Callable[..., T], *values: object, **_: object) -> T:
    """Do in the present turn what would be done in a thread: the clock does not wait for threads."""
    await trio.lowlevel.checkpoint()
    return do(*values)


@pytest.mark.slow
async def test_a_call_hardly_grows_while_it_goes_on(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trio.to_thread, "run_sync", at_once)
    records, watched = MemoryRecords(), WatchedCalls()
    checkpoints = Checkpoints(tmp_path / "running", records)
    async with sockets() as (media, network), sockets() as (session, service), trio.open_nursery() as nursery:

        @asynccontextmanager
        async def connect() -> AsyncIterator[OpenSocket]:
            yield session

        services = CallServices(
            roster=default_roster(),
            connect=connect,
            ask_brief=None,
            line=FakeLine(),
            records=records,
            recordings=tmp_path,
            checkpoints=checkpoints,
            watch=watched.watch,
        )
        nursery.start_soon(speak_as_the_service, service)
        for do in (talk_as_the_network, echo_as_the_network):
            nursery.start_soon(do, network)
        nursery.start_soon(checkpoints.run)
        nursery.start_soon(run_call, media, CallPlan("CA1", "MZ1", "inbound"), services)
        tracemalloc.start()
        try:
            await trio.sleep(60 + 0.1)  # a write was just now
            grown = await growth()
        finally:
            tracemalloc.stop()
        said = watched.watch("CA1").count
        nursery.cancel_scope.cancel(reason="enough")

    assert said > MINUTES * 60
    assert grown < MOST
