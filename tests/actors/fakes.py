"""The far ends of the actors, played by hand: the voice agent service, the telephone line, and the state between."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from math import inf
from random import Random
from typing import TypeVar

import attrs
import trio
from trio.testing import wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from actors.call_state import CallState
from actors.facts import Fact
from actors.journal import Entry, Journal
from actors.line.ledger import Ledger
from actors.line.reply import SendAudio, SendClear, Voice
from actors.messages import PreparedBrief, WriteBrief
from actors.policy import CallPolicy
from actors.record.conversation import Conversation
from actors.record.scribe import Scribe, next_second
from actors.ticks import Looker
from actors.turn.effects import EndConversation
from actors.turn_driver import ForSession, TurnDriver
from agents.brief import Brief
from agents.functions import END_CONVERSATION, Answer, CallContext, FunctionSpec, Outcome, handoff_to_next_agent
from agents.roster import Roster, load_roster
from agents.spec import AgentSpec
from protocol.audio import BYTES_PER_SECOND, FRAME_BYTES
from protocol.deepgram import (
    AgentAudio,
    AgentAudioDone,
    CallerAudio,
    ConversationText,
    FunctionCall,
    FunctionCallRequest,
    Settings,
    SettingsApplied,
    UserStartedSpeaking,
    Welcome,
)
from protocol.wire import PacedWebSocket
from simulators.deepgram.dialogue import encode_server
from simulators.deepgram.messages import FromClient, FromService
from simulators.deepgram.strict import decode_client
from simulators.memory import MemoryWebSocket, memory_websocket_pair

CALL_SID = "CA" + "1" * 32
STREAM_SID = "MZ" + "1" * 32
VOICED = bytes([0x20]) * FRAME_BYTES
PATIENCE = 1000.0
"""Virtual seconds after which a test that waits for nothing fails, instead of hanging."""

F = TypeVar("F", bound=Fact)
M = TypeVar("M")


def speech(frames: int, first: int = 0) -> bytes:
    """Loud frames of which no two neighbours are alike, so that a lost or doubled one shows."""
    return b"".join(bytes([0x10 + (first + number) % 32]) * FRAME_BYTES for number in range(frames))


def words(seconds: float) -> AgentAudio:
    """So much speech of an agent."""
    return AgentAudio(bytes([0x30]) * round(seconds * BYTES_PER_SECOND))


def says(text: str) -> ConversationText:
    return ConversationText("assistant", text)


def heard(text: str) -> ConversationText:
    return ConversationText("user", text)


def calls(*names: str, arguments: str = "{}", client_side: bool = True) -> FunctionCallRequest:
    """One request for these functions; the id of each is `id-<name>`."""
    return FunctionCallRequest(tuple(FunctionCall(f"id-{name}", name, arguments, client_side) for name in names))


HAND_OFF = calls("handoff_to_next_agent", arguments='{"reason": "asked for it"}')
END = calls("end_conversation", arguments='{"reason": "task_complete"}')


async def write(scribe: Scribe) -> None:
    """Have a Scribe write, as a call does, until it is cancelled."""
    async with trio.open_nursery() as nursery:
        with Looker(next_second(), scribe.look, nursery.start_soon):
            await trio.sleep_forever()


@attrs.frozen
class NoArguments:
    """Nothing to say."""


@attrs.frozen
class Words:
    """One word is needed."""

    word: str


async def _look_up(arguments: NoArguments, context: CallContext) -> Outcome:
    await trio.sleep(1)
    return Answer({"found": True}, {"need": "a pension"})


async def _count(arguments: Words, context: CallContext) -> Outcome:
    await trio.sleep(1)
    return Answer({"letters": len(arguments.word)})


async def _break(arguments: NoArguments, context: CallContext) -> Outcome:
    raise ValueError("the handler is broken")


async def _dawdle(arguments: NoArguments, context: CallContext) -> Outcome:
    await trio.sleep_forever()
    raise AssertionError("never")


FUNCTIONS = (
    FunctionSpec("look_up", "Looks something up.", NoArguments, _look_up),
    FunctionSpec("count", "Counts letters.", Words, _count),
    FunctionSpec("break", "Does not work.", NoArguments, _break),
    FunctionSpec("dawdle", "Never comes back.", NoArguments, _dawdle, deadline=5.0),
    END_CONVERSATION,
)


def agent(name: str, *hands_to: str) -> AgentSpec:
    """An agent with every function there is, and one more to hand the call to its first successor."""
    handoffs = tuple(handoff_to_next_agent(to) for to in hands_to[:1])
    prompt, voice = f"You are the {name}.", "aura-2-thalia-en"
    return AgentSpec(name, name, prompt, f"I am the {name}.", voice, FUNCTIONS + handoffs, hands_to)


ROSTER: Roster = load_roster([agent("first", "second"), agent("second")])


class FirstChoice(Random):
    """Jitter that is always as long as it may be: what a test can add up."""

    def uniform(self, a: float, b: float) -> float:
        return b


@attrs.define(eq=False)
class Watched:
    """The shared state of a call, and every fact noted on it."""

    policy: CallPolicy = attrs.field(factory=CallPolicy)
    caller_turns: int = 0
    """How many turns the caller has had before the test begins."""
    entries: list[Entry] = attrs.field(factory=list)
    state: CallState = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        journal = Journal([self.entries.append])
        talk = Conversation(caller_turns=self.caller_turns)
        self.state = CallState(journal, talk, self.policy, CallContext(CALL_SID, ""))

    def facts(self, kind: type[F]) -> list[F]:
        return facts_in(self.entries, kind)

    async def concluded(self) -> EndConversation:
        return await conclusion_of(self.state.turn)

    def times(self, kind: type[Fact]) -> list[float]:
        return [round(entry.at, 3) for entry in self.entries if isinstance(entry.fact, kind)]


async def conclusion_of(turn: TurnDriver) -> EndConversation:
    """Wait, once, until the conversation is over; return how."""
    with turn.talk:
        await trio.sleep_forever()
    return turn.conclusion


def facts_in(entries: list[Entry], kind: type[F]) -> list[F]:
    return [entry.fact for entry in entries if isinstance(entry.fact, kind)]


@attrs.define(eq=False)
class Line:
    """The bridge and Twilio: plays what the ledger sends in real time, and echoes each mark when it is played."""

    ledger: Ledger
    turn: TurnDriver | None = None
    is_deaf: bool = False
    """Echo nothing."""
    played: float = 0.0
    """Seconds of audio sent to the caller, whether or not they were cleared later."""
    clears: list[float] = attrs.field(factory=list)
    _play_end: float = attrs.field(default=0.0, init=False)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                work = await self.ledger.next_work()
                match work:
                    case SendAudio(audio=audio, mark=mark):
                        self.played += len(audio) / BYTES_PER_SECOND
                        begin = max(self._play_end, trio.current_time())
                        self._play_end = begin + len(audio) / BYTES_PER_SECOND
                    case SendClear():
                        self.clears.append(trio.current_time())
                        self._play_end, mark = 0.0, None
                    case _:
                        mark = work.mark
                if mark is not None and not self.is_deaf:
                    nursery.start_soon(self._echo, mark, self._play_end)

    async def _echo(self, mark: str, at: float) -> None:
        await trio.sleep_until(at)
        self.ledger.mark_reached(mark)
        if self.turn is not None:
            self.turn.wake_for_mark()


@attrs.define(eq=False)
class FarEnd:
    """The service's end of one session, driven by the test."""

    socket: MemoryWebSocket
    heard: list[FromClient] = attrs.field(factory=list)
    """Everything but audio, in order."""
    audio: bytearray = attrs.field(factory=bytearray)
    settings: Settings | None = None

    @property
    def stride(self) -> float:
        """How long the session lets our messages gather."""
        assert self.socket._peer is not None
        return self.socket._peer.stride

    async def say(self, *messages: FromService) -> None:
        for message in messages:
            await self.socket.send_message(encode_server(message))

    def say_nowait(self, message: FromService) -> None:
        """Say something in the middle of a scheduler step; the session reads it in the next one."""
        pipe = self.socket._outgoing
        pipe.messages.append(encode_server(message))
        while pipe.readers:
            trio.lowlevel.reschedule(pipe.readers.popleft())

    async def say_text(self, frame: str) -> None:
        """Say something that no codec would write."""
        await self.socket.send_message(frame)

    async def hear(self, kind: type[M]) -> M:
        """Read until the session says something of this kind."""
        with trio.fail_after(PATIENCE):
            while True:
                message = decode_client(await self.socket.get_message())
                if isinstance(message, CallerAudio):
                    self.audio += message.data
                else:
                    self.heard.append(message)
                if isinstance(message, kind):
                    return message

    async def hear_for(self, seconds: float) -> None:
        """Read whatever comes in so many seconds, or until the session is gone."""
        with trio.move_on_after(seconds), suppress(ConnectionClosed):
            await self.hear(NoArguments)

    async def hear_audio(self, frames: int) -> bytes:
        """Read until so many frames of audio have come, and return all there are."""
        while len(self.audio) < frames * FRAME_BYTES:
            await self.hear(CallerAudio)
        return bytes(self.audio)

    def said(self, kind: type[M]) -> list[M]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def apply_settings(self) -> Settings:
        """Take the session up to the moment where it may speak."""
        await self.say(Welcome("request"))
        self.settings = await self.hear(Settings)
        await self.say(SettingsApplied())
        return self.settings

    async def greet(self, text: str = "Hello there.", seconds: float = 1.0) -> None:
        await self.say(words(seconds), says(text), AgentAudioDone())

    async def take_turn(self, text: str) -> None:
        """Hear the caller out: began, and said this."""
        await self.say(UserStartedSpeaking(), heard(text))


@attrs.define(eq=False)
class Service:
    """The voice agent service: every connection is answered by the test, in order."""

    refusals: deque[Exception | None] = attrs.field(factory=deque)
    """For the next connections: what the attempt raises, or None to let it through."""
    open: int = 0
    attempts: int = 0
    took: float = 0.0
    """Seconds an upgrade takes."""
    _ringing: deque[FarEnd] = attrs.field(factory=deque, init=False)
    _rang: trio.Event = attrs.field(factory=trio.Event, init=False)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[PacedWebSocket]:
        self.attempts += 1
        await trio.sleep(self.took)
        refusal = self.refusals.popleft() if self.refusals else None
        if refusal is not None:
            raise refusal
        ours, theirs = memory_websocket_pair()
        self._ringing.append(FarEnd(theirs))
        self._rang.set()
        self.open += 1
        try:
            yield ours
        finally:
            self.open -= 1
            ours.drop()

    async def answer(self) -> FarEnd:
        """Wait for the next connection, and be its far end."""
        with trio.fail_after(PATIENCE):
            while not self._ringing:
                self._rang = trio.Event()
                await self._rang.wait()
        return self._ringing.popleft()

    async def live(self) -> FarEnd:
        """The same, up to where the session has the floor."""
        far = await self.answer()
        await far.apply_settings()
        await wait_all_tasks_blocked()
        return far


BRIEF = Brief(summary="Ada wants a pension.", name="Ada", need="a pension")


@attrs.define(eq=False)
class Clerk:
    """In the Summarizer's place: answers each who asks for a Brief, `takes` seconds later."""

    mailbox: trio.MemoryReceiveChannel[WriteBrief]
    takes: float = 0.0
    asked: list[str] = attrs.field(factory=list)

    async def run(self) -> None:
        async for message in self.mailbox:
            if message.reply_to is not None:
                self.asked.append(message.reader)
                await trio.sleep(self.takes)
                message.reply_to.send_nowait(PreparedBrief(BRIEF, "groq"))


@attrs.define(eq=False)
class Speaker:
    """A session that does nothing but note what it is to do."""

    agent: AgentSpec = attrs.field(factory=lambda: ROSTER.agents["first"])
    last_heard: float = 0.0
    reads_tape: bool = True
    last_sign: float = inf
    number: int = 1
    cursor: int = 0
    voice: Voice = attrs.field(factory=lambda: Voice("first"))
    amended: int = 0
    performed: list[ForSession] = attrs.field(factory=list)
    asked: list[float] = attrs.field(factory=list)

    def perform(self, effect: ForSession) -> None:
        self.performed.append(effect)

    def amend(self) -> None:
        """Know what there is to know."""

    def ask_service(self) -> None:
        """Note when it was to ask: there is no service."""
        self.asked.append(trio.current_time())

    def listen_closely(self) -> None:
        """Do nothing: there is no service."""
