"""One agent on the line: a Voice Agent session from connecting until it is over.

`AgentSession` owns one Voice Agent WebSocket. It pumps the caller's audio in, puts the agent's audio on the ledger,
writes the conversation, and runs the model's functions as children of its own nursery. It never decides who holds the
floor: it asks the Supervisor for a handoff, and being cancelled *is* the answer yes. What it cannot go on with it
raises; it returns only when its agent has ended the conversation and the goodbye has been heard.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import TypeAlias

import attrs
import trio

from actors.agent_wire import AgentWire
from actors.cues import CLOSING, Cues, Signs
from actors.desk import Desk
from actors.facts import (
    FunctionAnswered,
    FunctionCalled,
    FunctionWithdrawn,
    GoodbyeHeard,
    GoodbyeStarted,
    HandoffAsked,
    SessionReady,
    TurnCutOff,
    TurnHeard,
    Unrecognised,
    UserStartedSpeaking,
    WarningReported,
)
from actors.function_calls import Failed, FunctionResult, error_text, run_function
from actors.goodbye import ASK_GOODBYE, hear_out
from actors.messages import Ended, HandoffRefused, HandoffWithdrawn, RefreshBrief, Spent, ToSummarizer, ToSupervisor
from actors.messages import HandoffAsked as AskHandoff
from actors.opening import Opening
from actors.patience import Patience
from actors.reply import Voice
from actors.silence import mind_deafness, mind_session
from actors.tape import TapeReader
from actors.transfer import put_through
from agents.functions import Answer, CallContext, EndCall, HandOff, TransferToHuman
from agents.spec import AgentSpec
from protocol import deepgram
from protocol.deepgram import (
    CallerAudio,
    ClientMessage,
    FunctionCall,
    FunctionCallResponse,
    InjectAgentMessage,
    InjectUserMessage,
    KeepAlive,
)
from protocol.wire import PacedWebSocket

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[PacedWebSocket]]
Post: TypeAlias = Callable[[ClientMessage], None]


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
    _goodbye: EndCall | None = attrs.field(default=None, init=False)
    _functions: dict[str, trio.CancelScope] = attrs.field(factory=dict, init=False)
    _handoffs: set[str] = attrs.field(factory=set, init=False)
    _goodbyes: set[str] = attrs.field(factory=set, init=False)
    _echoes: list[str] = attrs.field(factory=list, init=False)
    _patience: Patience = attrs.field(
        default=attrs.Factory(lambda session: Patience(session.desk.ledger), takes_self=True), init=False
    )
    _signs: Signs = attrs.field(factory=Signs, init=False)
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
        if self._goodbye is None or self.desk.conversation.unanswered() is not None:
            return None
        return Ended(self._goodbye.reason)

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
                nursery.start_soon(self._pump_caller, wire, reader)
                nursery.start_soon(self._keep_alive, wire)
                nursery.start_soon(self._listen, wire, reader, over, nursery)
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

    async def _listen(
        self, wire: AgentWire, reader: TapeReader, over: trio.MemorySendChannel[Ended | Spent], nursery: trio.Nursery
    ) -> None:
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
                    self._start_functions(calls, wire, reader, over, nursery)
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
            case deepgram.FunctionCallCancelled(functions=calls):
                for call in calls:
                    self._on_function_cancelled(call.id)
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
            case deepgram.Unrecognised(type=name):
                self.desk.journal.note(Unrecognised("deepgram", name))
            case _:
                """Acknowledgements, latency reports, and history, the twin of what has been noted already."""

    def _on_audio_done(self) -> None:
        reply = self.voice.reply
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

    # Functions

    def _start_functions(
        self,
        calls: tuple[FunctionCall, ...],
        wire: AgentWire,
        reader: TapeReader,
        over: trio.MemorySendChannel[Ended | Spent],
        nursery: trio.Nursery,
    ) -> None:
        for call in calls:
            if call.client_side and call.id not in self._functions and CLOSING not in self._goodbyes:
                self._functions[call.id] = trio.CancelScope()
                self.desk.journal.note(FunctionCalled(self.agent.name, call.id, call.name, call.arguments))
                self._patience.begin()
                nursery.start_soon(
                    self._carry_out, call, lambda said: nursery.start_soon(wire.send, said), reader, over
                )

    def _on_function_cancelled(self, call_id: str) -> None:
        if call_id in self._goodbyes:  # the caller has spoken again: what is left of the goodbye answers nothing now
            self._goodbyes.discard(call_id)
            self.desk.ledger.flush()
        scope = self._functions.get(call_id)
        if scope is not None:
            scope.cancel(reason="cancelled by the service")

    async def _carry_out(
        self, call: FunctionCall, post: Post, reader: TapeReader, over: trio.MemorySendChannel[Ended | Spent]
    ) -> None:
        """Run one function call to its end. What the service cancels is finding the answer, and never a sending."""
        began = trio.current_time()
        answer: str | None = None
        result: FunctionResult | None = None
        with self._functions[call.id] as scope:
            result = await self._result_of(call)
            answer = await self._answer_to(call, result, post, reader)
        del self._functions[call.id]
        if scope.cancelled_caught:
            await self._withdraw(call, result, reader)
            return
        took = round(trio.current_time() - began, 6)
        self._note_answer(call, result, answer, took)
        if answer is not None:
            post(FunctionCallResponse(call.id, call.name, answer, call.thought_signature))
            self._patience.done += 1
            if self._patience.is_closed:
                self._owe_words()
        elif isinstance(result, EndCall):
            await over.send(Ended(result.reason))

    async def _answer_to(
        self, call: FunctionCall, result: FunctionResult, post: Post, reader: TapeReader
    ) -> str | None:
        match result:
            case HandOff():
                return error_text((await self._ask_handoff(call, result, reader)).why)
            case TransferToHuman():
                return error_text(await self._put_through(call, result))
            case EndCall():
                await self._say_goodbye(call, result, post)
                return None
            case Answer() | Failed():
                return result.text()

    async def _result_of(self, call: FunctionCall) -> FunctionResult:
        if (earlier := self.desk.conversation.earlier_answer(call.name, call.arguments)) is not None:
            return Answer(earlier)
        context = CallContext(self.desk.call_sid, self.agent.name, self.desk.conversation.facts)
        return await run_function(self.agent, call, context)

    def _note_answer(self, call: FunctionCall, result: FunctionResult | None, answer: str | None, took: float) -> None:
        ok = isinstance(result, Answer | EndCall)
        content = answer if answer is not None else '{"ended": true}'
        facts = result.facts if isinstance(result, Answer | EndCall) else {}
        done = deepgram.CompletedCall(call.id, call.name, True, call.arguments, content, call.thought_signature)
        self.desk.conversation.add_function(done, facts, repeatable=not ok)
        if isinstance(result, Failed) and result.cause:
            content = f"{content} ({result.cause})"
        self.desk.journal.note(FunctionAnswered(self.agent.name, call.id, call.name, content, ok, took, facts))

    async def _withdraw(self, call: FunctionCall, result: FunctionResult | None, reader: TapeReader) -> None:
        self.desk.journal.note(FunctionWithdrawn(self.agent.name, call.id, call.name))
        if isinstance(result, EndCall):
            self._goodbye = None
        if isinstance(result, HandOff):
            self._take_back_floor(call, reader)
            await self.supervisor.send(HandoffWithdrawn(self.seat, call.id))

    # Handing the call on, and ending it

    async def _ask_handoff(self, call: FunctionCall, handoff: HandOff, reader: TapeReader) -> HandoffRefused:
        """Fall silent and ask for a successor. Being refused is the only answer; a handoff that succeeds cancels us."""
        now, offset = trio.current_time(), reader.hold()
        self._handoffs.add(call.id)
        self._patience.end()
        self.desk.ledger.withhold(self.voice)
        self.desk.conversation.facts.update(handoff.facts)
        self.desk.journal.note(HandoffAsked(self.agent.name, handoff.to, handoff.reason, handoff.notes, offset))
        answer, answered = trio.open_memory_channel[HandoffRefused](1)
        with answer, answered:
            await self.supervisor.send(
                AskHandoff(
                    seat=self.seat,
                    call_id=call.id,
                    name=call.name,
                    to=handoff.to,
                    reason=handoff.reason,
                    notes=handoff.notes,
                    at=now,
                    offset=offset,
                    reply_to=answer,
                )
            )
            refused = await answered.receive()
        self._take_back_floor(call, reader)
        return refused

    def _take_back_floor(self, call: FunctionCall, reader: TapeReader) -> None:
        self._handoffs.discard(call.id)
        if not self._handoffs:  # a second one that is refused does not undo the first
            self.desk.ledger.grant(self.voice)
            reader.resume()

    async def _say_goodbye(self, call: FunctionCall, end: EndCall, post: Post) -> None:
        """Wait until the caller has heard the goodbye, which may be on its way still, or not yet asked for."""
        self.desk.journal.note(GoodbyeStarted(self.agent.name, end.reason))
        self._goodbye = end
        with self._uncut(call):
            if self.voice.reply is None:
                post(FunctionCallResponse(call.id, call.name, ASK_GOODBYE, call.thought_signature))
            complete = await hear_out(self.desk, self.voice, self.agent.voice)
            self.desk.journal.note(GoodbyeHeard(self.agent.name, complete))

    async def _put_through(self, call: FunctionCall, wanted: TransferToHuman) -> str:
        """Have the caller hear that they are put through, and ask the line. To be told why not is the only answer."""

        async def hear() -> None:
            with self._uncut(call):
                await hear_out(self.desk, self.voice, self.agent.voice)

        return await put_through(self.desk, self.agent, wanted, hear, self.summarizer, call=call)

    @contextmanager
    def _uncut(self, call: FunctionCall) -> Iterator[None]:
        """Let no barge-in cut what is said with this call."""
        self._patience.end()
        self._goodbyes.add(call.id)
        try:
            yield
        finally:
            self._goodbyes.discard(call.id)
