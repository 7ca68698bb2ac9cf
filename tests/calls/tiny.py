"""A whole call in as few scheduler steps as it can be: two agents, a crash, a handoff, a function, a goodbye.

The far ends are scripts, not simulators: they say the least that takes the actors through every phase, so that a sweep
over every scheduler step of the call stays affordable.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from random import Random

import attrs
import orjson
import trio
from trio_websocket import ConnectionClosed

from actors.call import run_call
from actors.call_services import CallPlan, CallServices
from actors.endings.intercom import Intercom
from actors.journal import Entry
from actors.policy import CallPolicy, Deadlines
from agents.functions import (
    END_CONVERSATION,
    Answer,
    CallContext,
    FunctionSpec,
    Outcome,
    hand_back,
    handoff_to_next_agent,
)
from agents.roster import load_roster
from agents.sentences import ENGLISH
from agents.spec import AgentSpec, soft
from protocol.audio import FRAME_BYTES, silence
from protocol.wire import PacedWebSocket, WebSocket
from simulators.memory import MemoryWebSocket, memory_websocket_pair
from store.calls import MemoryRecords

CALL_SID = "CA" + "1" * 32
STREAM_SID = "MZ" + "1" * 32
CALL_TASK = "the call"
SENTENCE = "We will call you back."
"""The sentence that an operator has the agents say."""
PUTTING_THROUGH = ENGLISH.putting_through
SPEECH = bytes([0x20]) * FRAME_BYTES
SILENCE = silence(4)


@attrs.frozen
class NoArguments:
    """Nothing to say."""


async def _look_up(arguments: NoArguments, context: CallContext) -> Outcome:
    await trio.sleep(0.01)
    return Answer({"found": True}, {"need": "a pension"})


LOOK_UP = FunctionSpec("look_up", "Looks something up.", NoArguments, _look_up)


def _agent(name: str, functions: tuple[FunctionSpec, ...], hands_to: tuple[str, ...] = ()) -> AgentSpec:
    return AgentSpec(name, name, f"You are the {name}.", f"I am the {name}.", "aura-2-thalia-en", functions, hands_to)


SECOND = _agent("second", (LOOK_UP, hand_back(), END_CONVERSATION))
_FIRST_DOES = (LOOK_UP, handoff_to_next_agent("second"), END_CONVERSATION)
ROSTER = load_roster([_agent("first", _FIRST_DOES, ("second",)), SECOND])
SOFT = load_roster([_agent("first", _FIRST_DOES, (soft("second"),)), SECOND])


def _text(**message: object) -> str:
    return orjson.dumps(message).decode()


def _call(name: str, **arguments: str) -> str:
    call = {"id": f"id-{name}", "name": name, "arguments": orjson.dumps(arguments).decode(), "client_side": True}
    return _text(type="FunctionCallRequest", functions=[call])


@attrs.define(eq=False)
class TinyService:
    """Deepgram in a dozen lines. Each connection follows its script, a step for each message it waits for."""

    open_sockets: int = 0
    connections: int = 0
    is_prompt: bool = False
    """Whether a call's sockets take at once what there is room for, as real ones do."""
    is_soft: bool = False
    """Whether the second session becomes the second agent's."""
    goes_back: bool = False
    """Whether the second agent hands the call back, and the first one says goodbye."""
    caller: "TinyCaller | None" = None
    """Falls silent for a soft handoff: nobody takes over a session in the middle of a turn."""

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[PacedWebSocket]:
        self.connections += 1
        ours, theirs = memory_websocket_pair()
        ours.is_prompt = self.is_prompt
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve, theirs, self.connections)
            self.open_sockets += 1
            try:
                yield ours
            finally:
                self.open_sockets -= 1
                ours.drop()
                nursery.cancel_scope.cancel()

    async def _serve(self, socket: MemoryWebSocket, connection: int) -> None:
        if self.caller is not None:
            self.caller.is_silent = False
        with suppress(ConnectionClosed):
            await socket.send_message(_text(type="Welcome", request_id=str(connection)))
            settings = await self._wait(socket, b'"Settings"')
            hands_over = b"You are the first." in settings and b"handed_off_to" not in settings
            is_last = not hands_over and (not self.goes_back or b"You are the first." in settings)
            await socket.send_message(_text(type="SettingsApplied"))
            await self._say(socket, f"Greeting {connection}.")
            await self._wait(socket, SPEECH)
            if connection == 1:
                socket.drop()
                return
            await self._take_turn(socket, f"Words {connection}.", hands_over=hands_over)
            if hands_over:
                await socket.send_message(_call("handoff_to_next_agent", reason="asked"))
                if self.is_soft:
                    await self._change_agent(socket)
                    await self._take_turn(socket, "More words.")
            if is_last or (self.is_soft and not self.goes_back):
                await self._say(socket, "Goodbye.")
                await socket.send_message(_call("end_conversation", reason="task_complete"))
            elif self.goes_back and (self.is_soft or not hands_over):
                await socket.send_message(_call("hand_back", reason="done"))
            await self._wait(socket, b"never")

    async def _take_turn(self, socket: MemoryWebSocket, text: str, *, hands_over: bool = False) -> None:
        if self.is_soft and self.caller is not None:
            self.caller.is_silent = hands_over
            for _ in range(3):
                await self._wait(socket, SILENCE if self.caller.is_silent else SPEECH)
        await socket.send_message(_text(type="UserStartedSpeaking"))
        await socket.send_message(_text(type="ConversationText", role="user", content=text))
        await socket.send_message(_call("look_up"))
        await self._wait(socket, b"FunctionCallResponse")

    async def _change_agent(self, socket: MemoryWebSocket) -> None:
        await self._wait(socket, b'"UpdateThink"')
        await socket.send_message(_text(type="ThinkUpdated"))
        await self._wait(socket, b'"UpdateSpeak"')
        await socket.send_message(_text(type="SpeakUpdated"))
        await self._wait(socket, b'"InjectAgentMessage"')
        await self._say(socket, "I am the second.")

    async def _say(self, socket: WebSocket, text: str) -> None:
        await socket.send_message(bytes(4 * FRAME_BYTES))
        await socket.send_message(_text(type="ConversationText", role="assistant", content=text))
        await socket.send_message(_text(type="AgentAudioDone"))

    async def _wait(self, socket: WebSocket, wanted: bytes) -> bytes:
        while True:
            message = await socket.get_message()
            if wanted in (content := message if isinstance(message, bytes) else message.encode()):
                return content
            if isinstance(message, str):
                await self._obey(socket, orjson.loads(message))

    async def _obey(self, socket: WebSocket, message: dict[str, str]) -> None:
        """Do what only an operator's commands ask for."""
        if message["type"] == "UpdateThink":
            await socket.send_message(_text(type="ThinkUpdated"))
        elif message["type"] == "InjectAgentMessage" and message["message"] in {SENTENCE, PUTTING_THROUGH}:
            await self._say(socket, message["message"])


@attrs.define(eq=False)
class TinyCaller:
    """Twilio in a dozen lines: speaks every 80 ms, and echoes each mark when its audio must have been played."""

    socket: MemoryWebSocket
    said: int = 0
    is_silent: bool = False
    _stopping: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._stop)
            with suppress(ConnectionClosed):
                while True:
                    await trio.sleep(0.08)
                    await self.socket.send_message(self._media(silence(4) if self.is_silent else 4 * SPEECH))
            nursery.cancel_scope.cancel()

    def say_stop(self) -> None:
        """Have `stop` sent, from outside of any task."""
        self._stopping.set()

    async def _stop(self) -> None:
        await self._stopping.wait()
        with suppress(ConnectionClosed):
            await self.socket.send_message(_text(event="stop", streamSid=STREAM_SID, stop={"callSid": CALL_SID}))

    async def _listen(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = orjson.loads(await self.socket.get_message())
                if message["event"] == "mark":
                    await trio.sleep(0.08)
                    await self.socket.send_message(_text(event="mark", streamSid=STREAM_SID, mark=message["mark"]))

    def _media(self, audio: bytes) -> str:
        self.said += 1
        payload = b64encode(audio).decode()
        return _text(event="media", streamSid=STREAM_SID, media={"payload": payload})


@attrs.define(eq=False)
class TinyLine:
    """A telephone line that does nothing."""

    asked: list[str] = attrs.field(factory=list)

    async def hang_up(self, call_sid: str) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append("hang_up")

    async def redirect(self, call_sid: str, twiml: str) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append("redirect")


async def tiny_brief(_messages: list[dict[str, str]]) -> str:
    await trio.sleep(0.01)
    return '{"summary": "Somebody wants a pension."}'


@attrs.define(eq=False)
class TinyWorld:
    """Everything outside the call, and what is left of it afterwards."""

    service: TinyService = attrs.field(factory=TinyService)
    line: TinyLine = attrs.field(factory=TinyLine)
    records: MemoryRecords = attrs.field(factory=MemoryRecords)
    entries: list[Entry] = attrs.field(factory=list)
    caller: TinyCaller | None = None
    intercom: Intercom = attrs.field(factory=Intercom)
    told: list[bool] = attrs.field(factory=list)
    """Whether the call was there to be told something."""
    slots: int = 0
    ended: bool = False
    changed: Callable[[CallServices], CallServices] = lambda services: services

    async def call(self) -> None:
        """Carry one call, in a slot, as the web layer does. The call is the task of this name."""
        ours, theirs = memory_websocket_pair()
        ours.is_prompt = self.service.is_prompt
        self.caller = self.service.caller = TinyCaller(theirs)
        services = CallServices(
            roster=SOFT if self.service.is_soft else ROSTER,
            connect=self.service.connect,
            ask_brief=tiny_brief,
            line=self.line,
            records=self.records,
            policy=CallPolicy(deadlines=Deadlines(goodbye_onset=0.05)),
            observe=self.entries.append,
            intercom=self.intercom,
            rng=Random(0),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.caller.run)
            await nursery.start(self._carry, ours, self.changed(services), name=CALL_TASK)

    async def _carry(
        self, socket: PacedWebSocket, services: CallServices, *, task_status: trio.TaskStatus[None]
    ) -> None:
        task_status.started()
        with self._slot():
            await run_call(socket, CallPlan(CALL_SID, STREAM_SID, "inbound"), services)
        self.ended = True
        assert self.caller is not None
        self.caller.socket.drop()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        self.slots += 1
        try:
            yield
        finally:
            self.slots -= 1
