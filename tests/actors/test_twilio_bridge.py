"""The bridge alone: Twilio on one side of a socket, tape and ledger on the other."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from actors.facts import CallerHungUp, CallerSpoke, DigitPressed, FrameRefused, ReplyEnded, Unrecognised
from actors.line.line_watch import VoiceActivity
from actors.line.reply import Voice
from actors.twilio_bridge import TwilioBridge
from protocol.audio import silence
from protocol.twilio import (
    DtmfReceived,
    FromTwilio,
    MarkReached,
    MediaArrived,
    StreamConnected,
    StreamStopped,
)
from simulators.memory import MemoryWebSocket, memory_websocket_pair
from simulators.twilio.codec import ClearBuffer, SendMark, SendMedia, ToTwilio, decode_command, encode_event
from tests.actors.fakes import PATIENCE, STREAM_SID, Watched, speech, words


@attrs.define(eq=False)
class Scene:
    """A stream that has started. The test is Twilio."""

    watched: Watched
    bridge: TwilioBridge
    socket: MemoryWebSocket
    voice: Voice
    recorded: bytearray = attrs.field(factory=bytearray)
    left: CallerHungUp | None = None
    over: trio.Event = attrs.field(factory=trio.Event)
    sequence: int = 1

    async def run(self) -> None:
        self.left = await self.bridge.run()
        self.over.set()

    async def say(self, *events: FromTwilio) -> None:
        for event in events:
            await self.socket.send_message(self.frame_of(event))

    def frame_of(self, event: FromTwilio) -> str:
        self.sequence += 1
        return encode_event(event, sequence=self.sequence, stream_sid=STREAM_SID)

    async def say_at_once(self, *said: FromTwilio | str) -> None:
        """Say several things that come together; text as it is."""
        self.socket.is_prompt = True
        assert self.socket.send_nowait(*[event if isinstance(event, str) else self.frame_of(event) for event in said])
        await wait_all_tasks_blocked()

    async def speak(self, audio: bytes, each: int = 160) -> None:
        """Send audio in real time."""
        for start in range(0, len(audio), each):
            await self.say(MediaArrived(audio[start : start + each], None))
            await trio.sleep(0.02)

    async def hear(self) -> ToTwilio:
        with trio.fail_after(PATIENCE):
            return decode_command(await self.socket.get_message())

    async def hear_all(self) -> list[ToTwilio]:
        await wait_all_tasks_blocked()
        return [await self.hear() for _ in range(self.socket.unread)]

    async def hung_up(self) -> CallerHungUp:
        with trio.fail_after(PATIENCE):
            await self.over.wait()
        assert self.left is not None
        return self.left


@asynccontextmanager
async def a_stream(*, buffer: int = 1024) -> AsyncIterator[Scene]:
    watched = Watched()
    ours, theirs = memory_websocket_pair(buffer)
    voice = Voice("first")
    watched.state.ledger.grant(voice)
    scene = Scene(watched, TwilioBridge(watched.state, ours, STREAM_SID), theirs, voice)
    scene.bridge.on_audio = scene.recorded.extend
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run)
        yield scene
        nursery.cancel_scope.cancel(reason="end of the test")


# The caller's audio


async def test_the_callers_audio_is_put_on_tape_and_on_record_in_order(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        await scene.speak(speech(20))
        await wait_all_tasks_blocked()

        assert scene.watched.state.tape.read(0, 99) == speech(20)
        assert bytes(scene.recorded) == speech(20)
        assert scene.bridge.frames_in == 20


@pytest.mark.parametrize(("lost_ms", "silent_frames"), [(3000, 150), (1000, 50), (0, 0), (60_000, 150)])
@pytest.mark.parametrize("together", [1, 50], ids=["one by one", "in one read"])
async def test_audio_that_twilio_has_thrown_away_is_silence_on_record_and_late_audio_is_not(
    together: int, lost_ms: int, silent_frames: int, autojump_clock: MockClock
) -> None:
    """The network stands still for three seconds; by Twilio's clock, more or less of them will never come."""
    async with a_stream() as scene:
        for number in range(50):
            await scene.say(MediaArrived(speech(1, number), 160 + 20 * number))
            await trio.sleep(0.02)
        await trio.sleep(3)
        late = [MediaArrived(speech(1, number), 160 + lost_ms + 20 * number) for number in range(50, 250)]
        for start in range(0, 200, together):
            await scene.say_at_once(*late[start : start + together])

        assert bytes(scene.recorded) == speech(50) + silence(silent_frames) + speech(200, 50)
        assert scene.watched.state.tape.peek(0, 300) == speech(250)


async def test_while_the_bridge_waits_it_keeps_nothing_of_what_it_has_read(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        frames = [scene.frame_of(MediaArrived(speech(1), None)) for _ in range(30)]
        before = [sys.getrefcount(frame) for frame in frames]
        await scene.say_at_once(*frames)

        assert scene.bridge.frames_in == 30
        assert [sys.getrefcount(frame) for frame in frames] == before


async def test_the_stream_is_read_once_a_chunk(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        socket, strides = scene.bridge.socket, []
        assert isinstance(socket, MemoryWebSocket)
        for number in range(3):
            await scene.say(MediaArrived(speech(1, number), None))
            await wait_all_tasks_blocked()
            strides.append(round(socket.stride, 3))

    assert strides == [0.08] * 3


async def test_what_comes_together_is_heard_in_one_piece_and_nothing_of_it_is_lost(autojump_clock: MockClock) -> None:
    """A stream that was held up for a moment: audio, a key, nonsense, more audio, and the end, all at once."""
    async with a_stream() as scene:
        one, two = speech(3, 1), speech(2, 2)
        await scene.say_at_once(
            *(MediaArrived(one, None), DtmfReceived("7"), "nonsense"),
            *(MediaArrived(two, None), StreamStopped(), MediaArrived(speech(9), None)),
        )

        assert await scene.hung_up() == CallerHungUp("stop")
        assert scene.watched.state.tape.read(0, 99) == bytes(scene.recorded) == one + two
        assert scene.bridge.frames_in == 5
        noted = [type(entry.fact) for entry in scene.watched.entries]
        assert noted == [DigitPressed, FrameRefused, FrameRefused, CallerSpoke, CallerHungUp]


async def test_one_frame_of_voice_among_silence_is_noticed(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        tape = scene.watched.state.tape
        await scene.say_at_once(*[MediaArrived(frame, None) for frame in (silence(1), speech(1, 1), silence(1))])
        for _ in range(10):
            await scene.say_at_once(*[MediaArrived(silence(1), None)] * 10)

        assert tape.resume_point(tape.end) == 0  # what was said in the second frame is still to be heard


async def test_audio_is_taken_without_a_recording_as_well(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        scene.bridge.on_audio = None
        await scene.speak(speech(3))
        await wait_all_tasks_blocked()

        assert scene.watched.state.tape.end == 3


async def test_when_the_caller_spoke_is_noted_without_the_pauses_of_a_breath(autojump_clock: MockClock) -> None:
    """Speech from 0.1 to 0.5 and, after 0.3 s, from 0.8 to 1.0; then 1 s of silence; then speech until the stop."""
    async with a_stream() as scene:
        await scene.speak(silence(5) + speech(20) + silence(15) + speech(10) + silence(50) + speech(10))
        await scene.say(StreamStopped())
        await scene.hung_up()

        first, second = scene.watched.facts(CallerSpoke)
        assert (first.start, first.end) == pytest.approx((0.1, 1.0))
        assert (second.start, second.end) == pytest.approx((2.0, 2.2))


def test_a_line_that_never_carries_voice_has_no_speech() -> None:
    activity = VoiceActivity()

    assert [activity.hear(voiced=False, now=at) for at in (0.0, 1.0)] == [None, None]
    assert activity.end() is None


# The agents' audio


async def test_audio_of_the_agent_is_sent_with_marks_that_come_back(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        ledger = scene.watched.state.ledger
        ledger.put(scene.voice, words(0.3).data)
        ledger.audio_done(scene.voice)
        media, mark = await scene.hear(), await scene.hear()
        assert isinstance(mark, SendMark)
        await trio.sleep(0.3)
        await scene.say(MarkReached(mark.name))
        await wait_all_tasks_blocked()

        assert media == SendMedia(STREAM_SID, words(0.3).data)
        assert [fact.complete for fact in scene.watched.facts(ReplyEnded)] == [True]


async def test_audio_too_short_for_a_mark_gets_one_when_its_end_is_known(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        ledger = scene.watched.state.ledger
        ledger.put(scene.voice, words(0.15).data)
        before = await scene.hear_all()
        ledger.audio_done(scene.voice)
        after = await scene.hear_all()

        assert [type(command) for command in before] == [SendMedia]
        assert [type(command) for command in after] == [SendMark]


async def test_a_barge_in_clears_what_twilio_has_buffered(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        ledger = scene.watched.state.ledger
        ledger.put(scene.voice, words(3).data)
        await trio.sleep(0.2)
        await scene.hear_all()
        ledger.cut()
        commands = await scene.hear_all()
        await trio.sleep(3)

        assert commands == [ClearBuffer(STREAM_SID)]
        assert scene.socket.unread == 0


async def test_a_peer_that_stops_reading_does_not_keep_the_caller_from_being_heard(autojump_clock: MockClock) -> None:
    async with a_stream(buffer=1) as scene:
        ledger = scene.watched.state.ledger
        for _ in range(20):
            ledger.put(scene.voice, words(1).data)
        await scene.speak(speech(50))
        await scene.say(StreamStopped())

        assert await scene.hung_up() == CallerHungUp("stop")
        assert scene.watched.state.tape.end == 50


# Everything else


async def test_keys_and_novelties_are_noted(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        await scene.say(DtmfReceived("5"))
        await scene.socket.send_message('{"event": "novelty", "streamSid": "' + STREAM_SID + '"}')
        await wait_all_tasks_blocked()

        assert scene.watched.facts(DigitPressed) == [DigitPressed("")]
        assert scene.watched.facts(Unrecognised) == [Unrecognised("twilio", "novelty")]


@pytest.mark.parametrize(("names", "noted"), [(["novelty"] * 400, 1), ([f"novelty {n}" for n in range(400)], 10)])
async def test_an_unknown_event_that_comes_with_every_frame_is_noted_once(
    names: list[str], noted: int, autojump_clock: MockClock
) -> None:
    async with a_stream() as scene:
        for name in names:
            await scene.socket.send_message(f'{{"event": "{name}", "streamSid": "{STREAM_SID}"}}')
        await wait_all_tasks_blocked()

        assert len(scene.watched.facts(Unrecognised)) == noted


async def test_what_twilio_says_twice_changes_nothing(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        await scene.say(StreamConnected(), MarkReached("never sent"))
        await scene.speak(speech(1))
        await wait_all_tasks_blocked()

        assert scene.watched.state.tape.end == 1
        assert not scene.over.is_set()


async def test_malformed_frames_are_passed_over_and_each_kind_of_them_is_noted_once(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        for _ in range(30):
            await scene.socket.send_message("{nonsense")
            await scene.speak(speech(1))
        await wait_all_tasks_blocked()

        assert [fact.why for fact in scene.watched.facts(FrameRefused)] == [
            "not JSON: unexpected character, expected a string key"
        ]
        assert scene.watched.state.tape.end == 30


async def test_a_socket_that_sends_nothing_but_nonsense_is_given_up(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        for _ in range(250):
            await scene.socket.send_message(b"\x00")

        assert await scene.hung_up() == CallerHungUp("nonsense")


# The end


async def test_a_stop_is_the_end(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        await scene.say(StreamStopped())

        assert await scene.hung_up() == CallerHungUp("stop")
        assert scene.watched.facts(CallerHungUp) == [CallerHungUp("stop")]


async def test_a_socket_that_is_gone_is_the_end_after_what_the_caller_said_last(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        scene.watched.state.ledger.put(scene.voice, words(5).data)
        await scene.say(MediaArrived(speech(4), None))
        scene.socket.drop()

        assert await scene.hung_up() == CallerHungUp("disconnect")
        assert scene.watched.state.tape.end == 4


async def test_the_bridge_leaves_the_socket_to_its_owner(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        await scene.say(StreamStopped())
        await scene.hung_up()
        await scene.say(StreamStopped())

        assert scene.socket.closed is None


async def test_agents_may_go_on_speaking_to_a_socket_that_is_gone(autojump_clock: MockClock) -> None:
    async with a_stream() as scene:
        await scene.bridge.socket.aclose()
        scene.watched.state.ledger.put(scene.voice, words(5).data)
        with pytest.raises(ConnectionClosed):
            await scene.hear()

        assert await scene.hung_up() == CallerHungUp("disconnect")


# A line that is dead


async def test_a_stream_that_brings_no_frame_for_ten_seconds_is_dead(autojump_clock: MockClock) -> None:
    """Its other events do not count: frames are what a line carries."""
    async with a_stream() as scene:
        await scene.speak(speech(50))
        await scene.say(DtmfReceived("1"))
        await trio.sleep(9)
        await scene.say(DtmfReceived("2"))

        assert await scene.hung_up() == CallerHungUp("no media")
        assert trio.current_time() == pytest.approx(1.0 - 0.02 + 10.0)
        assert scene.watched.facts(CallerHungUp) == [CallerHungUp("no media")]


async def test_a_stream_that_takes_nothing_for_ten_seconds_is_dead(autojump_clock: MockClock) -> None:
    """The caller is heard all the while; the first mark has no room."""
    async with a_stream(buffer=1) as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.speak, silence(50 * 30))
        await trio.sleep(3)
        scene.watched.state.ledger.put(scene.voice, words(5).data)

        assert await scene.hung_up() == CallerHungUp("reads nothing")
        assert trio.current_time() == pytest.approx(13.0)
        nursery.cancel_scope.cancel(reason="end of the test")


async def test_a_stream_that_echoes_no_mark_for_ten_seconds_is_dead(autojump_clock: MockClock) -> None:
    """There is room for all it is sent; it is looked after the marks every 2.5 s, and 0.4 s are still to play then."""
    async with a_stream() as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.speak, silence(50 * 30))
        await trio.sleep(3)
        scene.watched.state.ledger.put(scene.voice, words(1).data)
        await trio.sleep(0.5)
        scene.watched.state.conversation.add_caller("Hello?")  # which answers nothing that they have heard

        assert await scene.hung_up() == CallerHungUp("plays nothing")
        assert trio.current_time() == pytest.approx(3 + 10, abs=3)
        nursery.cancel_scope.cancel(reason="end of the test")


async def _echo(scene: Scene, left: int, *, flushed: bool) -> None:
    """Echo the first marks, and no more; or those that are out whenever the line is cleared."""
    out: list[str] = []
    while True:
        heard = decode_command(await scene.socket.get_message())
        if isinstance(heard, SendMark):
            out.append(heard.name)
        if left or (flushed and isinstance(heard, ClearBuffer)):
            left -= min(left, len(out))
            while out:
                await scene.say(MarkReached(out.pop(0)))


async def _talk(scene: Scene, until: float) -> None:
    """The agent speaks for a second, many times. The caller answers, and sometimes talks over it."""
    state, count = scene.watched.state, 0
    while True:
        state.ledger.put(scene.voice, words(1).data)
        state.ledger.end_reply(scene.voice)
        count += 1
        await trio.sleep(0.5)
        if count % 40 == 0:
            state.ledger.cut()
        await trio.sleep(1.5)
        if trio.current_time() < until:
            state.conversation.add_caller("And then?")


@pytest.mark.parametrize("talks_until", [180, 30], ids=["who talks on", "who falls silent"])
@pytest.mark.parametrize(
    ("echoed", "flushed"), [(0, False), (3, False), (0, True)], ids=["none", "three", "upon clear"]
)
async def test_a_line_that_does_not_echo_marks_is_believed_once_its_caller_has_answered(
    echoed: int, flushed: bool, talks_until: float, autojump_clock: MockClock
) -> None:
    async with a_stream() as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.speak, silence(50 * 200))
        nursery.start_soon(partial(_echo, scene, echoed, flushed=flushed))
        nursery.start_soon(_talk, scene, talks_until)
        with trio.move_on_after(170):
            await scene.over.wait()

        assert scene.left is None
        nursery.cancel_scope.cancel(reason="end of the test")


async def test_a_line_is_not_dead_because_we_have_been_asleep(autojump_clock: MockClock) -> None:
    """A machine that was suspended wakes to an old clock, and to frames that nobody has read yet."""
    async with a_stream() as scene:
        await scene.speak(speech(100))
        autojump_clock.jump(60)
        await wait_all_tasks_blocked()
        await scene.say(MediaArrived(speech(1), None))
        await trio.sleep(0.02)
        alive = not scene.over.is_set()
        left = await scene.hung_up()

    assert alive
    assert left == CallerHungUp("no media")
    assert trio.current_time() == pytest.approx(2 + 60 + 10, abs=0.1)


@pytest.mark.slow
async def test_a_line_that_is_slow_to_play_is_alive(autojump_clock: MockClock) -> None:
    """Each mark comes back after nine seconds."""
    async with a_stream() as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.speak, silence(50 * 60))
        scene.watched.state.ledger.put(scene.voice, words(8).data)

        async def echo() -> None:
            while True:
                heard = await scene.hear()
                if isinstance(heard, SendMark):
                    await trio.sleep(9)
                    await scene.say(MarkReached(heard.name))

        nursery.start_soon(echo)
        await trio.sleep(55)

        assert not scene.over.is_set()
        nursery.cancel_scope.cancel(reason="end of the test")
