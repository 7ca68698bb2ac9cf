"""A caller interrupts an agent whose audio gathers before it is read: the service's report of it is read at once."""

import base64

import orjson
import pytest
import trio
from trio.testing import MockClock

from actors.call import run_call
from actors.call_services import CallPlan
from protocol.audio import FRAME_BYTES, FRAME_SECONDS, SILENCE, is_voiced
from tests.calls.test_no_lead import services_by, sockets
from web.sockets.frame_stream import FrameStream

SPEAKS_AT = 2.5
LOUD = bytes([0x10, 0x90]) * (FRAME_BYTES // 2)


async def serve(far: FrameStream, delay: float) -> None:
    """Speak at twice real time; `delay` seconds after the first loud audio, say that the caller speaks."""
    await far.send('{"type":"Welcome","request_id":"r"}')
    await far.receive()
    await far.send('{"type":"SettingsApplied"}')
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_speak, far)
        while not isinstance(heard := await far.receive(), bytes) or not is_voiced(heard):
            pass
        await trio.sleep(delay)
        await far.send('{"type":"UserStartedSpeaking"}')
        await trio.sleep_forever()


async def _speak(far: FrameStream) -> None:
    while True:
        await far.send(LOUD)
        await trio.sleep(FRAME_SECONDS / 2)


async def call(far: FrameStream, phase: float) -> None:
    """Say nothing for `SPEAKS_AT` seconds and `phase`, then speak."""
    begins = trio.current_time()
    for number in range(500):
        await trio.sleep_until(begins + phase + number * FRAME_SECONDS)
        payload = LOUD if trio.current_time() - begins >= SPEAKS_AT else bytes([SILENCE]) * FRAME_BYTES
        media = {"track": "inbound", "chunk": str(number), "timestamp": str(20 * number)}
        media["payload"] = base64.b64encode(payload).decode()
        await far.send(orjson.dumps({"event": "media", "streamSid": "MZ1", "media": media}).decode())


async def play(far: FrameStream) -> float:
    """Play what comes, and echo marks when that is played; return when it was to be cleared."""
    played = trio.current_time()
    async with trio.open_nursery() as nursery:
        while isinstance(said := await far.receive(), str):
            message = orjson.loads(said)
            match message["event"]:
                case "media":
                    audio = base64.b64decode(message["media"]["payload"])
                    played = max(played, trio.current_time()) + len(audio) / FRAME_BYTES * FRAME_SECONDS
                case "mark":
                    nursery.start_soon(_echo, far, message, played)
                case "clear":
                    nursery.cancel_scope.cancel()
                    break
                case _:
                    pass
    return trio.current_time()


async def _echo(far: FrameStream, mark: object, at: float) -> None:
    await trio.sleep_until(at)
    await far.send(orjson.dumps(mark).decode())


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1, 0.25])
@pytest.mark.parametrize("phase", [0.0, 0.007, 0.013])
async def test_an_agent_is_cut_as_soon_as_its_service_says_that_the_caller_speaks(
    phase: float, delay: float, autojump_clock: MockClock
) -> None:
    """A chunk of the caller's audio is 80 ms; the word of the service waited for 160 more, with the audio before it."""
    async with sockets() as (media, network), sockets() as (session, service), trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(serve, service, delay)
        nursery.start_soon(call, network, phase)
        nursery.start_soon(run_call, media, CallPlan("CA1", "MZ1", "inbound"), services_by(session))
        cleared = await play(network)
        nursery.cancel_scope.cancel(reason="enough")

    assert delay <= cleared - began - SPEAKS_AT <= 4 * FRAME_SECONDS + delay + 0.025


@pytest.mark.parametrize("frames", range(4))
async def test_a_stop_that_is_read_together_with_the_last_audio_ends_the_call(
    frames: int, autojump_clock: MockClock
) -> None:
    """However many frames are missing of a chunk; the network leaves the connection open."""
    async with sockets() as (media, network), sockets() as (session, service), trio.open_nursery() as nursery:

        async def speak_and_stop() -> None:
            with trio.move_on_after(1.01 + frames * FRAME_SECONDS):
                await call(network, 0.0)
            await network.send('{"event":"stop","streamSid":"MZ1","stop":{"callSid":"CA1"}}')
            stopped.append(trio.current_time())

        stopped = list[float]()
        nursery.start_soon(serve, service, 0.0)
        nursery.start_soon(speak_and_stop)
        await run_call(media, CallPlan("CA1", "MZ1", "inbound"), services_by(session))
        ended = trio.current_time()
        nursery.cancel_scope.cancel(reason="enough")

    assert ended - stopped[0] < 1.0
