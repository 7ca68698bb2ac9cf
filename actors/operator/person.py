"""An operator on the floor of a call, by the page's phone: hears the caller, and is heard, in the place of an agent.

`PersonOnPhone` has the page's media stream, which speaks as Twilio's does. The Supervisor runs `converse` as one turn
of its loop: no session is there meanwhile, and nobody transcribes. It ends when the call is given back, or the page has
gone: either way the agent has the caller back. The code that accepted the socket closes it.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import attrs
import trio
from trio_websocket import ConnectionClosed

from actors.call_state import CallState
from actors.facts import FloorLeft, FloorTaken
from actors.line.reply import Voice
from actors.line.tape import TapeReader
from protocol import twilio
from protocol.errors import RemoteProtocolError
from protocol.twilio import MediaStreamDialogue, StreamState
from protocol.wire import PacedWebSocket
from store.records import OPERATOR

_NONSENSE: Final = 250
"""Frames in a row that cannot be read: five seconds of them."""


@attrs.define(eq=False)
class PersonOnPhone:
    """One operator on one call. `converse` once."""

    socket: PacedWebSocket
    stream_sid: str
    why_refused: str = attrs.field(default="", init=False)
    began: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the operator has the floor, or is refused it."""
    over: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the operator is on the call no longer."""
    _left: trio.Event = attrs.field(factory=trio.Event, init=False)

    def refuse(self, why: str) -> None:
        self.why_refused = why
        self.began.set()
        self.over.set()

    def give_back(self) -> None:
        self._left.set()

    async def wait(self, done: Callable[[], Awaitable[None]]) -> bool:
        """Wait for something, while nobody hears the operator; return whether they are still there."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, lambda _: None)  # kept, it would be heard late, and all behind it as well
            await done()
            nursery.cancel_scope.cancel(reason="done")
        return not self._left.is_set()

    async def converse(self, state: CallState) -> int:
        """Talk with the caller; return the first frame of the caller's that the operator has not heard."""
        numbers, tape, voice = state.policy.numbers, state.tape, Voice(OPERATOR)
        reader = TapeReader(tape, tape.end, numbers.chunk_frames, numbers.replay_rate)
        state.ledger.grant(voice)
        state.journal.note(FloorTaken(OPERATOR, 0, reader.cursor))
        self.began.set()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear_caller, reader, state.policy.deadlines.send_stall)
                nursery.start_soon(self._listen, partial(state.ledger.put, voice))
                await self._left.wait()
                nursery.cancel_scope.cancel(reason="given back")
        finally:
            reader.confirm()  # it was heard, though by nobody who writes it down
            state.ledger.withhold(voice)
            state.journal.note(FloorLeft(OPERATOR, 0, "given back"))
            self.over.set()
        return reader.cursor

    async def _hear_caller(self, reader: TapeReader, stall: float) -> None:
        with trio.CancelScope() as reading:
            while True:
                chunk = await reader.next_chunk()
                reading.deadline = trio.current_time() + stall
                try:
                    await self.socket.send_message(twilio.encode_media(self.stream_sid, chunk))
                except ConnectionClosed:
                    break
                reading.deadline = float("inf")
        self._left.set()

    async def _listen(self, take: Callable[[bytes], object]) -> None:
        """Have `take` take what the operator says, until they leave."""
        dialogue, refused = MediaStreamDialogue(StreamState.STREAMING, self.stream_sid), 0
        while refused < _NONSENSE:
            try:
                frames = await self.socket.get_messages()
            except ConnectionClosed:
                break
            for frame in frames:
                try:
                    event = dialogue.receive(frame)
                except RemoteProtocolError:
                    refused += 1
                    continue
                refused = 0
                if isinstance(event, twilio.StreamStopped):
                    self._left.set()
                elif isinstance(event, twilio.MediaArrived):
                    take(event.payload)
        self._left.set()
