"""One configured session: it hears, thinks and speaks, and obeys each message of the client.

`Conversation` exists from the moment the Settings were read. Its `hear` and `receive` are called by the reader, one
message at a time; they never wait for anything but the socket. It raises `SessionOver` through the line when a message
ends the session.
"""

from typing import assert_never

import attrs
import trio

from protocol.deepgram import (
    AgentAudioDone,
    CallerAudio,
    CancelledCall,
    ConversationText,
    EndOfTurn,
    ForceEndTurn,
    FunctionCallCancelled,
    FunctionCallResponse,
    HistoryText,
    InjectAgentMessage,
    InjectionRefused,
    InjectUserMessage,
    KeepAlive,
    LatencyReport,
    ServiceWarning,
    Settings,
    UpdateSpeak,
    UpdateThink,
    UserStartedSpeaking,
)
from simulators.deepgram.configuration import Configuration
from simulators.deepgram.ear import Ear, EarEvent, TurnEnded, TurnSuspected, UserBegan
from simulators.deepgram.line import Line
from simulators.deepgram.log import CallsVoided, FaultInjected, ResponseIgnored
from simulators.deepgram.messages import FromClient, UpdateListen, UpdatePrompt
from simulators.deepgram.mouth import Mouth, Utterance
from simulators.deepgram.thinker import HeardTurn, Thinker, history_of
from simulators.deepgram.updates import Updates

STT_LATENCY = 0.02


@attrs.define(eq=False)
class Conversation:
    """Hearing, thinking and speaking of one session."""

    _line: Line
    _configuration: Configuration
    _ear: Ear
    _mouth: Mouth
    _thinker: Thinker
    _updates: Updates
    _began: trio.Event = attrs.field(factory=trio.Event, init=False)
    _suspected: HeardTurn | None = attrs.field(default=None, init=False)
    _reports: float = attrs.field(default=0.0, init=False)

    def open(self, greeting_delay: float) -> None:
        """Greet, or answer what the replayed history left unanswered."""
        unanswered = self._thinker.brain.replay(self._configuration.context)
        now = trio.current_time()
        if self._configuration.greeting:
            self._mouth.say(Utterance((self._configuration.greeting,), greeting_delay, now, reports=False))
        elif unanswered and self._line.knobs.answers_replayed_user:
            turn = HeardTurn(unanswered, now)
            turn.confirmed.set()
            self._thinker.put(turn)

    def start(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._mouth.run)
        nursery.start_soon(self._thinker.run)
        if self._line.knobs.cancel_after:
            nursery.start_soon(self._withdraw_late)
        overdue = min((fault.seconds for fault in self._line.faults.of("cancel call")), default=None)
        if overdue is not None:
            nursery.start_soon(self._withdraw_overdue, overdue)

    def mute(self) -> None:
        """Say nothing from here on, though everything else goes on."""
        self._mouth.muted = True
        self._mouth.cut_off()
        self._thinker.muted = True

    async def hear(self, audio: bytes) -> None:
        for event in self._ear.hear(audio):
            await self._on_heard(event)
        if self._line.knobs.stt_reports_per_second:
            await self._report_recognition()

    async def receive(self, message: FromClient, nursery: trio.Nursery) -> None:
        match message:
            case InjectUserMessage(content=content):
                await self._on_user_began()
                await self._on_turn_ended(content, "manual")
            case InjectAgentMessage():
                await self._on_agent_injected(message)
            case FunctionCallResponse():
                await self._on_function_answered(message)
            case ForceEndTurn():
                await self._on_turn_forced()
            case UpdatePrompt() | UpdateThink() | UpdateSpeak() | UpdateListen():
                await self._updates.apply(message, nursery)
            case KeepAlive() | Settings() | CallerAudio():
                pass
            case _:
                assert_never(message)

    async def _on_heard(self, event: EarEvent) -> None:
        match event:
            case UserBegan():
                await self._on_user_began()
            case TurnSuspected(text=text):
                self._suspected = HeardTurn(text, trio.current_time())
                self._thinker.put(self._suspected)
            case TurnEnded(text=text):
                self._updates.speech_ended()
                if text:
                    await self._on_turn_ended(text, "model")
            case _:
                assert_never(event)

    async def _on_user_began(self, *, voids_all: bool = False) -> None:
        """Stop speaking and thinking: every utterance begins so, whether the agent was speaking or not."""
        voided = self._thinker.interrupt(keeps_calls=bool(self._line.knobs.cancel_after), voids_all=voids_all)
        if self._thinker.calls.pending:
            self._began.set()
        self._suspected = None
        cut = self._mouth.cut_off()
        await self._line.send(UserStartedSpeaking())
        if cut and self._line.knobs.barge_in_audio_done:
            await self._line.send(AgentAudioDone())
        await self._tell_voided(voided)
        if cut:
            await self._mouth.trail(cut)

    async def _tell_voided(self, voided: tuple[CancelledCall, ...]) -> None:
        if voided:
            self._line.log.put(CallsVoided, voided)
            await self._line.send(FunctionCallCancelled(functions=voided))

    async def _withdraw_late(self) -> None:
        """Cancel the open calls a while after the user began to speak, each time."""
        while True:
            await self._began.wait()
            self._began = trio.Event()
            await trio.sleep(self._line.knobs.cancel_after)
            if self._thinker.calls.pending:
                await self._tell_voided(self._thinker.interrupt())

    async def _withdraw_overdue(self, seconds: float) -> None:
        """Cancel the open calls once, when one has been open for too long, as if the user had begun to speak."""
        await self._thinker.calls.wait_overdue(seconds)
        self._line.log.put(FaultInjected, "cancel call")
        await self._on_user_began(voids_all=True)

    async def _on_turn_ended(self, text: str, trigger: str) -> None:
        await self._line.send(ConversationText(role="user", content=text))
        await self._line.send(HistoryText(role="user", content=text))
        if self._updates.flux and self._line.knobs.sends_end_of_turn:
            await self._line.send(EndOfTurn(trigger=trigger))
        suspected, self._suspected = self._suspected, None
        turn = suspected or HeardTurn(text, trio.current_time())
        turn.confirmed.set()
        if suspected is None:
            self._thinker.put(turn)

    async def _on_turn_forced(self) -> None:
        if not self._line.knobs.takes_force_end_turn:
            await self._line.fail("UNPARSABLE_CLIENT_MESSAGE", "ForceEndTurn is no message of this deployment")
        if not self._updates.flux:
            description = "ForceEndTurn needs a Flux recogniser"
            await self._line.send(ServiceWarning(code="FORCE_END_TURN_UNSUPPORTED", description=description))
            return
        for event in self._ear.force_end():
            if isinstance(event, TurnEnded) and event.text:
                await self._on_turn_ended(event.text, "manual")

    async def _on_agent_injected(self, injected: InjectAgentMessage) -> None:
        if injected.behavior == "interrupt":
            await self._interrupt_agent()
        elif self._ear.speaking or (injected.behavior == "default" and (self._thinker.busy or self._mouth.busy)):
            await self._refuse_injection()
            return
        self._mouth.say(Utterance((injected.message,), self._line.knobs.tts, trio.current_time(), reports=False))

    async def _interrupt_agent(self) -> None:
        voided = self._thinker.interrupt()
        cut = self._mouth.cut_off()
        await self._tell_voided(voided)
        if cut:
            await self._line.send(AgentAudioDone())

    async def _refuse_injection(self) -> None:
        who = "USER" if self._ear.speaking else "AGENT"
        if self._line.knobs.injection_refusal is not None:
            await self._line.send(InjectionRefused(message=self._line.knobs.injection_refusal))
            return
        code = f"INJECT_AGENT_MESSAGE_DURING_{who}_SPEECH"
        description = f"inject agent message during {who.lower()} speech"
        await self._line.send(ServiceWarning(code=code, description=description))

    async def _on_function_answered(self, response: FunctionCallResponse) -> None:
        opened = self._thinker.calls.answer(response.id, response.content)
        if opened is None:
            self._line.log.put(ResponseIgnored, response.id, response.name)
            return
        if self._line.knobs.echoes_function_responses:
            await self._line.send(response)
        await self._line.send(history_of(opened))

    async def _report_recognition(self) -> None:
        due = self._ear.seconds * self._line.knobs.stt_reports_per_second
        while self._reports < due:
            self._reports += 1
            await self._line.send(LatencyReport(stt_latency=STT_LATENCY))
