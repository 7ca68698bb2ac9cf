"""Several of a caller's frames in one message: the same call, cheaper."""

import pytest
import trio
from trio.testing import MockClock

from protocol.audio import FRAME_BYTES
from protocol.twilio import DtmfReceived, MediaArrived
from simulators.memory import memory_websocket_pair
from simulators.scenario import CallerLine
from simulators.twilio.media import MediaCaller, StreamSummary
from tests.simulators.twilio.test_media import Server, hang_up_after, scenario


async def bundled(bundle: int, *lines: CallerLine) -> tuple[StreamSummary, Server]:
    here, there = memory_websocket_pair()
    caller, server = MediaCaller.of(scenario(*lines), here), Server(there)
    caller.bundle = bundle
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        summary = await caller.run()
    return summary, server


def places(server: Server) -> tuple[bytes, list[int]]:
    """All audio of the caller, and after how many bytes of it each key was pressed."""
    audio, pressed = bytearray(), list[int]()
    for _, event in server.arrived:
        if isinstance(event, MediaArrived):
            audio += event.payload
        elif isinstance(event, DtmfReceived):
            pressed.append(len(audio))
    return bytes(audio), pressed


async def test_a_bundle_carries_the_same_audio_in_fewer_messages(autojump_clock: MockClock) -> None:
    summary, server = await bundled(3, hang_up_after(3.0))
    media = [(at, event) for at, event in server.arrived if isinstance(event, MediaArrived)]

    assert summary.sent_frames == 150
    assert [at for at, _ in media] == pytest.approx([0.04 + 0.06 * number for number in range(50)])
    assert {len(event.payload) for _, event in media} == {3 * FRAME_BYTES}
    assert [event.timestamp_ms for _, event in media][:3] == [160, 220, 280]


async def test_what_a_caller_says_and_presses_has_its_place_between_the_frames_of_a_bundle(
    autojump_clock: MockClock,
) -> None:
    """The same words, keys and end, frame for frame, as without bundles."""
    lines = (CallerLine(after=0.1, digits="4"), CallerLine(after=0.3, says="Hello."), hang_up_after(1.03))

    one, apart = await bundled(1, *lines)
    other, together = await bundled(4, *lines)

    assert places(apart) == places(together)
    assert (one.how, one.sent_frames) == (other.how, other.sent_frames)
