"""One Voice Agent socket as a session uses it: it decodes, encodes and checks messages.

`AgentWire` joins a WebSocket to the protocol's dialogue. It translates a closed socket, a peer that stops reading and
the service's `Error` into `AgentUnavailable`. What cannot be read, lacks what it must have, or may not come now, is
passed over. The task that opened the socket closes it. `ServiceOutbox`, `ServiceActivity` and `LatencyMeter` are what
else a session keeps of its service.
"""

import math
from collections.abc import Callable
from typing import NoReturn, TypeVar

import attrs
import trio
from trio.lowlevel import ParkingLot
from trio_websocket import ConnectionClosed

from actors.errors import AgentUnavailable
from actors.facts import LatencyReported
from actors.journal import Journal
from actors.line.reply import Voice
from actors.ticks import SLACK_SECONDS, Sleeper, time_reader
from protocol import deepgram
from protocol.audio import BYTES_PER_SECOND
from protocol.errors import RemoteProtocolError
from protocol.wire import PacedWebSocket, Take, pump

M = TypeVar("M")
_CONVERSING = deepgram.DialogueState.CONVERSING  # an Enum looks its members up by name, for each frame
_FLOWING = BYTES_PER_SECOND // 5
"""Bytes after which audio flows; until then every piece is read as it comes."""
_PAUSE = 0.1
"""Seconds without audio, after which it does not flow any more."""
_WAITING = 64
"""Messages that may wait to be sent, besides the caller's audio."""


@attrs.define
class Flow:
    """How an agent's audio comes: whether without a pause, in what pieces, and when.

    Where two pieces are read together, and the second one is late, it is read alone. The read itself may be late
    as well, so the earliest moments count: pieces are expected as if the first had come at `_began`, and later only
    when the second one has been late twice running.
    """

    _size: int = attrs.field(default=0, init=False)
    """Bytes since the last pause."""
    _piece: int = attrs.field(default=0, init=False)
    """Of the shortest piece since then."""
    _at: float = attrs.field(default=-math.inf, init=False)
    _began: float = attrs.field(default=0.0, init=False)
    """When (trio time) this audio would have begun if it were spoken at real time, and no read had been late."""
    _missed: float = attrs.field(default=math.inf, init=False)
    """The same by the second piece that was late last, if none has been in time since then."""
    _waits_for_two: bool = attrs.field(default=False, init=False)
    _reads_one: bool = attrs.field(default=False, init=False)
    """Whether the next piece is read alone, although none was late."""

    def note(self, size: int, now: float) -> None:
        """Take the audio of one read."""
        if now > self._at + _PAUSE:
            self._size, self._piece, self._began, self._missed = 0, size, math.inf, math.inf
        has_flowed, waited_for_two = self._size >= _FLOWING, self._waits_for_two
        self._at, self._size, self._piece = now, self._size + size, size if size < self._piece else self._piece
        self._waits_for_two = self._reads_one or not waited_for_two or size >= 2 * self._piece
        self._reads_one = False
        began = now - self._size / BYTES_PER_SECOND
        self._began = began if began < self._began else self._began
        if waited_for_two and self._waits_for_two:
            self._missed = math.inf
        elif has_flowed and not waited_for_two:
            began -= SLACK_SECONDS  # it has come since the tick before
            if self._missed < math.inf:
                self._began = max(self._began, min(self._missed, began))
            self._missed = began

    @property
    def piece(self) -> float:
        """Seconds of a piece of audio that has flowed for a while; infinite until then."""
        return self._piece / BYTES_PER_SECOND if self._size >= _FLOWING else math.inf

    def pairs_at(self, moment: float) -> bool:
        """Say whether two pieces are read together at this moment; else one is, which was late or no pair.

        The pairs of all calls are read in the same half of the time that two pieces take: so they share the scheduler's
        turns. After a piece that was read alone, a pair is complete half of that time earlier.
        """
        two = 2 * self._piece / BYTES_PER_SECOND
        self._reads_one = self._waits_for_two and moment % two >= two / 2
        return self._waits_for_two and not self._reads_one

    def late(self, now: float) -> float:
        """Return how many seconds ago the last piece should have come."""
        return now - self._began - self._size / BYTES_PER_SECOND


@attrs.define
class AgentWire:
    """The socket of one session. Sending is safe from several tasks; receiving is one task's."""

    socket: PacedWebSocket
    send_stall: float
    on_refused: Callable[[str], None] = lambda _: None
    """Told why a message is passed over."""
    dialogue: deepgram.AgentDialogue = attrs.field(factory=deepgram.AgentDialogue)
    last_heard: float = attrs.field(factory=trio.current_time)
    """When (trio time) the service last said anything that can be read."""
    early: list[deepgram.ServerMessage] = attrs.field(factory=list[deepgram.ServerMessage], init=False)
    """What has come before the message that was waited for."""
    flow: Flow = attrs.field(factory=Flow, init=False)
    _now: Callable[[], float] = attrs.field(factory=time_reader, init=False)

    async def receive(self) -> deepgram.ServerMessage:
        """Wait for the next message.

        *Raises* `AgentUnavailable` when the socket is gone or the service reports an error, which always ends the
        session (Deepgram reference, section 2 rule 7).
        """
        while True:
            try:
                frame = await self.socket.get_message()
            except ConnectionClosed as gone:
                raise AgentUnavailable(f"the session was closed ({_why(gone)})") from gone
            if (message := self.read(frame)) is not None:
                return message

    async def pump(self, take: Take) -> NoReturn:
        """Have `take` take all frames, until it raises.

        *Raises* what `take` raises, and `AgentUnavailable` if the socket is gone.
        """
        try:
            await pump(self.socket, take)
        except ConnectionClosed as gone:
            raise AgentUnavailable(f"the session was closed ({_why(gone)})") from gone

    def audio_of(self, frame: str | bytes) -> bytes:
        """Return the audio of a frame of a conversation; nothing: `read` reads every other frame."""
        if not frame or not isinstance(frame, bytes) or self.dialogue.state is not _CONVERSING:
            return b""
        self.last_heard = now = self._now()
        self.flow.note(len(frame), now)
        return frame

    def read(self, frame: str | bytes) -> deepgram.ServerMessage | None:
        """Read a frame; None if it is empty, or passed over. *Raises* as `receive` does."""
        if not frame:
            return None
        was = self.dialogue.state
        try:
            message = self.dialogue.receive(frame)
        except RemoteProtocolError as refused:
            self.on_refused(refused.reason)
            return None
        self.last_heard = self._now()
        if isinstance(message, deepgram.ErrorReported):
            raise _failure_of(message, is_conversing=was is _CONVERSING)
        if isinstance(message, deepgram.AgentAudio):
            self.flow.note(len(message.data), self.last_heard)
        return message

    async def receive_until(self, wanted: type[M]) -> M:
        """Wait for a message of one type; keep the others, which are early."""
        while True:
            message = await self.receive()
            if isinstance(message, wanted):
                return message
            self.early.append(message)

    def put_audio(self, chunk: bytes) -> bool:
        """Send caller audio if that is possible at once; what stands against it, `send` will say.

        It runs in the step of the task that brings the audio, which must not meet this session's `Error` before the
        session itself does.
        """
        try:
            return self.dialogue.state is _CONVERSING and self.socket.send_nowait(chunk)
        except ConnectionClosed:
            return False

    async def send(self, message: deepgram.ClientMessage) -> None:
        """Send a message, within the stall deadline.

        *Raises* `AgentUnavailable` when the socket is gone, or the peer has stopped reading.
        """
        frame = self.dialogue.send(message)
        try:
            if self.socket.send_nowait(frame):  # nearly always, and without the price of a deadline
                return
            with trio.move_on_after(self.send_stall) as patience:
                await self.socket.send_message(frame)
        except ConnectionClosed as gone:
            raise AgentUnavailable(f"the session was closed ({_why(gone)})") from gone
        if patience.cancelled_caught:
            raise AgentUnavailable(f"the service has read nothing for {self.send_stall:g} s")


@attrs.define(eq=False)
class ServiceOutbox:
    """The messages that wait to be sent to the service, besides the caller's audio."""

    _messages: list[deepgram.ClientMessage] = attrs.field(factory=list, init=False)
    _sender: Sleeper = attrs.field(factory=Sleeper, init=False)

    def post(self, message: deepgram.ClientMessage) -> str:
        """Send a message behind those that wait, without waiting; return why it cannot be, empty if it can."""
        if len(self._messages) >= _WAITING:
            return f"the service has not read {_WAITING} messages"
        self._messages.append(message)
        self._sender.wake()
        return ""

    async def run(self, wire: AgentWire, keep_alive: float) -> None:
        """Send what is posted, and every so many seconds that we are there."""
        due = trio.current_time() + keep_alive
        while True:
            while self._messages:
                await wire.send(self._messages.pop(0))
            if trio.current_time() < due:
                await self._sender.sleep_until(due)
            else:
                due = trio.current_time() + keep_alive
                await wire.send(deepgram.KeepAlive())


@attrs.define(eq=False)
class ServiceActivity:
    """The activity of the service, as far as it has said so: speaking, hearing the caller, acknowledging.

    The session notes it as it reads messages. A soft handoff reads it: no other agent may take the session over while
    the service still says something of its own, or is about to answer what it has heard.
    """

    is_speaking: bool = attrs.field(default=False, init=False)
    """It has sent audio or words, and neither their end nor a turn of the caller's since."""
    has_heard: bool = attrs.field(default=False, init=False)
    """It has heard the caller since the tape was held: it will answer that."""
    _acknowledged: type[deepgram.ServerMessage] | None = attrs.field(default=None, init=False)
    """The update that it has acknowledged last."""
    _changed: ParkingLot = attrs.field(factory=ParkingLot, init=False)

    def note_caller(self, *, is_turn: bool = False) -> None:
        """Take note that it hears the caller; their turn is the end of what it was saying."""
        self.has_heard = True
        self.is_speaking = self.is_speaking and not is_turn
        self._changed.unpark_all()

    def note_done(self) -> None:
        self.is_speaking = False
        self._changed.unpark_all()

    def note_acknowledged(self, kind: type[deepgram.ServerMessage]) -> None:
        self._acknowledged = kind
        self._changed.unpark_all()

    async def wait_quiet(self) -> None:
        """Wait until it says nothing, or hears the caller."""
        while self.is_speaking and not self.has_heard:
            await self._changed.park()

    async def wait_acknowledged(self, kind: type[deepgram.ServerMessage]) -> None:
        """Wait for the acknowledgement of an update that is being sent: one that came before is another's."""
        self._acknowledged = None
        while self._acknowledged is not kind:
            await self._changed.park()


@attrs.define(eq=False)
class LatencyMeter:
    """Puts the service's latency reports on the answer that is under way together, one fact for each answer.

    Deepgram reports one measurement at a time: speech-to-text many times a second, the parts of an answer as they
    become known (its reference, section 4, row 14).
    """

    journal: Journal
    voice: Voice
    _stt: float | None = attrs.field(default=None, init=False)
    """The last measurement of speech-to-text."""
    _parts: dict[str, float] = attrs.field(factory=dict, init=False)

    def take(self, report: deepgram.LatencyReport) -> None:
        """Take a report. A part that is there already belongs to another pass of the model."""
        told = attrs.asdict(report).items()
        parts = {name: round(seconds, 6) for name, seconds in told if seconds is not None and seconds >= 0}
        if "stt_latency" in parts:
            self._stt = parts.pop("stt_latency")
        if parts.keys() & self._parts.keys():
            self.close()
        self._parts.update(parts)
        if "total_latency" in parts:
            self.close()

    def close(self) -> None:
        """Note what has been measured of this answer, if anything was."""
        if self._parts:
            generation = self.voice.reply.generation if self.voice.reply is not None else 0
            self.journal.note(LatencyReported(self.voice.agent, generation, stt_latency=self._stt, **self._parts))
            self._parts.clear()


def _failure_of(error: deepgram.ErrorReported, *, is_conversing: bool) -> AgentUnavailable:
    reason = ": ".join(part for part in (error.code, error.description) if part) or "an error without a code"
    retryable = deepgram.is_retryable(error.code, is_conversing=is_conversing)
    return AgentUnavailable(reason, retryable=retryable, is_slip=error.code in deepgram.MODEL_SLIPS)


def _why(gone: ConnectionClosed) -> str:
    reason = gone.reason
    if reason is None:
        return "no close frame"
    return f"code {reason.code}" + (f", {reason.reason}" if reason.reason else "")
