"""Updates by a client while the session runs: prompt, model, voice, recogniser.

`Updates` applies each change at once and acknowledges it after the service's own time. It answers every update with
one acknowledgement, except that several of the recogniser's may share one. It refuses nothing: bad values are the
protocol's business and never get here.
"""

import attrs
import trio

from protocol.deepgram import (
    ListenUpdated,
    PromptUpdated,
    ServerMessage,
    SpeakUpdated,
    ThinkLiveUpdated,
    ThinkUpdated,
    UpdateListen,
    UpdatePrompt,
    UpdateSpeak,
    UpdateThink,
    UpdateThinkLive,
)
from simulators.deepgram.brain import Brain
from simulators.deepgram.calls import OpenCalls
from simulators.deepgram.configuration import is_flux, mind_of, voice_of
from simulators.deepgram.ear import Ear
from simulators.deepgram.knobs import DeepgramKnobs
from simulators.deepgram.line import Line
from simulators.deepgram.mouth import Mouth
from simulators.deepgram.thinker import Thinker
from simulators.scenario import Scenario


@attrs.define(eq=False)
class Updates:
    """One session's changes of mind."""

    _line: Line
    _knobs: DeepgramKnobs
    _scenario: Scenario
    _ear: Ear
    _mouth: Mouth
    _thinker: Thinker
    _calls: OpenCalls
    flux: bool
    """Whether the recogniser is Flux now."""
    _quiet: trio.Event = attrs.field(factory=trio.Event, init=False)
    _listen_ack_due: bool = attrs.field(default=False, init=False)

    def apply(
        self,
        update: UpdatePrompt | UpdateThink | UpdateSpeak | UpdateListen | UpdateThinkLive,
        nursery: trio.Nursery,
    ) -> None:
        """Make a change, and acknowledge it later."""
        match update:
            case UpdatePrompt():
                nursery.start_soon(self._acknowledge, PromptUpdated())
            case UpdateThink(think=think):
                mind = mind_of(think)
                self._calls.declared, self._thinker.entries = mind.functions, mind.entries
                self._change_agent(mind.prompt)
                nursery.start_soon(self._acknowledge, ThinkUpdated())
            case UpdateSpeak(speak=speak):
                voice = voice_of(speak)
                self._mouth.voice, self._mouth.speak_entries = voice.name, voice.entries
                nursery.start_soon(self._acknowledge, SpeakUpdated())
            case UpdateThinkLive():
                nursery.start_soon(self._acknowledge, ThinkLiveUpdated())
            case UpdateListen(listen=listen):
                self.flux = is_flux(listen)
                if not self._listen_ack_due:
                    self._listen_ack_due = True
                    nursery.start_soon(self._acknowledge_listening)

    def speech_ended(self) -> None:
        """Let acknowledgements go that waited for the user to finish."""
        self._quiet.set()
        self._quiet = trio.Event()

    def _change_agent(self, prompt: str) -> None:
        """Play another agent of the scenario from here on, if the new prompt is another's."""
        agent = self._scenario.agent_for((), prompt)
        if agent is not None and agent.name != self._thinker.brain.agent.name:
            self._thinker.brain = Brain(agent)

    async def _acknowledge(self, ack: ServerMessage) -> None:
        await trio.sleep(self._knobs.update_ack)
        await self._line.send(ack)

    async def _acknowledge_listening(self) -> None:
        """Ack after the current speech was processed; updates until then share the ack, as was seen live."""
        await trio.sleep(self._knobs.listen_ack)
        if self._ear.speaking:
            await self._quiet.wait()
        self._listen_ack_due = False
        await self._line.send(ListenUpdated())
