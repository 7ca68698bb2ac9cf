"""One caller's end of a Media Stream: 20 ms frames out, audio, marks and clears in, `stop` and close at the end.

`MediaCaller` owns one connected WebSocket from `connected` to the close. It sends a frame every 20 ms by absolute
deadlines, plays what the server sends at the speed of a telephone line, echoes marks when their audio has been heard,
and lets a `CallerTurns` decide what the caller does. It checks commands as Twilio does: a violation is a warning on the
log (31950, 31951, 31931: once per stream), never an exception, and the stream goes on.
Wire facts: https://www.twilio.com/docs/voice/media-streams/websocket-messages.
"""

import math
import random
from typing import Final

import attrs
import trio
import trio_websocket

from protocol.audio import FRAME_BYTES, FRAME_SECONDS
from protocol.errors import RemoteProtocolError
from protocol.twilio import DtmfReceived, MarkReached, StreamConnected, StreamStopped
from protocol.wire import WebSocket
from simulators.faults import OF_LINES, FaultPlan, Faults
from simulators.line_faults import BadLine
from simulators.memory import MemoryWebSocket
from simulators.scenario import Scenario
from simulators.twilio.caller import CallerAct, CallerTurns, GoesOn, HangsUp, KeepsSilent, PressesKey, StartsLine
from simulators.twilio.codec import ClearBuffer, SendMark, SendMedia, ToTwilio, decode_command
from simulators.twilio.frames import BAD_FRAMES, SILENT_FRAME, FrameWriter, StreamIdentity
from simulators.twilio.log import (
    BufferCleared,
    CallerHungUp,
    CallLog,
    DigitSent,
    FaultInjected,
    LineSpoken,
    MarkEchoed,
    StreamClosed,
    StreamOpened,
    WarningRaised,
)
from simulators.twilio.playout import HeardRecording, Playout

DISCARD_LAG: Final = 5.0
"""Seconds by which the server may be late reading before frames are discarded with warning 31930."""


@attrs.frozen
class StreamSummary:
    """Summary of one media stream."""

    how: str
    """`hung up` (the caller), `stopped` (Twilio: the call was redirected or completed), `closed` (the server)."""
    code: int | None
    duration: float
    sent_frames: int
    discarded_frames: int
    warnings: tuple[int, ...]
    played: tuple[tuple[float, float], ...]


@attrs.define(eq=False)
class MediaCaller:
    """One caller on one media stream."""

    socket: WebSocket
    turns: CallerTurns
    identity: StreamIdentity = attrs.field(factory=StreamIdentity)
    faults: Faults = attrs.field(factory=Faults)
    log: CallLog = attrs.field(factory=CallLog)
    recording: HeardRecording | None = None
    close_deadline: float = 5.0
    """Seconds the server has to answer `stop` or a close."""
    bundle: int = 1
    """Frames in a message. Twilio has 1; more makes long tests cheaper: a message leaves when its last frame is due."""
    sent_frames: int = attrs.field(default=0, init=False)
    discarded_frames: int = attrs.field(default=0, init=False)
    _said: int = attrs.field(default=0, init=False)
    """Frames of this stream, sent or not."""
    _playout: Playout = attrs.field(init=False)
    _frames: FrameWriter = attrs.field(init=False)
    _line: BadLine | None = attrs.field(default=None, init=False)
    _origin: float = attrs.field(default=0.0, init=False)
    _how: str = attrs.field(default="", init=False)
    _ended_at: float = attrs.field(default=0.0, init=False)
    _code: int | None = attrs.field(default=None, init=False)
    _bad_frames: int = attrs.field(default=0, init=False)
    _mute_at: float = attrs.field(default=math.inf, init=False)
    _is_mute: bool = attrs.field(default=False, init=False)
    _warned: list[int] = attrs.field(factory=list, init=False)
    _marks_queued: trio.Event = attrs.field(factory=trio.Event, init=False)
    _socket_closed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _talking: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    @classmethod
    def of(cls, scenario: Scenario, socket: WebSocket, identity: StreamIdentity | None = None) -> "MediaCaller":
        """Make the scenario's caller, with the scenario's faults, on a connected socket."""
        faults = FaultPlan(scenario.faults).twilio
        return cls(socket, CallerTurns(scenario.caller), identity or StreamIdentity(), faults)

    @property
    def heard(self) -> HeardRecording:
        return self._playout.recording

    @property
    def played(self) -> tuple[tuple[float, float], ...]:
        """When agents' audio was on the line, as seconds since the recording began."""
        return self._playout.intervals()

    async def run(self) -> StreamSummary:
        """Live through the whole stream and say how it went.

        *Closes* the socket at the end of the stream. *Cancellation* leaves that to its owner.
        """
        self._origin = trio.current_time()
        if self.recording is None:
            self.recording = HeardRecording(self._origin)
        self.recording.level(self._origin)
        self._playout = Playout(self.recording)
        self._frames = FrameWriter(self.identity)
        self._line = BadLine(self.faults, self._agents_at) if self.faults.has(*OF_LINES) else None
        self._bad_frames = self.faults.number("bad frames")
        self._mute_at = self._origin + self.faults.begin("no media")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._echo_marks)
            await self._open()
            with self._talking:
                await self._talk()
            await self._leave()
            nursery.cancel_scope.cancel(reason="the stream is over")
        return self._summary()

    def stop(self) -> None:
        """End the stream from Twilio's side, as a redirect or a REST hang-up does: `stop`, then close."""
        self._end("stopped")

    def drop(self) -> None:
        """Lose the connection without a word, where it is one in memory; else as `stop`."""
        if isinstance(self.socket, MemoryWebSocket):
            self.socket.drop()
        self._end("stopped")

    async def press(self, digit: str) -> None:
        """Press a key now, whatever the scenario says."""
        await self._notice(PressesKey(digit), trio.current_time())

    def _end(self, how: str, code: int | None = None) -> None:
        if not self._how:
            self._how, self._code, self._ended_at = how, code, trio.current_time()
            self._talking.cancel(reason=f"stream {how}")

    def _summary(self) -> StreamSummary:
        self.log.put(StreamClosed(trio.current_time(), self.identity.stream_sid, self._how))
        return StreamSummary(
            how=self._how,
            code=self._code,
            duration=self._ended_at - self._origin,
            sent_frames=self.sent_frames,
            discarded_frames=self.discarded_frames,
            warnings=tuple(self._warned),
            played=self.played,
        )

    async def _open(self) -> None:
        await self._send(self._frames.event(StreamConnected()))
        await self._send(self._frames.start())
        self.log.put(StreamOpened(trio.current_time(), self.identity.stream_sid))
        if self.faults.has("duplicate start"):
            self._act_out("duplicate start")
            self._frames.sequence = 0
            await self._send(self._frames.start())

    async def _talk(self) -> None:
        rng, jitter, bundle = random.Random(0), self.faults.seconds("jitter"), self.bundle
        while not self._how:
            due = self._origin + self._said * FRAME_SECONDS
            leaves = due + (bundle - 1) * FRAME_SECONDS + (rng.uniform(0, jitter) if jitter else 0.0)
            # trio.sleep_until without its generators: this runs fifty times a second.
            with trio.CancelScope(deadline=leaves):
                await trio.sleep_forever()
            await self._speak(due)

    async def _speak(self, due: float) -> None:
        """Send one bundle; what else the caller does has its place between the frames."""
        frames, left, line = list[bytes](), self.heard.caller, self._line
        for at in (due + number * FRAME_SECONDS for number in range(self.bundle)):
            act = self.turns.step(self.heard.agents_voiced(at))
            if not isinstance(act, (KeepsSilent, GoesOn)):
                await self._send_media(frames)
                await self._notice(act, at)
            frame = act.frame if isinstance(act, (StartsLine, GoesOn)) else SILENT_FRAME
            if line is not None:
                frame = line.carry(frame, at - self._origin)
            frames.append(frame)
            left += frame
            self._said += 1
            if self._bad_frames and self._said % 50 == 0:
                await self._send_media(frames)
                await self._send_bad_frame(self._said // 50 - 1)
            if self._how:
                break
        await self._send_media(frames)

    def _agents_at(self, seconds: float) -> bytes:
        """Return a frame of what the agents' sound was, so many seconds into the stream."""
        begin = self.heard.position(self._origin + seconds)
        heard = bytes(self.heard.agents[begin : begin + FRAME_BYTES]) if begin >= 0 else b""
        return heard.ljust(FRAME_BYTES, SILENT_FRAME[:1])

    async def _send_media(self, frames: list[bytes]) -> None:
        """Send what has come together, and take it away."""
        if not frames:
            return
        text, count = self._frames.media(*frames), len(frames)
        frames.clear()
        due = self._origin + (self._said - count) * FRAME_SECONDS
        if self._carries_nothing(due):
            return
        if trio.current_time() - due > DISCARD_LAG:
            self.discarded_frames += count
            self._warn(31930, "the server reads too slowly: inbound audio discarded")
            return
        await self._send(text)
        self.sent_frames += count

    def _carries_nothing(self, due: float) -> bool:
        if due < self._mute_at:
            return False
        if not self._is_mute:
            self._is_mute = True
            self._act_out("no media")
        return True

    async def _notice(self, act: CallerAct, due: float) -> None:
        match act:
            case StartsLine(text=text, frames=frames):
                self.log.put(LineSpoken(due, text, due + frames * FRAME_SECONDS))
            case PressesKey(digit=digit):
                self.log.put(DigitSent(due, digit))
                await self._send(self._frames.event(DtmfReceived(digit)))
            case HangsUp():
                self.log.put(CallerHungUp(due))
                self._end("hung up")
            case _:
                pass

    async def _send_bad_frame(self, number: int) -> None:
        if number < self._bad_frames:
            self._act_out("bad frames")
            await self._send(BAD_FRAMES[number % len(BAD_FRAMES)])

    async def _listen(self) -> None:
        try:
            with trio.move_on_at(self._origin + self.faults.begin("stalled reader")):
                while True:
                    await self._obey(await self.socket.get_message())
        except trio_websocket.ConnectionClosed as closed:
            self._on_closed(closed)
        else:
            self._act_out("stalled reader")

    async def _obey(self, message: str | bytes) -> None:
        if self._how:
            return
        try:
            command = decode_command(message)
        except RemoteProtocolError as error:
            self._warn(31950 if isinstance(message, bytes) else 31951, str(error))
            return
        if command.stream_sid != self.identity.stream_sid:
            self._warn(31951, f"streamSid {command.stream_sid[:40]!r} is not this stream's")
            return
        await self._carry_out(command, trio.current_time())

    async def _carry_out(self, command: ToTwilio, now: float) -> None:
        match command:
            case SendMedia(payload=payload):
                if self._playout.append(now, payload):
                    self._warn(31931, "more than ten minutes of audio buffered")
            case SendMark(name=name):
                if self._playout.add_mark(now, name):
                    self._marks_queued.set()
            case ClearBuffer():
                await self._clear(now)

    async def _clear(self, now: float) -> None:
        reached = self._playout.take_reached(now)
        dropped, flushed = self._playout.clear(now)
        self.log.put(BufferCleared(now, dropped, len(flushed)))
        for name in reached:
            await self._echo(name, played=True)
        for name in flushed:
            await self._echo(name, played=False)

    async def _echo_marks(self) -> None:
        while True:
            with trio.move_on_at(self._playout.next_due()):
                await self._marks_queued.wait()
            self._marks_queued = trio.Event()
            for name in self._playout.take_reached(trio.current_time()):
                await self._echo(name, played=True)

    async def _echo(self, name: str, *, played: bool) -> None:
        self.log.put(MarkEchoed(trio.current_time(), name, played))
        await self._send(self._frames.event(MarkReached(name)))

    async def _leave(self) -> None:
        self.heard.level(self._ended_at)
        if self._how != "closed":
            await self._say_stop()
        with trio.move_on_after(self.close_deadline):
            await self.socket.aclose()

    async def _say_stop(self) -> None:
        if self.faults.has("close without stop"):
            self._act_out("close without stop")
            if isinstance(self.socket, MemoryWebSocket):
                self.socket.drop()
            return
        with trio.move_on_after(self.close_deadline):
            await self._send(self._frames.event(StreamStopped()))
        if self.faults.has("stop without close"):
            self._act_out("stop without close")
            await self._socket_closed.wait()

    async def _send(self, frame: str | bytes) -> None:
        try:
            await self.socket.send_message(frame)
        except trio_websocket.ConnectionClosed as closed:
            self._on_closed(closed)

    def _on_closed(self, closed: trio_websocket.ConnectionClosed) -> None:
        self._socket_closed.set()
        self._end("closed", closed.reason.code if closed.reason is not None else None)

    def _warn(self, code: int, why: str) -> None:
        if code not in self._warned:
            self._warned.append(code)
            self.log.put(WarningRaised(trio.current_time(), code, why))

    def _act_out(self, fault: str) -> None:
        self.log.put(FaultInjected(trio.current_time(), fault))
