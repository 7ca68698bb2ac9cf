"""One agent on the line: a Voice Agent session from connecting until it is over.

`AgentSession` owns one Voice Agent WebSocket. It pumps the caller's audio in, puts the agent's audio on the ledger,
writes the conversation, tells the turn's driver what the service says, and does what the turn wants of the service. It
never decides who holds the floor. What it cannot go on with it raises; it returns only when it is to be renewed.
"""

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import TypeAlias, assert_never

import attrs
import trio

from actors.call_state import CallState
from actors.errors import AgentUnavailable
from actors.facts import (
    FillerSaid,
    SessionReady,
    TurnCutOff,
    TurnHeard,
    UserStartedSpeaking,
    WarningReported,
)
from actors.line.line_watch import masked
from actors.line.reply import Voice
from actors.line.tape import TapeReader
from actors.messages import AskHandoff, WriteBrief
from actors.policy import is_of_keys
from actors.session.function_runner import FunctionRunner
from actors.session.opening import AgentOnCall, Opening, Takeover
from actors.session.wire import AgentWire, LatencyMeter, ServiceActivity, ServiceOutbox
from actors.ticks import SLACK_SECONDS
from actors.turn import effects
from actors.turn.events import AgentSaid, CallerSaid, Event, Signal, TurnToldLate
from actors.turn.parts import words_of
from actors.turn.state import Phase
from actors.turn_driver import ForSession
from agents.announcing import announced, asks_for_time, asks_to_wait, is_courtesy, is_farewell
from agents.spec import AgentSpec
from agents.unknown import is_question
from protocol import deepgram
from protocol.wire import PacedWebSocket

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[PacedWebSocket]]
_CLOSELY = 0.02
"""The most that the service's word that the caller speaks waits with the agent's audio, while it may come."""
_MOST_UNECHOED = 8
"""Things that the service was told, of which the echo may still come."""
_AT_ONCE = 0.001
"""Seconds for which audio gathers where one piece is read alone that should have come already."""
_SLOW = frozenset({"SLOW_THINK_REQUEST", "SLOW_SPEAK_REQUEST"})
_NO_ANSWER = frozenset({"backchannel", "filler"})
"""What the service may say of its own accord before the model's words (`ConversationText.conversational_behavior`)."""
_NOT_SAID = "INJECT_AGENT_MESSAGE_DURING_"
"""The service refuses to say something by InjectionRefused, by such a warning, or by both."""


@attrs.define(eq=False)
class AgentSession:
    """One incarnation of one agent. `run` it once, in `scope`: to cancel that ends it."""

    state: CallState
    on_call: AgentOnCall
    number: int
    opening: Opening
    connect: Connect
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    began: float = attrs.field(default=math.inf, init=False)
    """When (trio time) it began to connect; since when it has the floor, if it has."""
    since: float = attrs.field(default=math.inf, init=False)
    voice: Voice = attrs.field(init=False)
    has_acted: bool = attrs.field(default=False, init=False)
    """Whether its agent has ever said words of its own, or had a function done."""
    service: ServiceActivity = attrs.field(factory=ServiceActivity, init=False)
    is_changing: bool = attrs.field(default=False, init=False)
    """Whether it is becoming another agent's: it is neither the one's nor the other's."""
    _wire: AgentWire | None = attrs.field(default=None, init=False)
    _reader: TapeReader | None = attrs.field(default=None, init=False)
    _runner: FunctionRunner | None = attrs.field(default=None, init=False)
    _outbox: ServiceOutbox = attrs.field(factory=ServiceOutbox, init=False)
    _latency: LatencyMeter = attrs.field(init=False)
    _over: trio.Event = attrs.field(factory=trio.Event, init=False)
    _failure: str = attrs.field(default="", init=False)
    """Why the session cannot go on."""
    amended: int = attrs.field(default=0, init=False)
    """Which version of the operator's amendments the service has."""
    _think: tuple[deepgram.Think, ...] = attrs.field(default=(), init=False)
    """The models with their functions, as the Settings named them; a prompt is 7 kB, and written anew."""
    _is_flux: bool = attrs.field(default=False, init=False)
    """Whether its recogniser can be told that a turn is over."""
    _forces_end: bool = attrs.field(default=False, init=False)
    """It was told so, and nothing has come of it yet."""
    _unechoed: list[tuple[str, float]] = attrs.field(factory=list, init=False)
    """What it was told as the caller's words, until its echo comes; and when, if the caller may say it again."""
    _amending: list[int] = attrs.field(factory=list, init=False)
    """The versions that it was told of and has not acknowledged."""

    def __attrs_post_init__(self) -> None:
        self.voice = Voice(self.agent.name, self.opening.promised_at, how=self.opening.how)
        self._latency = LatencyMeter(self.state.journal, self.voice)

    @property
    def agent(self) -> AgentSpec:
        return self.on_call.agent

    @property
    def before(self) -> str:
        """The agent that handed the call to this one; empty if none did."""
        return self.on_call.before.agent.name if self.on_call.before is not None else ""

    @property
    def cursor(self) -> int:
        return self._reader.cursor if self._reader is not None else self.opening.start()

    @property
    def last_heard(self) -> float:
        return -math.inf if self._wire is None else self._wire.last_heard

    @property
    def reads_tape(self) -> bool:
        return self._reader is not None and not self._reader.is_held

    @property
    def last_sign(self) -> float:
        return math.inf if self._wire is None else max(self._wire.socket.answered, self._wire.last_heard)

    def ask_service(self) -> None:
        """Ask the service whether it is there: it answers a ping, whether it has heard anything or not (RFC 6455)."""
        if self._wire is not None:
            self._wire.socket.ping()

    def listen_closely(self) -> None:
        """Read what the service says as it comes, from now on: it may say at any moment that the caller speaks."""
        if self._wire is not None:
            self._wire.socket.gather(0.0)

    async def run(self, ready: Callable[[], None]) -> None:
        """Connect, configure, call `ready`, and converse until the session is old and is to be renewed.

        *Raises* `AgentUnavailable`, alone before `ready` and in a group after it.
        *Cancellation* is how the floor is taken away.
        """
        began, policy = trio.current_time(), self.state.policy
        async with self.connect() as socket:
            on_refused = partial(self.state.journal.note_refused, "deepgram")
            self._wire = wire = AgentWire(socket, policy.deadlines.send_stall, on_refused)
            welcome = await wire.receive_until(deepgram.Welcome)
            await wire.send(await self._settings())
            await wire.receive_until(deepgram.SettingsApplied)
            took = round(trio.current_time() - began, 6)
            self.state.journal.note(SessionReady(self.agent.name, self.number, welcome.request_id, took))
            pace = policy.numbers.chunk_frames, policy.numbers.replay_rate, policy.deadlines.starved
            self._reader = reader = TapeReader(self.state.tape, self.opening.start(), *pace, deliver=wire.put_audio)
            ready()
            await self._converse(wire, reader)

    async def _settings(self) -> deepgram.Settings:
        settings = await self.opening.settings()
        self.amended = self.state.amendments.version  # no step lies between the writing of the prompt and this one
        if not isinstance(settings.agent, str):
            self._think = _without_prompt(settings.agent.think)
            self._is_flux = settings.agent.listen is not None and settings.agent.listen.provider.version == "v2"
        return settings

    async def _converse(self, wire: AgentWire, reader: TapeReader) -> None:
        async with trio.open_nursery() as nursery:
            self._runner = FunctionRunner(self.state, self.agent, self, nursery)
            nursery.start_soon(self._pump_caller, wire, reader)
            nursery.start_soon(self._listen, wire, reader)
            nursery.start_soon(self._outbox.run, wire, self.state.policy.deadlines.keep_alive)
            self.amend()  # with what has changed since the Settings
            try:
                await self._over.wait()
            finally:
                self._runner = None  # each knows the other: they would outlive the call until a full collection
            nursery.cancel_scope.cancel(reason="session over")
        if self._failure:
            raise AgentUnavailable(self._failure)

    async def _pump_caller(self, wire: AgentWire, reader: TapeReader) -> None:
        while True:
            await wire.send(deepgram.CallerAudio(await reader.next_chunk()))

    def post(self, message: deepgram.ClientMessage) -> None:
        """Send a message behind those that wait; nothing here waits."""
        if why := self._outbox.post(message):
            self._fail(why)

    def _fail(self, why: str) -> None:
        self._failure = why
        self._over.set()

    # What the service says

    async def _listen(self, wire: AgentWire, reader: TapeReader) -> None:
        try:
            while wire.early:
                self._on_message(wire.early.pop(0), reader)
            self._pace(wire)
            await wire.pump(partial(self._take, wire, reader))
        except AgentUnavailable as lost:
            if self._forces_end:
                self.state.turn.may_end_turns = False
            if self._amending:  # it is the change that was refused, and the Settings before it were good
                lost.retryable = True
            raise

    def _take(self, wire: AgentWire, reader: TapeReader, frames: list[str | bytes]) -> None:
        for frame in frames:
            if audio := wire.audio_of(frame):
                self._on_audio(audio)
            elif (message := wire.read(frame)) is not None:
                self._on_message(message, reader)
        self._pace(wire)

    def _on_audio(self, audio: bytes) -> None:
        self.service.is_speaking = True
        self.state.turn.put_audio(self.voice, audio)

    def _on_message(self, message: deepgram.ServerMessage, reader: TapeReader) -> None:
        match message:
            case deepgram.AgentAudio(data=data):
                self._on_audio(data)
            case deepgram.ConversationText(role="user", content=text):
                self._on_caller_turn(text, reader)
            case deepgram.ConversationText(role="assistant", content=text, conversational_behavior=behavior):
                if text.strip():  # else it says nothing
                    self._on_agent_text(text, is_answer=behavior not in _NO_ANSWER)
            case deepgram.FunctionCallRequest(functions=calls) if self._runner is not None:
                self._runner.start(calls)
            case deepgram.FunctionCallCancelled(functions=cancelled) if self._runner is not None:
                self._runner.withdraw(cancelled)
            case _:
                self._on_event(message, reader)

    def _pace(self, wire: AgentWire) -> None:
        """Let what comes next gather, as far as the caller has something to hear meanwhile."""
        turn, deadlines, flow, now = self.state.turn, self.state.policy.deadlines, wire.flow, wire.last_heard
        lead = self.state.ledger.surely_unplayed(now)
        hold = deadlines.hold_for(lead, flow.piece, flow.late(now))
        if hold and not flow.pairs_at(now + hold):
            hold = max(hold - deadlines.hold - SLACK_SECONDS, _AT_ONCE)  # a tick early: it may come sooner than it did
        stride = hold or deadlines.stride_for(lead, turn.since_voice(now))
        is_close = not hold and turn.may_interrupt(now)
        wire.socket.gather(min(stride, _CLOSELY) if is_close else stride, exactly=hold > 0.0)

    def put(self, event: Event) -> None:
        """Tell the turn, as long as this session has the floor."""
        if self.state.turn.session is self:
            self.state.turn.put(event)

    def _on_event(self, message: deepgram.ServerMessage, reader: TapeReader) -> None:
        match message:
            case deepgram.UserStartedSpeaking():
                self.service.note_caller()
                self.state.journal.note(UserStartedSpeaking(self.agent.name))
                if not reader.is_behind:  # else the caller spoke long ago
                    self.put(Signal.CALLER_STARTED_SPEAKING)
            case deepgram.AgentAudioDone():
                self._on_audio_done()
            case deepgram.EndOfTurn() | deepgram.AgentThinking():
                self.put(Signal.THINKING_BEGAN)
            case _:
                self._on_remark(message)

    def _on_remark(self, message: deepgram.ServerMessage) -> None:
        match message:
            case deepgram.ServiceWarning(code=code, description=description):
                self._on_warning(code, description)
            case deepgram.InjectionRefused(message=why):
                self.state.journal.note(WarningReported(self.agent.name, "INJECTION_REFUSED", why))
                self.put(Signal.SAY_REFUSED)
            case deepgram.ThinkUpdated() if self._amending:
                self.amended = self._amending.pop(0)
                self.state.turn.wake()
            case deepgram.LatencyReport():
                self._latency.take(message)
            case deepgram.ThinkUpdated() | deepgram.SpeakUpdated():
                self.service.note_acknowledged(type(message))
            case deepgram.UnknownMessage(type=name) if name not in deepgram.IGNORED:
                self.state.journal.note_unrecognised("deepgram", name)
            case deepgram.ConversationText(role=role):
                self.state.journal.note_unrecognised("deepgram", f"ConversationText of {role}")
            case _:
                pass  # what a client does not act on

    def _on_warning(self, code: str, description: str) -> None:
        self.state.journal.note(WarningReported(self.agent.name, code, description))
        if code == "MAXIMUM_SESSION_LENGTH_APPROACHING":
            self.put(Signal.SESSION_AGED)
        elif code in _SLOW:
            self.put(Signal.THINKING_SLOW)
        elif code.startswith(_NOT_SAID):
            self.put(Signal.SAY_REFUSED)

    def _on_audio_done(self) -> None:
        self.service.note_done()
        self._latency.close()
        if self.state.turn.turn.is_whole(trio.current_time()):  # else it was interrupted, and more may have been meant
            self.state.ledger.audio_done(self.voice)
        self.put(Signal.AUDIO_DONE)

    def _on_caller_turn(self, text: str, reader: TapeReader) -> None:
        turn, has_words = self.state.turn.turn, any(map(str.isalnum, text))
        if turn.repeats(text):
            return  # the message has come twice
        self._forces_end = False
        self.service.note_caller(is_turn=True)
        self._latency.close()
        is_told = self._take_echo(text)
        if turn.echoes(text):  # it is what we have told the service ourselves
            self.put(CallerSaid(text))
        elif is_told:  # and its echo is late
            self.put(Signal.THINKING_BEGAN)
        elif not reader.confirm():
            self.state.journal.note(TurnCutOff(self.agent.name, text))
            self.put(Signal.NOTHING_UNDERSTOOD)
        elif not has_words:
            self.put(Signal.NOTHING_UNDERSTOOD)
        elif turn.is_own_echo(text, trio.current_time()):
            why = "the line carries the agent back, or the caller repeats it"
            self.state.journal.note(WarningReported(self.agent.name, "AGENT_ECHO", why))
            self._note_turn(text, text)
            self.put(CallerSaid(text))
        else:
            self._note_turn(text, text, is_answered=turn.answers_late_words and turn.has_answered_speech)
            ours = self.agent.sentences
            judged = asks_for_time(text, ours), is_courtesy(text, ours), is_farewell(text, ours)
            self.put(CallerSaid(text, *judged))
        if has_words and not (turn.phase is Phase.CLOSING or isinstance(turn.event, TurnToldLate)):
            self.state.ledger.end_reply(self.voice)

    def _take_echo(self, text: str) -> bool:
        """Say whether this is what the service was told, and has not echoed yet."""
        told = next((one for one in self._unechoed if words_of(one[0]) == words_of(text)), None)
        if told is None:
            return False
        self._unechoed.remove(told)
        turn = self.state.turn.turn
        return told[1] >= (trio.current_time() if turn.is_loud else turn.at.voiced)  # else they have said it again

    def _note_turn(self, text: str, shown: str, *, is_answered: bool = False) -> None:
        self.state.conversation.add_caller(text, is_answered=is_answered, session=self.number)
        self.state.journal.note(TurnHeard(self.agent.name, shown))
        for name in self.agent.likely_readers(self.before):
            self.state.mail.writer.want()
            with suppress(trio.BrokenResourceError, trio.WouldBlock):  # it costs the Brief, not the session
                self.state.mail.to_summarizer.send_nowait(WriteBrief(str(name)))

    def _on_agent_text(self, text: str, *, is_answer: bool) -> None:
        self.service.is_speaking = True
        done, ours = self.state.conversation.done, self.agent.sentences
        promised = [one for one in announced(text, self.agent.functions, ours) if one.name not in done]
        promised.sort(key=lambda function: function.ends_call)  # what else is announced comes before the end
        name, takes_leave = promised[0].name if promised else "", any(each.ends_call for each in promised)
        waits = asks_to_wait(text, ours) or not is_answer
        self.put(AgentSaid(text, name, waits, is_question(text), takes_leave))
        reply = self.state.ledger.add_text(self.voice, text)
        if reply is not None and self.state.turn.turn.reply.kind is effects.SpeechKind.FILLER:
            self.state.journal.note(FillerSaid(self.agent.name, reply.generation))
        elif reply is not None:
            self.has_acted = True
            self.state.conversation.add_reply(reply)

    # A soft handoff

    def why_not_another(self, number: int) -> str:
        """Say why another agent cannot take this session over at this function call's request; empty if it can."""
        if self._runner is None or not self._runner.is_alone(number):
            return "other functions are at work, or this one is withdrawn"
        if self._reader is None or self._reader.has_cut or self.service.has_heard:
            return "the service has heard the caller begin"
        if self._amending:
            return "an operator has changed the prompt just now"
        return "the session is old" if self.state.turn.turn.session.is_aged else ""

    def become(self, on_call: AgentOnCall, takeover: Takeover, asked: AskHandoff) -> None:
        """Be another agent's from here on: its voice, its functions, and the caller's words since it was asked for."""
        if self._runner is None or self._reader is None:
            return  # the session is over
        agent, self.on_call = on_call.agent, on_call
        self._runner.hand_over(asked.number, self.state.policy.wording.handed_over.format(agent=agent.name))
        self.began, self.has_acted, self.is_changing = trio.current_time(), False, False
        self._think, self.amended = _without_prompt(takeover.agent.think), takeover.amended
        self.voice = Voice(agent.name, asked.at, how="soft")
        self._latency = LatencyMeter(self.state.journal, self.voice)
        self._runner = attrs.evolve(self._runner, agent=agent)
        self._reader.resume()
        self.amend()  # with what has changed meanwhile
        self.state.turn.wake()

    # What the turn wants

    def perform(self, effect: ForSession) -> None:
        match effect:
            case effects.SayAsAgent(text=text, interrupts=interrupts):
                self.post(deepgram.InjectAgentMessage(text, "interrupt" if interrupts else "queue"))
            case effects.TellAsCaller():
                self._tell(effect)
            case effects.Listening():
                self._perform_by_ear(effect)
            case effects.AnswerFunction(id=call_id, text=text):
                self._answer_function(call_id, text)
            case effects.EndSession(why=""):
                self._over.set()
            case effects.EndSession(why=why):
                self._fail(f"{self.agent.name}: {why}")
            case _:
                assert_never(effect)

    def amend(self) -> None:
        if self.is_changing:
            return  # its prompt is about to be another agent's
        version, told = self.state.amendments.version, self._amending[-1] if self._amending else self.amended
        if version > told and self._runner is not None and (prompt := self.opening.prompt(self.on_call)):
            self._amending.append(version)
            self.post(deepgram.UpdateThink(tuple(attrs.evolve(each, prompt=prompt) for each in self._think)))

    def _perform_by_ear(self, effect: effects.Listening) -> None:
        match effect:
            case effects.Listening.END_CALLERS_TURN if self._is_flux:
                self._forces_end = True  # older deployments end the session over it
                self.post(deepgram.ForceEndTurn())
            case effects.Listening.HOLD_TAPE if self._reader is not None:
                if not self._reader.is_held:
                    self.service.has_heard = False
                self._reader.hold()
            case effects.Listening.FREE_TAPE if self._reader is not None:
                self._reader.resume()
            case _:
                pass  # nothing is read yet, or the recogniser is none of Flux's

    def _answer_function(self, call_id: str, text: str) -> None:
        if self._runner is not None:
            self._runner.answer(call_id, text)

    def _tell(self, effect: effects.TellAsCaller) -> None:
        if effect.keys:  # else it is no turn of the caller's
            self._note_turn(effect.text, effect.text if self.state.policy.keep_digits else masked(effect.keys))
        is_theirs = effect.text == self.state.conversation.last_turn() and not is_of_keys(effect.text)
        told = effect.text, trio.current_time() if is_theirs else math.inf
        self._unechoed = [*self._unechoed[-_MOST_UNECHOED:], told]
        self.post(deepgram.InjectUserMessage(effect.text))


def _without_prompt(think: tuple[deepgram.Think, ...]) -> tuple[deepgram.Think, ...]:
    return tuple(attrs.evolve(each, prompt=None) for each in think)
