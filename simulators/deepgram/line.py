"""The server's end of one Voice Agent socket: everything it says goes out here.

`Line` writes messages and audio to the socket and to the log, adds the noise the knobs ask for, and ends the session
with an `Error`. It never reads. The other parts of the session find knobs, faults and log on it. `SessionOver` unwinds
the session's nursery after the last word was said; a socket closed by the client is `trio_websocket.ConnectionClosed`,
as always.
"""

from collections.abc import Awaitable, Callable
from random import Random

import attrs
import orjson
import trio
from wsproto.frame_protocol import CloseReason

from protocol.deepgram import ErrorReported, HistoryCalls, HistoryText
from protocol.wire import WebSocket
from simulators.deepgram.dialogue import AgentServerDialogue, ServerState
from simulators.deepgram.knobs import DeepgramKnobs
from simulators.deepgram.log import ConnectionLog, Sent, SentRaw
from simulators.deepgram.messages import FromService
from simulators.faults import Faults

GOODBYE_SECONDS = 1.0
ABNORMAL_CLOSURE = 1006

UNKNOWN_TYPES = ("AgentMood", "TurnPrediction", "FunctionCalling", "BillingNotice")
"""`FunctionCalling` is a retired early-access type that old code still expects; nobody has seen the others."""


class SessionOver(Exception):
    """The server has ended the session; nothing is left to be said."""


@attrs.define
class Line:
    """One connection's way out, and what all parts of its session go by."""

    socket: WebSocket
    knobs: DeepgramKnobs
    faults: Faults
    log: ConnectionLog
    _drop: Callable[[], Awaitable[None]]
    _fall_silent: Callable[[], None] = lambda: None
    rng: Random = attrs.field(init=False)
    dialogue: AgentServerDialogue = attrs.field(init=False)
    history: bool = attrs.field(default=True, init=False)
    """False after `Settings.flags.history: false`: no `History` messages."""
    dead: bool = attrs.field(default=False, init=False)
    """True: whatever is sent vanishes."""

    def __attrs_post_init__(self) -> None:
        self.rng = Random(f"{self.knobs.seed}/{self.log.connection}")
        self.dialogue = AgentServerDialogue(
            strict=self.knobs.strict_start, any_flux_version=self.knobs.any_flux_version
        )

    def fall_silent(self) -> None:
        """Answer not even pings any more."""
        self._fall_silent()

    async def send(self, message: FromService) -> None:
        """Send one text message; after an `Error` or the close, wait for the end of the session instead."""
        if self.dead or (isinstance(message, HistoryText | HistoryCalls) and not self.history):
            return
        if self.dialogue.state in {ServerState.FAILED, ServerState.CLOSED}:
            await trio.sleep_forever()  # the task that closes ends the session when its close frame is out
        frame = self.dialogue.send(message)
        if self.knobs.unknown_messages and self.rng.random() < self.knobs.unknown_messages:
            await self.send_raw(_unknown_message(self.rng))
        if self.knobs.extra_fields and self.rng.random() < self.knobs.extra_fields:
            frame = _with_extra_field(frame, self.rng)
        self.log.put(Sent, message)
        await self.socket.send_message(frame)

    async def send_audio(self, audio: bytes) -> None:
        if not self.dead:
            self.log.audio_sent(len(audio), trio.current_time())
            await self.socket.send_message(audio)

    async def send_raw(self, *frames: str) -> None:
        """Send text frames that are no messages."""
        for frame in () if self.dead else frames:
            self.log.put(SentRaw, frame)
            await self.socket.send_message(frame)

    async def fail(self, code: str, description: str) -> None:
        """Report a fatal error and end the session.

        *Raises* `SessionOver`.
        """
        await self.send(ErrorReported(code=code, description=description))
        await self.close(self.knobs.close_code, f"error {code}")

    async def close(self, code: int, why: str) -> None:
        """Close the socket (1006: drop it without a close frame) and end the session; on a dead line, wait forever.

        *Raises* `SessionOver`.
        """
        if self.dead:
            await trio.sleep_forever()
        self.dialogue.close()
        self.log.closed(code, f"server: {why}")
        if code == ABNORMAL_CLOSURE:
            await self._drop()
        else:
            with trio.move_on_after(GOODBYE_SECONDS):
                # wsproto leaves the code out of the close frame only for its own enumeration's 1005.
                await self.socket.aclose(CloseReason.NO_STATUS_RCVD if code == CloseReason.NO_STATUS_RCVD else code)
        raise SessionOver(why)


def _unknown_message(rng: Random) -> str:
    fields = {"type": rng.choice(UNKNOWN_TYPES), "sequence": rng.randrange(1000), "detail": {"from": "simulator"}}
    return orjson.dumps(fields).decode()


def _with_extra_field(frame: str | bytes, rng: Random) -> str:
    fields = orjson.loads(frame)
    fields[f"x_{rng.randrange(1000)}"] = rng.choice([None, True, 7, "new", {"nested": [1, 2]}])
    return orjson.dumps(fields).decode()
