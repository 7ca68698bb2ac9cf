"""Updates by a client while the session runs: prompt, model, voice, recogniser.

`Updates` applies each change at once and acknowledges it after the service's own time. It answers every update with
one acknowledgement, except that several of the recogniser's may share one, and where a fault says otherwise. Bad
values are the protocol's business and never get here.
"""

from typing import Final, assert_never

import attrs
import trio
from trio.lowlevel import ParkingLot

from protocol.deepgram import (
    SpeakUpdated,
    ThinkUpdated,
    UpdateSpeak,
    UpdateThink,
)
from simulators.deepgram.brain import Brain
from simulators.deepgram.configuration import is_flux, mind_of, voice_of
from simulators.deepgram.ear import Ear
from simulators.deepgram.line import ABNORMAL_CLOSURE, Line
from simulators.deepgram.log import FaultInjected
from simulators.deepgram.messages import FromService, ListenUpdated, PromptUpdated, UpdateListen, UpdatePrompt
from simulators.deepgram.thinker import Thinker
from simulators.scenario import Scenario

_INSTEAD: Final = ("no ack", "refuse update", "drop at update")
LISTEN_ACK: Final = 0.25
"""Seconds to `ListenUpdated` when idle; while the user speaks it waits for the end of the turn, and acks merge."""
REFUSED = "Invalid agent.{} settings - model not available"


@attrs.define(eq=False)
class Updates:
    """One session's changes of mind."""

    _line: Line
    _scenario: Scenario
    _ear: Ear
    _thinker: Thinker
    flux: bool
    """Whether the recogniser is Flux now."""
    _quiet: ParkingLot = attrs.field(factory=ParkingLot, init=False)
    _listen_ack_due: bool = attrs.field(default=False, init=False)

    async def apply(
        self,
        update: UpdatePrompt | UpdateThink | UpdateSpeak | UpdateListen,
        nursery: trio.Nursery,
    ) -> None:
        """Make a change, and acknowledge it later; a fault may end the session instead."""
        match update:
            case UpdatePrompt():
                await self._take("prompt", PromptUpdated(), nursery)
            case UpdateThink(think=think):
                await self._take("think", ThinkUpdated(), nursery)
                mind = mind_of(think)
                self._thinker.calls.declared, self._thinker.entries = mind.functions, mind.entries
                self._change_agent(mind.prompt)
            case UpdateSpeak(speak=speak):
                await self._take("speak", SpeakUpdated(), nursery)
                self._thinker.mouth.voice = voice_of(speak)
            case UpdateListen(listen=listen):
                self.flux = is_flux(listen)
                await self._take("listen", None, nursery)
            case _:
                assert_never(update)

    async def _take(self, kind: str, ack: FromService | None, nursery: trio.Nursery) -> None:
        """Have an update acknowledged as its fault says; None: as the recogniser's are.

        *Raises* `SessionOver`.
        """
        hits = [fault for fault in self._line.faults.of("slow ack", *_INSTEAD) if fault.code == kind]
        delay = sum(fault.seconds for fault in hits)
        instead = next((fault.kind for fault in hits if fault.kind in _INSTEAD), "")
        if instead:
            self._line.log.put(FaultInjected, f"{instead} {kind}")
        if instead == "drop at update":
            await self._line.close(ABNORMAL_CLOSURE, f"drop at update {kind} by a fault")
        if instead == "refuse update":
            await self._line.fail("INVALID_SETTINGS", REFUSED.format(kind))
        if instead == "no ack":
            return
        if ack is not None:
            nursery.start_soon(self._acknowledge, ack, delay)
        elif not self._listen_ack_due:
            self._listen_ack_due = True
            nursery.start_soon(self._acknowledge_listening, delay)

    def speech_ended(self) -> None:
        """Let acknowledgements go that waited for the user to finish."""
        self._quiet.unpark_all()

    def _change_agent(self, prompt: str) -> None:
        """Play another agent of the scenario from here on, if the new prompt is another's."""
        agent = self._scenario.agent_for((), prompt)
        if agent is not None and agent.name != self._thinker.brain.agent.name:
            self._thinker.change_brain(Brain(agent))
        if not self._line.knobs.think_keeps_history:
            self._thinker.forget()

    async def _acknowledge(self, ack: FromService, delay: float) -> None:
        await trio.sleep(self._line.knobs.update_ack + delay)
        await self._line.send(ack)

    async def _acknowledge_listening(self, delay: float) -> None:
        """Ack after the current speech was processed; updates until then share the ack, as was seen live."""
        await trio.sleep(LISTEN_ACK + delay)
        if self._ear.speaking:
            await self._quiet.park()
        self._listen_ack_due = False
        await self._line.send(ListenUpdated())
