"""The Media Streams socket of one caller.

`TwilioBridge` owns the Media Streams connection from `start` to its end and is the only one to write to it. It puts
the caller's audio on the tape and sends what the ledger has for the caller. It outlives every agent, never restarts,
and when it ends the call ends. A frame that cannot be read is noted and passed over; a socket that sends nothing
else, or is dead without being closed, is given up.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import assert_never

import attrs
import trio
from trio_websocket import ConnectionClosed

from actors.call_state import CallState
from actors.facts import CallerHungUp, CallerSpoke
from actors.line.line_watch import LineWatch
from actors.line.reply import SendAudio, SendClear, SendMarkAlone, Work
from actors.ticks import Looker, time_reader
from protocol import twilio
from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES, FRAME_SECONDS, SILENCE, is_voiced
from protocol.errors import RemoteProtocolError
from protocol.twilio import FromTwilio, MediaStreamDialogue, StreamState
from protocol.wire import PacedWebSocket, pump

STOPPED = "stop"
"""How the caller has left if Twilio says so on the socket."""
CALL_OVER = "call over"
"""How the caller has left if Twilio's webhooks say so, and the socket does not."""
_REFUSALS_IN_A_ROW = 250
"""Five seconds of nothing but nonsense."""
_LATE = 0.3
"""Seconds: audio that is later than this may be late, or behind audio that Twilio has thrown away."""
_BYTES_PER_MS = BYTES_PER_SECOND // 1000


class _Over(Exception):
    """The stream is over, though the socket is not closed; the message says how."""


@attrs.define(eq=False)
class TwilioBridge:
    """The bridge of one call. The socket is handed over right after its `start` message; `run` it once.

    *Closes* nothing: the code that accepted the socket closes it.
    """

    state: CallState
    socket: PacedWebSocket
    stream_sid: str
    on_audio: Callable[[bytes], None] | None = None
    """Called with the caller's audio, when it is recorded, and with silence for what Twilio has thrown away of it."""
    bytes_in: int = 0
    _thrown_away: int = attrs.field(default=0, init=False)
    _began: float = attrs.field(default=0.0, init=False)
    """When (trio time) the first audio came."""
    _stamped: int = attrs.field(default=0, init=False)
    """Its time by Twilio, in bytes."""
    _now: Callable[[], float] = attrs.field(factory=time_reader, init=False)
    _refused_in_a_row: int = attrs.field(default=0, init=False)
    _watch: LineWatch = attrs.field(
        default=attrs.Factory(
            lambda self: LineWatch(self.state.ledger, self.state.conversation, self.state.policy.deadlines.dead_line),
            takes_self=True,
        ),
        init=False,
    )

    @property
    def frames_in(self) -> int:
        """How many frames of the caller have come, however many were in a message."""
        return self.bytes_in // FRAME_BYTES

    async def run(self) -> CallerHungUp:
        """Carry audio both ways until the caller's side ends the stream."""
        left: CallerHungUp | None = None
        with self.state.stream:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                with Looker(self._watch.look(), self._look, nursery.start_soon):
                    left = await self._read()
                nursery.cancel_scope.cancel(reason="stream over")
        if left is None:
            left = CallerHungUp(self._watch.died_of or CALL_OVER)
        self._note_speech(self.state.activity.end())
        if self.state.switch.underway is None or left.how == CALL_OVER:  # else the line has the caller
            self.state.journal.note(left)
        return left

    def _look(self) -> float:
        """Give the line up if it is dead; return when to look again."""
        due = self._watch.look()
        if self._watch.died_of:
            self.state.stream.cancel(reason=f"line dead: {self._watch.died_of}")
        return due

    async def _read(self) -> CallerHungUp:
        dialogue = MediaStreamDialogue(StreamState.STREAMING, self.stream_sid)
        try:
            await pump(self.socket, partial(self._take, dialogue))
        except ConnectionClosed:
            return CallerHungUp("disconnect")
        except _Over as over:
            return CallerHungUp(str(over))

    def _take(self, dialogue: MediaStreamDialogue, frames: list[str | bytes]) -> None:
        """Take what has come together, its audio in one piece. *Raises* `_Over` behind the last of it."""
        heard: list[bytes] = []
        is_over = False
        for frame in frames:
            if not is_over and (audio := twilio.sliced_media(frame, dialogue.tail)) is not None:
                heard.append(audio)
                self._refused_in_a_row = 0
                continue
            try:
                event = dialogue.receive(frame)
            except RemoteProtocolError as refused:
                self._refused_in_a_row += 1
                self.state.journal.note_refused("twilio", refused.reason)
                continue
            self._refused_in_a_row = 0
            if isinstance(event, twilio.MediaArrived):
                heard.append(event.payload)
            elif isinstance(event, twilio.StreamStopped):
                is_over = True
            else:
                self._on_event(event)
        if heard:
            self._on_audio(heard, frames)
        if is_over or self._refused_in_a_row >= _REFUSALS_IN_A_ROW:
            raise _Over(STOPPED if is_over else "nonsense")

    def _on_audio(self, payloads: list[bytes], frames: list[str | bytes]) -> None:
        audio, voiced, now, state = b"".join(payloads), any(map(is_voiced, payloads)), self._now(), self.state
        if self.on_audio is not None and (now > self._due() + _LATE or not self.bytes_in):
            self._keep_time(frames, now, self.on_audio)
        self.bytes_in += len(audio)
        self._watch.heard = now
        state.tape.append(audio, voiced=voiced)
        self.socket.gather(state.policy.numbers.chunk_frames * FRAME_SECONDS)
        if self.on_audio is not None:
            self.on_audio(audio)
        spoke = state.activity.hear(voiced=voiced, now=now - state.journal.started)
        self._note_speech(spoke)
        state.turn.put_voice(is_voiced=voiced, spoke=spoke)

    def _due(self) -> float:
        """When (trio time) the next audio would come if none were late."""
        return self._began + (self.bytes_in + self._thrown_away) / BYTES_PER_SECOND

    def _keep_time(self, frames: list[str | bytes], now: float, on_audio: Callable[[bytes], None]) -> None:
        """Record silence for what will not come: by Twilio's clock, the first of these frames is behind it."""
        self._began = self._began if self.bytes_in else now
        for frame in frames:
            with suppress(RemoteProtocolError):
                event = twilio.decode(frame)
                if isinstance(event, twilio.MediaArrived) and event.timestamp_ms is not None:
                    position = event.timestamp_ms * _BYTES_PER_MS - self.bytes_in - self._thrown_away
                    self._stamped = self._stamped if self.bytes_in else position
                    gap = min(position - self._stamped, round((now - self._due()) * BYTES_PER_SECOND))
                    if gap >= FRAME_BYTES:
                        self._thrown_away += gap
                        on_audio(bytes([SILENCE]) * gap)
                    return

    def _on_event(self, event: FromTwilio) -> None:
        match event:
            case twilio.MarkReached(name=name):
                self.state.ledger.mark_reached(name)
                self.state.turn.wake_for_mark()
            case twilio.DtmfReceived(digit=digit):
                self.state.keypad.press(digit)
            case twilio.UnknownEvent(event=name):
                self.state.journal.note_unrecognised("twilio", name)
            case _:
                pass  # `connected`, or a second `start`: nothing that this stream does not know

    def _note_speech(self, spoke: tuple[float, float] | None) -> None:
        if spoke is not None:
            self.state.journal.note(CallerSpoke(*spoke))

    async def _write(self) -> None:
        ledger = self.state.ledger
        with suppress(ConnectionClosed), ledger.sending(self._send_due):  # the reader meets the same end, later
            while True:
                if unsent := self._send_nowait(await ledger.next_work()):
                    await self._send_later(unsent)

    def _send_due(self) -> None:
        """Send what is due first, in the turn of the session that brings it; `_write` sends what is due besides."""
        if self._watch.sending_since < math.inf or (work := self.state.ledger.work_now()) is None:
            return
        try:
            if self._send_nowait(work):
                self.state.ledger.put_back(work)
        except ConnectionClosed:
            pass  # the reader meets it too, and it is none of the session's business

    def _send_nowait(self, work: Work) -> tuple[str, ...]:
        """Return what there was no room for; nothing stays in the frame of a writer that waits."""
        match work:
            case SendAudio(audio=audio, mark=mark):
                media = twilio.encode_media(self.stream_sid, audio)
                messages = (media,) if mark is None else (media, twilio.encode_mark(self.stream_sid, mark))
            case SendMarkAlone(mark=mark):
                messages = (twilio.encode_mark(self.stream_sid, mark),)
            case SendClear():
                messages = (twilio.encode_clear(self.stream_sid),)
            case _:
                assert_never(work)
        return () if self.socket.send_nowait(*messages) else messages

    async def _send_later(self, messages: tuple[str, ...]) -> None:
        self._watch.sending_since = trio.current_time()
        for message in messages:
            await self.socket.send_message(message)
        self._watch.sending_since = math.inf
