"""The agent's mind at work: one turn of the user's after the other is thought about, answered and acted on.

`Thinker` is one task. It waits for a turn, lets the brain choose the answer, hands sentences to the mouth and function
calls to the client, and waits for their answers. The reader interrupts it when the user speaks. A turn that was
interrupted before anything of its answer got out is given back to the brain and answered together with the next one.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs
import trio
from trio.lowlevel import ParkingLot

from protocol.deepgram import (
    AgentThinking,
    CancelledCall,
    CompletedCall,
    FunctionCallRequest,
    FunctionCallResponse,
    HistoryCalls,
    LatencyReport,
    ServiceWarning,
)
from simulators.deepgram.brain import DEFAULT_APOLOGY, DEFAULT_FALLBACK, Answer, Brain
from simulators.deepgram.calls import OpenCall, OpenCalls, any_failed
from simulators.deepgram.line import Line
from simulators.deepgram.log import CallSkipped, TurnAnswered
from simulators.deepgram.mouth import Mouth, Utterance
from simulators.scenario import ScriptedAgent, ScriptedCall, ScriptedTurn

SERVER_SIDE_ANSWER = '{"ok":true}'
SERVER_FUNCTION_TAKES: Final = 0.2
"""Seconds until a function declared with an endpoint has answered."""
COMPLAINS_EVERY: Final = 5.0
"""Seconds between two warnings that the model is slow."""


@attrs.define(eq=False)
class HeardTurn:
    """Something the user said; until `confirmed`, the user may still go on."""

    text: str
    since: float
    confirmed: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Thinker:
    """One session's mind."""

    _line: Line
    mouth: Mouth
    calls: OpenCalls
    brain: Brain
    entries: int
    """How many entries `agent.think` has: fallbacks to fail over to."""
    muted: bool = attrs.field(default=False, init=False)
    _turns: deque[HeardTurn] = attrs.field(factory=deque, init=False)
    _work: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    _turn: HeardTurn | None = attrs.field(default=None, init=False)
    _answer: Answer | None = attrs.field(default=None, init=False)
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False)
    _silent: bool = attrs.field(default=True, init=False)
    """Nothing of the current answer has got out."""
    _unanswered: str = attrs.field(default="", init=False)

    @property
    def busy(self) -> bool:
        return self._turn is not None or bool(self._turns)

    def put(self, turn: HeardTurn) -> None:
        if not self.muted:
            self._turns.append(turn)
            self._work.unpark_all()

    def interrupt(self, *, keeps_calls: bool = False, voids_all: bool = False) -> tuple[CancelledCall, ...]:
        """Stop answering because the user speaks; return the calls this makes void.

        While a call stays open (see the knobs), the answer goes on when it is answered.
        """
        if self._turn is None or self._scope is None:
            return ()
        confirmed = self._turn.confirmed.is_set()
        voided: tuple[CancelledCall, ...] = ()
        if voids_all or (not keeps_calls and (self._line.knobs.barge_in_cancels_calls or not confirmed)):
            voided = self.calls.void(deferred_too=voids_all or self._line.knobs.cancels_deferred_calls)
        if self.calls.pending:
            return voided
        if self._answer is not None and (self._silent or not confirmed):
            self.brain.give_back(self._answer)
            self._unanswered = self._answer.heard if confirmed else ""
        self._scope.cancel(reason="the user spoke")
        return voided

    def change_brain(self, brain: Brain) -> None:
        """Have another agent think from here on, also about the function calls that are open."""
        self.brain, self._answer = brain, None

    def forget(self) -> None:
        """Forget the conversation so far: nobody waits for the answer of an open call any more."""
        self._turns.clear()
        self._unanswered = ""
        if self._scope is not None:
            self.calls.void(deferred_too=True)
            self._scope.cancel(reason="the conversation is forgotten")

    async def run(self) -> None:
        while True:
            while not self._turns:
                await self._work.park()
            self._turn = self._turns.popleft()
            with trio.CancelScope() as self._scope:
                await self._respond(self._turn)
            self._turn = self._scope = None

    async def _respond(self, turn: HeardTurn) -> None:
        heard = f"{self._unanswered} {turn.text}".strip()
        self._unanswered, self._silent = "", True
        agent = self.brain.agent
        self._answer = self.brain.answer(heard)
        self._line.log.put(TurnAnswered, self.brain.agent.name, heard, self._answer.number)
        script = self._answer.turn
        await self._think(script.slow)
        calls, made = script.calls, list[OpenCall]()
        if not turn.confirmed.is_set():
            made = await self._request([call for call in calls if not self._is_deferred(call)])
            calls = tuple(call for call in calls if self._is_deferred(call))
            await turn.confirmed.wait()
        await self._report_thought(turn, script)
        self._say(script.says, turn)
        made += await self._request(calls)
        await self._follow_up(script, made, agent)

    async def _follow_up(self, script: ScriptedTurn, calls: Sequence[OpenCall], agent: ScriptedAgent) -> None:
        """Go on when the functions have answered. If it is another agent that thinks now, it speaks for itself."""
        await self.calls.wait_settled(calls)
        if self.brain.agent is not agent:
            await self._think()
            self._say(self.brain.agent.fallback or (DEFAULT_FALLBACK,))
        elif any_failed(calls):
            await self._apologise(script)
        elif script.then or script.then_calls:
            if calls:
                await self._think(script.slow_then)
            self._say(script.then)
            more = await self._request(script.then_calls)
            await self.calls.wait_settled(more)
            if any_failed(more):
                await self._apologise(script)

    async def _apologise(self, script: ScriptedTurn) -> None:
        await self._think(script.slow_then)
        self._say(script.on_error or (DEFAULT_APOLOGY,))

    async def _think(self, longer: float = 0.0) -> None:
        """Take the model's time, and complain about it as the service does: every five seconds, never fatally."""
        left, waited = self._line.knobs.think + self._line.faults.seconds("slow think") + longer, 0.0
        while left > COMPLAINS_EVERY:
            await trio.sleep(COMPLAINS_EVERY)
            left -= COMPLAINS_EVERY
            waited += COMPLAINS_EVERY
            complaint = f"We have now waited {waited:g} seconds for a think response."
            await self._line.send(ServiceWarning(code="SLOW_THINK_REQUEST", description=complaint))
        await trio.sleep(left)
        for _ in range(min(self._line.knobs.think_failures, self.entries)):
            await self._line.send(ServiceWarning(code="THINK_REQUEST_FAILED", description="think request failed"))
        if self._line.knobs.think_failures >= self.entries:
            await self._line.fail("FAILED_TO_THINK", "every think provider failed")

    async def _report_thought(self, turn: HeardTurn, script: ScriptedTurn) -> None:
        if self._line.knobs.sends_agent_thinking:
            await self._line.send(AgentThinking(content=f"The user said: {turn.text}"))
        if self._line.knobs.sends_latency_reports:
            took = trio.current_time() - turn.since
            await self._line.send(LatencyReport(ttt_token_latency=took))
            spoken = bool(script.says) or not script.calls
            await self._line.send(
                LatencyReport(ttt_text_latency=took) if spoken else LatencyReport(ttt_tool_latency=took)
            )

    def _say(self, sentences: tuple[str, ...], turn: HeardTurn | None = None) -> None:
        if sentences:
            self._silent = False
            since = turn.since if turn else trio.current_time()
            self.mouth.say(Utterance(sentences, self._line.knobs.tts + self._line.faults.seconds("slow tts"), since))

    def _is_deferred(self, scripted: ScriptedCall) -> bool:
        declared = self.calls.declared.get(scripted.name)
        return declared is not None and declared.defer_until_eot

    async def _request(self, scripted: Sequence[ScriptedCall]) -> list[OpenCall]:
        """Ask for all of these in one request; functions the Settings did not declare are left out."""
        opened = []
        for call in scripted:
            made = self.calls.make(call)
            if made is None:
                self._line.log.put(CallSkipped, call.name)
            else:
                opened.append(made)
        if opened:
            self._silent = False
            await self._line.send(FunctionCallRequest(functions=tuple(made.call for made in opened)))
            await self._run_server_side([made for made in opened if not made.call.client_side])
        return opened

    async def _run_server_side(self, calls: Sequence[OpenCall]) -> None:
        for made in calls:
            await trio.sleep(SERVER_FUNCTION_TAKES)
            if self.calls.answer(made.call.id, SERVER_SIDE_ANSWER):
                call = made.call
                await self._line.send(FunctionCallResponse(id=call.id, name=call.name, content=SERVER_SIDE_ANSWER))
                await self._line.send(history_of(made))


def history_of(opened: OpenCall) -> HistoryCalls:
    """Describe an answered call as the service's history does."""
    call = opened.call
    done = CompletedCall(call.id, call.name, call.client_side, call.arguments, opened.answer or "")
    return HistoryCalls(function_calls=(done,))
