"""A whole call between two ends that the test plays by hand: Deepgram's messages, and a telephone.

The actors are the real ones, from the media stream to the record. The telephone sends a frame every 20 ms, loud or
silent, plays what it is sent as Twilio does, and knows what its owner has heard: each of an agent's sentences has audio
of its own, so that a test can say which of them was heard, and when.
"""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from math import ceil, inf
from typing import TypeVar

import attrs
import orjson
import trio
from trio.testing import wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from actors.call import run_call
from actors.call_services import CallPlan, CallServices
from actors.commands import Action, Command, CommandAnswer, CommandGiven
from actors.endings.intercom import Intercom
from actors.facts import Fact
from actors.journal import Entry
from actors.line.switch import Transfers
from actors.policy import CallPolicy
from actors.record.resumption import Resumption
from actors.supervision import Request
from actors.turn_driver import Clips
from agents.roster import Roster
from protocol.audio import BYTES_PER_SECOND, silence
from protocol.deepgram import AgentAudio, AgentAudioDone, ConversationText, ServerMessage, UserStartedSpeaking
from simulators.memory import MemoryWebSocket, memory_websocket_pair
from store.calls import MemoryRecords
from store.records import CallRecord
from testkit.harness import LineLog
from tests.actors.fakes import CALL_SID, ROSTER, STREAM_SID, VOICED, FarEnd, FirstChoice, Service

F = TypeVar("F", bound=Fact)
BUNDLE = 4
"""Frames in one message of the telephone's."""
STARTED = UserStartedSpeaking()
_ECHO = 0.01
"""Seconds: when a mark comes back, rounded up."""


def voice(tone: int, seconds: float) -> AgentAudio:
    """So much of an agent's speech, which can be told from that of another tone."""
    return AgentAudio(bytes([0x40 + tone]) * round(seconds * BYTES_PER_SECOND))


def sentence(tone: int, text: str, seconds: float = 2.0, *, done: bool = True) -> list[ServerMessage]:
    """Say a sentence as the service does: audio, its text, and the end of the audio."""
    said: list[ServerMessage] = [voice(tone, seconds), ConversationText("assistant", text)]
    return [*said, AgentAudioDone()] if done else said


@attrs.define(eq=False)
class Telephone:
    """The caller's end of the media stream. Times are seconds of the call."""

    socket: MemoryWebSocket
    is_loud: bool = False
    is_away: bool = False
    """Whether it sends nothing."""
    echoes_at_once: bool = False
    """Whether marks come back as soon as they are there, and not when they are played."""
    loses: int = 0
    """How many marks, from the next one on, do not come back."""
    began: float = attrs.field(factory=trio.current_time)
    _pieces: list[tuple[float, bytes]] = attrs.field(factory=list)
    _marks: list[tuple[float, str]] = attrs.field(factory=list)
    _marks_changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _play_end: float = 0.0

    @property
    def now(self) -> float:
        return trio.current_time() - self.began

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._echo)
            with suppress(ConnectionClosed):
                while True:
                    await trio.sleep(0.02 * BUNDLE)
                    if self.is_away:
                        continue
                    audio = BUNDLE * VOICED if self.is_loud else silence(BUNDLE)
                    await self._send("media", media={"payload": b64encode(audio).decode()})
            nursery.cancel_scope.cancel()

    async def hang_up(self) -> None:
        with suppress(ConnectionClosed):
            await self._send("stop", stop={"callSid": CALL_SID})

    async def press(self, key: str) -> None:
        """Press a key."""
        await self._send("dtmf", dtmf={"track": "inbound_track", "digit": key})

    async def _send(self, event: str, **fields: object) -> None:
        await self.socket.send_message(orjson.dumps({"event": event, "streamSid": STREAM_SID, **fields}).decode())

    async def _listen(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = orjson.loads(await self.socket.get_message())
                match message["event"]:
                    case "media":
                        self._play(b64decode(message["media"]["payload"]))
                    case "mark" if self.loses:
                        self.loses -= 1
                    case "mark":
                        played = self.now if self.echoes_at_once else max(self.now, self._play_end)
                        self._marks.append((played, message["mark"]["name"]))
                        self._marks_changed.unpark_all()
                    case "clear":
                        self._clear()
                    case _:
                        pass  # nothing that a telephone does

    async def _echo(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                due = self.began + (ceil(self._marks[0][0] / _ECHO) + 1e-6) * _ECHO if self._marks else inf
                with trio.move_on_at(due):
                    await self._marks_changed.park()
                while self._marks and self._marks[0][0] <= self.now:
                    await self._send("mark", mark={"name": self._marks.pop(0)[1]})

    def _play(self, audio: bytes) -> None:
        start = max(self.now, self._play_end)
        self._pieces.append((start, audio))
        self._play_end = start + len(audio) / BYTES_PER_SECOND

    def _clear(self) -> None:
        self._pieces = [(start, self._heard_of(start, audio)) for start, audio in self._pieces if start < self.now]
        self._play_end = min(self._play_end, self.now)
        self._marks = [(self.now, name) for _, name in self._marks]
        self._marks_changed.unpark_all()

    def _heard_of(self, start: float, audio: bytes) -> bytes:
        return audio[: max(0, round((self.now - start) * BYTES_PER_SECOND))]

    def heard(self, tone: int) -> float:
        """Return how many seconds of this tone were heard."""
        heard = b"".join(self._heard_of(start, audio) for start, audio in self._pieces)
        return round(heard.count(0x40 + tone) / BYTES_PER_SECOND, 2)

    def silences(self, since: float, until: float | None = None) -> list[float]:
        """Return how long the line was silent each time, between two moments."""
        end = self.now if until is None else until
        spans = [(start, start + len(audio) / BYTES_PER_SECOND) for start, audio in self._pieces]
        gaps, quiet = [], since
        for start, stop in sorted(spans):
            if start > quiet and quiet < end:
                gaps.append(round(min(start, end) - quiet, 2))
            quiet = max(quiet, stop)
        return [*gaps, round(end - quiet, 2)] if end > quiet else gaps


@attrs.define(eq=False)
class HandCall:
    """The call, its two ends, and what is left of it."""

    service: Service
    phone: Telephone
    line: LineLog
    far: FarEnd = attrs.field(init=False)
    intercom: Intercom = attrs.field(factory=Intercom)
    entries: list[Entry] = attrs.field(factory=list)
    record: CallRecord | None = None
    over: trio.Event = attrs.field(factory=trio.Event)

    def facts(self, kind: type[F]) -> list[F]:
        return [entry.fact for entry in self.entries if isinstance(entry.fact, kind)]

    @property
    def ended(self) -> CallRecord:
        assert self.record is not None
        return self.record

    async def greet(self, text: str = "Hello, this is Alex.") -> None:
        """Have the agent's first words heard."""
        await self.far.say(*sentence(0, text, 1.0))
        await self.far.hear_for(1.5)

    async def command(self, action: Action, phone: Request | None = None) -> CommandAnswer:
        """Have an operator command something, and wait for the answer."""
        send, receive = trio.open_memory_channel[CommandAnswer](1)
        with send, receive:
            assert self.intercom.tell(CALL_SID, CommandGiven(Command(repr(action), "ana", action), send, phone))
            return await receive.receive()

    async def speak(self, text: str, seconds: float = 0.8, *, heard: bool = True) -> None:
        """Let the caller speak for so long; the service hears it, and transcribes it unless it is a noise."""
        self.phone.is_loud = True
        await self.far.say(STARTED)
        await self.far.hear_for(seconds)
        self.phone.is_loud = False
        if heard:
            await self.far.hear_for(0.3)
            await self.far.say(ConversationText("user", text))
            await wait_all_tasks_blocked()


@asynccontextmanager
async def a_call(
    roster: Roster = ROSTER,
    policy: CallPolicy | None = None,
    transfers: Transfers | None = None,
    resumption: Resumption | None = None,
    clips: Clips | None = None,
) -> AsyncIterator[HandCall]:
    """Carry a call up to where the first session has the floor; the caller hangs up behind the `with`."""
    ours, theirs = memory_websocket_pair()
    ours.is_prompt = True
    call = HandCall(Service(), Telephone(theirs), LineLog())
    services = CallServices(
        roster=roster,
        connect=call.service.connect,
        ask_brief=None,
        line=call.line,
        records=MemoryRecords(),
        policy=policy or CallPolicy(),
        observe=call.entries.append,
        intercom=call.intercom,
        transfers=transfers,
        rng=FirstChoice(),
        clips=clips or {},
    )

    async def carry() -> None:
        plan = CallPlan(CALL_SID, STREAM_SID, "outbound", resumption=resumption)
        call.record = await run_call(ours, plan, services)
        call.over.set()
        theirs.drop()

    async with trio.open_nursery() as nursery:
        call.line.stop = lambda: nursery.start_soon(call.phone.hang_up)
        nursery.start_soon(call.phone.run)
        nursery.start_soon(carry)
        call.far = await call.service.live()
        yield call
        await call.phone.hang_up()
        with trio.fail_after(30):
            await call.over.wait()
        nursery.cancel_scope.cancel(reason="end of the test")
