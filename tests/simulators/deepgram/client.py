"""A client for the tests: sends a telephone line's audio every 20 ms and writes down what comes back, and when."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import trio
from trio_websocket import ConnectionClosed

from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES, FRAME_SECONDS, silence
from protocol.deepgram import (
    AgentAudio,
    CallerAudio,
    FunctionCall,
    FunctionCallRequest,
    FunctionCallResponse,
    FunctionDefinition,
    HistoryCalls,
    HistoryText,
    Settings,
    SettingsApplied,
    UnknownMessage,
    Welcome,
    decode_server,
)
from protocol.deepgram.codec import as_json
from protocol.fields import dump
from protocol.wire import WebSocket
from simulators.deepgram import DeepgramExchange, DeepgramKnobs, ExchangeLog
from simulators.deepgram.messages import AgentStartedSpeaking, FromClient, FromService, ListenUpdated, PromptUpdated
from simulators.deepgram.strict import read_past
from simulators.faults import FaultPlan, parse_faults
from simulators.scenario import Scenario, parse_scenario
from simulators.speech import Utterance, synthesise
from tests.protocol.samples import settings

CALLER = "caller-1"
VOICE = "aura-2-mars-en"
GREETING = "Hello, this is Alex."

SCENARIO = """
[caller]
voice = "caller-1"
[[caller.line]]
says = "Sure, I have a few minutes."
[[caller.line]]
says = "My name is John Smith."
[[caller.line]]
says = "Yes please."
[[caller.line]]
says = "I would give it a five."
[[caller.line]]
says = "Tell me more about it."

[agents.qualifier]
prompt_contains = "Alex"
fallback = ["Sorry, say that again?", "I did not get that."]
[[agents.qualifier.turn]]
hears = "sure i have a few minutes"
says = ["Great, thank you very much.", "May I have your name?"]
[[agents.qualifier.turn]]
hears = "my name is john smith"
says = ["Nice to meet you."]
[[agents.qualifier.turn]]
hears = "yes please"
calls = [{ name = "handoff_to_next_agent", arguments = { reason = "agreed" } }]
on_error = ["I am sorry, nobody is free."]
[[agents.qualifier.turn]]
hears = "five"
says = ["Thank you for the five."]
calls = [{ name = "record_satisfaction", arguments = { rating = 5 } }, { name = "look_up", arguments = {} }]
then = ["Goodbye."]
then_calls = [{ name = "end_conversation", arguments = { reason = "task_complete" } }]

[agents.advisor]
prompt_contains = "advisor"
[[agents.advisor.turn]]
hears = "sure i have a few minutes"
says = ["I am the advisor."]
"""

FUNCTIONS = (
    FunctionDefinition("handoff_to_next_agent", "Hand over.", {"type": "object"}, defer_until_eot=True),
    FunctionDefinition("record_satisfaction", "Rate.", {"type": "object"}),
    FunctionDefinition("look_up", "Look up.", {"type": "object"}),
    FunctionDefinition("end_conversation", "End.", {"type": "object"}, defer_until_eot=True),
)

MessageT = TypeVar("MessageT")


def small_scenario(*, faults: Sequence[str] = ()) -> Scenario:
    """Return the tests' scenario with these fault lines."""
    return attrs.evolve(parse_scenario(SCENARIO), faults=parse_faults(faults))


def settings_for(
    agent: str = "qualifier",
    *,
    greeting: str | None = GREETING,
    listen_model: str = "flux-general-en",
    functions: Sequence[FunctionDefinition] = FUNCTIONS,
    context: Sequence[HistoryText | HistoryCalls] = (),
) -> Settings:
    """Build the Settings of one of the scenario's agents."""
    about = {"functions": functions, "greeting": greeting, "context": context, "tags": [f"agent:{agent}", "call:CA1"]}
    return settings(prompt="You are on the phone.", listen_model=listen_model, voice=VOICE, **about)  # type: ignore[arg-type]


def line(text: str) -> Utterance:
    """Return one of the caller's lines as it sounds."""
    return synthesise(text, CALLER)


def reply_seconds(*sentences: str) -> float:
    """Return how long these play in the agent's voice."""
    return sum(synthesise(text, VOICE).seconds for text in sentences)


def frame_of(message: FromClient) -> str | bytes:
    """Write any message of a client's."""
    if isinstance(message, CallerAudio):
        return message.data
    return dump({"type": type(message).__name__, **as_json(message)})


_NOT_ACTED_ON: Mapping[str, Callable[..., FromService]] = {
    kind.__name__: kind for kind in (FunctionCallResponse, AgentStartedSpeaking, PromptUpdated, ListenUpdated)
}


def read(frame: str | bytes) -> FromService:
    """Read what the service says, with what our server does not act on."""
    message = decode_server(frame)
    if not isinstance(message, UnknownMessage):
        return message
    if message.type == "History":
        return read_past(dict(message.raw))
    kind = _NOT_ACTED_ON.get(message.type)
    return message if kind is None else kind(**{key: value for key, value in message.raw.items() if key != "type"})


@attrs.define(eq=False)
class Client:
    """One client of the service."""

    socket: WebSocket
    log: ExchangeLog
    answer: Callable[[FunctionCall], str | None] = lambda _: '{"ok":true}'
    """What a function answers; None leaves it unanswered."""
    messages: list[tuple[float, FromService]] = attrs.field(factory=list)
    audio: list[tuple[float, bytes]] = attrs.field(factory=list)
    raw: list[str] = attrs.field(factory=list)
    closed: trio.Event = attrs.field(factory=trio.Event)
    close_code: int | None = None
    _speech: bytearray = attrs.field(factory=bytearray)
    _news: trio.Event = attrs.field(factory=trio.Event)

    async def send(self, message: FromClient) -> None:
        """Send one message."""
        await self.socket.send_message(frame_of(message))

    async def stream(self) -> None:
        """Send a frame every 20 ms: what is to be said, else silence."""
        due = trio.current_time()
        quiet = silence(1)
        while True:
            frame = bytes(self._speech[:FRAME_BYTES]) or quiet
            del self._speech[:FRAME_BYTES]
            try:
                await self.socket.send_message(frame)
            except ConnectionClosed:
                return
            due += FRAME_SECONDS
            await trio.sleep_until(due)

    async def listen(self) -> None:
        """Write down what arrives until the connection is over."""
        while True:
            try:
                frame = await self.socket.get_message()
            except ConnectionClosed as closed:
                self.close_code = closed.reason.code if closed.reason else None
                self.closed.set()
                return
            await self._take(frame)

    async def _take(self, frame: str | bytes) -> None:
        if isinstance(frame, str):
            self.raw.append(frame)
        try:
            message = read(frame)
        except Exception:  # noqa: BLE001 -- garbage is what some tests ask for
            return
        if isinstance(message, AgentAudio):
            self.audio.append((trio.current_time(), message.data))
        else:
            self.messages.append((trio.current_time(), message))
        self._news.set()
        self._news = trio.Event()
        if isinstance(message, FunctionCallRequest):
            await self._answer(message)

    async def _answer(self, request: FunctionCallRequest) -> None:
        for call in request.functions:
            content = self.answer(call) if call.client_side else None
            if content is not None:
                await self.send(FunctionCallResponse(call.id, call.name, content))

    def say(self, text: str) -> None:
        """Say one of the caller's lines."""
        self._speech += line(text).audio

    async def wait_said(self) -> None:
        """Wait until everything has been said."""
        await trio.sleep(len(self._speech) / BYTES_PER_SECOND + FRAME_SECONDS)

    def all(self, kind: type[MessageT]) -> list[MessageT]:
        """Return the messages of one kind."""
        return [message for _, message in self.messages if isinstance(message, kind)]

    def times(self, kind: type[FromService]) -> list[float]:
        """Return when messages of one kind came."""
        return [at for at, message in self.messages if isinstance(message, kind)]

    def texts(self, role: str) -> list[str]:
        """Return what one side has said, according to the History."""
        return [message.content for message in self.all(HistoryText) if message.role == role]

    def kinds(self) -> list[str]:
        """Return the names of the messages that came, in order."""
        return [type(message).__name__ for _, message in self.messages]

    def kinds_applied(self) -> list[str]:
        """Return the names of the messages that came after the settings were applied."""
        kinds = self.kinds()
        return kinds[kinds.index("SettingsApplied") + 1 :]

    async def wait_for(self, kind: type[MessageT], count: int = 1) -> MessageT:
        """Wait until so many messages of a kind have come, and return the last of these."""
        with trio.fail_after(60):
            while len(found := self.all(kind)) < count:
                await self._news.wait()
        return found[count - 1]

    async def wait_audio(self, messages: int = 1) -> float:
        """Wait until so many audio messages have come, and return when the last of these came."""
        with trio.fail_after(60):
            while len(self.audio) < messages:
                await self._news.wait()
        return self.audio[messages - 1][0]


@asynccontextmanager
async def connected(
    *, knobs: DeepgramKnobs | None = None, faults: Sequence[str] = (), scenario: Scenario | None = None
) -> AsyncIterator[Client]:
    """Open an exchange and one connection to it, listening and saying nothing."""
    plan = FaultPlan(parse_faults(f"deepgram: {fault}" for fault in faults))
    exchange = DeepgramExchange(scenario or small_scenario(), knobs or DeepgramKnobs(), plan)
    async with exchange, exchange.connect() as socket, trio.open_nursery() as nursery:
        client = Client(socket, exchange.log)
        nursery.start_soon(client.listen)
        yield client
        nursery.cancel_scope.cancel(reason="test over")


@asynccontextmanager
async def calling(
    settings: Settings | None = None,
    *,
    knobs: DeepgramKnobs | None = None,
    faults: Sequence[str] = (),
    scenario: Scenario | None = None,
    streams: bool = True,
) -> AsyncIterator[Client]:
    """Open a configured session that hears the line from `SettingsApplied` on."""
    async with connected(knobs=knobs, faults=faults, scenario=scenario) as client, trio.open_nursery() as nursery:
        await client.wait_for(Welcome)
        await client.send(settings or settings_for())
        await client.wait_for(SettingsApplied)
        if streams:
            nursery.start_soon(client.stream)
        yield client
        nursery.cancel_scope.cancel(reason="test over")
