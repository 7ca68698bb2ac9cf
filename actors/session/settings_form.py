"""The Settings a session is opened with, from an agent and what it must know.

`SettingsForm` holds what all agents of a server have in common: how to listen, what to think with, and which models
the account offers. It makes values and does nothing.
"""

from collections.abc import Callable, Iterable, Sequence

import attrs

from actors.amendments import Amendments
from agents.brief import Brief
from agents.spec import AgentOptions, AgentSpec, ThinkModel
from protocol import deepgram

DEFAULTS = AgentOptions(
    listen_model="flux-general-en",
    think=(ThinkModel("open_ai", "gpt-5.4-mini"), ThinkModel("anthropic", "claude-haiku-4-5")),
    speak_fallback=("cartesia/sonic-2/a167e0f3-df7e-4d52-a9c3-f949145efdab",),
)


@attrs.define(eq=False)
class Offered:
    """The models that the account may use, as the service has told; `think` is None until it has.

    Pairs of provider and model; the provider is empty where the service did not say it as we do.
    """

    think: frozenset[tuple[str, str]] | None = None

    def has(self, model: ThinkModel) -> bool:
        """Say whether a model can be had, as far as is known; what is behind an endpoint of ours, only that can say."""
        if self.think is None or model.endpoint is not None:
            return True
        return not self.think.isdisjoint({(model.provider, model.name), ("", model.name)})

    def best(self, models: Iterable[ThinkModel]) -> tuple[ThinkModel, ...]:
        """Return those that can be had, in their order; all of them if none can: the service must say so itself."""
        every = tuple(models)
        return tuple(model for model in every if self.has(model)) or every


@attrs.frozen
class VoiceAgentOptions:
    """The defaults for agents that set no options, and the models there are to choose from."""

    defaults: AgentOptions = DEFAULTS
    offered: Offered = attrs.field(factory=Offered)


@attrs.frozen
class Takeover:
    """The messages that make an open session another agent's, in this order: its mind, its voice, its first words.

    `amended` is the version of the operator's amendments in it; `prompt` writes the prompt anew, with later ones.
    """

    think: deepgram.UpdateThink
    speak: deepgram.UpdateSpeak
    greeting: str
    amended: int = 0
    prompt: Callable[[], str] = str


@attrs.frozen
class SettingsForm:
    call_sid: str
    options: VoiceAgentOptions = attrs.field(factory=VoiceAgentOptions)
    direction: str = ""
    """Of the call: inbound or outbound; empty says nothing to the agents."""
    amendments: Amendments = attrs.field(factory=Amendments)
    """What an operator has changed of the prompts."""

    def fresh(self, agent: AgentSpec, brief: Brief | None) -> deepgram.Settings:
        """For an agent who greets a caller it has not spoken to."""
        return self.resumed(agent, brief, (), agent.greeting_with(brief, self.direction))

    def resumed(
        self,
        agent: AgentSpec,
        brief: Brief | None,
        history: Sequence[deepgram.HistoryText | deepgram.HistoryCalls],
        word: str = "",
    ) -> deepgram.Settings:
        """For an agent who goes on where its last session broke off: no greeting, but perhaps a word about it."""
        chosen = self._chosen(agent)
        listen = deepgram.listen_with(
            chosen.listen_model or "",
            language=chosen.listen_language or (),
            keyterms=chosen.listen_keyterms or (),
            eot_threshold=chosen.eot_threshold,
            eager_eot_threshold=chosen.eager_eot_threshold,
            eot_timeout_ms=chosen.eot_timeout_ms,
        )
        ordered = deepgram.AgentSettings(
            context=deepgram.Context(tuple(history)) if history else None,
            listen=listen,
            think=self._think(agent, brief, chosen),
            speak=_speak(agent, chosen),
            greeting=word or None,
        )
        tags, opts_out = (f"agent:{agent.name}", f"call:{self.call_sid}"), chosen.mip_opt_out or False
        return deepgram.Settings(deepgram.TELEPHONE, ordered, tags, mip_opt_out=opts_out)

    def prompt(self, agent: AgentSpec, brief: Brief | None) -> str:
        return self.amendments.amended(agent).prompt_with(brief, self.direction)

    def taken_over(self, agent: AgentSpec, brief: Brief | None) -> Takeover:
        """For an agent that greets a caller on a session that another agent has opened."""
        chosen = self._chosen(agent)
        think = deepgram.UpdateThink(self._think(agent, brief, chosen))
        greeting = agent.greeting_with(brief, self.direction)
        return Takeover(think, deepgram.UpdateSpeak(_speak(agent, chosen)), greeting, self.amendments.version)

    def _chosen(self, agent: AgentSpec) -> AgentOptions:
        return agent.options.over(self.options.defaults)

    def _think(self, agent: AgentSpec, brief: Brief | None, chosen: AgentOptions) -> tuple[deepgram.Think, ...]:
        """Order the models in the order of preference: the service takes the next one where one fails."""
        prompt = self.prompt(agent, brief)
        functions = [function.definition() for function in agent.functions]
        return tuple(
            deepgram.think_with(
                model.provider,
                model.name,
                endpoint=model.endpoint,
                temperature=chosen.temperature,
                reasoning_mode=chosen.reasoning_mode,
                prompt=prompt,
                functions=functions,
            )
            for model in self.options.offered.best(chosen.think or ())
        )


def _speak(agent: AgentSpec, chosen: AgentOptions) -> tuple[deepgram.Speak, ...]:
    voices = dict.fromkeys((agent.voice, *(chosen.speak_fallback or ())))
    return tuple(deepgram.speak_with(voice, chosen.speak_speed) for voice in voices)
