"""A caller on one media stream, under a virtual clock, against a server that is a few lines of test."""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import orjson
import pytest
import trio
import trio_websocket
from trio.testing import MockClock

from protocol.errors import RemoteProtocolError
from protocol.twilio import (
    DtmfReceived,
    FromTwilio,
    MarkReached,
    MediaArrived,
    StreamConnected,
    StreamStarted,
    StreamStopped,
    decode,
    encode_clear,
    encode_mark,
    encode_media,
)
from simulators.faults import parse_fault
from simulators.memory import MemoryWebSocket, memory_websocket_pair
from simulators.scenario import Caller, CallerLine, Scenario
from simulators.speech import synthesise
from simulators.twilio.caller import CallerTurns
from simulators.twilio.frames import SILENT_FRAME, FrameWriter, StreamIdentity
from simulators.twilio.log import (
    BufferCleared,
    CallerHungUp,
    DigitSent,
    FaultInjected,
    LineSpoken,
    MarkEchoed,
    StreamClosed,
    WarningRaised,
)
from simulators.twilio.media import MediaCaller, StreamSummary
from simulators.twilio.playout import HeardRecording

SID = "MZ" + "0" * 32
TONE = bytes([0x10, 0x90]) * 80


def about(value: object, abs: float | None = None) -> Any:  # noqa: A002, ANN401 # pytest's own name and type
    return pytest.approx(value, abs=abs)


@attrs.define(eq=False)
class Server:
    """The far end: keeps what arrives, with the time."""

    socket: MemoryWebSocket
    arrived: list[tuple[float, FromTwilio | str]] = attrs.field(factory=list)
    closed: int | None = None
    stopped: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        try:
            while True:
                frame = await self.socket.get_message()
                self.arrived.append((trio.current_time(), self._read(frame)))
                if isinstance(self.arrived[-1][1], StreamStopped):
                    self.stopped.set()
        except trio_websocket.ConnectionClosed as closed:
            self.closed = closed.reason.code if closed.reason else None

    @staticmethod
    def _read(frame: str | bytes) -> FromTwilio | str:
        try:
            return decode(frame)
        except RemoteProtocolError:
            return str(frame)

    def of(self, kind: type) -> list[tuple[float, FromTwilio | str]]:
        return [(at, event) for at, event in self.arrived if isinstance(event, kind)]

    async def say(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            await self.socket.send_message(encode_media(SID, TONE * 5))


@attrs.define(eq=False)
class Call:
    """A caller and a server on one socket."""

    caller: MediaCaller
    server: Server
    summary: StreamSummary | None = None

    async def run(self) -> StreamSummary:
        self.summary = await self.caller.run()
        return self.summary


def scenario(
    *lines: CallerLine, faults: tuple[str, ...] = (), hangs_up: bool = True, patience: float = 8.0
) -> Scenario:
    caller = Caller(lines=lines, hangs_up=hangs_up, patience=patience)
    return Scenario("test", "", caller, {}, tuple(map(parse_fault, faults)))


async def lived(plot: Scenario, act: Callable[[Server], Awaitable[None]] | None = None, buffer: int = 1024) -> Call:
    here, there = memory_websocket_pair(buffer)
    call = Call(MediaCaller.of(plot, here), Server(there))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call.server.run)
        if act is not None:
            nursery.start_soon(act, call.server)
        await call.run()
        await there.aclose()
    return call


def hang_up_after(seconds: float) -> CallerLine:
    return CallerLine(hangs_up=True, after=seconds)


async def test_a_stream_is_connected_started_streamed_stopped_and_closed(autojump_clock: MockClock) -> None:
    call = await lived(scenario(hang_up_after(1.0)))

    kinds = [type(event) for _, event in call.server.arrived]
    assert kinds == [StreamConnected, StreamStarted, *[MediaArrived] * 50, StreamStopped]
    assert call.server.closed == 1000
    assert call.summary is not None
    assert (call.summary.how, call.summary.sent_frames) == ("hung up", 50)
    assert call.summary.duration == about(1.0)
    assert call.caller.log.of(CallerHungUp) == (CallerHungUp(about(1.0)),)
    assert call.caller.log.of(StreamClosed)[0].how == "hung up"


@pytest.mark.slow
async def test_frames_leave_every_20_ms_by_absolute_deadlines(autojump_clock: MockClock) -> None:
    call = await lived(scenario(hang_up_after(60.0)))

    times = [at for at, _ in call.server.of(MediaArrived)]
    assert times == about([0.02 * index for index in range(3000)])


async def test_numbers_are_strings_that_count_as_twilios_do(autojump_clock: MockClock) -> None:
    writer = FrameWriter(StreamIdentity(stream_sid=SID))
    start = orjson.loads(writer.start())
    media = [orjson.loads(writer.media(SILENT_FRAME)) for _ in range(2)]
    digit = orjson.loads(writer.event(DtmfReceived("5")))

    assert start["sequenceNumber"] == "1"
    assert start["start"]["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    assert [(frame["sequenceNumber"], frame["media"]["chunk"], frame["media"]["timestamp"]) for frame in media] == [
        ("2", "1", "160"),
        ("3", "2", "180"),
    ]
    assert digit["sequenceNumber"] == "4"
    assert digit["dtmf"] == {"track": "inbound_track", "digit": "5"}


async def test_the_callers_words_arrive_and_are_on_the_left_of_the_recording(autojump_clock: MockClock) -> None:
    line = CallerLine(says="Sure, I have a few minutes.", pause=0.6)
    audio = synthesise("Sure, I have a few minutes.", "caller-1").audio

    call = await lived(scenario(line), lambda server: server.say(1.0))

    arrived = b"".join(event.payload for _, event in call.server.of(MediaArrived) if isinstance(event, MediaArrived))
    assert audio in arrived
    spoken = call.caller.log.of(LineSpoken)[0]
    assert spoken.at == about(1.6, abs=0.021)
    assert spoken.until == about(spoken.at + len(audio) / 8000)
    heard = call.caller.heard
    start = heard.position(spoken.at)
    assert bytes(heard.caller[start : start + len(audio)]) == audio
    assert len(heard.caller) == len(heard.agents)


async def test_a_mark_is_echoed_when_its_audio_was_heard_and_not_before(autojump_clock: MockClock) -> None:
    async def act(server: Server) -> None:
        await trio.sleep(0.5)
        await server.say(2.0)
        await server.socket.send_message(encode_mark(SID, "end"))

    call = await lived(scenario(hang_up_after(4.0)), act)

    assert call.server.of(MarkReached) == [(about(2.5), MarkReached("end"))]
    assert call.caller.log.of(MarkEchoed) == (MarkEchoed(about(2.5), "end", played=True),)
    assert call.summary is not None
    assert call.summary.played == ((about(0.5), about(2.5)),)


async def test_marks_on_an_empty_buffer_are_echoed_at_once(autojump_clock: MockClock) -> None:
    async def act(server: Server) -> None:
        for second in (1, 2):
            await trio.sleep_until(second)
            await server.socket.send_message(encode_mark(SID, f"m{second}"))

    call = await lived(scenario(hang_up_after(3.0)), act)

    assert call.server.of(MarkReached) == [(1.0, MarkReached("m1")), (2.0, MarkReached("m2"))]


async def test_clear_silences_the_agents_and_flushes_their_marks(autojump_clock: MockClock) -> None:
    async def act(server: Server) -> None:
        await server.say(1.0)
        await server.socket.send_message(encode_mark(SID, "heard"))
        await server.say(4.0)
        await server.socket.send_message(encode_mark(SID, "unheard"))
        await trio.sleep(2.0)
        await server.socket.send_message(encode_clear(SID))
        await server.socket.send_message(encode_mark(SID, "fence"))

    call = await lived(scenario(hang_up_after(6.0)), act)

    assert call.caller.log.of(MarkEchoed) == (
        MarkEchoed(about(1.0), "heard", played=True),
        MarkEchoed(about(2.0), "unheard", played=False),
        MarkEchoed(about(2.0), "fence", played=True),
    )
    assert call.caller.log.of(BufferCleared) == (BufferCleared(about(2.0), 24000, 1),)
    assert call.summary is not None
    assert call.summary.played == ((0.0, about(2.0)),)


async def test_a_clear_at_the_instant_a_mark_is_reached_counts_it_as_played(autojump_clock: MockClock) -> None:
    async def act(server: Server) -> None:
        await server.socket.send_message(encode_mark(SID, "edge"))
        await server.socket.send_message(encode_clear(SID))

    call = await lived(scenario(hang_up_after(1.0)), act)

    assert [echo.played for echo in call.caller.log.of(MarkEchoed)] == [True]


async def test_keys_arrive_as_dtmf(autojump_clock: MockClock) -> None:
    call = await lived(scenario(CallerLine(digits="1#"), hang_up_after(1.0), patience=2.0))

    assert [event for _, event in call.server.of(DtmfReceived)] == [DtmfReceived("1"), DtmfReceived("#")]
    assert [entry.digit for entry in call.caller.log.of(DigitSent)] == ["1", "#"]


async def test_the_server_closing_ends_the_stream_without_stop(autojump_clock: MockClock) -> None:
    async def act(server: Server) -> None:
        await trio.sleep(1.0)
        await server.socket.aclose(1000)

    call = await lived(scenario(hangs_up=False), act)

    assert call.summary is not None
    assert (call.summary.how, call.summary.code) == ("closed", 1000)
    assert call.summary.duration == about(1.0, abs=0.021)
    assert call.server.of(StreamStopped) == []


async def test_twilio_can_stop_the_stream_for_a_redirect(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    caller, server = MediaCaller.of(scenario(hangs_up=False), here), Server(there)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)

        async def redirect() -> None:
            await trio.sleep(2.0)
            caller.stop()
            caller.stop()

        nursery.start_soon(redirect)
        summary = await caller.run()

    assert summary.how == "stopped"
    assert server.of(StreamStopped) == [(about(2.0), StreamStopped())]
    assert server.closed == 1000


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x00", 31950),
        ("{", 31951),
        ('{"event":"media","streamSid":"' + SID + '","media":{"payload":"AA==","extra":1}}', 31951),
        (encode_clear("MZ" + "f" * 32), 31951),
    ],
)
async def test_a_message_off_protocol_is_a_warning_once(
    frame: str | bytes, code: int, autojump_clock: MockClock
) -> None:
    async def act(server: Server) -> None:
        for _ in range(3):
            await server.socket.send_message(frame)

    call = await lived(scenario(hang_up_after(1.0)), act)

    assert call.summary is not None
    assert call.summary.warnings == (code,)
    assert [warning.code for warning in call.caller.log.of(WarningRaised)] == [code]


async def test_more_than_ten_minutes_of_audio_is_discarded_with_a_warning(autojump_clock: MockClock) -> None:
    async def act(server: Server) -> None:
        for _ in range(305):
            await server.socket.send_message(encode_media(SID, TONE * 100))

    call = await lived(scenario(hang_up_after(1.0)), act)

    assert call.summary is not None
    assert call.summary.warnings == (31931,)


async def test_a_server_that_does_not_read_loses_frames_and_not_their_order(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair(16)
    caller, server = MediaCaller.of(scenario(hang_up_after(20.0)), here), Server(there)
    async with trio.open_nursery() as nursery:

        async def wake_up() -> None:
            await trio.sleep(10.0)
            await server.run()

        nursery.start_soon(wake_up)
        summary = await caller.run()

    assert summary.warnings == (31930,)
    assert summary.discarded_frames > 200
    assert summary.sent_frames + summary.discarded_frames == 1000
    times = [event.timestamp_ms for _, event in server.of(MediaArrived) if isinstance(event, MediaArrived)]
    assert times == sorted(times, key=lambda stamp: stamp or 0)


async def test_a_stream_into_a_server_that_never_reads_still_ends(autojump_clock: MockClock) -> None:
    here, _there = memory_websocket_pair(4)
    caller = MediaCaller.of(scenario(hangs_up=False), here)
    async with trio.open_nursery() as nursery:

        async def hang_up() -> None:
            await trio.sleep(1.0)
            caller.stop()

        nursery.start_soon(hang_up)
        summary = await caller.run()

    assert summary.how == "stopped"
    assert trio.current_time() <= 1.0 + 2 * caller.close_deadline


async def test_jitter_delays_frames_and_keeps_their_order(autojump_clock: MockClock) -> None:
    call = await lived(scenario(hang_up_after(10.0), faults=("twilio: jitter 60 ms",)))

    arrived = call.server.of(MediaArrived)
    late = [at - 0.02 * index for index, (at, _) in enumerate(arrived)]
    assert max(late) == about(0.06, abs=0.005)
    assert min(late) >= 0
    assert len(arrived) == 500


async def test_stop_without_close_waits_for_the_server_to_close(autojump_clock: MockClock) -> None:
    async def act(server: Server) -> None:
        await server.stopped.wait()
        await trio.sleep(3.0)
        await server.socket.aclose()

    call = await lived(scenario(hang_up_after(1.0), faults=("twilio: stop without close",)), act)

    assert call.summary is not None
    assert call.summary.how == "hung up"
    assert trio.current_time() >= 4.0


async def test_close_without_stop_drops_the_socket(autojump_clock: MockClock) -> None:
    call = await lived(scenario(hang_up_after(1.0), faults=("twilio: close without stop",)))

    assert call.server.closed == 1006
    assert call.server.of(StreamStopped) == []


async def test_a_stalled_reader_leaves_the_servers_audio_unread(autojump_clock: MockClock) -> None:
    async def act(server: Server) -> None:
        await trio.sleep(3.0)
        with trio.move_on_after(2.0) as patience:
            await server.say(10.0)
        assert patience.cancelled_caught

    plot = scenario(hang_up_after(6.0), faults=("twilio: stalled reader after 2 s",))
    call = await lived(plot, act, buffer=8)

    assert call.caller.log.of(FaultInjected) == (FaultInjected(about(2.0), "stalled reader"),)
    assert call.summary is not None
    assert call.summary.played == ()


async def test_a_duplicate_start_has_the_same_stream_sid(autojump_clock: MockClock) -> None:
    call = await lived(scenario(hang_up_after(1.0), faults=("twilio: duplicate start",)))

    starts = [event for _, event in call.server.of(StreamStarted)]
    assert len(starts) == 2
    assert starts[0] == starts[1]


async def test_bad_frames_are_unreadable_text_between_good_ones(autojump_clock: MockClock) -> None:
    call = await lived(scenario(hang_up_after(10.0), faults=("twilio: bad frames 3",)))

    assert len(call.caller.log.of(FaultInjected)) == 3
    assert len(call.server.of(MediaArrived)) == 500


async def test_a_second_stream_of_the_same_call_goes_on_where_the_first_stopped(autojump_clock: MockClock) -> None:
    turns = CallerTurns(scenario(hang_up_after(4.0)).caller)
    recording = HeardRecording(trio.current_time())

    went: list[StreamSummary] = []

    async def stream(seconds: float) -> None:
        here, there = memory_websocket_pair()
        caller = MediaCaller(here, turns, recording=recording)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(there).run)

            async def stop() -> None:
                await trio.sleep(seconds)
                caller.stop()
                await trio.sleep(seconds)
                nursery.cancel_scope.cancel()

            nursery.start_soon(stop)
            went.append(await caller.run())

    await stream(1.0)
    await trio.sleep_until(5.0)
    await stream(10.0)
    first, second = went

    assert (first.how, second.how) == ("stopped", "hung up")
    assert len(recording.caller) == len(recording.agents) == about(8000 * (5.0 + second.duration), abs=200)


async def test_cancelling_the_caller_leaves_no_task_behind(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Server(there).run)
        with trio.move_on_after(1.0):
            await MediaCaller.of(scenario(hangs_up=False), here).run()
        await there.aclose()

    assert trio.lowlevel.current_statistics().tasks_living == before


class TaskSteps(trio.abc.Instrument):
    """Counts how often any task of the run is woken."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


@pytest.mark.slow
async def test_a_frame_costs_two_steps_here_and_one_in_the_server(autojump_clock: MockClock) -> None:
    here, there = memory_websocket_pair()
    caller = MediaCaller.of(scenario(hang_up_after(180.0)), here)
    steps = TaskSteps()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Server(there).run)
        trio.lowlevel.add_instrument(steps)
        summary = await caller.run()
        trio.lowlevel.remove_instrument(steps)

    assert summary.sent_frames == 9000
    assert steps.count <= 3 * 9000 + 50
