"""One agent on the line: a Voice Agent session from connecting until it is over.

`AgentSession` owns one Voice Agent WebSocket. It pumps the caller's audio in, puts the agent's audio on the ledger,
writes the conversation, and runs the model's functions as children of its own nursery. It never decides who holds the
floor: it asks the Supervisor for a handoff, and being cancelled *is* the answer yes. What it cannot go on with it
raises; it returns only when its agent has ended the conversation and the goodbye has been heard. What it says for the
switchboard is in `actors/cues.py`, and what its model wants done in `actors/function_runner.py`.
"""

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TypeAlias

import attrs
import trio

from actors.agent_wire import AgentWire
from actors.cues import CLOSING, Cues, Signs
from actors.desk import Desk
from actors.facts import (
    SessionReady,
    TurnCutOff,
    TurnHeard,
    Unrecognised,
    UserStartedSpeaking,
    WarningReported,
)
from actors.function_runner import FunctionRunner, Running
from actors.latency import LatencyMeter
from actors.messages import Ended, RefreshBrief, Spent, ToSummarizer, ToSupervisor
from actors.opening import Opening
from actors.patience import Patience
from actors.reply import Voice
from actors.silence import mind_deafness, mind_session
from actors.tape import TapeReader
from agents.spec import AgentSpec
from protocol import deepgram
from protocol.deepgram import (
    CallerAudio,
    InjectAgentMessage,
    InjectUserMessage,
    KeepAlive,
)
from protocol.wire import PacedWebSocket

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[PacedWebSocket]]


@attrs.define(eq=False)
class AgentSession:
    """One incarnation of one agent. `run` it once."""

    desk: Desk
    agent: AgentSpec
    seat: int
    voice: Voice
    opening: Opening
    connect: Connect
    supervisor: trio.MemorySendChannel[ToSupervisor]
    summarizer: trio.MemorySendChannel[ToSummarizer]
    _reader: TapeReader | None = attrs.field(default=None, init=False)
    _last_heard: Callable[[], float] = attrs.field(default=lambda: -math.inf, init=False)
    _functions: dict[int, Running] = attrs.field(factory=dict, init=False)
    _runner: FunctionRunner | None = attrs.field(default=None, init=False)
    _goodbyes: set[str] = attrs.field(factory=set, init=False)
    _echoes: list[str] = attrs.field(factory=list, init=False)
    _patience: Patience = attrs.field(
        default=attrs.Factory(lambda session: Patience(session.desk.ledger), takes_self=True), init=False
    )
    _signs: Signs = attrs.field(factory=Signs, init=False)
    _latency: LatencyMeter = attrs.field(
        default=attrs.Factory(lambda session: LatencyMeter(session.desk.journal, session.voice), takes_self=True),
        init=False,
    )
    _filler_late: bool = attrs.field(default=False, init=False)
    _cues: Cues | None = attrs.field(default=None, init=False)

    @property
    def is_awaited(self) -> bool:
        """Whether the caller waits for it to say something."""
        return not self._patience.is_closed

    @property
    def has_acted(self) -> bool:
        """Whether it has ever said or done anything."""
        return self._patience.done > 0

    @property
    def is_unheeding(self) -> bool:
        """Whether the caller waits for an answer, and the service has said nothing at all since they spoke."""
        return self.is_awaited and self._last_heard() < self.desk.journal.started + self.desk.activity.last

    @property
    def last_word(self) -> Ended | None:
        """How the conversation ended, if the agent has ended it and has left nothing unanswered: all has been said."""
        goodbye = self._runner.goodbye if self._runner is not None else None
        return None if goodbye is None or self.desk.conversation.unanswered() is not None else Ended(goodbye.reason)

    @property
    def cursor(self) -> int:
        """The first frame of the tape this session has not been sent."""
        return self._reader.cursor if self._reader is not None else self.opening.start()

    async def run(self, ready: Callable[[], None]) -> Ended | Spent:
        """Connect, configure, call `ready`, and converse until the agent ends the conversation or the session is old.

        *Raises* `AgentUnavailable` or `RemoteProtocolError`, alone before `ready` and in a group after it.
        *Cancellation* is how the floor is taken away.
        """
        began = trio.current_time()
        async with self.connect() as socket:
            wire = AgentWire(socket, self.desk.policy.send_stall)
            self._last_heard = lambda: wire.last_heard
            welcome = await wire.receive_until(deepgram.Welcome)
            await wire.send(await self.opening.settings())
            await wire.receive_until(deepgram.SettingsApplied)
            took = round(trio.current_time() - began, 6)
            self.desk.journal.note(SessionReady(self.agent.name, self.seat, welcome.request_id, took))
            ready()
            return await self._converse(wire)

    async def _converse(self, wire: AgentWire) -> Ended | Spent:
        policy = self.desk.policy
        reader = TapeReader(
            self.desk.tape, self.opening.start(), policy.chunk_frames, policy.replay_rate, deliver=wire.put_audio
        )
        self._reader = reader
        over, outcome = trio.open_memory_channel[Ended | Spent](1)
        with over, outcome:
            async with trio.open_nursery() as nursery:
                self._runner = runner = self._run_functions(wire, reader, nursery, over)
                nursery.start_soon(self._pump_caller, wire, reader)
                nursery.start_soon(self._keep_alive, wire)
                nursery.start_soon(self._listen, wire, reader, runner)
                nursery.start_soon(self._mind_silence, wire)
                nursery.start_soon(mind_deafness, self.desk, wire, self._patience, lambda: not reader.is_held)
                await self._begin(wire)
                nursery.start_soon(self._take_cues(wire, reader).run, self.seat, over)
                ended = await outcome.receive()
                nursery.cancel_scope.cancel(reason="conversation ended")
        return ended

    async def _pump_caller(self, wire: AgentWire, reader: TapeReader) -> None:
        while True:
            await wire.send(CallerAudio(await reader.next_chunk()))

    async def _keep_alive(self, wire: AgentWire) -> None:
        while True:
            await trio.sleep(self.desk.policy.keep_alive)
            await wire.send(KeepAlive())

    async def _begin(self, wire: AgentWire) -> None:
        if self.opening.greets or self.opening.owes or self.opening.ask is not None:
            self._owe_words()
        if self.opening.ask is not None:
            self._echoes.append(self.opening.ask)
            await wire.send(InjectUserMessage(self.opening.ask))

    def _owe_words(self) -> None:
        """Open the agents' turn, of a caller who has been waiting since they or an agent last spoke."""
        if CLOSING not in self._goodbyes:  # nothing is owed to whoever is being left
            self._patience.begin(self.desk.quiet_since)

    async def _mind_silence(self, wire: AgentWire) -> None:
        async def ask_filler() -> None:
            self.desk.ledger.unmute(self.voice)
            await wire.send(InjectAgentMessage(self.desk.policy.filler, "queue"))

        await mind_session(self.desk, self.agent, self._patience, ask_filler, lambda: bool(self._functions))

    def _run_functions(
        self,
        wire: AgentWire,
        reader: TapeReader,
        nursery: trio.Nursery,
        over: trio.MemorySendChannel[Ended | Spent],
    ) -> FunctionRunner:
        return FunctionRunner(
            desk=self.desk,
            agent=self.agent,
            seat=self.seat,
            voice=self.voice,
            reader=reader,
            patience=self._patience,
            running=self._functions,
            goodbyes=self._goodbyes,
            signs=self._signs,
            owe_words=self._owe_words,
            post=lambda said: nursery.start_soon(wire.send, said),
            children=nursery,
            over=over,
            supervisor=self.supervisor,
            summarizer=self.summarizer,
        )

    def _take_cues(self, wire: AgentWire, reader: TapeReader) -> Cues:
        self._cues = Cues(
            desk=self.desk,
            agent=self.agent,
            voice=self.voice,
            wire=wire,
            reader=reader,
            patience=self._patience,
            goodbyes=self._goodbyes,
            functions=self._functions,
            signs=self._signs,
            echoes=self._echoes,
            note_turn=self._note_turn,
            summarizer=self.summarizer,
        )
        return self._cues

    # What the service says

    async def _listen(self, wire: AgentWire, reader: TapeReader, runner: FunctionRunner) -> None:
        while True:
            wire.gather(self.desk.policy.stride_for(self.desk.ledger.unplayed))
            match await wire.receive():
                case deepgram.AgentAudio(data=data):
                    self.desk.ledger.put(self.voice, data)
                case deepgram.ConversationText(role="user", content=text):
                    await self._on_caller_turn(text, reader)
                case deepgram.ConversationText(role="assistant", content=text):
                    self._on_agent_text(text)
                case deepgram.FunctionCallRequest(functions=calls):
                    self.desk.ledger.unmute(self.voice)
                    runner.start(calls)
                case deepgram.FunctionCallCancelled(functions=calls):
                    runner.withdraw(calls)
                case message:
                    self._on_event(message)

    def _on_event(self, message: deepgram.ServerMessage) -> None:
        ledger = self.desk.ledger
        match message:
            case deepgram.UserStartedSpeaking():
                self._on_user_started_speaking()
            case deepgram.AgentAudioDone():
                self._on_audio_done()
            case deepgram.EndOfTurn() | deepgram.AgentThinking():
                ledger.unmute(self.voice)
            case _:
                self._note_remark(message)

    def _note_remark(self, message: deepgram.ServerMessage) -> None:
        match message:
            case deepgram.WarningReported(code=code, description=description):
                self.desk.journal.note(WarningReported(self.agent.name, code, description))
                if code == "MAXIMUM_SESSION_LENGTH_APPROACHING":
                    self._signs.aged.set()
            case deepgram.InjectionRefused(message=why):
                self.desk.journal.note(WarningReported(self.agent.name, "INJECTION_REFUSED", why))
                self._patience.refuse()
            case deepgram.LatencyReport():
                self._latency.take(message)
            case deepgram.Unrecognised(type=name):
                self.desk.journal.note(Unrecognised("deepgram", name))
            case _:
                pass  # acknowledgements, and history, the twin of what has been noted already

    def _on_audio_done(self) -> None:
        reply = self.voice.reply
        self._latency.close()
        self.desk.ledger.audio_done(self.voice)
        if self._filler_late:
            self._filler_late = False
            self.desk.ledger.unmute(self.voice)
        if not self._functions and (reply is None or reply.text != self.desk.policy.filler):
            self._patience.end()

    def _on_user_started_speaking(self) -> None:
        self.desk.journal.note(UserStartedSpeaking(self.agent.name))
        if self._reader is None or not self._reader.is_behind:  # else the caller, who spoke long ago, waits now
            self._patience.end()
        self._filler_late = False
        self._signs.hear()
        if not self._goodbyes:  # a goodbye is heard to its last word
            self.desk.ledger.interrupt(self.voice)

    async def _on_caller_turn(self, text: str, reader: TapeReader) -> None:
        self._latency.close()
        self.desk.ledger.unmute(self.voice)
        if CLOSING not in self._goodbyes:  # the last sentence goes on
            self.desk.ledger.end_reply(self.voice)
        self._signs.understand()
        if text in self._echoes:  # of what we have told the service ourselves: no new turn (reference, gotcha 10)
            self._echoes.remove(text)
            self._owe_words()
            return
        if not reader.confirm():
            self.desk.journal.note(TurnCutOff(self.agent.name, text))
        elif text.strip():
            await self._note_turn(text, text)

    async def _note_turn(self, text: str, shown: str) -> None:
        self.desk.conversation.add_caller(text)
        self.desk.journal.note(TurnHeard(self.agent.name, shown))
        self._owe_words()
        for name in self.agent.hands_to[:1]:
            with suppress(trio.BrokenResourceError):  # a Summarizer that has crashed costs the Brief, not the session
                await self.summarizer.send(RefreshBrief(name))

    def _on_agent_text(self, text: str) -> None:
        if text == self.desk.policy.filler and self._patience.is_closed:
            self._filler_late = self.voice.is_muted = True  # the reply was sooner: who hears both waits for a third
            return
        reply = self.desk.ledger.add_text(self.voice, text)
        if reply is not None and text != self.desk.policy.filler:
            self._patience.done += 1
            self.desk.conversation.add_reply(reply)
            if self._cues is not None:
                self._cues.on_agent_text(text, reply)
